//! The rows of a collection that a filter lets through.

use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::Filter;
use crate::collection::payload::Payloads;
use crate::collection::rows::Deletions;
use crate::error::{FsError, Result};

/// Rows that a thread decides over at a time: a multiple of 64, so that no two threads share a word.
const CHUNK_ROWS: u64 = 4096;
/// Rows below which a second thread costs more than it saves.
const PARALLEL_ROWS: u64 = 2 * CHUNK_ROWS;
/// Rows that are named one by one whose payload cannot be read; the rest is counted.
const MAX_NAMED: usize = 100;

/// The rows that a filter lets through.
#[derive(Clone, Debug, Default)]
pub struct Matches {
    /// All other rows: those that are deleted, do not match or cannot be read.
    pub(in crate::search) excluded: Deletions,
    /// Rows that match.
    pub rows: u64,
    /// Rows whose payload cannot be read, with the reason; at most 100 are named. They do not match.
    pub unreadable: Vec<(u64, String)>,
    /// How many there are in all.
    pub unreadable_rows: u64,
}

impl Filter {
    /// Decides over all rows that are not deleted.
    ///
    /// # Parameters
    /// `threads`: at most so many work; the answer does not depend on it. `interrupted` is asked between chunks.
    ///
    /// # Complexity
    /// One pass over the payload; a bit for each row.
    ///
    /// # Errors
    /// [`FsError::Interrupted`]. Rows whose payload cannot be read are named in the answer.
    pub fn apply(
        &self,
        payloads: &Payloads,
        deleted: &Deletions,
        threads: usize,
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Matches> {
        let rows = payloads.len();
        let (next, stopped) = (AtomicU64::new(0), AtomicBool::new(false));
        let work = || {
            let mut chunks = Vec::new();
            loop {
                let first = next.fetch_add(1, Ordering::Relaxed).saturating_mul(CHUNK_ROWS);
                if first >= rows {
                    return chunks;
                }
                if stopped.load(Ordering::Relaxed) || interrupted() {
                    stopped.store(true, Ordering::Relaxed);
                    return chunks;
                }
                chunks.push(self.chunk(payloads, deleted, first..rows.min(first + CHUNK_ROWS)));
            }
        };
        let threads = if rows < PARALLEL_ROWS { 1 } else { threads };
        let mut chunks: Vec<Chunk> = thread::scope(|scope| {
            // A thread that the system does not give is not missed: the others take its chunks.
            let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            let helpers: Vec<_> = (1..threads).filter_map(start).collect();
            let own = work();
            let join = |helper: thread::ScopedJoinHandle<'_, Vec<Chunk>>| {
                helper.join().unwrap_or_else(|panic| resume_unwind(panic))
            };
            helpers.into_iter().flat_map(join).chain(own).collect()
        });
        if stopped.into_inner() {
            return Err(FsError::Interrupted);
        }
        chunks.sort_unstable_by_key(|chunk| chunk.first);
        let mut matches = Matches::default();
        let mut words = Vec::new();
        for chunk in chunks {
            words.extend(chunk.excluded);
            matches.rows += chunk.matching;
            matches.unreadable_rows += chunk.unreadable_rows;
            matches.unreadable.extend(chunk.unreadable);
        }
        matches.unreadable.truncate(MAX_NAMED);
        matches.excluded = Deletions::of_words(words);
        Ok(matches)
    }

    /// Decides over `rows` rows that have no payload.
    pub fn apply_to_none(&self, rows: u64, deleted: &Deletions) -> Matches {
        // Nothing is JSON enough: there is nothing that could be wrong with it.
        if self.matches("").unwrap_or(false) {
            let excluded = deleted.clone();
            return Matches { rows: rows - deleted.count(0..rows), excluded, ..Matches::default() };
        }
        let mut words = vec![u64::MAX; (rows / 64) as usize];
        words.extend((!rows.is_multiple_of(64)).then(|| (1 << (rows % 64)) - 1));
        Matches { excluded: Deletions::of_words(words), ..Matches::default() }
    }

    fn chunk(&self, payloads: &Payloads, deleted: &Deletions, rows: Range<u64>) -> Chunk {
        let count = rows.end - rows.start;
        let mut chunk = Chunk { first: rows.start, ..Chunk::default() };
        chunk.excluded = vec![u64::MAX; count.div_ceil(64) as usize];
        // Behind the last row there is nothing to exclude.
        if let Some(last) = chunk.excluded.last_mut().filter(|_| !count.is_multiple_of(64)) {
            *last = (1 << (count % 64)) - 1;
        }
        for row in rows.filter(|&row| !deleted.contains(row)) {
            let matches = payloads.get(row).map_err(|e| e.to_string()).and_then(|payload| {
                self.matches(payload).map_err(|e| format!("its payload is no JSON: {e}"))
            });
            match matches {
                Ok(true) => {
                    let at = row - chunk.first;
                    chunk.excluded[(at / 64) as usize] &= !(1 << (at % 64));
                    chunk.matching += 1;
                }
                Ok(false) => {}
                Err(problem) => {
                    chunk.unreadable_rows += 1;
                    if chunk.unreadable.len() < MAX_NAMED {
                        chunk.unreadable.push((row, problem));
                    }
                }
            }
        }
        chunk
    }
}

/// What was decided over some rows.
#[derive(Default)]
struct Chunk {
    first: u64,
    excluded: Vec<u64>,
    matching: u64,
    unreadable: Vec<(u64, String)>,
    unreadable_rows: u64,
}
