//! Rows and queries as sums of bf16 parts, for the tile that multiplies those: [`floats`](super::floats) by products alone.
//!
//! # Bounds
//! ε stands for [`gamma`]`(d)` of the tile, and μ = ε + 2γ with that of a [`glance`](super::glance); b for the k-th best distance; s for
//! the squared norm of a row in f32, off by γ at most. The 17 units of rounding that γ has to spare are more than what follows
//! the sum of products takes: the scale, the head, and the reference's own rounding.
//!
//! - **L2.** The distance is |q|² + |x|² − 2 q·x, of a query and a row from which the same centre is taken away; that leaves each element
//!   off by 2⁻²⁴ of itself. With 2 |q| |x| ≤ |q|² + |x|², what the products are off by is no more than ε of both squares: the sum of
//!   −2 qᵢ xᵢ and s (1 − μ) exceeds b + d 2⁻¹²⁰ − |q|² (1 − μ) only if the distance exceeds b.
//! - **Inner product.** The sum is of −qᵢ xᵢ and begins with −μ |q| √s: it exceeds b + (d + |q| √d) 2⁻¹²⁰ only if −q·x exceeds b.
//! - **Cosine.** The query is scaled to norm 1, the sum of −qᵢ xᵢ by 1 / √s: it exceeds b − 1 + 2μ only if 1 − cos exceeds b.
//!
//! What the instructions make zero is, of products with |q|, in d 2⁻¹²⁰ and |q| √d 2⁻¹²⁰, and of products with |x|, √d |x| 2⁻¹²⁴, in μ: by L2
//! because that is no more than (d + |x|²) 2⁻¹²⁵, by inner product because queries with |q| < 2⁻⁹⁰ rule nothing out, by cosine because of
//! rows with s < 2⁻⁶⁰ nothing is concluded. Nothing overflows with squared norms of up to 2¹²⁰; others are never ruled out.

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use crate::reference;
use crate::simd::codes::widen;
use crate::simd::element::{BF16, Element, F16, F32, I8, Tail, U8};
use crate::simd::float;
use crate::simd::part_tile::{
    PIECE, PartPanel, PartRows, Piece, ROWS, gamma, is_part, products, write_parts,
};
use crate::simd::tile::PANEL;
use crate::simd::{Job, Level, Simd};
use crate::{DType, Metric};

use super::Queries;
use super::floats::square;
use super::glance::{SAFE_SQUARES, round_up};
use super::stream::Rows;

/// Squared norms of queries by which rows are ruled out, 2⁻¹⁸⁰ and 2¹²⁰.
const SAFE_QUERIES: RangeInclusive<f64> =
    1.0 / ((1u128 << 90) as f64 * (1u128 << 90) as f64)..=(1u128 << 120) as f64;

/// Share of the queries' squares that the centre must take away to be worth that rows lose their being bf16 numbers: half.
const CENTRED: f64 = 0.5;

/// A set of queries, as the tile takes them.
#[derive(Debug, Clone)]
pub(super) struct PartQueries {
    /// ⌈nq / [`PANEL`]⌉ panels.
    panels: Vec<PartPanel>,
    /// What is taken away from rows and queries, zero-padded to whole pieces; empty if nothing is.
    centre: Vec<f32>,
    /// Squared norm of each query, less the centre.
    squares: Vec<f64>,
    /// Parts of a row: 1 if that is all of it.
    row_parts: usize,
    /// Products of parts of a pair.
    products: usize,
    /// μ of the module's description.
    slack: f64,
}

