//! Extents: which blocks of the device hold which blocks of a file.
//!
//! A file's map has two ranges of logical blocks: the data from 0, and from [`SUMS_BASE`] on the checksum blocks of the
//! data ([`crate::sums`]). Both are found by the same extents. Up to five extents lie in the inode; more are kept in a
//! tree whose root entries lie there and whose nodes fill blocks.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::block_header::{BlockHeader, BlockKind, bad_field};
use crate::checksum::Seed;
use crate::error::{Corrupt, Structure};
use crate::field::on_disk;
use crate::units::{BlockNo, InodeNo, LogicalBlock, TxnSeq};

/// Extent tree nodes.
pub const NODE: BlockKind =
    BlockKind { magic: u32::from_le_bytes(*b"VXEX"), structure: Structure::ExtentNode };
/// First logical block of the range that holds checksum blocks.
pub const SUMS_BASE: u64 = 1 << 48;
/// Height of the largest tree: 5 × 168^5 extents at 4096-byte blocks, enough for 2.7 PB of single blocks.
pub const MAX_DEPTH: u16 = 5;

on_disk! {
    /// Entry of a leaf: `len` blocks of the file from `logical` on lie on the device from `start` on.
    pub struct Extent [24 bytes] {
        /// First logical block.
        logical: U64,
        /// First block on the device.
        start: U64,
        /// Number of blocks, at least 1.
        len: U32,
        /// Zero.
        flags: U32,
    }
}

on_disk! {
    /// Entry of a node above the leaves: the child has the extents from `logical` on.
    pub struct ExtentIndex [24 bytes] {
        /// First logical block below the child.
        logical: U64,
        /// Block of the child.
        child: U64,
        /// Zero.
        reserved: U64,
    }
}

/// An extent in native integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First logical block.
    pub logical: LogicalBlock,
    /// First block on the device.
    pub start: BlockNo,
    /// Number of blocks.
    pub len: u32,
}

impl Run {
    /// First logical block behind the run.
    pub fn logical_end(&self) -> u64 {
        self.logical.get().saturating_add(self.len.into())
    }

    /// First device block behind the run.
    pub fn end(&self) -> u64 {
        self.start.get().saturating_add(self.len.into())
    }
}

impl From<Run> for Extent {
    fn from(run: Run) -> Self {
        Self {
            logical: U64::new(run.logical.get()),
            start: U64::new(run.start.get()),
            len: U32::new(run.len),
            flags: U32::new(0),
        }
    }
}

impl From<Extent> for Run {
    fn from(e: Extent) -> Self {
        Self { logical: LogicalBlock(e.logical.get()), start: BlockNo(e.start.get()), len: e.len.get() }
    }
}

/// What is wrong with an entry: field, value, rule.
pub type EntryFault = (&'static str, u64, &'static str);

/// Accepts leaf entries: each inside the device, with at least one block, in order and without logical overlap.
///
/// # Errors
/// The first entry that breaks a rule.
pub fn decode_extents(entries: &[u8], count: usize, blocks: u64) -> Result<Vec<Run>, EntryFault> {
    let mut runs: Vec<Run> = Vec::with_capacity(count.min(entries.len() / Extent::SIZE));
    for chunk in entries.chunks_exact(Extent::SIZE).take(count) {
        let extent = Extent::read_from_bytes(chunk).unwrap_or_else(|_| Extent::new_zeroed());
        let run = Run::from(extent);
        if run.len == 0 {
            return Err(("len", 0, "at least 1"));
        }
        if run.start.get() == 0 || run.end() > blocks {
            return Err(("start", run.start.get(), "a run of blocks inside the device"));
        }
        let (from, end) = (run.logical.get(), run.logical_end());
        if end > SUMS_BASE * 2 || (from < SUMS_BASE && end > SUMS_BASE) {
            return Err(("logical", from, "a run within the data or the checksum range"));
        }
        if runs.last().is_some_and(|last| last.logical_end() > from) {
            return Err(("logical", from, "behind the extent before it"));
        }
        if extent.flags.get() != 0 {
            return Err(("flags", extent.flags.get().into(), "0"));
        }
        runs.push(run);
    }
    Ok(runs)
}

/// Accepts index entries: children inside the device, in strictly rising logical order.
///
/// # Errors
/// The first entry that breaks a rule.
pub fn decode_index(entries: &[u8], count: usize, blocks: u64) -> Result<Vec<(u64, BlockNo)>, EntryFault> {
    let mut children: Vec<(u64, BlockNo)> = Vec::with_capacity(count.min(entries.len() / ExtentIndex::SIZE));
    for chunk in entries.chunks_exact(ExtentIndex::SIZE).take(count) {
        let entry = ExtentIndex::read_from_bytes(chunk).unwrap_or_else(|_| ExtentIndex::new_zeroed());
        let (logical, child) = (entry.logical.get(), entry.child.get());
        if child == 0 || child >= blocks {
            return Err(("child", child, "a block of the device"));
        }
        if logical >= SUMS_BASE * 2 {
            return Err(("logical", logical, "a block of the data or the checksum range"));
        }
        if children.last().is_some_and(|&(last, _)| last >= logical) {
            return Err(("logical", logical, "greater than that of the entry before it"));
        }
        if entry.reserved.get() != 0 {
            return Err(("reserved", entry.reserved.get(), "0"));
        }
        children.push((logical, BlockNo(child)));
    }
    Ok(children)
}

