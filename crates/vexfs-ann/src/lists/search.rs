//! The search: the nearest lists of each query, then list by list all queries that probe it, then the best candidates by their full
//! rows.
//!
//! A query takes its nprobe nearest lists. Where rows are excluded it goes on, doubling, until it has met as many rows that may
//! be found as those lists have rows at all; and in any case until it has met k, or all.

use std::ops::Range;

use super::live::Live;
use super::open::Lists;
use super::params::Codes;
use super::queries::Prepared;
use super::rank::Ranking;
use super::scan::{Scanner, Visit};
use crate::best::Best;
use crate::flat::{offer_rows, prefetch_rows};
use crate::index::{IndexError, Search, SearchStats};
use crate::simd::scan::{Found, RowSide};
use crate::{Neighbor, TopK};

/// Room for candidates and lists of the queries that are answered together, bytes.
const ROOM: usize = 32 << 20;

/// Most queries that are answered together.
const MOST_QUERIES: usize = 4096;

/// Lists after which to ask whether to stop.
const ASK: usize = 64;

/// Lists of a query that are asked for all at once, at most.
const MOST_EXPECTED: usize = 64;

/// Rows that are offered before the bounds of the others are looked at.
const SOME_ROWS: usize = 8;

/// Deviations of the estimates of the first rows by which a row must be estimated to be too far before those behind it are passed over.
/// 3 cost 0.0001 of the recall of SIFT and of a million rows of 16 inner dimensions, and 0.0003 to 0.0005 of that of Fashion-MNIST.
const WIDTH: f64 = 3.0;

/// Rows that are offered at a time where all are.
const ALL_ROWS: u64 = 1024;

/// See [`Index::search`](crate::index::Index::search).
pub(super) fn search(
    index: &Lists<'_>,
    search: &Search<'_>,
    range: Range<usize>,
    tops: &mut [TopK],
    stats: &mut SearchStats,
) -> Result<(), IndexError> {
    check(index, search)?;
    if search.k == 0 {
        return Ok(());
    }
    let rerank = (search.effort.rerank as usize).max(search.k).min(index.header.indexed as usize);
    let nprobe = (search.effort.effort as usize).clamp(1, index.params.nlist.max(1));
    let of_query = Prepared::bytes(index.params.codes, index.header.dim);
    let of_groups = index.groups.as_ref().map_or(0, |groups| 16 * groups.reach(nprobe) + groups.count());
    let together = (ROOM / (16 * (rerank + nprobe) + of_groups + of_query)).clamp(1, MOST_QUERIES);
    let stop = match index.params.codes {
        // Bounds hold nearly always, not always, and of deviations more can be asked for.
        _ if rerank as u64 == index.header.indexed => Stop::Never,
        Codes::Sq8 | Codes::Sq4 => {
            Stop::Deviations(WIDTH * (rerank as f64 / f64::from(index.rerank(search.k))).max(1.0))
        }
        Codes::Rabitq => Stop::Bounds,
        Codes::Pq(_) => Stop::Never,
    };
    let (giants, codebooks) = (index.giants()?, index.codebooks()?);
    for (part, tops) in tops.chunks_mut(together).enumerate() {
        let start = range.start + part * together;
        let range = start..start + tops.len();
        let queries = Prepared::new(&index.space, index.params.codes, codebooks, search.queries, range);
        let mut part =
            Part { index, search, queries, scanner: Scanner::new(), bests: Vec::new(), stop, stats };
        part.bests.resize_with(tops.len(), || Best::new(rerank));
        if index.params.nlist > 0 {
            part.probe(nprobe, start, tops)?;
        }
        part.decide(start, &giants, tops)?;
    }
    Ok(())
}

/// Makes sure that queries and rows are those that the image is of.
fn check(index: &Lists<'_>, search: &Search<'_>) -> Result<(), IndexError> {
    let (header, queries, rows) = (&index.header, search.queries, search.rows);
    let of_image = (header.dim, header.dtype);
    if (queries.dim(), queries.dtype()) != of_image
        || (rows.dim(), rows.dtype()) != of_image
        || queries.metric() != header.metric
        || rows.len() < header.rows.end
    {
        return Err(IndexError::Mismatch("the index is of other rows than these".to_owned()));
    }
    Ok(())
}

