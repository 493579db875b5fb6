//! Answering through an index, and exactly where it does not reach.

use std::panic::resume_unwind;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use vexfs_ann::index::{Effort, IndexError, Search, SearchStats};
use vexfs_ann::{Queries, TopK};

use super::exact;
use super::plan::{Plan, Route};
use super::{Answer, Limit, Searcher};
use crate::error::{FsError, Result};
use crate::index::bytes::RowBytes;
use crate::index::of_index;

/// Neighbours that are asked for first where only a radius limits them, and the factor by which more are asked for.
const FIRST_K: usize = 64;
const MORE: usize = 4;
/// Share of the rows beyond which neighbours within a radius are found sooner by comparing all rows.
const MANY: u64 = 16;

impl Plan<'_> {
    /// Finds the neighbours of each query.
    ///
    /// Rows that the index does not cover are compared, deleted ones are not found. When the index turns out to be damaged every
    /// row is compared, for these queries and all later ones; the answer then says why.
    ///
    /// # Shape
    /// Result: one list for each query, nearest first, ties by lower row.
    ///
    /// # Parameters
    /// `threads`: at most so many work, each on queries of its own; the answer does not depend on it. `interrupted` is asked now
    /// and then.
    ///
    /// # Errors
    /// [`FsError::Interrupted`]; [`FsError::BadCollection`] for `k` = 0. Rows that cannot be read are named in the answer.
    pub fn search(
        &self,
        queries: &Queries,
        threads: usize,
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Answer> {
        if self.limit.k == 0 {
            return Err(FsError::BadCollection("k must be at least 1".to_owned()));
        }
        if let (Some(route), None) = (&self.route, self.given_up.get()) {
            let search = Indexed { searcher: self.searcher, limit: self.limit, route, queries, interrupted };
            let before = search.blocks_read();
            match search.run(threads) {
                Ok(Some(answer)) => {
                    return Ok(Answer { blocks_read: search.blocks_read() - before, ..answer });
                }
                Ok(None) => {}
                Err(IndexError::Interrupted) => return Err(FsError::Interrupted),
                Err(error) => {
                    let index = route.stored.name();
                    let problem = crate::index::fault(&self.searcher.path, index, error);
                    let problem = of_index(&self.searcher.path, index, &problem);
                    let _ = self.given_up.set(format!("{problem}; every vector is compared"));
                    let mut answer = self.searcher.exact(queries, self.limit, threads, interrupted)?;
                    answer.fallback = self.given_up.get().cloned();
                    return Ok(answer);
                }
            }
        }
        self.searcher.exact(queries, self.limit, threads, interrupted)
    }
}

/// One batch of queries on its way through an index.
struct Indexed<'a> {
    searcher: &'a Searcher,
    limit: Limit,
    route: &'a Route<'a>,
    queries: &'a Queries,
    interrupted: &'a (dyn Fn() -> bool + Sync),
}