/// Bytes of leaf entries.
pub fn encode_extents(runs: &[Run]) -> Vec<u8> {
    runs.iter().flat_map(|&r| Extent::from(r).as_bytes().to_vec()).collect()
}

/// Bytes of index entries.
pub fn encode_index(children: &[(u64, BlockNo)]) -> Vec<u8> {
    children
        .iter()
        .flat_map(|&(logical, child)| {
            ExtentIndex { logical: U64::new(logical), child: U64::new(child.get()), reserved: U64::new(0) }
                .as_bytes()
                .to_vec()
        })
        .collect()
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NodeEntries {
    /// Level 0: extents.
    Leaf(Vec<Run>),
    /// Above: first logical block and block of each child.
    Index(Vec<(u64, BlockNo)>),
}

/// Entries that fit into one node.
pub fn node_capacity(block_size: usize) -> usize {
    block_size.saturating_sub(BlockHeader::SIZE) / Extent::SIZE
}

/// Accepts a node that was read from `place` and is expected at `level`.
///
/// # Errors
/// Those of [`BlockHeader::decode`], then level and count, then the entries.
pub fn decode_node(
    block: &[u8],
    place: BlockNo,
    owner: InodeNo,
    level: u16,
    blocks: u64,
    seed: Seed,
) -> Result<NodeEntries, Corrupt> {
    let header = BlockHeader::decode(block, NODE, place, owner, seed)?;
    let bad = |(name, found, expected): EntryFault| bad_field(NODE, place, name, found, expected);
    if header.level.get() != level {
        return Err(bad(("level", header.level.get().into(), "one below that of its parent")));
    }
    let count = header.count.get() as usize;
    if count == 0 || count > node_capacity(block.len()) {
        return Err(bad(("count", count as u64, "from 1 to the entries that fit")));
    }
    let entries = &block[BlockHeader::SIZE..];
    if level == 0 {
        decode_extents(entries, count, blocks).map(NodeEntries::Leaf).map_err(bad)
    } else {
        decode_index(entries, count, blocks).map(NodeEntries::Index).map_err(bad)
    }
}

/// A sealed node block.
///
/// The caller guarantees that the entries fit ([`node_capacity`]).
pub fn encode_node(
    entries: &NodeEntries,
    level: u16,
    place: BlockNo,
    owner: InodeNo,
    txn: TxnSeq,
    block_size: usize,
    seed: Seed,
) -> Vec<u8> {
    let (count, bytes) = match entries {
        NodeEntries::Leaf(runs) => (runs.len(), encode_extents(runs)),
        NodeEntries::Index(children) => (children.len(), encode_index(children)),
    };
    let mut block = vec![0; block_size];
    block[BlockHeader::SIZE..BlockHeader::SIZE + bytes.len()].copy_from_slice(&bytes);
    let mut header = BlockHeader::new(NODE, place, owner, txn);
    header.level = level.into();
    header.count = U32::new(count as u32);
    header.seal_into(&mut block, seed);
    block
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(logical: u64, start: u64, len: u32) -> Run {
        Run { logical: LogicalBlock(logical), start: BlockNo(start), len }
    }

    #[test]
    fn nodes_come_back_as_they_went() {
        let entries = NodeEntries::Leaf(vec![run(0, 10, 5), run(5, 100, 1), run(SUMS_BASE, 50, 2)]);
        let block = encode_node(&entries, 0, BlockNo(9), InodeNo(3), TxnSeq(1), 4096, Seed(1));
        assert_eq!(decode_node(&block, BlockNo(9), InodeNo(3), 0, 1000, Seed(1)), Ok(entries));
        assert!(decode_node(&block, BlockNo(9), InodeNo(3), 1, 1000, Seed(1)).is_err());
        assert!(decode_node(&block, BlockNo(9), InodeNo(3), 0, 100, Seed(1)).is_err(), "outside the device");
    }

    #[test]
    fn entries_that_break_a_rule_are_refused() {
        for runs in [
            vec![run(0, 10, 0)],
            vec![run(0, 0, 1)],
            vec![run(0, 99, 2)],
            vec![run(5, 10, 1), run(4, 20, 1)],
            vec![run(0, 10, 2), run(1, 20, 1)],
            vec![run(SUMS_BASE - 1, 10, 2)],
            vec![run(u64::MAX, 10, 1)],
        ] {
            assert!(decode_extents(&encode_extents(&runs), runs.len(), 100).is_err(), "{runs:?}");
        }
        for children in
            [vec![(0, BlockNo(0))], vec![(0, BlockNo(100))], vec![(3, BlockNo(1)), (3, BlockNo(2))]]
        {
            assert!(decode_index(&encode_index(&children), children.len(), 100).is_err(), "{children:?}");
        }
    }
}
