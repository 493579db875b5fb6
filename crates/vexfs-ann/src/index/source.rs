//! Where rows and image bytes come from: somebody else's memory, verified before it is handed out.

use std::ops::Range;

use super::error::IndexError;
use crate::{DType, Vectors};

/// The rows of a collection, as an index is built from them and reranks with them.
pub trait RowSource: Sync {
    /// Elements of a row, d.
    fn dim(&self) -> usize;
    /// Type of the elements.
    fn dtype(&self) -> DType;
    /// Number of rows, n.
    fn len(&self) -> u64;
    /// Whether there are no rows.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The rows of `range`, which must lie within 0 .. [`len`](Self::len), packed.
    ///
    /// # Errors
    /// [`IndexError::Source`] for rows that cannot be read or are damaged.
    fn rows(&self, range: Range<u64>) -> Result<Vectors<'_>, IndexError>;
    /// Where row `row` probably lies, for prefetching only: nobody reads through it.
    fn address(&self, row: u64) -> *const u8;
    /// Says that `rows`, which need not exist, will be asked for one after the other: what has to be fetched for them can be fetched at
    /// the same time.
    fn expect(&self, rows: &[u64]) {
        let _ = rows;
    }
}

/// The bytes of an index image.
///
/// They are mapped at an address that is a multiple of 64.
pub trait ImageBytes: Sync {
    /// Length in bytes.
    fn len(&self) -> u64;
    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The bytes of `range`, verified.
    ///
    /// # Errors
    /// [`IndexError::Source`] for bytes that cannot be read or do not agree with their checksum;
    /// [`IndexError::Damaged`] for a range that does not lie within 0 .. [`len`](Self::len).
    fn bytes(&self, range: Range<u64>) -> Result<&[u8], IndexError>;
    /// Where byte `at` probably lies, for prefetching only: nobody reads through it.
    fn address(&self, at: u64) -> *const u8;
    /// Says that all of `ranges`, which need not exist, will be asked for: what has to be fetched for them can be fetched at the same
    /// time. If the first is there, the others count as there too.
    fn expect(&self, ranges: &mut dyn Iterator<Item = Range<u64>>) {
        let _ = ranges;
    }
}

impl ImageBytes for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn bytes(&self, range: Range<u64>) -> Result<&[u8], IndexError> {
        let bounds = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        bounds
            .and_then(|(start, end)| self.get(start..end))
            .ok_or_else(|| IndexError::damaged(range.start, "a range beyond the end of the image"))
    }

    fn address(&self, at: u64) -> *const u8 {
        self.as_ptr().wrapping_add(at as usize)
    }
}

impl ImageBytes for Vec<u8> {
    fn len(&self) -> u64 {
        ImageBytes::len(self.as_slice())
    }

    fn bytes(&self, range: Range<u64>) -> Result<&[u8], IndexError> {
        self.as_slice().bytes(range)
    }

    fn address(&self, at: u64) -> *const u8 {
        self.as_slice().address(at)
    }
}

impl RowSource for Vectors<'_> {
    fn dim(&self) -> usize {
        Vectors::dim(self)
    }

    fn dtype(&self) -> DType {
        Vectors::dtype(self)
    }

    fn len(&self) -> u64 {
        Vectors::len(self) as u64
    }

    fn rows(&self, range: Range<u64>) -> Result<Vectors<'_>, IndexError> {
        Ok(self.slice(range.start as usize..range.end as usize))
    }

    fn address(&self, row: u64) -> *const u8 {
        self.bytes().as_ptr().wrapping_add(row as usize * self.row_bytes())
    }
}
