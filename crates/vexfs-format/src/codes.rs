//! The small numbers that stand for kinds: element types, metrics, kinds of object.

use std::fmt;

macro_rules! codes {
    ($(#[$doc:meta])* $name:ident : $repr:ty { $($(#[$variant_doc:meta])* $variant:ident = $code:literal, $text:literal);* $(;)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant = $code),* }

        impl $name {
            /// All kinds, by code.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The kind with this code, or `None` for a code that is not defined.
            pub const fn from_code(code: $repr) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// The code stored on the device.
            pub const fn code(self) -> $repr {
                self as $repr
            }

            /// The name used in flags and messages.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// The kind with this name.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|k| k.name() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

codes! {
    /// Element type of a collection's vectors. All are little-endian.
    DType: u8 {
        /// IEEE 754 binary32.
        F32 = 1, "f32";
        /// IEEE 754 binary16.
        F16 = 2, "f16";
        /// bfloat16: the upper half of a binary32.
        BF16 = 3, "bf16";
        /// Signed 8-bit integer.
        I8 = 4, "i8";
        /// Unsigned 8-bit integer.
        U8 = 5, "u8";
        /// One bit per dimension, dimension j in byte j / 8, bit j % 8 counted from the least significant.
        B1 = 6, "b1"
    }
}

impl DType {
    /// Bytes of one row of `dim` elements.
    pub const fn row_bytes(self, dim: u32) -> u64 {
        let dim = dim as u64;
        match self {
            Self::F32 => dim * 4,
            Self::F16 | Self::BF16 => dim * 2,
            Self::I8 | Self::U8 => dim,
            Self::B1 => dim.div_ceil(8),
        }
    }
}

codes! {
    /// What "near" means in a collection. In all four, smaller is nearer.
    Metric: u8 {
        /// Squared Euclidean distance.
        L2 = 1, "l2";
        /// 1 − cosine of the angle.
        Cosine = 2, "cosine";
        /// Negated inner product.
        InnerProduct = 3, "ip";
        /// Number of differing bits; for b1 only.
        Hamming = 4, "hamming"
    }
}

codes! {
    /// Kind of object an inode stands for.
    InodeKind: u16 {
        /// Ordinary file.
        File = 1, "file";
        /// Directory.
        Directory = 2, "directory";
        /// Symbolic link.
        Symlink = 3, "symlink";
        /// Collection: a directory of streams with a collection descriptor.
        Collection = 4, "collection";
        /// One stream of a collection.
        Stream = 5, "stream"
    }
}

impl InodeKind {
    /// Whether the inode's blocks are directory blocks.
    pub const fn is_directory_like(self) -> bool {
        matches!(self, Self::Directory | Self::Collection)
    }

    /// The file type bits of `mode` (POSIX `S_IFMT`) that belong to this kind.
    pub const fn mode_type(self) -> u16 {
        match self {
            Self::File | Self::Stream => 0o100_000,
            Self::Directory | Self::Collection => 0o040_000,
            Self::Symlink => 0o120_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_back_to_their_kind() {
        for &d in DType::ALL {
            assert_eq!((DType::from_code(d.code()), DType::from_name(d.name())), (Some(d), Some(d)));
        }
        for &m in Metric::ALL {
            assert_eq!((Metric::from_code(m.code()), Metric::from_name(m.name())), (Some(m), Some(m)));
        }
        assert_eq!(InodeKind::from_code(0), None);
        assert_eq!(DType::B1.row_bytes(9), 2);
    }
}
