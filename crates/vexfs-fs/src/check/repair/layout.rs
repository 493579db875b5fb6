//! The superblock against its backups: which of them is right, and the others written anew.
//!
//! The primary is written by every transaction and the backups hardly ever, so where identity or features differ the primary is right.
//! Where it differs in the layout, which never changes, from all backups, and these agree with each other, the primary is wrong.

use vexfs_format::features::COMPAT_VECTOR_ZONE;
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::journal::superblock::JournalSuperblock;
use vexfs_format::superblock::{self, STATE_ERRORS, Superblock};
use vexfs_format::{BlockNo, GroupNo, InodeNo};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::super::context::Context;
use super::super::problem::{Fix, Problem};
use super::super::table;
use super::{batch, raw};
use crate::error::Result;
use crate::inode::read_group;
use crate::probe;
use crate::txn::transaction::Transaction;

/// Brings a primary superblock with another layout than all of its backups in line with them. Returns whether it was one.
pub(super) fn repair(ctx: &mut Context<'_>) -> Result<bool> {
    let accepted = ctx.reporter.accepted();
    if !accepted.iter().any(|problem| problem.kind.fix == Fix::Layout) {
        return Ok(false);
    }
    let Some(right) = outvoted(ctx) else { return Ok(false) };
    // A device that is too short for the wrong layout may be long enough for the right one.
    let is_long_enough = probe::check_length(&*ctx.volume.dev, &right).is_ok();
    if raw::is_blocked(ctx, |kind| kind == table::DEVICE_SHORT && is_long_enough) {
        return Ok(false);
    }
    let now_ns = ctx.volume.now_ns;
    if ctx.volume.journal.pending.contains_key(&BlockNo(0)) {
        // The wrong one is in the log, which would bring it back.
        raw::begin_log(ctx, Some(right), false, now_ns)?;
    } else {
        raw::write_primary(&ctx.volume, right, right.txn.get(), now_ns)?;
    }
    let settled = ctx.reporter.take_accepted(&[Fix::Layout]);
    if let Some(ledger) = ctx.reporter.ledger() {
        ledger.settle(&settled);
    }
    Ok(true)
}

/// What the layout of a superblock consists of.
fn layout(sb: &Superblock) -> ([u64; 15], [u8; 16]) {
    let numbers = [
        sb.block_size.get().into(),
        sb.blocks.get(),
        sb.inodes_per_group.get().into(),
        sb.inode_size.get().into(),
        sb.flex_log2.get().into(),
        sb.descriptor_blocks.get().into(),
        sb.descriptor_table.get(),
        sb.journal_start.get(),
        sb.journal_blocks.get(),
        sb.zone_start.get(),
        sb.zone_blocks.get(),
        sb.head_blocks.get(),
        sb.tail_blocks.get(),
        sb.checksum_seed.get().into(),
        sb.random_seed.get(),
    ];
    (numbers, sb.hash_key)
}

/// The superblock as it should be, where the backups speak against the layout of the one in force.
fn outvoted(ctx: &Context<'_>) -> Option<Superblock> {
    let sb = ctx.volume.sb;
    let dev = &*ctx.volume.dev;
    let mut places = ctx.geometry.backups();
    places.extend(probe::backup_places(dev.len(), sb.block_size.get()));
    places.sort_unstable_by_key(|place| place.get());
    places.dedup();
    let read = |place: &BlockNo| probe::read_superblock(dev, *place, sb.block_size.get()).ok();
    let backups: Vec<Superblock> = places.iter().filter_map(read).collect();
    let first = backups.first()?;
    let is_agreed = backups.iter().all(|copy| layout(copy) == layout(first));
    // A filesystem that was grown has more blocks than its backups knew.
    let is_there = probe::check_length(dev, &sb).is_ok();
    let is_grown = is_there && sb.blocks.get() > first.blocks.get() && {
        let (mut now, was) = (layout(&sb), layout(first));
        now.0[1] = was.0[1];
        now == was
    };
    let is_mine = first.uuid == sb.uuid || first.created_ns == sb.created_ns;
    if !is_agreed || layout(first) == layout(&sb) || is_grown || !is_mine {
        return None;
    }
    let mut right = *first;
    (right.label, right.uuid) = (sb.label, sb.uuid);
    (right.feature_compat, right.feature_ro_compat) = (sb.feature_compat, sb.feature_ro_compat);
    (right.state, right.txn, right.checked_ns) = (sb.state, sb.txn, sb.checked_ns);
    (right.error_count, right.error_ns, right.error_block) = (sb.error_count, sb.error_ns, sb.error_block);
    (right.reserved_blocks, right.reserved_changing) = (sb.reserved_blocks, sb.reserved_changing);
    if sb.inodes == right.inodes && sb.blocks == right.blocks {
        (right.free_blocks, right.free_inodes) = (sb.free_blocks, sb.free_inodes);
    }
    // Several against one are right; one against one is where more of what it leads to is sound.
    let is_right = backups.len() > 1 || evidence(ctx, &right) > evidence(ctx, &sb);
    is_right.then_some(right)
}

