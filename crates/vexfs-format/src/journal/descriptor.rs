//! Descriptor blocks: which blocks the images that follow belong to.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::block_header::{BlockHeader, BlockKind, bad_field};
use crate::checksum::Seed;
use crate::error::{Corrupt, Structure};
use crate::field::on_disk;
use crate::units::{BlockNo, InodeNo, TxnSeq};

/// Descriptor blocks.
pub const KIND: BlockKind =
    BlockKind { magic: u32::from_le_bytes(*b"VXJD"), structure: Structure::JournalDescriptor };
/// Salt kind of images ("VXJI").
pub const IMAGE_KIND: u32 = u32::from_le_bytes(*b"VXJI");

on_disk! {
    /// One image of a transaction.
    pub struct JournalTag [16 bytes] {
        /// Block that receives the image.
        home: U64,
        /// Checksum of the image, salted with [`IMAGE_KIND`], home and sequence number.
        image_checksum: U32,
        /// Zero.
        flags: U32,
    }
}

/// A tag in native integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Block that receives the image.
    pub home: BlockNo,
    /// Checksum of the image.
    pub image_checksum: u32,
}

/// Tags that fit into one descriptor block.
pub const fn capacity(block_size: usize) -> usize {
    block_size.saturating_sub(BlockHeader::SIZE) / JournalTag::SIZE
}

/// Checksum of the image of `home` in transaction `txn`.
pub fn image_checksum(seed: Seed, home: BlockNo, txn: TxnSeq, image: &[u8]) -> u32 {
    seed.sum(IMAGE_KIND, home.get(), txn.get(), image)
}

/// Accepts the descriptor block at `index` of the journal.
///
/// # Errors
/// Those of [`BlockHeader::decode`], then sequence number, count and tags.
pub fn decode(block: &[u8], index: u64, txn: TxnSeq, blocks: u64, seed: Seed) -> Result<Vec<Tag>, Corrupt> {
    let place = BlockNo(index);
    let header = BlockHeader::decode(block, KIND, place, InodeNo::NONE, seed)?;
    if header.txn.get() != txn.get() {
        return Err(bad_field(KIND, place, "txn", header.txn.get(), "the sequence number that comes next"));
    }
    let count = header.count.get() as usize;
    if count == 0 || count > capacity(block.len()) {
        return Err(bad_field(KIND, place, "count", count as u64, "from 1 to the tags that fit"));
    }
    let mut tags = Vec::with_capacity(count);
    for chunk in block[BlockHeader::SIZE..].chunks_exact(JournalTag::SIZE).take(count) {
        let tag = JournalTag::read_from_bytes(chunk).unwrap_or_else(|_| JournalTag::new_zeroed());
        if tag.home.get() >= blocks {
            return Err(bad_field(KIND, place, "home", tag.home.get(), "a block of the device"));
        }
        tags.push(Tag { home: BlockNo(tag.home.get()), image_checksum: tag.image_checksum.get() });
    }
    Ok(tags)
}

/// A sealed descriptor block. The caller guarantees at most [`capacity`] tags.
pub fn encode(tags: &[Tag], index: u64, txn: TxnSeq, block_size: usize, seed: Seed) -> Vec<u8> {
    let mut block = vec![0; block_size];
    for (slot, tag) in block[BlockHeader::SIZE..].chunks_exact_mut(JournalTag::SIZE).zip(tags) {
        let raw = JournalTag {
            home: U64::new(tag.home.get()),
            image_checksum: U32::new(tag.image_checksum),
            flags: U32::new(0),
        };
        slot.copy_from_slice(raw.as_bytes());
    }
    let mut header = BlockHeader::new(KIND, BlockNo(index), InodeNo::NONE, txn);
    header.count = U32::new(tags.len() as u32);
    header.seal_into(&mut block, seed);
    block
}
