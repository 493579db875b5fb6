//! One query against rows coded by product quantisation, with estimates as in [`scan`](super::scan).
//!
//! The estimate of a row is e = (base + constant) + step · t, where t is the sum of the table entries of its codes, an exact
//! integer; each operation is rounded on its own. Of rows coded by their signs it is the least that the distance may be,
//! ((base + constant) + scale · (step · t + offset)) − deviation · radius.
//!
//! Codes of four bits lie by 32 rows: for each two groups a [`Block32`], a byte per row, the code of the first group in its lower
//! half. A table of 16 entries is one register, and one instruction looks 32 rows up (André, Kermarrec, Le Scouarnec, VLDB 2015).

use super::level::Job;
use super::scan::{Found, float};
use super::vector::{Block32, Simd};

/// Rows whose codes of four bits lie together.
pub(crate) const ROWS: usize = 32;

/// Blocks of two groups after which sums of 16 bits are widened: 256 · 2 · 127 < 2¹⁶.
const SPAN: usize = 256;

/// What the estimates of a query take from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LookupSide {
    /// Added to all estimates.
    pub(crate) base: f32,
    /// Multiplies t.
    pub(crate) step: f32,
    /// Rows whose estimate is larger are not found.
    pub(crate) limit: f32,
}

/// One query against rows with codes of four bits.
pub(crate) struct LookupFour<'a> {
    /// As described; as many blocks to 32 rows as there are entries of `tables`.
    pub(crate) codes: &'a [Block32],
    /// Number of rows.
    pub(crate) count: usize,
    /// Stored f32, one per row and up to a whole number of [`ROWS`].
    pub(crate) constant: &'a [u8],
    /// Tables of two groups each, entries at most 127; at least one.
    pub(crate) tables: &'a [Block32],
    pub(crate) terms: LookupSide,
    /// What is found is appended, by ascending row.
    pub(crate) found: &'a mut Vec<Found>,
}

impl Job for LookupFour<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { codes, count, constant, tables, terms, found } = self;
        let blocks = codes.chunks_exact(tables.len()).zip(constant.as_chunks::<{ 4 * ROWS }>().0);
        for (first, (codes, constant)) in (0..count).step_by(ROWS).zip(blocks) {
            let sums = sums(simd, codes, tables);
            let mut estimates = [0f32; ROWS];
            for ((estimate, sum), constant) in estimates.iter_mut().zip(sums).zip(constant.as_chunks::<4>().0)
            {
                *estimate = (terms.base + f32::from_le_bytes(*constant)) + terms.step * sum as f32;
            }
            keep(first, &estimates, count, terms.limit, found);
        }
    }
}

/// The sums of the entries of 32 rows, exact.
#[inline(always)]
fn sums<S: Simd>(simd: S, codes: &[Block32], tables: &[Block32]) -> [i32; ROWS] {
    // Below 2³¹: at most 32,768 blocks of 254.
    let mut sums = [0i32; ROWS];
    for (codes, tables) in codes.chunks(SPAN).zip(tables.chunks(SPAN)) {
        let (mut even, mut odd) = (simd.zero_i16(), simd.zero_i16());
        for (codes, tables) in codes.iter().zip(tables) {
            let [low, high] = simd.even_odd_u8(simd.look_up_pairs(tables, simd.load_bytes(codes)));
            (even, odd) = (simd.add_i16(even, low), simd.add_i16(odd, high));
        }
        let (mut evens, mut odds) = ([0; 16], [0; 16]);
        simd.store_i16(even, &mut evens);
        simd.store_i16(odd, &mut odds);
        for (pair, (even, odd)) in sums.as_chunks_mut::<2>().0.iter_mut().zip(evens.iter().zip(&odds)) {
            pair[0] += i32::from(*even as u16);
            pair[1] += i32::from(*odd as u16);
        }
    }
    sums
}

