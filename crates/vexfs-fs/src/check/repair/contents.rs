//! Pass 5: contents that do not agree with their checksums.
//!
//! What is derived is computed anew. Rows that are lost are saved and deleted, and only then do their blocks get checksums again.
//! Files keep their bytes and their checksums as they are, and are marked: whoever reads the damaged part still gets an error.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use vexfs_format::InodeNo;
use vexfs_format::collection::{
    STREAM_DELETED, STREAM_IDS, STREAM_KEY_ENDS, STREAM_KEY_HASHES, STREAM_KEYS, STREAM_PAYLOAD,
    STREAM_PAYLOAD_ENDS, STREAM_ROW_SUMS,
};
use vexfs_format::inode::FLAG_LOST;
use zerocopy::little_endian::U32;

use super::super::content::Content;
use super::super::context::{CollectionInfo, Context, STREAMS};
use super::super::pass5::Namer;
use super::super::problem::{Fix, Problem};
use super::super::table;
use super::mapping::{self, Mend};
use super::{batch, payload, rows, streams};
use crate::error::Result;
use crate::inode;

/// What was decided about the contents of one object.
#[derive(Default)]
struct Faults {
    /// Logical blocks that do not agree with their checksums, or cannot be read.
    blocks: BTreeSet<u64>,
    /// Checksum blocks that are damaged.
    sums: BTreeSet<u64>,
    has_tail: bool,
}

/// Repairs the contents that were decided.
pub(super) fn repair(ctx: &mut Context<'_>) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Rows, Fix::Contents]);
    if accepted.is_empty() {
        return Ok(());
    }
    batch::settle(ctx, &accepted)?;
    let mut objects: BTreeMap<u64, Faults> = BTreeMap::new();
    let mut lost: BTreeMap<u64, Vec<&Problem>> = BTreeMap::new();
    for problem in &accepted {
        let Some(ino) = problem.place.inode else { continue };
        if problem.kind == table::ROWS_LOST || problem.kind == table::ROWS_UNPROVEN {
            lost.entry(ino).or_default().push(problem);
            continue;
        }
        let faults = objects.entry(ino).or_default();
        let name = problem.name.as_deref().unwrap_or_default();
        if problem.kind == table::TAIL {
            faults.has_tail = true;
        } else if problem.kind == table::SUMS_DAMAGED || problem.kind == table::SUMS_UNREADABLE {
            faults.sums.extend(name.parse::<u64>().ok());
        } else {
            faults.blocks.extend(range(name));
        }
    }
    // Rows may be lost in a stream of which only the checksums are damaged.
    for ino in lost.keys() {
        if let Ok(index) = ctx.collections.binary_search_by_key(ino, |c| c.ino) {
            objects.entry(ctx.collections[index].streams[0]).or_default();
        }
    }
    for (ino, faults) in objects {
        let parent = ctx.inodes.get(ino).map_or(0, |info| info.parent);
        let collection = ctx.collections.binary_search_by_key(&parent, |c| c.ino).ok();
        let collection = collection.map(|index| ctx.collections[index].clone());
        let stream = collection.as_ref().and_then(|c| c.streams.iter().position(|&stream| stream == ino));
        match (collection, stream) {
            (Some(collection), Some(stream)) => {
                let rows = lost.remove(&collection.ino).unwrap_or_default();
                repair_stream(ctx, &collection, STREAMS[stream], InodeNo(ino), &faults, &rows)?;
            }
            _ => repair_file(ctx, InodeNo(ino), &faults)?,
        }
    }
    Ok(())
}

/// `7` or `7 to 9`, as problems say it.
fn range(text: &str) -> Range<u64> {
    let (first, last) = text.split_once(" to ").unwrap_or((text, text));
    match (first.parse(), last.parse()) {
        (Ok(first), Ok::<u64, _>(last)) => first..last.saturating_add(1),
        _ => 0..0,
    }
}

fn repair_file(ctx: &mut Context<'_>, ino: InodeNo, faults: &Faults) -> Result<()> {
    let mend = Mend { clear_tail: faults.has_tail, ..Mend::default() };
    batch::run(&mut ctx.volume, &mut ctx.reporter, &[mend], |txn, mend| {
        if faults.has_tail || !faults.sums.is_empty() {
            mapping::mend(txn, ino, mend)?;
        }
        if !faults.blocks.is_empty() {
            let mut inode = inode::read(txn, ino)?;
            inode.flags = U32::new(inode.flags.get() | FLAG_LOST);
            txn.write_inode(&mut inode)?;
        }
        Ok(())
    })
}