/// Queries that are answered together.
struct Part<'a, 'b> {
    index: &'a Lists<'b>,
    search: &'a Search<'a>,
    queries: Prepared,
    scanner: Scanner,
    /// One per query: rows of the image.
    bests: Vec<Best>,
    stop: Stop,
    stats: &'a mut SearchStats,
}

/// When the rest of the candidates is passed over.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    /// All are decided.
    Never,
    /// Estimates are the least that distances may be, and the next exceeds the farthest wanted.
    Bounds,
    /// The next estimate exceeds the farthest wanted by so many deviations.
    Deviations(f64),
}

/// A query on its way through the lists.
struct Walk {
    query: u32,
    /// Lists that it has met.
    met: Vec<u32>,
    /// Rows that may be found that it has met.
    rows: usize,
    /// Of these it wants so many; known after the first lists.
    wanted: usize,
}

/// Rows that a query may have among its nearest, by their estimates in ascending order.
#[derive(Default)]
struct Candidates {
    rows: Vec<u64>,
    /// −∞ of those that have no codes.
    estimates: Vec<f64>,
}

impl Candidates {
    /// How many have no codes, and how many are offered whatever the estimates of the others are.
    fn firsts(&self, k: usize) -> (usize, usize) {
        let first = self.estimates.iter().take_while(|estimate| **estimate == f64::NEG_INFINITY).count();
        (first, self.rows.len().min(first + k.max(SOME_ROWS)))
    }

    /// Those and some more, which are nearly always wanted too.
    fn likely(&self, k: usize) -> &[u64] {
        &self.rows[..self.rows.len().min(self.firsts(k).1 + SOME_ROWS)]
    }
}

/// A list that is to be met by a query.
#[derive(Clone, Copy)]
struct Pair {
    list: u32,
    visit: Visit,
    /// Index of the [`Walk`].
    walk: u32,
}

impl Part<'_, '_> {
    /// Lets all queries meet their lists.
    fn probe(&mut self, nprobe: usize, start: usize, tops: &mut [TopK]) -> Result<(), IndexError> {
        let nlist = self.index.params.nlist;
        let ordinary = (0..self.queries.len()).filter(|query| !self.queries.is_giant(*query));
        let walk = |query| Walk { query: query as u32, met: Vec::with_capacity(nprobe), rows: 0, wanted: 0 };
        let mut walks: Vec<Walk> = ordinary.map(walk).collect();
        let mut probes = nprobe;
        loop {
            let is_first = probes == nprobe;
            let (nearest, others) = self.pairs(&mut walks, probes)?;
            if let [_] = walks.as_slice() {
                // The farthest tells of all whether they are in memory: it is the least often read.
                let lists = others.iter().rev().take(MOST_EXPECTED).chain(&nearest);
                self.index.expect(lists.map(|pair| pair.list));
            }
            self.meet(nearest, others.first().map(|pair| pair.list), &mut walks, is_first)?;
            if self.stop == Stop::Bounds && is_first {
                self.look_ahead(start, tops)?;
            }
            self.meet(others, None, &mut walks, is_first)?;
            walks.retain(|walk| walk.rows < walk.wanted.max(self.search.k));
            if walks.is_empty() || probes == nlist {
                return Ok(());
            }
            probes = probes.saturating_mul(2).min(nlist);
        }
    }

    /// Offers the best of the first lists by their full rows: what is beyond them need not be kept.
    fn look_ahead(&mut self, start: usize, tops: &mut [TopK]) -> Result<(), IndexError> {
        let mut wide = Vec::new();
        for (query, top) in tops.iter_mut().enumerate().filter(|(query, _)| !self.queries.is_giant(*query)) {
            let best = &mut self.bests[query];
            let rows: Vec<u64> = best
                .take(self.search.k)
                .into_iter()
                .map(|row| self.index.row(row))
                .collect::<Result<_, _>>()?;
            offer_rows((self.search.queries, start + query), self.search.rows, &rows, top, &mut wide)?;
            best.restrict((top.bound() * self.queries.unit(query)) as f32);
            self.stats.reranked += rows.len() as u64;
            self.stats.distance_computations += rows.len() as u64;
        }
        Ok(())
    }

