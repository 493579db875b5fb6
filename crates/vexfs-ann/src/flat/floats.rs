//! Rows of which codes lose too much: every row of a block meets every query in the tile of f32 numbers, and what its bound leaves
//! is decided as in [`stream`].
//!
//! # Bounds
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

use std::marker::PhantomData;

use crate::neighbor::TopK;
use crate::simd::codes::widen;
use crate::simd::element::{BF16, Element, F16, F32, I8, Tail, U8};
use crate::simd::float_tile::{FloatPanel, FloatRows, FloatTile, Near, STEP, Term, gamma};
use crate::simd::tile::PANEL;
use crate::simd::{Job, Level, Simd};
use crate::{DType, Metric};

use super::Queries;
use super::glance::{SAFE_SQUARES, round_up};
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

/// Room for a block of rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Floats {
    values: Vec<[f32; STEP]>,
    heads: Vec<f32>,
    survivors: [Vec<Near>; PANEL],
}

impl Floats {
    /// Offers the rows of `block` to `tops`, one per query.
    pub(super) fn meet(
        &mut self,
        level: Level,
        queries: &Queries,
        block: Rows<'_>,
        tops: &mut [TopK],
        wide: &mut Vec<f32>,
    ) {
        self.take(level, block, queries.metric());
        let term = if queries.metric() == Metric::L2 { Term::Square } else { Term::Product };
        for ((number, panel), tops) in queries.floats().panels.iter().enumerate().zip(tops.chunks_mut(PANEL))
        {
            let first = number * PANEL;
            let mut limits = [f32::INFINITY; PANEL];
            for ((lane, limit_of), top) in limits.iter_mut().enumerate().zip(&*tops) {
                *limit_of = limit(queries, first + lane, top.bound());
            }
            level.float_tile(FloatTile {
                rows: FloatRows { values: &self.values, heads: &self.heads },
                panel,
                term,
                limits: &limits,
                survivors: &mut self.survivors,
            });
            for (lane, top) in tops.iter_mut().enumerate() {
                let found = &mut self.survivors[lane];
                if found.len() > top.k() {
                    // The nearest first: they leave a bound that rules out most of the others.
                    found.select_nth_unstable_by(top.k(), |a, b| a.sum.total_cmp(&b.sum));
                }
                let (near, far) = found.split_at(found.len().min(top.k()));
                let query = (queries, first + lane);
                stream::scan(level, query, block, near.iter().map(|near| near.row as usize), 0, top, wide);
                if !far.is_empty() {
                    let limit = limit(queries, first + lane, top.bound());
                    let far = far.iter().filter(|far| far.sum <= limit || far.sum.is_nan());
                    stream::scan(level, query, block, far.map(|far| far.row as usize), 0, top, wide);
                }
                found.clear();
            }
        }
    }

