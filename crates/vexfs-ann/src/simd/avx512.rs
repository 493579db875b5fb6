//! AVX-512 with VNNI of x86-64: the tiles in vectors of sixteen queries.
//!
//! Four codes of a row are broadcast, multiplied with four codes of each query, and added to i32 lanes by one instruction
//! (VPDPBUSD, which does not saturate): no limit on codes other than their being bytes.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::avx2::Avx2;
use super::float_tile::{FloatTile, Near, SPAN, STEP, Term, keep};
use super::part_tile::PartTile;
use super::tile::{PANEL, QUADS, QueryTerms, RowTerms, Tile};
use super::vector::Block32;

/// Rows that share the loads of a panel: enough sums in flight to hide the latency of an addition, and no more pointers
/// than there are registers.
const ROWS: usize = 10;

/// Proof that the machine has AVX-512 F, BW, VL and VNNI, and [`Avx2`]: [`Avx512::new`] is the only way to get one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx512(Avx2);

impl Avx512 {
    /// The proof, where there is one.
    pub(crate) fn new() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        Avx2::new().filter(|_| has_all).map(Self)
    }

    /// The lesser proof.
    pub(crate) fn avx2(self) -> Avx2 {
        self.0
    }

    /// Finds the pairs that survive.
    pub(crate) fn tile(self, mut tile: Tile<'_>) {
        if tile.panel.is_half() {
            return self.0.run(tile);
        }
        // SAFETY: `self` proves that the machine has the features enabled there.
        unsafe { survivors(&mut tile, 0) }
    }

    /// Finds the pairs of numbers that survive.
    pub(crate) fn float_tile(self, mut tile: FloatTile<'_>) {
        if tile.panel.is_half() {
            return self.0.run(tile);
        }
        // SAFETY: `self` proves that the machine has the features enabled there.
        unsafe {
            match tile.term {
                Term::Square => float_survivors::<true>(&mut tile),
                Term::Product => float_survivors::<false>(&mut tile),
            }
        }
    }

    /// Finds the pairs that survive among the rows from `first` on whose sums of products are given.
    #[cfg(target_os = "linux")]
    pub(super) fn judge_parts(self, tile: &mut PartTile<'_>, first: usize, sums: &[[f32; PANEL]]) {
        // SAFETY: `self` proves that the machine has the features enabled there.
        unsafe { judge_parts(tile, first, sums) }
    }

    /// Finds the pairs that survive among the rows from `first` on, of a panel that is not half.
    pub(super) fn rows_from(self, tile: &mut Tile<'_>, first: usize) {
        // SAFETY: `self` proves that the machine has the features enabled there.
        unsafe { survivors(tile, first) }
    }

    /// Finds the pairs that survive among the rows from `first` on whose products are given, of a panel that is not half.
    pub(super) fn judge(self, tile: &mut Tile<'_>, first: usize, products: &[[i32; PANEL]]) {
        // SAFETY: `self` proves that the machine has the features enabled there.
        unsafe { judge(tile, first, products) }
    }
}