    /// The lists among the `probes` nearest of each query that it has not met: the nearest of all, and the others. By list.
    fn pairs(&mut self, walks: &mut [Walk], probes: usize) -> Result<(Vec<Pair>, Vec<Pair>), IndexError> {
        let visit = |walk: &Walk| Visit { query: walk.query, base: self.queries.base(walk.query as usize) };
        let visits: Vec<Visit> = walks.iter().map(visit).collect();
        let (scanner, stats) = (&mut self.scanner, &mut *self.stats);
        let mut bests =
            Ranking { index: self.index, queries: &self.queries, scanner, stats, probes }.of(&visits)?;
        let (mut nearest, mut others) =
            (Vec::with_capacity(walks.len()), Vec::with_capacity(walks.len() * (probes - 1)));
        for (index, walk) in walks.iter_mut().enumerate() {
            let met = walk.met.len();
            walk.met.sort_unstable();
            for (rank, (list, base)) in bests[walk.query as usize].sorted().enumerate() {
                if walk.met[..met].binary_search(&list).is_ok() {
                    continue;
                }
                walk.met.push(list);
                let pair = Pair { list, visit: Visit { query: walk.query, base }, walk: index as u32 };
                if rank == 0 { &mut nearest } else { &mut others }.push(pair);
            }
        }
        if walks.len() > 1 {
            nearest.sort_unstable_by_key(|pair| (pair.list, pair.walk));
            others.sort_unstable_by_key(|pair| (pair.list, pair.walk));
        }
        Ok((nearest, others))
    }

    /// Lets queries meet lists, given by list; memory is asked for each list while the one before is compared, and for `then` at last.
    fn meet(
        &mut self,
        pairs: Vec<Pair>,
        then: Option<u32>,
        walks: &mut [Walk],
        is_first: bool,
    ) -> Result<(), IndexError> {
        let (index, mut visits) = (self.index, Vec::new());
        let by_list = || pairs.chunk_by(|a, b| a.list == b.list);
        let mut lists =
            by_list().map(|group| group[0].list).chain(then).map(|list| index.list(list as usize));
        let mut next = lists.next().transpose()?;
        for (turn, group) in by_list().enumerate() {
            if turn.is_multiple_of(ASK) && (self.search.interrupted)() {
                return Err(IndexError::Interrupted);
            }
            let Some(list) = next else { break };
            next = lists.next().transpose()?;
            let len = list.len();
            let live = Live::new(index, &list, self.search);
            visits.clear();
            for pair in group {
                let walk = &mut walks[pair.walk as usize];
                walk.rows += live.count();
                if is_first {
                    walk.wanted += len;
                }
                visits.push(pair.visit);
            }
            let offer = |_: &Visit, best: &mut Best, found: &mut Vec<Found>| {
                live.retain(found);
                best.offer_all(found, |row| live.number(row));
            };
            let (queries, bests) = (&self.queries, &mut self.bests);
            let compared = match self.index.params.codes {
                Codes::Sq8 | Codes::Sq4 => {
                    let rows = RowSide { ahead: next.as_ref().map_or(&[], |next| next.bytes), ..live.rows() };
                    self.scanner.meet(rows, queries, &visits, bests, offer);
                    rows.count
                }
                Codes::Rabitq | Codes::Pq(_) if live.count() > 0 => {
                    self.scanner.look_up(live.list(), queries, &visits, bests, offer);
                    len
                }
                Codes::Rabitq | Codes::Pq(_) => 0,
            };
            self.stats.distance_computations += (compared * group.len()) as u64;
        }
        if pairs.len() > walks.len() || walks.len() > 1 {
            self.bests.iter_mut().for_each(Best::tighten);
        }
        Ok(())
    }

    /// Offers the best candidates of each query by their full rows.
    fn decide(&mut self, start: usize, giants: &[u32], tops: &mut [TopK]) -> Result<(), IndexError> {
        let (mut candidates, mut next) = (Candidates::default(), Candidates::default());
        let mut wide = Vec::new();
        self.take(0, giants, &mut next)?;
        for (query, top) in tops.iter_mut().enumerate() {
            if (self.search.interrupted)() {
                return Err(IndexError::Interrupted);
            }
            std::mem::swap(&mut candidates, &mut next);
            // Memory brings the first rows of the next query while those of this one are compared.
            if query + 1 < self.queries.len() {
                self.take(query + 1, giants, &mut next)?;
            }
            if self.queries.is_giant(query) {
                self.offer_all(start + query, top)?;
                continue;
            }
            let offered = self.offer((start, query), &candidates, top, &mut wide)?;
            self.stats.reranked += offered as u64;
            self.stats.distance_computations += offered as u64;
        }
        Ok(())
    }

