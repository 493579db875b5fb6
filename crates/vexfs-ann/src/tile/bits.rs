//! The `k` nearest by Hamming distance: bits are their own code, and distances are exact.

use super::Near;
use crate::simd::bits::{BitTile, TOGETHER};
use crate::simd::{Block32, Level};

/// Bytes of rows that stay in the first-level cache while all queries pass over them.
const BLOCK_BYTES: usize = 16 << 10;

/// Rows of bits, padded with zeros to whole blocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bits<'a> {
    /// Those of a row together.
    pub(crate) rows: &'a [Block32],
    /// Blocks to a row; at least one.
    pub(crate) blocks: usize,
}

/// The nearest rows of a query so far.
#[derive(Default, Clone)]
struct Nearest {
    /// Distance · 2³² + row; more than k of them for a while.
    keys: Vec<u64>,
    /// Rows at this distance or farther are of no interest: k rows with lower numbers are as near.
    bound: u32,
}

/// Calls `visit` with the index of each of `queries`, in order, and the `k` of `rows` nearest to it: nearest first, ties by lower row; fewer
/// if there are fewer.
///
/// `own`: query i is row i, and is not found for itself.
///
/// # Shape
/// Fewer than 2³² rows, of as many blocks as the queries.
///
/// # Complexity
/// nq · n · d bits are counted.
pub(crate) fn nearest_bits(
    queries: Bits<'_>,
    rows: Bits<'_>,
    k: usize,
    own: bool,
    visit: impl FnMut(usize, &[Near]),
) {
    nearest_bits_at(Level::best(), queries, rows, k, own, visit);
}

/// As [`nearest_bits`], with a given instruction set. The answer is the same.
pub(super) fn nearest_bits_at(
    level: Level,
    queries: Bits<'_>,
    rows: Bits<'_>,
    k: usize,
    own: bool,
    mut visit: impl FnMut(usize, &[Near]),
) {
    let blocks = queries.blocks;
    assert_eq!(blocks, rows.blocks, "queries and rows are of one kind");
    let count = queries.rows.len() / blocks;
    let mut nearest = vec![Nearest { keys: Vec::new(), bound: u32::MAX }; count];
    let together = (BLOCK_BYTES / (32 * blocks)).max(1) * blocks;
    let mut found: [Vec<(u32, u32)>; TOGETHER] = Default::default();
    for (part, some) in rows.rows.chunks(together).enumerate() {
        let first = (part * together / blocks) as u32;
        for (group, nearest) in nearest.chunks_mut(TOGETHER).enumerate() {
            // The last group repeats the last query in place of the missing ones, for which nothing is found.
            let query = |lane: usize| group * TOGETHER + lane.min(nearest.len() - 1);
            let of_lane = |lane: usize| &queries.rows[query(lane) * blocks..][..blocks];
            level.run(BitTile {
                queries: std::array::from_fn(of_lane),
                rows: some,
                blocks,
                bounds: std::array::from_fn(|lane| nearest.get(lane).map_or(0, |nearest| nearest.bound)),
                found: &mut found,
            });
            for ((lane, nearest), found) in nearest.iter_mut().enumerate().zip(&mut found) {
                let index = (group * TOGETHER + lane) as u32;
                for (row, distance) in found.drain(..) {
                    if !own || first + row != index {
                        nearest.offer(first + row, distance, k);
                    }
                }
            }
        }
    }
    let mut near = Vec::new();
    for (query, nearest) in nearest.iter_mut().enumerate() {
        nearest.tighten(k);
        nearest.keys.sort_unstable();
        near.clear();
        near.extend(nearest.keys.iter().map(|key| Near { row: *key as u32, distance: (key >> 32) as f32 }));
        visit(query, &near);
    }
}

impl Nearest {
    /// Offers a row that is beyond all offered before.
    fn offer(&mut self, row: u32, distance: u32, k: usize) {
        if distance < self.bound {
            self.keys.push(u64::from(distance) << 32 | u64::from(row));
            if self.keys.len() >= 2 * k + 8 {
                self.tighten(k);
            }
        }
    }

    /// Drops what is not among the `k` nearest, and takes the bound from what is left.
    fn tighten(&mut self, k: usize) {
        if self.keys.len() >= k {
            self.keys.sort_unstable();
            self.keys.truncate(k);
            self.bound = self.keys.last().map_or(0, |key| (key >> 32) as u32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Random;

    #[test]
    fn the_nearest_are_those_of_all_pairs_at_every_level() {
        let mut random = Random::new(7, 0);
        // Few different bits: many rows are at one distance.
        for (blocks, count, most) in
            [(1usize, 1usize, 256), (1, 2000, 4), (3, 300, 256), (40, 90, 2), (600, 9, 256)]
        {
            let mut block = || Block32(std::array::from_fn(|_| random.below(most) as u8));
            let rows: Vec<Block32> = (0..count * blocks).map(|_| block()).collect();
            let some: Vec<Block32> = (0..13 * blocks).map(|_| block()).collect();
            let rows = Bits { rows: &rows, blocks };
            for (queries, own) in [(rows, true), (rows, false), (Bits { rows: &some, blocks }, false)] {
                let row = |bits: Bits<'_>, row: usize| bits.rows[row * blocks..][..blocks].to_vec();
                let distance = |a: &[Block32], b: &[Block32]| -> u32 {
                    let pairs = a.iter().zip(b).flat_map(|(a, b)| a.0.into_iter().zip(b.0));
                    pairs.map(|(a, b)| (a ^ b).count_ones()).sum()
                };
                let queries = Bits { rows: &queries.rows[..queries.rows.len().min(50 * blocks)], blocks };
                for k in [0, 1, 7, 400] {
                    let want = |index: usize| -> Vec<(u32, u32)> {
                        let query = row(queries, index);
                        let others = (0..count).filter(|other| !own || *other != index);
                        let mut all: Vec<_> =
                            others.map(|other| (distance(&query, &row(rows, other)), other as u32)).collect();
                        all.sort_unstable();
                        all.truncate(k);
                        all
                    };
                    for level in Level::all() {
                        let mut visited = 0;
                        nearest_bits_at(level, queries, rows, k, own, |index, near| {
                            let found: Vec<_> =
                                near.iter().map(|near| (near.distance as u32, near.row)).collect();
                            assert_eq!(found, want(index), "{level:?} {blocks} {k} {index}");
                            visited += 1;
                        });
                        assert_eq!(visited, queries.rows.len() / blocks);
                    }
                }
            }
        }
    }
}
