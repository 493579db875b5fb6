//! Queries in the space of lists, coded.

use std::ops::Range;

use super::params::Codes;
use super::space::{Place, Space};
use crate::quant::pq::{self, Codebooks};
use crate::quant::sq8;
use crate::simd::Block32;
use crate::simd::lookup::LookupSide;
use crate::simd::scan::QuerySide;
use crate::{Metric, Queries};

/// Queries, as their estimates need them.
pub(super) struct Prepared {
    /// Blocks of codes to a query.
    blocks: usize,
    codes: Vec<Block32>,
    terms: Vec<Terms>,
    /// Of product quantisation.
    tables: Option<Tables>,
}

/// The products of queries with codewords.
struct Tables {
    shape: pq::Shape,
    /// Of four bits: ⌈pq_m / 2⌉ per query.
    pairs: Vec<Block32>,
    /// Of eight bits: pq_m per query.
    bytes: Vec<[u16; 256]>,
    /// δ and the sum of what is below all tables, per query.
    steps: Vec<(f32, f32)>,
}

/// A query besides its codes.
struct Terms {
    /// What the estimates of centroids begin with: |q|², 0 of inner products.
    base: f32,
    product: f32,
    offset: f32,
    is_giant: bool,
}

impl Prepared {
    /// Places and codes the queries of `range`.
    pub(super) fn new(
        space: &Space,
        codebooks: Option<&Codebooks>,
        queries: &Queries,
        range: Range<usize>,
    ) -> Self {
        let dim = queries.dim();
        let tables = codebooks.map(|codebooks| Tables {
            shape: codebooks.shape(),
            pairs: Vec::new(),
            bytes: Vec::new(),
            steps: Vec::new(),
        });
        let mut prepared = Self { blocks: dim.div_ceil(32), codes: Vec::new(), terms: Vec::new(), tables };
        let mut placed = vec![0.0; dim];
        let (factor, square) = if space.metric == Metric::InnerProduct { (-1.0, 0.0) } else { (-2.0, 1.0) };
        for query in range {
            let place = space.query(queries.values(query), &mut placed);
            let coded = sq8::code_query(&placed, &mut prepared.codes);
            if let (Some(tables), Some(codebooks)) = (&mut prepared.tables, codebooks) {
                tables.push(codebooks, &placed, factor);
            }
            prepared.terms.push(Terms {
                base: square * crate::reference::dot(&placed, &placed) as f32,
                product: factor * coded.scale,
                offset: factor * coded.sum,
                is_giant: place == Place::Giant,
            });
        }
        prepared
    }

    /// Bytes of what is kept of a query of `dim` elements.
    pub(super) fn bytes(codes: Codes, dim: usize) -> usize {
        let tables = match codes {
            Codes::Sq8 => 0,
            Codes::Pq(shape) if shape.nbits == 4 => 16 * shape.pq_m,
            Codes::Pq(shape) => 512 * shape.pq_m,
        };
        dim + tables + 64
    }

    /// The tables of pairs of groups of query `query`; of product quantisation with four bits.
    pub(super) fn pairs(&self, query: usize) -> Option<&[Block32]> {
        let tables = self.tables.as_ref().filter(|tables| tables.shape.nbits == 4)?;
        let count = tables.shape.pq_m.div_ceil(2);
        Some(&tables.pairs[query * count..][..count])
    }

    /// The tables of query `query`; of product quantisation with eight bits.
    pub(super) fn tables(&self, query: usize) -> Option<&[[u16; 256]]> {
        let tables = self.tables.as_ref().filter(|tables| tables.shape.nbits == 8)?;
        Some(&tables.bytes[query * tables.shape.pq_m..][..tables.shape.pq_m])
    }

    /// The terms of query `query` for rows that are looked up in its tables.
    pub(super) fn lookup_side(&self, query: usize, base: f32, limit: f32) -> LookupSide {
        let (step, below) = self.tables.as_ref().map_or((0.0, 0.0), |tables| tables.steps[query]);
        LookupSide { base: base + below, step, limit }
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
        let Terms { product, offset, .. } = self.terms[query];
        QuerySide { base, product, offset, limit }
    }
}

impl Tables {
    /// Adds those of a query.
    fn push(&mut self, codebooks: &Codebooks, query: &[f32], factor: f32) {
        let mut entries = Vec::new();
        self.steps.push(codebooks.tabulate(query, factor, &mut entries));
        if self.shape.nbits == 8 {
            self.bytes.extend_from_slice(entries.as_chunks::<256>().0);
            return;
        }
        for pair in entries.chunks(32) {
            let mut block = Block32::ZERO;
            block.0.iter_mut().zip(pair).for_each(|(byte, entry)| *byte = *entry as u8);
            self.pairs.push(block);
        }
    }
}