/// The terms of sixteen queries.
#[derive(Clone, Copy)]
struct Terms {
    constant: __m512,
    product: __m512,
    offset: __m512,
    sum: __m512,
    radius: __m512,
    size: __m512,
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn load_f32(from: &[f32; PANEL]) -> __m512 {
    // SAFETY: the unaligned form of the load, of exactly the array's 64 bytes.
    unsafe { _mm512_loadu_ps(from.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn load_i32(from: &[i32; PANEL]) -> __m512i {
    // SAFETY: the unaligned form of the load, of exactly the array's 64 bytes.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn load_quads(from: &[Block32; 2]) -> __m512i {
    // SAFETY: the unaligned form of the load, of exactly the two blocks' 64 bytes.
    unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
}

impl Terms {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn load(from: &QueryTerms) -> Self {
        Self {
            constant: load_f32(&from.constant),
            product: load_f32(&from.product),
            offset: load_f32(&from.offset),
            sum: load_f32(&from.sum),
            radius: load_f32(&from.radius),
            size: load_f32(&from.size),
        }
    }

    /// The queries, a bit each, for which the bound does not rule a row out; see [`QueryTerms`].
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
    fn survive(&self, row: &RowTerms, products: __m512i) -> u32 {
        let sum = _mm512_fmadd_ps(self.size, _mm512_set1_ps(row.size), self.constant);
        let sum = _mm512_fmadd_ps(self.radius, _mm512_set1_ps(row.radius), sum);
        let sum = _mm512_fmadd_ps(self.sum, _mm512_set1_ps(row.sum), sum);
        let sum = _mm512_fmadd_ps(self.offset, _mm512_set1_ps(row.offset), sum);
        let scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(products), _mm512_set1_ps(row.scale));
        let bound = _mm512_fmadd_ps(self.product, scaled, sum);
        // "Not greater" is also true of NaN.
        u32::from(_mm512_cmp_ps_mask::<_CMP_NGT_UQ>(bound, _mm512_setzero_ps()))
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn survivors(tile: &mut Tile<'_>, mut first: usize) {
    let terms = Terms::load(tile.queries);
    let (panel, live) = (tile.panel, tile.panel.live_mask());
    let quads = panel.quads();
    let (codes, count) = (tile.codes, tile.rows.len());
    let blocks = codes.len() / count.max(1);
    while first < count {
        // The last group repeats the last row in place of the missing ones.
        let row = |i: usize| (first + i).min(count - 1);
        let products = multiply(std::array::from_fn(|i| &codes[row(i) * blocks..][..blocks]), quads);
        for (i, &products) in products.iter().enumerate().take(count - first) {
            let survive = live & terms.survive(&tile.rows[first + i], products);
            if survive != 0 {
                tile.keep(first + i, &to_array(products), survive);
            }
        }
        first += ROWS;
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn judge(tile: &mut Tile<'_>, first: usize, products: &[[i32; PANEL]]) {
    let terms = Terms::load(tile.queries);
    let live = tile.panel.live_mask();
    for (row, products) in (first..).zip(products) {
        let survive = live & terms.survive(&tile.rows[row], load_i32(products));
        if survive != 0 {
            tile.keep(row, products, survive);
        }
    }
}

/// Σ of the products of codes, of ten rows with each query of a panel.
///
/// # Shape
/// `rows`: b blocks each; `quads`: b · [`QUADS`] or more.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn multiply(rows: [&[Block32]; ROWS], quads: &[[Block32; 2]]) -> [__m512i; ROWS] {
    let mut sums = [_mm512_setzero_si512(); ROWS];
    let blocks = rows[0].len();
    let rows = rows.map(|row| &row[..blocks]);
    for (block, quads) in (0..blocks).zip(quads.as_chunks::<QUADS>().0) {
        for (quad, queries) in quads.iter().enumerate() {
            let queries = load_quads(queries);
            for (sum, row) in sums.iter_mut().zip(rows) {
                let code = i32::from_le_bytes(row[block].0.as_chunks::<4>().0[quad]);
                *sum = _mm512_dpbusd_epi32(*sum, _mm512_set1_epi32(code), queries);
            }
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn to_array(products: __m512i) -> [i32; PANEL] {
    let mut array = [0; PANEL];
    // SAFETY: the unaligned form of the store, of exactly the array's 64 bytes.
    unsafe { _mm512_storeu_si512(array.as_mut_ptr().cast(), products) };
    array
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn load_sixteen(from: &[Block32; 2]) -> __m512 {
    // SAFETY: the unaligned form of the load, of exactly the two blocks' 64 bytes.
    unsafe { _mm512_loadu_ps(from.as_ptr().cast()) }
}

/// The tile of numbers, of a panel that is not half.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn float_survivors<const SQUARES: bool>(tile: &mut FloatTile<'_>) {
    let (limits, heads) = (load_f32(tile.limits), load_f32(tile.panel.heads()));
    let (panel, rows) = (tile.panel, tile.rows);
    let (steps, count) = (rows.steps(), rows.heads.len());
    for first in (0..count).step_by(ROWS) {
        // The last group repeats the last row in place of the missing ones.
        let row = |i: usize| (first + i).min(count - 1);
        let mut sums = [_mm512_setzero_ps(); ROWS];
        for (i, sum) in sums.iter_mut().enumerate() {
            *sum = _mm512_mul_ps(_mm512_set1_ps(rows.heads[row(i)]), heads);
        }
        let values = std::array::from_fn(|i| &rows.values[row(i) * steps..][..steps]);
        add_up::<SQUARES>(values, panel.pairs(), &mut sums);
        for (i, &sum) in sums.iter().enumerate().take(count - first) {
            keep_within(tile.survivors, first + i, sum, limits, panel.live_mask());
        }
    }
}

/// Notes for which of the `live` queries a row survives.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn keep_within(survivors: &mut [Vec<Near>; PANEL], row: usize, sum: __m512, limits: __m512, live: u32) {
    // "Not greater" is also true of NaN.
    let survive = live & u32::from(_mm512_cmp_ps_mask::<_CMP_NGT_UQ>(sum, limits));
    if survive != 0 {
        let mut array = [0.0; PANEL];
        // SAFETY: the unaligned form of the store, of exactly the array's 64 bytes.
        unsafe { _mm512_storeu_ps(array.as_mut_ptr(), sum) };
        keep(survivors, row, &array, survive);
    }
}

/// Notes for which queries a row survives whose sums of products are given.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
pub(super) fn judge_sums(tile: &mut PartTile<'_>, row: usize, sums: __m512) {
    let scaled = _mm512_mul_ps(sums, _mm512_set1_ps(tile.rows.scales[row]));
    let head = _mm512_set1_ps(tile.rows.heads[row]);
    let sums = _mm512_fmadd_ps(head, load_f32(tile.panel.heads()), scaled);
    keep_within(tile.survivors, row, sums, load_f32(tile.limits), tile.panel.live_mask());
}

#[cfg(target_os = "linux")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn judge_parts(tile: &mut PartTile<'_>, first: usize, sums: &[[f32; PANEL]]) {
    for (row, sums) in (first..).zip(sums) {
        judge_sums(tile, row, load_f32(sums));
    }
}

/// Adds to `sums` the terms of ten rows with each query of a panel, as the portable tile does.
///
/// # Shape
/// `rows`: s steps each; `panel`: s · [`STEP`] elements or more.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
fn add_up<const SQUARES: bool>(
    rows: [&[[f32; STEP]]; ROWS],
    panel: &[[Block32; 2]],
    sums: &mut [__m512; ROWS],
) {
    let steps = rows[0].len();
    for start in (0..steps).step_by(SPAN / STEP) {
        let end = steps.min(start + SPAN / STEP);
        let rows = rows.map(|row| &row[start..end]);
        let mut span = [_mm512_setzero_ps(); ROWS];
        for (step, panel) in (0..end - start).zip(panel[start * STEP..].as_chunks::<STEP>().0) {
            for (element, queries) in panel.iter().enumerate() {
                let queries = load_sixteen(queries);
                for (sum, row) in span.iter_mut().zip(rows) {
                    let value = _mm512_set1_ps(row[step][element]);
                    *sum = if SQUARES {
                        let difference = _mm512_sub_ps(queries, value);
                        _mm512_fmadd_ps(difference, difference, *sum)
                    } else {
                        _mm512_fmadd_ps(queries, value, *sum)
                    };
                }
            }
        }
        for (sum, span) in sums.iter_mut().zip(span) {
            *sum = _mm512_add_ps(*sum, span);
        }
    }
}
