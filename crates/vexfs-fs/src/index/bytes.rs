//! Rows and images as [`vexfs_ann`] reads them: where they lie, each block verified before its first use.

use std::ops::Range;

use vexfs_ann::index::{ImageBytes, IndexError, RowSource};
use vexfs_ann::{DType, Vectors};

use crate::collection::rows::Rows;
use crate::view::FileView;

impl ImageBytes for FileView {
    fn len(&self) -> u64 {
        Self::len(self)
    }

    #[inline]
    fn bytes(&self, range: Range<u64>) -> Result<&[u8], IndexError> {
        if range.start > range.end || range.end > Self::len(self) {
            return Err(IndexError::damaged(range.start, "a range beyond the end of the image"));
        }
        Self::bytes(self, range).map_err(IndexError::source)
    }

    #[inline]
    fn address(&self, at: u64) -> *const u8 {
        Self::address(self, at)
    }

    fn expect(&self, ranges: &mut dyn Iterator<Item = Range<u64>>) {
        Self::expect(self, ranges);
    }
}

/// The rows of a collection for an index.
#[derive(Debug)]
pub(crate) struct RowBytes<'a> {
    pub(crate) rows: &'a Rows,
    pub(crate) dim: usize,
    pub(crate) dtype: DType,
}

impl RowSource for RowBytes<'_> {
    fn dim(&self) -> usize {
        self.dim
    }

    fn dtype(&self) -> DType {
        self.dtype
    }

    fn len(&self) -> u64 {
        self.rows.len()
    }

    #[inline]
    fn rows(&self, range: Range<u64>) -> Result<Vectors<'_>, IndexError> {
        if range.start > range.end || range.end > self.rows.len() {
            return Err(IndexError::Mismatch(format!("there are no rows {} to {}", range.start, range.end)));
        }
        let is_one = range.end - range.start == 1;
        // One row is intact also in a damaged block, if its own checksum says so.
        let bytes = if is_one { self.rows.row(range.start) } else { self.rows.bytes(range) };
        Vectors::new(bytes.map_err(IndexError::source)?, self.dim, self.dtype).map_err(IndexError::source)
    }

    #[inline]
    fn address(&self, row: u64) -> *const u8 {
        self.rows.view().address(row.wrapping_mul(self.rows.row_bytes()))
    }

    fn expect(&self, rows: &[u64]) {
        let row_bytes = self.rows.row_bytes();
        let range =
            |row: &u64| row.saturating_mul(row_bytes)..row.saturating_add(1).saturating_mul(row_bytes);
        // The last is wanted by the fewest queries, so it tells of all.
        self.rows.view().expect(rows.iter().rev().map(range));
    }
}