    /// Sets `candidates` to those of query `query`, and asks memory for the first ones.
    fn take(&mut self, query: usize, giants: &[u32], candidates: &mut Candidates) -> Result<(), IndexError> {
        let Candidates { rows, estimates } = candidates;
        rows.clear();
        estimates.clear();
        for giant in giants {
            let row = self.index.row(*giant)?;
            if !self.search.is_excluded(row) {
                rows.push(row);
            }
        }
        estimates.resize(rows.len(), f64::NEG_INFINITY);
        let found = self.bests[query].sorted();
        rows.reserve(found.len());
        estimates.reserve(found.len());
        for (number, estimate) in found {
            estimates.push(f64::from(estimate));
            rows.push(self.index.row(number)?);
        }
        prefetch_rows(self.search.rows, candidates.likely(self.search.k));
        Ok(())
    }

    /// Offers candidates until the rest may be passed over; says how many.
    fn offer(
        &self,
        (start, query): (usize, usize),
        candidates: &Candidates,
        top: &mut TopK,
        wide: &mut Vec<f32>,
    ) -> Result<usize, IndexError> {
        let (queries, source) = ((self.search.queries, start + query), self.search.rows);
        let unit = self.queries.unit(query);
        let Candidates { rows, estimates } = candidates;
        let (mut offered, mut slack) = (0, 0.0);
        if let Stop::Deviations(width) = self.stop {
            let (first, some) = candidates.firsts(self.search.k);
            offered = some;
            // A device reads them at the same time.
            source.expect(candidates.likely(self.search.k));
            let mut nearest = TopK::new(offered);
            offer_rows(queries, source, &rows[..offered], &mut nearest, wide)?;
            let nearest = nearest.into_sorted();
            slack = slack_of(&rows[first..offered], &estimates[first..offered], &nearest, unit, width);
            nearest.iter().for_each(|hit| _ = top.offer(hit.row, hit.distance));
        }
        while offered < rows.len() {
            if self.stop != Stop::Never && estimates[offered] - slack > top.bound() * unit {
                break;
            }
            let end = if self.stop == Stop::Never { rows.len() } else { rows.len().min(offered + SOME_ROWS) };
            offer_rows(queries, source, &rows[offered..end], top, wide)?;
            offered = end;
        }
        Ok(offered)
    }

    /// Offers all rows to a query that cannot be compared by codes.
    fn offer_all(&mut self, query: usize, top: &mut TopK) -> Result<(), IndexError> {
        let rows = self.index.header.rows.clone();
        let mut wide = Vec::new();
        for first in rows.clone().step_by(ALL_ROWS as usize) {
            let all = first..rows.end.min(first + ALL_ROWS);
            let some: Vec<u64> = all.filter(|row| !self.search.is_excluded(*row)).collect();
            self.stats.reranked += some.len() as u64;
            self.stats.distance_computations += some.len() as u64;
            offer_rows((self.search.queries, query), self.search.rows, &some, top, &mut wide)?;
        }
        Ok(())
    }
}

/// By how much an estimate may exceed what it estimates: `width` deviations more than the mean of `rows`, whose distances are among
/// those `found`, in units of estimates.
fn slack_of(rows: &[u64], estimates: &[f64], found: &[Neighbor], unit: f64, width: f64) -> f64 {
    let mut of_rows: Vec<(u64, f64)> = rows.iter().copied().zip(estimates.iter().copied()).collect();
    of_rows.sort_unstable_by_key(|(row, _)| *row);
    let excess = found.iter().filter_map(|hit| {
        let at = of_rows.binary_search_by_key(&hit.row, |(row, _)| *row).ok()?;
        Some(of_rows[at].1 - hit.distance * unit)
    });
    let (mut count, mut sum, mut squares) = (0.0, 0.0, 0.0);
    for excess in excess {
        (count, sum, squares) = (count + 1.0, sum + excess, squares + excess * excess);
    }
    let mean = sum / count;
    mean + width * (squares / count - mean * mean).max(0.0).sqrt()
}
