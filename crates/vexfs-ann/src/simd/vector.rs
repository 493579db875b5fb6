//! The operations kernels are made of.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// 32 bytes, aligned so that a load never straddles two cache lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(32))]
pub(crate) struct Block32(pub(crate) [u8; 32]);

impl Block32 {
    /// All zeros.
    pub(crate) const ZERO: Self = Self([0; 32]);
}

/// One instruction set. A value exists only where the instructions do; vectors are 256 bits wide.
///
/// Sums within a vector and over vectors may be added in any order; integers wrap.
pub(crate) trait Simd: Copy {
    /// 8 × f32.
    type F32: Copy;
    /// 8 × i32.
    type I32: Copy;
    /// 16 × i16.
    type I16: Copy;
    /// 32 × u8 or i8.
    type Bytes: Copy;
    /// Running sum of bit counts.
    type Count: Copy;

    /// `value` in all lanes.
    fn splat_f32(self, value: f32) -> Self::F32;
    /// Eight f32 from memory.
    fn load_f32(self, from: &[f32; 8]) -> Self::F32;
    /// Eight f32 to memory.
    fn store_f32(self, value: Self::F32, to: &mut [f32; 8]);
    /// Eight stored f32.
    fn widen_f32(self, from: &[u8; 32]) -> Self::F32;
    /// Eight stored binary16, exactly.
    fn widen_f16(self, from: &[u8; 16]) -> Self::F32;
    /// Eight stored bfloat16, exactly.
    fn widen_bf16(self, from: &[u8; 16]) -> Self::F32;
    /// Eight unsigned bytes, exactly.
    fn widen_u8(self, from: &[u8; 8]) -> Self::F32;
    /// Eight signed bytes, exactly.
    fn widen_i8(self, from: &[u8; 8]) -> Self::F32;
    /// a + b.
    fn add_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a − b.
    fn sub_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a · b.
    fn mul_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// a · b + c, rounded once or twice.
    fn mul_add_f32(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32;
    /// The smaller per lane; either operand where one is NaN.
    fn min_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// The larger per lane; either operand where one is NaN.
    fn max_f32(self, a: Self::F32, b: Self::F32) -> Self::F32;
    /// Sum of the lanes.
    fn sum_f32(self, value: Self::F32) -> f32;
    /// Bit i set: lane i is greater than zero; not set for NaN.
    fn positive_f32(self, value: Self::F32) -> u32;
    /// Nearest integers; any value for a NaN or what an i32 cannot hold.
    fn round_f32(self, value: Self::F32) -> Self::I32;

    /// Eight zeros.
    fn zero_i32(self) -> Self::I32;
    /// a + b.
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32;
    /// The lanes.
    fn to_array_i32(self, value: Self::I32) -> [i32; 8];
    /// Sum of the lanes.
    fn sum_i32(self, value: Self::I32) -> i64;
    /// Lane i is the sum of the lanes of vector i, wrapping.
    fn sums_i32(self, values: [Self::I32; 8]) -> Self::I32;
    /// Nearest f32.
    fn to_f32(self, value: Self::I32) -> Self::F32;

    /// Sixteen i16 from memory.
    fn load_i16(self, from: &[i16; 16]) -> Self::I16;
    /// Sixteen zeros.
    fn zero_i16(self) -> Self::I16;
    /// Sixteen unsigned bytes.
    fn i16_from_u8(self, from: &[u8; 16]) -> Self::I16;
    /// Sixteen signed bytes.
    fn i16_from_i8(self, from: &[u8; 16]) -> Self::I16;
    /// a + b.
    fn add_i16(self, a: Self::I16, b: Self::I16) -> Self::I16;
    /// a − b.
    fn sub_i16(self, a: Self::I16, b: Self::I16) -> Self::I16;
    /// Products added in pairs: lane i is a₂ᵢ b₂ᵢ + a₂ᵢ₊₁ b₂ᵢ₊₁.
    fn dot_i16(self, a: Self::I16, b: Self::I16) -> Self::I32;
    /// Lanes added in pairs: lane i is a₂ᵢ + a₂ᵢ₊₁.
    fn pair_sum_i16(self, a: Self::I16) -> Self::I32;
    /// The sum of the lanes of each vector, in order. Any value where two lanes that are next to each other exceed an i16 together.
    #[inline(always)]
    fn sums_i16(self, values: [Self::I16; 8]) -> Self::I32 {
        let mut sums = [self.zero_i32(); 8];
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum = self.pair_sum_i16(value);
        }
        self.sums_i32(sums)
    }

    /// Lanes of 0 ..= 127 as bytes, in order; any bytes for other values.
    fn narrow_u7(self, from: [Self::I32; 4]) -> Self::Bytes;
    /// Thirty-two bytes to memory.
    fn store_bytes(self, value: Self::Bytes, to: &mut Block32);
    /// Thirty-two bytes from memory.
    fn load_bytes(self, from: &Block32) -> Self::Bytes;
    /// The lower and the upper four bits of each byte.
    fn nibbles(self, from: Self::Bytes) -> (Self::Bytes, Self::Bytes);
    /// `from` eight times over.
    fn splat_bytes(self, from: [u8; 4]) -> Self::Bytes;
    /// Products of bytes of at most 127 and signed bytes added in pairs; any value where a pair exceeds an i16.
    fn dot_u7_i8(self, a: Self::Bytes, b: Self::Bytes) -> Self::I16;
    /// Whether [`dot_quads`](Self::dot_quads) is one instruction.
    const QUADS: bool = false;
    /// `sum` and the products of bytes of at most 127 and signed bytes added in fours: lane i gets those of bytes 4 i to
    /// 4 i + 3. Any value where a pair exceeds an i16, unless [`QUADS`](Self::QUADS).
    #[inline(always)]
    fn dot_quads(self, sum: Self::I32, a: Self::Bytes, b: Self::Bytes) -> Self::I32 {
        self.add_i32(sum, self.pair_sum_i16(self.dot_u7_i8(a, b)))
    }

    /// For each byte of `codes`, the entry of its lower half in the first sixteen entries of `tables` and that of its upper half
    /// in the second, added; wraps.
    fn look_up_pairs(self, tables: &Block32, codes: Self::Bytes) -> Self::Bytes;
    /// The bytes of even index and those of odd index, unsigned.
    fn even_odd_u8(self, bytes: Self::Bytes) -> [Self::I16; 2];
    /// Sixteen i16 to memory.
    fn store_i16(self, value: Self::I16, to: &mut [i16; 16]);

    /// No bits.
    fn zero_count(self) -> Self::Count;
    /// `count` and the number of bits in which `a` and `b` differ.
    fn count_xor(self, count: Self::Count, a: &[u8; 32], b: &[u8; 32]) -> Self::Count;
    /// The number of bits counted.
    fn sum_count(self, count: Self::Count) -> u64;

    /// Asks for the cache line of `address`, which need not be mapped, into the second-level cache.
    fn prefetch(self, address: *const u8);
}
