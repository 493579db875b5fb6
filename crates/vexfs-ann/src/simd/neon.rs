//! Advanced SIMD of AArch64: each vector of the trait is two of 128 bits.
#![allow(unsafe_code)]

use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};
use std::array::from_fn;

use super::level::Job;
use super::vector::{Block32, Simd};

/// Proof that the machine has Advanced SIMD, and with `DOT` its dot products of bytes: [`Neon::new`] is the only way to
/// get one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Neon<const DOT: bool>(());

impl<const DOT: bool> Neon<DOT> {
    /// The proof, where there is one.
    pub(crate) fn new() -> Option<Self> {
        let has_all =
            is_aarch64_feature_detected!("neon") && (!DOT || is_aarch64_feature_detected!("dotprod"));
        has_all.then_some(Self(()))
    }

    /// Runs `job` compiled with these instructions.
    pub(crate) fn run<J: Job>(self, job: J) -> J::Out {
        #[target_feature(enable = "neon")]
        fn with_features<const DOT: bool, J: Job>(token: Neon<DOT>, job: J) -> J::Out {
            job.run(token)
        }
        // SAFETY: `self` proves that the machine has the feature enabled there.
        unsafe { with_features(self, job) }
    }
}

/// One expression of intrinsics. Each use has the same two reasons to be sound, given once here.
macro_rules! neon {
    ($code:expr) => {
        // SAFETY: the method's `self` is a [`Neon`], so the machine has the instructions. Where memory is touched, the
        // pointer is that of a reference to an array, and within it there are as many bytes behind the pointer as are
        // loaded or stored; these instructions do not ask for alignment.
        unsafe { $code }
    };
}

/// The same operation on both halves.
macro_rules! both {
    ($operation:ident, $($operand:expr),+) => {
        from_fn(|i| neon!($operation($($operand[i]),+)))
    };
}

impl<const DOT: bool> Simd for Neon<DOT> {
    type F32 = [float32x4_t; 2];
    type I32 = [int32x4_t; 2];
    type I16 = [int16x8_t; 2];
    type Bytes = [uint8x16_t; 2];
    type Count = uint64x2_t;

