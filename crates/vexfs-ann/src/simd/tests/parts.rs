//! The tile of parts, at every level of this machine, against f64.

use super::Random;
use crate::simd::Level;
use crate::simd::float_tile::Near;
use crate::simd::part_tile::{self, PIECE, PartPanel, PartRows, PartTile, Piece, ROWS, write_parts};
use crate::simd::tile::PANEL;

/// Rows as the tile takes them, with a scale and a head each.
struct Taken {
    parts: [Vec<Piece>; 2],
    pieces: usize,
    scales: Vec<f32>,
    heads: Vec<f32>,
}

impl Taken {
    /// The rows of `values`, as `parts` parts each; what lies beyond the last is not zero.
    fn new(values: &[f32], dim: usize, parts: usize, [scales, heads]: [Vec<f32>; 2]) -> Self {
        let (pieces, count) = (dim.div_ceil(PIECE), values.len() / dim);
        let mut padded = vec![1.0; count.next_multiple_of(ROWS) * pieces * PIECE];
        for (to, row) in padded.chunks_exact_mut(pieces * PIECE).zip(values.chunks_exact(dim)) {
            to[..dim].copy_from_slice(row);
            to[dim..].fill(0.0);
        }
        let room = vec![Piece::ZERO; padded.len() / PIECE];
        let mut of_parts = [room.clone(), if parts == 2 { room } else { Vec::new() }];
        let [first, second] = &mut of_parts;
        write_parts(&padded, first, second);
        Self { parts: of_parts, pieces, scales, heads }
    }

    fn find(&self, level: Level, panel: &PartPanel, limits: &[f32; PANEL]) -> [Vec<Near>; PANEL] {
        let mut survivors: [Vec<Near>; PANEL] = Default::default();
        let rows = PartRows {
            parts: self.parts.each_ref().map(Vec::as_slice),
            pieces: self.pieces,
            scales: &self.scales,
            heads: &self.heads,
        };
        level.part_tile(PartTile { rows, panel, limits, survivors: &mut survivors });
        survivors
    }
}

/// A number as it is with two parts, as one bf16 number with one.
fn cut(parts: usize) -> impl Fn(f32) -> f32 {
    move |value| if parts == 1 { half::bf16::from_f32(value).to_f32() } else { value }
}

/// Compares the sums of every pair with f64, and what `limits` in the middle leave with the sums.
fn check(name: &str, rows: &[f32], queries: &[f32], dim: usize, [of_rows, of_queries]: [usize; 2]) {
    let rows: Vec<f32> = rows.iter().copied().map(cut(of_rows)).collect();
    let queries: Vec<f32> = queries.iter().copied().map(cut(of_queries)).collect();
    let (count, live) = (rows.len() / dim, queries.len() / dim);
    let of_count = |from: f32, step: f32| (0..count).map(|row| from + step * row as f32).collect::<Vec<_>>();
    let (scales, mut heads) = (of_count(0.5, 0.125), of_count(-2.0, 0.75));
    let of_queries_heads: Vec<f32> = (0..live).map(|query| 3.0 - query as f32).collect();
    if count > 7 {
        heads[7] = f32::NAN;
    }
    let taken = Taken::new(&rows, dim, of_rows, [scales.clone(), heads.clone()]);
    let panel = PartPanel::new(dim, of_queries, queries.chunks_exact(dim), of_queries_heads.iter().copied());
    let gamma = part_tile::gamma(dim, part_tile::products(of_rows, of_queries));
    for level in Level::tested() {
        let name = format!("{name} {level:?} d={dim} {of_rows} × {of_queries} parts, {count} × {live}");
        let all = taken.find(level, &panel, &[f32::INFINITY; PANEL]);
        assert!(all[live..].iter().all(Vec::is_empty), "{name}: queries that do not exist");
        for (query, all) in all[..live].iter().enumerate() {
            assert!(all.iter().map(|near| near.row).eq(0..count as u32), "{name}, query {query}");
            for near in all {
                let row = near.row as usize;
                let pairs = rows[row * dim..][..dim].iter().zip(&queries[query * dim..][..dim]);
                let pairs = pairs.map(|(&x, &q)| (f64::from(x), f64::from(q)));
                let (mut sum, mut size, mut tiny) = (0.0, 0.0, dim as f64 * 2f64.powi(-122));
                for (x, q) in pairs {
                    sum += x * q;
                    size += (x * q).abs();
                    tiny += (x.abs() + q.abs()) * 2f64.powi(-124);
                }
                let (scale, head) = (f64::from(scales[row]), f64::from(heads[row] * of_queries_heads[query]));
                // Scale and head are applied with three roundings.
                let rounded = 3.0 * 2f64.powi(-24) * (size * scale + head.abs());
                let error = (f64::from(near.sum) - (sum * scale + head)).abs();
                let allowed = (gamma * size + tiny) * scale + rounded;
                assert!(error <= allowed || head.is_nan(), "{name}: off by {error:e} of {allowed:e}");
            }
        }
        // The sum itself is within the limit, the next number below is not; NaN keeps everything.
        let middle: [f32; PANEL] =
            std::array::from_fn(|query| all[query].get(count / 2).map_or(0.0, |near| near.sum));
        for limits in [middle, middle.map(f32::next_down), [f32::NAN; PANEL]] {
            for (query, (some, all)) in taken.find(level, &panel, &limits).iter().zip(&all).enumerate() {
                let limit = limits[query];
                let kept = |near: &&Near| near.sum <= limit || near.sum.is_nan() || limit.is_nan();
                let want = all.iter().filter(kept).map(|near| near.row);
                assert!(some.iter().map(|near| near.row).eq(want), "{name}, query {query}");
            }
        }
    }
}

