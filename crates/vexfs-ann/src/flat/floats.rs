//! Rows of which codes lose too much: every row of a block meets every query in the tile of f32 numbers, or of bf16
//! [`parts`](super::parts), and what its bound leaves is decided as in [`stream`].
//!
//! # Bounds of the tile of numbers
//! γ stands for [`gamma`]`(d)` of the tile, which is no less than that of a [`glance`](super::glance); b for the k-th best distance. The
//! arguments are those given there, whose bounds are doubled for the rounding of the reference.
//!
//! - **L2.** The sum is of (qᵢ − xᵢ)². It exceeds (b + d 2⁻¹⁴⁸)(1 + 2γ) only if the true distance exceeds b; where it overflows, as
//!   long as that limit is finite.
//! - **Inner product.** The sum is of −qᵢ xᵢ and begins with −2γ |q| √s, where s is the row's squared norm in f32. Its
//!   rounding is at most γ (|q| |x| + 2γ |q| √s) + d 2⁻¹⁴⁹, so that it exceeds b + (d + |q| √d) 2⁻⁷⁰ only if −q·x exceeds b. With |q| ≤
//!   2⁶⁰ and s ≤ 2¹²⁰ nothing overflows; others are never ruled out.
//! - **Cosine.** Queries and rows are scaled to norm 1 and rounded before the sum of −qᵢ xᵢ. A row's norm is known up to γ / 2
//!   and two roundings, the scaled elements are rounded twice more, so that the sum is off by 2γ at most: it exceeds b − 1 + 6γ only if
//!   1 − cos exceeds b. Rows with s outside 2⁻⁶⁰ ..= 2¹²⁰ are never ruled out.

#[cfg(test)]
mod tests;

use std::marker::PhantomData;

use crate::neighbor::TopK;
use crate::simd::codes::widen;
use crate::simd::element::{BF16, Element, F16, F32, I8, Tail, U8};
use crate::simd::float_tile::{FloatPanel, FloatRows, FloatTile, Near, STEP, Term, gamma};
use crate::simd::part_tile::{PIECE, PartTile};
use crate::simd::tile::PANEL;
use crate::simd::{Job, Level, Simd};
use crate::{DType, Metric};

use super::Queries;
use super::batch::LOOSE;
use super::glance::{SAFE_SQUARES, round_up};
use super::parts::Parts;
use super::stream::{self, Rows};

/// Largest norm of a query, 2⁶⁰, of which no product with a row overflows.
const SAFE_NORM: f64 = (1u64 << 60) as f64;

/// A set of queries, as the tile takes them.
#[derive(Debug, Clone)]
pub(super) struct FloatQueries {
    /// ⌈nq / [`PANEL`]⌉ panels.
    panels: Vec<FloatPanel>,
}

impl FloatQueries {
    /// The panels of `queries`, of numbers.
    pub(super) fn new(queries: &Queries) -> Self {
        let (dim, metric) = (queries.dim(), queries.metric());
        let panel = |first: usize| {
            let of_panel = first..queries.len().min(first + PANEL);
            let values: Vec<Vec<f32>> = of_panel
                .clone()
                .map(|query| match metric {
                    Metric::L2 => queries.values(query).to_vec(),
                    Metric::InnerProduct => queries.values(query).iter().map(|value| -value).collect(),
                    _ => queries.unit(query)[..dim].iter().map(|value| -value).collect(),
                })
                .collect();
            let heads = of_panel.map(|query| match metric {
                Metric::InnerProduct => -round_up(2.0 * gamma(dim) * queries.norm(query).sqrt()),
                _ => 0.0,
            });
            FloatPanel::new(dim, values.iter().map(Vec::as_slice), heads)
        };
        Self { panels: (0..queries.len()).step_by(PANEL).map(panel).collect() }
    }
}

/// The sum of a row and query `query` beyond which the distance is proven to exceed `bound`.
fn limit(queries: &Queries, query: usize, bound: f64) -> f32 {
    let (dim, gamma) = (queries.dim() as f64, gamma(queries.dim()));
    match queries.metric() {
        Metric::L2 => round_up((bound + dim * 2f64.powi(-148)) * (1.0 + 2.0 * gamma)),
        Metric::InnerProduct => {
            let norm = queries.norm(query).sqrt();
            let tiny = (dim + norm * dim.sqrt()) * 2f64.powi(-70);
            if norm <= SAFE_NORM { round_up(bound + tiny) } else { f32::INFINITY }
        }
        _ => round_up(bound - 1.0 + 6.0 * gamma),
    }
}

