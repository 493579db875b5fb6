//! One query against one row of bytes, in integers: exact.
//!
//! Products of two values of at most 9 bits are added in i32 lanes, sixteen products per step, two accumulators: a
//! lane of both together adds d / 8 products of at most 255² and stays below 2³⁰ for any d up to [`MAX_DIM`](crate::MAX_DIM).

use super::element::Tail;
use super::vector::Simd;

/// Queries are padded with zeros to a multiple of this many elements.
pub(crate) const PAD: usize = 32;

/// A byte element type.
pub(crate) trait Byte: Copy {
    /// Sixteen elements.
    fn widen<S: Simd>(simd: S, block: &[u8; 16]) -> S::I16;
}

/// Signed bytes.
#[derive(Clone, Copy)]
pub(crate) struct Signed;

impl Byte for Signed {
    #[inline(always)]
    fn widen<S: Simd>(simd: S, block: &[u8; 16]) -> S::I16 {
        simd.i16_from_i8(block)
    }
}

/// Unsigned bytes.
#[derive(Clone, Copy)]
pub(crate) struct Unsigned;

impl Byte for Unsigned {
    #[inline(always)]
    fn widen<S: Simd>(simd: S, block: &[u8; 16]) -> S::I16 {
        simd.i16_from_u8(block)
    }
}

/// A query of whole numbers in −255 ..= 255, and the shape of the rows it meets.
#[derive(Clone, Copy)]
pub(crate) struct IntQuery<'a> {
    query: &'a [i16],
    row_bytes: usize,
    tail: Option<Tail>,
    ahead: usize,
}

impl<'a> IntQuery<'a> {
    /// A query of `dim` elements, padded with zeros to a multiple of [`PAD`].
    ///
    /// `ahead`: distance in bytes at which memory behind what is looked at is asked for.
    pub(crate) fn new(query: &'a [i16], dim: usize, ahead: usize) -> Self {
        debug_assert_eq!(query.len(), dim.next_multiple_of(PAD));
        Self { query, row_bytes: dim, tail: Tail::new(dim, PAD), ahead }
    }

    /// Squared Euclidean distance from the row at the start of `bytes`, exactly.
    #[inline(always)]
    pub(crate) fn l2<S: Simd, B: Byte>(&self, simd: S, bytes: &[u8]) -> i64 {
        let zero = simd.zero_i32();
        let [a, b] = self.fold::<S, B, _>(simd, bytes, [zero; 2], |sum, query, row| {
            let difference = simd.sub_i16(query, row);
            simd.add_i32(sum, simd.dot_i16(difference, difference))
        });
        simd.sum_i32(simd.add_i32(a, b))
    }

    /// Inner product with the row at the start of `bytes`, exactly.
    #[inline(always)]
    pub(crate) fn dot<S: Simd, B: Byte>(&self, simd: S, bytes: &[u8]) -> i64 {
        let zero = simd.zero_i32();
        let [a, b] = self.fold::<S, B, _>(simd, bytes, [zero; 2], |sum, query, row| {
            simd.add_i32(sum, simd.dot_i16(query, row))
        });
        simd.sum_i32(simd.add_i32(a, b))
    }

    /// Inner product with the row at the start of `bytes`, and the row's squared norm, exactly.
    #[inline(always)]
    pub(crate) fn dot_and_norm<S: Simd, B: Byte>(&self, simd: S, bytes: &[u8]) -> (i64, i64) {
        let zero = simd.zero_i32();
        let [a, b] = self.fold::<S, B, _>(simd, bytes, [(zero, zero); 2], |(dot, norm), query, row| {
            (simd.add_i32(dot, simd.dot_i16(query, row)), simd.add_i32(norm, simd.dot_i16(row, row)))
        });
        (simd.sum_i32(simd.add_i32(a.0, b.0)), simd.sum_i32(simd.add_i32(a.1, b.1)))
    }

    /// Carries two accumulators over the elements of query and row, sixteen at a time each.
    #[inline(always)]
    fn fold<S: Simd, B: Byte, A: Copy>(
        &self,
        simd: S,
        bytes: &[u8],
        mut sums: [A; 2],
        step: impl Fn(A, S::I16, S::I16) -> A,
    ) -> [A; 2] {
        let mut both = |block: &[u8; 32], query: &[i16; 32]| {
            let (block, query) = (block.as_chunks::<16>().0, query.as_chunks::<16>().0);
            for half in 0..2 {
                sums[half] = step(sums[half], simd.load_i16(&query[half]), B::widen(simd, &block[half]));
            }
        };
        let (blocks, _) = bytes[..self.row_bytes].as_chunks::<32>();
        let (queries, _) = self.query.as_chunks::<32>();
        for (block, query) in blocks.iter().zip(queries) {
            simd.prefetch(block.as_ptr().wrapping_add(self.ahead));
            both(block, query);
        }
        if let (Some(tail), Some(query)) = (self.tail, queries.last()) {
            both(&tail.window(bytes), query);
        }
        sums
    }
}
