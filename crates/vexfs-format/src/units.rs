//! Numbers that may not be mixed: each unit is a type, and arithmetic that could leave its range is checked.

use std::fmt;

macro_rules! unit {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub u64);

        impl $name {
            /// The number itself.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The unit `n` further on, or `None` past `u64::MAX`.
            pub const fn checked_add(self, n: u64) -> Option<Self> {
                match self.0.checked_add(n) {
                    Some(v) => Some(Self(v)),
                    None => None,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

unit! {
    /// Absolute block number on the device, counted from 0; the unit is the filesystem's block size.
    BlockNo
}
unit! {
    /// Block index within one file, counted from 0. Never a place on the device.
    LogicalBlock
}
unit! {
    /// Number of an inode, counted from 1; 0 means none.
    InodeNo
}
unit! {
    /// Number of a block group, counted from 0.
    GroupNo
}
unit! {
    /// Sequence number of a transaction; grows by one with each commit and is never reused.
    TxnSeq
}

impl InodeNo {
    /// No inode.
    pub const NONE: Self = Self(0);
    /// The root directory.
    pub const ROOT: Self = Self(1);
    /// The directory that receives what a repair finds without a name.
    pub const LOST_FOUND: Self = Self(2);
    /// First number given to ordinary objects; the numbers below are kept for the filesystem itself.
    pub const FIRST_ORDINARY: Self = Self(11);
}
