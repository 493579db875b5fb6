//! Revoke blocks: blocks whose images in this and earlier transactions may no longer be replayed.
//!
//! A metadata block that is freed may be used for data at once. Without its revoke record, a replay would put the old
//! metadata over that data.

use zerocopy::little_endian::U32;

use crate::block_header::{BlockHeader, BlockKind, bad_field};
use crate::checksum::Seed;
use crate::error::{Corrupt, Structure};
use crate::units::{BlockNo, InodeNo, TxnSeq};

/// Revoke blocks.
pub const KIND: BlockKind =
    BlockKind { magic: u32::from_le_bytes(*b"VXJR"), structure: Structure::JournalRevoke };

/// Block numbers, eight bytes each, that fit into one revoke block.
pub const fn capacity(block_size: usize) -> usize {
    block_size.saturating_sub(BlockHeader::SIZE) / 8
}

/// Accepts the revoke block at `index` of the journal.
///
/// # Errors
/// Those of [`BlockHeader::decode`], then sequence number, count and block numbers.
pub fn decode(
    block: &[u8],
    index: u64,
    txn: TxnSeq,
    blocks: u64,
    seed: Seed,
) -> Result<Vec<BlockNo>, Corrupt> {
    let place = BlockNo(index);
    let header = BlockHeader::decode(block, KIND, place, InodeNo::NONE, seed)?;
    if header.txn.get() != txn.get() {
        return Err(bad_field(KIND, place, "txn", header.txn.get(), "the sequence number that comes next"));
    }
    let count = header.count.get() as usize;
    if count == 0 || count > capacity(block.len()) {
        return Err(bad_field(KIND, place, "count", count as u64, "from 1 to the numbers that fit"));
    }
    let numbers = block[BlockHeader::SIZE..].as_chunks::<8>().0;
    numbers[..count]
        .iter()
        .map(|n| match u64::from_le_bytes(*n) {
            n if n < blocks => Ok(BlockNo(n)),
            n => Err(bad_field(KIND, place, "block", n, "a block of the device")),
        })
        .collect()
}

/// A sealed revoke block. The caller guarantees at most [`capacity`] numbers.
pub fn encode(revoked: &[BlockNo], index: u64, txn: TxnSeq, block_size: usize, seed: Seed) -> Vec<u8> {
    let mut block = vec![0; block_size];
    for (slot, number) in block[BlockHeader::SIZE..].chunks_exact_mut(8).zip(revoked) {
        slot.copy_from_slice(&number.get().to_le_bytes());
    }
    let mut header = BlockHeader::new(KIND, BlockNo(index), InodeNo::NONE, txn);
    header.count = U32::new(revoked.len() as u32);
    header.seal_into(&mut block, seed);
    block
}
