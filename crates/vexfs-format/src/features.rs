//! Feature sets: what an older tool may still do with a newer filesystem.
//!
//! An unknown *compat* bit is ignored, an unknown *ro_compat* bit forbids writing, an unknown *incompat* bit
//! forbids everything. The superblock has the three sets for the filesystem, each collection descriptor for the
//! collection, so that one collection with a newer feature does not lock the others.

use crate::error::Incompatible;

/// A vector zone is reserved (`zone_start`, `zone_blocks` of the superblock are in force).
pub const COMPAT_VECTOR_ZONE: u64 = 1;

/// All compat bits that are defined.
pub const COMPAT_KNOWN: u64 = COMPAT_VECTOR_ZONE;
/// All ro_compat bits that are defined.
pub const RO_COMPAT_KNOWN: u64 = 0;
/// All incompat bits that are defined.
pub const INCOMPAT_KNOWN: u64 = 0;

/// Collection, ro_compat: rows have a payload (`payload` and `payload.end`). Who does not know it would add rows without.
pub const COLLECTION_RO_COMPAT_PAYLOAD: u64 = 1;
/// All ro_compat bits that are defined for collections.
pub const COLLECTION_RO_COMPAT_KNOWN: u64 = COLLECTION_RO_COMPAT_PAYLOAD;

/// The three feature sets of one object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Ignored when unknown.
    pub compat: u64,
    /// Read only when unknown.
    pub ro_compat: u64,
    /// Refused when unknown.
    pub incompat: u64,
}

impl Features {
    /// Whether these tools may read.
    ///
    /// # Errors
    /// [`Incompatible::Incompat`] with the unknown bits.
    pub fn check_readable(&self) -> Result<(), Incompatible> {
        match self.incompat & !INCOMPAT_KNOWN {
            0 => Ok(()),
            unknown => Err(Incompatible::Incompat(unknown)),
        }
    }

    /// Whether these tools may write.
    ///
    /// # Errors
    /// [`Incompatible::Incompat`] or [`Incompatible::RoCompat`] with the unknown bits.
    pub fn check_writable(&self) -> Result<(), Incompatible> {
        self.check_writable_with(RO_COMPAT_KNOWN)
    }

    /// As [`Self::check_writable`], for a collection.
    ///
    /// # Errors
    /// As [`Self::check_writable`].
    pub fn check_collection_writable(&self) -> Result<(), Incompatible> {
        self.check_writable_with(COLLECTION_RO_COMPAT_KNOWN)
    }

    fn check_writable_with(&self, known: u64) -> Result<(), Incompatible> {
        self.check_readable()?;
        match self.ro_compat & !known {
            0 => Ok(()),
            unknown => Err(Incompatible::RoCompat(unknown)),
        }
    }

    /// The names of the features that are set, unknown bits as hexadecimal numbers.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        if self.compat & COMPAT_VECTOR_ZONE != 0 {
            names.push("vector_zone".to_owned());
        }
        for (set, bits) in [
            ("compat", self.compat & !COMPAT_KNOWN),
            ("ro_compat", self.ro_compat & !RO_COMPAT_KNOWN),
            ("incompat", self.incompat & !INCOMPAT_KNOWN),
        ] {
            if bits != 0 {
                names.push(format!("{set}:{bits:#x}"));
            }
        }
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_bits_restrict_as_their_set_says() {
        let compat = Features { compat: 1 << 63, ..Default::default() };
        assert!(compat.check_writable().is_ok());
        let ro = Features { ro_compat: 1 << 63, ..Default::default() };
        assert!(ro.check_readable().is_ok() && ro.check_writable().is_err());
        let payload = Features { ro_compat: COLLECTION_RO_COMPAT_PAYLOAD, ..Default::default() };
        assert!(payload.check_collection_writable().is_ok() && payload.check_writable().is_err());
        let incompat = Features { incompat: 1 << 63, ..Default::default() };
        assert!(incompat.check_readable().is_err());
    }
}