    #[inline(always)]
    fn splat_f32(self, value: f32) -> Self::F32 {
        neon!([vdupq_n_f32(value); 2])
    }
    #[inline(always)]
    fn load_f32(self, from: &[f32; 8]) -> Self::F32 {
        from_fn(|i| neon!(vld1q_f32(from.as_ptr().add(4 * i))))
    }
    #[inline(always)]
    fn store_f32(self, value: Self::F32, to: &mut [f32; 8]) {
        for (i, value) in value.into_iter().enumerate() {
            neon!(vst1q_f32(to.as_mut_ptr().add(4 * i), value));
        }
    }
    #[inline(always)]
    fn widen_f32(self, from: &[u8; 32]) -> Self::F32 {
        from_fn(|i| neon!(vreinterpretq_f32_u8(vld1q_u8(from.as_ptr().add(16 * i)))))
    }
    /// By FCVTL, for which stable Rust has no intrinsic.
    #[inline(always)]
    fn widen_f16(self, from: &[u8; 16]) -> Self::F32 {
        neon!({
            let halves = vld1q_u8(from.as_ptr());
            let (low, high): (float32x4_t, float32x4_t);
            asm!(
                "fcvtl {low:v}.4s, {halves:v}.4h",
                "fcvtl2 {high:v}.4s, {halves:v}.8h",
                low = out(vreg) low,
                high = lateout(vreg) high,
                halves = in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags),
            );
            [low, high]
        })
    }
    #[inline(always)]
    fn widen_bf16(self, from: &[u8; 16]) -> Self::F32 {
        neon!({
            let halves = vreinterpretq_u16_u8(vld1q_u8(from.as_ptr()));
            let (low, high) = (vshll_n_u16::<16>(vget_low_u16(halves)), vshll_high_n_u16::<16>(halves));
            [vreinterpretq_f32_u32(low), vreinterpretq_f32_u32(high)]
        })
    }
    #[inline(always)]
    fn widen_u8(self, from: &[u8; 8]) -> Self::F32 {
        neon!({
            let words = vmovl_u8(vld1_u8(from.as_ptr()));
            [vcvtq_f32_u32(vmovl_u16(vget_low_u16(words))), vcvtq_f32_u32(vmovl_high_u16(words))]
        })
    }
    #[inline(always)]
    fn widen_i8(self, from: &[u8; 8]) -> Self::F32 {
        neon!({
            let words = vmovl_s8(vreinterpret_s8_u8(vld1_u8(from.as_ptr())));
            [vcvtq_f32_s32(vmovl_s16(vget_low_s16(words))), vcvtq_f32_s32(vmovl_high_s16(words))]
        })
    }
    #[inline(always)]
    fn add_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(vaddq_f32, a, b)
    }
    #[inline(always)]
    fn sub_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(vsubq_f32, a, b)
    }
    #[inline(always)]
    fn mul_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(vmulq_f32, a, b)
    }
    #[inline(always)]
    fn mul_add_f32(self, a: Self::F32, b: Self::F32, c: Self::F32) -> Self::F32 {
        both!(vfmaq_f32, c, a, b)
    }
    #[inline(always)]
    fn min_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(vminnmq_f32, a, b)
    }
    #[inline(always)]
    fn max_f32(self, a: Self::F32, b: Self::F32) -> Self::F32 {
        both!(vmaxnmq_f32, a, b)
    }
    #[inline(always)]
    fn sum_f32(self, [a, b]: Self::F32) -> f32 {
        neon!(vaddvq_f32(vaddq_f32(a, b)))
    }
    #[inline(always)]
    fn positive_f32(self, value: Self::F32) -> u32 {
        let weights: [[u32; 4]; 2] = [[1, 2, 4, 8], [16, 32, 64, 128]];
        let bits: [u32; 2] =
            from_fn(|i| neon!(vaddvq_u32(vandq_u32(vcgtzq_f32(value[i]), vld1q_u32(weights[i].as_ptr())))));
        bits[0] | bits[1]
    }
    #[inline(always)]
    fn round_f32(self, value: Self::F32) -> Self::I32 {
        both!(vcvtnq_s32_f32, value)
    }

    #[inline(always)]
    fn zero_i32(self) -> Self::I32 {
        neon!([vdupq_n_s32(0); 2])
    }
    #[inline(always)]
    fn add_i32(self, a: Self::I32, b: Self::I32) -> Self::I32 {
        both!(vaddq_s32, a, b)
    }
    #[inline(always)]
    fn to_array_i32(self, value: Self::I32) -> [i32; 8] {
        let mut array = [0; 8];
        for (i, value) in value.into_iter().enumerate() {
            neon!(vst1q_s32(array.as_mut_ptr().add(4 * i), value));
        }
        array
    }
    #[inline(always)]
    fn sum_i32(self, [a, b]: Self::I32) -> i64 {
        neon!(vaddlvq_s32(a) + vaddlvq_s32(b))
    }
    #[inline(always)]
    fn sums_i32(self, values: [Self::I32; 8]) -> Self::I32 {
        let [a, b, c, d, e, f, g, h] = values.map(|[low, high]| neon!(vaddq_s32(low, high)));
        let four = |a, b, c, d| neon!(vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)));
        [four(a, b, c, d), four(e, f, g, h)]
    }
    #[inline(always)]
    fn to_f32(self, value: Self::I32) -> Self::F32 {
        both!(vcvtq_f32_s32, value)
    }

    #[inline(always)]
    fn load_i16(self, from: &[i16; 16]) -> Self::I16 {
        from_fn(|i| neon!(vld1q_s16(from.as_ptr().add(8 * i))))
    }
    #[inline(always)]
    fn zero_i16(self) -> Self::I16 {
        neon!([vdupq_n_s16(0); 2])
    }
    #[inline(always)]
    fn i16_from_u8(self, from: &[u8; 16]) -> Self::I16 {
        from_fn(|i| neon!(vreinterpretq_s16_u16(vmovl_u8(vld1_u8(from.as_ptr().add(8 * i))))))
    }
    #[inline(always)]
    fn i16_from_i8(self, from: &[u8; 16]) -> Self::I16 {
        from_fn(|i| neon!(vmovl_s8(vreinterpret_s8_u8(vld1_u8(from.as_ptr().add(8 * i))))))
    }
    #[inline(always)]
    fn add_i16(self, a: Self::I16, b: Self::I16) -> Self::I16 {
        both!(vaddq_s16, a, b)
    }
    #[inline(always)]
    fn sub_i16(self, a: Self::I16, b: Self::I16) -> Self::I16 {
        both!(vsubq_s16, a, b)
    }
    #[inline(always)]
    fn dot_i16(self, a: Self::I16, b: Self::I16) -> Self::I32 {
        from_fn(|i| {
            neon!({
                let low = vmull_s16(vget_low_s16(a[i]), vget_low_s16(b[i]));
                vpaddq_s32(low, vmull_high_s16(a[i], b[i]))
            })
        })
    }
    #[inline(always)]
    fn pair_sum_i16(self, a: Self::I16) -> Self::I32 {
        both!(vpaddlq_s16, a)
    }

    #[inline(always)]
    fn narrow_u7(self, from: [Self::I32; 4]) -> Self::Bytes {
        let words: [int16x8_t; 4] = from_fn(|i| neon!(vmovn_high_s32(vmovn_s32(from[i][0]), from[i][1])));
        from_fn(|i| neon!(vreinterpretq_u8_s8(vmovn_high_s16(vmovn_s16(words[2 * i]), words[2 * i + 1]))))
    }
    #[inline(always)]
    fn store_bytes(self, value: Self::Bytes, to: &mut Block32) {
        for (i, value) in value.into_iter().enumerate() {
            neon!(vst1q_u8(to.0.as_mut_ptr().add(16 * i), value));
        }
    }
    #[inline(always)]
    fn load_bytes(self, from: &Block32) -> Self::Bytes {
        from_fn(|i| neon!(vld1q_u8(from.0.as_ptr().add(16 * i))))
    }
    #[inline(always)]
    fn nibbles(self, from: Self::Bytes) -> (Self::Bytes, Self::Bytes) {
        let low = from_fn(|i| neon!(vandq_u8(from[i], vdupq_n_u8(15))));
        (low, from_fn(|i| neon!(vshrq_n_u8::<4>(from[i]))))
    }
    #[inline(always)]
    fn splat_bytes(self, from: [u8; 4]) -> Self::Bytes {
        neon!([vreinterpretq_u8_u32(vdupq_n_u32(u32::from_le_bytes(from))); 2])
    }
    #[inline(always)]
    fn dot_u7_i8(self, a: Self::Bytes, b: Self::Bytes) -> Self::I16 {
        from_fn(|i| {
            neon!({
                let (a, b) = (vreinterpretq_s8_u8(a[i]), vreinterpretq_s8_u8(b[i]));
                vpaddq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)), vmull_high_s8(a, b))
            })
        })
    }

    const QUADS: bool = DOT;

    /// By SDOT, for which stable Rust has no intrinsic: codes of seven bits are the same signed and unsigned.
    #[inline(always)]
    fn dot_quads(self, sum: Self::I32, a: Self::Bytes, b: Self::Bytes) -> Self::I32 {
        if !DOT {
            return self.add_i32(sum, self.pair_sum_i16(self.dot_u7_i8(a, b)));
        }
        from_fn(|i| {
            neon!({
                let mut sum = sum[i];
                asm!(
                    ".arch_extension dotprod",
                    "sdot {sum:v}.4s, {a:v}.16b, {b:v}.16b",
                    sum = inout(vreg) sum,
                    a = in(vreg) a[i],
                    b = in(vreg) b[i],
                    options(pure, nomem, nostack, preserves_flags),
                );
                sum
            })
        })
    }

    #[inline(always)]
    fn look_up_pairs(self, tables: &Block32, codes: Self::Bytes) -> Self::Bytes {
        codes.map(|codes| {
            neon!({
                let low = vld1q_u8(tables.0.as_ptr());
                let high = vld1q_u8(tables.0.as_ptr().add(16));
                let lower = vqtbl1q_u8(low, vandq_u8(codes, vdupq_n_u8(15)));
                vaddq_u8(lower, vqtbl1q_u8(high, vshrq_n_u8::<4>(codes)))
            })
        })
    }
    #[inline(always)]
    fn even_odd_u8(self, bytes: Self::Bytes) -> [Self::I16; 2] {
        let words = bytes.map(|bytes| neon!(vreinterpretq_u16_u8(bytes)));
        let even = words.map(|words| neon!(vreinterpretq_s16_u16(vandq_u16(words, vdupq_n_u16(0xff)))));
        let odd = words.map(|words| neon!(vreinterpretq_s16_u16(vshrq_n_u16::<8>(words))));
        [even, odd]
    }
    #[inline(always)]
    fn store_i16(self, value: Self::I16, to: &mut [i16; 16]) {
        for (i, value) in value.into_iter().enumerate() {
            neon!(vst1q_s16(to.as_mut_ptr().add(8 * i), value));
        }
    }
    #[inline(always)]
    fn zero_count(self) -> uint64x2_t {
        neon!(vdupq_n_u64(0))
    }
    #[inline(always)]
    fn count_xor(self, count: uint64x2_t, a: &[u8; 32], b: &[u8; 32]) -> uint64x2_t {
        let counts: [uint8x16_t; 2] = from_fn(|i| {
            neon!(vcntq_u8(veorq_u8(vld1q_u8(a.as_ptr().add(16 * i)), vld1q_u8(b.as_ptr().add(16 * i)))))
        });
        neon!(vpadalq_u32(count, vpaddlq_u16(vpaddlq_u8(vaddq_u8(counts[0], counts[1])))))
    }
    #[inline(always)]
    fn sum_count(self, count: uint64x2_t) -> u64 {
        neon!(vaddvq_u64(count))
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        neon!(asm!("prfm pldl2keep, [{}]", in(reg) address, options(nostack, readonly, preserves_flags)))
    }
}
