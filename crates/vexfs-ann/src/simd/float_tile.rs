//! The tile of numbers: queries against rows by their elements in f32, with the selection fused in.
//!
//! As the tile of [codes](super::tile), for rows of which codes lose too much. Six rows meet one panel of sixteen queries (or eight) at a
//! time: an element of a row is broadcast to all lanes and meets that element of each query. What leaves the registers is the
//! few pairs whose sum does not exceed the limit of their query.
//!
//! # Error
//! Terms, (qᵢ − xᵢ)² or qᵢ xᵢ, are rounded at most three times and added in the order of the elements, [`SPAN`] of them at a time; then
//! the sums of spans are added. A sum is therefore Σ tᵢ (1 + θᵢ) with |θᵢ| ≤ γ(min(d, SPAN) + ⌈d / SPAN⌉ + 3), as in
//! [`float`](super::float), as long as nothing overflows; an underflowing term adds at most 2⁻¹⁴⁹. [`gamma`] allows
//! min(d, SPAN) + ⌈d / 32⌉ + 16, and so no less than that of [`float`](super::float).

use super::level::Job;
use super::tile::{PANEL, ROWS};
use super::vector::{Block32, Simd};

/// Elements that are multiplied without a look at whether there are more; rows and queries are padded with zeros to this many.
pub(crate) const STEP: usize = 8;

/// Elements of which the terms are added up by themselves, so that the error does not grow with d.
pub(super) const SPAN: usize = 512;

/// Bound on the relative error of one term of a sum over `dim` elements; see the module's description.
pub(crate) fn gamma(dim: usize) -> f64 {
    let rounded = (dim.min(SPAN) + dim.div_ceil(32) + 16) as f64 * f64::from(f32::EPSILON) / 2.0;
    rounded / (1.0 - rounded)
}

/// The queries of a panel: for each element, one or two [`Block32`] of eight queries each.
#[derive(Debug, Clone)]
pub(crate) struct FloatPanel {
    /// From `start` on; zero beyond the last element.
    blocks: Vec<Block32>,
    /// 1 if pairs of blocks do not straddle cache lines then.
    start: usize,
    live: usize,
    /// Multiplies [`FloatRows::heads`]; zero for queries that do not exist.
    heads: [f32; PANEL],
}

impl FloatPanel {
    /// Interleaves 1 ..= [`PANEL`] queries of `dim` elements each, and as many heads.
    pub(crate) fn new<'a>(
        dim: usize,
        queries: impl ExactSizeIterator<Item = &'a [f32]>,
        heads: impl Iterator<Item = f32>,
    ) -> Self {
        let live = queries.len();
        let vectors = if live <= 8 { 1 } else { 2 };
        let mut blocks = vec![Block32::ZERO; dim.next_multiple_of(STEP) * vectors + vectors - 1];
        let start = if vectors == 2 { blocks.as_ptr().addr() / size_of::<Block32>() % 2 } else { 0 };
        for (query, values) in queries.enumerate() {
            let blocks = blocks[start + query / 8..].iter_mut().step_by(vectors);
            for (value, block) in values[..dim].iter().zip(blocks) {
                block.0.as_chunks_mut::<4>().0[query % 8] = value.to_le_bytes();
            }
        }
        let mut panel = Self { blocks, start, live, heads: [0.0; PANEL] };
        panel.heads.iter_mut().zip(heads).for_each(|(to, head)| *to = head);
        panel
    }

    /// The blocks, one or two to an element.
    pub(super) fn blocks(&self) -> &[Block32] {
        &self.blocks[self.start..]
    }

    /// Of a panel that is not half: sixteen queries to an element.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn pairs(&self) -> &[[Block32; 2]] {
        self.blocks[self.start..].as_chunks().0
    }

    /// What multiplies the heads of rows.
    pub(super) fn heads(&self) -> &[f32; PANEL] {
        &self.heads
    }

    /// The queries that exist, a bit each.
    pub(super) fn live_mask(&self) -> u32 {
        (1 << self.live) - 1
    }

    /// Whether there is one block to an element.
    pub(super) fn is_half(&self) -> bool {
        self.live <= 8
    }
}

/// Rows as the tile takes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FloatRows<'a> {
    /// ⌈d / [`STEP`]⌉ steps to a row, zero beyond d.
    pub(crate) values: &'a [[f32; STEP]],
    /// One for each row: multiplies the head of a query, and the sum begins with the product. NaN keeps the row.
    pub(crate) heads: &'a [f32],
}

impl FloatRows<'_> {
    /// Steps of a row.
    pub(super) fn steps(&self) -> usize {
        self.values.len() / self.heads.len().max(1)
    }
}

/// What is added up over the elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Term {
    /// (qᵢ − xᵢ)².
    Square,
    /// qᵢ xᵢ.
    Product,
}

/// Finds the pairs of some rows and a panel whose sum does not exceed the query's limit.
pub(crate) struct FloatTile<'a> {
    /// The rows.
    pub(crate) rows: FloatRows<'a>,
    /// The queries.
    pub(crate) panel: &'a FloatPanel,
    /// What is added up.
    pub(crate) term: Term,
    /// Per query: a pair survives unless its sum is greater than this. NaN on either side is not greater.
    pub(crate) limits: &'a [f32; PANEL],
    /// Per query: surviving rows, appended in ascending order.
    pub(crate) survivors: &'a mut [Vec<Near>; PANEL],
}

