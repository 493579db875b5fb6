//! The sections of an image: `docs/format/indexes/lsh.md`.

use zerocopy::little_endian::{F32, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::hash::Function;

/// f32 each: the middle of the rows; of numbers only.
pub(super) const MIDDLE: u32 = 1;
/// A bit each: the signs of the random projections; of numbers only.
pub(super) const SIGNS: u32 = 2;
/// [`FunctionRecord`] each, those of the first table first.
pub(super) const FUNCTIONS: u32 = 3;
/// [`TableRecord`] each.
pub(super) const TABLES: u32 = 4;
/// Directory, keys, starts and rows of each table.
pub(super) const BUCKETS: u32 = 5;
/// The code of each row; of f32, f16 and bf16 only.
pub(super) const CODES: u32 = 6;
/// u32 each, ascending: rows too long for the space of hashes, which every search looks at; of inner products only.
pub(super) const GIANTS: u32 = 7;

/// One hash function.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct FunctionRecord {
    shift: F32,
    bit: U32,
    factor: U32,
}

impl FunctionRecord {
    pub(super) fn new(function: &Function) -> Self {
        Self {
            shift: F32::new(function.shift),
            bit: U32::new(function.bit),
            factor: U32::new(function.factor),
        }
    }

    /// The function, if its numbers are possible for rows of `dim` elements.
    pub(super) fn function(&self, dim: usize) -> Option<Function> {
        let function = Function { shift: self.shift.get(), bit: self.bit.get(), factor: self.factor.get() };
        let fits = (0.0..=1.0).contains(&function.shift) && (function.bit as usize) < dim;
        fits.then_some(function)
    }
}

/// One table, within section [`BUCKETS`].
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct TableRecord {
    /// Where it begins, from the beginning of the section.
    pub(super) offset: U64,
    /// Buckets, B.
    pub(super) buckets: U32,
    /// The directory has 2^r + 1 entries.
    pub(super) directory_bits: U32,
}

/// Bytes at a multiple of which each table begins.
pub(super) const TABLE_ALIGNMENT: u64 = 64;

/// Bits of the directory of a table of `buckets` buckets, such that each entry leads to one key on average.
pub(super) fn directory_bits(buckets: usize) -> u32 {
    buckets.next_power_of_two().trailing_zeros().min(31)
}