impl Indexed<'_> {
    /// The answer; `None` if an exact search is the better way to it.
    fn run(&self, threads: usize) -> Result<Option<Answer>, IndexError> {
        let Some((tops, stats)) = self.through_index(threads)? else { return Ok(None) };
        let searcher = self.searcher;
        let uncovered = searcher.worthwhile(&self.route.stored.uncovered(searcher.rows.len()));
        let mut answer = Answer::default();
        if uncovered.is_empty() {
            answer.hits = tops.into_iter().map(TopK::into_sorted).collect();
        } else {
            let pass = exact::pass(searcher, self.queries, self.limit, &uncovered, threads, self.interrupted);
            let mut pass = pass.map_err(|e| match e {
                FsError::Interrupted => IndexError::Interrupted,
                other => IndexError::source(other),
            })?;
            pass.tops.iter_mut().zip(tops).for_each(|(top, found)| top.merge(found));
            answer = Answer::of(pass.tops, pass.damage);
            answer.distance_computations = pass.compared.saturating_mul(self.queries.len() as u64);
        }
        if searcher.matches.is_some() && self.is_short(&answer) {
            return Ok(None);
        }
        answer.distance_computations += stats.distance_computations;
        answer.is_exact = self.route.parts.iter().all(|part| part.is_exact());
        Ok(Some(answer))
    }

    /// Whether some query has fewer neighbours than there are rows for it.
    fn is_short(&self, answer: &Answer) -> bool {
        let enough = (self.limit.k as u64).min(self.searcher.findable());
        self.limit.radius == f64::INFINITY && answer.hits.iter().any(|hits| (hits.len() as u64) < enough)
    }

    /// What the index finds, the queries shared out among threads.
    fn through_index(&self, threads: usize) -> Result<Option<(Vec<TopK>, SearchStats)>, IndexError> {
        let count = self.queries.len();
        let mut tops: Vec<TopK> = (0..count).map(|_| TopK::within(self.limit.k, self.limit.radius)).collect();
        let share = count.div_ceil(threads.max(1)).max(1);
        let pieces = Mutex::new(tops.chunks_mut(share).zip((0..count).step_by(share)));
        let next = || pieces.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || -> Result<Option<SearchStats>, IndexError> {
            let mut stats = SearchStats::default();
            while let Some((tops, start)) = next() {
                if !self.piece(start, tops, &mut stats)? {
                    return Ok(None);
                }
            }
            Ok(Some(stats))
        };
        let outcomes: Vec<_> = thread::scope(|scope| {
            // A thread that the system does not give is not missed: the others take its queries.
            let start = |_| thread::Builder::new().spawn_scoped(scope, work).ok();
            let helpers: Vec<_> = (1..count.div_ceil(share)).filter_map(start).collect();
            let own = work();
            let join =
                |helper: ScopedJoinHandle<'_, _>| helper.join().unwrap_or_else(|panic| resume_unwind(panic));
            helpers.into_iter().map(join).chain([own]).collect()
        });
        let mut total = SearchStats::default();
        for outcome in outcomes {
            let Some(stats) = outcome? else { return Ok(None) };
            total.distance_computations += stats.distance_computations;
            total.reranked += stats.reranked;
        }
        Ok(Some((tops, total)))
    }

    /// The queries from `start` on, one for each of `tops`; false if an exact search is the better way to their answers.
    fn piece(&self, start: usize, tops: &mut [TopK], stats: &mut SearchStats) -> Result<bool, IndexError> {
        if self.limit.k < usize::MAX {
            self.search(self.limit.k, start, tops, stats)?;
            return Ok(true);
        }
        // As many as are within the radius: more are asked for until one of them is not.
        let mut todo: Vec<usize> = (0..tops.len()).collect();
        let mut k = FIRST_K;
        while !todo.is_empty() {
            if k as u64 > (self.searcher.rows.len() / MANY).max(FIRST_K as u64) {
                return Ok(false);
            }
            let mut full = Vec::new();
            for at in todo {
                let mut top = [TopK::within(k, self.limit.radius)];
                self.search(k, start + at, &mut top, stats)?;
                let [top] = top;
                if top.len() == k {
                    full.push(at);
                } else {
                    tops[at].merge(top);
                }
            }
            (todo, k) = (full, k * MORE);
        }
        Ok(true)
    }

    fn search(
        &self,
        k: usize,
        start: usize,
        tops: &mut [TopK],
        stats: &mut SearchStats,
    ) -> Result<(), IndexError> {
        let searcher = self.searcher;
        let rows = RowBytes { rows: &searcher.rows, dim: searcher.dim, dtype: searcher.dtype };
        for part in &self.route.parts {
            let effort: Effort = self.route.effort(&**part, k);
            let search = Search {
                queries: self.queries,
                k,
                effort,
                rows: &rows,
                excluded: searcher.excluded().words(),
                interrupted: self.interrupted,
            };
            part.search(&search, start..start + tops.len(), tops, stats)?;
        }
        Ok(())
    }

    fn blocks_read(&self) -> u64 {
        let parts = self.route.stored.parts().iter().map(|part| part.view().blocks_read());
        self.searcher.rows.view().blocks_read() + parts.sum::<u64>()
    }
}
