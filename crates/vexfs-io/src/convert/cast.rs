//! The element kernels: every source type to every target type, by way of f64.
//!
//! Each source type but the 64-bit integers is a subset of f64; a 64-bit integer that is not an f64 fits no target
//! either. So one decoder per source and one encoder per target are enough, and the compiler joins the pairs.

use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::Cast;
use crate::element::{ElementType, TargetType};
use crate::error::Problem;

/// A little-endian source element.
trait Source<const N: usize> {
    /// Whether a target must hold the value exactly rather than the nearest number it has.
    const EXACT: bool;

    /// Its value, and whether f64 holds that exactly.
    fn decode(bytes: [u8; N]) -> (f64, bool);
}

/// A little-endian target element.
trait Target<const N: usize> {
    /// Its bytes for `value`, and whether they stand for it: exactly if `exact`, else after rounding.
    fn encode(value: f64, exact: bool) -> ([u8; N], bool);
}

/// The kernel that turns `element` into `target`.
pub(super) fn caster(element: ElementType, target: TargetType) -> Cast {
    match target {
        TargetType::F32 => match element {
            ElementType::F16 => f16_to_f32,
            _ => to::<f32, 4>(element),
        },
        TargetType::F16 => match element {
            ElementType::F32 => f32_to_f16,
            _ => to::<f16, 2>(element),
        },
        TargetType::BF16 => match element {
            ElementType::F32 => f32_to_bf16,
            _ => to::<bf16, 2>(element),
        },
        TargetType::I8 => to::<i8, 1>(element),
        TargetType::U8 => to::<u8, 1>(element),
        TargetType::B1 => packer(element),
    }
}

/// Defines a chooser from [`ElementType`] to an instance of a generic kernel.
macro_rules! instantiate {
    ($element:expr, $kernel:ident $(, $target:ty, $m:expr)?) => {
        match $element {
            ElementType::F16 => $kernel::<f16, 2 $(, $target, $m)?>,
            ElementType::BF16 => $kernel::<bf16, 2 $(, $target, $m)?>,
            ElementType::F32 => $kernel::<f32, 4 $(, $target, $m)?>,
            ElementType::F64 => $kernel::<f64, 8 $(, $target, $m)?>,
            ElementType::I8 => $kernel::<i8, 1 $(, $target, $m)?>,
            ElementType::I16 => $kernel::<i16, 2 $(, $target, $m)?>,
            ElementType::I32 => $kernel::<i32, 4 $(, $target, $m)?>,
            ElementType::I64 => $kernel::<i64, 8 $(, $target, $m)?>,
            ElementType::U8 => $kernel::<u8, 1 $(, $target, $m)?>,
            ElementType::U16 => $kernel::<u16, 2 $(, $target, $m)?>,
            ElementType::U32 => $kernel::<u32, 4 $(, $target, $m)?>,
            ElementType::U64 => $kernel::<u64, 8 $(, $target, $m)?>,
            ElementType::Bool => $kernel::<bool, 1 $(, $target, $m)?>,
        }
    };
}

fn to<T: Target<M>, const M: usize>(element: ElementType) -> Cast {
    instantiate!(element, cast, T, M)
}

/// The kernel that packs a row of `element` into bits, least significant first.
pub(super) fn packer(element: ElementType) -> Cast {
    instantiate!(element, pack)
}

fn cast<S: Source<N>, const N: usize, T: Target<M>, const M: usize>(source: &[u8], out: &mut [u8]) -> bool {
    let (source, _) = source.as_chunks::<N>();
    let (out, _) = out.as_chunks_mut::<M>();
    let mut sound = true;
    for (bytes, place) in source.iter().zip(out) {
        let (value, whole) = S::decode(*bytes);
        let (encoded, held) = T::encode(value, S::EXACT);
        *place = encoded;
        sound &= whole & held;
    }
    sound
}

fn pack<S: Source<N>, const N: usize>(row: &[u8], bits: &mut [u8]) -> bool {
    let (row, _) = row.as_chunks::<N>();
    let mut sound = true;
    for (elements, byte) in row.chunks(8).zip(bits) {
        let mut packed = 0;
        for (bit, bytes) in elements.iter().enumerate() {
            let (value, _) = S::decode(*bytes);
            let one = value == 1.0;
            packed |= u8::from(one) << bit;
            sound &= one | (value == 0.0);
        }
        *byte = packed;
    }
    sound
}

