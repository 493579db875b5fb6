//! One object: its record against its extents, and its blocks against those of everybody else.

use std::sync::Arc;

use vexfs_format::codes::InodeKind;
use vexfs_format::collection::CollectionDesc;
use vexfs_format::extent::SUMS_BASE;
use vexfs_format::geometry::BlockRun;
use vexfs_format::inode::{Inode, Root};
use vexfs_format::{BlockNo, FormatError, sums};

use super::super::context::{CollectionInfo, Context, STREAMS};
use super::super::extent_walk::Extents;
use super::super::inodes::State;
use super::super::problem::{Kind, Problem};
use super::super::table;
use crate::error::Result;
use crate::source::BlockSource;

/// Takes an inode that is marked as free into use after all, because a name leads to it.
pub(in crate::check) fn admit(ctx: &mut Context<'_>, index: usize) -> Result<()> {
    let number = ctx.inodes.at(index).number;
    ctx.inodes.at_mut(index).state = State::Admitted;
    // It was read and accepted a moment ago; a device that fails in between has nothing more to say about it.
    let (Some((block, offset)), Some(found)) = (ctx.record_place(number), ctx.read_inode(number)) else {
        return Ok(());
    };
    inspect(ctx, &found, BlockNo(block), offset)
}

/// Checks an inode that was accepted, and claims its blocks. Its record lies at byte `offset` of `block`.
pub(super) fn inspect(ctx: &mut Context<'_>, inode: &Inode, block: BlockNo, offset: u64) -> Result<()> {
    let mut object = Object { inode, block: block.get(), offset, extents: Extents::walk(&ctx.volume, inode) };
    object.check_record(ctx)?;
    let is_whole = object.extents.problems.is_empty();
    for problem in std::mem::take(&mut object.extents.problems) {
        ctx.report(problem)?;
    }
    object.check_mapping(ctx)?;
    let descriptor = u64::from(inode.descriptor.get() > 0);
    let counted = object.extents.blocks() + descriptor;
    if is_whole && inode.blocks.get() != counted {
        let problem = object.at(table::BLOCK_COUNT).found(inode.blocks.get()).expected(counted);
        ctx.report(problem)?;
    }
    object.claim(ctx)?;
    ctx.mapped = ctx.mapped.saturating_add(counted);
    if inode.kind() == InodeKind::Collection {
        object.read_collection(ctx)?;
    }
    Ok(())
}

struct Object<'a> {
    inode: &'a Inode,
    /// Where its record lies.
    block: u64,
    offset: u64,
    extents: Extents,
}

