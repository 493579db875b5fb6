//! The tree of names of one directory, as far as its blocks are intact.

use std::collections::HashSet;

use vexfs_format::dir_block::{self, DirEntries, DirEntry, name_hash};
use vexfs_format::{BlockNo, InodeNo, LogicalBlock};

use super::super::context::{Context, reason};
use super::super::extent_walk::Extents;
use super::super::problem::{Kind, Problem};
use super::super::table;
use super::Late;
use super::entries::{self, Parent};
use crate::error::Result;
use crate::source::BlockSource;

/// Names out of place that are compared with the others of their directory; more are only reported.
const MAX_MISPLACED: usize = 4096;
/// Blocks that the tree does not lead to whose names are looked at; more are only reported.
const MAX_UNREACHED: u64 = 65_536;

/// Checks the directory at `index` of the list of inodes; directories taken into use on the way are added to `late`.
pub(super) fn check(ctx: &mut Context<'_>, index: usize, late: &mut Late) -> Result<()> {
    let number = ctx.inodes.at(index).number;
    let Some(inode) = ctx.read_inode(number) else { return Ok(()) };
    let mut tree = Tree {
        parent: Parent::of(ctx, index),
        ino: inode.number(),
        blocks: inode.size.get() / ctx.volume.block_size() as u64,
        extents: Extents::walk(&ctx.volume, &inode),
        visited: HashSet::new(),
        misplaced: Vec::new(),
        late,
    };
    tree.walk(ctx)?;
    tree.take_unreached(ctx)?;
    tree.settle_misplaced(ctx)
}

/// A block that the tree leads to.
#[derive(Clone, Copy)]
struct Step {
    logical: u64,
    /// Level it must have; the root may have any.
    level: Option<u16>,
    /// Lowest hash that may be below it.
    lowest: u64,
    /// Highest hash that may be below it.
    highest: u64,
}

/// A name that lies where the way to its block does not expect it, or has a wrong hash.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Misplaced {
    name: Vec<u8>,
    /// Logical block of its leaf, and the block on the device.
    leaf: (u64, u64),
    has_own_hash: bool,
    /// Whether the tree leads to its leaf at all.
    is_reached: bool,
}

struct Tree<'a> {
    parent: Parent,
    ino: InodeNo,
    blocks: u64,
    extents: Extents,
    visited: HashSet<u64>,
    /// Names that the way to them does not lead a lookup to.
    misplaced: Vec<Misplaced>,
    late: &'a mut Late,
}