impl PartQueries {
    /// The panels of `queries`, of numbers.
    pub(super) fn new(queries: &Queries) -> Self {
        let (dim, metric, count) = (queries.dim(), queries.metric(), queries.len());
        let centre = if metric == Metric::L2 { centre(queries) } else { Vec::new() };
        let vector = |query: usize| -> Vec<f32> {
            match metric {
                Metric::Cosine => queries.unit(query)[..dim].to_vec(),
                _ if centre.is_empty() => queries.values(query).to_vec(),
                _ => {
                    queries.values(query).iter().zip(&centre).map(|(value, centre)| value - centre).collect()
                }
            }
        };
        let is_part_of_type = matches!(queries.dtype(), DType::BF16 | DType::I8 | DType::U8);
        let row_parts = if is_part_of_type && centre.is_empty() { 1 } else { 2 };
        let of_parts = (0..count).all(|query| vector(query).into_iter().all(is_part));
        let query_parts = if of_parts { 1 } else { 2 };
        let products = products(row_parts, query_parts);
        let slack = gamma(dim, products) + 2.0 * float::gamma(dim);
        let mut squares = Vec::with_capacity(count);
        let mut panel = |first: usize| {
            let of_panel = first..count.min(first + PANEL);
            let mut values: Vec<Vec<f32>> = of_panel.map(vector).collect();
            let squares_of: Vec<f64> = values.iter().map(|values| reference::dot(values, values)).collect();
            let factor = if metric == Metric::L2 { -2.0 } else { -1.0 };
            values.iter_mut().flatten().for_each(|value| *value *= factor);
            let heads = squares_of.iter().map(|square| match metric {
                Metric::L2 => 1.0,
                Metric::InnerProduct => -round_up(slack * square.sqrt()),
                _ => 0.0,
            });
            let panel = PartPanel::new(dim, query_parts, values.iter().map(Vec::as_slice), heads);
            squares.extend(squares_of);
            panel
        };
        let panels = (0..count).step_by(PANEL).map(&mut panel).collect();
        Self { panels, centre, squares, row_parts, products, slack }
    }

    /// Products of parts of a pair, 1 to 3.
    pub(super) fn products(&self) -> usize {
        self.products
    }

    /// Panel `number`.
    pub(super) fn panel(&self, number: usize) -> &PartPanel {
        &self.panels[number]
    }

    /// Bytes of a row as the tile takes it.
    pub(super) fn row_bytes(&self, dim: usize) -> usize {
        dim.div_ceil(PIECE) * self.row_parts * size_of::<Piece>()
    }

    /// The sum of a row and query `query` beyond which the distance is proven to exceed `bound`.
    pub(super) fn limit(&self, queries: &Queries, query: usize, bound: f64) -> f32 {
        let (dim, square) = (queries.dim() as f64, self.squares[query]);
        let tiny = 2f64.powi(-120);
        match queries.metric() {
            Metric::L2 if square <= *SAFE_QUERIES.end() => {
                round_up(bound + dim * tiny - square * (1.0 - self.slack))
            }
            Metric::InnerProduct if SAFE_QUERIES.contains(&square) => {
                round_up(bound + (dim + (square * dim).sqrt()) * tiny)
            }
            Metric::Cosine => round_up(bound - 1.0 + 2.0 * self.slack),
            _ => f32::INFINITY,
        }
    }
}

/// The mean of `queries`, zero-padded, if it makes them so much shorter that the products become more exact; otherwise nothing.
fn centre(queries: &Queries) -> Vec<f32> {
    let (dim, count) = (queries.dim(), queries.len());
    let mut sums = vec![0.0f64; dim];
    for query in 0..count {
        sums.iter_mut().zip(queries.values(query)).for_each(|(sum, &value)| *sum += f64::from(value));
    }
    let mut centre: Vec<f32> = sums.iter().map(|sum| (sum / count as f64) as f32).collect();
    // Of count queries, the squares of their differences from the mean sum up to those of the queries less count times that of the mean.
    let taken = count as f64 * reference::dot(&centre, &centre);
    let whole: f64 = (0..count).map(|query| queries.norm(query)).sum();
    if taken < CENTRED * whole {
        return Vec::new();
    }
    centre.resize(dim.next_multiple_of(PIECE), 0.0);
    centre
}

