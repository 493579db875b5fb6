//! One query against coded rows side by side, eight at a time; see [`scan`](super::scan).

use std::ops::Range;

use zerocopy::IntoBytes;

use super::codes::LANE_SPAN;
use super::level::Job;
use super::scan::{Found, QuerySide, RowSide};
use super::vector::{Block32, Simd};

/// Blocks of codes after which i16 lanes are widened.
pub(crate) const SCAN_BLOCKS: usize = 4;

/// The same for codes of four bits, packed by two: six times as many products of 15 in place of [`CODE_MAX`](super::codes::CODE_MAX) fit a
/// lane.
const PACKED_BLOCKS: usize = 3 * SCAN_BLOCKS;

/// Most packed blocks of which two lanes fit an i16 together: they have sixteen products of at most 15 · 127.
const PAIRED_BLOCKS: usize = 2;

/// Rows that are estimated together.
const LANES: usize = 8;

/// A bit for each of them.
const ALL: u32 = (1 << LANES) - 1;

/// Bytes that memory brings at a time.
const LINE: usize = 64;

/// Bytes of a row besides its codes: three terms and a number.
const ROW_TERMS: usize = 16;

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
        let scan = ScanOne { rows, runs, query, terms, found };
        // All packed blocks have two of the query; the last may be zero.
        let mut whole = [Block32::ZERO; 2 * MOST_KNOWN];
        let query = match whole.get_mut(..query.len()) {
            Some(begin) if rows.is_packed && !query.len().is_multiple_of(2) => {
                begin.copy_from_slice(query);
                &whole
            }
            _ => query,
        };
        // A loop over few blocks would take as long as what is done with them.
        match (rows.is_packed, blocks) {
            (true, 1) => scan.scan(simd, 1, &Known::<true, 1>(query)),
            (true, 2) => scan.scan(simd, 2, &Known::<true, 2>(query)),
            (true, 3) => scan.scan(simd, 3, &Known::<true, 3>(query)),
            (true, 4) => scan.scan(simd, 4, &Known::<true, 4>(query)),
            (true, _) => scan.scan(simd, blocks, &Any::<true>(query)),
            (false, 1) => scan.scan(simd, 1, &Known::<false, 1>(query)),
            (false, 2) => scan.scan(simd, 2, &Known::<false, 2>(query)),
            (false, 3) => scan.scan(simd, 3, &Known::<false, 3>(query)),
            (false, 4) => scan.scan(simd, 4, &Known::<false, 4>(query)),
            (false, _) => scan.scan(simd, blocks, &Any::<false>(query)),
        }
    }
}

impl ScanOne<'_> {
    #[inline(always)]
    fn scan<S: Simd>(self, simd: S, blocks: usize, products: &impl Products) {
        let Self { rows, runs, terms, found, .. } = self;
        let side = Side::new(simd, &terms);
        for (index, run) in runs.iter().enumerate() {
            let next =
                runs.get(index + 1).map(|next| rows.codes[next.start * blocks..next.end * blocks].as_bytes());
            let (mut ahead, mut first) = (next.unwrap_or(rows.ahead), run.start);
            for rows in Eight::all(&rows, run, blocks) {
                // As much as these eight take; the number being known, it is no loop.
                if let Some((some, rest)) = ahead.split_at_checked(LANES * (LANE_SPAN * blocks + ROW_TERMS)) {
                    ask(simd, some);
                    ahead = rest;
                }
                rows.meet(simd, products, &side, (first, ALL), found);
                first += LANES;
            }
            ask(simd, ahead);
            if first < run.end {
                // The last eight begin before them, or end behind the run.
                let start = first.min(rows.count - LANES);
                let wanted = (1 << (run.end - start)) - (1 << (first - start));
                for rows in Eight::all(&rows, &(start..start + LANES), blocks) {
                    rows.meet(simd, products, &side, (start, wanted), found);
                }
            }
        }
    }
}

/// Asks memory for bytes.
#[inline(always)]
fn ask<S: Simd>(simd: S, bytes: &[u8]) {
    bytes.iter().step_by(LINE).for_each(|line| simd.prefetch(line));
}

/// [`QuerySide`], for eight rows.
struct Side<S: Simd> {
    base: S::F32,
    product: S::F32,
    offset: S::F32,
    limit: S::F32,
}

