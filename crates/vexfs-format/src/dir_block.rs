//! Directory blocks: a B+tree of names ordered by their hash.
//!
//! A directory's logical block 0 is the root of the tree. A block at level 0 holds entries in rising order of
//! (hash, name); a block above holds (lowest hash, logical block) of its children. Names with the same hash stay in one
//! block. There are no entries `.` and `..`: the inode's `parent` says where a directory belongs.

use siphasher::sip::SipHasher24;
use std::hash::Hasher;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::block_header::{BlockHeader, BlockKind, bad_field};
use crate::checksum::Seed;
use crate::codes::InodeKind;
use crate::error::{Corrupt, Structure};
use crate::field::on_disk;
use crate::units::{BlockNo, InodeNo, LogicalBlock, TxnSeq};

/// Directory blocks.
pub const KIND: BlockKind = BlockKind { magic: u32::from_le_bytes(*b"VXDR"), structure: Structure::DirBlock };
/// Longest name in bytes.
pub const NAME_MAX: usize = 255;
/// Height of the largest tree.
pub const MAX_LEVEL: u16 = 5;

on_disk! {
    /// Fixed part of a directory entry; the name follows, padded with zero bytes to a multiple of 8.
    pub struct DirEntryHeader [24 bytes] {
        /// SipHash-2-4 of the name with the superblock's `hash_key`.
        hash: U64,
        /// Inode the name leads to.
        inode: U64,
        /// Bytes of entry, name and padding together.
        entry_len: U16,
        /// Bytes of the name.
        name_len: U16,
        /// Kind of the inode, see [`InodeKind`].
        kind: U16,
        /// Zero.
        reserved: U16,
    }
}

on_disk! {
    /// Entry of a block above the leaves.
    pub struct DirIndexEntry [16 bytes] {
        /// Lowest hash below the child; 0 for the first child of a level.
        hash: U64,
        /// Logical block of the child.
        child: U64,
    }
}

/// One name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Hash of the name.
    pub hash: u64,
    /// Inode it leads to.
    pub inode: InodeNo,
    /// Kind of that inode.
    pub kind: InodeKind,
    /// The name: 1 to 255 bytes without `/` and zero, neither `.` nor `..`.
    pub name: Vec<u8>,
}

impl DirEntry {
    /// Bytes the entry takes in a block.
    pub fn encoded_len(&self) -> usize {
        (DirEntryHeader::SIZE + self.name.len()).next_multiple_of(8)
    }
}

/// What a directory block holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirEntries {
    /// Level 0: names in order of (hash, name).
    Leaf(Vec<DirEntry>),
    /// Above: lowest hash and logical block of each child, in rising order.
    Index(Vec<(u64, LogicalBlock)>),
}

impl DirEntries {
    /// Bytes behind the header that the entries take.
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Leaf(entries) => entries.iter().map(DirEntry::encoded_len).sum(),
            Self::Index(children) => children.len() * DirIndexEntry::SIZE,
        }
    }
}

/// Bytes of a block that entries may take.
pub fn capacity(block_size: usize) -> usize {
    block_size.saturating_sub(BlockHeader::SIZE)
}

/// Whether `name` can be the name of an entry.
pub fn is_valid_name(name: &[u8]) -> bool {
    (1..=NAME_MAX).contains(&name.len())
        && !name.contains(&0)
        && !name.contains(&b'/')
        && name != b"."
        && name != b".."
}

/// Hash of a name: SipHash-2-4 (Aumasson, Bernstein 2012) with the 16 bytes of `key`.
pub fn name_hash(key: &[u8; 16], name: &[u8]) -> u64 {
    let mut hasher = SipHasher24::new_with_key(key);
    hasher.write(name);
    hasher.finish()
}

