//! The header with which a metadata block introduces itself: what it is, whose, where, and when it was written.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::checksum::Seed;
use crate::error::{At, Corrupt, Damage, Structure};
use crate::field::on_disk;
use crate::units::{BlockNo, InodeNo, TxnSeq};

on_disk! {
    /// First 48 bytes of extent tree nodes, directory blocks, checksum blocks, collection descriptors and the blocks
    /// of a transaction in the journal.
    ///
    /// The checksum covers the whole block with itself read as zero, salted with the magic, the place and the owner.
    pub struct BlockHeader [48 bytes] {
        /// Kind of block.
        magic: U32,
        /// CRC32C of the block.
        checksum: U32,
        /// Inode the block belongs to; 0 in the journal.
        owner: U64,
        /// Absolute block number; in the journal the index within the journal.
        place: U64,
        /// Transaction that wrote the block.
        txn: U64,
        /// Index among the owner's blocks of this kind, where the kind says so; else 0.
        index: U64,
        /// Number of entries behind the header.
        count: U32,
        /// Height above the leaves, in trees; else 0.
        level: U16,
        /// Kind-specific flags.
        flags: U16,
    }
}

const CHECKSUM_AT: usize = 4;

/// A kind of self-describing block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockKind {
    /// The magic, also the salt's kind.
    pub magic: u32,
    /// The name in messages.
    pub structure: Structure,
}

impl BlockHeader {
    /// A header for a block of `kind` at `place`; checksum and count are filled in later.
    pub fn new(kind: BlockKind, place: BlockNo, owner: InodeNo, txn: TxnSeq) -> Self {
        let mut header = Self::new_zeroed();
        header.magic = U32::new(kind.magic);
        header.place = U64::new(place.get());
        header.owner = U64::new(owner.get());
        header.txn = U64::new(txn.get());
        header
    }

    /// Accepts the header of `block`, which was read from `place` and is reached from `owner`.
    ///
    /// Guarantees magic, checksum, place and owner; counts and levels are for the caller, who knows their bounds.
    ///
    /// # Errors
    /// In the order of the checks: too few bytes, magic, place, owner, checksum. Place and owner come before the checksum,
    /// because they enter its salt and say more.
    pub fn decode(
        block: &[u8],
        kind: BlockKind,
        place: BlockNo,
        owner: InodeNo,
        seed: Seed,
    ) -> Result<Self, Corrupt> {
        let corrupt = |damage| Corrupt::new(kind.structure, At::Block(place.get()), damage);
        let Ok((header, _)) = Self::read_from_prefix(block) else {
            return Err(corrupt(Damage::Short { found: block.len(), expected: Self::SIZE }));
        };
        if header.magic.get() != kind.magic {
            return Err(corrupt(Damage::Magic { found: header.magic.get().into() }));
        }
        if header.place.get() != place.get() {
            return Err(corrupt(Damage::Place { found: header.place.get(), expected: place.get() }));
        }
        if header.owner.get() != owner.get() {
            return Err(corrupt(Damage::Owner { found: header.owner.get(), expected: owner.get() }));
        }
        let stored = header.checksum.get();
        let computed = seed.sum_around(kind.magic, place.get(), owner.get(), block, CHECKSUM_AT);
        if stored != computed {
            return Err(corrupt(Damage::Checksum { stored, computed }));
        }
        Ok(header)
    }

    /// Reads the header of a block that is known to have room for one; `None` for fewer bytes.
    pub fn peek(block: &[u8]) -> Option<Self> {
        Self::read_from_prefix(block).ok().map(|(header, _)| header)
    }

    /// Puts the header at the start of `block` and seals the block.
    ///
    /// The caller guarantees that `block` is at least as long as the header.
    pub fn seal_into(mut self, block: &mut [u8], seed: Seed) {
        self.checksum = U32::new(0);
        block[..Self::SIZE].copy_from_slice(self.as_bytes());
        let sum = seed.sum(self.magic.get(), self.place.get(), self.owner.get(), block);
        block[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&sum.to_le_bytes());
    }
}

/// A [`Corrupt`] for a field of a block.
pub(crate) fn bad_field(
    kind: BlockKind,
    place: BlockNo,
    name: &'static str,
    found: u64,
    expected: &'static str,
) -> Corrupt {
    Corrupt::new(kind.structure, At::Block(place.get()), Damage::Field { name, found, expected })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: BlockKind = BlockKind { magic: 0x1234, structure: Structure::DirBlock };

    #[test]
    fn each_part_of_the_identity_is_checked() {
        let seed = Seed(9);
        let mut block = vec![3_u8; 4096];
        BlockHeader::new(KIND, BlockNo(7), InodeNo(8), TxnSeq(1)).seal_into(&mut block, seed);
        let decode =
            |b: &[u8], place, owner, seed| BlockHeader::decode(b, KIND, BlockNo(place), InodeNo(owner), seed);
        assert!(decode(&block, 7, 8, seed).is_ok());
        assert!(matches!(decode(&block, 6, 8, seed), Err(Corrupt { damage: Damage::Place { .. }, .. })));
        assert!(matches!(decode(&block, 7, 9, seed), Err(Corrupt { damage: Damage::Owner { .. }, .. })));
        assert!(matches!(
            decode(&block, 7, 8, Seed(10)),
            Err(Corrupt { damage: Damage::Checksum { .. }, .. })
        ));
        block[4000] ^= 1;
        assert!(matches!(decode(&block, 7, 8, seed), Err(Corrupt { damage: Damage::Checksum { .. }, .. })));
        block[0] ^= 1;
        assert!(matches!(decode(&block, 7, 8, seed), Err(Corrupt { damage: Damage::Magic { .. }, .. })));
        assert!(matches!(
            decode(&block[..40], 7, 8, seed),
            Err(Corrupt { damage: Damage::Short { .. }, .. })
        ));
    }
}
