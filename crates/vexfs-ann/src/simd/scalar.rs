//! The portable level: vectors are arrays, and the compiler's baseline instructions do the work.

use std::array::from_fn;

use half::{bf16, f16};

use super::vector::{Block32, Simd};

/// Portable code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scalar;

impl Simd for Scalar {
    type F32 = [f32; 8];
    type I32 = [i32; 8];
    type I16 = [i16; 16];
    type Bytes = [u8; 32];
    type Count = u64;

    #[inline(always)]
    fn splat_f32(self, value: f32) -> [f32; 8] {
        [value; 8]
    }
    #[inline(always)]
    fn load_f32(self, from: &[f32; 8]) -> [f32; 8] {
        *from
    }
    #[inline(always)]
    fn store_f32(self, value: [f32; 8], to: &mut [f32; 8]) {
        *to = value;
    }
    #[inline(always)]
    fn widen_f32(self, from: &[u8; 32]) -> [f32; 8] {
        from_fn(|i| f32::from_le_bytes(from_fn(|byte| from[4 * i + byte])))
    }
    #[inline(always)]
    fn widen_f16(self, from: &[u8; 16]) -> [f32; 8] {
        from_fn(|i| f16::from_le_bytes([from[2 * i], from[2 * i + 1]]).to_f32())
    }
    #[inline(always)]
    fn widen_bf16(self, from: &[u8; 16]) -> [f32; 8] {
        from_fn(|i| bf16::from_le_bytes([from[2 * i], from[2 * i + 1]]).to_f32())
    }
    #[inline(always)]
    fn widen_u8(self, from: &[u8; 8]) -> [f32; 8] {
        from.map(f32::from)
    }
    #[inline(always)]
    fn widen_i8(self, from: &[u8; 8]) -> [f32; 8] {
        from.map(|byte| f32::from(byte as i8))
    }
    #[inline(always)]
    fn add_f32(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        from_fn(|i| a[i] + b[i])
    }
    #[inline(always)]
    fn sub_f32(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        from_fn(|i| a[i] - b[i])
    }
    #[inline(always)]
    fn mul_f32(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        from_fn(|i| a[i] * b[i])
    }
    #[inline(always)]
    fn mul_add_f32(self, a: [f32; 8], b: [f32; 8], c: [f32; 8]) -> [f32; 8] {
        from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    fn min_f32(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        from_fn(|i| a[i].min(b[i]))
    }
    #[inline(always)]
    fn max_f32(self, a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
        from_fn(|i| a[i].max(b[i]))
    }
    #[inline(always)]
    fn sum_f32(self, value: [f32; 8]) -> f32 {
        let [a, b, c, d, e, f, g, h] = value;
        ((a + e) + (c + g)) + ((b + f) + (d + h))
    }
    #[inline(always)]
    fn positive_f32(self, value: [f32; 8]) -> u32 {
        (0..8).fold(0, |bits, i| bits | u32::from(value[i] > 0.0) << i)
    }
    #[inline(always)]
    fn round_f32(self, value: [f32; 8]) -> [i32; 8] {
        value.map(|x| x.round_ties_even() as i32)
    }

    #[inline(always)]
    fn zero_i32(self) -> [i32; 8] {
        [0; 8]
    }
    #[inline(always)]
    fn add_i32(self, a: [i32; 8], b: [i32; 8]) -> [i32; 8] {
        from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn to_array_i32(self, value: [i32; 8]) -> [i32; 8] {
        value
    }
    #[inline(always)]
    fn sum_i32(self, value: [i32; 8]) -> i64 {
        value.iter().map(|&x| i64::from(x)).sum()
    }
    #[inline(always)]
    fn sums_i32(self, values: [[i32; 8]; 8]) -> [i32; 8] {
        values.map(|value| value.into_iter().fold(0, i32::wrapping_add))
    }
    #[inline(always)]
    fn to_f32(self, value: [i32; 8]) -> [f32; 8] {
        value.map(|x| x as f32)
    }

    #[inline(always)]
    fn load_i16(self, from: &[i16; 16]) -> [i16; 16] {
        *from
    }
    #[inline(always)]
    fn zero_i16(self) -> [i16; 16] {
        [0; 16]
    }
    #[inline(always)]
    fn i16_from_u8(self, from: &[u8; 16]) -> [i16; 16] {
        from.map(i16::from)
    }
    #[inline(always)]
    fn i16_from_i8(self, from: &[u8; 16]) -> [i16; 16] {
        from.map(|byte| i16::from(byte as i8))
    }
    #[inline(always)]
    fn add_i16(self, a: [i16; 16], b: [i16; 16]) -> [i16; 16] {
        from_fn(|i| a[i].wrapping_add(b[i]))
    }
    #[inline(always)]
    fn sub_i16(self, a: [i16; 16], b: [i16; 16]) -> [i16; 16] {
        from_fn(|i| a[i].wrapping_sub(b[i]))
    }
    #[inline(always)]
    fn dot_i16(self, a: [i16; 16], b: [i16; 16]) -> [i32; 8] {
        let product = |i: usize| i32::from(a[i]) * i32::from(b[i]);
        from_fn(|i| product(2 * i).wrapping_add(product(2 * i + 1)))
    }
    #[inline(always)]
    fn pair_sum_i16(self, a: [i16; 16]) -> [i32; 8] {
        from_fn(|i| i32::from(a[2 * i]) + i32::from(a[2 * i + 1]))
    }

    #[inline(always)]
    fn narrow_u7(self, from: [[i32; 8]; 4]) -> [u8; 32] {
        from_fn(|i| from[i / 8][i % 8] as u8)
    }
    #[inline(always)]
    fn store_bytes(self, value: [u8; 32], to: &mut Block32) {
        to.0 = value;
    }
    #[inline(always)]
    fn load_bytes(self, from: &Block32) -> [u8; 32] {
        from.0
    }
    #[inline(always)]
    fn nibbles(self, from: [u8; 32]) -> ([u8; 32], [u8; 32]) {
        (from.map(|byte| byte & 15), from.map(|byte| byte >> 4))
    }
    #[inline(always)]
    fn splat_bytes(self, from: [u8; 4]) -> [u8; 32] {
        from_fn(|i| from[i % 4])
    }
    #[inline(always)]
    fn dot_u7_i8(self, a: [u8; 32], b: [u8; 32]) -> [i16; 16] {
        let product = |i: usize| i16::from(a[i]) * i16::from(b[i] as i8);
        from_fn(|i| product(2 * i).saturating_add(product(2 * i + 1)))
    }

    #[inline(always)]
    fn look_up_pairs(self, tables: &Block32, codes: [u8; 32]) -> [u8; 32] {
        codes.map(|code| {
            tables.0[usize::from(code & 15)].wrapping_add(tables.0[usize::from(16 + (code >> 4))])
        })
    }
    #[inline(always)]
    fn even_odd_u8(self, bytes: [u8; 32]) -> [[i16; 16]; 2] {
        from_fn(|odd| from_fn(|i| i16::from(bytes[2 * i + odd])))
    }
    #[inline(always)]
    fn store_i16(self, value: [i16; 16], to: &mut [i16; 16]) {
        *to = value;
    }

    #[inline(always)]
    fn zero_count(self) -> u64 {
        0
    }
    #[inline(always)]
    fn count_xor(self, count: u64, a: &[u8; 32], b: &[u8; 32]) -> u64 {
        let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
        words.fold(count, |count, (&a, &b)| {
            count + u64::from((u64::from_ne_bytes(a) ^ u64::from_ne_bytes(b)).count_ones())
        })
    }
    #[inline(always)]
    fn sum_count(self, count: u64) -> u64 {
        count
    }

    #[inline(always)]
    fn prefetch(self, _address: *const u8) {}
}
