//! The inode table of a group: which records are in use, and whether they are sound.

use vexfs_format::bitmap;
use vexfs_format::group_desc::{INODE_BITMAP_UNINIT, inode_bitmap_checksum};
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, GroupNo, InodeNo};

use super::super::context::Context;
use super::super::inodes::{InodeInfo, State};
use super::super::problem::Problem;
use super::super::table;
use super::objects;
use crate::error::Result;
use crate::source::BlockSource;

/// Blocks of a table that are read at a time.
const CHUNK_BLOCKS: u64 = 64;

/// Reads the records of `group` and gathers those in use.
pub(super) fn scan(ctx: &mut Context<'_>, group: GroupNo) -> Result<()> {
    let info = ctx.groups[group.get() as usize];
    if info.desc.is_some_and(|desc| desc.flags.get() & INODE_BITMAP_UNINIT != 0) {
        return Ok(());
    }
    let bits = read_bitmap(ctx, group)?;
    let per_group = ctx.geometry.inodes_per_group;
    let unused = info.desc.map_or(0, |desc| desc.unused_inodes.get().into());
    let written = per_group.saturating_sub(unused);
    // What is marked as in use is read, wherever it is.
    let last_used = bits.as_deref().map_or(0, |bits| {
        (0..per_group).rev().find(|&n| bitmap::get(bits, n as usize)).map_or(0, |last| last + 1)
    });
    let scan = Scan { group, bits, written, first_ino: group.get() * per_group + 1 };
    let record_size = u64::from(ctx.geometry.inode_size);
    let per_block = ctx.volume.block_size() as u64 / record_size;
    let blocks = written.max(last_used).div_ceil(per_block);
    let mut at = 0;
    while at < blocks {
        let count = CHUNK_BLOCKS.min(blocks - at);
        let chunk = ctx.read_blocks(info.inode_table + at, count);
        for (index, reason) in &chunk.unreadable {
            let problem = Problem::new(table::INODE_TABLE_UNREADABLE).group(group.get());
            ctx.report(problem.block(info.inode_table + at + index).found(reason))?;
        }
        for (n, record) in (0..count * per_block).zip(chunk.bytes.chunks_exact(record_size as usize)) {
            let is_readable = chunk.unreadable.iter().all(|(index, _)| *index != n / per_block);
            let index = at * per_block + n;
            if index < per_group {
                let place = (info.inode_table + at + n / per_block, n % per_block * record_size);
                scan.record(ctx, index, record, is_readable, place)?;
            }
        }
        at += count;
    }
    Ok(())
}

/// The inode bitmap of a group, or `None` when it is damaged: then the records speak for themselves.
fn read_bitmap(ctx: &mut Context<'_>, group: GroupNo) -> Result<Option<Vec<u8>>> {
    let info = ctx.groups[group.get() as usize];
    let Some(desc) = info.desc else { return Ok(None) };
    let at = |kind| Problem::new(kind).group(group.get()).block(info.inode_bitmap);
    let map = match ctx.read_block(info.inode_bitmap) {
        Ok(map) => map,
        Err(reason) => {
            ctx.report(at(table::INODE_BITMAP_UNREADABLE).found(reason))?;
            return Ok(None);
        }
    };
    let stored = desc.inode_bitmap_checksum.get();
    let computed = inode_bitmap_checksum(ctx.volume.seed(), group, &map);
    if stored != computed {
        let found = vexfs_format::Damage::Checksum { stored, computed };
        ctx.report(at(table::INODE_BITMAP_DAMAGED).found(found))?;
        return Ok(None);
    }
    Ok(Some(map.to_vec()))
}

struct Scan {
    group: GroupNo,
    bits: Option<Vec<u8>>,
    /// Records that were ever written.
    written: u64,
    /// Inode of record 0.
    first_ino: u64,
}

impl Scan {
    fn record(
        &self,
        ctx: &mut Context<'_>,
        index: u64,
        record: &[u8],
        is_readable: bool,
        (block, offset): (u64, u64),
    ) -> Result<()> {
        let ino = self.first_ino + index;
        let bit = self.bits.as_deref().map(|bits| bitmap::get(bits, index as usize));
        let at = |kind| Problem::new(kind).inode(ino).group(self.group.get()).block(block).byte(offset);
        let is_reserved = ino > InodeNo::LOST_FOUND.get() && ino < InodeNo::FIRST_ORDINARY.get();
        if is_reserved {
            if Inode::looks_used(record) {
                ctx.report(at(table::RESERVED_RECORD))?;
            }
            return Ok(());
        }
        if bit == Some(true) && index >= self.written {
            ctx.report(at(table::INODE_UNWRITTEN))?;
        }
        if !Inode::looks_used(record) && bit != Some(true) {
            return Ok(());
        }
        let (size, blocks) = (ctx.geometry.block_size, ctx.volume.blocks());
        let decoded = Inode::decode(record, InodeNo(ino), size, blocks, ctx.volume.seed());
        match (decoded, bit) {
            (Ok(inode), Some(false)) => {
                ctx.inodes.push(summary(&inode, State::Candidate));
            }
            (Ok(inode), _) => {
                ctx.inodes.push(summary(&inode, State::InUse));
                objects::inspect(ctx, &inode, BlockNo(block), offset)?;
            }
            (Err(corrupt), Some(false)) if index < self.written => {
                ctx.report(at(table::RECORD_LEFT).found(corrupt.damage))?;
            }
            (Err(_), Some(false)) => {}
            (Err(corrupt), _) => {
                let damaged = InodeInfo {
                    number: ino,
                    parent: 0,
                    links: 0,
                    entries: 0,
                    kind: None,
                    state: State::InUse,
                };
                ctx.inodes.push(damaged);
                if record.iter().all(|&b| b == 0) {
                    // A block that cannot be read was reported as a whole.
                    if is_readable {
                        ctx.report(at(table::INODE_EMPTY))?;
                    }
                } else {
                    ctx.report(at(table::INODE_DAMAGED).found(corrupt.damage))?;
                }
            }
        }
        Ok(())
    }
}

fn summary(inode: &Inode, state: State) -> InodeInfo {
    let kind = inode.kind();
    let has_parent = kind.is_directory_like() || kind == vexfs_format::codes::InodeKind::Stream;
    InodeInfo {
        number: inode.number().get(),
        parent: if has_parent { inode.parent.get() } else { 0 },
        links: inode.links.get(),
        entries: 0,
        kind: Some(kind),
        state,
    }
}