/// Elements of very different size, so that an error of an element that does not belong to its product shows.
#[test]
fn the_tile_of_parts_stays_within_its_bound_and_keeps_what_is_within_the_limit_or_nan() {
    let mut random = Random(11);
    for dim in (1..=34usize).chain([63, 64, 65, 95, 97, 127, 128, 130, 513, 1029, 4096]) {
        for (live, count) in [(1, 1), (8, 16), (9, 17), (16, if dim > 1000 { 3 } else { 83 })] {
            let mut numbers = |count: usize| -> Vec<f32> {
                let mut number = || random.float() * 2f32.powi((random.next() % 16) as i32);
                (0..count * dim).map(|_| number()).collect()
            };
            let (rows, queries) = (numbers(count), numbers(live));
            for parts in [[1, 1], [1, 2], [2, 1], [2, 2]] {
                check("mixed", &rows, &queries, dim, parts);
            }
        }
    }
}

#[test]
fn the_tile_of_parts_is_within_its_bound_at_the_ends_of_the_range() {
    let mut random = Random(12);
    for dim in [1, 31, 32, 33, 300] {
        for (of_rows, of_queries) in
            [(-126, 0), (-120, -3), (-140, 2), (-70, -60), (-63, -63), (59, 59), (100, 20)]
        {
            let mut numbers = |count: usize, exponent: i32| -> Vec<f32> {
                let mut number = || {
                    let sign = if random.next().is_multiple_of(2) { 1.0 } else { -1.0 };
                    sign * (1.0 + random.float().abs() / 4.0)
                        * 2f32.powi(exponent - (random.next() % 9) as i32)
                };
                (0..count * dim).map(|_| number()).collect()
            };
            let (rows, queries) = (numbers(66, of_rows), numbers(11, of_queries));
            let name = format!("2^{of_rows} and 2^{of_queries}");
            check(&name, &rows, &queries, dim, [2, 2]);
            check(&name, &rows, &queries, dim, [1, 1]);
            // Neighbouring elements that cancel each other but for what parts and roundings lose.
            let cancel = |values: &[f32]| -> Vec<f32> {
                let of_vector = |values: &[f32]| -> Vec<f32> {
                    (0..dim).map(|i| if i % 2 == 1 { -values[i - 1].next_up() } else { values[i] }).collect()
                };
                values.chunks_exact(dim).flat_map(of_vector).collect()
            };
            let same: Vec<f32> = (0..queries.len()).map(|i| queries[i - i % dim % 2]).collect();
            check(&format!("{name} cancelling"), &cancel(&rows), &same, dim, [2, 2]);
        }
    }
}