impl Tree<'_> {
    fn at(&self, kind: &'static Kind) -> Problem {
        Problem::new(kind).inode(self.ino.get())
    }

    fn walk(&mut self, ctx: &mut Context<'_>) -> Result<()> {
        let mut todo = vec![Step { logical: 0, level: None, lowest: 0, highest: u64::MAX }];
        self.visited.insert(0);
        while let Some(step) = todo.pop() {
            let Some((place, entries, level)) = self.read(ctx, step.logical)? else { continue };
            if let Some(expected) = step.level.filter(|&expected| expected != level) {
                let problem = self.at(table::DIR_LEVEL).block(place);
                ctx.report(problem.found(level).expected(expected))?;
            }
            match entries {
                DirEntries::Leaf(entries) => self.leaf(ctx, (step.logical, place), entries, Some(step))?,
                DirEntries::Index(children) => self.index(ctx, place, &children, level, step, &mut todo)?,
            }
        }
        Ok(())
    }

    /// Reads a block of the directory; `None` when it is not intact.
    fn read(&self, ctx: &mut Context<'_>, logical: u64) -> Result<Option<(u64, DirEntries, u16)>> {
        // A block that is not mapped was reported with the extents.
        let Some(place) = self.extents.lookup(logical) else { return Ok(None) };
        let bytes = match ctx.volume.read_block(BlockNo(place)) {
            Ok(bytes) => bytes,
            Err(e) => {
                let problem = self.at(table::DIR_UNREADABLE).block(place);
                ctx.report(problem.found(logical).expected(reason(&e)))?;
                return Ok(None);
            }
        };
        let seed = ctx.volume.seed();
        match dir_block::decode(&bytes, BlockNo(place), self.ino, LogicalBlock(logical), seed) {
            Ok((entries, level)) => Ok(Some((place, entries, level))),
            Err(corrupt) => {
                let problem = self.at(table::DIR_DAMAGED).block(place);
                ctx.report(problem.found(corrupt.damage).expected(logical))?;
                Ok(None)
            }
        }
    }

    /// Adds the children of a block to what is to be visited, each once.
    fn index(
        &mut self,
        ctx: &mut Context<'_>,
        place: u64,
        children: &[(u64, LogicalBlock)],
        level: u16,
        step: Step,
        todo: &mut Vec<Step>,
    ) -> Result<()> {
        if let Some(&(first, _)) = children.first()
            && first != step.lowest
        {
            let problem = self.at(table::DIR_FIRST_HASH).block(place);
            ctx.report(
                problem.found(format_args!("{first:#x}")).expected(format_args!("{:#x}", step.lowest)),
            )?;
        }
        for (n, &(hash, child)) in children.iter().enumerate() {
            let child = child.get();
            if child >= self.blocks {
                ctx.report(self.at(table::DIR_CHILD).block(place).found(child).expected(self.blocks))?;
                continue;
            }
            if !self.visited.insert(child) {
                ctx.report(self.at(table::DIR_CHILD_TWICE).block(place).found(child))?;
                continue;
            }
            let next = children.get(n + 1).map(|&(next, _)| next - 1);
            todo.push(Step {
                logical: child,
                level: Some(level - 1),
                lowest: hash.max(step.lowest),
                highest: next.unwrap_or(step.highest).min(step.highest),
            });
        }
        Ok(())
    }

    /// Takes the names of a leaf (its logical block, and the block on the device); `step` is the way that led there, if one did.
    fn leaf(
        &mut self,
        ctx: &mut Context<'_>,
        leaf: (u64, u64),
        entries: Vec<DirEntry>,
        step: Option<Step>,
    ) -> Result<()> {
        let key = ctx.volume.superblock().hash_key;
        for entry in entries {
            let hash = name_hash(&key, &entry.name);
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            let in_range = step.is_some_and(|step| (step.lowest..=step.highest).contains(&hash));
            let has_own_hash = entry.hash == hash;
            if !has_own_hash {
                let problem = self.at(table::DIR_HASH).block(leaf.1).name(name.clone());
                let problem = problem.found(format_args!("{:#x}", entry.hash));
                ctx.report(problem.expected(format_args!("{hash:#x}")))?;
            }
            if (!has_own_hash || !in_range) && self.misplaced.len() < MAX_MISPLACED {
                let (name, is_reached) = (entry.name.clone(), step.is_some());
                self.misplaced.push(Misplaced { name, leaf, has_own_hash, is_reached });
            }
            entries::take(ctx, &self.parent, leaf.1, &name, &entry, self.late)?;
        }
        Ok(())
    }

    /// Reports the blocks that the tree does not lead to, and takes the names they hold.
    fn take_unreached(&mut self, ctx: &mut Context<'_>) -> Result<()> {
        let mut left = MAX_UNREACHED;
        for (first, place, len) in self.extents.range(0, self.blocks).collect::<Vec<_>>() {
            for (logical, place) in (first..first + len).zip(place..) {
                if self.visited.contains(&logical) {
                    continue;
                }
                if left == 0 {
                    return Ok(());
                }
                left -= 1;
                ctx.report(self.at(table::DIR_UNREACHED).block(place).found(logical))?;
                if let Some((place, DirEntries::Leaf(entries), _)) = self.read(ctx, logical)? {
                    self.leaf(ctx, (logical, place), entries, None)?;
                }
            }
        }
        Ok(())
    }

    /// Says of the names out of place whether a lookup finds them all the same, and whether it finds another one of that name.
    ///
    /// Two names in place cannot be equal: those with the same hash lie in one leaf, in strict order.
    fn settle_misplaced(&mut self, ctx: &mut Context<'_>) -> Result<()> {
        let mut names = std::mem::take(&mut self.misplaced);
        names.sort_unstable();
        let mut before: Option<&[u8]> = None;
        for Misplaced { name, leaf, has_own_hash, is_reached } in &names {
            let found = self.holder(ctx, name);
            if *has_own_hash && found == Some(leaf.0) {
                continue;
            }
            let at = |kind| self.at(kind).block(leaf.1).name(String::from_utf8_lossy(name));
            // A wrong hash, or a leaf that the tree does not lead to, was reported.
            if *has_own_hash && *is_reached {
                ctx.report(at(table::DIR_RANGE))?;
            }
            if found.is_some() || before == Some(name) {
                ctx.report(at(table::ENTRY_TWICE))?;
            }
            before = Some(name);
        }
        Ok(())
    }

    /// The leaf in which a lookup of `name` finds it.
    fn holder(&self, ctx: &Context<'_>, name: &[u8]) -> Option<u64> {
        let hash = name_hash(&ctx.volume.superblock().hash_key, name);
        let mut logical = 0;
        for _ in 0..=dir_block::MAX_LEVEL {
            let place = BlockNo(self.extents.lookup(logical)?);
            let bytes = ctx.volume.read_block(place).ok()?;
            let seed = ctx.volume.seed();
            let (entries, _) =
                dir_block::decode(&bytes, place, self.ino, LogicalBlock(logical), seed).ok()?;
            match entries {
                DirEntries::Leaf(entries) => {
                    let is_here = entries.iter().any(|entry| entry.hash == hash && entry.name == name);
                    return is_here.then_some(logical);
                }
                DirEntries::Index(children) => {
                    let next = children.partition_point(|&(lowest, _)| lowest <= hash);
                    logical = children[next.saturating_sub(1)].1.get();
                }
            }
        }
        None
    }
}
