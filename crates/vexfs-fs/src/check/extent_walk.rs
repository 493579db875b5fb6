//! The extents of an object as far as they are intact: unlike [`crate::extents`], a damaged node costs only what is below it.
//!
//! A node's entries must lie between the logical block its parent names and the one its parent names next. So no two nodes of one
//! level can be the same block, and a tree that is damaged into a cycle or a web cannot make the walk run on.

use vexfs_format::extent::{self, NodeEntries, Run, SUMS_BASE};
use vexfs_format::inode::{Inode, Root};
use vexfs_format::{BlockNo, InodeNo};

use super::problem::Problem;
use super::table;
use crate::source::BlockSource;
use crate::volume::Volume;

use super::context::reason;

/// What was found of an object's extents.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    /// Extents in logical order.
    pub(crate) runs: Vec<Run>,
    /// Blocks of the sound tree nodes.
    pub(crate) nodes: Vec<u64>,
    /// What is wrong with the tree.
    pub(crate) problems: Vec<Problem>,
}

impl Extents {
    /// Walks the extents of `inode`, which was accepted by [`Inode::decode`].
    pub(crate) fn walk(volume: &Volume, inode: &Inode) -> Self {
        let mut extents = Self::default();
        match inode.root(volume.blocks()) {
            Ok(Root::Extents(runs)) => extents.runs = runs,
            Ok(Root::Index(children)) => {
                let walk = Walk { volume, ino: inode.number() };
                walk.descend(&mut extents, &children, inode.depth.get() - 1, SUMS_BASE * 2);
            }
            // A target lies in the inode; a root that is not sound was refused with its record.
            Ok(Root::Target(_)) | Err(_) => {}
        }
        extents
    }

    /// Blocks that the extents and the tree take.
    pub(crate) fn blocks(&self) -> u64 {
        let mapped = self.runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.len.into()));
        mapped.saturating_add(self.nodes.len() as u64)
    }

    /// The device block of logical block `logical`.
    pub(crate) fn lookup(&self, logical: u64) -> Option<u64> {
        let after = self.runs.partition_point(|r| r.logical.get() <= logical);
        let run = self.runs[..after].last()?;
        let offset = logical - run.logical.get();
        (offset < run.len.into()).then(|| run.start.get() + offset)
    }

    /// The parts of the extents within `from .. to`, as logical block, block and length.
    pub(crate) fn range(&self, from: u64, to: u64) -> impl Iterator<Item = (u64, u64, u64)> + '_ {
        let first = self.runs.partition_point(|r| r.logical_end() <= from);
        self.runs[first..].iter().take_while(move |r| r.logical.get() < to).map(move |r| {
            let (start, end) = (r.logical.get().max(from), r.logical_end().min(to));
            (start, r.start.get() + (start - r.logical.get()), end - start)
        })
    }
}

struct Walk<'a> {
    volume: &'a Volume,
    ino: InodeNo,
}

impl Walk<'_> {
    /// Visits the nodes of `children` at `level`; what is below them lies before logical block `end`.
    fn descend(&self, extents: &mut Extents, children: &[(u64, BlockNo)], level: u16, end: u64) {
        for (at, &(first, child)) in children.iter().enumerate() {
            let end = children.get(at + 1).map_or(end, |&(next, _)| next.min(end));
            let block = child.get();
            let problem = |kind| Problem::new(kind).inode(self.ino.get()).block(block);
            let (blocks, seed) = (self.volume.blocks(), self.volume.seed());
            let entries = match self.volume.read_block(child) {
                Ok(bytes) => extent::decode_node(&bytes, child, self.ino, level, blocks, seed),
                Err(e) => {
                    extents.problems.push(problem(table::NODE_UNREADABLE).found(reason(&e)));
                    continue;
                }
            };
            let entries = match entries {
                Ok(entries) => entries,
                Err(corrupt) => {
                    extents.problems.push(problem(table::NODE_DAMAGED).found(corrupt.damage));
                    continue;
                }
            };
            let lowest = match &entries {
                NodeEntries::Leaf(runs) => runs.first().map(|r| r.logical.get()),
                NodeEntries::Index(below) => below.first().map(|&(logical, _)| logical),
            };
            let highest = match &entries {
                NodeEntries::Leaf(runs) => runs.last().map_or(0, Run::logical_end),
                NodeEntries::Index(below) => below.last().map_or(0, |&(logical, _)| logical + 1),
            };
            if lowest != Some(first) || first >= end {
                let problem = problem(table::NODE_ORDER).found(lowest.unwrap_or(0)).expected(first);
                extents.problems.push(problem);
                continue;
            }
            if highest > end {
                let range = format!("{first} to {}", end - 1);
                extents.problems.push(problem(table::EXTENT_ORDER).found(highest - 1).expected(range));
            }
            extents.nodes.push(block);
            match entries {
                NodeEntries::Leaf(runs) => {
                    extents.runs.extend(runs.into_iter().filter(|run| run.logical_end() <= end));
                }
                NodeEntries::Index(mut below) => {
                    below.retain(|&(logical, _)| logical < end);
                    self.descend(extents, &below, level - 1, end);
                }
            }
        }
    }
}
