//! The element types a row may have.

use std::fmt;

/// Element type of the rows of a collection. Stored little-endian and packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// IEEE binary32.
    F32,
    /// IEEE binary16.
    F16,
    /// bfloat16: the upper half of a binary32.
    BF16,
    /// Signed byte.
    I8,
    /// Unsigned byte.
    U8,
    /// One bit per element, eight to a byte.
    B1,
}

impl DType {
    /// All element types.
    pub const ALL: [Self; 6] = [Self::F32, Self::F16, Self::BF16, Self::I8, Self::U8, Self::B1];

    /// Bytes of one row of `dim` elements.
    ///
    /// Bits are rounded up to whole bytes; the padding bits are zero in every row and every query, so that their
    /// place within the byte does not matter.
    pub const fn row_bytes(self, dim: usize) -> usize {
        match self {
            Self::F32 => dim * 4,
            Self::F16 | Self::BF16 => dim * 2,
            Self::I8 | Self::U8 => dim,
            Self::B1 => dim.div_ceil(8),
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::BF16 => "bf16",
            Self::I8 => "i8",
            Self::U8 => "u8",
            Self::B1 => "b1",
        })
    }
}
