//! Pass 5: bitmaps, counters, collections and the contents of files.
//!
//! Verifies: the bitmaps and counters of each group against everything that was gathered; the totals of the superblock; that each
//! collection has its streams, with ids, keys and payload that agree with its descriptor; as far as asked, the contents of every file against
//! their checksums; that each index is whole and of the rows of its collection.
//!
//! Gathers: the summary.

mod groups;
mod ids;
pub(super) mod indexes;
mod keys;
mod numbers;
mod payload;
mod rows;
mod streams;

use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{STREAM_PAYLOAD, STREAM_VECTORS};

use super::content::Content;
use super::context::{Context, STREAMS};
use super::inodes::InodeInfo;
use super::{DataLevel, data};
use crate::error::Result;
use crate::source::BlockSource;
pub(super) use payload::is_object;
pub(super) use rows::Namer;

/// How often the device is read at most, where objects share blocks.
const MAX_READS: u64 = 4;

pub(super) fn run(ctx: &mut Context<'_>) -> Result<()> {
    let mut steps = check_groups(ctx)?;
    check_streams(ctx)?;
    check_contents(ctx, &mut steps)?;
    check_indexes(ctx)
}

/// Bitmaps and counters.
pub(super) fn check_groups(ctx: &mut Context<'_>) -> Result<Steps> {
    let groups = ctx.group_count();
    let contents = match ctx.data {
        DataLevel::None => 0,
        DataLevel::Meta => ctx.inodes.len() as u64,
        DataLevel::Full => ctx.mapped,
    };
    let budget = ctx.volume.blocks().saturating_mul(MAX_READS);
    let mut steps = Steps { done: 0, total: groups.saturating_add(contents), budget };
    steps.add(ctx, 0)?;
    groups::run(ctx, &mut steps)?;
    Ok(steps)
}

/// The streams of collections against their descriptors.
pub(super) fn check_streams(ctx: &mut Context<'_>) -> Result<()> {
    for index in 0..ctx.collections.len() {
        let collection = ctx.collections[index].clone();
        streams::check(ctx, &collection)?;
    }
    Ok(())
}

/// The contents of files and streams, as far as asked.
pub(super) fn check_contents(ctx: &mut Context<'_>, steps: &mut Steps) -> Result<()> {
    if ctx.data > DataLevel::None {
        for index in 0..ctx.inodes.len() {
            let info = *ctx.inodes.at(index);
            read_contents(ctx, &info, steps)?;
        }
    }
    // What is mapped twice, or not at all, makes the sum differ.
    steps.done = steps.total;
    steps.add(ctx, 0)
}

/// The indexes of collections, after the blocks of their images.
pub(super) fn check_indexes(ctx: &mut Context<'_>) -> Result<()> {
    for index in 0..ctx.collections.len() {
        if ctx.collections[index].index > 0 {
            let collection = ctx.collections[index].clone();
            indexes::check(ctx, &collection)?;
        }
    }
    Ok(())
}

/// How far the pass has come.
pub(super) struct Steps {
    done: u64,
    total: u64,
    /// Blocks of contents that may still be read: more than the device has are the same ones again, which was reported.
    budget: u64,
}

impl Steps {
    pub(super) fn add(&mut self, ctx: &mut Context<'_>, steps: u64) -> Result<()> {
        self.done = self.done.saturating_add(steps).min(self.total);
        ctx.progress(5, self.done, self.total)
    }
}

/// Reads as much of an object's contents as was asked for.
fn read_contents(ctx: &mut Context<'_>, info: &InodeInfo, steps: &mut Steps) -> Result<()> {
    let has_contents = matches!(info.kind, Some(InodeKind::File | InodeKind::Stream | InodeKind::Symlink));
    if !has_contents || !info.is_used() {
        return if ctx.data == DataLevel::Meta { steps.add(ctx, 1) } else { Ok(()) };
    }
    let collection = ctx.collections.binary_search_by_key(&info.parent, |c| c.ino).ok();
    let stream = collection.and_then(|index| {
        ctx.collections[index].streams.iter().position(|&ino| ino == info.number).map(|n| (index, n))
    });
    let Some(content) = Content::open(ctx, info.number) else { return Ok(()) };
    // What describes rows, or shortens the way to them, is read also where rows are not.
    let is_data = |name: &str| [STREAM_VECTORS, STREAM_PAYLOAD].contains(&name);
    let describes_rows = content.is_of_index || stream.is_some_and(|(_, n)| !is_data(STREAMS[n]));
    let Some(left) = steps.budget.checked_sub(content.extents.blocks()) else { return Ok(()) };
    steps.budget = left;
    if ctx.data == DataLevel::Full || describes_rows {
        let rows = stream.filter(|&(_, n)| n == 0).map(|(index, _)| ctx.collections[index].clone());
        let mut namer = rows.map(|collection| rows::Namer::new(ctx, &collection));
        data::verify(ctx, &content, |ctx, blocks, faults| {
            if let Some(namer) = &mut namer {
                namer.name(ctx, &content, faults)?;
            }
            steps.add(ctx, if ctx.data == DataLevel::Full { blocks } else { 0 })
        })?;
    } else {
        data::verify_sums(ctx, &content)?;
    }
    if ctx.data == DataLevel::Meta {
        steps.add(ctx, 1)?;
    }
    Ok(())
}
