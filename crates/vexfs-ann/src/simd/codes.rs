//! Coding a row: each element as one of up to 128 steps between the row's smallest and largest.
//!
//! A coded row stands for x̂ᵢ = scale · uᵢ + offset with uᵢ in 0 ..= [`CodeRows::most`]; what coding loses is measured, not
//! estimated: [`RowCode::residual`] is |x − x̂|².

use std::marker::PhantomData;

use super::element::{Element, Tail};
use super::level::Job;
use super::vector::{Block32, Simd};

/// Largest code of a row.
///
/// The tile adds products of row and query codes in i16; the smaller this is, the larger query codes may be (see
/// [`QUERY_LANE`]). In a structureless 768-dimensional normal distribution 63 lets 1.7 % of all pairs survive, 95 and 127
/// 1.0 %; on Fashion-MNIST 127 lets a third more survive than 63 and 95.
pub(crate) const CODE_MAX: u8 = 95;

/// Largest sum of positive query codes, and of negative ones, that meet in one i16 lane of the tile between two
/// widenings: every partial sum of products then lies within ± [`CODE_MAX`] · `QUERY_LANE` and fits.
pub(crate) const QUERY_LANE: i32 = i16::MAX as i32 / CODE_MAX as i32;

/// Elements after which the tile widens its i16 lanes: one [`Block32`] of row codes.
pub(crate) const LANE_SPAN: usize = 32;

/// What a row became besides its codes. Any field may be NaN or infinite if the row has such elements or their range
/// exceeds an f32.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowCode {
    /// Distance between two steps.
    pub(crate) scale: f32,
    /// Value of code 0: the smallest element.
    pub(crate) offset: f32,
    /// Σ uᵢ.
    pub(crate) sum: i64,
    /// Σ uᵢ².
    pub(crate) squares: i64,
    /// |x − x̂|², within [`gamma`](super::float::gamma), for x̂ as rounded to f32.
    pub(crate) residual: f32,
    /// |x|², within [`gamma`](super::float::gamma).
    pub(crate) norm: f32,
    /// Largest |xᵢ|.
    pub(crate) largest: f32,
}

/// Codes consecutive rows.
pub(crate) struct CodeRows<'a, E> {
    /// The rows, packed.
    pub(crate) rows: &'a [u8],
    /// Elements of a row.
    pub(crate) dim: usize,
    /// Largest code, at most 127: that of a row's largest element.
    pub(crate) most: u8,
    /// Type of the elements.
    pub(crate) element: PhantomData<E>,
    /// Codes, ⌈d / 32⌉ blocks to a row, zero beyond d.
    pub(crate) codes: &'a mut Vec<Block32>,
    /// One entry per row.
    pub(crate) coded: &'a mut Vec<RowCode>,
    /// Room for one row; its content is of no interest.
    pub(crate) wide: &'a mut Vec<f32>,
}

impl<E: Element> Job for CodeRows<'_, E> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let row_bytes = self.dim * E::BYTES;
        let blocks = self.dim.div_ceil(LANE_SPAN);
        let count = self.rows.len() / row_bytes;
        self.wide.resize(blocks * LANE_SPAN, 0.0);
        self.codes.resize(count * blocks, Block32::ZERO);
        self.coded.clear();
        let tail = Tail::new(row_bytes, 8 * E::BYTES);
        for (row, codes) in (0..count).zip(self.codes.chunks_exact_mut(blocks)) {
            widen::<S, E>(simd, &self.rows[row * row_bytes..], row_bytes, tail, self.wide);
            self.coded.push(code(simd, self.wide, self.dim, f32::from(self.most), codes));
        }
    }
}

