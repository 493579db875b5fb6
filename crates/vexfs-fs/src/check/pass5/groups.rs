//! Bitmaps and counters, against what was gathered.

use vexfs_format::bitmap;
use vexfs_format::group_desc::{block_bitmap_checksum, inode_bitmap_checksum};
use vexfs_format::superblock;
use vexfs_format::{Damage, GroupNo, InodeNo};

use super::super::context::Context;
use super::super::inodes::State;
use super::super::problem::{Kind, Problem};
use super::super::table;
use super::Steps;
use crate::error::Result;
use crate::inode::descriptor_place;
use crate::source::BlockSource;

pub(super) fn run(ctx: &mut Context<'_>, steps: &mut Steps) -> Result<()> {
    let (mut free_blocks, mut free_inodes) = (0_u64, 0_u64);
    for group in ctx.group_ids() {
        let check = Group { group: group.get() };
        free_blocks += check.blocks(ctx)?;
        free_inodes += check.inodes(ctx)?;
        steps.add(ctx, 1)?;
    }
    let (sb, is_whole) = (*ctx.volume.superblock(), ctx.group_count() == ctx.geometry.groups);
    ctx.reporter.report.summary.blocks_used = sb.blocks.get().saturating_sub(free_blocks);
    ctx.reporter.report.summary.inodes_used = sb.inodes.get().saturating_sub(free_inodes);
    // The counters of a backup superblock are those of the day it was written.
    if !is_whole || ctx.reporter.report.backup.is_some() {
        return Ok(());
    }
    let at = |kind| Problem::new(kind).block(0).byte(superblock::OFFSET as u64);
    if sb.free_blocks.get() != free_blocks {
        ctx.report(at(table::FREE_BLOCKS).found(sb.free_blocks.get()).expected(free_blocks))?;
    }
    if sb.free_inodes.get() != free_inodes {
        ctx.report(at(table::FREE_INODES).found(sb.free_inodes.get()).expected(free_inodes))?;
    }
    Ok(())
}

struct Group {
    group: u64,
}

impl Group {
    /// A problem with a field of the descriptor.
    fn at(&self, ctx: &Context<'_>, kind: &'static Kind) -> Problem {
        let (block, offset) = descriptor_place(&ctx.volume, GroupNo(self.group));
        Problem::new(kind).group(self.group).block(block.get()).byte(offset as u64)
    }

    /// Checks the block bitmap and returns how many blocks are free.
    fn blocks(&self, ctx: &mut Context<'_>) -> Result<u64> {
        let info = ctx.groups[self.group as usize];
        let start = ctx.geometry.group_start(GroupNo(self.group));
        let len = ctx.geometry.group_blocks(GroupNo(self.group));
        let is_uninit = info.desc.is_some_and(|desc| desc.block_bitmap_uninit());
        let free = if is_uninit && !ctx.usage.is_touched(self.group) {
            // What is in use is what the layout says; pass 1 compared that.
            len - ctx.usage.fixed_in(start, start + len).map(|run| run.len).sum::<u64>()
        } else {
            let expected = ctx.usage.expected(self.group);
            if let Some(stored) = self.stored_blocks(ctx)? {
                self.compare(ctx, &stored, &expected, start, len as usize)?;
            }
            bitmap::count_clear(&expected, len as usize) as u64
        };
        if let Some(desc) = info.desc
            && u64::from(desc.free_blocks.get()) != free
        {
            let problem = self.at(ctx, table::GROUP_FREE_BLOCKS);
            ctx.report(problem.found(desc.free_blocks.get()).expected(free))?;
        }
        Ok(free)
    }

    /// The block bitmap as it is stored, or as the layout has it; `None` when it is damaged.
    fn stored_blocks(&self, ctx: &mut Context<'_>) -> Result<Option<Vec<u8>>> {
        let info = ctx.groups[self.group as usize];
        let Some(desc) = info.desc else { return Ok(None) };
        if desc.block_bitmap_uninit() {
            let mut map = vec![0; ctx.volume.block_size()];
            ctx.geometry.fill_block_bitmap(GroupNo(self.group), &mut map);
            return Ok(Some(map));
        }
        let at = |kind| Problem::new(kind).group(self.group).block(info.block_bitmap);
        let map = match ctx.read_block(info.block_bitmap) {
            Ok(map) => map,
            Err(reason) => {
                ctx.report(at(table::BLOCK_BITMAP_UNREADABLE).found(reason))?;
                return Ok(None);
            }
        };
        let stored = desc.block_bitmap_checksum.get();
        let computed = block_bitmap_checksum(ctx.volume.seed(), GroupNo(self.group), &map);
        if stored != computed {
            let found = Damage::Checksum { stored, computed };
            ctx.report(at(table::BLOCK_BITMAP_DAMAGED).found(found))?;
            return Ok(None);
        }
        Ok(Some(map.to_vec()))
    }

