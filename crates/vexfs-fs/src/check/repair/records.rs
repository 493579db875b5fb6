//! Pass 1: inode records.
//!
//! A damaged record is taken from the journal where the log still holds it; else a single bit that turned over is turned back, which its
//! checksum proves; else it is mended field by field, and kept if what it leads to says that it belongs to this inode. Only what is not
//! proven is cleared.

use vexfs_format::codes::InodeKind;
use vexfs_format::extent::{self, NodeEntries, Run};
use vexfs_format::inode::{FLAG_INLINE_TARGET, FLAG_LOST, Inode, MAGIC, ROOT_ENTRIES, Root, TARGET_MAX};
use vexfs_format::{BlockNo, InodeNo, LogicalBlock, dir_block};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use super::super::content::Content;
use super::super::context::Context;
use super::super::extent_walk::Extents;
use super::super::problem::{Fix, Problem};
use super::super::table;
use super::batch;
use super::salvage::{Latest, Ring};
use crate::error::Result;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;
use crate::{dir, inode};

/// What is done to a record.
enum Plan {
    /// It is filled with zeros.
    Clear(InodeNo),
    /// It is filled with zeros and marked as free.
    Free(InodeNo),
    /// It becomes this one.
    Write(Box<Inode>),
    /// It is marked as in use.
    Use(InodeNo),
    /// A block of a table becomes this one.
    Block(BlockNo, Vec<u8>),
    /// The table counts as written up to this inode.
    Written(InodeNo),
    /// A field is corrected.
    Field(InodeNo, fn(&mut Inode) -> bool),
    /// A directory becomes an empty one.
    EmptyDirectory(InodeNo),
}

/// Repairs the records that were decided.
pub(super) fn repair(ctx: &mut Context<'_>) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Record]);
    if accepted.is_empty() {
        return Ok(());
    }
    batch::settle(ctx, &accepted)?;
    let ring = Ring::read(&*ctx.volume.dev, &ctx.volume.sb).latest();
    let mut plans = Vec::new();
    for problem in &accepted {
        if let Some(plan) = plan(ctx, &ring, problem) {
            if let (Plan::Free(ino), true) = (&plan, problem.kind == table::INODE_DAMAGED) {
                ctx.reporter.note(format!("inode {ino} cannot be proven in any part and is cleared"))?;
            }
            plans.push(plan);
        }
    }
    batch::run(&mut ctx.volume, &mut ctx.reporter, &plans, carry_out)
}

fn plan(ctx: &Context<'_>, ring: &Latest, problem: &Problem) -> Option<Plan> {
    let kind = problem.kind;
    if kind == table::INODE_TABLE_UNREADABLE {
        let block = BlockNo(problem.place.block?);
        let image = ring.of(&*ctx.volume.dev, &ctx.volume.sb, block);
        return Some(Plan::Block(block, image.unwrap_or_else(|| vec![0; ctx.volume.block_size()])));
    }
    let ino = InodeNo(problem.place.inode?);
    if kind == table::INODE_DAMAGED || kind == table::INODE_EMPTY {
        let found = recover(ctx, ring, ino);
        return Some(found.map_or(Plan::Free(ino), |inode| Plan::Write(Box::new(inode))));
    }
    if kind == table::RESERVED_RECORD || kind == table::RECORD_LEFT {
        return Some(Plan::Clear(ino));
    }
    if kind == table::RECORD_STALE {
        let is_own = ctx.read_inode(ino.get()).is_some_and(|inode| holds(ctx, &inode) && !is_empty(&inode));
        return Some(if is_own { Plan::Use(ino) } else { Plan::Clear(ino) });
    }
    if kind == table::INODE_UNWRITTEN {
        return ctx.read_inode(ino.get()).map(|_| Plan::Written(ino));
    }
    if kind == table::DIRECTORY_EMPTY {
        // Blocks of names that are mapped behind its end are taken in with the extents.
        let has_names = ctx.read_inode(ino.get()).is_some_and(|inode| holds(ctx, &inode));
        return (!has_names).then_some(Plan::EmptyDirectory(ino));
    }
    let change: fn(&mut Inode) -> bool = match kind {
        // Whatever is stored now is of the running transaction.
        kind if kind == table::INODE_FUTURE => |_| true,
        kind if kind == table::FILE_PARENT => |inode| {
            inode.parent = U64::new(0);
            true
        },
        kind if kind == table::LINK_TARGET => |inode| {
            let end = inode.root.iter().position(|&byte| byte == 0).unwrap_or(inode.root.len());
            inode.root[end..].fill(0);
            inode.size = U64::new(end as u64);
            end > 0
        },
        kind if kind == table::LINK_REST => |inode| {
            let end = (inode.size.get() as usize).min(inode.root.len());
            inode.root[end..].fill(0);
            true
        },
        _ => return None,
    };
    Some(Plan::Field(ino, change))
}

