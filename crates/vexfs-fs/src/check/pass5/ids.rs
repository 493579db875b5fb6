//! Ids: unique among the rows that are not deleted, and below `next_id`.

use std::collections::{BTreeSet, HashMap};

use vexfs_format::collection::{FLAG_IDS, STREAM_IDS};

use super::super::context::{CollectionInfo, Context};
use super::super::table;
use super::numbers::{Deleted, Numbers};
use super::streams::at;
use crate::error::Result;

/// Bytes of a stream that are looked at together.
pub(super) const CHUNK_BYTES: u64 = 256 << 10;
/// The share of memory that the numbers which are compared at a time take: sorting needs no more beside them. More numbers are
/// compared in several passes over the stream.
const MEMORY_SHARE: u64 = 4;
/// Least numbers that are compared at a time: fewer would make passes without end.
const MIN_PART: u64 = 1 << 16;
/// Numbers that occur twice whose rows are named.
const MAX_TWINS: usize = 1000;

pub(super) fn check(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<()> {
    let desc = &collection.desc;
    let (rows, next_id) = (desc.rows.get(), desc.next_id.get());
    if !desc.has(FLAG_IDS) {
        if next_id < rows {
            ctx.report(at(collection, table::NEXT_ID).found(next_id).expected(rows))?;
        }
        return Ok(());
    }
    let Some(ids) = Numbers::open(ctx, collection, STREAM_IDS, rows.saturating_mul(8)) else { return Ok(()) };
    let mut too_large = None;
    let mut most = 0;
    let mut deleted = Deleted::open(ctx, collection);
    let is_rising = scan(ctx, &ids, rows, &mut deleted, |row, id, _| {
        if id == u64::MAX {
            too_large = too_large.or(Some(row));
        } else {
            most = most.max(id + 1);
        }
    });
    if let Some(row) = too_large {
        ctx.report(at(collection, table::ID_RANGE).rows(row, 1).found(u64::MAX))?;
    }
    if next_id < most {
        ctx.report(at(collection, table::NEXT_ID).found(next_id).expected(most))?;
    }
    if is_rising {
        return Ok(());
    }
    for twin in twins(ctx, &ids, rows, &mut deleted)? {
        let problem = at(collection, table::ID_TWICE).rows(twin.first, 1);
        ctx.report(problem.found(twin.number).other(twin.second))?;
    }
    Ok(())
}

/// A number that two rows have.
pub(super) struct Twin {
    pub(super) number: u64,
    pub(super) first: u64,
    pub(super) second: u64,
}

/// Goes through the numbers of all rows, as far as they are proven: row, number, whether the row is deleted. Returns whether those of
/// rows that are not deleted rise strictly.
fn scan(
    ctx: &Context<'_>,
    numbers: &Numbers,
    rows: u64,
    deleted: &mut Deleted,
    mut look: impl FnMut(u64, u64, bool),
) -> bool {
    let mut is_rising = true;
    let mut before: Option<u64> = None;
    let mut row = 0;
    while row < rows {
        let end = rows.min(row + CHUNK_BYTES / 8);
        // A damaged block is reported with the data.
        let bytes = numbers.range(ctx, row * 8, end * 8).unwrap_or_default();
        for (row, bytes) in (row..).zip(bytes.as_chunks::<8>().0) {
            let number = u64::from_le_bytes(*bytes);
            let is_deleted = deleted.contains(ctx, row);
            look(row, number, is_deleted);
            if !is_deleted {
                is_rising &= before.is_none_or(|before| before < number);
                before = Some(number);
            }
        }
        row = end;
    }
    is_rising
}

/// Numbers that more than one row has, deleted rows left out; at most [`MAX_TWINS`] of them.
///
/// # Complexity
/// One pass over the stream for each part of the rows that takes a quarter of [the memory allowed](super::super::CheckOptions::memory),
/// and a sort of each part.
pub(super) fn twins(
    ctx: &mut Context<'_>,
    numbers: &Numbers,
    rows: u64,
    deleted: &mut Deleted,
) -> Result<Vec<Twin>> {
    // The list doubles its room when it is full.
    let per_part = (ctx.memory / MEMORY_SHARE / 16).max(MIN_PART);
    let parts = rows.div_ceil(per_part);
    let mut twice: BTreeSet<u64> = BTreeSet::new();
    for part in 0..parts {
        let mut list: Vec<u64> = Vec::new();
        scan(ctx, numbers, rows, deleted, |_, number, is_deleted| {
            // Parts by a hash, so that neighbours do not crowd into one.
            let hash = u128::from(number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
            if !is_deleted && (hash * u128::from(parts)) >> 64 == u128::from(part) {
                list.push(number);
            }
        });
        list.sort_unstable();
        let equal = list.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]);
        twice.extend(equal.take(MAX_TWINS));
        ctx.progress_again()?;
    }
    let mut first: HashMap<u64, u64> = HashMap::new();
    let mut found = Vec::new();
    if !twice.is_empty() {
        scan(ctx, numbers, rows, deleted, |row, number, is_deleted| {
            if is_deleted || !twice.contains(&number) || found.len() >= MAX_TWINS {
                return;
            }
            match first.get(&number) {
                Some(&first) => found.push(Twin { number, first, second: row }),
                None => {
                    first.insert(number, row);
                }
            }
        });
    }
    Ok(found)
}
