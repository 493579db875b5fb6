//! Block 0 of the journal: where the log begins.
//!
//! All of it lies in the first 512 bytes, which a device writes whole or not at all; the rest of the block is zero.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::checksum::Seed;
use crate::error::{At, Corrupt, Damage, Structure};
use crate::field::on_disk;
use crate::geometry::BlockRun;
use crate::units::TxnSeq;

/// First bytes ("VXJS"); also the salt's kind.
pub const MAGIC: u32 = u32::from_le_bytes(*b"VXJS");

on_disk! {
    /// The journal superblock.
    ///
    /// The checksum covers the 512 bytes with itself read as zero, salted with [`MAGIC`] and the block number.
    pub struct JournalSuperblock [512 bytes] {
        /// [`MAGIC`].
        magic: U32,
        /// CRC32C of the structure.
        checksum: U32,
        /// Block this structure lies in.
        self_block: U64,
        /// Blocks of the journal, this one included.
        blocks: U64,
        /// Index of the log block where the oldest transaction that is not yet home begins.
        tail: U64,
        /// Sequence number of that transaction. Every transaction before it is home.
        tail_txn: U64,
        /// Zero; kept as found.
        reserved: [u8; 472],
    }
}

const CHECKSUM_AT: usize = 4;
/// Largest sequence number in the journal superblock: nobody gets there by counting, and those behind it can be counted too.
const TAIL_TXN_MAX: u64 = 1 << 62;

impl JournalSuperblock {
    /// An empty log in the journal `run`, whose next transaction is `next`; sealed.
    pub fn empty(run: BlockRun, tail: u64, next: TxnSeq, seed: Seed) -> Self {
        let mut jsb = Self::new_zeroed();
        jsb.magic = U32::new(MAGIC);
        jsb.self_block = U64::new(run.start);
        jsb.blocks = U64::new(run.len);
        jsb.tail = U64::new(tail);
        jsb.tail_txn = U64::new(next.get());
        jsb.checksum = U32::new(jsb.computed_checksum(seed));
        jsb
    }

    /// Accepts the journal superblock of the journal in `run`.
    ///
    /// # Errors
    /// Too few bytes, magic, place, checksum, then each field.
    pub fn decode(bytes: &[u8], run: BlockRun, seed: Seed) -> Result<Self, Corrupt> {
        let corrupt = |damage| Corrupt::new(Structure::JournalSuperblock, At::Block(run.start), damage);
        let Ok((jsb, _)) = Self::read_from_prefix(bytes) else {
            return Err(corrupt(Damage::Short { found: bytes.len(), expected: Self::SIZE }));
        };
        if jsb.magic.get() != MAGIC {
            return Err(corrupt(Damage::Magic { found: jsb.magic.get().into() }));
        }
        if jsb.self_block.get() != run.start {
            return Err(corrupt(Damage::Place { found: jsb.self_block.get(), expected: run.start }));
        }
        let (stored, computed) = (jsb.checksum.get(), jsb.computed_checksum(seed));
        if stored != computed {
            return Err(corrupt(Damage::Checksum { stored, computed }));
        }
        let field = |name, found, expected| Err(corrupt(Damage::Field { name, found, expected }));
        if jsb.blocks.get() != run.len {
            return field("blocks", jsb.blocks.get(), "journal_blocks of the superblock");
        }
        if jsb.tail.get() == 0 || jsb.tail.get() >= run.len {
            return field("tail", jsb.tail.get(), "a block of the log");
        }
        if jsb.tail_txn.get() == 0 || jsb.tail_txn.get() > TAIL_TXN_MAX {
            return field("tail_txn", jsb.tail_txn.get(), "from 1 to 2^62");
        }
        Ok(jsb)
    }

    fn computed_checksum(&self, seed: Seed) -> u32 {
        seed.sum_around(MAGIC, self.self_block.get(), 0, self.as_bytes(), CHECKSUM_AT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_accepted_in_its_own_journal_only() {
        let run = BlockRun { start: 100, len: 256 };
        let jsb = JournalSuperblock::empty(run, 1, TxnSeq(1), Seed(1));
        assert_eq!(JournalSuperblock::decode(jsb.as_bytes(), run, Seed(1)), Ok(jsb));
        assert!(
            JournalSuperblock::decode(jsb.as_bytes(), BlockRun { start: 101, len: 256 }, Seed(1)).is_err()
        );
        assert!(
            JournalSuperblock::decode(jsb.as_bytes(), BlockRun { start: 100, len: 255 }, Seed(1)).is_err()
        );
        let outside = JournalSuperblock::empty(run, 256, TxnSeq(1), Seed(1));
        assert!(JournalSuperblock::decode(outside.as_bytes(), run, Seed(1)).is_err());
        for (txn, is_sound) in [(0, false), (1 << 62, true), ((1 << 62) + 1, false), (u64::MAX, false)] {
            let jsb = JournalSuperblock::empty(run, 1, TxnSeq(txn), Seed(1));
            assert_eq!(JournalSuperblock::decode(jsb.as_bytes(), run, Seed(1)).is_ok(), is_sound, "{txn}");
        }
    }
}
