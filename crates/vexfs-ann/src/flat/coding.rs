//! The codes of queries, and the bound by which coded pairs are ruled out.
//!
//! A query q is coded as q̂ = a·c + b·1, a row x as x̂ = s·u + o·1 (`RowCode`), with c in −127 ..= 127, u in 0 ..= 95. What
//! coding loses is known: σ = |q − q̂| and ρ = |x − x̂|. All that a pair needs is the integer product t = Σ cᵢuᵢ:
//! q̂·x̂ = a s t + a (Σc) o + b Σx̂ᵢ.
//!
//! # Bounds
//! - **L2.** By the triangle inequality |q − x| ≥ |q̂ − x̂| − σ − ρ. A pair is ruled out if |q̂ − x̂|² exceeds (T + ρ)², where T is
//!   σ and the root of the k-th best distance: then |q − x|² exceeds that distance. In one sum,
//!   (|q̂|² − T²) + (|x̂|² − ρ²) − 2Tρ − 2 q̂·x̂ > 0.
//! - **Cosine.** On vectors scaled to norm 1 the cosine distance is half the squared Euclidean distance; the same bound, with
//!   everything divided by the norms. A row's norm is known up to γ, which is added to its ρ.
//! - **Inner product.** q·x = q̂·x̂ + q̂·(x − x̂) + (q − q̂)·x ≤ q̂·x̂ + |q̂| ρ + σ |x| (Cauchy–Schwarz), and |x| ≤ |x̂| + ρ. Ruled out if
//!   −(k-th best) − q̂·x̂ − |q̂| ρ − σ (|x̂| + ρ) > 0.
//!
//! **Rounding.** The sum is computed in f32. Its terms are products of at most four rounded numbers and pass through at most
//! six additions, two roundings each at most: an error of at most 16 u of the sum of their sizes, u = 2⁻²⁴. With
//! G = a|c| + √d |b| for the query and likewise H for the row, every part of q̂·x̂ is at most G H, |q̂| ≤ G and |x̂| ≤ H.
//!
//! - For L2 the error is thus below 2⁻¹⁹ (G² + T² + H² + ρ²). [`ROUNDING`], twice that, is taken off the query's constant and
//!   the row's terms beforehand.
//! - For the inner product, σ < 2 G: the scale is such that |c| ≥ 82 (one code is 127, or the 16 of a lane add up to 328),
//!   while σ ≤ ½ a √d ≤ 128 a. A k-th best distance that matters for the sign is no larger than all other terms together.
//!   The error is thus below 2⁻²⁰ · 6 G (H + ρ), for which ρ is enlarged by 4 [`ROUNDING`] (H + ρ): its factor is at least G / 2.
//!
//! A row's ρ is measured from x̂ as rounded to f32, off by 2⁻²² H at most, and f64 rounds as well, here and in the reference:
//! together less than a quarter of the above. A query or row whose largest element is outside [`SAFE`], where squares might
//! underflow or overflow, is never ruled out; zeros are safe. An infinite bound or a NaN anywhere (as of the norm of a zero
//! vector) makes the comparison false: the pair survives.

use std::ops::RangeInclusive;

use crate::simd::codes::{LANE_SPAN, QUERY_LANE, RowCode};
use crate::simd::float::gamma;
use crate::simd::tile::{PANEL, Panel, QueryTerms, RowTerms};
use crate::{Metric, reference};

use super::glance::round_down;

/// Share of the sizes of a bound's terms that their rounding may amount to, doubled: 2⁻¹⁸.
const ROUNDING: f64 = 1.0 / (1 << 18) as f64;

/// Largest elements, 2⁻⁴⁰ ..= 2⁶⁰, of which all squares and products are normal f32 numbers.
const SAFE: RangeInclusive<f32> = {
    let low = f32::from_bits((127 - 40) << 23);
    let high = f32::from_bits((127 + 60) << 23);
    low..=high
};

fn is_safe(largest: f32) -> bool {
    largest == 0.0 || SAFE.contains(&largest)
}

