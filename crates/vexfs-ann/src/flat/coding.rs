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
//! six additions, two roundings each at most: an error of at most 16 u of the sum of their sizes, u = 2⁻²⁴. With G = a|c| + √d |b|
//! for the query and likewise H for the row, every part of q̂·x̂ is at most G H, |q̂| ≤ G and |x̂| ≤ H; so the error is
//! below 2⁻¹⁹ (G² + T² + H² + ρ²) for L2 and below 2⁻¹⁹ (G H + …) for the inner product. [`ROUNDING`] is twice that; its shares are
//! taken off the query's constant and the row's terms beforehand. Numbers are computed in f64 and rounded to f32
//! towards caution where no share covers it. A query or row whose largest element is outside [`SAFE`], where squares might
//! underflow or overflow, is never ruled out, except that zeros are safe too. An infinite bound or a NaN anywhere makes the
//! comparison false: the pair survives.

use std::ops::RangeInclusive;

use crate::simd::codes::{LANE_SPAN, QUERY_LANE, RowCode};
use crate::simd::float::gamma;
use crate::simd::tile::{PANEL, Panel, QueryTerms, RowTerms};
use crate::{Metric, reference};

use super::stream::{SAFE_SQUARES, round_down};

/// Share of the sizes of a bound's terms that their rounding may amount to, doubled: 2⁻¹⁸.
const ROUNDING: f64 = 1.0 / (1 << 18) as f64;

/// Share for the roundings of the reference's f64 and of this module's.
const ROUNDING_F64: f64 = 1.0 / (1u64 << 36) as f64;

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
        let panels = codes.chunks(PANEL).map(|codes| Panel::new(codes, dim)).collect();
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
                let root = if metric == Metric::Cosine {
                    (2.0 * (bound + ROUNDING_F64)).sqrt()
                } else {
                    bound.sqrt()
                };
                let limit = (root + query.lost) * (1.0 + ROUNDING_F64);
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
            lost: (lost.sqrt() + reach * ROUNDING_F64) * unit,
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
    // The residual is measured from x̂ as rounded to f32, which is within 2⁻²² of each element's reach.
    let rounded = count.sqrt() * (offset.abs() + 95.0 * scale) * 2f64.powi(-22);
    let measured = f64::from(row.residual) * (1.0 + 2.0 * gamma) + count * 2f64.powi(-148);
    let mut lost = measured.sqrt() + rounded;

    let mut unit = 1.0;
    let mut safe = is_safe(row.largest);
    if metric == Metric::Cosine {
        unit = 1.0 / f64::from(row.norm).sqrt();
        lost += f64::from(row.norm).sqrt() * 2.0 * gamma;
        safe &= SAFE_SQUARES.contains(&row.norm);
    }
    let (reach, square, lost) = (reach * unit, square * unit * unit, lost * unit);
    let (size, radius) = match metric {
        Metric::InnerProduct => {
            ((square + reach * reach * ROUNDING_F64).sqrt() + lost, lost + 2.0 * ROUNDING * reach)
        }
        _ => (square - lost * lost - ROUNDING * (reach * reach + lost * lost), lost),
    };
    RowTerms {
        scale: (scale * unit) as f32,
        offset: (offset * unit) as f32,
        sum: ((scale * sum + count * offset) * unit) as f32,
        radius: radius as f32,
        size: if safe { size as f32 } else { f32::NAN },
    }
}