/// The tile by which rows meet queries.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Way {
    /// Of f32 numbers.
    #[default]
    Numbers,
    /// Of bf16 parts.
    Parts,
}

impl Way {
    /// The tile that takes less time at a level of this [`part_cost`](Level::part_cost): that of parts where it takes half as long or
    /// less, because rows are to be split first and its bound leaves more.
    ///
    /// Of numbers, an element takes one multiply-add, and by L2 a subtraction too.
    fn fastest(part_cost: Option<usize>, queries: &Queries) -> Self {
        let Some(cost) = part_cost else { return Self::Numbers };
        let numbers = if queries.metric() == Metric::L2 { 2 * PIECE } else { PIECE };
        if 2 * queries.parts().products() * cost <= numbers { Self::Parts } else { Self::Numbers }
    }
}

/// Room for a block of rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Floats {
    way: Way,
    values: Vec<[f32; STEP]>,
    heads: Vec<f32>,
    parts: Parts,
    survivors: [Vec<Near>; PANEL],
}

impl Floats {
    /// Chooses the tile for the blocks that follow.
    pub(super) fn choose(&mut self, level: Level, queries: &Queries) {
        self.way = Way::fastest(level.part_cost(), queries);
    }

    /// Whether rows meet queries in the tile of parts.
    #[cfg(test)]
    pub(super) fn is_by_parts(&self) -> bool {
        self.way == Way::Parts
    }

    /// Bytes of a row as the tile takes it.
    pub(super) fn row_bytes(&self, queries: &Queries) -> usize {
        match self.way {
            Way::Numbers => 4 * queries.dim(),
            Way::Parts => queries.parts().row_bytes(queries.dim()),
        }
    }

    /// Offers the rows of `block` to `tops`, one per query.
    ///
    /// If the tile of parts leaves so many pairs that a glance rules out that they cost more than it saves, the blocks that follow meet
    /// the queries in that of numbers: its bound of L2 is relative to the distance, and so the better one of rows that are much nearer to
    /// each other than to the centre.
    pub(super) fn meet(
        &mut self,
        level: Level,
        queries: &Queries,
        block: Rows<'_>,
        tops: &mut [TopK],
        wide: &mut Vec<f32>,
    ) {
        self.take(level, queries, block);
        let (pairs, mut needless) = (block.vectors.len() * tops.len(), 0);
        for (number, tops) in tops.chunks_mut(PANEL).enumerate() {
            let first = number * PANEL;
            let mut limits = [f32::INFINITY; PANEL];
            for ((lane, limit_of), top) in limits.iter_mut().enumerate().zip(&*tops) {
                *limit_of = self.limit(queries, first + lane, top.bound());
            }
            self.find(level, queries, number, &limits);
            for (lane, top) in tops.iter_mut().enumerate() {
                let mut found = std::mem::take(&mut self.survivors[lane]);
                if found.len() > top.k() {
                    // The nearest first: they leave a bound that rules out most of the others.
                    found.select_nth_unstable_by(top.k(), |a, b| a.sum.total_cmp(&b.sum));
                }
                let (near, far) = found.split_at(found.len().min(top.k()));
                let query = (queries, first + lane);
                let near = near.iter().map(|near| near.row as usize);
                needless += stream::scan(level, query, block, near, 0, top, wide);
                if !far.is_empty() {
                    let limit = self.limit(queries, first + lane, top.bound());
                    let far = far.iter().filter(|far| far.sum <= limit || far.sum.is_nan());
                    let far = far.map(|far| far.row as usize);
                    needless += stream::scan(level, query, block, far, 0, top, wide);
                }
                found.clear();
                self.survivors[lane] = found;
            }
        }
        if needless * LOOSE > pairs {
            self.way = Way::Numbers;
        }
    }

