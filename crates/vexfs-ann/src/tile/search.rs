//! The `k` nearest coded vectors of each of many, by the tile.
//!
//! The tile rules out, in f32, pairs whose distance is proven to exceed the k-th best; the others get theirs in f64 from the
//! same integer product. With x̂ = s (u − 64) + o, p = o − 64 s and c = v − 64 of the query v,
//! q̂·x̂ = s' s Σ cᵢuᵢ + w' p + o' Σ x̂ᵢ, and a pair of distance D is ruled out by b if
//!
//! - **L2**: |q̂|² + |x̂|² − 2 q̂·x̂ − b > 0,
//! - **inner product**: −q̂·x̂ − b > 0,
//! - **cosine**, where |q̂| = |x̂| = 1: 1 − q̂·x̂ − b > 0.
//!
//! **Rounding.** As in the flat index: terms are products of at most four rounded numbers and pass through at most six additions,
//! which makes an error of at most 2⁻²⁰ times the sum of their sizes. With G = s' |c| + √d |o'| and H = s |u| + √d |p|,
//! each part of q̂·x̂ is at most G H. For l2 that is below 2⁻¹⁹ (G² + H² + b), for the others below 2⁻²⁰ (1 + |b| + 3 G H);
//! [`ROUNDING`] is more than both, with room for the last rounding of D to f32. Vectors whose elements are outside [`SAFE`]
//! are never ruled out, nor is anything by an infinite bound or a NaN.

use std::ops::RangeInclusive;

use crate::Metric;
use crate::best::Best;
use crate::simd::Level;
use crate::simd::tile::{PANEL, Panel, QueryTerms, RowTerms, Survivor, Tile};

use super::coded::{MIDDLE, Shape, View, pair};

/// Share of the sizes of a bound's terms that their rounding may amount to, and more: 2⁻¹⁸.
const ROUNDING: f64 = 1.0 / (1 << 18) as f64;

/// Largest elements, 2⁻⁴⁰ ..= 2⁶⁰, of which squares and products are normal f32 numbers.
const SAFE: RangeInclusive<f64> = 1.0 / (1u64 << 40) as f64..=(1u64 << 60) as f64;

/// Queries that pass over the rows together.
const QUERIES: usize = 512;

/// Bytes of row codes that stay in the second-level cache while those queries pass over them.
const BLOCK_BYTES: usize = 192 << 10;

/// Rows of the first block, of which none is ruled out unless there are bounds before; as many as are wanted if that is more,
const FIRST_ROWS: usize = 8;

/// but not more than this.
const MOST_FIRST_ROWS: usize = 24;

/// How many times as many rows as have been seen a block may have.
const GROWTH: usize = 4;

/// A row that was found, and its distance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Near {
    /// Index among the rows.
    pub(crate) row: u32,
    /// See [`View::distances`].
    pub(crate) distance: f32,
}

/// Calls `visit` with the index of each of `queries`, in order, and the `k` rows nearest to it: nearest first, ties by lower
/// row; fewer if there are fewer.
///
/// `own`: if given, query i is row `own` + i itself and is not found. To split the work over threads, give each a
/// [`slice`](View::slice) of the queries, and add the slice's start to `own`.
///
/// # Shape
/// Fewer than 2³² rows, of the dimension and metric of the queries.
///
/// # Complexity
/// nq · n · d multiplications of bytes; nq · k (1 + ln(n / k)) or so distances in f64.
pub(crate) fn nearest(
    queries: View<'_>,
    rows: View<'_>,
    k: usize,
    own: Option<usize>,
    visit: impl FnMut(usize, &[Near]),
) {
    nearest_at(Level::best(), queries, rows, k, own, visit);
}

/// Calls `visit` with the index of each of `queries` of which rows are no farther than its `bounds`, in order, and the nearest of these;
/// ties by lower row.
///
/// # Shape
/// As of [`nearest`]; a bound for each query.
pub(crate) fn nearest_within(
    queries: View<'_>,
    rows: View<'_>,
    bounds: &[f32],
    mut visit: impl FnMut(usize, Near),
) {
    let starts = (0..queries.len()).step_by(QUERIES);
    for (start, bounds) in starts.zip(bounds.chunks(QUERIES)) {
        let part = queries.slice(start..start + bounds.len());
        let mut bests = vec![Best::new(1); part.len()];
        bests.iter_mut().zip(bounds).for_each(|(best, bound)| best.restrict(*bound));
        let first = if bounds.iter().all(|bound| bound.is_finite()) { rows.len() } else { FIRST_ROWS };
        search(Level::best(), part, rows, first, None, &mut bests);
        for (index, best) in bests.iter_mut().enumerate() {
            if let Some((row, distance)) = best.sorted().next() {
                visit(start + index, Near { row, distance });
            }
        }
    }
}

/// As [`nearest`], with a given instruction set. The answer is the same.
pub(super) fn nearest_at(
    level: Level,
    queries: View<'_>,
    rows: View<'_>,
    k: usize,
    own: Option<usize>,
    mut visit: impl FnMut(usize, &[Near]),
) {
    assert_eq!((queries.dim, queries.metric), (rows.dim, rows.metric), "queries and rows are of one kind");
    let mut found = Vec::new();
    for start in (0..queries.len()).step_by(QUERIES) {
        let part = queries.slice(start..queries.len().min(start + QUERIES));
        let own = own.map(|own| own + start);
        let mut bests = vec![Best::new(k); part.len()];
        search(level, part, rows, k.clamp(FIRST_ROWS, MOST_FIRST_ROWS), own, &mut bests);
        for (index, best) in bests.iter_mut().enumerate() {
            found.clear();
            found.extend(best.sorted().take(k).map(|(row, distance)| Near { row, distance }));
            visit(start + index, &found);
        }
    }
}