/// Room for a block of rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Parts {
    parts: [Vec<Piece>; 2],
    scales: Vec<f32>,
    heads: Vec<f32>,
    /// One row as f32.
    wide: Vec<f32>,
}

impl Parts {
    /// The rows of the block, `dim` elements each.
    pub(super) fn rows(&self, dim: usize) -> PartRows<'_> {
        let parts = self.parts.each_ref().map(Vec::as_slice);
        PartRows { parts, pieces: dim.div_ceil(PIECE), scales: &self.scales, heads: &self.heads }
    }

    /// Takes the rows of `block` in place of others.
    pub(super) fn take(&mut self, level: Level, block: Rows<'_>, metric: Metric, queries: &PartQueries) {
        match block.vectors.dtype() {
            DType::F32 => self.take_as::<F32>(level, block, metric, queries),
            DType::F16 => self.take_as::<F16>(level, block, metric, queries),
            DType::BF16 => self.take_as::<BF16>(level, block, metric, queries),
            DType::I8 => self.take_as::<I8>(level, block, metric, queries),
            DType::U8 => self.take_as::<U8>(level, block, metric, queries),
            DType::B1 => unreachable!("bits have no metric but Hamming"),
        }
    }

    fn take_as<E: Element>(&mut self, level: Level, block: Rows<'_>, metric: Metric, queries: &PartQueries) {
        let (dim, count) = (block.vectors.dim(), block.vectors.len());
        let pieces = dim.div_ceil(PIECE);
        for (part, of_part) in self.parts.iter_mut().enumerate() {
            let rows = if part < queries.row_parts { count.next_multiple_of(ROWS) } else { 0 };
            of_part.resize(rows * pieces, Piece::ZERO);
        }
        self.scales.resize(count, 0.0);
        self.heads.resize(count, 0.0);
        self.wide.resize(pieces * PIECE, 0.0);
        level.run(Take::<E> {
            rows: block.vectors.bytes(),
            dim,
            metric,
            centre: &queries.centre,
            slack: queries.slack as f32,
            to: self,
            element: PhantomData,
        });
    }
}

/// Makes rows what the tile takes.
struct Take<'a, E> {
    rows: &'a [u8],
    dim: usize,
    metric: Metric,
    centre: &'a [f32],
    slack: f32,
    to: &'a mut Parts,
    element: PhantomData<E>,
}

impl<E: Element> Job for Take<'_, E> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let row_bytes = self.dim * E::BYTES;
        let tail = Tail::new(row_bytes, 8 * E::BYTES);
        let pieces = self.dim.div_ceil(PIECE);
        let Parts { parts: [first, second], scales, heads, wide } = self.to;
        for (row, (scale, head)) in scales.iter_mut().zip(heads).enumerate() {
            widen::<S, E>(simd, &self.rows[row * row_bytes..], row_bytes, tail, wide);
            let eights = wide.as_chunks_mut::<8>().0;
            for (eight, centre) in eights.iter_mut().zip(self.centre.as_chunks::<8>().0) {
                simd.store_f32(simd.sub_f32(simd.load_f32(eight), simd.load_f32(centre)), eight);
            }
            let square = square(simd, eights);
            let is_safe = square <= *SAFE_SQUARES.end();
            (*scale, *head) = match self.metric {
                _ if !is_safe => (1.0, f32::NAN),
                Metric::L2 => (1.0, square * (1.0 - self.slack)),
                Metric::InnerProduct => (1.0, square.sqrt()),
                _ if SAFE_SQUARES.contains(&square) => (1.0 / square.sqrt(), 0.0),
                _ => (1.0, f32::NAN),
            };
            let of_row = row * pieces..(row + 1) * pieces;
            let second = if second.is_empty() { &mut [] } else { &mut second[of_row.clone()] };
            write_parts(wide, &mut first[of_row], second);
        }
    }
}