    /// Takes the rows of `block` in place of others.
    fn take(&mut self, level: Level, block: Rows<'_>, metric: Metric) {
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
fn square<S: Simd>(simd: S, values: &[[f32; STEP]]) -> f32 {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Random;
    use crate::{Neighbor, Vectors, reference};

    /// Uniform in −1 ..= 1.
    fn numbers(random: &mut Random, count: usize) -> Vec<f32> {
        (0..count).map(|_| random.below(1 << 25) as f32 / (1 << 24) as f32 - 1.0).collect()
    }

    /// Lets `rows` meet `asked` in blocks of 50 and compares with brute force; returns how many pairs were ruled out.
    fn check(name: &str, rows: &[f32], asked: &[f32], dim: usize, k: usize) -> usize {
        let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
        let vectors = Vectors::new(&bytes, dim, DType::F32).unwrap();
        let mut ruled_out = 0;
        for metric in [Metric::L2, Metric::InnerProduct, Metric::Cosine] {
            let queries = Queries::new(asked, dim, DType::F32, metric).unwrap();
            let want: Vec<Vec<Neighbor>> = asked
                .chunks(dim)
                .map(|query| {
                    let mut top = TopK::new(k);
                    for row in 0..vectors.len() {
                        let distance = reference::distance(metric, DType::F32, query, vectors.row(row));
                        top.offer(row as u64, distance);
                    }
                    top.into_sorted()
                })
                .collect();
            for level in Level::tested() {
                let mut tops = vec![TopK::new(k); queries.len()];
                let mut floats = Floats::default();
                for first in (0..vectors.len()).step_by(50) {
                    let vectors = vectors.slice(first..vectors.len().min(first + 50));
                    let block = Rows { vectors, first: first as u64, deleted: None };
                    floats.meet(level, &queries, block, &mut tops, &mut Vec::new());
                }
                // What the last bounds leave of the last block.
                let last = &rows[rows.len() - (vectors.len() - 1) % 50 * dim - dim..];
                for (query, top) in tops.iter().enumerate() {
                    let limit = limit(&queries, query, top.bound());
                    let panel = FloatQueries::new(&queries).panels.swap_remove(query / PANEL);
                    let mut limits = [f32::NEG_INFINITY; PANEL];
                    limits[query % PANEL] = limit;
                    let mut survivors: [Vec<Near>; PANEL] = Default::default();
                    let term = if metric == Metric::L2 { Term::Square } else { Term::Product };
                    let rows = FloatRows { values: &floats.values, heads: &floats.heads };
                    level.float_tile(FloatTile {
                        rows,
                        panel: &panel,
                        term,
                        limits: &limits,
                        survivors: &mut survivors,
                    });
                    ruled_out += last.len() / dim - survivors[query % PANEL].len();
                }
                let found: Vec<_> = tops.into_iter().map(TopK::into_sorted).collect();
                assert_eq!(found, want, "{name} {metric} d={dim} {level:?}");
            }
        }
        ruled_out
    }

    #[test]
    fn the_answer_is_that_of_brute_force_and_the_bound_is_tight() {
        let mut random = Random::new(1, 0);
        for dim in [1, 2, 7, 8, 9, 31, 64, 100, 511, 513, 1030] {
            for queries in [3, 8, 9, 16, 21] {
                let (rows, asked) = (numbers(&mut random, 170 * dim), numbers(&mut random, queries * dim));
                let ruled_out = check("uniform", &rows, &asked, dim, 5);
                // The last block has 20 rows; of all rows about one in 34 is as near as the fifth, of one dimension by cosine one in two.
                let pairs = 20 * queries * 3 * Level::tested().len();
                assert!(ruled_out * 4 > pairs * 3, "d={dim} nq={queries}: only {ruled_out} of {pairs}");
            }
        }
    }

    #[test]
    fn elements_of_any_size_are_decided_as_by_brute_force() {
        let mut random = Random::new(2, 0);
        for dim in [21, 600] {
            for exponent in [-140, -126, -100, -76, -40, 0, 40, 59, 61, 63, 70, 100, 126] {
                let scale = 2f32.powi(exponent);
                let large = |values: Vec<f32>| values.iter().map(|value| value * scale).collect::<Vec<_>>();
                let (rows, asked) = (numbers(&mut random, 120 * dim), numbers(&mut random, 9 * dim));
                check("rows", &large(rows.clone()), &asked, dim, 10);
                check("queries", &rows, &large(asked.clone()), dim, 10);
                check("both", &large(rows), &large(asked), dim, 10);
            }
            let mut spread = |values: usize| -> Vec<f32> {
                let mut one = || numbers(&mut random, 1)[0];
                (0..values).map(|_| (one() * 2f32.powf(60.0 * one())).clamp(-1e38, 1e38)).collect()
            };
            let (mut rows, asked) = (spread(120 * dim), spread(9 * dim));
            check("of any size", &rows, &asked, dim, 10);
            rows[3 * dim..5 * dim].fill(0.0);
            rows[7 * dim..8 * dim].fill(1e-44);
            rows[9 * dim] = f32::INFINITY;
            rows[11 * dim + 1] = f32::NAN;
            check("with zeros and what is not finite", &rows, &asked, dim, 118);
        }
    }

    /// Distances that differ by less than an f32 can tell are told apart, as they are by brute force.
    #[test]
    fn rows_that_differ_in_the_last_bit_are_told_apart() {
        let mut random = Random::new(3, 0);
        for (dim, offset) in [(3, 0.0), (50, 1000.0), (520, 1.0)] {
            let base: Vec<f32> = numbers(&mut random, dim).iter().map(|value| value + offset).collect();
            let mut near = |count: usize| -> Vec<f32> {
                let rows = (0..count).flat_map(|_| base.iter());
                rows.map(|value| f32::from_bits(value.to_bits() + random.below(4) as u32)).collect()
            };
            let (rows, asked) = (near(150), near(10));
            check("nearly equal", &rows, &asked, dim, 20);
        }
    }
}
