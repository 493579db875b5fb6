//! The frame of every index image: sections one after the other, and a trailer that says where they are.
//!
//! An image is written front to back, and its trailer last, so that a build needs to know nothing in advance; it is opened by
//! reading the trailer. Offsets count from the first byte of the image: it means the same wherever it lies. Layout:
//! `docs/format/indexes.md`.

use std::io::Write;
use std::ops::Range;

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::error::IndexError;
use super::source::ImageBytes;
use super::spec::Kind;
use crate::{DType, Metric};

/// First bytes of a trailer.
pub const MAGIC: [u8; 4] = *b"VXIX";
/// The version of the frame and of all kinds that this program writes and reads.
pub const VERSION: u16 = 1;
/// Bytes of the trailer.
pub const TRAILER_BYTES: u64 = 1024;
/// Multiple at which each section begins: a cache line.
pub const ALIGNMENT: u64 = 64;
/// Bytes that a kind may use for its parameters.
pub const PARAM_BYTES: usize = 128;
/// Largest number of rows in one image: row numbers within it are 32 bits.
pub const MAX_ROWS: u64 = u32::MAX as u64;
const MAX_SECTIONS: usize = 32;

/// The last [`TRAILER_BYTES`] of an image.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Trailer {
    magic: [u8; 4],
    version: U16,
    kind: u8,
    dtype: u8,
    metric: u8,
    section_count: u8,
    reserved: [u8; 2],
    dim: U32,
    first_row: U64,
    end_row: U64,
    generation: U64,
    indexed: U64,
    seed: U64,
    params: [u8; PARAM_BYTES],
    sections: [Entry; MAX_SECTIONS],
    tail: [u8; 72],
}

const _: () = assert!(size_of::<Trailer>() as u64 == TRAILER_BYTES);

/// One section in the trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Entry {
    id: U32,
    reserved: U32,
    offset: U64,
    len: U64,
}

/// What an image is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The kind of index.
    pub kind: Kind,
    /// Element type of the rows.
    pub dtype: DType,
    /// Metric of the collection.
    pub metric: Metric,
    /// Elements of a row, d.
    pub dim: usize,
    /// The rows of the collection that it covers; at most [`MAX_ROWS`]. Numbers within the image count from the first.
    pub rows: Range<u64>,
    /// The collection's generation when it was built.
    pub generation: u64,
    /// Rows that are in the index: those of `rows` that were not deleted when it was built.
    pub indexed: u64,
    /// Seed of every random choice of the build.
    pub seed: u64,
    /// The kind's parameters, in its own layout.
    pub params: [u8; PARAM_BYTES],
}

/// Writes an image front to back.
pub struct ImageWriter<'w> {
    out: &'w mut dyn Write,
    at: u64,
    entries: Vec<Entry>,
}

impl<'w> ImageWriter<'w> {
    /// An image that begins at the present end of `out`.
    pub fn new(out: &'w mut dyn Write) -> Self {
        Self { out, at: 0, entries: Vec::new() }
    }

    /// Begins section `id`; what is written from here on belongs to it.
    ///
    /// # Errors
    /// [`IndexError::Output`].
    ///
    /// # Panics
    /// If there are more sections than the trailer has room for, or one with this id: the kind is wrongly written.
    pub fn section(&mut self, id: u32) -> Result<(), IndexError> {
        assert!(self.entries.len() < MAX_SECTIONS && self.entries.iter().all(|entry| entry.id.get() != id));
        self.pad()?;
        self.entries.push(Entry {
            id: U32::new(id),
            reserved: U32::ZERO,
            offset: U64::new(self.at),
            len: U64::ZERO,
        });
        Ok(())
    }

    /// Appends `bytes` to the section begun last.
    ///
    /// # Errors
    /// [`IndexError::Output`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.out.write_all(bytes)?;
        self.at += bytes.len() as u64;
        if let Some(entry) = self.entries.last_mut() {
            entry.len += bytes.len() as u64;
        }
        Ok(())
    }

    /// Writes the trailer.
    ///
    /// # Errors
    /// [`IndexError::Output`].
    pub fn finish(mut self, header: &Header) -> Result<(), IndexError> {
        self.pad()?;
        let mut sections =
            [Entry { id: U32::ZERO, reserved: U32::ZERO, offset: U64::ZERO, len: U64::ZERO }; MAX_SECTIONS];
        sections[..self.entries.len()].copy_from_slice(&self.entries);
        let trailer = Trailer {
            magic: MAGIC,
            version: U16::new(VERSION),
            kind: header.kind.code(),
            dtype: dtype_code(header.dtype),
            metric: metric_code(header.metric),
            section_count: self.entries.len() as u8,
            reserved: [0; 2],
            dim: U32::new(header.dim as u32),
            first_row: U64::new(header.rows.start),
            end_row: U64::new(header.rows.end),
            generation: U64::new(header.generation),
            indexed: U64::new(header.indexed),
            seed: U64::new(header.seed),
            params: header.params,
            sections,
            tail: [0; 72],
        };
        self.out.write_all(trailer.as_bytes())?;
        Ok(())
    }

    /// Fills up to the next multiple of [`ALIGNMENT`]; the zeros belong to no section.
    fn pad(&mut self) -> Result<(), IndexError> {
        let fill = self.at.next_multiple_of(ALIGNMENT) - self.at;
        self.out.write_all(&[0; ALIGNMENT as usize][..fill as usize])?;
        self.at += fill;
        Ok(())
    }
}