/// A set of queries, coded.
#[derive(Debug, Clone)]
pub(super) struct CodedQueries {
    /// ⌈nq / [`PANEL`]⌉ panels.
    pub(super) panels: Vec<Panel>,
    /// One entry per query.
    queries: Vec<QueryCode>,
}

impl CodedQueries {
    /// Codes `values`, nq × `dim`. Of [`Metric::Cosine`] also scales by 1 / norm.
    pub(super) fn new<'a>(values: impl Iterator<Item = &'a [f32]>, dim: usize, metric: Metric) -> Self {
        let (codes, queries): (Vec<_>, Vec<_>) = values.map(|query| QueryCode::new(query, metric)).unzip();
        let panels = codes.chunks(PANEL).map(|codes| Panel::of_queries(codes, dim)).collect();
        Self { panels, queries }
    }

    /// Sets the terms of query `lane` of panel `panel` for a k-th best distance of `bound`.
    pub(super) fn tighten(
        &self,
        panel: usize,
        lane: usize,
        metric: Metric,
        bound: f64,
        terms: &mut QueryTerms,
    ) {
        let query = &self.queries[panel * PANEL + lane];
        let (constant, radius, size, factor) = match metric {
            Metric::InnerProduct => {
                (round_down(-bound), -query.size.max(query.reach / 2.0), -query.lost, -1.0)
            }
            _ => {
                let root = if metric == Metric::Cosine { (2.0 * bound).sqrt() } else { bound.sqrt() };
                let limit = root + query.lost;
                let share = ROUNDING * (query.reach * query.reach + limit * limit);
                let constant = query.size * query.size - limit * limit - share;
                (round_down(constant), -2.0 * limit, 1.0, -2.0)
            }
        };
        terms.constant[lane] = if query.safe { constant } else { f32::NAN };
        terms.product[lane] = (factor * query.scale) as f32;
        terms.offset[lane] = (factor * query.scale * query.sum) as f32;
        terms.sum[lane] = (factor * query.offset) as f32;
        terms.radius[lane] = radius as f32;
        terms.size[lane] = size as f32;
    }
}

/// What a query became besides its codes; of cosine, in units of its norm.
#[derive(Debug, Clone, Copy)]
struct QueryCode {
    /// a.
    scale: f64,
    /// b.
    offset: f64,
    /// Σ cᵢ.
    sum: f64,
    /// |q̂|.
    size: f64,
    /// G.
    reach: f64,
    /// σ.
    lost: f64,
    safe: bool,
}

impl QueryCode {
    /// Codes a query around its mean, in steps as small as [`QUERY_LANE`] allows.
    fn new(query: &[f32], metric: Metric) -> (Vec<i8>, Self) {
        let count = query.len() as f64;
        let offset = query.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
        let scale = step(query, offset);
        let per_step = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        let codes: Vec<i8> =
            query.iter().map(|&value| ((f64::from(value) - offset) * per_step).round() as i8).collect();

        let (mut sum, mut squares, mut lost) = (0i64, 0i64, 0.0);
        for (&value, &code) in query.iter().zip(&codes) {
            let code = i64::from(code);
            (sum, squares) = (sum + code, squares + code * code);
            lost += (f64::from(value) - (scale * code as f64 + offset)).powi(2);
        }
        let (sum, squares) = (sum as f64, squares as f64);
        let square = scale * scale * squares + 2.0 * scale * offset * sum + count * offset * offset;
        let reach = scale * squares.sqrt() + count.sqrt() * offset.abs();
        let norm = reference::dot(query, query).sqrt();
        let unit = if metric == Metric::Cosine { 1.0 / norm } else { 1.0 };
        let coded = Self {
            scale: scale * unit,
            offset: offset * unit,
            sum,
            size: square.max(0.0).sqrt() * unit,
            reach: reach * unit,
            lost: lost.sqrt() * unit,
            safe: is_safe(query.iter().fold(0.0, |largest, value| value.abs().max(largest))),
        };
        (codes, coded)
    }
}

