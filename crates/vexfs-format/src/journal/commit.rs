//! Commit blocks: the last block of a transaction, written after everything before it is durable.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::block_header::{BlockHeader, BlockKind, bad_field};
use crate::checksum::{Seed, crc32c};
use crate::error::{Corrupt, Structure};
use crate::field::on_disk;
use crate::units::{BlockNo, InodeNo, TxnSeq};

/// Commit blocks.
pub const KIND: BlockKind =
    BlockKind { magic: u32::from_le_bytes(*b"VXJC"), structure: Structure::JournalCommit };

on_disk! {
    /// What a commit block holds behind its header.
    pub struct JournalCommit [16 bytes] {
        /// Log blocks of the transaction before the commit block.
        log_blocks: U32,
        /// Checksum over the checksums of its revoke and descriptor blocks, see [`Chain`].
        chain: U32,
        /// Time of the commit, nanoseconds since 1970-01-01 UTC.
        time_ns: U64,
    }
}

/// Links the blocks of a transaction: `chain = crc32c(chain as 4 bytes, block checksum as 4 bytes)`, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chain(u32);

impl Chain {
    /// Takes in a sealed revoke or descriptor block.
    pub fn add(&mut self, block: &[u8]) {
        let sum = BlockHeader::peek(block).map_or(0, |h| h.checksum.get());
        let mut bytes = [0; 8];
        bytes[..4].copy_from_slice(&self.0.to_le_bytes());
        bytes[4..].copy_from_slice(&sum.to_le_bytes());
        self.0 = crc32c(&bytes);
    }

    /// The value so far.
    pub fn value(self) -> u32 {
        self.0
    }
}

/// Accepts the commit block at `index` of the journal.
///
/// # Errors
/// Those of [`BlockHeader::decode`], then the sequence number. Length and chain are for the reader of the log.
pub fn decode(block: &[u8], index: u64, txn: TxnSeq, seed: Seed) -> Result<JournalCommit, Corrupt> {
    let place = BlockNo(index);
    let header = BlockHeader::decode(block, KIND, place, InodeNo::NONE, seed)?;
    if header.txn.get() != txn.get() {
        return Err(bad_field(KIND, place, "txn", header.txn.get(), "the sequence number that comes next"));
    }
    let body = JournalCommit::read_from_prefix(&block[BlockHeader::SIZE..]);
    Ok(body.map(|(c, _)| c).unwrap_or(JournalCommit::new_zeroed()))
}

/// A sealed commit block.
pub fn encode(commit: &JournalCommit, index: u64, txn: TxnSeq, block_size: usize, seed: Seed) -> Vec<u8> {
    let mut block = vec![0; block_size];
    block[BlockHeader::SIZE..BlockHeader::SIZE + JournalCommit::SIZE].copy_from_slice(commit.as_bytes());
    BlockHeader::new(KIND, BlockNo(index), InodeNo::NONE, txn).seal_into(&mut block, seed);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{descriptor, revoke};

    #[test]
    fn the_blocks_of_a_transaction_come_back_as_they_went() {
        let (seed, txn) = (Seed(3), TxnSeq(8));
        let tags = vec![descriptor::Tag { home: BlockNo(5), image_checksum: 77 }];
        let d = descriptor::encode(&tags, 2, txn, 4096, seed);
        assert_eq!(descriptor::decode(&d, 2, txn, 100, seed), Ok(tags));
        assert!(descriptor::decode(&d, 2, TxnSeq(9), 100, seed).is_err());
        assert!(descriptor::decode(&d, 3, txn, 100, seed).is_err());
        assert!(descriptor::decode(&d, 2, txn, 5, seed).is_err(), "home outside the device");
        let revoked = vec![BlockNo(6), BlockNo(7)];
        let r = revoke::encode(&revoked, 1, txn, 4096, seed);
        assert_eq!(revoke::decode(&r, 1, txn, 100, seed), Ok(revoked));
        assert!(revoke::decode(&r, 1, txn, 7, seed).is_err(), "outside the device");
        let (mut chain, mut other) = (Chain::default(), Chain::default());
        chain.add(&r);
        chain.add(&d);
        other.add(&d);
        other.add(&r);
        assert_ne!(chain, other, "the order of blocks counts");
        let commit =
            JournalCommit { log_blocks: U32::new(3), chain: U32::new(chain.value()), time_ns: U64::new(1) };
        let c = encode(&commit, 4, txn, 4096, seed);
        assert_eq!(decode(&c, 4, txn, seed), Ok(commit));
        assert!(decode(&c, 4, TxnSeq(7), seed).is_err());
    }
}
