//! The types of vector components: as a file stores them and as a collection takes them.

use std::fmt;

/// How a file stores one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementType {
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64; also what numbers in a text are read as.
    F64,
    /// 8-bit signed integer.
    I8,
    /// 16-bit signed integer.
    I16,
    /// 32-bit signed integer.
    I32,
    /// 64-bit signed integer.
    I64,
    /// 8-bit unsigned integer.
    U8,
    /// 16-bit unsigned integer.
    U16,
    /// 32-bit unsigned integer.
    U32,
    /// 64-bit unsigned integer.
    U64,
    /// One byte, 0 or 1.
    Bool,
}

impl ElementType {
    /// Length of one component in bytes.
    pub fn bytes(self) -> usize {
        match self {
            ElementType::I8 | ElementType::U8 | ElementType::Bool => 1,
            ElementType::F16 | ElementType::BF16 | ElementType::I16 | ElementType::U16 => 2,
            ElementType::F32 | ElementType::I32 | ElementType::U32 => 4,
            ElementType::F64 | ElementType::I64 | ElementType::U64 => 8,
        }
    }

    /// Whether this is one of the eight integer types.
    pub fn is_integer(self) -> bool {
        use ElementType::{I8, I16, I32, I64, U8, U16, U32, U64};
        matches!(self, I8 | I16 | I32 | I64 | U8 | U16 | U32 | U64)
    }

    /// The target type that a file of this type is read as when the caller does not choose one.
    pub fn default_target(self) -> TargetType {
        match self {
            ElementType::F16 => TargetType::F16,
            ElementType::BF16 => TargetType::BF16,
            ElementType::I8 => TargetType::I8,
            ElementType::U8 => TargetType::U8,
            ElementType::Bool => TargetType::B1,
            // Wider integers become f32 where that is exact; the reader refuses the values where it is not.
            _ => TargetType::F32,
        }
    }

    /// The name numpy and ml_dtypes use.
    pub fn name(self) -> &'static str {
        match self {
            ElementType::F16 => "float16",
            ElementType::BF16 => "bfloat16",
            ElementType::F32 => "float32",
            ElementType::F64 => "float64",
            ElementType::I8 => "int8",
            ElementType::I16 => "int16",
            ElementType::I32 => "int32",
            ElementType::I64 => "int64",
            ElementType::U8 => "uint8",
            ElementType::U16 => "uint16",
            ElementType::U32 => "uint32",
            ElementType::U64 => "uint64",
            ElementType::Bool => "bool",
        }
    }
}

impl fmt::Display for ElementType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What rows are delivered as: the dtypes of a collection, little-endian, without padding between components.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TargetType {
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// 8-bit signed integer.
    I8,
    /// 8-bit unsigned integer.
    U8,
    /// One bit: component `j` of a row is bit `j % 8` (least significant first) of byte `j / 8`.
    B1,
}

impl TargetType {
    /// All target types, in the order of their declaration.
    pub const ALL: [TargetType; 6] =
        [TargetType::F32, TargetType::F16, TargetType::BF16, TargetType::I8, TargetType::U8, TargetType::B1];

    /// Length in bytes of a row of `dim` components; the last byte of a [`B1`](Self::B1) row may be padded with zeros.
    ///
    /// Saturates at `usize::MAX`.
    pub fn row_bytes(self, dim: usize) -> usize {
        match self {
            TargetType::F32 => dim.saturating_mul(4),
            TargetType::F16 | TargetType::BF16 => dim.saturating_mul(2),
            TargetType::I8 | TargetType::U8 => dim,
            TargetType::B1 => dim.div_ceil(8),
        }
    }

    /// The type of file that holds such rows unchanged. Rows of [`B1`](Self::B1) are stored as their packed bytes.
    pub fn stored_as(self) -> ElementType {
        match self {
            TargetType::F32 => ElementType::F32,
            TargetType::F16 => ElementType::F16,
            TargetType::BF16 => ElementType::BF16,
            TargetType::I8 => ElementType::I8,
            TargetType::U8 | TargetType::B1 => ElementType::U8,
        }
    }

    /// Elements of [`stored_as`](Self::stored_as) in a row of `dim` components.
    pub fn stored_columns(self, dim: usize) -> usize {
        if self == TargetType::B1 { self.row_bytes(dim) } else { dim }
    }

    /// The values it can hold, as a phrase for messages.
    pub(crate) fn range(self) -> &'static str {
        match self {
            TargetType::F32 => "numbers up to 3.4e38, and integers only if exact (all up to 16777216)",
            TargetType::F16 => "numbers up to 65504, and integers only if exact (all up to 2048)",
            TargetType::BF16 => "numbers up to 3.3e38, and integers only if exact (all up to 256)",
            TargetType::I8 => "whole numbers from -128 to 127",
            TargetType::U8 => "whole numbers from 0 to 255",
            TargetType::B1 => "0 and 1",
        }
    }
}

impl fmt::Display for TargetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            TargetType::F32 => "f32",
            TargetType::F16 => "f16",
            TargetType::BF16 => "bf16",
            TargetType::I8 => "i8",
            TargetType::U8 => "u8",
            TargetType::B1 => "b1",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_of_bits_ends_with_a_whole_byte() {
        assert_eq!([0, 1, 8, 9].map(|dim| TargetType::B1.row_bytes(dim)), [0, 1, 1, 2]);
        assert_eq!(TargetType::F32.row_bytes(3), 12);
        assert_eq!(TargetType::F32.row_bytes(usize::MAX), usize::MAX);
    }
}
