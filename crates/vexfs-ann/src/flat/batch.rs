//! Many queries against the same rows: a block of rows is coded once and meets every panel of queries in the tile;
//! the few pairs that survive are decided as in [`stream`].
//!
//! Where codes lose so much that many pairs survive (elements of very different size within a row, as of heavy-tailed
//! distributions or with a few dimensions that outweigh the others), rows meet the queries by their numbers instead, in [`floats`]:
//! tried again now and then, because the next rows may be others.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use crate::neighbor::TopK;
use crate::simd::codes::{CODE_MAX, CodeRows, RowCode};
use crate::simd::element::{BF16, Element, F16, F32, I8, U8};
use crate::simd::tile::{PANEL, QueryTerms, RowTerms, Survivor, Tile};
use crate::simd::{Block32, Level};
use crate::{DType, Metric};

use super::Queries;
use super::coding::{CodedQueries, row_terms};
use super::floats::Floats;
use super::stream::{self, Rows};

/// Bytes of rows, as codes or numbers, that stay in the second-level cache while all queries pass over them.
const BLOCK_BYTES: usize = 192 << 10;

/// Rows of the first block: with no bound known yet, each of them is decided for each query.
const FIRST_ROWS: usize = 24;

/// How many times as many rows as have been seen a block may have. A larger block finds more survivors by a stale
/// bound, smaller ones cost more passes over the queries; 1 to 8 do equally well.
const GROWTH: usize = 4;

/// Share of pairs, 1 in this many, that survive by codes, or by parts, without being as near as that: from there on, the tile of
/// numbers costs less.
pub(super) const LOOSE: usize = 12;

/// The same of rows of bytes, which a glance compares four times as fast.
const LOOSE_BYTES: usize = 3;

/// Rows by which codes are tried again.
const TRIAL: usize = 96;

/// Rows that are met by their numbers before the next trial: at first, and at most.
const RUN: RangeInclusive<usize> = 8 * TRIAL..=256 * TRIAL;

/// A scan of many queries.
#[derive(Debug, Clone)]
pub(super) struct Batch<'q> {
    coded: &'q CodedQueries,
    metric: Metric,
    /// Terms of each panel, for the present bounds.
    terms: Vec<QueryTerms>,
    /// Rows seen so far.
    seen: usize,
    codes: Vec<Block32>,
    row_codes: Vec<RowCode>,
    row_terms: Vec<RowTerms>,
    survivors: [Vec<Survivor>; PANEL],
    floats: Floats,
    /// Rows seen up to here are met by their numbers.
    floats_until: usize,
    /// How many these were, the last time; 0 if codes did well.
    run: usize,
}

impl<'q> Batch<'q> {
    /// A scan that has seen nothing.
    pub(super) fn new(coded: &'q CodedQueries, metric: Metric, tops: &[TopK]) -> Self {
        let mut batch = Self {
            coded,
            metric,
            terms: vec![QueryTerms::default(); coded.panels.len()],
            seen: 0,
            codes: Vec::new(),
            row_codes: Vec::new(),
            row_terms: Vec::new(),
            survivors: Default::default(),
            floats: Floats::default(),
            floats_until: 0,
            run: 0,
        };
        batch.tighten(tops);
        batch
    }

    /// Takes the bounds of all queries from `tops`.
    pub(super) fn tighten(&mut self, tops: &[TopK]) {
        for (query, top) in tops.iter().enumerate() {
            let (panel, lane) = (query / PANEL, query % PANEL);
            self.coded.tighten(panel, lane, self.metric, top.bound(), &mut self.terms[panel]);
        }
    }

    /// Offers `rows` to `tops`, one per query.
    pub(super) fn push(
        &mut self,
        level: Level,
        queries: &Queries,
        rows: Rows<'_>,
        tops: &mut [TopK],
        wide: &mut Vec<f32>,
    ) {
        let mut start = 0;
        while start < rows.vectors.len() {
            let by_floats = self.seen < self.floats_until;
            let dim = queries.dim();
            let row_bytes = if by_floats { self.floats.row_bytes(queries) } else { dim.next_multiple_of(32) };
            let most = if !by_floats && self.run > 0 { TRIAL } else { BLOCK_BYTES / row_bytes };
            let count =
                (self.seen * GROWTH).clamp(FIRST_ROWS, most.max(FIRST_ROWS)).min(rows.vectors.len() - start);
            let block = Rows {
                vectors: rows.vectors.slice(start..start + count),
                first: rows.number(start),
                deleted: rows.deleted,
            };
            start += count;
            self.seen += count;
            if by_floats {
                self.floats.meet(level, queries, block, tops, wide);
                if self.seen >= self.floats_until {
                    self.tighten(tops);
                }
                continue;
            }
            self.code(level, block, wide);
            let mut needless = 0;
            for (panel, tops) in tops.chunks_mut(PANEL).enumerate() {
                needless += self.meet(level, queries, block, panel, tops, wide);
            }
            let loose = if queries.dtype().row_bytes(1) == 1 { LOOSE_BYTES } else { LOOSE };
            if self.judge(needless * loose > count * tops.len()) {
                self.floats.choose(level, queries);
            }
        }
    }

    /// Takes note of how a block did by its codes, and returns that.
    fn judge(&mut self, is_loose: bool) -> bool {
        if is_loose {
            self.run = (self.run * 2).clamp(*RUN.start(), *RUN.end());
            self.floats_until = self.seen + self.run;
        } else {
            self.run = 0;
        }
        is_loose
    }