/// Accepts a directory block that was read from `place` as logical block `logical` of directory `owner`.
///
/// # Errors
/// Those of [`BlockHeader::decode`], then index, level and count, then each entry.
pub fn decode(
    block: &[u8],
    place: BlockNo,
    owner: InodeNo,
    logical: LogicalBlock,
    seed: Seed,
) -> Result<(DirEntries, u16), Corrupt> {
    let header = BlockHeader::decode(block, KIND, place, owner, seed)?;
    let bad = |name, found, expected| bad_field(KIND, place, name, found, expected);
    if header.index.get() != logical.get() {
        return Err(bad("index", header.index.get(), "the logical block it was found as"));
    }
    let (level, count) = (header.level.get(), header.count.get() as usize);
    if level > MAX_LEVEL {
        return Err(bad("level", level.into(), "at most 5"));
    }
    let bytes = &block[BlockHeader::SIZE..];
    if level > 0 {
        if count == 0 || count > bytes.len() / DirIndexEntry::SIZE {
            return Err(bad("count", count as u64, "from 1 to the entries that fit"));
        }
        let mut children: Vec<(u64, LogicalBlock)> = Vec::with_capacity(count);
        for chunk in bytes.chunks_exact(DirIndexEntry::SIZE).take(count) {
            let entry = DirIndexEntry::read_from_bytes(chunk).unwrap_or_else(|_| DirIndexEntry::new_zeroed());
            let hash = entry.hash.get();
            if children.last().is_some_and(|&(last, _)| last >= hash) {
                return Err(bad("hash", hash, "greater than that of the entry before it"));
            }
            if entry.child.get() == 0 {
                return Err(bad("child", 0, "a block other than the root"));
            }
            children.push((hash, LogicalBlock(entry.child.get())));
        }
        return Ok((DirEntries::Index(children), level));
    }
    let mut entries: Vec<DirEntry> = Vec::new();
    let mut rest = bytes;
    for _ in 0..count {
        let entry = decode_entry(&mut rest).map_err(|(name, found, expected)| bad(name, found, expected))?;
        if entries.last().is_some_and(|last| (last.hash, &last.name) >= (entry.hash, &entry.name)) {
            return Err(bad("hash", entry.hash, "behind the entry before it in order of hash and name"));
        }
        entries.push(entry);
    }
    Ok((DirEntries::Leaf(entries), 0))
}

fn decode_entry(rest: &mut &[u8]) -> Result<DirEntry, (&'static str, u64, &'static str)> {
    let Ok((header, tail)) = DirEntryHeader::read_from_prefix(rest) else {
        return Err(("count", rest.len() as u64, "a number of entries that fit"));
    };
    let (name_len, entry_len) = (usize::from(header.name_len.get()), usize::from(header.entry_len.get()));
    if entry_len != (DirEntryHeader::SIZE + name_len).next_multiple_of(8) || entry_len > rest.len() {
        return Err(("entry_len", entry_len as u64, "the padded length of entry and name, within the block"));
    }
    let name = tail[..name_len].to_vec();
    if !is_valid_name(&name) {
        return Err((
            "name_len",
            name_len as u64,
            "that of a name without '/' and zero bytes, not '.' or '..'",
        ));
    }
    let Some(kind) = InodeKind::from_code(header.kind.get()) else {
        return Err(("kind", header.kind.get().into(), "a kind that is defined"));
    };
    if header.inode.get() == 0 {
        return Err(("inode", 0, "an inode"));
    }
    *rest = &rest[entry_len..];
    Ok(DirEntry { hash: header.hash.get(), inode: InodeNo(header.inode.get()), kind, name })
}

/// Where and when a block is written.
#[derive(Clone, Copy, Debug)]
pub struct Placement {
    /// Block on the device.
    pub place: BlockNo,
    /// Logical block of the directory.
    pub logical: LogicalBlock,
    /// The directory.
    pub owner: InodeNo,
    /// The writing transaction.
    pub txn: TxnSeq,
}