/// How many numbers the half crate converts at a time: enough for its vector instructions, few enough for the stack.
const BLOCK: usize = 128;

/// As [`cast`], with the vector instructions of the half crate.
fn f16_to_f32(source: &[u8], out: &mut [u8]) -> bool {
    let (mut halves, mut floats) = ([f16::ZERO; BLOCK], [0f32; BLOCK]);
    for (source, out) in source.chunks(2 * BLOCK).zip(out.chunks_mut(4 * BLOCK)) {
        let count = source.len() / 2;
        for (half, bytes) in halves.iter_mut().zip(source.as_chunks().0) {
            *half = f16::from_le_bytes(*bytes);
        }
        halves[..count].convert_to_f32_slice(&mut floats[..count]);
        for (place, float) in out.as_chunks_mut().0.iter_mut().zip(&floats) {
            *place = float.to_le_bytes();
        }
    }
    super::finite::all_f16(source)
}

/// As [`cast`], with the vector instructions of the half crate.
fn f32_to_f16(source: &[u8], out: &mut [u8]) -> bool {
    let (mut halves, mut floats) = ([f16::ZERO; BLOCK], [0f32; BLOCK]);
    for (source, out) in source.chunks(4 * BLOCK).zip(out.chunks_mut(2 * BLOCK)) {
        let count = source.len() / 4;
        for (float, bytes) in floats.iter_mut().zip(source.as_chunks().0) {
            *float = f32::from_le_bytes(*bytes);
        }
        halves[..count].convert_from_f32_slice(&floats[..count]);
        for (place, half) in out.as_chunks_mut().0.iter_mut().zip(&halves) {
            *place = half.to_le_bytes();
        }
    }
    // NaN and infinity stay what they are and overflow becomes infinity, so the result tells all.
    super::finite::all_f16(out)
}

/// As [`cast`], by rounding the integer that the bits are: to nearest, ties to even, without a branch.
fn f32_to_bf16(source: &[u8], out: &mut [u8]) -> bool {
    for (bytes, place) in source.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
        let bits = u32::from_le_bytes(*bytes);
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        *place = (rounded as u16).to_le_bytes();
    }
    // The source is judged too: a NaN may wrap round to a finite number.
    super::finite::all_f32(source) & super::finite::all_bf16(out)
}

macro_rules! source {
    ($($type:ty, $bytes:expr, $exact:expr, $decode:expr;)*) => {$(
        impl Source<$bytes> for $type {
            const EXACT: bool = $exact;
            fn decode(bytes: [u8; $bytes]) -> (f64, bool) {
                $decode(bytes)
            }
        }
    )*};
}

source! {
    f16, 2, false, |bytes| (f16::from_le_bytes(bytes).to_f64(), true);
    bf16, 2, false, |bytes| (f64::from(f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)), true);
    f32, 4, false, |bytes| (f64::from(f32::from_le_bytes(bytes)), true);
    f64, 8, false, |bytes| (f64::from_le_bytes(bytes), true);
    i8, 1, true, |bytes| (f64::from(i8::from_le_bytes(bytes)), true);
    i16, 2, true, |bytes| (f64::from(i16::from_le_bytes(bytes)), true);
    i32, 4, true, |bytes| (f64::from(i32::from_le_bytes(bytes)), true);
    i64, 8, true, |bytes| {
        let value = i64::from_le_bytes(bytes);
        // In i128, because `as i64` would turn a rounded-up 2^63 back into i64::MAX and call it exact.
        (value as f64, (value as f64) as i128 == i128::from(value))
    };
    u8, 1, true, |bytes| (f64::from(u8::from_le_bytes(bytes)), true);
    u16, 2, true, |bytes| (f64::from(u16::from_le_bytes(bytes)), true);
    u32, 4, true, |bytes| (f64::from(u32::from_le_bytes(bytes)), true);
    u64, 8, true, |bytes| {
        let value = u64::from_le_bytes(bytes);
        (value as f64, (value as f64) as u128 == u128::from(value))
    };
    bool, 1, true, |[byte]: [u8; 1]| (f64::from(byte), byte <= 1);
}

