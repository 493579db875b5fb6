//! Codes of one byte per element, by which candidates are ranked before full rows decide.
//!
//! A vector v stands as s · c with whole cᵢ in −127 ..= 127 and s its largest element by magnitude, divided by 127. Of a query
//! coded likewise, to ± 255, products of codes are exact integers; what is made of them is f64 in one order.
//!
//! v is the row in the space of hashes for l2 and cosine, where |q − v|² is estimated but for |q|²; for inner products it is the
//! row itself.

use zerocopy::little_endian::F64;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::index::IndexError;
use crate::index::image::Section;
use crate::simd::int::{IntQuery, PAD, Signed};
use crate::simd::{Job, Level, Simd};
use crate::{Metric, TopK};

/// Largest code of a row by magnitude.
const ROW_MOST: f64 = 127.0;
/// Largest code of a query by magnitude.
const QUERY_MOST: f64 = 255.0;
/// Records are a multiple of this many bytes long.
const STEP: usize = 16;
/// Codes asked for before they are looked at.
const AHEAD: usize = 8;

/// What precedes the codes of a row.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Head {
    scale: F64,
    square: F64,
}

/// Bytes of the record of a row of `dim` elements.
pub(super) fn record_bytes(dim: usize) -> usize {
    (size_of::<Head>() + dim).next_multiple_of(STEP)
}

/// Writes the record of `vector` to `into`, of [`record_bytes`] bytes, all zero.
pub(super) fn write(vector: &[f64], metric: Metric, into: &mut [u8]) {
    let (scale, steps) = scale(vector, ROW_MOST);
    let mut square = 0.0;
    let (head, codes) = into.split_at_mut(size_of::<Head>());
    for (code, value) in codes.iter_mut().zip(vector) {
        *code = (value * steps).round() as i8 as u8;
        square += value * value;
    }
    let square = if metric == Metric::InnerProduct { 0.0 } else { square };
    head.copy_from_slice(Head { scale: F64::new(scale), square: F64::new(square) }.as_bytes());
}

/// Makes sure that a record is one that [`write`] makes.
pub(super) fn verify(record: &[u8], dim: usize) -> bool {
    let Ok((head, codes)) = Head::ref_from_prefix(record) else { return false };
    let is_size = |value: f64| value.is_finite() && value >= 0.0;
    is_size(head.scale.get()) && is_size(head.square.get()) && codes[..dim].iter().all(|&code| code != 0x80)
}

/// Distance between two steps, and its reciprocal; zeros where all is zero.
fn scale(vector: &[f64], most: f64) -> (f64, f64) {
    let largest = vector.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    if largest > 0.0 && largest.is_finite() { (largest / most, most / largest) } else { (0.0, 0.0) }
}

/// A query against codes.
#[derive(Debug)]
pub(super) struct CodedQuery {
    codes: Vec<i16>,
    scale: f64,
    dim: usize,
}

impl CodedQuery {
    /// Codes `vector`.
    pub(super) fn new(vector: &[f64]) -> Self {
        let (scale, steps) = scale(vector, QUERY_MOST);
        let mut codes = Vec::with_capacity(vector.len().next_multiple_of(PAD));
        codes.extend(vector.iter().map(|value| (value * steps).round() as i16));
        codes.resize(vector.len().next_multiple_of(PAD), 0);
        Self { codes, scale: 2.0 * scale, dim: vector.len() }
    }

    /// Bytes that the code takes.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(&self.codes[..])
    }

    /// Offers `rows`, by their places in `records`, to `top`, with what their codes say of their distance.
    ///
    /// # Errors
    /// Those of the section.
    pub(super) fn rank(&self, records: &Section<'_>, rows: &[u32], top: &mut TopK) -> Result<(), IndexError> {
        Level::best().run(Rank { query: self, records, rows, top })
    }
}

struct Rank<'a> {
    query: &'a CodedQuery,
    records: &'a Section<'a>,
    rows: &'a [u32],
    top: &'a mut TopK,
}

impl Job for Rank<'_> {
    type Out = Result<(), IndexError>;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Self::Out {
        let dim = self.query.dim;
        let bytes = record_bytes(dim);
        let query = IntQuery::new(&self.query.codes, dim, 0);
        for (at, &row) in self.rows.iter().enumerate() {
            if let Some(&later) = self.rows.get(at + AHEAD) {
                let address = self.records.address(u64::from(later) * bytes as u64);
                (0..bytes).step_by(64).for_each(|line| simd.prefetch(address.wrapping_add(line)));
            }
            let record = self.records.record(u64::from(row), bytes)?;
            let (head, codes) = Head::ref_from_prefix(record)
                .map_err(|_| IndexError::damaged(self.records.offset(), "lsh: a short code"))?;
            let product = query.dot::<S, Signed>(simd, codes) as f64;
            let estimate = head.square.get() - (self.query.scale * head.scale.get()) * product;
            if estimate <= self.top.bound() {
                self.top.offer(u64::from(row), estimate);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_tell_distances_apart_and_are_verified() {
        for dim in [1usize, 31, 32, 100] {
            let vector = |seed: usize| -> Vec<f64> {
                (0..dim).map(|at| ((at * 7 + seed * seed * 13) % 31) as f64 / 3.0 - 5.0).collect()
            };
            let mut bytes = vec![0; 20 * record_bytes(dim)];
            for (row, record) in bytes.chunks_exact_mut(record_bytes(dim)).enumerate() {
                write(&vector(row), Metric::L2, record);
                assert!(verify(record, dim));
            }
            let query = CodedQuery::new(&vector(3));
            let mut image = Vec::new();
            let mut writer = crate::index::image::ImageWriter::new(&mut image);
            writer.section(1).unwrap();
            writer.write(&bytes).unwrap();
            writer.finish(&header(dim)).unwrap();
            let image = crate::index::image::Image::open(&image).unwrap();
            let mut top = TopK::new(20);
            let rows: Vec<u32> = (0..20).collect();
            query.rank(&image.section(1).unwrap(), &rows, &mut top).unwrap();
            let square: f64 = vector(3).iter().map(|value| value * value).sum();
            for hit in top.into_sorted() {
                let row = vector(hit.row as usize);
                let want: f64 = row.iter().zip(vector(3)).map(|(a, b)| (a - b) * (a - b)).sum();
                assert!(
                    (hit.distance + square - want).abs() < 0.02 * (want + square),
                    "{dim} {hit:?} {want}"
                );
            }
            assert!(query.rank(&image.section(1).unwrap(), &[20], &mut TopK::new(1)).is_err());
        }
        let mut record = vec![0; record_bytes(4)];
        write(&[1.0, -1.0, 0.0, 0.5], Metric::L2, &mut record);
        record[16] = 0x80;
        assert!(!verify(&record, 4));
        write(&[1.0, -1.0, 0.0, 0.5], Metric::L2, &mut record);
        record[..8].copy_from_slice(&f64::NAN.to_le_bytes());
        assert!(!verify(&record, 4));
    }

    fn header(dim: usize) -> crate::index::image::Header {
        crate::index::image::Header {
            kind: crate::index::Kind::Lsh,
            dtype: crate::DType::F32,
            metric: Metric::L2,
            dim,
            rows: 0..20,
            generation: 0,
            indexed: 20,
            seed: 0,
            params: [0; 128],
        }
    }
}
