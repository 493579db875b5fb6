//! Many queries against the same rows: a block of rows is coded once and meets every panel of queries in the tile;
//! the few pairs that survive are decided as in [`stream`].

use std::marker::PhantomData;

use crate::neighbor::TopK;
use crate::simd::codes::{CODE_MAX, CodeRows, RowCode};
use crate::simd::element::{BF16, Element, F16, F32, I8, U8};
use crate::simd::tile::{PANEL, QueryTerms, RowTerms, Survivor, Tile};
use crate::simd::{Block32, Level};
use crate::{DType, Metric};

use super::Queries;
use super::coding::{CodedQueries, row_terms};
use super::stream::{self, Rows};

/// Bytes of row codes that stay in the second-level cache while all queries pass over them.
const BLOCK_BYTES: usize = 192 << 10;

/// Rows of the first block: with no bound known yet, each of them is decided for each query.
const FIRST_ROWS: usize = 24;

/// How many times as many rows as have been seen a block may have. A larger block finds more survivors by a stale
/// bound, smaller ones cost more passes over the queries; 1 to 8 do equally well.
const GROWTH: usize = 4;

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
        let most = (BLOCK_BYTES / queries.dim().next_multiple_of(32)).max(FIRST_ROWS);
        let mut start = 0;
        while start < rows.vectors.len() {
            let count = (self.seen * GROWTH).clamp(FIRST_ROWS, most).min(rows.vectors.len() - start);
            let block = Rows {
                vectors: rows.vectors.slice(start..start + count),
                first: rows.number(start),
                deleted: rows.deleted,
            };
            self.code(level, block, wide);
            for (panel, tops) in tops.chunks_mut(PANEL).enumerate() {
                self.meet(level, queries, block, panel, tops, wide);
            }
            start += count;
            self.seen += count;
        }
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

    /// Lets the coded block meet one panel of queries, and decides what survives.
    fn meet(
        &mut self,
        level: Level,
        queries: &Queries,
        block: Rows<'_>,
        panel: usize,
        tops: &mut [TopK],
        wide: &mut Vec<f32>,
    ) {
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
            stream::scan(level, query, block, near.iter().map(|s| s.row as usize), 0, top, wide);
            self.coded.tighten(panel, lane, self.metric, top.bound(), terms);
            let far = far.iter().filter(|s| !terms.rule_out(lane, &rows[s.row as usize], s.product));
            let mut far = far.map(|s| s.row as usize).peekable();
            if far.peek().is_some() {
                stream::scan(level, query, block, far, 0, top, wide);
                self.coded.tighten(panel, lane, self.metric, top.bound(), &mut self.terms[panel]);
            }
            self.survivors[lane].clear();
        }
    }
}