/// What the estimates of a query take from it, of rows coded by their signs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignSide {
    /// Added to all estimates.
    pub(crate) base: f32,
    /// Multiplies t.
    pub(crate) step: f32,
    /// Added to that.
    pub(crate) offset: f32,
    /// Multiplies [`LookupSigns::deviation`].
    pub(crate) radius: f32,
    /// Rows whose estimate is larger are not found.
    pub(crate) limit: f32,
}

/// One query against rows coded by their signs, four to a code.
pub(crate) struct LookupSigns<'a> {
    /// As those of [`LookupFour`].
    pub(crate) codes: &'a [Block32],
    /// Number of rows.
    pub(crate) count: usize,
    /// Stored f32, one per row and up to a whole number of [`ROWS`]; multiplies what the tables say.
    pub(crate) scale: &'a [u8],
    /// Likewise; added.
    pub(crate) constant: &'a [u8],
    /// Likewise; how far the estimate may be off.
    pub(crate) deviation: &'a [u8],
    /// As those of [`LookupFour`].
    pub(crate) tables: &'a [Block32],
    pub(crate) terms: SignSide,
    /// What is found is appended, by ascending row.
    pub(crate) found: &'a mut Vec<Found>,
}

impl Job for LookupSigns<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { codes, count, scale, constant, deviation, tables, terms, found } = self;
        let blocks = codes.chunks_exact(tables.len()).zip(scale.as_chunks::<{ 4 * ROWS }>().0);
        let others =
            constant.as_chunks::<{ 4 * ROWS }>().0.iter().zip(deviation.as_chunks::<{ 4 * ROWS }>().0);
        for (first, ((codes, scale), (constant, deviation))) in
            (0..count).step_by(ROWS).zip(blocks.zip(others))
        {
            let sums = sums(simd, codes, tables);
            let mut estimates = [0f32; ROWS];
            for (row, (estimate, sum)) in estimates.iter_mut().zip(sums).enumerate() {
                let linear = float(scale, row) * (terms.step * sum as f32 + terms.offset);
                *estimate =
                    ((terms.base + float(constant, row)) + linear) - float(deviation, row) * terms.radius;
            }
            keep(first, &estimates, count, terms.limit, found);
        }
    }
}

/// One query against rows with codes of eight bits.
pub(crate) struct LookupEight<'a> {
    /// A byte per row and group, those of a row together.
    pub(crate) codes: &'a [u8],
    /// Number of rows.
    pub(crate) count: usize,
    /// Stored f32, one per row.
    pub(crate) constant: &'a [u8],
    /// A table for each group.
    pub(crate) tables: &'a [[u16; 256]],
    pub(crate) terms: LookupSide,
    /// What is found is appended, by ascending row.
    pub(crate) found: &'a mut Vec<Found>,
}

impl Job for LookupEight<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self { codes, count, constant, tables, terms, found } = self;
        for (row, codes) in (0..count).zip(codes.chunks_exact(tables.len())) {
            let mut sums = [0u32; 4];
            let (fours, rest) = codes.as_chunks::<4>();
            let (of_fours, of_rest) = tables.split_at(4 * fours.len());
            for (codes, tables) in fours.iter().zip(of_fours.as_chunks::<4>().0) {
                for lane in 0..4 {
                    sums[lane] += u32::from(tables[lane][usize::from(codes[lane])]);
                }
            }
            for (code, table) in rest.iter().zip(of_rest) {
                sums[0] += u32::from(table[usize::from(*code)]);
            }
            let [a, b, c, d] = sums;
            let sum = (a + b) + (c + d);
            let estimate = (terms.base + float(constant, row)) + terms.step * sum as f32;
            keep(row, &[estimate], count, terms.limit, found);
        }
    }
}

