//! One query against one row, in f32.
//!
//! # Error
//! Four vectors of eight lanes accumulate; each product or squared difference is rounded at most twice on the way
//! (the difference counts twice when squared), then passes through at most ⌈d / 32⌉ + 1 additions in its lane and 5
//! additions that fold the lanes. Every computed sum is therefore Σ tᵢ (1 + θᵢ) with |θᵢ| ≤ γ(⌈d / 32⌉ + 9), where
//! γ(m) = m u / (1 − m u) and u = 2⁻²⁴ (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1
//! and section 3.1), as long as nothing overflows; an underflowing product adds at most 2⁻¹⁴⁹. With fused operations
//! there are fewer roundings, never more. [`gamma`] allows ⌈d / 32⌉ + 16.

use super::element::{Element, Tail};
use super::vector::Simd;

/// Queries are padded with zeros to a multiple of this many elements.
pub(crate) const PAD: usize = 32;

/// Bound on the relative error of one term of a sum over `dim` elements; see the module's description.
pub(crate) fn gamma(dim: usize) -> f64 {
    let rounded = (dim.div_ceil(32) + 16) as f64 * f64::from(f32::EPSILON) / 2.0;
    rounded / (1.0 - rounded)
}

/// A query and the shape of the rows it meets.
#[derive(Clone, Copy)]
pub(crate) struct FloatQuery<'a> {
    query: &'a [f32],
    row_bytes: usize,
    tail: Option<Tail>,
    ahead: usize,
}

impl<'a> FloatQuery<'a> {
    /// A query of `dim` elements, padded with zeros to a multiple of [`PAD`], against rows of `E`.
    ///
    /// `ahead`: distance in bytes at which memory behind what is looked at is asked for.
    pub(crate) fn new<E: Element>(query: &'a [f32], dim: usize, ahead: usize) -> Self {
        debug_assert_eq!(query.len(), dim.next_multiple_of(PAD));
        let row_bytes = dim * E::BYTES;
        Self { query, row_bytes, tail: Tail::new(row_bytes, 8 * E::BYTES), ahead }
    }

    /// Squared Euclidean distance from the row at the start of `bytes`; relative error at most [`gamma`].
    #[inline(always)]
    pub(crate) fn l2<S: Simd, E: Element>(&self, simd: S, bytes: &[u8]) -> f32 {
        let zero = simd.splat_f32(0.0);
        let sums = self.fold::<S, E, _>(simd, bytes, [zero; 4], |sum, query, row| {
            let difference = simd.sub_f32(query, row);
            simd.mul_add_f32(difference, difference, sum)
        });
        let [a, b, c, d] = sums;
        simd.sum_f32(simd.add_f32(simd.add_f32(a, b), simd.add_f32(c, d)))
    }

    /// Inner product with the row at the start of `bytes`, and the row's squared norm.
    ///
    /// Error of the product at most [`gamma`] · Σ |qᵢ xᵢ|; relative error of the norm at most [`gamma`].
    #[inline(always)]
    pub(crate) fn dot<S: Simd, E: Element>(&self, simd: S, bytes: &[u8]) -> (f32, f32) {
        let zero = simd.splat_f32(0.0);
        let sums = self.fold::<S, E, _>(simd, bytes, [(zero, zero); 4], |(dot, norm), query, row| {
            (simd.mul_add_f32(query, row, dot), simd.mul_add_f32(row, row, norm))
        });
        let [(a, e), (b, f), (c, g), (d, h)] = sums;
        let dot = simd.add_f32(simd.add_f32(a, b), simd.add_f32(c, d));
        let norm = simd.add_f32(simd.add_f32(e, f), simd.add_f32(g, h));
        (simd.sum_f32(dot), simd.sum_f32(norm))
    }

    /// Carries four accumulators over the elements of query and row, eight at a time.
    #[inline(always)]
    fn fold<S: Simd, E: Element, A: Copy>(
        &self,
        simd: S,
        bytes: &[u8],
        mut sums: [A; 4],
        step: impl Fn(A, S::F32, S::F32) -> A,
    ) -> [A; 4] {
        let row = &bytes[..self.row_bytes];
        let (queries, _) = self.query.as_chunks::<8>();
        let blocks = row.chunks_exact(32 * E::BYTES);
        let (fours, rest) = queries.split_at(blocks.len() * 4);
        let mut steps = blocks.remainder().chunks_exact(8 * E::BYTES);
        for (block, query) in blocks.zip(fours.as_chunks::<4>().0) {
            for line in (0..block.len()).step_by(64) {
                simd.prefetch(block.as_ptr().wrapping_add(self.ahead + line));
            }
            for lane in 0..4 {
                let row = E::widen(simd, &block[lane * 8 * E::BYTES..][..8 * E::BYTES]);
                sums[lane] = step(sums[lane], simd.load_f32(&query[lane]), row);
            }
        }
        let mut rest = rest.iter();
        for ((sum, block), query) in sums.iter_mut().zip(&mut steps).zip(&mut rest) {
            *sum = step(*sum, simd.load_f32(query), E::widen(simd, block));
        }
        if let (Some(tail), Some(query)) =
            (self.tail, self.query[..].as_chunks::<8>().0.get(self.tail_step::<E>()))
        {
            sums[3] = step(sums[3], simd.load_f32(query), E::widen(simd, &tail.window(bytes)));
        }
        sums
    }

    /// Index of the step, of eight elements each, that the tail belongs to.
    #[inline(always)]
    fn tail_step<E: Element>(&self) -> usize {
        self.row_bytes / (8 * E::BYTES)
    }
}