fn carry_out(txn: &mut Transaction<'_>, plan: &Plan) -> Result<()> {
    match plan {
        Plan::Clear(ino) => clear(txn, *ino),
        Plan::Free(ino) => free(txn, *ino),
        Plan::Write(inode) => {
            let mut inode = **inode;
            txn.write_inode(&mut inode)
        }
        Plan::Use(ino) => txn.take_inode(*ino, false),
        Plan::Block(block, bytes) => {
            txn.stage(*block, bytes.clone());
            Ok(())
        }
        Plan::Written(ino) => {
            let place = inode::locate(txn, *ino)?;
            let per_group = txn.geometry.inodes_per_group;
            let per_block = u64::from(txn.geometry.block_size / txn.geometry.inode_size);
            let mut desc = txn.group(place.group)?.desc;
            let written = (place.index + 1).next_multiple_of(per_block).min(per_group);
            let unused = (per_group - written).min(desc.unused_inodes.get().into());
            desc.unused_inodes = U32::new(unused as u32);
            txn.replace_group(place.group, desc, None, None);
            Ok(())
        }
        Plan::Field(ino, change) => {
            let mut inode = inode::read(txn, *ino)?;
            if change(&mut inode) {
                return txn.write_inode(&mut inode);
            }
            free(txn, *ino)
        }
        Plan::EmptyDirectory(ino) => {
            let mut inode = inode::read(txn, *ino)?;
            inode.set_root(&NodeEntries::Leaf(Vec::new()), 0);
            dir::initialise(txn, inode).map(drop)
        }
    }
}

/// Fills a record with zeros, and marks it as free.
pub(super) fn free(txn: &mut Transaction<'_>, ino: InodeNo) -> Result<()> {
    clear(txn, ino)?;
    txn.freed_inodes.push(ino);
    Ok(())
}

/// Fills a record with zeros.
fn clear(txn: &mut Transaction<'_>, ino: InodeNo) -> Result<()> {
    let place = inode::locate(txn, ino)?;
    let size = txn.geometry.inode_size as usize;
    let mut block = txn.read_block(place.block)?.to_vec();
    block[place.offset..place.offset + size].fill(0);
    txn.stage(place.block, block);
    Ok(())
}

/// The record of an inode, by one of the ways that prove it.
fn recover(ctx: &Context<'_>, ring: &Latest, ino: InodeNo) -> Option<Inode> {
    let (block, offset) = ctx.record_place(ino.get())?;
    let (size, blocks, seed) = (ctx.geometry.block_size, ctx.volume.blocks(), ctx.volume.seed());
    let decode = |record: &[u8]| Inode::decode(record, ino, size, blocks, seed).ok();
    let image = ring.of(&*ctx.volume.dev, &ctx.volume.sb, BlockNo(block));
    if let Some(inode) = image.and_then(|bytes| decode(bytes.get(offset as usize..)?)) {
        return Some(inode);
    }
    let bytes = ctx.volume.read_block(BlockNo(block)).ok()?;
    let record = bytes.get(offset as usize..)?.get(..Inode::SIZE)?;
    let mut turned = record.to_vec();
    for bit in 0..turned.len() * 8 {
        turned[bit / 8] ^= 1 << (bit % 8);
        if let Some(inode) = decode(&turned) {
            return Some(inode);
        }
        turned[bit / 8] ^= 1 << (bit % 8);
    }
    let found = Inode::read_from_bytes(record).ok()?;
    let mended = mend(ctx, found, ino)?;
    let mut sealed = found;
    sealed.seal(seed);
    // A record that was sealed is what a writer said, as far as its fields can be.
    let is_sealed = found.magic.get() == MAGIC && sealed.checksum == found.checksum;
    (holds(ctx, &mended) && (is_sealed || !is_empty(&mended))).then_some(mended)
}

/// Whether nothing is lost with an object.
fn is_empty(inode: &Inode) -> bool {
    !inode.has_inline_target() && inode.root_count.get() == 0
}

