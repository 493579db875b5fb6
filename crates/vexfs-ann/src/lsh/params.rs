//! What an LSH index is built with, and how the image says so.

use zerocopy::little_endian::{F32, F64, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::index::image::{Header, PARAM_BYTES};
use crate::index::{IndexError, IndexSpec, SpecError};
use crate::{DType, Metric};

/// Most hash tables.
const MAX_TABLES: u64 = 64;
/// Most hash functions of a table: a set of changes to all of them, up or down, fits 64 bits.
const MAX_BITS: u64 = 32;

/// Hash tables unless said otherwise: more find more per probe, and cost 4 bytes per row each.
const DEFAULT_TABLES: usize = 8;

/// How the functions hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    /// ⌊(a·x + b) / w⌋ (Datar, Immorlica, Indyk, Mirrokni 2004).
    Stable,
    /// Side of a hyperplane (Charikar 2002).
    Sign,
    /// One bit of the row (Indyk, Motwani 1998).
    Bit,
}

impl Family {
    /// The family for a metric.
    pub(super) fn of(metric: Metric) -> Self {
        match metric {
            Metric::L2 => Self::Stable,
            Metric::Cosine | Metric::InnerProduct => Self::Sign,
            Metric::Hamming => Self::Bit,
        }
    }
}

/// What was asked for; what is `None` follows from the rows.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wanted {
    /// Hash tables, L.
    pub(super) tables: usize,
    /// Functions per table, K.
    pub(super) bits: Option<usize>,
    /// Bucket width, w.
    pub(super) width: Option<f32>,
}

impl Wanted {
    /// Of the parameters of `spec`, for rows compared by `metric`.
    pub(super) fn new(spec: &IndexSpec, metric: Metric) -> Result<Self, SpecError> {
        let mut options = spec.options();
        let wanted = Self {
            tables: options
                .number("tables", 1..=MAX_TABLES)?
                .map_or(DEFAULT_TABLES, |tables| tables as usize),
            bits: options.number("bits", 1..=MAX_BITS)?.map(|bits| bits as usize),
            width: options.real("width", f64::from(f32::MIN_POSITIVE)..=1e30)?.map(|width| width as f32),
        };
        options.finish(&["tables", "bits", "width"])?;
        if wanted.width.is_some() && Family::of(metric) != Family::Stable {
            return Err(SpecError(format!("width: buckets have a width for l2, not for {metric}")));
        }
        Ok(wanted)
    }
}

/// What the index was built with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Params {
    /// Hash tables, L.
    pub(super) tables: usize,
    /// Functions per table, K.
    pub(super) bits: usize,
    /// Bucket width, w, in the unit of distances; of [`Family::Stable`] only, else 1.
    pub(super) width: f32,
    /// Norm that all rows are given by one more element; of inner products only, else 1. Longer rows are scaled to it.
    pub(super) norm: f64,
}

/// As in the header.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Stored {
    tables: U32,
    bits: U32,
    width: F32,
    reserved: U32,
    norm: F64,
    tail: [u8; PARAM_BYTES - 24],
}

impl Params {
    /// As the image has them.
    pub(super) fn to_bytes(self) -> [u8; PARAM_BYTES] {
        let stored = Stored {
            tables: U32::new(self.tables as u32),
            bits: U32::new(self.bits as u32),
            width: F32::new(self.width),
            reserved: U32::ZERO,
            norm: F64::new(self.norm),
            tail: [0; PARAM_BYTES - 24],
        };
        zerocopy::transmute!(stored)
    }

    /// Those of an image.
    pub(super) fn of(header: &Header) -> Result<Self, IndexError> {
        let stored: Stored = zerocopy::transmute!(header.params);
        let (tables, bits) = (stored.tables.get(), stored.bits.get());
        let params = Self {
            tables: tables as usize,
            bits: bits as usize,
            width: stored.width.get(),
            norm: stored.norm.get(),
        };
        let in_range =
            (1..=MAX_TABLES).contains(&u64::from(tables)) && (1..=MAX_BITS).contains(&u64::from(bits));
        let is_positive =
            params.width.is_normal() && params.width > 0.0 && params.norm.is_normal() && params.norm > 0.0;
        if in_range && is_positive {
            Ok(params)
        } else {
            Err(IndexError::damaged(0, "lsh: tables, bits, width or norm out of range"))
        }
    }

    /// Functions of all tables.
    pub(super) fn functions(&self) -> usize {
        self.tables * self.bits
    }
}

/// Whether candidates are ranked by codes: not where a full row is as small as its code.
pub(super) fn is_coded(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}