    /// Reports runs of blocks whose bits differ, and clear bits behind the end of the group.
    fn compare(
        &self,
        ctx: &mut Context<'_>,
        stored: &[u8],
        expected: &[u8],
        start: u64,
        len: usize,
    ) -> Result<()> {
        let missing = difference(expected, stored);
        let surplus = difference(stored, expected);
        for (map, kind) in [(missing, table::BLOCKS_NOT_MARKED), (surplus, table::BLOCKS_MARKED)] {
            for (first, count) in set_runs(&map, len) {
                let problem = Problem::new(kind).group(self.group);
                ctx.report(problem.blocks(start + first as u64, count as u64))?;
            }
        }
        let behind = stored.len() * 8;
        if bitmap::first_clear(stored, len, behind).is_some() {
            let block = ctx.groups[self.group as usize].block_bitmap;
            ctx.report(Problem::new(table::BLOCK_BITMAP_END).group(self.group).block(block))?;
        }
        Ok(())
    }

    /// Checks the inode bitmap and returns how many inodes are free.
    fn inodes(&self, ctx: &mut Context<'_>) -> Result<u64> {
        let info = ctx.groups[self.group as usize];
        let per_group = ctx.geometry.inodes_per_group;
        let first = self.group * per_group + 1;
        let reserved = (first..first + per_group.min(InodeNo::FIRST_ORDINARY.get() - 1))
            .filter(|&ino| ino > InodeNo::LOST_FOUND.get() && ino < InodeNo::FIRST_ORDINARY.get())
            .count() as u64;
        let (mut used, mut directories, mut unknown) = (reserved, 0_u64, false);
        let range = ctx.inodes.range(first, first + per_group).to_vec();
        for inode in range.iter().filter(|inode| inode.is_used()) {
            used += 1;
            directories += u64::from(inode.is_directory_like());
            unknown |= inode.kind.is_none();
        }
        self.inode_bits(ctx, first)?;
        for inode in range.iter().filter(|inode| inode.state == State::Candidate) {
            ctx.report(Problem::new(table::RECORD_STALE).inode(inode.number).group(self.group))?;
        }
        let free = per_group - used.min(per_group);
        if let Some(desc) = info.desc {
            if u64::from(desc.free_inodes.get()) != free {
                let problem = self.at(ctx, table::GROUP_FREE_INODES);
                ctx.report(problem.found(desc.free_inodes.get()).expected(free))?;
            }
            // A damaged record may have been a directory.
            if u64::from(desc.directories.get()) != directories && !unknown {
                let problem = self.at(ctx, table::GROUP_DIRECTORIES);
                ctx.report(problem.found(desc.directories.get()).expected(directories))?;
            }
        }
        Ok(free)
    }

    /// Whether the bit of each inode in use is set. (A bit that is set makes an inode one in use, damaged or not.)
    fn inode_bits(&self, ctx: &mut Context<'_>, first: u64) -> Result<()> {
        let info = ctx.groups[self.group as usize];
        let Some(desc) = info.desc else { return Ok(()) };
        let per_group = ctx.geometry.inodes_per_group;
        let map = if desc.inode_bitmap_uninit() {
            let mut map = vec![0; ctx.volume.block_size()];
            ctx.geometry.fill_inode_bitmap(&mut map);
            map
        } else {
            let Ok(map) = ctx.read_block(info.inode_bitmap) else { return Ok(()) };
            let computed = inode_bitmap_checksum(ctx.volume.seed(), GroupNo(self.group), &map);
            if computed != desc.inode_bitmap_checksum.get() {
                return Ok(()); // pass 1 reported that
            }
            map.to_vec()
        };
        let reserved =
            (1..InodeNo::FIRST_ORDINARY.get()).filter(|ino| (first..first + per_group).contains(ino));
        let used = ctx.inodes.range(first, first + per_group).iter().filter(|inode| inode.is_used());
        let mut numbers: Vec<u64> = reserved.chain(used.map(|inode| inode.number)).collect();
        numbers.sort_unstable();
        numbers.dedup();
        for ino in numbers {
            if !bitmap::get(&map, (ino - first) as usize) {
                let problem = Problem::new(table::INODE_NOT_MARKED).group(self.group).inode(ino);
                ctx.report(problem.block(info.inode_bitmap))?;
            }
        }
        if bitmap::first_clear(&map, per_group as usize, map.len() * 8).is_some() {
            let problem = Problem::new(table::INODE_BITMAP_END).group(self.group);
            ctx.report(problem.block(info.inode_bitmap))?;
        }
        Ok(())
    }
}

/// Bits that are set in `a` and clear in `b`.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a & !b).collect()
}

/// The runs of set bits among the first `bits`, as `(first, length)`.
fn set_runs(map: &[u8], bits: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let first = bitmap::first_set(map, at, bits);
        if first >= bits {
            return None;
        }
        at = bitmap::first_clear(map, first, bits).unwrap_or(bits);
        Some((first, at - first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_set_bits_are_found() {
        let map = [0b1000_0001, 0b0000_0011, 0, 0xF0];
        assert_eq!(set_runs(&map, 32).collect::<Vec<_>>(), [(0, 1), (7, 3), (28, 4)]);
        assert_eq!(set_runs(&map, 30).collect::<Vec<_>>(), [(0, 1), (7, 3), (28, 2)]);
        assert_eq!(set_runs(&[0; 4], 32).count(), 0);
    }
}