/// A record with every field in its range.
fn mend(ctx: &Context<'_>, mut inode: Inode, ino: InodeNo) -> Option<Inode> {
    let (size, blocks) = (ctx.geometry.block_size, ctx.volume.blocks());
    if inode.magic.get() != MAGIC && inode.number.get() != ino.get() {
        return None;
    }
    (inode.magic, inode.number) = (U32::new(MAGIC), U64::new(ino.get()));
    let descriptor = inode.descriptor.get();
    let has_descriptor = descriptor > 0 && descriptor < blocks;
    let type_bits = inode.mode.get() & 0o170_000;
    let by_mode = InodeKind::ALL.iter().copied().find(|kind| kind.mode_type() == type_bits);
    let kind = InodeKind::from_code(inode.kind.get()).or(by_mode)?;
    let kind = match kind {
        InodeKind::Collection if !has_descriptor => InodeKind::Directory,
        InodeKind::Directory if has_descriptor => InodeKind::Collection,
        kind => kind,
    };
    inode.kind = U16::new(kind.code());
    inode.mode = U16::new(kind.mode_type() | inode.mode.get() & 0o7777);
    inode.links = U32::new(inode.links.get().max(1));
    inode.blocks = U64::new(inode.blocks.get().min(blocks));
    if kind != InodeKind::Collection {
        inode.descriptor = U64::new(0);
    }
    let is_inline = kind == InodeKind::Symlink && inode.flags.get() & FLAG_INLINE_TARGET != 0;
    let lost = if kind.is_directory_like() { 0 } else { inode.flags.get() & FLAG_LOST };
    inode.flags = U32::new(if is_inline { FLAG_INLINE_TARGET } else { lost });
    let most = match kind {
        InodeKind::Symlink if is_inline => inode.root.len() as u64,
        InodeKind::Symlink => TARGET_MAX,
        _ => (extent::SUMS_BASE - 1) * u64::from(size),
    };
    inode.size = U64::new(inode.size.get().min(most));
    if kind.is_directory_like() {
        inode.size = U64::new(inode.size.get() / u64::from(size) * u64::from(size));
    }
    if kind.is_directory_like() || kind == InodeKind::Stream {
        inode.parent = U64::new(inode.parent.get().max(1));
    }
    if is_inline {
        (inode.root_count, inode.depth) = (U16::new(0), U16::new(0));
    } else {
        mend_root(&mut inode, blocks);
    }
    inode.seal(ctx.volume.seed());
    Inode::decode(inode.as_bytes(), ino, size, blocks, ctx.volume.seed()).ok()
}

/// Keeps the entries of the root area that are in their range and in order.
fn mend_root(inode: &mut Inode, blocks: u64) {
    let count = usize::from(inode.root_count.get()).min(ROOT_ENTRIES);
    let entries = inode.root;
    let entries = entries.chunks_exact(inode.root.len() / ROOT_ENTRIES).take(count);
    if (1..=extent::MAX_DEPTH).contains(&inode.depth.get()) {
        let mut children: Vec<(u64, BlockNo)> = Vec::new();
        for child in entries.filter_map(|entry| extent::decode_index(entry, 1, blocks).ok()).flatten() {
            if children.last().is_none_or(|last| last.0 < child.0) {
                children.push(child);
            }
        }
        let depth = if children.is_empty() { 0 } else { inode.depth.get() };
        inode.set_root(&NodeEntries::Index(children), depth);
    } else {
        let mut runs: Vec<Run> = Vec::new();
        for run in entries.filter_map(|entry| extent::decode_extents(entry, 1, blocks).ok()).flatten() {
            if runs.last().is_none_or(|last| last.logical_end() <= run.logical.get()) {
                runs.push(run);
            }
        }
        inode.set_root(&NodeEntries::Leaf(runs), 0);
    }
}

/// Whether what a record leads to says that it belongs to this inode: a checksum block, a block of names.
fn holds(ctx: &Context<'_>, inode: &Inode) -> bool {
    let seed = ctx.volume.seed();
    let extents = Extents::walk(&ctx.volume, inode);
    if inode.kind().is_directory_like() {
        let logical = LogicalBlock(0);
        return extents.lookup(0).is_some_and(|place| {
            let bytes = ctx.volume.read_block(BlockNo(place));
            bytes.is_ok_and(|bytes| {
                dir_block::decode(&bytes, BlockNo(place), inode.number(), logical, seed).is_ok()
            })
        });
    }
    match inode.root(ctx.volume.blocks()) {
        Ok(Root::Target(target)) => !target.is_empty() && !target.contains(&0),
        _ if is_empty(inode) => true,
        _ => Content::of(ctx, inode).is_some_and(|content| {
            let count = content.blocks.div_ceil(content.per_sums_block()).min(64);
            // Its last block counts what the size says; the others are full whatever that is.
            (0..count.max(1)).any(|index| content.read_any_sums(ctx, index).is_some())
        }),
    }
}
