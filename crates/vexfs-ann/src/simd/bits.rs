//! One query against one row of bits: exact.

use super::element::Tail;
use super::vector::Simd;

/// Queries are padded with zeros to a multiple of this many bytes.
pub(crate) const PAD: usize = 32;

/// A query of bits, and the shape of the rows it meets.
#[derive(Clone, Copy)]
pub(crate) struct BitQuery<'a> {
    query: &'a [u8],
    row_bytes: usize,
    tail: Option<Tail>,
    ahead: usize,
}

impl<'a> BitQuery<'a> {
    /// A query of `row_bytes` bytes, padded with zeros to a multiple of [`PAD`].
    ///
    /// `ahead`: distance in bytes at which memory behind what is looked at is asked for.
    pub(crate) fn new(query: &'a [u8], row_bytes: usize, ahead: usize) -> Self {
        debug_assert_eq!(query.len(), row_bytes.next_multiple_of(PAD));
        Self { query, row_bytes, tail: Tail::new(row_bytes, PAD), ahead }
    }

    /// Number of bits in which the row at the start of `bytes` differs.
    #[inline(always)]
    pub(crate) fn hamming<S: Simd>(&self, simd: S, bytes: &[u8]) -> u64 {
        let (blocks, _) = bytes[..self.row_bytes].as_chunks::<32>();
        let (queries, _) = self.query.as_chunks::<32>();
        let mut count = simd.zero_count();
        for (block, query) in blocks.iter().zip(queries) {
            simd.prefetch(block.as_ptr().wrapping_add(self.ahead));
            count = simd.count_xor(count, block, query);
        }
        if let (Some(tail), Some(query)) = (self.tail, queries.last()) {
            count = simd.count_xor(count, &tail.window(bytes), query);
        }
        simd.sum_count(count)
    }
}
