//! What is asked for, and what the trailer of an image says about its lists.

use zerocopy::little_endian::{I32, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::index::image::{Header, PARAM_BYTES};
use crate::index::{Build, IndexError, IndexSpec};

/// Most lists of one index.
const MAX_NLIST: u64 = 1 << 24;

/// Lists for each root of the number of rows. A search reads nlist centroids and nprobe · n / nlist rows: 4 √n lists make both small
/// when some 16 lists are probed, which is what recalls of 0.95 to 0.99 take.
const LISTS_PER_ROOT: f64 = 4.0;

/// What the caller wants of an `ivf`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wanted {
    /// Number of lists, if given.
    pub(super) nlist: Option<u32>,
}

impl Wanted {
    /// Takes the parameters of `spec`.
    pub(super) fn of(spec: &IndexSpec) -> Result<Self, IndexError> {
        let mut options = spec.options();
        let nlist = options.number("nlist", 1..=MAX_NLIST)?;
        options.finish(&["nlist"])?;
        Ok(Self { nlist: nlist.map(|nlist| nlist as u32) })
    }

    /// Number of lists for `rows` rows: never more than there are rows.
    pub(super) fn nlist(&self, rows: usize) -> usize {
        let usual = (LISTS_PER_ROOT * (rows as f64).sqrt()).round() as usize;
        self.nlist.map_or(usual, |nlist| nlist as usize).min(rows).min(MAX_NLIST as usize)
    }
}

/// The parameters in a trailer.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Record {
    nlist: U32,
    exponent: I32,
    giants: U32,
    reserved: [u8; PARAM_BYTES - 12],
}

/// What an image was built with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Params {
    /// Number of lists.
    pub(super) nlist: usize,
    /// Elements are multiplied by 2 to this power before anything else; 0 of cosine.
    pub(super) exponent: i32,
    /// Rows that are in no list.
    pub(super) giants: usize,
}

impl Params {
    /// As bytes of a trailer.
    pub(super) fn bytes(&self) -> [u8; PARAM_BYTES] {
        let record = Record {
            nlist: U32::new(self.nlist as u32),
            exponent: I32::new(self.exponent),
            giants: U32::new(self.giants as u32),
            reserved: [0; PARAM_BYTES - 12],
        };
        zerocopy::transmute!(record)
    }

    /// From a trailer, checked.
    pub(super) fn of(header: &Header) -> Result<Self, IndexError> {
        let record: Record = zerocopy::transmute!(header.params);
        let (nlist, giants) = (u64::from(record.nlist.get()), u64::from(record.giants.get()));
        let listed = header.indexed.checked_sub(giants);
        if listed.is_none_or(|listed| listed > 0 && nlist == 0)
            || nlist > header.indexed.min(MAX_NLIST)
            || !super::space::EXPONENTS.contains(&record.exponent.get())
        {
            return Err(IndexError::damaged(0, format!("{nlist} lists of {} rows", header.indexed)));
        }
        Ok(Self { nlist: nlist as usize, exponent: record.exponent.get(), giants: giants as usize })
    }
}

/// Makes sure that lists can be made of the rows: of numbers.
pub(super) fn check_rows(spec: &IndexSpec, build: &Build<'_>) -> Result<(), IndexError> {
    let (dtype, metric) = (build.rows.dtype(), build.metric);
    if dtype == crate::DType::B1 || !metric.accepts(dtype) {
        return Err(IndexError::Mismatch(format!("{} cannot index {dtype} rows by {metric}", spec.kind)));
    }
    Ok(())
}
