//! Pass 1: where bitmaps and tables are, descriptors, and inode bitmaps.

use std::collections::BTreeSet;

use vexfs_format::bitmap;
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::{BlockNo, GroupNo, InodeNo};
use zerocopy::little_endian::{U32, U64};

use super::super::context::Context;
use super::super::places;
use super::super::problem::Fix;
use super::super::table;
use super::batch;
use crate::error::Result;
use crate::inode::descriptor_place;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;

/// Puts bitmaps and tables back where the layout or a copy says, in descriptors that are sound and lead elsewhere although a copy does not, or
/// to where something else is. Returns whether one was changed.
///
/// This comes before the inode tables are read: from the wrong place nothing but damage would be read.
pub(super) fn repair_places(ctx: &mut Context<'_>) -> Result<bool> {
    let overlaps = ctx.reporter.take_accepted(&[Fix::Places]);
    let is_copied = ctx.reporter.accepted().iter().any(|problem| problem.kind.fix == Fix::Copies);
    let is_uninit = ctx.reporter.accepted().iter().any(|problem| problem.kind == table::UNINIT_LAYOUT);
    if overlaps.is_empty() && !is_copied && !is_uninit {
        return Ok(false);
    }
    let mut moved: Vec<(GroupNo, GroupDesc)> = Vec::new();
    for (group, info) in ctx.group_ids().zip(ctx.groups.clone()) {
        let Some(mut desc) = info.desc else { continue };
        let right = places::likely(ctx, group, Some(&desc));
        let is_in_place = right == places::said_by(&desc);
        if is_in_place || (overlaps.is_empty() && !places::is_copied(ctx, group, &right)) {
            continue;
        }
        let [block_bitmap, inode_bitmap, inode_table] = right.map(U64::new);
        (desc.block_bitmap, desc.inode_bitmap, desc.inode_table) = (block_bitmap, inode_bitmap, inode_table);
        moved.push((group, desc));
    }
    if moved.is_empty() {
        return Ok(false);
    }
    batch::settle(ctx, &overlaps)?;
    let settled = ctx.reporter.take_accepted(&[Fix::Copies, Fix::Group]);
    batch::settle(ctx, &settled)?;
    batch::run(&mut ctx.volume, &mut ctx.reporter, &moved, |txn, (group, desc)| {
        txn.replace_group(*group, *desc, None, None);
        Ok(())
    })?;
    Ok(true)
}

/// A group that is made anew.
struct Remake {
    group: GroupNo,
    /// Its descriptor, where it is sound.
    desc: Option<GroupDesc>,
    places: (u64, u64, u64),
    /// Indexes of the inodes in use.
    used: Vec<usize>,
    directories: u32,
    blocks: Vec<u8>,
}

/// Makes descriptors and inode bitmaps anew from the inodes and blocks that were found to be in use.
pub(super) fn repair(ctx: &mut Context<'_>) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Group]);
    if accepted.is_empty() {
        return Ok(());
    }
    batch::settle(ctx, &accepted)?;
    let mut groups: BTreeSet<u64> = BTreeSet::new();
    let mut unreadable: BTreeSet<BlockNo> = BTreeSet::new();
    for problem in &accepted {
        let Some(group) = problem.place.group else { continue };
        groups.insert(group);
        if problem.kind == table::DESCRIPTORS_UNREADABLE {
            let (block, _) = descriptor_place(&ctx.volume, GroupNo(group));
            unreadable.insert(block);
            let others = ctx.group_ids().filter(|&other| descriptor_place(&ctx.volume, other).0 == block);
            groups.extend(others.map(GroupNo::get));
        }
    }
    let per_group = ctx.geometry.inodes_per_group;
    let remakes: Vec<Remake> = groups
        .into_iter()
        .map(|group| {
            let info = ctx.groups[group as usize];
            let first = group * per_group + 1;
            let inodes = ctx.inodes.range(first, first + per_group);
            let used = inodes.iter().filter(|inode| inode.is_used());
            let directories = used.clone().filter(|inode| inode.is_directory_like()).count() as u32;
            let reserved = (first..first + per_group.min(InodeNo::FIRST_ORDINARY.get() - 1))
                .filter(|&ino| ino > InodeNo::LOST_FOUND.get() && ino < InodeNo::FIRST_ORDINARY.get());
            let mut used: Vec<usize> =
                used.map(|inode| inode.number).chain(reserved).map(|ino| (ino - first) as usize).collect();
            used.sort_unstable();
            used.dedup();
            let blocks = match &ctx.volume.occupied {
                Some(occupied) => occupied.blocks.expected(group),
                None => ctx.usage.expected(group),
            };
            let places = (info.block_bitmap, info.inode_bitmap, info.inode_table);
            Remake { group: GroupNo(group), desc: info.desc, places, used, directories, blocks }
        })
        .collect();
    // A block of descriptors that cannot be read is written as a whole.
    let blocks: Vec<BlockNo> = unreadable.into_iter().collect();
    batch::run(&mut ctx.volume, &mut ctx.reporter, &blocks, |txn, &block| {
        let empty = vec![0; txn.block_size()];
        txn.stage(block, empty);
        for remake in &remakes {
            if descriptor_place(txn, remake.group).0 == block {
                remake_group(txn, remake);
            }
        }
        Ok(())
    })?;
    let rest: Vec<&Remake> = remakes
        .iter()
        .filter(|remake| !blocks.contains(&descriptor_place(&ctx.volume, remake.group).0))
        .collect();
    batch::run(&mut ctx.volume, &mut ctx.reporter, &rest, |txn, remake| {
        remake_group(txn, remake);
        Ok(())
    })
}

fn remake_group(txn: &mut Transaction<'_>, remake: &Remake) {
    let geometry = txn.geometry.clone();
    let per_group = geometry.inodes_per_group as usize;
    let per_block = (geometry.block_size / geometry.inode_size) as usize;
    let mut map = vec![0; txn.block_size()];
    geometry.fill_inode_bitmap(&mut map);
    remake.used.iter().for_each(|&index| bitmap::set(&mut map, index));
    let mut desc = remake.desc.unwrap_or_else(GroupDesc::empty);
    (desc.block_bitmap, desc.inode_bitmap, desc.inode_table) =
        (U64::new(remake.places.0), U64::new(remake.places.1), U64::new(remake.places.2));
    let free = per_group - remake.used.len();
    desc.free_inodes = U32::new(free as u32);
    desc.directories = U32::new(remake.directories);
    let written = remake.used.last().map_or(0, |last| (last + 1).next_multiple_of(per_block));
    let unused = per_group - written.min(per_group);
    desc.unused_inodes = match remake.desc {
        Some(desc) => U32::new(desc.unused_inodes.get().min(unused as u32)),
        None => U32::new(unused as u32),
    };
    let blocks = geometry.group_blocks(remake.group) as usize;
    desc.free_blocks = U32::new(bitmap::count_clear(&remake.blocks, blocks) as u32);
    desc.flags = U32::new(0);
    desc.reserved = remake.desc.map_or(U64::new(0), |desc| desc.reserved);
    txn.replace_group(remake.group, desc, Some(remake.blocks.clone()), Some(map));
}