/// An image that was opened: its trailer is read and its sections lie within it.
#[derive(Clone)]
pub struct Image<'a> {
    bytes: &'a dyn ImageBytes,
    header: Header,
    entries: Vec<Entry>,
}

impl<'a> Image<'a> {
    /// Reads the trailer.
    ///
    /// # Errors
    /// Those of `bytes`; [`IndexError::Unknown`] for another version, kind, type or metric; [`IndexError::Damaged`] for
    /// numbers that contradict each other or the length of the image.
    pub fn open(bytes: &'a dyn ImageBytes) -> Result<Self, IndexError> {
        let len = bytes.len();
        let Some(at) = len.checked_sub(TRAILER_BYTES) else {
            return Err(IndexError::damaged(0, format!("{len} bytes, fewer than those of a trailer")));
        };
        let (trailer, _) = Trailer::read_from_prefix(bytes.bytes(at..len)?)
            .map_err(|_| IndexError::damaged(at, "a short trailer"))?;
        if trailer.magic != MAGIC {
            return Err(IndexError::damaged(at, "no magic number"));
        }
        let unknown = |what: String| IndexError::Unknown { what };
        if trailer.version.get() != VERSION {
            return Err(unknown(format!("version {}", trailer.version)));
        }
        let kind = Kind::from_code(trailer.kind).ok_or_else(|| unknown(format!("kind {}", trailer.kind)))?;
        let dtype = DType::ALL.into_iter().find(|dtype| dtype_code(*dtype) == trailer.dtype);
        let dtype = dtype.ok_or_else(|| unknown(format!("element type {}", trailer.dtype)))?;
        let metric = METRICS.into_iter().find(|metric| metric_code(*metric) == trailer.metric);
        let metric = metric.ok_or_else(|| unknown(format!("metric {}", trailer.metric)))?;
        let dim = trailer.dim.get() as usize;
        let rows = trailer.first_row.get()..trailer.end_row.get();
        let covered = rows.end.checked_sub(rows.start);
        if !(1..=crate::MAX_DIM).contains(&dim)
            || !metric.accepts(dtype)
            || covered.is_none_or(|covered| covered > MAX_ROWS || trailer.indexed.get() > covered)
        {
            return Err(IndexError::damaged(at, "dimension, metric or rows out of range"));
        }
        let Some(entries) = trailer.sections.get(..usize::from(trailer.section_count)) else {
            return Err(IndexError::damaged(at, format!("{} sections", trailer.section_count)));
        };
        let mut free = 0;
        for entry in entries {
            let (offset, end) = (entry.offset.get(), entry.offset.get().checked_add(entry.len.get()));
            let Some(end) =
                end.filter(|end| offset >= free && offset.is_multiple_of(ALIGNMENT) && *end <= at)
            else {
                return Err(IndexError::damaged(at, format!("section {} out of place", entry.id)));
            };
            free = end;
        }
        let header = Header {
            kind,
            dtype,
            metric,
            dim,
            rows,
            generation: trailer.generation.get(),
            indexed: trailer.indexed.get(),
            seed: trailer.seed.get(),
            params: trailer.params,
        };
        Ok(Self { bytes, header, entries: entries.to_vec() })
    }

    /// What the image is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Section `id`.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] if there is none.
    pub fn section(&self, id: u32) -> Result<Section<'a>, IndexError> {
        let entry = self.entries.iter().find(|entry| entry.id.get() == id);
        let Some(entry) = entry else {
            return Err(IndexError::damaged(self.bytes.len(), format!("section {id} is missing")));
        };
        Ok(Section { bytes: self.bytes, offset: entry.offset.get(), len: entry.len.get() })
    }
}

/// A part of an image.
#[derive(Clone, Copy)]
pub struct Section<'a> {
    bytes: &'a dyn ImageBytes,
    offset: u64,
    len: u64,
}

