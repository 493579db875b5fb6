//! What to look for: the queries of a search in every form its kernels need, prepared once and shared by threads.

use std::sync::OnceLock;

use crate::error::MAX_DIM;
use crate::simd::{bits, float, int};
use crate::{AnnError, DType, Metric, reference};

use super::coding::CodedQueries;
use super::floats::FloatQueries;
use super::parts::PartQueries;

/// A set of queries, and the kind of rows they are for.
///
/// # Memory
/// About 10 bytes per element of numbers, 14 to 18 where many queries meet rows of which codes lose too much; 1 byte per 8 bits.
#[derive(Debug, Clone)]
pub struct Queries {
    metric: Metric,
    dtype: DType,
    dim: usize,
    count: usize,
    /// count × [`wide`](Self::wide), zero-padded; numbers only.
    floats: Vec<f32>,
    /// count × [`wide`](Self::wide), zero-padded; of cosine only: the queries scaled to norm 1.
    units: Vec<f32>,
    /// Squared norm of each query in f64; numbers only.
    norms: Vec<f64>,
    /// count × [`wide`](Self::wide), zero-padded; byte rows only. Zeros where `whole` is false.
    ints: Vec<i16>,
    /// Whether a query consists of whole numbers within the range of the rows' bytes.
    whole: Vec<bool>,
    /// count × padded row bytes; bits only.
    bits: Vec<u8>,
    /// For the tile, once it is asked for.
    coded: OnceLock<CodedQueries>,
    /// For the tile of numbers, once it is asked for.
    float_panels: OnceLock<FloatQueries>,
    /// For the tile of parts, once it is asked for.
    part_panels: OnceLock<PartQueries>,
    /// The row that each query is, if they are rows.
    own: Vec<u64>,
}

/// Fewest queries for which coding a row costs less than looking at it once per query: between 6 and 8 on Zen 3, for f32
/// and bytes of 128 and 784 dimensions.
const BATCH: usize = 8;

impl Queries {
    /// Prepares queries given as numbers.
    ///
    /// Queries against byte rows need not be whole numbers. Those that are, and lie within the bytes' range, are
    /// compared in integers.
    ///
    /// # Shape
    /// `values`: nq × `dim`, row-major.
    ///
    /// # Errors
    /// In this order: [`AnnError::Dim`]; [`AnnError::MetricOfDType`], also for bits, which are given to
    /// [`of_bits`](Self::of_bits); [`AnnError::Shape`] if `values` is not a whole number of queries;
    /// [`AnnError::NotFinite`].
    pub fn new(values: &[f32], dim: usize, dtype: DType, metric: Metric) -> Result<Self, AnnError> {
        check_dim(dim)?;
        if !metric.accepts(dtype) || dtype == DType::B1 {
            return Err(AnnError::MetricOfDType { metric, dtype });
        }
        if !values.len().is_multiple_of(dim) {
            return Err(AnnError::Shape { len: values.len(), per_vector: dim, unit: "values" });
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            return Err(AnnError::NotFinite { query: at / dim, element: at % dim });
        }
        let mut queries = Self::empty(metric, dtype, dim, values.len() / dim);
        let range = match dtype {
            DType::I8 => Some(-128.0..=127.0),
            DType::U8 => Some(0.0..=255.0),
            _ => None,
        };
        for query in values.chunks_exact(dim) {
            queries.floats.extend_from_slice(query);
            queries.floats.extend(padding(dim, float::PAD));
            let norm = reference::dot(query, query);
            queries.norms.push(norm);
            if metric == Metric::Cosine {
                let scale = if norm > 0.0 { 1.0 / norm.sqrt() } else { 0.0 };
                queries.units.extend(query.iter().map(|&value| (f64::from(value) * scale) as f32));
                queries.units.extend(padding(dim, float::PAD));
            }
            if let Some(range) = &range {
                let whole = query.iter().all(|value| value.fract() == 0.0 && range.contains(value));
                queries.whole.push(whole);
                queries.ints.extend(query.iter().map(|&value| if whole { value as i16 } else { 0 }));
                queries.ints.extend(padding(dim, int::PAD).map(|_| 0i16));
            }
        }
        Ok(queries)
    }

