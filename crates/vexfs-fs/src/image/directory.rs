//! Directories whose names are hidden: the names have other hashes, and so another order.
//!
//! The tree keeps its shape and its blocks; the entries are dealt out to its leaves anew. Names that the format gives stay as they are:
//! those in collections and their indexes, and lost+found.

use std::collections::HashMap;

use vexfs_format::block_header::BlockHeader;
use vexfs_format::codes::InodeKind;
use vexfs_format::dir_block::{self, DirEntries, DirEntry, Placement, capacity, name_hash};
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, InodeNo, LogicalBlock, TxnSeq};

use super::Image;
use super::names::Scrambler;
use crate::check::extent_walk::Extents;
use crate::error::Result;
use crate::inode;
use crate::source::BlockSource;
use crate::tree::LOST_FOUND_NAME;

/// A block of a directory.
struct Block {
    entries: DirEntries,
    level: u16,
    at: Placement,
}

impl Image<'_> {
    /// Writes the blocks of a directory with its names hidden. One that is damaged is left out.
    pub(super) fn hidden_directory(&mut self, inode: &Inode, extents: &Extents) -> Result<()> {
        if self.keeps_names(inode) {
            return self.copy_all(extents);
        }
        let Some(names) = self.names.clone() else { return Ok(()) };
        let blocks = self.read_tree(inode, extents);
        let rebuilt = blocks.and_then(|blocks| self.rebuild(blocks, &names));
        let Some(blocks) = rebuilt else {
            self.report.damaged += 1;
            return Ok(());
        };
        let (block_size, seed) = (self.volume.block_size(), self.volume.seed());
        blocks.into_values().try_for_each(|block| {
            let bytes = dir_block::encode(&block.entries, block.level, block.at, block_size, seed);
            self.put(block.at.place.get(), &bytes)
        })
    }

    /// Whether the names in a directory are those of streams: of a collection, or of its indexes.
    fn keeps_names(&self, inode: &Inode) -> bool {
        let parent = inode::read(self.volume, InodeNo(inode.parent.get()));
        let is_in_collection = inode.number() != InodeNo::ROOT
            && parent.is_ok_and(|parent| parent.kind() == InodeKind::Collection);
        inode.kind() == InodeKind::Collection || is_in_collection
    }

    /// All blocks of a directory; `None` if one is damaged.
    fn read_tree(&self, inode: &Inode, extents: &Extents) -> Option<HashMap<LogicalBlock, Block>> {
        let mut blocks = HashMap::new();
        let count = inode.size.get() / self.volume.block_size() as u64;
        for (logical, start, len) in extents.range(0, count) {
            for (logical, place) in (logical..).map(LogicalBlock).zip((start..start + len).map(BlockNo)) {
                let bytes = self.volume.read_block(place).ok()?;
                let (entries, level) =
                    dir_block::decode(&bytes, place, inode.number(), logical, self.volume.seed()).ok()?;
                let txn = TxnSeq(BlockHeader::peek(&bytes)?.txn.get());
                let at = Placement { place, logical, owner: inode.number(), txn };
                blocks.insert(logical, Block { entries, level, at });
            }
        }
        Some(blocks)
    }

    /// Deals the entries out anew, with other names and hashes.
    fn rebuild(
        &self,
        mut blocks: HashMap<LogicalBlock, Block>,
        names: &Scrambler,
    ) -> Option<HashMap<LogicalBlock, Block>> {
        let leaves = leaves(&blocks)?;
        let hash_key = self.volume.superblock().hash_key;
        let mut entries: Vec<DirEntry> = Vec::new();
        for leaf in &leaves {
            let DirEntries::Leaf(of_leaf) = &blocks.get(leaf)?.entries else { return None };
            entries.extend(of_leaf.iter().cloned());
        }
        for entry in entries.iter_mut().filter(|entry| entry.name != LOST_FOUND_NAME) {
            entry.name = names.name(&entry.name);
            entry.hash = name_hash(&hash_key, &entry.name);
        }
        entries.sort_unstable_by(|a, b| (a.hash, &a.name).cmp(&(b.hash, &b.name)));
        let dealt = deal(entries, leaves.len(), capacity(self.volume.block_size()))?;
        let mut lowest: HashMap<LogicalBlock, u64> = HashMap::new();
        let mut free_from = 0;
        for (&leaf, of_leaf) in leaves.iter().zip(dealt) {
            let first = of_leaf.first().map_or(free_from, |entry| entry.hash);
            lowest.insert(leaf, if lowest.is_empty() { 0 } else { first });
            free_from = of_leaf.last().map_or(first, |entry| entry.hash).checked_add(1)?;
            blocks.get_mut(&leaf)?.entries = DirEntries::Leaf(of_leaf);
        }
        // Children lie below, so their lowest hashes are known level by level.
        let mut above: Vec<(u16, LogicalBlock)> = blocks
            .iter()
            .filter(|(_, block)| block.level > 0)
            .map(|(at, block)| (block.level, *at))
            .collect();
        above.sort_unstable_by_key(|(level, at)| (*level, at.get()));
        for (_, at) in above {
            let DirEntries::Index(children) = &mut blocks.get_mut(&at)?.entries else { return None };
            for (hash, child) in children.iter_mut() {
                *hash = *lowest.get(child)?;
            }
            lowest.insert(at, children.first()?.0);
        }
        Some(blocks)
    }
}