/// Widens the row at the start of `bytes` into `wide`, and fills with zeros what follows within `wide`.
#[inline(always)]
pub(crate) fn widen<S: Simd, E: Element>(
    simd: S,
    bytes: &[u8],
    row_bytes: usize,
    tail: Option<Tail>,
    wide: &mut [f32],
) {
    let (eights, _) = wide.as_chunks_mut::<8>();
    let mut eights = eights.iter_mut();
    let steps = bytes[..row_bytes].chunks_exact(8 * E::BYTES);
    for (block, eight) in steps.zip(&mut eights) {
        simd.store_f32(E::widen(simd, block), eight);
    }
    if let Some(tail) = tail
        && let Some(eight) = eights.next()
    {
        simd.store_f32(E::widen(simd, &tail.window(bytes)), eight);
    }
    for eight in eights {
        *eight = [0.0; 8];
    }
}

/// Codes the first `dim` elements of `wide`, which zeros follow.
#[inline(always)]
fn code<S: Simd>(simd: S, wide: &mut [f32], dim: usize, most: f32, codes: &mut [Block32]) -> RowCode {
    let (low, high, norm) = extent(simd, wide, dim);
    let (scale, steps) = if high > low { ((high - low) / most, most / (high - low)) } else { (0.0, 0.0) };
    // The padding takes code 0 and adds nothing to the residual.
    wide[dim..].fill(low);

    let (lows, scales, steps) = (simd.splat_f32(low), simd.splat_f32(scale), simd.splat_f32(steps));
    let mut residuals = [simd.splat_f32(0.0); 4];
    let (mut sums, mut squares) = (simd.zero_i32(), simd.zero_i32());
    let ones = simd.splat_bytes([1; 4]);
    for (block, wide) in codes.iter_mut().zip(wide.as_chunks::<LANE_SPAN>().0) {
        let (eights, _) = wide.as_chunks::<8>();
        let mut rounded = [simd.zero_i32(); 4];
        for ((rounded, eight), residual) in rounded.iter_mut().zip(eights).zip(&mut residuals) {
            let value = simd.load_f32(eight);
            *rounded = simd.round_f32(simd.mul_f32(simd.sub_f32(value, lows), steps));
            let coded = simd.mul_add_f32(simd.to_f32(*rounded), scales, lows);
            let lost = simd.sub_f32(value, coded);
            *residual = simd.mul_add_f32(lost, lost, *residual);
        }
        let bytes = simd.narrow_u7(rounded);
        simd.store_bytes(bytes, block);
        sums = simd.dot_quads(sums, bytes, ones);
        squares = simd.dot_quads(squares, bytes, bytes);
    }
    let [a, b, c, d] = residuals;
    RowCode {
        scale,
        offset: low,
        sum: simd.sum_i32(sums),
        squares: simd.sum_i32(squares),
        residual: simd.sum_f32(simd.add_f32(simd.add_f32(a, b), simd.add_f32(c, d))),
        norm,
        largest: high.abs().max(low.abs()),
    }
}

/// Smallest and largest of the first `dim` elements of `wide`, and their squared norm.
#[inline(always)]
fn extent<S: Simd>(simd: S, wide: &[f32], dim: usize) -> (f32, f32, f32) {
    let (eights, _) = wide.as_chunks::<8>();
    let mut norms = [simd.splat_f32(0.0); 4];
    for four in eights.as_chunks::<4>().0 {
        for (norm, eight) in norms.iter_mut().zip(four) {
            let value = simd.load_f32(eight);
            *norm = simd.mul_add_f32(value, value, *norm);
        }
    }
    let [a, b, c, d] = norms;
    let norm = simd.sum_f32(simd.add_f32(simd.add_f32(a, b), simd.add_f32(c, d)));

    let (eights, rest) = wide[..dim].as_chunks::<8>();
    let (mut lows, mut highs) = (simd.splat_f32(wide[0]), simd.splat_f32(wide[0]));
    for eight in eights {
        let value = simd.load_f32(eight);
        (lows, highs) = (simd.min_f32(lows, value), simd.max_f32(highs, value));
    }
    let (mut low, mut high) = ([0.0; 8], [0.0; 8]);
    simd.store_f32(lows, &mut low);
    simd.store_f32(highs, &mut high);
    let low = low.iter().chain(rest).copied().fold(f32::INFINITY, f32::min);
    let high = high.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max);
    (low, high, norm)
}
