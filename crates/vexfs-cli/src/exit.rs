//! Exit codes, as the three families of tools promise them to scripts, systemd and the `fsck` front end.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// Which exit codes a tool uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// 0 done, 1 failed, 2 usage. A closed standard output ends the tool, successfully.
    Ordinary,
    /// `mkfs.TYPE`: 0 done, 1 refused or failed, 16 usage. A closed standard output does not stop the work.
    Mkfs,
    /// `fsck.TYPE`: the bit mask of fsck(8), see [`FsckStatus`]. A closed standard output does not stop the work.
    Fsck,
}

impl Family {
    /// Exit code of an operational error, a panic included.
    pub const fn failed(self) -> u8 {
        match self {
            Self::Ordinary | Self::Mkfs => 1,
            Self::Fsck => FsckStatus::OPERATIONAL.0,
        }
    }

    /// Exit code of wrong usage.
    pub const fn usage(self) -> u8 {
        match self {
            Self::Ordinary => 2,
            Self::Mkfs | Self::Fsck => FsckStatus::USAGE.0,
        }
    }

    /// Exit code of a run that a signal ended in an orderly way.
    pub const fn interrupted(self) -> u8 {
        match self {
            Self::Ordinary | Self::Mkfs => 1,
            Self::Fsck => FsckStatus::CANCELLED.0,
        }
    }

    /// Whether the result on standard output is all the tool is for, so that it ends when nobody reads it.
    pub(crate) const fn ends_with_its_reader(self) -> bool {
        matches!(self, Self::Ordinary)
    }
}

/// The exit status of `fsck.vexfs`: bits of fsck(8), combined with `|`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct FsckStatus(u8);

impl FsckStatus {
    /// No bit: the filesystem is clean.
    pub const CLEAN: Self = Self(0);
    /// Problems were found and corrected. A journal replay alone is none.
    pub const CORRECTED: Self = Self(1);
    /// The mounted root was changed; the machine must be restarted.
    pub const REBOOT: Self = Self(2);
    /// Problems are left.
    pub const UNCORRECTED: Self = Self(4);
    /// Operational error: the device cannot be opened or fails, no memory, a format newer than the tool.
    pub const OPERATIONAL: Self = Self(8);
    /// Wrong usage.
    pub const USAGE: Self = Self(16);
    /// Cancelled by a signal.
    pub const CANCELLED: Self = Self(32);

    /// The number handed to the caller.
    pub const fn code(self) -> u8 {
        self.0
    }

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for FsckStatus {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for FsckStatus {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for FsckStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FsckStatus({})", self.0)
    }
}

/// What a tool's work returns when it did not fail.
pub trait Outcome {
    /// The exit code.
    fn code(self) -> u8;
}

impl Outcome for () {
    fn code(self) -> u8 {
        0
    }
}

impl Outcome for FsckStatus {
    fn code(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_families_keep_the_codes_that_scripts_rely_on() {
        let codes = |f: Family| (f.failed(), f.usage(), f.interrupted());
        assert_eq!(codes(Family::Ordinary), (1, 2, 1));
        assert_eq!(codes(Family::Mkfs), (1, 16, 1));
        assert_eq!(codes(Family::Fsck), (8, 16, 32));
    }

    #[test]
    fn fsck_bits_combine() {
        let mut status = FsckStatus::CLEAN;
        status |= FsckStatus::CORRECTED | FsckStatus::UNCORRECTED;
        assert_eq!(status.code(), 5);
        assert!(status.contains(FsckStatus::UNCORRECTED) && !status.contains(FsckStatus::OPERATIONAL));
    }
}
