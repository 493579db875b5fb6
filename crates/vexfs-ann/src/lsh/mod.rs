//! LSH: rows that hash alike are likely to be near, so a search looks into the buckets of its query and those around them.
//!
//! - [`params`]: what is asked for and what the image was built with: **tables** (L), **bits** (K), **width** (w).
//! - [`space`], [`rotate`], [`hash`]: from a vector to its bucket in each table. The functions go by the metric: p-stable for l2
//!   (Datar et al., SCG 2004), hyperplanes for cosine and inner product (Charikar, STOC 2002), bits of the row for hamming
//!   (Indyk, Motwani, STOC 1998).
//! - [`sample`]: w and K from the rows.
//! - [`codes`]: one byte per element, to rank candidates by.
//! - [`build`], [`layout`], [`table`]: the image; `docs/format/indexes/lsh.md`.
//! - [`probe`], [`search`], [`decide`]: buckets in order of promise (Lv et al., VLDB 2007), candidates ranked by code, the best of them
//!   decided by full rows.

mod build;
mod codes;
mod decide;
mod hash;
mod layout;
mod params;
mod probe;
mod rotate;
mod sample;
mod search;
mod space;
mod table;

use std::ops::Range;

use zerocopy::FromBytes;

pub(crate) use build::{build, rows_within_memory};

use crate::index::image::{Header, Image, Section};
use crate::index::{Effort, Index, IndexError, Search, SearchStats};
use crate::{Metric, TopK};
use hash::Hasher;
use layout::{BUCKETS, CODES, FUNCTIONS, FunctionRecord, GIANTS, MIDDLE, SIGNS, TABLES, TableRecord};
use params::{Family, Params, is_coded};
use rotate::Rotation;
use space::Space;
use table::Table;

/// Probes of [`Index::default_effort`] per table.
const DEFAULT_PROBES: u32 = 16;

/// A probe takes as long as comparing this many bytes of rows that lie in sequence: to find the next bucket, to jump to it, and to look
/// at its rows. Measured on SIFT: 2.5 µs between 256 and 512 probes in each of 8 tables, where an exact search compares 15 GB/s.
const PROBE_BYTES: u64 = 38_000;

/// Probes per table that are worth a try whatever the number of rows.
const LEAST_PROBES: u64 = 64;

/// An LSH index that was opened.
struct Lsh<'a> {
    header: Header,
    hasher: Hasher,
    tables: Vec<Table<'a>>,
    /// Of coded rows.
    codes: Option<Section<'a>>,
    /// Of inner products.
    giants: Option<Section<'a>>,
}

/// Opens the image: reads the hash functions and where the tables are.
pub(crate) fn open<'a>(image: &Image<'a>) -> Result<Box<dyn Index + 'a>, IndexError> {
    let header = image.header().clone();
    let params = Params::of(&header)?;
    let functions = records::<FunctionRecord>(image.section(FUNCTIONS)?, params.functions() as u64)?;
    let functions = functions.iter().map(|record| {
        record.function(header.dim).ok_or_else(|| IndexError::damaged(0, "lsh: a function out of range"))
    });
    let functions = functions.collect::<Result<Vec<_>, _>>()?;
    let family = Family::of(header.metric);
    let numbers = match family {
        Family::Bit => None,
        _ => Some(numbers(image, &params)?),
    };
    let buckets = image.section(BUCKETS)?;
    let tables = records::<TableRecord>(image.section(TABLES)?, params.tables as u64)?;
    let tables = tables.iter().map(|record| Table::new(buckets, record, header.indexed));
    let tables = tables.collect::<Result<Vec<_>, _>>()?;
    let codes = if is_coded(header.dtype) {
        let len = (header.rows.end - header.rows.start).checked_mul(codes::record_bytes(header.dim) as u64);
        Some(image.section(CODES)?.expect_len(len)?)
    } else {
        None
    };
    let giants = if header.metric == Metric::InnerProduct { Some(image.section(GIANTS)?) } else { None };
    let hasher = Hasher { family, params, numbers, functions };
    Ok(Box::new(Lsh { header, hasher, tables, codes, giants }))
}

/// The space of hashes and the projections.
fn numbers(image: &Image<'_>, params: &Params) -> Result<(Space, Rotation), IndexError> {
    let header = image.header();
    let dim = space::dim_of(header.metric, header.dim);
    let middle = image.section(MIDDLE)?.expect_len(Some(4 * dim as u64))?;
    let middle: Vec<f32> = middle
        .bytes(0..middle.len())?
        .as_chunks::<4>()
        .0
        .iter()
        .map(|bytes| f32::from_le_bytes(*bytes))
        .collect();
    if middle.iter().any(|value| !value.is_finite()) {
        return Err(IndexError::damaged(0, "lsh: the middle of the rows is not finite"));
    }
    let len = rotate::sign_bytes(dim, params.functions()) as u64;
    let signs = image.section(SIGNS)?.expect_len(Some(len))?;
    let rotation = Rotation::new(dim, signs.bytes(0..len)?);
    Ok((Space::new(header.metric, params, middle), rotation))
}

/// The records of a section that has `count` of them.
fn records<'a, T>(section: Section<'a>, count: u64) -> Result<&'a [T], IndexError>
where
    T: FromBytes + zerocopy::Immutable + zerocopy::KnownLayout + zerocopy::Unaligned,
{
    let section = section.expect_len(count.checked_mul(size_of::<T>() as u64))?;
    <[T]>::ref_from_bytes(section.bytes(0..section.len())?)
        .map_err(|_| IndexError::damaged(section.offset(), "lsh: a section of another length"))
}

impl Lsh<'_> {
    /// Buckets of all tables.
    fn buckets(&self) -> u64 {
        self.tables.iter().map(Table::buckets).sum()
    }

    /// Candidates to decide by full rows so that codes cost next to no recall; 0 where there are no codes.
    fn rerank(&self, k: usize) -> u32 {
        if self.codes.is_none() {
            0
        } else {
            u32::try_from(k.saturating_mul(2).saturating_add(32)).unwrap_or(u32::MAX)
        }
    }
}

impl Index for Lsh<'_> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn effort_name(&self) -> &'static str {
        "probes"
    }

    /// Up to where it is no slower to look at all rows, and then that.
    fn efforts(&self, k: usize) -> Vec<Effort> {
        let (rerank, tables) = (self.rerank(k), self.tables.len() as u64);
        let bytes = self.header.indexed.saturating_mul(self.header.dtype.row_bytes(self.header.dim) as u64);
        let most = self.buckets().min((bytes / PROBE_BYTES).max(LEAST_PROBES * tables));
        let probes = (0..31).map(|doublings| 1u32 << doublings);
        let probes = probes.take_while(|probes| u64::from(*probes) * tables < most);
        let mut efforts: Vec<Effort> = probes.map(|effort| Effort { effort, rerank }).collect();
        efforts.push(Effort { effort: u32::MAX, rerank: rerank.saturating_mul(4) });
        efforts
    }

    fn default_effort(&self, k: usize) -> Effort {
        Effort { effort: DEFAULT_PROBES, rerank: self.rerank(k) }
    }

    fn search(
        &self,
        search: &Search<'_>,
        range: Range<usize>,
        tops: &mut [TopK],
        stats: &mut SearchStats,
    ) -> Result<(), IndexError> {
        search::search(self, search, range, tops, stats)
    }

    fn verify(&self, excluded: Option<&[u64]>, interrupted: &dyn Fn() -> bool) -> Result<(), IndexError> {
        search::verify(self, excluded, interrupted)
    }
}
