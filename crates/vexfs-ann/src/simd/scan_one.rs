//! One query against coded rows side by side, eight at a time; see [`scan`](super::scan).

use std::ops::Range;

use zerocopy::IntoBytes;

use super::level::Job;
use super::scan::{Found, QuerySide, RowSide};
use super::vector::{Block32, Simd};

/// Blocks of codes after which i16 lanes are widened.
pub(crate) const SCAN_BLOCKS: usize = 4;

/// The same for codes of four bits, packed by two: six times as many products of 15 in place of [`CODE_MAX`](super::codes::CODE_MAX) fit a
/// lane.
const PACKED_BLOCKS: usize = 3 * SCAN_BLOCKS;

/// Rows that are estimated together.
const LANES: usize = 8;

/// Most blocks of a row whose number the compiler knows.
const MOST_KNOWN: usize = 4;

/// One query against the rows of some runs.
///
/// # Shape
/// `runs` lie within the rows.
///
/// `query`: as many blocks of codes, i8, as a row has. Of codes that meet in a lane of i16, two of each of [`SCAN_BLOCKS`]
/// blocks, the positive ones and the negative ones add up to at most [`QUERY_LANE`](super::codes::QUERY_LANE) each, and row codes
/// are at most [`CODE_MAX`](super::codes::CODE_MAX); otherwise t is some number.
pub(crate) struct ScanOne<'a> {
    pub(crate) rows: RowSide<'a>,
    pub(crate) runs: &'a [Range<usize>],
    pub(crate) query: &'a [Block32],
    pub(crate) terms: QuerySide,
    /// What is found is appended, run by run and by ascending row.
    pub(crate) found: &'a mut Vec<Found>,
}

impl Job for ScanOne<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { rows, runs, query, terms, found } = self;
        let blocks = if rows.is_packed { query.len().div_ceil(2) } else { query.len() };
        let padded = (rows.count < LANES).then(|| Padded::new(&rows, blocks));
        let rows = padded.as_ref().map_or(rows, |padded| padded.rows(&rows));
        // Zero beyond what the query has, so that all packed blocks have two.
        let mut whole = [Block32::ZERO; 2 * MOST_KNOWN];
        if let Some(begin) = whole.get_mut(..query.len()) {
            begin.copy_from_slice(query);
        }
        let scan = ScanOne { rows, runs, query, terms, found };
        // A loop over few blocks would take as long as what is done with them.
        match (rows.is_packed, blocks) {
            (true, 1) => scan.scan(simd, 1, &Known::<true, 1>(&whole)),
            (true, 2) => scan.scan(simd, 2, &Known::<true, 2>(&whole)),
            (true, 3) => scan.scan(simd, 3, &Known::<true, 3>(&whole)),
            (true, 4) => scan.scan(simd, 4, &Known::<true, 4>(&whole)),
            (true, _) => scan.scan(simd, blocks, &Any::<true>(query)),
            (false, 1) => scan.scan(simd, 1, &Known::<false, 1>(&whole)),
            (false, 2) => scan.scan(simd, 2, &Known::<false, 2>(&whole)),
            (false, 3) => scan.scan(simd, 3, &Known::<false, 3>(&whole)),
            (false, 4) => scan.scan(simd, 4, &Known::<false, 4>(&whole)),
            (false, _) => scan.scan(simd, blocks, &Any::<false>(query)),
        }
    }
}

impl ScanOne<'_> {
    #[inline(always)]
    fn scan<S: Simd>(self, simd: S, blocks: usize, products: &impl Products) {
        let Self { rows, runs, terms, found, .. } = self;
        // Not by array::map, here and below: without the features of the level, it would be a call.
        let (base, product) = (simd.splat_f32(terms.base), simd.splat_f32(terms.product));
        let (offset, limit) = (simd.splat_f32(terms.offset), simd.splat_f32(terms.limit));
        for (index, run) in runs.iter().enumerate() {
            let next =
                runs.get(index + 1).map(|next| rows.codes[next.start * blocks..next.end * blocks].as_bytes());
            let ahead = next.unwrap_or(rows.ahead);
            let mut ahead = ahead.chunks(ahead.len().div_ceil(run.len().div_ceil(LANES).max(1)).max(1));
            for first in run.clone().step_by(LANES) {
                ahead.next().unwrap_or_default().iter().step_by(64).for_each(|line| simd.prefetch(line));
                // The last eight reach back.
                let start = first.min(rows.count - LANES);
                let t = simd.to_f32(products.of_eight(simd, &rows.codes[start * blocks..][..LANES * blocks]));
                let scaled = simd.mul_f32(product, simd.mul_f32(eight(simd, rows.scale, start), t));
                let linear = simd.add_f32(scaled, simd.mul_f32(offset, eight(simd, rows.low, start)));
                let estimate = simd.add_f32(simd.add_f32(base, eight(simd, rows.constant, start)), linear);
                let wanted = (1u32 << (run.end - start).min(LANES)) - (1 << (first - start));
                let mut survivors = !simd.positive_f32(simd.sub_f32(estimate, limit)) & wanted;
                if survivors != 0 {
                    let mut estimates = [0.0; LANES];
                    simd.store_f32(estimate, &mut estimates);
                    while survivors != 0 {
                        let lane = survivors.trailing_zeros() as usize;
                        found.push(Found { row: (start + lane) as u32, estimate: estimates[lane] });
                        survivors &= survivors - 1;
                    }
                }
            }
        }
    }
}

/// The terms of eight rows from `first` on.
#[inline(always)]
fn eight<S: Simd>(simd: S, stored: &[u8], first: usize) -> S::F32 {
    simd.widen_f32(stored[4 * first..].first_chunk().unwrap_or(&[0; 32]))
}