impl<'a> Section<'a> {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it begins in the image.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes of `range`, counted from the beginning of the section, verified.
    ///
    /// # Errors
    /// [`IndexError::Source`]; [`IndexError::Damaged`] for a range that does not lie within the section.
    pub fn bytes(&self, range: Range<u64>) -> Result<&'a [u8], IndexError> {
        if range.start > range.end || range.end > self.len {
            return Err(IndexError::damaged(
                self.offset.saturating_add(range.start),
                "a place beyond its section",
            ));
        }
        self.bytes.bytes(self.offset + range.start..self.offset + range.end)
    }

    /// Record `index` of records of `size` bytes each.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn record(&self, index: u64, size: usize) -> Result<&'a [u8], IndexError> {
        let start = index.saturating_mul(size as u64);
        self.bytes(start..start.saturating_add(size as u64))
    }

    /// Where byte `at` of the section probably lies, for prefetching only.
    pub fn address(&self, at: u64) -> *const u8 {
        self.bytes.address(self.offset.wrapping_add(at))
    }

    /// Begins to read `ranges` all at once, and does not wait for it; nothing if the first of them is in memory.
    pub fn expect(&self, ranges: impl Iterator<Item = Range<u64>>) {
        let place = |range: Range<u64>| {
            self.offset.saturating_add(range.start)..self.offset.saturating_add(range.end)
        };
        self.bytes.expect(&mut ranges.map(place));
    }

    /// Makes sure that the section has exactly `len` bytes.
    ///
    /// # Errors
    /// [`IndexError::Damaged`].
    pub fn expect_len(self, len: Option<u64>) -> Result<Self, IndexError> {
        match len {
            Some(len) if len == self.len => Ok(self),
            _ => Err(IndexError::damaged(self.offset, format!("a section of {} bytes", self.len))),
        }
    }
}

const METRICS: [Metric; 4] = [Metric::L2, Metric::Cosine, Metric::InnerProduct, Metric::Hamming];

/// The numbers of element types are those of collections.
const fn dtype_code(dtype: DType) -> u8 {
    match dtype {
        DType::F32 => 1,
        DType::F16 => 2,
        DType::BF16 => 3,
        DType::I8 => 4,
        DType::U8 => 5,
        DType::B1 => 6,
    }
}

/// The numbers of metrics are those of collections.
const fn metric_code(metric: Metric) -> u8 {
    match metric {
        Metric::L2 => 1,
        Metric::Cosine => 2,
        Metric::InnerProduct => 3,
        Metric::Hamming => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            kind: Kind::Ivf,
            dtype: DType::F16,
            metric: Metric::Cosine,
            dim: 96,
            rows: 1000..3000,
            generation: 7,
            indexed: 1999,
            seed: 42,
            params: [5; PARAM_BYTES],
        }
    }

    fn image() -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = ImageWriter::new(&mut bytes);
        writer.section(1).unwrap();
        writer.write(b"one").unwrap();
        writer.write(b"more").unwrap();
        writer.section(9).unwrap();
        writer.section(2).unwrap();
        writer.write(&[7; 100]).unwrap();
        writer.finish(&header()).unwrap();
        bytes
    }

    #[test]
    fn what_is_written_is_read_where_it_lies() {
        let bytes = image();
        let image = Image::open(&bytes).unwrap();
        assert_eq!(image.header(), &header());
        let one = image.section(1).unwrap();
        assert_eq!((one.bytes(0..7).unwrap(), one.len()), (&b"onemore"[..], 7));
        assert!(image.section(9).unwrap().is_empty());
        let two = image.section(2).unwrap();
        assert_eq!((two.offset() % ALIGNMENT, two.record(9, 10).unwrap()), (0, &[7; 10][..]));
        assert!(
            two.record(10, 10).is_err() && two.record(u64::MAX, 10).is_err() && two.bytes(99..101).is_err()
        );
        assert!(two.expect_len(Some(100)).is_ok() && two.expect_len(None).is_err());
        assert!(image.section(3).is_err());
    }

    #[test]
    fn no_trailer_leads_out_of_the_image() {
        let good = image();
        let at = good.len() - TRAILER_BYTES as usize;
        for byte in 0..TRAILER_BYTES as usize {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bytes = good.clone();
                bytes[at + byte] = value;
                let Ok(image) = Image::open(&bytes) else { continue };
                for id in [1, 2, 9] {
                    if let Ok(section) = image.section(id) {
                        assert!(section.bytes(0..section.len()).is_ok());
                    }
                }
            }
        }
        for len in [0, 1, 1023, 1024, at] {
            assert!(Image::open(&good[..len].to_vec()).is_err(), "{len}");
        }
    }
}