/// A sealed directory block.
///
/// The caller guarantees that the entries fit ([`capacity`]) and are in order.
pub fn encode(entries: &DirEntries, level: u16, at: Placement, block_size: usize, seed: Seed) -> Vec<u8> {
    let mut block = vec![0; block_size];
    let mut header = BlockHeader::new(KIND, at.place, at.owner, at.txn);
    header.index = U64::new(at.logical.get());
    header.level = level.into();
    let mut cursor = BlockHeader::SIZE;
    let mut put = |bytes: &[u8], advance: usize| {
        block[cursor..cursor + bytes.len()].copy_from_slice(bytes);
        cursor += advance;
    };
    match entries {
        DirEntries::Leaf(entries) => {
            header.count = U32::new(entries.len() as u32);
            for entry in entries {
                let fixed = DirEntryHeader {
                    hash: U64::new(entry.hash),
                    inode: U64::new(entry.inode.get()),
                    entry_len: U16::new(entry.encoded_len() as u16),
                    name_len: U16::new(entry.name.len() as u16),
                    kind: U16::new(entry.kind.code()),
                    reserved: U16::new(0),
                };
                put(fixed.as_bytes(), DirEntryHeader::SIZE);
                put(&entry.name, entry.encoded_len() - DirEntryHeader::SIZE);
            }
        }
        DirEntries::Index(children) => {
            header.count = U32::new(children.len() as u32);
            for &(hash, child) in children {
                let entry = DirIndexEntry { hash: U64::new(hash), child: U64::new(child.get()) };
                put(entry.as_bytes(), DirIndexEntry::SIZE);
            }
        }
    }
    header.seal_into(&mut block, seed);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(hash: u64, name: &str) -> DirEntry {
        DirEntry { hash, inode: InodeNo(20), kind: InodeKind::File, name: name.into() }
    }

    fn at() -> Placement {
        Placement { place: BlockNo(9), logical: LogicalBlock(2), owner: InodeNo(1), txn: TxnSeq(4) }
    }

    fn round(entries: &DirEntries, level: u16) -> Result<(DirEntries, u16), Corrupt> {
        let block = encode(entries, level, at(), 4096, Seed(1));
        decode(&block, BlockNo(9), InodeNo(1), LogicalBlock(2), Seed(1))
    }

    #[test]
    fn blocks_come_back_as_they_went() {
        let leaf =
            DirEntries::Leaf(vec![entry(1, "b"), entry(1, "c"), entry(2, "a"), entry(3, &"x".repeat(255))]);
        assert_eq!(round(&leaf, 0), Ok((leaf, 0)));
        let index = DirEntries::Index(vec![(0, LogicalBlock(1)), (7, LogicalBlock(3))]);
        assert_eq!(round(&index, 1), Ok((index, 1)));
        assert_eq!(round(&DirEntries::Leaf(vec![]), 0), Ok((DirEntries::Leaf(vec![]), 0)));
    }

    #[test]
    fn entries_that_break_a_rule_are_refused() {
        for entries in [
            DirEntries::Leaf(vec![entry(2, "a"), entry(1, "b")]),
            DirEntries::Leaf(vec![entry(1, "a"), entry(1, "a")]),
            DirEntries::Leaf(vec![entry(1, "a/b")]),
            DirEntries::Leaf(vec![entry(1, "..")]),
            DirEntries::Leaf(vec![DirEntry { inode: InodeNo(0), ..entry(1, "a") }]),
        ] {
            assert!(round(&entries, 0).is_err(), "{entries:?}");
        }
        assert!(round(&DirEntries::Index(vec![(3, LogicalBlock(1)), (3, LogicalBlock(2))]), 1).is_err());
        assert!(round(&DirEntries::Index(vec![(3, LogicalBlock(0))]), 1).is_err());
        assert!(round(&DirEntries::Index(vec![(3, LogicalBlock(1))]), 6).is_err());
    }

    #[test]
    fn the_hash_is_siphash_2_4() {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let text: [u8; 15] = std::array::from_fn(|i| i as u8);
        assert_eq!(name_hash(&key, &text), 0xa129_ca61_49be_45e5, "test vector of the paper, appendix A");
    }
}
