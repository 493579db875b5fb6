//! AVX-512 BF16 of x86-64: the tile of parts in vectors of sixteen queries.
//!
//! Two elements of a row are broadcast, multiplied with two elements of each query, and added to f32 lanes by one instruction,
//! VDPBF16PS: half as many instructions as of f32, or a quarter where those have differences to square.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::avx512::{Avx512, judge_sums};
use super::part_tile::{PAIRS, PIECE, PartTile, Piece, SPAN};

/// Rows that share the loads of a panel, as in the other tiles of AVX-512.
const ROWS: usize = 10;

/// Proof that the machine has AVX-512 BF16, and [`Avx512`]: [`Avx512Bf16::new`] is the only way to get one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx512Bf16(Avx512);

impl Avx512Bf16 {
    /// The proof, where there is one.
    pub(crate) fn new() -> Option<Self> {
        Avx512::new().filter(|_| is_x86_feature_detected!("avx512bf16")).map(Self)
    }

    /// The lesser proof.
    pub(crate) fn avx512(self) -> Avx512 {
        self.0
    }

    /// Finds the pairs that survive.
    pub(crate) fn part_tile(self, mut tile: PartTile<'_>) {
        // SAFETY: `self` proves that the machine has the features enabled there.
        unsafe { survivors(&mut tile) }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16")]
fn survivors(tile: &mut PartTile<'_>) {
    let (pieces, count) = (tile.rows.pieces, tile.rows.heads.len());
    for first in (0..count).step_by(ROWS) {
        let mut sums = [_mm512_setzero_ps(); ROWS];
        for (rows, queries) in tile.products() {
            // The last group repeats the last row in place of the missing ones.
            let row = |i: usize| (first + i).min(count - 1);
            let rows = std::array::from_fn(|i| &rows[row(i) * pieces..][..pieces]);
            add_products(rows, queries, &mut sums);
        }
        for (i, &sum) in sums.iter().enumerate().take(count - first) {
            judge_sums(tile, first + i, sum);
        }
    }
}

/// Adds to `sums` the products of ten rows with each query of a panel.
///
/// # Shape
/// `rows`: p pieces each; `queries`: p · [`PAIRS`] or more.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16")]
fn add_products(rows: [&[Piece]; ROWS], queries: &[Piece], sums: &mut [__m512; ROWS]) {
    let pieces = rows[0].len();
    for start in (0..pieces).step_by(SPAN / PIECE) {
        let end = pieces.min(start + SPAN / PIECE);
        let rows = rows.map(|row| &row[start..end]);
        let mut span = [_mm512_setzero_ps(); ROWS];
        for (piece, queries) in (0..end - start).zip(queries[start * PAIRS..].as_chunks::<PAIRS>().0) {
            for (pair, queries) in queries.iter().enumerate() {
                let queries = load(queries);
                for (sum, row) in span.iter_mut().zip(rows) {
                    *sum = _mm512_dpbf16_ps(*sum, queries, broadcast(row[piece].0[pair]));
                }
            }
        }
        for (sum, span) in sums.iter_mut().zip(span) {
            *sum = _mm512_add_ps(*sum, span);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16")]
fn load(from: &Piece) -> __m512bh {
    // SAFETY: a load of exactly the piece's 64 bytes, which are aligned to as many.
    unsafe { std::ptr::from_ref(from).cast::<__m512bh>().read() }
}

/// Two elements sixteen times over.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16")]
fn broadcast([even, odd]: [u16; 2]) -> __m512bh {
    let lanes = _mm512_set1_epi32((u32::from(odd) << 16 | u32::from(even)) as i32);
    // SAFETY: both types are 64 bytes of which any values are valid.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(lanes) }
}
