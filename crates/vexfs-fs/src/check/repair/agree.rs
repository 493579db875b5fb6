//! Pass 5: what the descriptor of a collection and its streams prove of each other, before rows are taken as lost.
//!
//! Every stream says by its length how many rows there are, and so does the descriptor. What most of them agree on decides: a stream
//! that lies under another name gets its own back, a descriptor with another length of rows is corrected where the checksums of rows
//! prove it, and a length that was cut short is restored while the blocks are still mapped.

use std::collections::BTreeMap;

use vexfs_format::InodeNo;
use vexfs_format::codes::{DType, InodeKind};
use vexfs_format::collection::{
    CollectionDesc, DIM_MAX, FLAG_IDS, FLAG_KEYS, STREAM_ROW_SUMS, STREAM_VECTORS, row_checksum,
};

use super::super::content::Content;
use super::super::context::{CollectionInfo, Context, STREAMS};
use super::mapping::{self, Mend};
use super::salvage::Ring;
use super::{batch, connect, streams};
use crate::dir;
use crate::error::Result;
use crate::source::BlockSource;

/// Rows whose checksums are looked at to prove a length of rows.
const PROVING_ROWS: u64 = 16;

/// Brings in line what can be without a loss. Returns whether something was.
pub(super) fn repair(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<bool> {
    Ok(rename(ctx, collection)? || correct_rows(ctx, collection)? || restore_sizes(ctx, collection)?)
}

/// Gives streams their names back that lie in the collection under names that the format does not define.
fn rename(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<bool> {
    let Some(directory) = ctx.read_inode(collection.ino) else { return Ok(false) };
    let entries = dir::list(&ctx.volume, &directory).unwrap_or_default();
    let mut known = collection.clone();
    let mut names: Vec<(Vec<u8>, InodeNo, &'static str)> = Vec::new();
    let is_other = |name: &[u8]| STREAMS.iter().all(|stream| stream.as_bytes() != name);
    for entry in entries.into_iter().filter(|entry| entry.kind == InodeKind::Stream && is_other(&entry.name))
    {
        let Some(name) = connect::stream_name(ctx, &known, entry.inode) else { continue };
        if let Some(stream) = STREAMS.iter().position(|stream| *stream == name) {
            known.streams[stream] = entry.inode.get();
            names.push((entry.name, entry.inode, name));
        }
    }
    let ino = InodeNo(collection.ino);
    batch::run(&mut ctx.volume, &mut ctx.reporter, &names, |txn, (old, stream, name)| {
        dir::remove(txn, ino, old)?;
        dir::insert(txn, ino, name.as_bytes(), *stream, InodeKind::Stream)
    })?;
    Ok(!names.is_empty())
}

/// The lengths of all streams; `None` for one that is missing.
fn sizes(ctx: &Context<'_>, collection: &CollectionInfo) -> [Option<u64>; STREAMS.len()] {
    collection.streams.map(|ino| {
        let inode = if ino == 0 { None } else { ctx.read_inode(ino) };
        inode.map(|inode| inode.size.get())
    })
}

/// How many rows there are by the descriptor and by the lengths of streams that have something of a fixed length for each; with the
/// number of those that say so.
fn votes(desc: &CollectionDesc, sizes: &[Option<u64>; STREAMS.len()]) -> BTreeMap<u64, u32> {
    let with = |flag, size: Option<u64>| size.filter(|_| desc.has(flag)).map(|size| size / 8);
    let others = [
        Some(desc.rows.get()),
        sizes[1].map(|size| size / 4),
        with(FLAG_IDS, sizes[2]),
        with(FLAG_KEYS, sizes[4]),
        with(FLAG_KEYS, sizes[5]),
    ];
    let mut votes = BTreeMap::new();
    for rows in others.into_iter().flatten() {
        *votes.entry(rows).or_default() += 1;
    }
    votes
}

/// What at least two of them say, and no others as often.
fn agreed(votes: &BTreeMap<u64, u32>) -> Option<u64> {
    let (&rows, &most) = votes.iter().max_by_key(|&(_, &count)| count)?;
    let is_only = votes.values().filter(|&&count| count == most).count() == 1;
    (most >= 2 && is_only).then_some(rows)
}

/// Corrects dimension and element type where the vectors have another length than they say, and checksums of rows prove which.
fn correct_rows(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<bool> {
    let desc = &collection.desc;
    let sizes = sizes(ctx, collection);
    let (Some(vectors), Some(rows)) = (sizes[0], agreed(&votes(desc, &sizes))) else { return Ok(false) };
    let Some(row_bytes) = vectors.checked_div(rows) else { return Ok(false) };
    let is_length = vectors > 0 && vectors % rows == 0 && row_bytes <= DType::F32.row_bytes(DIM_MAX);
    if !is_length || row_bytes == desc.row_bytes() || !are_rows(ctx, collection, row_bytes, rows) {
        return Ok(false);
    }
    let ring = Ring::read(&*ctx.volume.dev, &ctx.volume.sb).latest();
    let logged = streams::logged_descriptor(ctx, &ring, collection.ino);
    let logged = logged.filter(|logged| logged.row_bytes() == row_bytes);
    let by_lengths = || {
        streams::agreeing(**desc, |name| match name {
            STREAM_VECTORS => Some(vectors),
            STREAM_ROW_SUMS => Some(rows * 4),
            _ => None,
        })
    };
    let Some(right) = logged.or_else(by_lengths) else { return Ok(false) };
    let (dim, dtype) = (right.dim, right.dtype);
    batch::run(&mut ctx.volume, &mut ctx.reporter, &[()], |txn, ()| {
        streams::edit(txn, collection, |desc| (desc.dim, desc.dtype) = (dim, dtype))
    })?;
    Ok(true)
}

/// Whether the first rows of `row_bytes` each agree with the checksums of rows.
fn are_rows(ctx: &Context<'_>, collection: &CollectionInfo, row_bytes: u64, rows: u64) -> bool {
    let dev = &*ctx.volume.dev;
    let open = |stream: usize| Content::open(ctx, collection.streams[stream]);
    let (Some(vectors), Some(sums)) = (open(0), open(1)) else { return false };
    let count = rows.min(PROVING_ROWS);
    let bytes = vectors.verified(dev, 0..count * row_bytes);
    let (Some(bytes), Some(sums)) = (bytes, sums.verified(dev, 0..count * 4)) else { return false };
    let (seed, ino) = (ctx.volume.seed(), InodeNo(collection.ino));
    bytes
        .chunks_exact(row_bytes as usize)
        .zip(sums.as_chunks::<4>().0)
        .all(|(row, sum)| row_checksum(seed, ino, row).to_le_bytes() == *sum)
}

/// Gives streams the lengths back that the others agree on, where the blocks for them are mapped.
fn restore_sizes(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<bool> {
    let sizes = sizes(ctx, collection);
    let Some(rows) = agreed(&votes(&collection.desc, &sizes)) else { return Ok(false) };
    let mut desc = *collection.desc;
    desc.rows = rows.into();
    let mut longer: Vec<(InodeNo, Mend)> = Vec::new();
    for ((&ino, size), (name, length)) in
        collection.streams.iter().zip(sizes).zip(STREAMS.iter().zip(streams::lengths(&desc)))
    {
        let (Some(size), Some(length)) = (size, length) else { continue };
        let needed = length.div_ceil(u64::from(ctx.geometry.block_size));
        // How long the text of the keys is only its ends say.
        if size >= length || *name == vexfs_format::collection::STREAM_KEYS {
            continue;
        }
        let mapped = Content::open(ctx, ino)
            .map(|content| content.extents.range(0, needed).map(|(_, _, len)| len).sum::<u64>());
        if mapped == Some(needed) {
            longer.push((InodeNo(ino), Mend { size: Some(length), ..Mend::default() }));
        }
    }
    batch::run(&mut ctx.volume, &mut ctx.reporter, &longer, |txn, (ino, mend)| {
        mapping::mend(txn, *ino, mend)
    })?;
    Ok(!longer.is_empty())
}