impl Target<4> for f32 {
    fn encode(value: f64, exact: bool) -> ([u8; 4], bool) {
        let rounded = value as f32;
        (rounded.to_le_bytes(), rounded.is_finite() & (!exact | (f64::from(rounded) == value)))
    }
}

impl Target<2> for f16 {
    fn encode(value: f64, exact: bool) -> ([u8; 2], bool) {
        let rounded = f16::from_f32(round_to_odd(value));
        (rounded.to_le_bytes(), rounded.is_finite() & (!exact | (rounded.to_f64() == value)))
    }
}

impl Target<2> for bf16 {
    fn encode(value: f64, exact: bool) -> ([u8; 2], bool) {
        let rounded = bf16::from_f32(round_to_odd(value));
        (rounded.to_le_bytes(), rounded.is_finite() & (!exact | (rounded.to_f64() == value)))
    }
}

impl Target<1> for i8 {
    fn encode(value: f64, _exact: bool) -> ([u8; 1], bool) {
        let whole = value as i8;
        (whole.to_le_bytes(), f64::from(whole) == value)
    }
}

impl Target<1> for u8 {
    fn encode(value: f64, _exact: bool) -> ([u8; 1], bool) {
        let whole = value as u8;
        (whole.to_le_bytes(), f64::from(whole) == value)
    }
}

/// Rounds to f32 such that rounding the result again to 16 bits gives what rounding `value` once would.
///
/// Rounding twice to nearest goes wrong when the first step lands on a tie of the second. Rounding to odd (towards
/// zero, then setting the last bit if anything was lost) never lands there: Boldo and Melquiond, "Emulation of a FMA
/// and correctly rounded sums", 2008, theorem 1. The direct f64 conversion of the half crate is not used because its
/// result depends on the instruction set, and the same input must give the same bytes on every machine.
fn round_to_odd(value: f64) -> f32 {
    let nearest = value as f32;
    let back = f64::from(nearest);
    if back == value || value.is_nan() {
        return nearest;
    }
    let towards_zero = nearest.to_bits() - u32::from(back.abs() > value.abs());
    f32::from_bits(towards_zero | 1)
}

/// Says why one element, which a kernel has rejected, cannot become `target`.
pub(super) fn explain(element: ElementType, target: TargetType, bytes: &[u8]) -> Problem {
    /// The value of the first element; kernels hand over exactly one.
    fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
        bytes.first_chunk().copied().unwrap_or([0; N])
    }
    let float = match element {
        ElementType::F16 => f16::from_le_bytes(first(bytes)).to_f64(),
        ElementType::BF16 => bf16::from_le_bytes(first(bytes)).to_f64(),
        ElementType::F32 => f64::from(f32::from_le_bytes(first(bytes))),
        ElementType::F64 => f64::from_le_bytes(first(bytes)),
        _ => 0.0,
    };
    if !float.is_finite() {
        return not_finite(float);
    }
    let value = match element {
        ElementType::F16 | ElementType::BF16 | ElementType::F64 => format!("{float:?}"),
        ElementType::F32 => format!("{:?}", f32::from_le_bytes(first(bytes))),
        ElementType::I8 => i8::from_le_bytes(first(bytes)).to_string(),
        ElementType::I16 => i16::from_le_bytes(first(bytes)).to_string(),
        ElementType::I32 => i32::from_le_bytes(first(bytes)).to_string(),
        ElementType::I64 => i64::from_le_bytes(first(bytes)).to_string(),
        ElementType::U8 => u8::from_le_bytes(first(bytes)).to_string(),
        ElementType::U16 => u16::from_le_bytes(first(bytes)).to_string(),
        ElementType::U32 => u32::from_le_bytes(first(bytes)).to_string(),
        ElementType::U64 => u64::from_le_bytes(first(bytes)).to_string(),
        ElementType::Bool => return Problem::Bool { byte: first::<1>(bytes)[0] },
    };
    Problem::Range { value, target }
}

/// The problem with a number that is not finite.
pub(crate) fn not_finite(value: f64) -> Problem {
    let value = match value {
        v if v.is_nan() => "NaN",
        v if v > 0.0 => "infinity",
        _ => "-infinity",
    };
    Problem::NotFinite { value }
}