    /// Prepares queries of bits, for Hamming distance.
    ///
    /// # Shape
    /// `bytes`: nq rows of [`DType::B1`] of `dim` bits; padding bits zero.
    ///
    /// # Errors
    /// [`AnnError::Dim`]; [`AnnError::Shape`] if `bytes` is not a whole number of queries.
    pub fn of_bits(bytes: &[u8], dim: usize) -> Result<Self, AnnError> {
        check_dim(dim)?;
        let row_bytes = DType::B1.row_bytes(dim);
        if !bytes.len().is_multiple_of(row_bytes) {
            return Err(AnnError::Shape { len: bytes.len(), per_vector: row_bytes, unit: "bytes" });
        }
        let mut queries = Self::empty(Metric::Hamming, DType::B1, dim, bytes.len() / row_bytes);
        for query in bytes.chunks_exact(row_bytes) {
            queries.bits.extend_from_slice(query);
            queries.bits.extend(padding(row_bytes, bits::PAD).map(|_| 0u8));
        }
        Ok(queries)
    }

    /// Says that query i is row `rows[i]` of the collection that is searched: an index is then to find what it would find if that
    /// row were not in it, besides the row itself, which it may find.
    ///
    /// # Errors
    /// [`AnnError::Shape`] unless there is a row for each query.
    pub fn of_rows(mut self, rows: &[u64]) -> Result<Self, AnnError> {
        if rows.len() != self.count {
            return Err(AnnError::Shape { len: rows.len(), per_vector: 1, unit: "rows" });
        }
        self.own = rows.to_vec();
        Ok(self)
    }

    /// The row that query `index` is, if that was said.
    #[inline]
    pub(crate) fn own(&self, index: usize) -> Option<u64> {
        self.own.get(index).copied()
    }

    fn empty(metric: Metric, dtype: DType, dim: usize, count: usize) -> Self {
        Self {
            metric,
            dtype,
            dim,
            count,
            floats: Vec::new(),
            units: Vec::new(),
            norms: Vec::new(),
            ints: Vec::new(),
            whole: Vec::new(),
            bits: Vec::new(),
            coded: OnceLock::new(),
            float_panels: OnceLock::new(),
            part_panels: OnceLock::new(),
            own: Vec::new(),
        }
    }

    /// Those at `picks`, in that order.
    pub(crate) fn select(&self, picks: impl ExactSizeIterator<Item = usize>) -> Self {
        let mut some = Self::empty(self.metric, self.dtype, self.dim, picks.len());
        let wide = self.wide();
        for query in picks {
            let of_query = query * wide..(query + 1) * wide;
            if self.metric == Metric::Hamming {
                some.bits.extend_from_slice(self.bits(query));
                continue;
            }
            some.norms.push(self.norms[query]);
            some.floats.extend_from_slice(&self.floats[of_query.clone()]);
            if !self.units.is_empty() {
                some.units.extend_from_slice(&self.units[of_query.clone()]);
            }
            if !self.whole.is_empty() {
                some.ints.extend_from_slice(&self.ints[of_query]);
                some.whole.push(self.whole[query]);
            }
        }
        some
    }

    /// Number of queries, nq.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is no query.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Elements of a query and of a row, d.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Element type of the rows.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// How rows are compared.
    pub fn metric(&self) -> Metric {
        self.metric
    }

    /// Elements from one prepared query to the next.
    fn wide(&self) -> usize {
        self.dim.next_multiple_of(float::PAD)
    }

    /// Query `index` of d elements.
    pub(crate) fn values(&self, index: usize) -> &[f32] {
        &self.padded(index)[..self.dim]
    }

    /// Query `index`, zero-padded.
    pub(super) fn padded(&self, index: usize) -> &[f32] {
        &self.floats[index * self.wide()..][..self.wide()]
    }

    /// Query `index` scaled to norm 1 (each element rounded once) and zero-padded; zeros if its norm is zero. Of
    /// cosine only.
    pub(super) fn unit(&self, index: usize) -> &[f32] {
        &self.units[index * self.wide()..][..self.wide()]
    }