impl<S: Simd> Side<S> {
    #[inline(always)]
    fn new(simd: S, terms: &QuerySide) -> Self {
        // Not by array::map, here and below: without the features of the level, it would be a call.
        Self {
            base: simd.splat_f32(terms.base),
            product: simd.splat_f32(terms.product),
            offset: simd.splat_f32(terms.offset),
            limit: simd.splat_f32(terms.limit),
        }
    }
}

/// Eight rows side by side.
struct Eight<'a> {
    codes: &'a [Block32],
    scale: &'a [u8; 4 * LANES],
    low: &'a [u8; 4 * LANES],
    constant: &'a [u8; 4 * LANES],
}

impl<'a> Eight<'a> {
    /// Those of `run`, but the last if they are fewer.
    #[inline(always)]
    fn all(rows: &RowSide<'a>, run: &Range<usize>, blocks: usize) -> impl Iterator<Item = Self> {
        let term = |stored: &'a [u8]| stored[4 * run.start..].as_chunks().0.iter();
        let codes = rows.codes[run.start * blocks..run.end * blocks].chunks_exact(LANES * blocks);
        let terms = term(rows.scale).zip(term(rows.low)).zip(term(rows.constant));
        codes.zip(terms).map(|(codes, ((scale, low), constant))| Self { codes, scale, low, constant })
    }

    /// Appends to `found` those of the rows, numbered from `first` on, whose bit is set in `wanted` and that are near enough.
    #[inline(always)]
    fn meet<S: Simd>(
        &self,
        simd: S,
        products: &impl Products,
        side: &Side<S>,
        (first, wanted): (usize, u32),
        found: &mut Vec<Found>,
    ) {
        let t = simd.to_f32(products.of_eight(simd, self.codes));
        let scaled = simd.mul_f32(side.product, simd.mul_f32(simd.widen_f32(self.scale), t));
        let linear = simd.add_f32(scaled, simd.mul_f32(side.offset, simd.widen_f32(self.low)));
        let estimate = simd.add_f32(simd.add_f32(side.base, simd.widen_f32(self.constant)), linear);
        let mut survivors = !simd.positive_f32(simd.sub_f32(estimate, side.limit)) & wanted;
        if survivors != 0 {
            let mut estimates = [0.0; LANES];
            simd.store_f32(estimate, &mut estimates);
            while survivors != 0 {
                let lane = survivors.trailing_zeros() as usize;
                found.push(Found { row: (first + lane) as u32, estimate: estimates[lane] });
                survivors &= survivors - 1;
            }
        }
    }
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

/// The blocks of a query, at least as many as rows of `BLOCKS` blocks meet, at most [`MOST_KNOWN`]: so few that i16 lanes hold all of a row.
struct Known<'a, const PACKED: bool, const BLOCKS: usize>(&'a [Block32]);

impl<const PACKED: bool, const BLOCKS: usize> Products for Known<'_, PACKED, BLOCKS> {
    #[inline(always)]
    fn of_eight<S: Simd>(&self, simd: S, rows: &[Block32]) -> S::I32 {
        let query = &self.0[..if PACKED { 2 * BLOCKS } else { BLOCKS }];
        let (mut sums, mut lanes) = ([simd.zero_i32(); LANES], [simd.zero_i16(); LANES]);
        for ((sum, lanes), row) in sums.iter_mut().zip(&mut lanes).zip(rows.as_chunks::<BLOCKS>().0) {
            for (at, block) in row.iter().enumerate() {
                let block = simd.load_bytes(block);
                if PACKED {
                    let (low, high) = simd.nibbles(block);
                    (*sum, *lanes) = add(simd, (*sum, *lanes), low, simd.load_bytes(&query[2 * at]));
                    (*sum, *lanes) = add(simd, (*sum, *lanes), high, simd.load_bytes(&query[2 * at + 1]));
                } else {
                    (*sum, *lanes) = add(simd, (*sum, *lanes), block, simd.load_bytes(&query[at]));
                }
            }
        }
        if S::QUADS {
            return simd.sums_i32(sums);
        }
        if PACKED && BLOCKS <= PAIRED_BLOCKS {
            return simd.sums_i16(lanes);
        }
        for (sum, lanes) in sums.iter_mut().zip(lanes) {
            *sum = simd.pair_sum_i16(lanes);
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