    /// The sum of a row and query `query` beyond which the distance is proven to exceed `bound`.
    fn limit(&self, queries: &Queries, query: usize, bound: f64) -> f32 {
        match self.way {
            Way::Numbers => limit(queries, query, bound),
            Way::Parts => queries.parts().limit(queries, query, bound),
        }
    }

    /// Finds the pairs of the rows taken and panel `number` that survive.
    fn find(&mut self, level: Level, queries: &Queries, number: usize, limits: &[f32; PANEL]) {
        let survivors = &mut self.survivors;
        match self.way {
            Way::Numbers => level.float_tile(FloatTile {
                rows: FloatRows { values: &self.values, heads: &self.heads },
                panel: &queries.floats().panels[number],
                term: if queries.metric() == Metric::L2 { Term::Square } else { Term::Product },
                limits,
                survivors,
            }),
            Way::Parts => level.part_tile(PartTile {
                rows: self.parts.rows(queries.dim()),
                panel: queries.parts().panel(number),
                limits,
                survivors,
            }),
        }
    }

    /// Takes the rows of `block` in place of others.
    fn take(&mut self, level: Level, queries: &Queries, block: Rows<'_>) {
        let metric = queries.metric();
        if self.way == Way::Parts {
            return self.parts.take(level, block, metric, queries.parts());
        }
        match block.vectors.dtype() {
            DType::F32 => self.take_as::<F32>(level, block, metric),
            DType::F16 => self.take_as::<F16>(level, block, metric),
            DType::BF16 => self.take_as::<BF16>(level, block, metric),
            DType::I8 => self.take_as::<I8>(level, block, metric),
            DType::U8 => self.take_as::<U8>(level, block, metric),
            DType::B1 => unreachable!("bits have no metric but Hamming"),
        }
    }

    fn take_as<E: Element>(&mut self, level: Level, block: Rows<'_>, metric: Metric) {
        let (dim, count) = (block.vectors.dim(), block.vectors.len());
        self.values.resize(count * dim.div_ceil(STEP), [0.0; STEP]);
        self.heads.resize(count, 0.0);
        level.run(Take::<E> {
            rows: block.vectors.bytes(),
            dim,
            metric,
            values: &mut self.values,
            heads: &mut self.heads,
            element: PhantomData,
        });
    }
}

/// Makes rows what the tile takes.
struct Take<'a, E> {
    rows: &'a [u8],
    dim: usize,
    metric: Metric,
    values: &'a mut [[f32; STEP]],
    heads: &'a mut [f32],
    element: PhantomData<E>,
}

impl<E: Element> Job for Take<'_, E> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let row_bytes = self.dim * E::BYTES;
        let tail = Tail::new(row_bytes, STEP * E::BYTES);
        let values = self.values.chunks_exact_mut(self.dim.div_ceil(STEP));
        for ((row, values), head) in values.enumerate().zip(self.heads) {
            widen::<S, E>(simd, &self.rows[row * row_bytes..], row_bytes, tail, values.as_flattened_mut());
            if self.metric == Metric::L2 {
                *head = 0.0;
                continue;
            }
            let square = square(simd, values);
            if self.metric == Metric::InnerProduct {
                *head = if square <= *SAFE_SQUARES.end() { square.sqrt() } else { f32::NAN };
                continue;
            }
            *head = if SAFE_SQUARES.contains(&square) { 0.0 } else { f32::NAN };
            let unit = simd.splat_f32(1.0 / square.sqrt());
            for eight in values {
                simd.store_f32(simd.mul_f32(simd.load_f32(eight), unit), eight);
            }
        }
    }
}

/// The squared norm of a row, within [`float::gamma`](crate::simd::float::gamma).
#[inline(always)]
pub(super) fn square<S: Simd>(simd: S, values: &[[f32; STEP]]) -> f32 {
    let mut sums = [simd.splat_f32(0.0); 4];
    for four in values.chunks(4) {
        for (sum, eight) in sums.iter_mut().zip(four) {
            let value = simd.load_f32(eight);
            *sum = simd.mul_add_f32(value, value, *sum);
        }
    }
    let [a, b, c, d] = sums;
    simd.sum_f32(simd.add_f32(simd.add_f32(a, b), simd.add_f32(c, d)))
}