/// Notes the rows from `first` on, of `count` in all, whose estimates do not exceed the limit.
#[inline(always)]
fn keep(first: usize, estimates: &[f32], count: usize, limit: f32, found: &mut Vec<Found>) {
    // Nearly always there is none, which takes no branch per row to tell.
    if estimates.iter().fold(true, |none, estimate| none & (*estimate > limit)) {
        return;
    }
    for (row, estimate) in (first..count).zip(estimates) {
        if estimate.is_nan() || *estimate <= limit {
            found.push(Found { row: row as u32, estimate: *estimate });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Random;
    use crate::simd::Level;

    #[test]
    fn sums_of_entries_are_exact_at_every_level() {
        let mut random = Random::new(2, 2);
        for (blocks, count) in [(1, 1usize), (3, 31), (5, 64), (300, 70)] {
            let mut block = |most: u64| Block32(std::array::from_fn(|_| random.below(most) as u8));
            let tables: Vec<Block32> = (0..blocks).map(|_| block(128)).collect();
            let codes: Vec<Block32> = (0..blocks * count.div_ceil(ROWS)).map(|_| block(256)).collect();
            let constants: Vec<f32> = (0..count.next_multiple_of(ROWS)).map(|row| row as f32 * 0.5).collect();
            let constant: Vec<u8> = constants.iter().flat_map(|x| x.to_le_bytes()).collect();
            let estimate = |row: usize| {
                let of_row = codes[row / ROWS * blocks..][..blocks].iter().map(|block| block.0[row % ROWS]);
                let sum: u32 = of_row
                    .zip(&tables)
                    .map(|(code, table)| {
                        let entry = |at: u8| u32::from(table.0[usize::from(at)]);
                        entry(code & 15) + entry(16 + (code >> 4))
                    })
                    .sum();
                (7.0 + constants[row]) + 0.25 * sum as f32
            };
            let limit = estimate(count / 2);
            let want: Vec<Found> = (0..count)
                .map(|row| Found { row: row as u32, estimate: estimate(row) })
                .filter(|found| found.estimate <= limit)
                .collect();
            for level in Level::all() {
                let mut found = Vec::new();
                let terms = LookupSide { base: 7.0, step: 0.25, limit };
                level.run(LookupFour {
                    codes: &codes,
                    count,
                    constant: &constant,
                    tables: &tables,
                    terms,
                    found: &mut found,
                });
                assert_eq!(found, want, "{level:?} {blocks} {count}");
            }
        }
    }

    #[test]
    fn signs_have_the_same_estimates_at_every_level() {
        let mut random = Random::new(6, 2);
        for (blocks, count) in [(1, 1usize), (3, 31), (13, 64), (256, 33)] {
            let mut block = |most: u64| Block32(std::array::from_fn(|_| random.below(most) as u8));
            let tables: Vec<Block32> = (0..blocks).map(|_| block(128)).collect();
            let codes: Vec<Block32> = (0..blocks * count.div_ceil(ROWS)).map(|_| block(256)).collect();
            let [scale, constant, deviation] = [0.25f32, 3.0, 0.125].map(|factor| {
                let value = |row: usize| (factor * (row % 7) as f32).to_le_bytes();
                (0..count.next_multiple_of(ROWS)).flat_map(value).collect::<Vec<u8>>()
            });
            let estimate = |row: usize| {
                let of_row = codes[row / ROWS * blocks..][..blocks].iter().map(|block| block.0[row % ROWS]);
                let entry = |table: &Block32, at: u8| u32::from(table.0[usize::from(at)]);
                let sum = of_row
                    .zip(&tables)
                    .map(|(code, table)| entry(table, code & 15) + entry(table, 16 + (code >> 4)));
                let linear = float(&scale, row) * (0.1 * sum.sum::<u32>() as f32 + -9.0);
                ((7.0 + float(&constant, row)) + linear) - float(&deviation, row) * 2.5
            };
            let limit = estimate(count / 2);
            let all = (0..count).map(|row| Found { row: row as u32, estimate: estimate(row) });
            let want: Vec<Found> = all.filter(|found| found.estimate <= limit).collect();
            for level in Level::all() {
                let mut found = Vec::new();
                level.run(LookupSigns {
                    codes: &codes,
                    count,
                    scale: &scale,
                    constant: &constant,
                    deviation: &deviation,
                    tables: &tables,
                    terms: SignSide { base: 7.0, step: 0.1, offset: -9.0, radius: 2.5, limit },
                    found: &mut found,
                });
                assert_eq!(found, want, "{level:?} {blocks} {count}");
            }
        }
    }
}
