//! Queries in the space of lists, coded.

use std::ops::Range;

use super::params::Codes;
use super::space::{Place, Space};
use crate::quant::pq::Codebooks;
use crate::quant::rabitq::{self, Tabulated};
use crate::quant::sq8;
use crate::simd::Block32;
use crate::simd::codes::CODE_MAX;
use crate::simd::lookup::{LookupSide, SignSide};
use crate::simd::scan::QuerySide;
use crate::{Metric, Queries};

/// Queries, as their estimates need them.
pub(super) struct Prepared {
    metric: Metric,
    /// Blocks of codes to a query.
    blocks: usize,
    codes: Vec<Block32>,
    terms: Vec<Terms>,
    /// Of codes that are looked up.
    tables: Tables,
}

/// The products of queries with what codes stand for.
struct Tables {
    /// Entries of a query in `fours` or `bytes`.
    each: usize,
    /// Of four bits: two groups to an entry.
    fours: Vec<Block32>,
    /// Of eight bits: a group to an entry.
    bytes: Vec<[u16; 256]>,
    /// δ and what is added to all sums, per query.
    steps: Vec<Tabulated>,
}

/// A query besides its codes.
struct Terms {
    /// What the estimates of centroids begin with: |q|², 0 of inner products.
    base: f32,
    product: f32,
    offset: f32,
    reach: f32,
    /// |q|.
    norm: f32,
    /// See [`Space::query`].
    unit: f64,
    is_giant: bool,
}

impl Prepared {
    /// Places and codes the queries of `range`. `codebooks`: those of product quantisation.
    pub(super) fn new(
        space: &Space,
        codes: Codes,
        codebooks: Option<&Codebooks>,
        queries: &Queries,
        range: Range<usize>,
    ) -> Self {
        let dim = queries.dim();
        let each = match codes {
            Codes::Pq(shape) if shape.nbits == 8 => shape.pq_m,
            _ => codes.fours(dim).map_or(0, |fours| fours.div_ceil(2)),
        };
        let tables = Tables { each, fours: Vec::new(), bytes: Vec::new(), steps: Vec::new() };
        let mut prepared = Self {
            metric: space.metric,
            blocks: dim.div_ceil(32),
            codes: Vec::new(),
            terms: Vec::new(),
            tables,
        };
        let mut placed = vec![0.0; dim];
        let (factor, square) = if space.metric == Metric::InnerProduct { (-1.0, 0.0) } else { (-2.0, 1.0) };
        for query in range {
            let (place, unit) = space.query(queries.values(query), &mut placed);
            let coded = sq8::code_query(&placed, &mut prepared.codes);
            if let Some(codebooks) = codebooks {
                prepared.tables.push(codebooks, &placed, factor);
            } else if codes == Codes::Rabitq {
                prepared.tables.push_signs(&placed, factor);
            }
            let norm = crate::reference::dot(&placed, &placed) as f32;
            prepared.terms.push(Terms {
                base: square * norm,
                product: factor * coded.scale,
                offset: factor * coded.sum,
                reach: -factor * f32::from(CODE_MAX) * coded.size,
                norm: norm.sqrt(),
                unit,
                is_giant: place == Place::Giant,
            });
        }
        prepared
    }

    /// Bytes of what is kept of a query of `dim` elements.
    pub(super) fn bytes(codes: Codes, dim: usize) -> usize {
        let tables = match codes {
            Codes::Pq(shape) if shape.nbits == 8 => 512 * shape.pq_m,
            _ => 16 * codes.fours(dim).unwrap_or(0),
        };
        dim + tables + 64
    }

    /// The tables of query `query`, of codes of four bits.
    pub(super) fn fours(&self, query: usize) -> &[Block32] {
        &self.tables.fours[query * self.tables.each..][..self.tables.each]
    }

    /// The tables of query `query`, of codes of eight bits.
    pub(super) fn bytes_of(&self, query: usize) -> &[[u16; 256]] {
        &self.tables.bytes[query * self.tables.each..][..self.tables.each]
    }

    /// The terms of query `query` for rows of product quantisation.
    pub(super) fn lookup_side(&self, query: usize, base: f32, limit: f32) -> LookupSide {
        let Tabulated { step, offset } = self.tables.steps[query];
        LookupSide { base: base + offset, step, limit }
    }

    /// The terms of query `query` for rows coded by their signs.
    pub(super) fn sign_side(&self, query: usize, base: f32, limit: f32) -> SignSide {
        let Tabulated { step, offset } = self.tables.steps[query];
        // The vector that is multiplied with the residual: the query as seen from the centroid, or the query.
        let (factor, length) = match self.metric {
            Metric::InnerProduct => (1.0, self.terms[query].norm),
            _ => (2.0, base.max(0.0).sqrt()),
        };
        SignSide { base, step, offset, radius: factor * rabitq::DEVIATIONS * length, limit }
    }

    /// What distances of query `query` are multiplied with in the space of lists.
    pub(super) fn unit(&self, query: usize) -> f64 {
        self.terms[query].unit
    }

    /// Number of queries.
    pub(super) fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether query `query` cannot be compared by codes.
    pub(super) fn is_giant(&self, query: usize) -> bool {
        self.terms[query].is_giant
    }

    /// The codes of query `query`.
    pub(super) fn codes(&self, query: usize) -> &[Block32] {
        &self.codes[query * self.blocks..][..self.blocks]
    }

    /// What the estimates of centroids begin with.
    pub(super) fn base(&self, query: usize) -> f32 {
        self.terms[query].base
    }

    /// The terms of query `query` for rows whose estimates begin with `base` and are of interest up to `limit`.
    pub(super) fn side(&self, query: usize, base: f32, limit: f32) -> QuerySide {
        let Terms { product, offset, reach, .. } = self.terms[query];
        QuerySide { base, product, offset, reach, limit }
    }
}

impl Tables {
    /// Adds those of a query, of product quantisation.
    fn push(&mut self, codebooks: &Codebooks, query: &[f32], factor: f32) {
        let mut entries = Vec::new();
        let (step, offset) = codebooks.tabulate(query, factor, &mut entries);
        self.steps.push(Tabulated { step, offset });
        if codebooks.shape().nbits == 8 {
            self.bytes.extend_from_slice(entries.as_chunks::<256>().0);
        } else {
            let entries: Vec<u8> = entries.into_iter().map(|entry| entry as u8).collect();
            self.push_fours(&entries);
        }
    }

    /// Adds those of a query, of signs.
    fn push_signs(&mut self, query: &[f32], factor: f32) {
        let mut entries = Vec::new();
        self.steps.push(rabitq::tabulate(query, factor, &mut entries));
        self.push_fours(&entries);
    }

    fn push_fours(&mut self, entries: &[u8]) {
        for pair in entries.chunks(32) {
            let mut block = Block32::ZERO;
            block.0[..pair.len()].copy_from_slice(pair);
            self.fours.push(block);
        }
    }
}
