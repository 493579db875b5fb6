//! A view of packed rows where they lie: mapped file bytes, unaligned, never copied.

use std::ops::Range;

use crate::{AnnError, DType, error::MAX_DIM};

/// `n × dim` elements, row-major, packed, little-endian, over borrowed bytes of any alignment.
#[derive(Debug, Clone, Copy)]
pub struct Vectors<'a> {
    bytes: &'a [u8],
    dim: usize,
    dtype: DType,
}

impl<'a> Vectors<'a> {
    /// Views `bytes` as rows of `dim` elements of `dtype`.
    ///
    /// # Errors
    /// [`AnnError::Dim`] if `dim` is outside 1 ..= [`MAX_DIM`]; [`AnnError::Shape`] if `bytes` is not a whole
    /// number of rows.
    pub fn new(bytes: &'a [u8], dim: usize, dtype: DType) -> Result<Self, AnnError> {
        if !(1..=MAX_DIM).contains(&dim) {
            return Err(AnnError::Dim { dim });
        }
        let per_vector = dtype.row_bytes(dim);
        if !bytes.len().is_multiple_of(per_vector) {
            return Err(AnnError::Shape { len: bytes.len(), per_vector, unit: "bytes" });
        }
        Ok(Self { bytes, dim, dtype })
    }

    /// Number of rows, n.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.row_bytes()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Elements of a row, d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Bytes from one row to the next.
    pub fn row_bytes(&self) -> usize {
        self.dtype.row_bytes(self.dim)
    }

    /// All rows, packed.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The bytes of row `index`, which must be less than [`len`](Self::len).
    pub fn row(&self, index: usize) -> &'a [u8] {
        let size = self.row_bytes();
        &self.bytes[index * size..][..size]
    }

    /// The rows of `range`, which must lie within 0 .. [`len`](Self::len).
    pub fn slice(&self, range: Range<usize>) -> Self {
        let size = self.row_bytes();
        Self { bytes: &self.bytes[range.start * size..range.end * size], ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn views_refuse_what_is_not_whole_rows() {
        assert_eq!(Vectors::new(&[0; 8], 0, DType::F32).unwrap_err(), AnnError::Dim { dim: 0 });
        assert!(Vectors::new(&[], MAX_DIM + 1, DType::B1).is_err());
        let bad = Vectors::new(&[0; 10], 2, DType::F32).unwrap_err();
        assert_eq!(bad, AnnError::Shape { len: 10, per_vector: 8, unit: "bytes" });
        assert!(Vectors::new(&[], 3, DType::F16).unwrap().is_empty());
    }

    #[test]
    fn bits_round_up_to_bytes_and_slices_keep_the_stride() {
        let bytes = [1, 2, 3, 4, 5, 6];
        let rows = Vectors::new(&bytes, 9, DType::B1).unwrap();
        assert_eq!((rows.len(), rows.row_bytes(), rows.row(2)), (3, 2, &[5, 6][..]));
        assert_eq!(rows.slice(1..3).row(0), &[3, 4]);
        assert!(rows.slice(3..3).is_empty());
    }
}
