//! The group descriptors, their copies, and that the filesystem's own blocks do not overlap.

use vexfs_format::geometry::{BlockRun, Geometry};
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::{BlockNo, GroupNo};

use super::super::context::{Context, GroupInfo};
use super::super::places;
use super::super::problem::Problem;
use super::super::table;
use crate::error::Result;
use crate::layout::{self, OwnUse};
use crate::source::BlockSource;

pub(super) fn run(ctx: &mut Context<'_>) -> Result<()> {
    read_table(ctx)?;
    let runs = own_runs(ctx);
    find_overlaps(ctx, &runs)?;
    let mut fixed: Vec<BlockRun> =
        runs.into_iter().filter(|(_, what)| *what != What::Zone).map(|(run, _)| run).collect();
    fixed.push(BlockRun { start: 0, len: ctx.geometry.head_blocks });
    ctx.usage.set_fixed(fixed);
    check_uninitialised(ctx)?;
    check_copies(ctx)
}

/// Reads all descriptors. For one that is damaged a copy says where bitmaps and table are, or the layout.
fn read_table(ctx: &mut Context<'_>) -> Result<()> {
    let per_block = (ctx.volume.block_size() / GroupDesc::SIZE) as u64;
    let table = ctx.volume.superblock().descriptor_table.get();
    let mut unreadable = None;
    for group in ctx.group_ids() {
        let (block, slot) = (table + group.get() / per_block, group.get() % per_block);
        let offset = slot as usize * GroupDesc::SIZE;
        let desc = match ctx.read_block(block) {
            Ok(bytes) => match GroupDesc::decode(&bytes[offset..], group, ctx.volume.superblock()) {
                Ok(desc) => Some(desc),
                Err(corrupt) => {
                    let problem = Problem::new(table::DESCRIPTOR_DAMAGED).group(group.get());
                    ctx.report(problem.block(block).byte(offset as u64).found(corrupt.damage))?;
                    None
                }
            },
            Err(reason) => {
                if unreadable != Some(block) {
                    unreadable = Some(block);
                    let problem = Problem::new(table::DESCRIPTORS_UNREADABLE).group(group.get());
                    ctx.report(problem.block(block).found(reason))?;
                }
                None
            }
        };
        let [block_bitmap, inode_bitmap, inode_table] = match &desc {
            Some(desc) => places::said_by(desc),
            None => places::likely(ctx, group, None),
        };
        ctx.groups.push(GroupInfo { desc, block_bitmap, inode_bitmap, inode_table });
    }
    Ok(())
}

/// What a run of blocks is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Own(OwnUse),
    Zone,
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Own(own) => own.fmt(f),
            Self::Zone => f.write_str("the vector zone"),
        }
    }
}

/// The filesystem's own runs and the vector zone, in order; without the head, which others lie in.
fn own_runs(ctx: &Context<'_>) -> Vec<(BlockRun, What)> {
    // A device that is too short has fewer groups than its superblock says.
    let present = Geometry { groups: ctx.groups.len() as u64, ..ctx.geometry.clone() };
    let places = ctx.groups.iter().map(|info| [info.block_bitmap, info.inode_bitmap, info.inode_table]);
    let own = layout::runs_of(&present, places).into_iter().filter(|(_, own)| *own != OwnUse::Head);
    let mut runs: Vec<(BlockRun, What)> = own.map(|(run, own)| (run, What::Own(own))).collect();
    runs.push((ctx.geometry.zone, What::Zone));
    runs.retain(|(run, _)| run.len > 0);
    runs.sort_unstable_by_key(|(run, _)| (run.start, run.len));
    runs
}

fn find_overlaps(ctx: &mut Context<'_>, runs: &[(BlockRun, What)]) -> Result<()> {
    let mut furthest: Option<(u64, What)> = None;
    for &(run, what) in runs {
        if let Some((end, before)) = furthest
            && run.start < end
        {
            let problem =
                Problem::new(table::METADATA_OVERLAP).blocks(run.start, end.min(run.end()) - run.start);
            ctx.report(problem.found(before).expected(what))?;
        }
        if furthest.is_none_or(|(end, _)| run.end() > end) {
            furthest = Some((run.end(), what));
        }
    }
    Ok(())
}

/// An uninitialised bitmap stands for what the layout says; that must be what is there.
fn check_uninitialised(ctx: &mut Context<'_>) -> Result<()> {
    for group in ctx.group_ids() {
        let is_uninit = ctx.groups[group.get() as usize].desc.is_some_and(|d| d.block_bitmap_uninit());
        if !is_uninit {
            continue;
        }
        let start = ctx.geometry.group_start(group);
        let end = start + ctx.geometry.group_blocks(group);
        let is_equal = ctx.usage.fixed_in(start, end).eq(ctx.geometry.group_runs(group));
        if !is_equal {
            ctx.report(Problem::new(table::UNINIT_LAYOUT).group(group.get()).block(start))?;
        }
    }
    Ok(())
}

/// The copies of the table behind the backup superblocks; only the places they say are of use.
fn check_copies(ctx: &mut Context<'_>) -> Result<()> {
    let table_blocks = (ctx.groups.len() * GroupDesc::SIZE).div_ceil(ctx.volume.block_size()) as u64;
    for copy in ctx.geometry.backups() {
        if copy == ctx.geometry.tail_backup() {
            continue;
        }
        let table = copy.get() + 1;
        let (mut wrong, mut first) = (0_u64, 0);
        for index in 0..table_blocks {
            let bytes = ctx.volume.read_block(BlockNo(table + index)).ok();
            let per_block = (ctx.volume.block_size() / GroupDesc::SIZE) as u64;
            let from = index * per_block;
            for group in from..(from + per_block).min(ctx.groups.len() as u64) {
                if !is_copied(ctx, bytes.as_deref(), group, (group - from) as usize * GroupDesc::SIZE) {
                    first = if wrong == 0 { group } else { first };
                    wrong += 1;
                }
            }
        }
        if wrong > 0 {
            let problem = Problem::new(table::DESCRIPTOR_COPY).blocks(table, table_blocks).group(first);
            ctx.report(problem.found(wrong))?;
        }
    }
    Ok(())
}

/// Whether the copy of a descriptor is sound and leads where the descriptor does.
fn is_copied(ctx: &Context<'_>, block: Option<&[u8]>, group: u64, offset: usize) -> bool {
    let Some(bytes) = block else { return false };
    let info = &ctx.groups[group as usize];
    GroupDesc::decode(&bytes[offset..], GroupNo(group), ctx.volume.superblock()).is_ok_and(|copy| {
        copy.block_bitmap.get() == info.block_bitmap
            && copy.inode_bitmap.get() == info.inode_bitmap
            && copy.inode_table.get() == info.inode_table
    })
}
