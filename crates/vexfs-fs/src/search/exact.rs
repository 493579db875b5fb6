//! Comparing queries with rows where they lie, a chunk at a time: verify its checksums, which brings it into the cache, then
//! compare. Threads take chunks in turn. A damaged block costs the rows whose own checksum disagrees, and they are named.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use vexfs_ann::{ExactScan, Queries, TopK};

use super::{Limit, Searcher, query_error};
use crate::error::{FsError, Result};

/// Bytes of rows that are verified and then compared at a time: they stay in a second-level cache in between.
const CHUNK_BYTES: u64 = 128 << 10;
/// Work below which a second thread costs more than it saves: bytes of rows times queries. In a process that has just begun, a thread
/// costs as much as scanning 5 MB (Zen 3: 1 ms of processor time of 3.3 ms for a query over 10,000 × 128 f32).
const PARALLEL_WORK: u64 = 16 << 20;
/// Damaged rows that are named one by one; the rest is counted.
const MAX_NAMED_DAMAGE: usize = 100;

/// What a pass over rows found.
pub(super) struct Pass {
    /// One for each query.
    pub(super) tops: Vec<TopK>,
    pub(super) damage: Damage,
    /// Rows that were compared with each query.
    pub(super) compared: u64,
}

/// Compares all queries with the rows of `ranges` that are not deleted.
pub(super) fn pass(
    searcher: &Searcher,
    queries: &Queries,
    limit: Limit,
    ranges: &[Range<u64>],
    threads: usize,
    interrupted: &(dyn Fn() -> bool + Sync),
) -> Result<Pass> {
    let row_bytes = searcher.rows.row_bytes();
    let per_chunk = (CHUNK_BYTES / row_bytes).max(1);
    let chunks = Chunks::new(ranges, per_chunk);
    let rows: u64 = ranges.iter().map(|range| range.end - range.start).sum();
    let work = rows.saturating_mul(row_bytes).saturating_mul(queries.len() as u64);
    let threads =
        if work < PARALLEL_WORK { 1 } else { (threads as u64).clamp(1, chunks.count.max(1)) as usize };
    let mut result = ExactScan::within(queries, limit.k, limit.radius).map_err(query_error)?;
    searcher.rows.view().advise_sequential();
    let scan = Scan {
        searcher,
        chunks,
        next: AtomicU64::new(0),
        stopped: AtomicBool::new(false),
        damage: Mutex::default(),
        interrupted,
    };
    let empty = result.clone();
    let helper = || {
        let mut part = empty.clone();
        scan.work(&mut part);
        part
    };
    let parts: Vec<_> = thread::scope(|scope| {
        // A thread that the system does not give is not missed: the others take its chunks.
        let start = |_| thread::Builder::new().spawn_scoped(scope, helper).ok();
        let helpers: Vec<_> = (1..threads).filter_map(start).collect();
        scan.work(&mut result);
        helpers.into_iter().map(|helper| helper.join()).collect()
    });
    for part in parts {
        result.merge(part.unwrap_or_else(|panic| resume_unwind(panic)));
    }
    if scan.stopped.into_inner() {
        return Err(FsError::Interrupted);
    }
    let damage = scan.damage.into_inner().unwrap_or_else(PoisonError::into_inner);
    let deleted: u64 = ranges.iter().map(|range| searcher.excluded().count(range.clone())).sum();
    let compared = rows.saturating_sub(deleted).saturating_sub(damage.count);
    Ok(Pass { tops: result.into_tops(), damage, compared })
}

/// Ranges of rows in pieces.
struct Chunks {
    per_chunk: u64,
    count: u64,
    /// The number of the first piece of each range, and the range.
    ranges: Vec<(u64, Range<u64>)>,
}

