//! Pass 5: bitmaps and counters, written as they were found; then the copies of what is right by now.

use std::collections::BTreeMap;

use vexfs_format::bitmap;
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::{GroupNo, InodeNo};
use zerocopy::little_endian::{U32, U64};

use super::super::context::Context;
use super::super::problem::{Fix, Problem};
use super::super::table;
use super::{batch, layout};
use crate::error::Result;
use crate::source::BlockSource;

/// A group whose bitmaps or counters are wrong.
struct Group {
    group: GroupNo,
    desc: GroupDesc,
    blocks: Option<Vec<u8>>,
    inodes: Option<Vec<u8>>,
}

/// Writes the bitmaps and counters that were decided, and the copies of superblock and descriptors.
pub(super) fn repair(ctx: &mut Context<'_>) -> Result<()> {
    // What is in use is not known as a whole then.
    if !ctx.shared.has_given_up() {
        let accepted = ctx.reporter.take_accepted(&[Fix::Bitmaps]);
        let groups = gather(ctx, &accepted);
        batch::settle(ctx, &accepted)?;
        batch::run(&mut ctx.volume, &mut ctx.reporter, &groups, |txn, group| {
            txn.replace_group(group.group, group.desc, group.blocks.clone(), group.inodes.clone());
            Ok(())
        })?;
        let totals: Vec<&Problem> = accepted
            .iter()
            .filter(|problem| problem.kind == table::FREE_BLOCKS || problem.kind == table::FREE_INODES)
            .collect();
        batch::run(&mut ctx.volume, &mut ctx.reporter, &totals, |txn, problem| {
            let number = problem.expected.as_deref().and_then(|text| text.parse().ok());
            let field = match problem.kind == table::FREE_BLOCKS {
                true => &mut txn.sb.free_blocks,
                false => &mut txn.sb.free_inodes,
            };
            *field = U64::new(number.unwrap_or(field.get()));
            txn.stage_superblock()
        })?;
    }
    layout::repair_copies(ctx)
}

fn gather(ctx: &Context<'_>, accepted: &[Problem]) -> Vec<Group> {
    let mut kinds: BTreeMap<u64, Vec<&Problem>> = BTreeMap::new();
    for problem in accepted {
        if let Some(group) = problem.place.group {
            kinds.entry(group).or_default().push(problem);
        }
    }
    kinds.into_iter().filter_map(|(group, problems)| describe(ctx, group, &problems)).collect()
}

fn describe(ctx: &Context<'_>, group: u64, problems: &[&Problem]) -> Option<Group> {
    let has = |kinds: &[&'static super::super::Kind]| problems.iter().any(|p| kinds.contains(&p.kind));
    let mut desc = ctx.groups.get(group as usize)?.desc?;
    let (no, per_group) = (GroupNo(group), ctx.geometry.inodes_per_group);
    let expected = ctx.usage.expected(group);
    let len = ctx.geometry.group_blocks(no) as usize;
    desc.free_blocks = U32::new(bitmap::count_clear(&expected, len) as u32);
    let blocks = has(&[
        table::BLOCK_BITMAP_DAMAGED,
        table::BLOCK_BITMAP_UNREADABLE,
        table::BLOCKS_NOT_MARKED,
        table::BLOCKS_MARKED,
        table::BLOCK_BITMAP_END,
    ]);
    let first = group * per_group + 1;
    let mut map = vec![0; ctx.volume.block_size()];
    ctx.geometry.fill_inode_bitmap(&mut map);
    let mut directories = 0;
    for inode in ctx.inodes.range(first, first + per_group).iter().filter(|inode| inode.is_used()) {
        bitmap::set(&mut map, (inode.number - first) as usize);
        directories += u32::from(inode.is_directory_like());
    }
    for ino in (1..InodeNo::FIRST_ORDINARY.get()).filter(|ino| (first..first + per_group).contains(ino)) {
        // Root directory and lost+found are in use if they are there.
        if ino > InodeNo::LOST_FOUND.get() {
            bitmap::set(&mut map, (ino - first) as usize);
        }
    }
    let free = bitmap::count_clear(&map, per_group as usize) as u32;
    (desc.free_inodes, desc.directories) = (U32::new(free), U32::new(directories));
    let per_block = ctx.geometry.block_size / ctx.geometry.inode_size;
    desc.unused_inodes = U32::new(desc.unused_inodes.get().min(free / per_block * per_block));
    let inodes = has(&[table::INODE_NOT_MARKED, table::INODE_BITMAP_END])
        || desc.inode_bitmap_uninit() && free < per_group as u32;
    Some(Group { group: no, desc, blocks: blocks.then_some(expected), inodes: inodes.then_some(map) })
}