impl Object<'_> {
    fn at(&self, kind: &'static Kind) -> Problem {
        Problem::new(kind).inode(self.inode.number().get()).block(self.block).byte(self.offset)
    }

    fn check_record(&self, ctx: &mut Context<'_>) -> Result<()> {
        let inode = self.inode;
        let (txn, next) = (inode.txn.get(), ctx.volume.next_txn().get());
        if txn >= next {
            ctx.report(self.at(table::INODE_FUTURE).found(txn).expected(next))?;
        }
        match inode.kind() {
            kind @ (InodeKind::File | InodeKind::Symlink) => {
                if inode.parent.get() != 0 {
                    let problem = self.at(table::FILE_PARENT).name(kind.name()).found(inode.parent.get());
                    ctx.report(problem)?;
                }
                if let Ok(Root::Target(target)) = inode.root(ctx.volume.blocks()) {
                    if target.contains(&0) {
                        ctx.report(self.at(table::LINK_TARGET))?;
                    }
                    if inode.root[target.len()..].iter().any(|&byte| byte != 0) {
                        ctx.report(self.at(table::LINK_REST))?;
                    }
                }
            }
            kind if kind.is_directory_like() && inode.size.get() == 0 => {
                ctx.report(self.at(table::DIRECTORY_EMPTY).name(kind.name()))?;
            }
            _ => {}
        }
        Ok(())
    }

    /// What is mapped must be what the size says, in the data range and in the checksum range.
    fn check_mapping(&self, ctx: &mut Context<'_>) -> Result<()> {
        let block_size = ctx.volume.block_size();
        let data = match self.inode.has_inline_target() {
            true => 0,
            false => self.inode.size.get().div_ceil(block_size as u64),
        };
        let sums = match self.inode.kind().is_directory_like() {
            true => 0,
            false => data.div_ceil(sums::capacity(block_size)),
        };
        for (base, count, hole, beyond) in [
            (0, data, table::MAP_HOLE, table::MAP_BEYOND),
            (SUMS_BASE, sums, table::SUMS_HOLE, table::SUMS_BEYOND),
        ] {
            let mut next = base;
            let mut extra: Option<(u64, u64, u64)> = None;
            for (logical, block, len) in self.extents.range(base, base + SUMS_BASE) {
                if logical > next && next < base + count {
                    let end = logical.min(base + count);
                    self.report_range(ctx, hole, next - base..end - base, count)?;
                }
                next = logical + len;
                if next > base + count {
                    let from = logical.max(base + count);
                    let (first, block, _) = extra.unwrap_or((from, block + (from - logical), 0));
                    extra = Some((first, block, next));
                }
            }
            if next < base + count {
                self.report_range(ctx, hole, next - base..count, count)?;
            }
            if let Some((first, block, end)) = extra {
                let range = range_text(first - base..end - base);
                ctx.report(self.at(beyond).found(range).expected(count).block(block).byte(0))?;
            }
        }
        Ok(())
    }

    fn report_range(
        &self,
        ctx: &mut Context<'_>,
        kind: &'static Kind,
        range: std::ops::Range<u64>,
        count: u64,
    ) -> Result<()> {
        ctx.report(self.at(kind).found(range_text(range)).expected(count))
    }

    fn claim(&self, ctx: &mut Context<'_>) -> Result<()> {
        let ino = self.inode.number().get();
        let nodes = self.extents.nodes.iter().map(|&node| BlockRun { start: node, len: 1 });
        let runs = self.extents.runs.iter().map(|r| BlockRun { start: r.start.get(), len: r.len.into() });
        let descriptor = Some(self.inode.descriptor.get()).filter(|&block| block > 0);
        let descriptor = descriptor.map(|block| BlockRun { start: block, len: 1 });
        for run in nodes.chain(runs).chain(descriptor) {
            let claim = ctx.usage.claim(run);
            if claim.given_up {
                if ctx.shared.give_up() {
                    ctx.report(self.at(table::BLOCKS_GIVEN_UP))?;
                }
                return Ok(());
            }
            for taken in claim.taken {
                self.report_taken(ctx, taken, ino)?;
            }
        }
        Ok(())
    }

    /// Tells whether a run that is taken belongs to the filesystem itself or to another object.
    fn report_taken(&self, ctx: &mut Context<'_>, taken: BlockRun, ino: u64) -> Result<()> {
        let mut at = taken.start;
        let own: Vec<BlockRun> = ctx.usage.fixed_in(taken.start, taken.end()).collect();
        for run in own.iter().chain([&BlockRun { start: taken.end(), len: 0 }]) {
            if run.start > at {
                ctx.shared.add(BlockRun { start: at, len: run.start - at }, ino);
                let problem = Problem::new(table::BLOCKS_SHARED).inode(ino).blocks(at, run.start - at);
                ctx.report(problem)?;
            }
            if run.len > 0 {
                ctx.report(Problem::new(table::BLOCKS_FIXED).inode(ino).blocks(run.start, run.len))?;
            }
            at = run.end();
        }
        Ok(())
    }

    fn read_collection(&self, ctx: &mut Context<'_>) -> Result<()> {
        let (ino, place) = (self.inode.number(), self.inode.descriptor.get());
        let at = |kind| Problem::new(kind).inode(ino.get()).block(place);
        let bytes = match ctx.read_block(place) {
            Ok(bytes) => bytes,
            Err(reason) => return ctx.report(at(table::COLLECTION_UNREADABLE).found(reason)),
        };
        match CollectionDesc::decode(&bytes, BlockNo(place), ino, ctx.volume.seed()) {
            Ok(desc) => {
                ctx.reporter.report.summary.collections += 1;
                ctx.reporter.report.summary.vectors =
                    ctx.reporter.report.summary.vectors.saturating_add(desc.live_rows.get());
                let info = CollectionInfo {
                    ino: ino.get(),
                    desc: Arc::new(desc),
                    streams: [0; STREAMS.len()],
                    index: 0,
                };
                // In order of the inodes, also for one that is found late.
                let place = ctx.collections.partition_point(|c| c.ino < info.ino);
                ctx.collections.insert(place, info);
                Ok(())
            }
            Err(FormatError::Corrupt(corrupt)) => {
                ctx.report(at(table::COLLECTION_DAMAGED).found(corrupt.damage))
            }
            Err(FormatError::Incompatible(e)) => ctx.report(at(table::COLLECTION_FEATURES).found(e)),
        }
    }
}

/// `7` or `7 to 9`.
fn range_text(range: std::ops::Range<u64>) -> String {
    match range.end - range.start {
        1 => range.start.to_string(),
        _ => format!("{} to {}", range.start, range.end - 1),
    }
}