/// The smallest scale at which codes around `offset` stay within ± 127 and within [`QUERY_LANE`].
fn step(query: &[f32], offset: f64) -> f64 {
    /// Codes of a query that meet in one lane: two of each four elements.
    const PER_LANE: i32 = LANE_SPAN as i32 / 2;
    // Each code may round away from zero by a half.
    let room = f64::from(QUERY_LANE - PER_LANE / 2);
    let mut scale = 0f64;
    for span in query.chunks(LANE_SPAN) {
        let (mut above, mut below) = ([0.0; 2], [0.0; 2]);
        for (element, &value) in span.iter().enumerate() {
            let (centred, lane) = (f64::from(value) - offset, element % 4 / 2);
            above[lane] += centred.max(0.0);
            below[lane] -= centred.min(0.0);
            scale = scale.max(centred.abs() / 127.0);
        }
        for sum in above.into_iter().chain(below) {
            scale = scale.max(sum / room);
        }
    }
    scale
}

/// The terms of a coded row.
pub(super) fn row_terms(row: &RowCode, dim: usize, metric: Metric) -> RowTerms {
    let (scale, offset, sum) = (f64::from(row.scale), f64::from(row.offset), row.sum as f64);
    let (count, squares) = (dim as f64, (row.squares as f64));
    let gamma = gamma(dim);
    let reach = scale * squares.sqrt() + count.sqrt() * offset.abs();
    let square = (scale * scale * squares + 2.0 * scale * offset * sum + count * offset * offset).max(0.0);
    let measured = f64::from(row.residual) * (1.0 + 2.0 * gamma) + count * 2f64.powi(-148);
    let mut lost = measured.sqrt();

    let mut unit = 1.0;
    if metric == Metric::Cosine {
        let norm = f64::from(row.norm).sqrt();
        unit = 1.0 / norm;
        lost += norm * 2.0 * gamma;
    }
    let (reach, square, lost) = (reach * unit, square * unit * unit, lost * unit);
    let (size, radius) = match metric {
        Metric::InnerProduct => (square.sqrt() + lost, lost + 4.0 * ROUNDING * (reach + lost)),
        _ => (square - lost * lost - ROUNDING * (reach * reach + lost * lost), lost),
    };
    RowTerms {
        scale: (scale * unit) as f32,
        offset: (offset * unit) as f32,
        sum: ((scale * sum + count * offset) * unit) as f32,
        radius: radius as f32,
        size: if is_safe(row.largest) { size as f32 } else { f32::NAN },
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use super::*;
    use crate::simd::codes::{CODE_MAX, CodeRows};
    use crate::simd::element::F32;
    use crate::simd::{Block32, Level};
    use crate::{DType, TopK};

    /// Numbers in −1 .. 1 (Numerical Recipes' quick generator).
    fn numbers(seed: u32, count: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state as i32 as f32 / 2f32.powi(31)
        };
        (0..count).map(|_| next()).collect()
    }

    /// A ruled-out pair is farther than the bound; a pair clearly farther than the bound, by more than twice what coding
    /// loses, is ruled out.
    #[test]
    fn the_bound_is_sound_and_tight() {
        const DIM: usize = 100;
        for (metric, shift) in
            [Metric::L2, Metric::Cosine, Metric::InnerProduct].map(|m| [(m, 0.0), (m, 2.0)]).concat()
        {
            let queries: Vec<f32> = numbers(1, 3 * DIM).iter().map(|x| x + shift).collect();
            let rows: Vec<f32> = numbers(2, 400 * DIM).iter().map(|x| x + shift).collect();
            let bytes: Vec<u8> = rows.iter().flat_map(|x| x.to_le_bytes()).collect();
            let (mut codes, mut coded, mut wide) = (vec![], vec![], vec![]);
            Level::best().run(CodeRows::<F32> {
                rows: &bytes,
                dim: DIM,
                most: CODE_MAX,
                element: PhantomData,
                codes: &mut codes,
                coded: &mut coded,
                wide: &mut wide,
            });
            let all = CodedQueries::new(queries.chunks(DIM), DIM, metric);
            for (lane, query) in queries.chunks(DIM).enumerate() {
                let (query_codes, of_query) = QueryCode::new(query, metric);
                let distances: Vec<f64> = bytes
                    .chunks(4 * DIM)
                    .map(|row| reference::distance(metric, DType::F32, query, row))
                    .collect();
                let mut top = TopK::new(20);
                distances.iter().zip(0..).for_each(|(&distance, row)| _ = top.offer(row, distance));
                let bound = top.bound();
                let mut terms = QueryTerms::default();
                all.tighten(0, lane, metric, bound, &mut terms);
                let mut ruled_out = 0;
                for (row, &distance) in distances.iter().enumerate() {
                    let blocks: &[Block32] = &codes[row * 4..][..4];
                    let product = blocks.iter().flat_map(|block| block.0).zip(&query_codes);
                    let product = product.map(|(u, &c)| i32::from(u) * i32::from(c)).sum();
                    let of_row = row_terms(&coded[row], DIM, metric);
                    let out = terms.rule_out(lane, &of_row, product);
                    assert!(!out || distance > bound, "{metric}: {distance} within {bound}");
                    let values = &rows[row * DIM..][..DIM];
                    let size = reference::dot(values, values).sqrt();
                    let RowCode { scale, offset, .. } = coded[row];
                    let codes = blocks.iter().flat_map(|block| block.0);
                    let lost = values.iter().zip(codes).map(|(&value, code)| {
                        (f64::from(value) - f64::from(scale) * f64::from(code) - f64::from(offset)).powi(2)
                    });
                    let lost = lost.sum::<f64>().sqrt() / if metric == Metric::Cosine { size } else { 1.0 };
                    // Up to the roundings that [`ROUNDING`] answers for.
                    let owned = f64::from(of_row.radius) * (1.0 + ROUNDING);
                    assert!(owned >= lost, "{metric}: loses {lost}: {of_row:?}");
                    let lost = of_query.lost + f64::from(of_row.radius);
                    let far = match metric {
                        Metric::L2 => distance.sqrt() > bound.sqrt() + 2.01 * lost,
                        Metric::Cosine => (2.0 * distance).sqrt() > (2.0 * bound).sqrt() + 2.01 * lost,
                        _ => {
                            distance
                                > bound
                                    + 2.1 * (of_query.lost * size + f64::from(of_row.radius) * of_query.size)
                        }
                    };
                    assert!(out || !far, "{metric}: {distance} survives {bound} with {lost} lost");
                    ruled_out += u32::from(out);
                }
                assert!(ruled_out > 300, "{metric}: only {ruled_out} of 400 ruled out");
            }
        }
    }

    #[test]
    fn query_codes_respect_the_lanes_of_the_tile() {
        let ramp = |x: f32| (0..100).map(|i| x * i as f32).collect::<Vec<_>>();
        let mut cases =
            vec![vec![0.0; 70], vec![5.0; 33], vec![-1e30; 64], ramp(1.0), ramp(-3.0), numbers(3, 300)];
        let mut spike = vec![0.0; 96];
        spike[40] = 1e20;
        cases.push(spike);
        cases.push((0..128).map(|i| if i < 64 { 1.0 } else { -1.0 }).collect());
        for query in cases {
            let (codes, _) = QueryCode::new(&query, Metric::L2);
            for span in codes.chunks(LANE_SPAN) {
                for lane in 0..2 {
                    let of_lane =
                        || span.iter().enumerate().filter(|(i, _)| i % 4 / 2 == lane).map(|(_, &c)| c);
                    let above: i32 = of_lane().filter(|&c| c > 0).map(i32::from).sum();
                    let below: i32 = of_lane().filter(|&c| c < 0).map(i32::from).sum();
                    assert!(above <= QUERY_LANE && -below <= QUERY_LANE, "{above} {below} of {query:?}");
                }
            }
        }
    }
}