    /// Squared norm of query `index`, as the reference computes it.
    pub(crate) fn norm(&self, index: usize) -> f64 {
        self.norms[index]
    }

    /// Query `index` as zero-padded integers, if rows are bytes and it is whole numbers of their range.
    pub(super) fn ints(&self, index: usize) -> Option<&[i16]> {
        let whole = self.whole.get(index).copied().unwrap_or(false);
        whole.then(|| &self.ints[index * self.wide()..][..self.wide()])
    }

    /// The queries coded for the tile, if that pays where rows are not coded yet; numbers only.
    pub(super) fn coded_batch(&self) -> Option<&CodedQueries> {
        (self.count >= BATCH && self.metric != Metric::Hamming).then(|| self.coded())
    }

    /// The queries coded for the tile; numbers only.
    pub(super) fn coded(&self) -> &CodedQueries {
        let values = || (0..self.count).map(|query| self.values(query));
        self.coded.get_or_init(|| CodedQueries::new(values(), self.dim, self.metric))
    }

    /// The queries for the tile of numbers; numbers only.
    pub(super) fn floats(&self) -> &FloatQueries {
        self.float_panels.get_or_init(|| FloatQueries::new(self))
    }

    /// The queries for the tile of parts; numbers only.
    pub(super) fn parts(&self) -> &PartQueries {
        self.part_panels.get_or_init(|| PartQueries::new(self))
    }

    /// Query `index` as zero-padded bits.
    pub(crate) fn bits(&self, index: usize) -> &[u8] {
        let padded = DType::B1.row_bytes(self.dim).next_multiple_of(bits::PAD);
        &self.bits[index * padded..][..padded]
    }
}

fn check_dim(dim: usize) -> Result<(), AnnError> {
    if (1..=MAX_DIM).contains(&dim) { Ok(()) } else { Err(AnnError::Dim { dim }) }
}

/// The zeros that fill `len` up to a multiple of `step`.
fn padding(len: usize, step: usize) -> impl Iterator<Item = f32> {
    std::iter::repeat_n(0.0, len.next_multiple_of(step) - len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_queries_are_named() {
        let nan = [0.0, 1.0, 2.0, f32::NAN];
        let error = Queries::new(&nan, 2, DType::F32, Metric::L2).unwrap_err();
        assert_eq!(error, AnnError::NotFinite { query: 1, element: 1 });
        let error = Queries::new(&nan, 3, DType::F32, Metric::L2).unwrap_err();
        assert_eq!(error, AnnError::Shape { len: 4, per_vector: 3, unit: "values" });
        assert!(matches!(
            Queries::new(&[0.0], 1, DType::F32, Metric::Hamming),
            Err(AnnError::MetricOfDType { .. })
        ));
        assert!(matches!(
            Queries::new(&[0.0], 1, DType::B1, Metric::Hamming),
            Err(AnnError::MetricOfDType { .. })
        ));
        assert!(matches!(Queries::new(&[], 0, DType::F32, Metric::L2), Err(AnnError::Dim { dim: 0 })));
        assert!(matches!(Queries::of_bits(&[0; 3], 9), Err(AnnError::Shape { per_vector: 2, .. })));
        assert!(matches!(Queries::of_bits(&[], MAX_DIM + 1), Err(AnnError::Dim { .. })));
    }

    #[test]
    fn only_whole_numbers_of_the_range_are_compared_in_integers() {
        let whole = |values: &[f32], dtype| {
            Queries::new(values, values.len(), dtype, Metric::L2).unwrap().ints(0).is_some()
        };
        assert!(whole(&[0.0, 255.0], DType::U8));
        assert!(!whole(&[-1.0], DType::U8));
        assert!(!whole(&[256.0], DType::U8));
        assert!(!whole(&[0.5], DType::U8));
        assert!(whole(&[-128.0, 127.0], DType::I8));
        assert!(!whole(&[128.0], DType::I8));
        assert!(!whole(&[1.0], DType::F32));
    }
}
