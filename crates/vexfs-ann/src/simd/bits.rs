//! Rows of bits: one query against one row, and a few against many. Exact.

use super::element::Tail;
use super::level::Job;
use super::vector::{Block32, Simd};

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

/// Queries that share the loads of a row.
pub(crate) const TOGETHER: usize = 4;

/// A few queries of bits against many rows, with the selection fused in.
pub(crate) struct BitTile<'a> {
    /// The queries, `blocks` blocks each.
    pub(crate) queries: [&'a [Block32]; TOGETHER],
    /// The rows, `blocks` blocks each.
    pub(crate) rows: &'a [Block32],
    /// Blocks to a query, and to a row; at least one.
    pub(crate) blocks: usize,
    /// By query: rows at this distance or farther are not found.
    pub(crate) bounds: [u32; TOGETHER],
    /// By query: rows that are found, and their distances, appended in ascending order of the rows.
    pub(crate) found: &'a mut [Vec<(u32, u32)>; TOGETHER],
}

impl Job for BitTile<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let queries = self.queries.map(|query| &query[..self.blocks]);
        for (index, row) in self.rows.chunks_exact(self.blocks).enumerate() {
            let mut counts = [simd.zero_count(); TOGETHER];
            for (block, bits) in row.iter().enumerate() {
                for (count, query) in counts.iter_mut().zip(queries) {
                    *count = simd.count_xor(*count, &bits.0, &query[block].0);
                }
            }
            for ((count, bound), found) in counts.into_iter().zip(self.bounds).zip(&mut *self.found) {
                let distance = simd.sum_count(count) as u32;
                if distance < bound {
                    found.push((index as u32, distance));
                }
            }
        }
    }
}