/// Fewer than eight rows, and zeros in place of those that are missing.
struct Padded {
    codes: Vec<Block32>,
    terms: [[u8; 4 * LANES]; 3],
}

impl Padded {
    #[cold]
    fn new(rows: &RowSide<'_>, blocks: usize) -> Self {
        let mut codes = rows.codes[..rows.count * blocks].to_vec();
        codes.resize(LANES * blocks, Block32::ZERO);
        let mut terms = [[0; 4 * LANES]; 3];
        for (padded, stored) in terms.iter_mut().zip([rows.scale, rows.low, rows.constant]) {
            padded[..4 * rows.count].copy_from_slice(&stored[..4 * rows.count]);
        }
        Self { codes, terms }
    }

    fn rows<'a>(&'a self, rows: &RowSide<'a>) -> RowSide<'a> {
        let [scale, low, constant] = &self.terms;
        RowSide { codes: &self.codes, count: LANES, scale, low, constant, ..*rows }
    }
}

/// How rows are multiplied with a query.
trait Products {
    /// Σ of the products of codes, of each of eight rows side by side.
    fn of_eight<S: Simd>(&self, simd: S, rows: &[Block32]) -> S::I32;
}

/// The blocks of a query against rows of `BLOCKS` blocks, at most [`MOST_KNOWN`]: so few that i16 lanes hold all of a row.
struct Known<'a, const PACKED: bool, const BLOCKS: usize>(&'a [Block32; 2 * MOST_KNOWN]);

impl<const PACKED: bool, const BLOCKS: usize> Products for Known<'_, PACKED, BLOCKS> {
    #[inline(always)]
    fn of_eight<S: Simd>(&self, simd: S, rows: &[Block32]) -> S::I32 {
        let mut sums = [simd.zero_i32(); LANES];
        for (sum, row) in sums.iter_mut().zip(rows.as_chunks::<BLOCKS>().0) {
            let mut lanes = simd.zero_i16();
            for (at, block) in row.iter().enumerate() {
                let block = simd.load_bytes(block);
                if PACKED {
                    let (low, high) = simd.nibbles(block);
                    (*sum, lanes) = add(simd, (*sum, lanes), low, simd.load_bytes(&self.0[2 * at]));
                    (*sum, lanes) = add(simd, (*sum, lanes), high, simd.load_bytes(&self.0[2 * at + 1]));
                } else {
                    (*sum, lanes) = add(simd, (*sum, lanes), block, simd.load_bytes(&self.0[at]));
                }
            }
            if !S::QUADS {
                *sum = simd.pair_sum_i16(lanes);
            }
        }
        simd.sums_i32(sums)
    }
}

/// The blocks of a query, as many as a row has.
struct Any<'a, const PACKED: bool>(&'a [Block32]);

impl<const PACKED: bool> Products for Any<'_, PACKED> {
    #[inline(always)]
    fn of_eight<S: Simd>(&self, simd: S, rows: &[Block32]) -> S::I32 {
        let (fours, blocks) = (rows.len() / 2, rows.len() / LANES);
        let [a, b, c, d] = self.of_four(simd, &rows[..fours], blocks);
        let [e, f, g, h] = self.of_four(simd, &rows[fours..], blocks);
        simd.sums_i32([a, b, c, d, e, f, g, h])
    }
}

impl<const PACKED: bool> Any<'_, PACKED> {
    /// Σ of the products of codes, of four rows, in eight parts each: they share the loads of the query.
    #[inline(always)]
    fn of_four<S: Simd>(&self, simd: S, rows: &[Block32], blocks: usize) -> [S::I32; 4] {
        let mut sums = [simd.zero_i32(); 4];
        let (together, each) = if PACKED { (PACKED_BLOCKS, 2) } else { (SCAN_BLOCKS, 1) };
        let (a, rows) = rows.split_at(blocks);
        let (b, rows) = rows.split_at(blocks);
        let (c, d) = rows.split_at(blocks);
        let rows = a.chunks(together).zip(b.chunks(together)).zip(c.chunks(together).zip(d.chunks(together)));
        for (((a, b), (c, d)), queries) in rows.zip(self.0.chunks(together * each)) {
            let mut lanes = [simd.zero_i16(); 4];
            let rows = a.iter().zip(b).zip(c.iter().zip(d));
            for (((a, b), (c, d)), queries) in rows.zip(queries.chunks(each)) {
                let lower = simd.load_bytes(&queries[0]);
                let upper = simd.load_bytes(queries.get(1).unwrap_or(&Block32::ZERO));
                for (block, (sum, lanes)) in [a, b, c, d].into_iter().zip(sums.iter_mut().zip(&mut lanes)) {
                    let block = simd.load_bytes(block);
                    if PACKED {
                        let (low, high) = simd.nibbles(block);
                        (*sum, *lanes) = add(simd, (*sum, *lanes), low, lower);
                        (*sum, *lanes) = add(simd, (*sum, *lanes), high, upper);
                    } else {
                        (*sum, *lanes) = add(simd, (*sum, *lanes), block, lower);
                    }
                }
            }
            if !S::QUADS {
                for (sum, lanes) in sums.iter_mut().zip(lanes) {
                    *sum = simd.add_i32(*sum, simd.pair_sum_i16(lanes));
                }
            }
        }
        sums
    }
}

/// The sum in i32 lanes, or that in i16 lanes, whichever a level is faster with, and the products of a block.
#[inline(always)]
fn add<S: Simd>(
    simd: S,
    (sum, lanes): (S::I32, S::I16),
    codes: S::Bytes,
    query: S::Bytes,
) -> (S::I32, S::I16) {
    if S::QUADS {
        (simd.dot_quads(sum, codes, query), lanes)
    } else {
        (sum, simd.add_i16(lanes, simd.dot_u7_i8(codes, query)))
    }
}
