//! Checksum blocks: a CRC32C for each data block of a file.
//!
//! Checksum block i of an inode is its logical block [`crate::extent::SUMS_BASE`] + i and holds the checksums of the
//! data blocks `i * capacity ..`. Like data, a checksum block is never overwritten in place: it is written to a fresh
//! block before the transaction that makes it visible, and proves itself by its own header.

use zerocopy::little_endian::{U32, U64};

use crate::block_header::{BlockHeader, BlockKind, bad_field};
use crate::checksum::Seed;
use crate::error::{Corrupt, Structure};
use crate::units::{BlockNo, InodeNo, LogicalBlock, TxnSeq};

/// Checksum blocks.
pub const KIND: BlockKind =
    BlockKind { magic: u32::from_le_bytes(*b"VXSM"), structure: Structure::SumsBlock };
/// Salt kind of data blocks ("VXDA").
pub const DATA_KIND: u32 = u32::from_le_bytes(*b"VXDA");

/// Data blocks that one checksum block covers.
pub const fn capacity(block_size: usize) -> u64 {
    (block_size.saturating_sub(BlockHeader::SIZE) / 4) as u64
}

/// Checksum of data block `logical` of an inode; `block` is the whole block, zero behind the end of the file.
///
/// The salt's second number is `logical + 2^48 * (generation mod 2^16)`.
pub fn data_checksum(
    seed: Seed,
    owner: InodeNo,
    generation: u64,
    logical: LogicalBlock,
    block: &[u8],
) -> u32 {
    seed.sum(DATA_KIND, owner.get(), logical.get() | generation << 48, block)
}

/// The salt of [`data_checksum`], for callers that checksum many blocks with one call each to the CRC.
pub fn data_salt(seed: Seed, owner: InodeNo, generation: u64, logical: LogicalBlock) -> u32 {
    seed.salt(DATA_KIND, owner.get(), logical.get() | generation << 48)
}

/// Accepts checksum block `index` of `owner`, which must hold at least `needed` checksums.
///
/// # Errors
/// Those of [`BlockHeader::decode`], then index and count.
pub fn decode(
    block: &[u8],
    place: BlockNo,
    owner: InodeNo,
    index: u64,
    needed: u64,
    seed: Seed,
) -> Result<Vec<u32>, Corrupt> {
    let header = BlockHeader::decode(block, KIND, place, owner, seed)?;
    if header.index.get() != index {
        return Err(bad_field(KIND, place, "index", header.index.get(), "the index it was found at"));
    }
    let count = u64::from(header.count.get());
    if count < needed || count > capacity(block.len()) {
        return Err(bad_field(KIND, place, "count", count, "the data blocks it covers"));
    }
    let sums = block[BlockHeader::SIZE..].as_chunks::<4>().0;
    Ok(sums[..count as usize].iter().map(|s| u32::from_le_bytes(*s)).collect())
}

/// A sealed checksum block. The caller guarantees at most [`capacity`] sums.
pub fn encode(
    sums: &[u32],
    place: BlockNo,
    owner: InodeNo,
    index: u64,
    txn: TxnSeq,
    block_size: usize,
    seed: Seed,
) -> Vec<u8> {
    let mut block = vec![0; block_size];
    for (slot, sum) in block[BlockHeader::SIZE..].chunks_exact_mut(4).zip(sums) {
        slot.copy_from_slice(&sum.to_le_bytes());
    }
    let mut header = BlockHeader::new(KIND, place, owner, txn);
    header.index = U64::new(index);
    header.count = U32::new(sums.len() as u32);
    header.seal_into(&mut block, seed);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_come_back_as_they_went() {
        let sums: Vec<u32> = (0..1012).map(|n| n * 77).collect();
        assert_eq!(capacity(4096), 1012);
        let block = encode(&sums, BlockNo(3), InodeNo(12), 1, TxnSeq(1), 4096, Seed(1));
        let decode = |index, needed| decode(&block, BlockNo(3), InodeNo(12), index, needed, Seed(1));
        assert_eq!(decode(1, 1012), Ok(sums));
        assert!(decode(0, 1).is_err());
        assert!(decode(1, 1013).is_err());
    }

    #[test]
    fn the_salt_tells_blocks_and_lives_apart() {
        let sum = |owner, generation, logical| {
            data_checksum(Seed(1), InodeNo(owner), generation, LogicalBlock(logical), &[1; 64])
        };
        assert_ne!(sum(12, 1, 0), sum(12, 1, 1));
        assert_ne!(sum(12, 1, 0), sum(13, 1, 0));
        assert_ne!(sum(12, 1, 0), sum(12, 2, 0));
    }
}