fn repair_stream(
    ctx: &mut Context<'_>,
    collection: &CollectionInfo,
    name: &str,
    ino: InodeNo,
    faults: &Faults,
    lost: &[&Problem],
) -> Result<()> {
    let size = u64::from(ctx.geometry.block_size);
    let rows = collection.desc.rows.get();
    let numbers = || -> Vec<u64> {
        faults.blocks.iter().flat_map(|block| block * size / 8..((block + 1) * size / 8).min(rows)).collect()
    };
    let mend = Mend { accepted: faults.blocks.clone(), clear_tail: faults.has_tail, ..Mend::default() };
    match name {
        STREAM_IDS if !faults.blocks.is_empty() => rows::give_new_ids(ctx, collection, &numbers()),
        STREAM_KEYS | STREAM_KEY_ENDS | STREAM_KEY_HASHES if !faults.blocks.is_empty() => {
            rows::rewrite_keys(ctx, collection, &[])
        }
        STREAM_PAYLOAD | STREAM_PAYLOAD_ENDS if !faults.blocks.is_empty() => {
            payload::rewrite(ctx, collection)
        }
        STREAM_ROW_SUMS if !faults.blocks.is_empty() => {
            let sums = rows::RowSums::open(ctx, collection);
            batch::run(&mut ctx.volume, &mut ctx.reporter, &[()], |txn, ()| {
                streams::write_stream(txn, collection, STREAM_ROW_SUMS, |at| sums.part(at, rows))
            })
        }
        name if name == STREAMS[0] => repair_vectors(ctx, collection, ino, faults, lost, mend),
        _ => {
            if name == STREAM_DELETED && !faults.blocks.is_empty() {
                let text = format!("inode {}: marks of deleted rows are taken as they lie", collection.ino);
                ctx.reporter.note(text)?;
            }
            batch::run(&mut ctx.volume, &mut ctx.reporter, &[mend], |txn, mend| mapping::mend(txn, ino, mend))
        }
    }
}

/// Saves and deletes the rows that are lost; then what is damaged of the stream holds no row that anybody would be given.
fn repair_vectors(
    ctx: &mut Context<'_>,
    collection: &CollectionInfo,
    ino: InodeNo,
    faults: &Faults,
    lost: &[&Problem],
    mut mend: Mend,
) -> Result<()> {
    let Some(content) = Content::open(ctx, ino.get()) else { return Ok(()) };
    let rows: BTreeSet<u64> = lost
        .iter()
        .filter_map(|problem| Some((problem.place.row?, problem.place.rows?)))
        .flat_map(|(first, count)| first..first.saturating_add(count).min(collection.desc.rows.get()))
        .collect();
    let per_sums = content.per_sums_block();
    let covered = faults.sums.iter().flat_map(|sums| sums * per_sums..(sums + 1) * per_sums);
    let blocks: BTreeSet<u64> =
        faults.blocks.iter().copied().chain(covered).filter(|&block| block < content.blocks).collect();
    let found = Namer::new(ctx, collection).lost(ctx, &content, blocks.into_iter());
    let is_decided = found.keys().all(|row| rows.contains(row));
    if !is_decided {
        // A row that stays in the search keeps the checksum that speaks against it.
        let kept: Vec<u64> = found.iter().filter(|(row, _)| !rows.contains(row)).map(|(_, b)| *b).collect();
        let span = collection.desc.row_bytes().div_ceil(content.block_size as u64) + 1;
        mend.accepted.retain(|block| !kept.iter().any(|kept| block.abs_diff(*kept) <= span));
    }
    let words: Vec<String> = lost.iter().map(|problem| problem.message()).collect();
    let dev = ctx.volume.dev.clone();
    batch::run(&mut ctx.volume, &mut ctx.reporter, &[mend], |txn, mend| {
        rows::quarantine(txn, collection, &*dev, &content, &rows, &words)?;
        if is_decided || faults.sums.is_empty() {
            mapping::mend(txn, ino, mend)?;
        }
        Ok(())
    })
}
