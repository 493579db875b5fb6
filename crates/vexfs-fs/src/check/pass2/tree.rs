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
use crate::{dir, inode};

/// Names out of place that are compared with the others of their directory; more are only reported.
const MAX_MISPLACED: usize = 4096;
/// Blocks that the tree does not lead to whose names are looked at; more are only reported.
const MAX_UNREACHED: u64 = 65_536;

/// Checks the directory at `index` of the list of inodes; directories taken into use on the way are added to `late`.
pub(super) fn check(ctx: &mut Context<'_>, index: usize, late: &mut Late) -> Result<()> {
    let number = ctx.inodes.at(index).number;
    let Ok(inode) = inode::read(&ctx.volume, InodeNo(number)) else { return Ok(()) };
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
    tree.find_twins(ctx, &inode)
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

struct Tree<'a> {
    parent: Parent,
    ino: InodeNo,
    blocks: u64,
    extents: Extents,
    visited: HashSet<u64>,
    /// Names that a lookup does not find.
    misplaced: Vec<Vec<u8>>,
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
                DirEntries::Leaf(entries) => self.leaf(ctx, place, entries, Some(step))?,
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

    /// Takes the names of a leaf; `step` is the way that led there, if one did.
    fn leaf(
        &mut self,
        ctx: &mut Context<'_>,
        place: u64,
        entries: Vec<DirEntry>,
        step: Option<Step>,
    ) -> Result<()> {
        let key = ctx.volume.superblock().hash_key;
        for entry in entries {
            let hash = name_hash(&key, &entry.name);
            let name = String::from_utf8_lossy(&entry.name).into_owned();
            let in_range = step.is_some_and(|step| (step.lowest..=step.highest).contains(&hash));
            let problem = |kind| self.at(kind).block(place).name(name.clone());
            if entry.hash != hash {
                let problem = problem(table::DIR_HASH).found(format_args!("{:#x}", entry.hash));
                ctx.report(problem.expected(format_args!("{hash:#x}")))?;
            } else if !in_range && step.is_some() {
                ctx.report(problem(table::DIR_RANGE))?;
            }
            if (entry.hash != hash || !in_range) && self.misplaced.len() < MAX_MISPLACED {
                self.misplaced.push(entry.name.clone());
            }
            entries::take(ctx, &self.parent, place, &name, &entry, self.late)?;
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
                    self.leaf(ctx, place, entries, None)?;
                }
            }
        }
        Ok(())
    }

    /// Finds names that are there twice: a name out of place, and the same one where it belongs or out of place too.
    ///
    /// Two names in place cannot be equal: those with the same hash lie in one leaf, in strict order.
    fn find_twins(&mut self, ctx: &mut Context<'_>, inode: &vexfs_format::inode::Inode) -> Result<()> {
        let mut names = std::mem::take(&mut self.misplaced);
        names.sort_unstable();
        for (n, name) in names.iter().enumerate() {
            let is_found = matches!(dir::lookup(&ctx.volume, inode, name), Ok(Some(_)));
            if is_found || (n > 0 && names[n - 1] == *name) {
                let problem = self.at(table::ENTRY_TWICE).name(String::from_utf8_lossy(name));
                ctx.report(problem)?;
            }
        }
        Ok(())
    }
}