/// How much of what a superblock leads to is sound: journal, group descriptors, root directory.
fn evidence(ctx: &Context<'_>, sb: &Superblock) -> u64 {
    let dev = &*ctx.volume.dev;
    let size = u64::from(sb.block_size.get());
    let mut head = vec![0; JournalSuperblock::SIZE];
    let run = sb.geometry().journal;
    let is_read = run.start.checked_mul(size).is_some_and(|at| dev.read_at(at, &mut head).is_ok());
    let journal = is_read && JournalSuperblock::decode(&head, run, sb.seed()).is_ok();
    let mut table = vec![0; size as usize];
    let is_read = dev.read_at(sb.descriptor_table.get().saturating_mul(size), &mut table).is_ok();
    let groups = (0..u64::from(sb.groups.get())).zip(table.chunks_exact(GroupDesc::SIZE));
    let sound = groups.filter(|(group, bytes)| {
        let places = sb.geometry().group_metadata(GroupNo(*group));
        GroupDesc::decode(bytes, GroupNo(*group), sb)
            .is_ok_and(|desc| desc.inode_table.get() == places.2.get())
    });
    let tail = probe::read_superblock(dev, sb.geometry().tail_backup(), sb.block_size.get()).is_ok();
    u64::from(journal) * 1000 + if is_read { sound.count() as u64 } else { 0 } + u64::from(tail)
}

/// Corrects fields of the superblock that no layout depends on.
pub(super) fn repair_fields(ctx: &mut Context<'_>) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Fields]);
    batch::apply(ctx, &accepted, |txn, problem| {
        let sb = &mut txn.sb;
        if problem.kind == table::STATE_BITS {
            sb.state = U32::new(sb.state.get() & STATE_ERRORS);
        } else if problem.kind == table::ROOT_NUMBER {
            sb.root_inode = U64::new(InodeNo::ROOT.get());
        } else {
            let feature = if sb.zone_blocks.get() > 0 { COMPAT_VECTOR_ZONE } else { 0 };
            sb.feature_compat = U64::new(sb.feature_compat.get() & !COMPAT_VECTOR_ZONE | feature);
        }
        txn.stage_superblock()
    })
}

/// Writes backup superblocks and copies of the group descriptors anew. By then no object uses their blocks any more.
pub(super) fn repair_copies(ctx: &mut Context<'_>) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Layout, Fix::Backups, Fix::Copies]);
    let groups = ctx.groups.len() as u64;
    batch::apply(ctx, &accepted, |txn, problem| {
        let Some(block) = problem.place.block else { return Ok(()) };
        match problem.kind.fix {
            Fix::Copies => write_table(txn, block, problem, groups),
            _ => write_backup(txn, BlockNo(block)),
        }
    })
}

fn write_backup(txn: &mut Transaction<'_>, place: BlockNo) -> Result<()> {
    use crate::source::BlockSource;
    let mut bytes = vec![0; txn.block_size()];
    let mut copy = txn.sb;
    copy.state = U32::new(0);
    let copy = copy.backup(place);
    bytes[superblock::OFFSET..superblock::OFFSET + Superblock::SIZE].copy_from_slice(copy.as_bytes());
    txn.stage(place, bytes);
    Ok(())
}

/// Writes a copy of the descriptor table; a copy says where bitmaps and tables are, no more.
fn write_table(txn: &mut Transaction<'_>, start: u64, problem: &Problem, groups: u64) -> Result<()> {
    use crate::source::BlockSource;
    let per_block = (txn.block_size() / GroupDesc::SIZE) as u64;
    for index in 0..problem.place.blocks.unwrap_or(0) {
        let mut bytes = vec![0; txn.block_size()];
        let from = index * per_block;
        for (slot, group) in bytes.chunks_exact_mut(GroupDesc::SIZE).zip(from..groups) {
            slot.copy_from_slice(read_group(txn, GroupNo(group))?.as_bytes());
        }
        txn.stage(BlockNo(start + index), bytes);
    }
    Ok(())
}
