//! One coded query against coded rows side by side, by the bound of the tile.

use super::level::Job;
use super::tile::{QueryTerms, Survivor};
use super::vector::{Block32, Simd};

/// Rows that are looked at together.
const LANES: usize = 8;

/// Blocks by which memory is asked for ahead of the rows that are looked at, 8 KiB: four short rows side by side are no stream that a
/// processor foresees.
const AHEAD: usize = 256;

/// Bytes of the five terms of [`LANES`] rows: scale, offset, sum, radius, size, each of all rows.
const GROUP: usize = 5 * 32;

/// Finds the rows that the bound of [`QueryTerms`] does not rule out.
pub(crate) struct SweepOne<'a> {
    /// Row codes of at most 127, ⌈d / 32⌉ blocks to a row.
    pub(crate) codes: &'a [Block32],
    /// Number of rows.
    pub(crate) count: usize,
    /// Their terms, f32, [`GROUP`] bytes to eight rows.
    pub(crate) stored: &'a [u8],
    /// Codes of the query, i8; ⌈d / 32⌉ blocks.
    pub(crate) query: &'a [Block32],
    /// Its terms are those of [`lane`](Self::lane).
    pub(crate) terms: &'a QueryTerms,
    pub(crate) lane: usize,
    /// What survives is appended, by ascending row.
    pub(crate) survivors: &'a mut Vec<Survivor>,
}

impl Job for SweepOne<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { codes, count, stored, query, terms, lane, survivors } = self;
        let blocks = query.len();
        let constant = simd.splat_f32(terms.constant[lane]);
        let (product, offset) = (simd.splat_f32(terms.product[lane]), simd.splat_f32(terms.offset[lane]));
        let (sum, radius) = (simd.splat_f32(terms.sum[lane]), simd.splat_f32(terms.radius[lane]));
        let size = simd.splat_f32(terms.size[lane]);
        for (first, group) in (0..count).step_by(LANES).zip(stored.as_chunks::<GROUP>().0) {
            let mut sums = [simd.zero_i32(); LANES];
            for half in [0, 4] {
                // The last group repeats the last row in place of the missing ones.
                let row = [0, 1, 2, 3].map(|i| (first + half + i).min(count - 1) * blocks);
                let rows = row.map(|row| &codes[row..][..blocks]);
                let [mut a, mut b, mut c, mut d] = [simd.zero_i32(); 4];
                let ahead = codes.as_ptr().wrapping_add(row[0] + AHEAD).cast::<u8>();
                for (block, query) in query.iter().enumerate() {
                    // Four blocks are looked at in each step: two cache lines.
                    simd.prefetch(ahead.wrapping_add(128 * block));
                    simd.prefetch(ahead.wrapping_add(128 * block + 64));
                    let query = simd.load_bytes(query);
                    a = add(simd, a, &rows[0][block], query);
                    b = add(simd, b, &rows[1][block], query);
                    c = add(simd, c, &rows[2][block], query);
                    d = add(simd, d, &rows[3][block], query);
                }
                sums[half..half + 4].copy_from_slice(&[a, b, c, d]);
            }
            let products = simd.sums_i32(sums);
            let term = group.as_chunks::<32>().0;
            let bound = simd.mul_add_f32(size, simd.widen_f32(&term[4]), constant);
            let bound = simd.mul_add_f32(radius, simd.widen_f32(&term[3]), bound);
            let bound = simd.mul_add_f32(sum, simd.widen_f32(&term[2]), bound);
            let bound = simd.mul_add_f32(offset, simd.widen_f32(&term[1]), bound);
            let scaled = simd.mul_f32(simd.widen_f32(&term[0]), simd.to_f32(products));
            let bound = simd.mul_add_f32(product, scaled, bound);
            let mut left = !simd.positive_f32(bound) & 0xff;
            if count - first < LANES {
                left &= (1 << (count - first)) - 1;
            }
            if left != 0 {
                let products = simd.to_array_i32(products);
                while left != 0 {
                    let lane = left.trailing_zeros() as usize;
                    let row = (first + lane) as u32;
                    survivors.push(Survivor { row, product: products[lane], estimate: 0.0 });
                    left &= left - 1;
                }
            }
        }
    }
}

/// `sum` and the products of 32 codes. Two of at most 127² fit an i16.
#[inline(always)]
fn add<S: Simd>(simd: S, sum: S::I32, row: &Block32, query: S::Bytes) -> S::I32 {
    simd.dot_quads(sum, simd.load_bytes(row), query)
}