/// The leaves of a tree from left to right; `None` if it is no tree of all the blocks.
fn leaves(blocks: &HashMap<LogicalBlock, Block>) -> Option<Vec<LogicalBlock>> {
    let (mut found, mut visited) = (Vec::new(), 0);
    let mut todo = vec![LogicalBlock(0)];
    while let Some(at) = todo.pop() {
        visited += 1;
        if visited > blocks.len() {
            return None;
        }
        match &blocks.get(&at)?.entries {
            DirEntries::Leaf(_) => found.push(at),
            DirEntries::Index(children) => todo.extend(children.iter().rev().map(|(_, child)| *child)),
        }
    }
    (visited == blocks.len()).then_some(found)
}

/// Deals entries out to `leaves` leaves of `room` bytes, about as much to each.
fn deal(entries: Vec<DirEntry>, leaves: usize, room: usize) -> Option<Vec<Vec<DirEntry>>> {
    let total: usize = entries.iter().map(DirEntry::encoded_len).sum();
    let mut dealt: Vec<Vec<DirEntry>> = vec![Vec::new()];
    let (mut done, mut in_leaf) = (0, 0);
    for entry in entries {
        let len = entry.encoded_len();
        let share = total * dealt.len() / leaves;
        if dealt.len() < leaves && in_leaf > 0 && (done + len > share || in_leaf + len > room) {
            dealt.push(Vec::new());
            in_leaf = 0;
        }
        if in_leaf + len > room {
            return None;
        }
        dealt.last_mut()?.push(entry);
        (done, in_leaf) = (done + len, in_leaf + len);
    }
    dealt.resize_with(leaves, Vec::new);
    Some(dealt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(count: usize, len: usize) -> Vec<DirEntry> {
        let name = vec![b'x'; len];
        let entry = |hash| DirEntry { hash, inode: InodeNo(20), kind: InodeKind::File, name: name.clone() };
        (0..count as u64).map(entry).collect()
    }

    #[test]
    fn all_entries_are_dealt_and_no_leaf_overflows() {
        for (count, leaves) in [(0, 1), (1, 1), (1, 3), (10, 3), (14, 1), (28, 2), (40, 3)] {
            let dealt = deal(entries(count, 255), leaves, 4048).expect("they fit");
            assert_eq!(dealt.len(), leaves);
            assert_eq!(dealt.iter().map(Vec::len).sum::<usize>(), count);
            let bytes = |leaf: &Vec<DirEntry>| leaf.iter().map(DirEntry::encoded_len).sum::<usize>();
            assert!(dealt.iter().all(|leaf| bytes(leaf) <= 4048), "{count} in {leaves}");
        }
        assert!(deal(entries(15, 255), 1, 4048).is_none());
    }
}
