//! Queries against the codes of all rows: the bound of [`coding`](super::super::coding) rules nearly all out, the others are decided
//! by their full elements.

use std::ops::Range;

use zerocopy::FromBytes;

use super::super::{Queries, offer_rows};
use super::Coded;
use super::build::{GROUP_BYTES, code_bytes};
use crate::TopK;
use crate::index::image::Header;
use crate::index::{IndexError, Search, SearchStats};
use crate::simd::scan::float;
use crate::simd::sweep::SweepOne;
use crate::simd::tile::{PANEL, QueryTerms, RowTerms, Survivor, Tile};
use crate::simd::{Block32, Level};

/// Bytes of codes that stay in the second-level cache while all queries pass over them.
const BLOCK_BYTES: usize = 192 << 10;

/// Rows of the first block: with no bound known yet, each of them is decided for each query.
const FIRST_ROWS: usize = 24;

/// How many times as many rows as have been seen a block may have.
const GROWTH: usize = 4;

/// Fewest queries for which a panel costs less than a sweep each.
const LEAST_PANEL: usize = 3;

/// Where fewer than one row in this many may be found, these are decided at once.
const FEW: u64 = 32;

/// Rows that are decided at a time where codes are passed over.
const SOME_ROWS: usize = 1024;

/// Offers the nearest rows of each of `queries` to `tops`.
pub(super) fn sweep(
    header: &Header,
    coded: &Coded<'_>,
    search: &Search<'_>,
    queries: &Queries,
    tops: &mut [TopK],
    stats: &mut SearchStats,
) -> Result<(), IndexError> {
    let metric = header.metric;
    let codes = queries.coded();
    let mut sweep = Sweep {
        search,
        queries,
        rows: header.rows.clone(),
        coded,
        terms: vec![QueryTerms::default(); codes.panels.len()],
        ones: Vec::new(),
        row_terms: Vec::new(),
        copied: Vec::new(),
        numbers: Vec::new(),
        wide: Vec::new(),
        stats,
    };
    if sweep.decide_few(tops)? {
        return Ok(());
    }
    for (query, top) in tops.iter().enumerate() {
        let (panel, lane) = (query / PANEL, query % PANEL);
        codes.tighten(panel, lane, metric, top.bound(), &mut sweep.terms[panel]);
    }
    if tops.len() < LEAST_PANEL {
        sweep.ones.extend((0..tops.len()).map(|lane| codes.panels[0].lane(lane, header.dim.div_ceil(32))));
    }
    let row_bytes = code_bytes(header.dim) as usize;
    let most = (BLOCK_BYTES / row_bytes).next_multiple_of(8).max(FIRST_ROWS);
    let mut start = 0;
    while start < header.indexed as usize {
        if (search.interrupted)() {
            return Err(IndexError::Interrupted);
        }
        let wanted = start.saturating_mul(GROWTH).clamp(FIRST_ROWS, most).next_multiple_of(8);
        let count = wanted.min(header.indexed as usize - start);
        sweep.block(start, count, row_bytes, tops)?;
        start += count;
    }
    Ok(())
}

struct Sweep<'a> {
    search: &'a Search<'a>,
    queries: &'a Queries,
    rows: Range<u64>,
    coded: &'a Coded<'a>,
    /// Terms of each panel, for the present bounds.
    terms: Vec<QueryTerms>,
    /// The codes of queries that sweep one by one.
    ones: Vec<Vec<Block32>>,
    row_terms: Vec<RowTerms>,
    /// Codes that do not lie as they should.
    copied: Vec<Block32>,
    numbers: Vec<u64>,
    wide: Vec<f32>,
    stats: &'a mut SearchStats,
}