/// Offers `rows` to `bests`, one for each of a few hundred queries; the `first` of them to see by how much the others are ruled out.
fn search(
    level: Level,
    queries: View<'_>,
    rows: View<'_>,
    first: usize,
    own: Option<usize>,
    bests: &mut [Best],
) {
    let blocks = queries.blocks();
    let panels: Vec<Panel> =
        queries.codes.chunks(PANEL * blocks).map(|codes| Panel::of_rows(codes, blocks)).collect();
    let mut terms = vec![QueryTerms::default(); panels.len()];
    for (query, shape) in queries.shapes.iter().enumerate() {
        let (terms, lane) = (&mut terms[query / PANEL], query % PANEL);
        set_query(queries.metric, queries.dim, shape, terms, lane);
        tighten(queries.metric, queries.dim, shape, f64::from(bests[query].limit()), terms, lane);
    }

    let most = (BLOCK_BYTES / (blocks * 32)).max(MOST_FIRST_ROWS);
    let first = first.min(most);
    let mut row_terms = Vec::new();
    let mut survivors: [Vec<Survivor>; PANEL] = Default::default();
    let mut start = 0;
    while start < rows.len() {
        let count = (start * GROWTH).clamp(first, most).min(rows.len() - start);
        let block = rows.slice(start..start + count);
        row_terms.clear();
        row_terms.extend(block.shapes.iter().map(|shape| terms_of_row(rows.metric, rows.dim, shape)));
        for (index, (panel, terms)) in panels.iter().zip(&mut terms).enumerate() {
            level.tile(Tile {
                codes: block.codes,
                rows: &row_terms,
                panel,
                queries: terms,
                survivors: &mut survivors,
            });
            for (lane, survivors) in survivors[..panel.live()].iter_mut().enumerate() {
                if survivors.is_empty() {
                    continue;
                }
                let query = index * PANEL + lane;
                let (shape, best) = (&queries.shapes[query], &mut bests[query]);
                for survivor in survivors.drain(..) {
                    let row = start + survivor.row as usize;
                    if own.is_some_and(|own| own + query == row) {
                        continue;
                    }
                    let centred = survivor.product - MIDDLE as i32 * shape.sum;
                    best.offer(row as u32, pair(rows.metric, rows.dim, shape, &rows.shapes[row], centred));
                }
                best.tighten();
                tighten(queries.metric, queries.dim, shape, f64::from(best.limit()), terms, lane);
            }
        }
        start += count;
    }
}

/// s |c| + √d |o|.
fn reach(dim: usize, scale: f64, squares: f64, offset: f64) -> f64 {
    scale * squares.sqrt() + (dim as f64).sqrt() * offset.abs()
}

/// p: the value of code 0.
fn low(shape: &Shape) -> f64 {
    shape.offset - MIDDLE as f64 * shape.scale
}

fn is_safe(shape: &Shape) -> bool {
    let largest = low(shape).abs().max((low(shape) + 127.0 * shape.scale).abs());
    largest == 0.0 || SAFE.contains(&largest)
}

/// The terms of a query that do not depend on its bound.
fn set_query(metric: Metric, dim: usize, shape: &Shape, terms: &mut QueryTerms, lane: usize) {
    let (factor, size) = if metric == Metric::L2 { (-2.0, 1.0) } else { (-1.0, 0.0) };
    let reach = reach(dim, shape.scale, f64::from(shape.squares), shape.offset);
    terms.product[lane] = (factor * shape.scale) as f32;
    terms.offset[lane] = (factor * shape.weight) as f32;
    terms.sum[lane] = (factor * shape.offset) as f32;
    terms.size[lane] = size;
    terms.radius[lane] = if metric == Metric::L2 { 0.0 } else { (-2.0 * ROUNDING * reach) as f32 };
}

/// The term of a query that depends on its bound.
fn tighten(metric: Metric, dim: usize, shape: &Shape, bound: f64, terms: &mut QueryTerms, lane: usize) {
    let (rest, size) = match metric {
        Metric::L2 => {
            let reach = reach(dim, shape.scale, f64::from(shape.squares), shape.offset);
            (shape.square, 2.0 * reach * reach)
        }
        Metric::InnerProduct => (0.0, 0.0),
        _ => (1.0, 1.0),
    };
    let constant = rest - bound - ROUNDING * (size + 2.0 * bound.abs());
    terms.constant[lane] = if is_safe(shape) { constant as f32 } else { f32::NAN };
}

/// The terms of a row.
fn terms_of_row(metric: Metric, dim: usize, shape: &Shape) -> RowTerms {
    let middle = MIDDLE as f64;
    let squares =
        f64::from(shape.squares) + 2.0 * middle * f64::from(shape.sum) + middle * middle * dim as f64;
    let reach = reach(dim, shape.scale, squares, low(shape));
    let size = if metric == Metric::L2 { shape.square - 2.0 * ROUNDING * reach * reach } else { 0.0 };
    RowTerms {
        scale: shape.scale as f32,
        offset: low(shape) as f32,
        sum: (shape.weight + dim as f64 * shape.offset) as f32,
        radius: reach as f32,
        size: if is_safe(shape) { size as f32 } else { f32::NAN },
    }
}