impl Chunks {
    fn new(ranges: &[Range<u64>], per_chunk: u64) -> Self {
        let mut count = 0;
        let numbered = |range: &Range<u64>| {
            let first = count;
            count += (range.end - range.start).div_ceil(per_chunk);
            (first, range.clone())
        };
        let ranges = ranges.iter().map(numbered).collect();
        Self { per_chunk, count, ranges }
    }

    /// The rows of piece `number`, or `None` behind the last.
    fn get(&self, number: u64) -> Option<Range<u64>> {
        if number >= self.count {
            return None;
        }
        let at = self.ranges.partition_point(|(first, _)| *first <= number).checked_sub(1)?;
        let (first, range) = self.ranges.get(at)?;
        let start = range.start + (number - first) * self.per_chunk;
        Some(start..range.end.min(start + self.per_chunk))
    }
}

/// One pass over the rows, shared by its threads.
struct Scan<'a> {
    searcher: &'a Searcher,
    chunks: Chunks,
    next: AtomicU64,
    stopped: AtomicBool,
    damage: Mutex<Damage>,
    interrupted: &'a (dyn Fn() -> bool + Sync),
}

/// Damage that was met.
#[derive(Debug, Default)]
pub(super) struct Damage {
    pub(super) named: BTreeMap<u64, String>,
    pub(super) count: u64,
    /// First row of each chunk that was saved row by row, and what was wrong.
    pub(super) survived: BTreeMap<u64, String>,
}

impl Scan<'_> {
    /// Takes chunks until there are none.
    fn work(&self, scan: &mut ExactScan<'_>) {
        while let Some(rows) = self.chunks.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if self.stopped.load(Ordering::Relaxed) {
                return;
            }
            if (self.interrupted)() {
                self.stopped.store(true, Ordering::Relaxed);
                return;
            }
            let first = rows.start;
            self.searcher.rows.view().bring_in(first * self.searcher.rows.row_bytes());
            let deleted = self.searcher.excluded().words();
            match self.searcher.rows.bytes(rows.clone()).and_then(|bytes| self.searcher.vectors(bytes)) {
                Ok(vectors) => scan.push(vectors, first, deleted),
                Err(damage) => self.salvage(rows, &damage, scan),
            }
        }
    }

    /// Compares the rows of a damaged chunk that are intact.
    fn salvage(&self, rows: Range<u64>, damage: &FsError, scan: &mut ExactScan<'_>) {
        let deleted = self.searcher.excluded().words();
        let (first, mut lost) = (rows.start, false);
        let mut report = |row, error: &FsError| {
            lost = true;
            self.report(row, error);
        };
        let mut intact = Vec::new();
        self.searcher.rows.salvage(rows, |row, bytes| intact.push((row, bytes)), |row, e| report(row, &e));
        for (row, bytes) in intact {
            match self.searcher.vectors(bytes) {
                Ok(vectors) => scan.push(vectors, row, deleted),
                Err(e) => report(row, &e),
            }
        }
        if !lost {
            let mut found = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
            name(&mut found.survived, first, damage);
        }
    }

    fn report(&self, row: u64, error: &FsError) {
        if self.searcher.excluded().contains(row) {
            return;
        }
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.count += 1;
        name(&mut damage.named, row, error);
    }
}

/// Remembers the damage of a row; of too much of it the lowest rows, whichever thread finds them when.
fn name(named: &mut BTreeMap<u64, String>, row: u64, damage: &FsError) {
    if named.len() == MAX_NAMED_DAMAGE && named.last_key_value().is_some_and(|(&last, _)| row > last) {
        return;
    }
    named.insert(row, damage.to_string());
    if named.len() > MAX_NAMED_DAMAGE {
        named.pop_last();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_those_of_the_ranges() {
        let chunks = Chunks::new(&[3..10, 10..10, 20..21], 3);
        let all: Vec<_> = (0..9).map_while(|number| chunks.get(number)).collect();
        assert_eq!(all, [3..6, 6..9, 9..10, 20..21]);
        assert_eq!(Chunks::new(&[], 3).get(0), None);
    }
}
