//! The tile: coded queries against coded rows, with the selection fused in.
//!
//! Six rows meet one panel of sixteen queries (or eight) at a time. Four codes of a row are broadcast to all lanes and
//! multiplied with four codes of each of eight queries; products are added in i16 over [`LANE_SPAN`] elements, which
//! [`QUERY_LANE`] proves safe, then widened to i32. What leaves the registers is not the products but the few
//! pairs whose bound does not rule them out.

use super::codes::LANE_SPAN;
use super::level::Job;
use super::vector::{Block32, Simd};

#[cfg(doc)]
use super::codes::QUERY_LANE;

/// Rows that share the loads of a panel: with two vectors of queries, 12 accumulators, 2 operands, 1 broadcast.
const ROWS: usize = 6;

/// Queries of a full panel.
pub(crate) const PANEL: usize = 16;

/// Quads of elements in a block of row codes.
const QUADS: usize = LANE_SPAN / 4;

/// What the bound of a pair takes from the row; its meaning depends on the metric. NaN anywhere keeps the row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowTerms {
    /// Multiplies the product of codes.
    pub(crate) scale: f32,
    /// Multiplies [`QueryTerms::offset`].
    pub(crate) offset: f32,
    /// Multiplies [`QueryTerms::sum`].
    pub(crate) sum: f32,
    /// Multiplies [`QueryTerms::radius`].
    pub(crate) radius: f32,
    /// Multiplies [`QueryTerms::size`].
    pub(crate) size: f32,
}

/// What the bounds of a panel's pairs take from the queries, by query.
///
/// The pair is ruled out if constant + size · size + radius · radius + sum · sum + offset · offset
/// + product · (scale · Σ codes) is greater than zero.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryTerms {
    /// The constant term.
    pub(crate) constant: [f32; PANEL],
    /// Multiplies the row's scale and the product of codes.
    pub(crate) product: [f32; PANEL],
    /// Multiplies [`RowTerms::offset`].
    pub(crate) offset: [f32; PANEL],
    /// Multiplies [`RowTerms::sum`].
    pub(crate) sum: [f32; PANEL],
    /// Multiplies [`RowTerms::radius`].
    pub(crate) radius: [f32; PANEL],
    /// Multiplies [`RowTerms::size`].
    pub(crate) size: [f32; PANEL],
}

/// The coded queries of a panel: for each four elements, one or two [`Block32`] of eight queries each.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    blocks: Vec<Block32>,
    live: usize,
}

impl Panel {
    /// Interleaves the codes of up to [`PANEL`] queries.
    ///
    /// # Shape
    /// `codes`: 1 ..= [`PANEL`] slices of d codes; the sums of codes respect [`QUERY_LANE`].
    pub(crate) fn new(codes: &[Vec<i8>], dim: usize) -> Self {
        let vectors = if codes.len() > 8 { 2 } else { 1 };
        let quads = dim.div_ceil(LANE_SPAN) * QUADS;
        let mut blocks = vec![Block32::ZERO; quads * vectors];
        for (query, codes) in codes.iter().enumerate() {
            for (element, &code) in codes.iter().enumerate() {
                let block = element / 4 * vectors + query / 8;
                blocks[block].0[query % 8 * 4 + element % 4] = code as u8;
            }
        }
        Self { blocks, live: codes.len() }
    }
}

/// Finds the pairs of a block of rows and a panel that the bound does not rule out.
pub(crate) struct Tile<'a> {
    /// Row codes, ⌈d / 32⌉ blocks to a row.
    pub(crate) codes: &'a [Block32],
    /// One entry per row.
    pub(crate) rows: &'a [RowTerms],
    /// The queries.
    pub(crate) panel: &'a Panel,
    /// Their terms.
    pub(crate) queries: &'a QueryTerms,
    /// Per query of the panel: indices of surviving rows, appended in ascending order.
    pub(crate) survivors: &'a mut [Vec<u32>; PANEL],
}