    /// Codes the rows of a block.
    fn code(&mut self, level: Level, block: Rows<'_>, wide: &mut Vec<f32>) {
        match block.vectors.dtype() {
            DType::F32 => self.code_as::<F32>(level, block, wide),
            DType::F16 => self.code_as::<F16>(level, block, wide),
            DType::BF16 => self.code_as::<BF16>(level, block, wide),
            DType::I8 => self.code_as::<I8>(level, block, wide),
            DType::U8 => self.code_as::<U8>(level, block, wide),
            DType::B1 => unreachable!("bits are not coded"),
        }
        let (dim, metric) = (block.vectors.dim(), self.metric);
        self.row_terms.clear();
        self.row_terms.extend(self.row_codes.iter().map(|row| row_terms(row, dim, metric)));
    }

    fn code_as<E: Element>(&mut self, level: Level, block: Rows<'_>, wide: &mut Vec<f32>) {
        level.run(CodeRows {
            rows: block.vectors.bytes(),
            dim: block.vectors.dim(),
            most: CODE_MAX,
            element: PhantomData::<E>,
            codes: &mut self.codes,
            coded: &mut self.row_codes,
            wide,
        });
    }

    /// Lets the coded block meet one panel of queries, and decides what survives; returns how many pairs did that a glance rules
    /// out.
    fn meet(
        &mut self,
        level: Level,
        queries: &Queries,
        block: Rows<'_>,
        panel: usize,
        tops: &mut [TopK],
        wide: &mut Vec<f32>,
    ) -> usize {
        let mut needless = 0;
        level.tile(Tile {
            codes: &self.codes,
            rows: &self.row_terms,
            panel: &self.coded.panels[panel],
            queries: &self.terms[panel],
            survivors: &mut self.survivors,
        });
        for (lane, top) in tops.iter_mut().enumerate() {
            let found = &mut self.survivors[lane];
            if found.is_empty() {
                continue;
            }
            let query = (queries, panel * PANEL + lane);
            let (terms, rows) = (&mut self.terms[panel], &self.row_terms);
            if found.len() > top.k() {
                // The nearest first: they leave a bound that rules out most of the others.
                for survivor in found.iter_mut() {
                    let row = &rows[survivor.row as usize];
                    survivor.estimate = terms.estimate(lane, row, survivor.product);
                }
                found.select_nth_unstable_by(top.k(), |a, b| a.estimate.total_cmp(&b.estimate));
            }
            let (near, far) = found.split_at(found.len().min(top.k()));
            needless += stream::scan(level, query, block, near.iter().map(|s| s.row as usize), 0, top, wide);
            self.coded.tighten(panel, lane, self.metric, top.bound(), terms);
            let far = far.iter().filter(|s| !terms.rule_out(lane, &rows[s.row as usize], s.product));
            let mut far = far.map(|s| s.row as usize).peekable();
            if far.peek().is_some() {
                needless += stream::scan(level, query, block, far, 0, top, wide);
                self.coded.tighten(panel, lane, self.metric, top.bound(), &mut self.terms[panel]);
            }
            self.survivors[lane].clear();
        }
        needless
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Vectors;
    use crate::rng::Random;

    /// Of 20 queries and `rows` rows whose element 5 is `far` away from the others: whether codes lost too much when last tried, after
    /// each piece of 500; the tile of parts takes over where the level has one.
    fn by_floats(level: Level, far: impl Fn(usize) -> f32, rows: usize) -> Vec<bool> {
        const DIM: usize = 64;
        let mut random = Random::new(3, 0);
        let mut numbers = |count: usize, far: &dyn Fn(usize) -> f32| -> Vec<f32> {
            let mut number = |at: usize| {
                let uniform = random.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0;
                if at % DIM == 5 { uniform + far(at / DIM) } else { uniform }
            };
            (0..count * DIM).map(&mut number).collect()
        };
        let queries = Queries::new(&numbers(20, &|_| far(0)), DIM, DType::F32, Metric::L2).unwrap();
        let bytes: Vec<u8> = numbers(rows, &far).iter().flat_map(|value| value.to_le_bytes()).collect();
        let vectors = Vectors::new(&bytes, DIM, DType::F32).unwrap();
        let mut tops = vec![TopK::new(10); 20];
        let mut batch = Batch::new(queries.coded(), Metric::L2, &tops);
        let mut seen = Vec::new();
        for first in (0..rows).step_by(500) {
            let vectors = vectors.slice(first..rows.min(first + 500));
            let rows = Rows { vectors, first: first as u64, deleted: None };
            batch.push(level, &queries, rows, &mut tops, &mut Vec::new());
            seen.push(batch.run > 0);
            assert_eq!(
                batch.floats.is_by_parts(),
                level.part_cost() == Some(2) && seen.contains(&true),
                "{level:?}"
            );
        }
        seen
    }

    #[test]
    fn rows_are_met_by_their_numbers_where_codes_lose_too_much_and_only_there() {
        for level in Level::tested() {
            assert!(by_floats(level, |_| 0.0, 5000).iter().all(|by_floats| !by_floats));
            assert!(by_floats(level, |_| 500.0, 5000).iter().all(|by_floats| *by_floats));
            // Once the rows are others, the next trial tells.
            let first_only = by_floats(level, |row| if row < 1000 { 500.0 } else { 0.0 }, 5000);
            assert!(first_only[0] && !first_only[9], "{level:?} {first_only:?}");
        }
    }
}