impl Sweep<'_> {
    /// Decides all rows at once if few may be found; whether it did.
    fn decide_few(&mut self, tops: &mut [TopK]) -> Result<bool, IndexError> {
        let may = |row: &u64| !self.search.is_excluded(*row);
        let most = (self.rows.end - self.rows.start) / FEW;
        let excluded = |words: &[u64]| -> u64 { words.iter().map(|word| u64::from(word.count_ones())).sum() };
        let excluded = self.search.excluded.map_or(0, excluded);
        if self.rows.end - self.rows.start > most.saturating_add(excluded) {
            return Ok(false);
        }
        if self.rows.clone().filter(may).take(most as usize + 1).count() as u64 > most {
            return Ok(false);
        }
        let rows: Vec<u64> = self.rows.clone().filter(may).collect();
        for (query, top) in tops.iter_mut().enumerate() {
            for some in rows.chunks(SOME_ROWS) {
                self.stats.reranked += some.len() as u64;
                self.stats.distance_computations += some.len() as u64;
                offer_rows((self.queries, query), self.search.rows, some, top, &mut self.wide)?;
            }
        }
        Ok(true)
    }

    /// Lets all queries meet the rows with codes `start` .. `start` + `count`.
    fn block(
        &mut self,
        start: usize,
        count: usize,
        row_bytes: usize,
        tops: &mut [TopK],
    ) -> Result<(), IndexError> {
        let codes =
            self.coded.codes.bytes((start * row_bytes) as u64..((start + count) * row_bytes) as u64)?;
        let groups = (start / 8 * GROUP_BYTES) as u64..((start + count).div_ceil(8) * GROUP_BYTES) as u64;
        let stored = self.coded.terms.bytes(groups)?;
        let mut copied = std::mem::take(&mut self.copied);
        let codes = match <[Block32]>::ref_from_bytes(codes) {
            Ok(codes) => codes,
            Err(_) => {
                copied.clear();
                copied.extend(codes.as_chunks::<32>().0.iter().map(|block| Block32(*block)));
                &copied
            }
        };
        self.row_terms.clear();
        if self.ones.is_empty() {
            let term = |row: usize, term: usize| float(&stored[row / 8 * GROUP_BYTES + 32 * term..], row % 8);
            self.row_terms.extend((0..count).map(|row| RowTerms {
                scale: term(row, 0),
                offset: term(row, 1),
                sum: term(row, 2),
                radius: term(row, 3),
                size: term(row, 4),
            }));
        }
        self.stats.distance_computations += (count * tops.len()) as u64;
        let level = Level::best();
        let mut survivors: [Vec<Survivor>; PANEL] = Default::default();
        for (panel, tops) in tops.chunks_mut(PANEL).enumerate() {
            if self.ones.is_empty() {
                level.run(Tile {
                    codes,
                    rows: &self.row_terms,
                    panel: &self.queries.coded().panels[panel],
                    queries: &self.terms[panel],
                    survivors: &mut survivors,
                });
            } else {
                for (lane, query) in self.ones.iter().enumerate() {
                    let (terms, survivors) = (&self.terms[0], &mut survivors[lane]);
                    level.run(SweepOne { codes, count, stored, query, terms, lane, survivors });
                }
            }
            for (lane, top) in tops.iter_mut().enumerate() {
                self.decide(start, (panel, lane), top, stored, &mut survivors[lane])?;
            }
        }
        self.copied = copied;
        Ok(())
    }

    /// Decides the survivors of a query: those that seem nearest first, and of the others those that their bound then leaves.
    fn decide(
        &mut self,
        start: usize,
        (panel, lane): (usize, usize),
        top: &mut TopK,
        stored: &[u8],
        survivors: &mut Vec<Survivor>,
    ) -> Result<(), IndexError> {
        if self.search.excluded.is_some() {
            let mut failed = Ok(());
            survivors.retain(|survivor| {
                match self.coded.row(&self.rows, start as u64 + u64::from(survivor.row)) {
                    Ok(row) => !self.search.is_excluded(row),
                    Err(error) => {
                        failed = Err(error);
                        false
                    }
                }
            });
            failed?;
        }
        if survivors.is_empty() {
            return Ok(());
        }
        let term = |row: u32, term: usize| {
            float(&stored[row as usize / 8 * GROUP_BYTES + 32 * term..], row as usize % 8)
        };
        let row_terms = |row: u32| RowTerms {
            scale: term(row, 0),
            offset: term(row, 1),
            sum: term(row, 2),
            radius: term(row, 3),
            size: term(row, 4),
        };
        if survivors.len() > top.k() {
            for survivor in survivors.iter_mut() {
                let terms = row_terms(survivor.row);
                survivor.estimate = self.terms[panel].estimate(lane, &terms, survivor.product);
            }
            survivors.select_nth_unstable_by(top.k(), |a, b| a.estimate.total_cmp(&b.estimate));
        }
        let query = panel * PANEL + lane;
        let codes = self.queries.coded();
        let (near, far) = survivors.split_at(survivors.len().min(top.k()));
        self.offer(start, query, near.iter().map(|survivor| survivor.row), top)?;
        codes.tighten(panel, lane, self.queries.metric(), top.bound(), &mut self.terms[panel]);
        let terms = self.terms[panel].clone();
        let far = far.iter().filter(|s| !terms.rule_out(lane, &row_terms(s.row), s.product));
        self.offer(start, query, far.map(|survivor| survivor.row), top)?;
        codes.tighten(panel, lane, self.queries.metric(), top.bound(), &mut self.terms[panel]);
        survivors.clear();
        Ok(())
    }

    /// Offers rows by their full elements.
    fn offer(
        &mut self,
        start: usize,
        query: usize,
        some: impl Iterator<Item = u32>,
        top: &mut TopK,
    ) -> Result<(), IndexError> {
        self.numbers.clear();
        for at in some {
            self.numbers.push(self.coded.row(&self.rows, start as u64 + u64::from(at))?);
        }
        if self.numbers.is_empty() {
            return Ok(());
        }
        self.stats.reranked += self.numbers.len() as u64;
        self.stats.distance_computations += self.numbers.len() as u64;
        offer_rows((self.queries, query), self.search.rows, &self.numbers, top, &mut self.wide)
    }
}