impl Job for Tile<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        if self.panel.live > 8 { self.rows_of::<S, 2>(simd) } else { self.rows_of::<S, 1>(simd) }
    }
}

impl Tile<'_> {
    /// All rows, with `VECTORS` vectors of eight queries.
    #[inline(always)]
    fn rows_of<S: Simd, const VECTORS: usize>(self, simd: S) {
        let blocks = self.panel.blocks.len() / (QUADS * VECTORS);
        let live = (1u32 << self.panel.live) - 1;
        let mut first = 0;
        while first < self.rows.len() {
            // The last group repeats the last row in place of the missing ones.
            let row = |i: usize| (first + i).min(self.rows.len() - 1);
            let codes = std::array::from_fn(|i| &self.codes[row(i) * blocks..][..blocks]);
            let products = multiply::<S, VECTORS>(simd, codes, &self.panel.blocks);
            for (i, products) in products.iter().enumerate().take(self.rows.len() - first) {
                let ruled_out = self.ruled_out(simd, &self.rows[first + i], products);
                let mut survivors = !ruled_out & live;
                while survivors != 0 {
                    self.survivors[survivors.trailing_zeros() as usize].push((first + i) as u32);
                    survivors &= survivors - 1;
                }
            }
            first += ROWS;
        }
    }

    /// The queries for which the bound rules a row out, a bit each.
    #[inline(always)]
    fn ruled_out<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        row: &RowTerms,
        products: &[S::I32; VECTORS],
    ) -> u32 {
        let mut bits = 0;
        for (vector, &product) in products.iter().enumerate() {
            let of = |terms: &[f32; PANEL]| simd.load_f32(&terms.as_chunks::<8>().0[vector]);
            let add =
                |query: &[f32; PANEL], row: f32, sum| simd.mul_add_f32(of(query), simd.splat_f32(row), sum);
            let mut bound = of(&self.queries.constant);
            bound = add(&self.queries.size, row.size, bound);
            bound = add(&self.queries.radius, row.radius, bound);
            bound = add(&self.queries.sum, row.sum, bound);
            bound = add(&self.queries.offset, row.offset, bound);
            let product = simd.mul_f32(simd.splat_f32(row.scale), simd.to_f32(product));
            bound = simd.mul_add_f32(of(&self.queries.product), product, bound);
            bits |= simd.positive_f32(bound) << (8 * vector);
        }
        bits
    }
}

/// Σ of the products of codes, of six rows with each query of a panel.
///
/// # Shape
/// `rows`: b blocks each; `panel`: b · [`QUADS`] · `VECTORS` blocks.
#[inline(always)]
fn multiply<S: Simd, const VECTORS: usize>(
    simd: S,
    rows: [&[Block32]; ROWS],
    panel: &[Block32],
) -> [[S::I32; VECTORS]; ROWS] {
    let mut sums = [[simd.zero_i32(); VECTORS]; ROWS];
    let rows = rows.map(|row| &row[..rows[0].len()]);
    for (block, panel) in (0..rows[0].len()).zip(panel.chunks_exact(QUADS * VECTORS)) {
        let mut lanes = [[simd.zero_i16(); VECTORS]; ROWS];
        for quad in 0..QUADS {
            let queries: [S::Bytes; VECTORS] =
                std::array::from_fn(|vector| simd.load_bytes(&panel[quad * VECTORS + vector]));
            for (row, lanes) in rows.iter().zip(&mut lanes) {
                let code = simd.splat_bytes(row[block].0.as_chunks::<4>().0[quad]);
                for (lanes, &queries) in lanes.iter_mut().zip(&queries) {
                    *lanes = simd.add_i16(*lanes, simd.dot_u8_i8(code, queries));
                }
            }
        }
        for (sums, lanes) in sums.iter_mut().zip(&lanes) {
            for (sum, &lanes) in sums.iter_mut().zip(lanes) {
                *sum = simd.add_i32(*sum, simd.pair_sum_i16(lanes));
            }
        }
    }
    sums
}