/// A row that is not ruled out for a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Near {
    /// Index among the rows.
    pub(crate) row: u32,
    /// The sum: the smaller, the nearer.
    pub(crate) sum: f32,
}

/// Notes the queries, a bit each, for which a row survives.
pub(super) fn keep(survivors: &mut [Vec<Near>; PANEL], row: usize, sums: &[f32; PANEL], mut queries: u32) {
    while queries != 0 {
        let query = queries.trailing_zeros() as usize;
        survivors[query].push(Near { row: row as u32, sum: sums[query] });
        queries &= queries - 1;
    }
}

impl Job for FloatTile<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match (self.term, self.panel.is_half()) {
            (Term::Square, false) => self.rows_of::<S, 2, true>(simd),
            (Term::Square, true) => self.rows_of::<S, 1, true>(simd),
            (Term::Product, false) => self.rows_of::<S, 2, false>(simd),
            (Term::Product, true) => self.rows_of::<S, 1, false>(simd),
        }
    }
}

impl FloatTile<'_> {
    /// All rows, with `VECTORS` vectors of eight queries.
    #[inline(always)]
    fn rows_of<S: Simd, const VECTORS: usize, const SQUARES: bool>(self, simd: S) {
        let (steps, count) = (self.rows.steps(), self.rows.heads.len());
        let vector = |of: &[f32; PANEL], vector: usize| simd.load_f32(&of.as_chunks::<8>().0[vector]);
        for first in (0..count).step_by(ROWS) {
            // The last group repeats the last row in place of the missing ones.
            let row = |i: usize| (first + i).min(count - 1);
            let mut sums = [[simd.splat_f32(0.0); VECTORS]; ROWS];
            for (i, sums) in sums.iter_mut().enumerate() {
                let head = simd.splat_f32(self.rows.heads[row(i)]);
                for (at, sum) in sums.iter_mut().enumerate() {
                    *sum = simd.mul_f32(head, vector(self.panel.heads(), at));
                }
            }
            let values = std::array::from_fn(|i| &self.rows.values[row(i) * steps..][..steps]);
            add_up::<S, VECTORS, SQUARES>(simd, values, self.panel.blocks(), &mut sums);
            for (i, sums) in sums.iter().enumerate().take(count - first) {
                let mut greater = 0;
                for (at, &sum) in sums.iter().enumerate() {
                    // Of two numbers that are not equal, the difference is not zero.
                    let above = simd.sub_f32(sum, vector(self.limits, at));
                    greater |= simd.positive_f32(above) << (8 * at);
                }
                let survivors = self.panel.live_mask() & !greater;
                if survivors != 0 {
                    let mut by_query = [0.0; PANEL];
                    for (&sums, by_query) in sums.iter().zip(by_query.as_chunks_mut::<8>().0) {
                        simd.store_f32(sums, by_query);
                    }
                    keep(self.survivors, first + i, &by_query, survivors);
                }
            }
        }
    }
}

/// Adds to `sums` the terms of six rows with each query of a panel.
///
/// # Shape
/// `rows`: s steps each; `panel`: s · [`STEP`] · `VECTORS` blocks or more.
#[inline(always)]
fn add_up<S: Simd, const VECTORS: usize, const SQUARES: bool>(
    simd: S,
    rows: [&[[f32; STEP]]; ROWS],
    panel: &[Block32],
    sums: &mut [[S::F32; VECTORS]; ROWS],
) {
    let steps = rows[0].len();
    for start in (0..steps).step_by(SPAN / STEP) {
        let end = steps.min(start + SPAN / STEP);
        let [a, b, c, d, e, f] = rows.map(|row| row[start..end].iter());
        let panel = panel[start * STEP * VECTORS..].chunks_exact(STEP * VECTORS);
        let mut span = [[simd.splat_f32(0.0); VECTORS]; ROWS];
        for ((((((a, b), c), d), e), f), panel) in a.zip(b).zip(c).zip(d).zip(e).zip(f).zip(panel) {
            let rows = [a, b, c, d, e, f];
            for element in 0..STEP {
                let queries: [S::F32; VECTORS] =
                    std::array::from_fn(|at| simd.widen_f32(&panel[element * VECTORS + at].0));
                for (row, span) in rows.iter().zip(&mut span) {
                    let value = simd.splat_f32(row[element]);
                    for (sum, &query) in span.iter_mut().zip(&queries) {
                        *sum = if SQUARES {
                            let difference = simd.sub_f32(query, value);
                            simd.mul_add_f32(difference, difference, *sum)
                        } else {
                            simd.mul_add_f32(query, value, *sum)
                        };
                    }
                }
            }
        }
        for (sums, span) in sums.iter_mut().zip(&span) {
            for (sum, &span) in sums.iter_mut().zip(span) {
                *sum = simd.add_f32(*sum, span);
            }
        }
    }
}
