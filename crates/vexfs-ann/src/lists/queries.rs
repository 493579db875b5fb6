//! Queries in the space of lists, coded.

use std::ops::Range;

use super::space::{Place, Space};
use crate::quant::sq8;
use crate::simd::Block32;
use crate::simd::scan::QuerySide;
use crate::{Metric, Queries};

/// Queries, as their estimates need them.
pub(super) struct Prepared {
    /// Blocks of codes to a query.
    blocks: usize,
    codes: Vec<Block32>,
    terms: Vec<Terms>,
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
    pub(super) fn new(space: &Space, queries: &Queries, range: Range<usize>) -> Self {
        let dim = queries.dim();
        let mut prepared = Self { blocks: dim.div_ceil(32), codes: Vec::new(), terms: Vec::new() };
        let mut placed = vec![0.0; dim];
        let (factor, square) = if space.metric == Metric::InnerProduct { (-1.0, 0.0) } else { (-2.0, 1.0) };
        for query in range {
            let place = space.query(queries.values(query), &mut placed);
            let coded = sq8::code_query(&placed, &mut prepared.codes);
            prepared.terms.push(Terms {
                base: square * crate::reference::dot(&placed, &placed) as f32,
                product: factor * coded.scale,
                offset: factor * coded.sum,
                is_giant: place == Place::Giant,
            });
        }
        prepared
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
