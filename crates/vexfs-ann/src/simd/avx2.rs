//! AVX2, FMA and F16C of x86-64.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::level::Job;
use super::vector::{Block32, Simd};

/// Proof that the machine has AVX2, FMA and F16C: [`Avx2::new`] is the only way to get one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Avx2(());

/// One expression of intrinsics. Each use has the same two reasons to be sound, given once here.
macro_rules! avx2 {
    ($code:expr) => {
        // SAFETY: the method's `self` is an [`Avx2`], so the machine has the instructions. Where memory is touched, the
        // pointer is that of a reference to an array of exactly the bytes loaded or stored, and the unaligned form of
        // the instruction is used.
        unsafe { $code }
    };
}

impl Avx2 {
    /// The proof, where there is one.
    pub(crate) fn new() -> Option<Self> {
        let has_all = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has_all.then_some(Self(()))
    }

    /// Runs `job` compiled with these instructions.
    pub(crate) fn run<J: Job>(self, job: J) -> J::Out {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn with_features<J: Job>(token: Avx2, job: J) -> J::Out {
            job.run(token)
        }
        // SAFETY: `self` proves that the machine has the three features enabled there.
        unsafe { with_features(self, job) }
    }

    /// The sums of eight vectors in order, from vectors whose halves have the sums of their halves of four.
    #[inline(always)]
    fn add_halves(self, abcd: __m256i, efgh: __m256i) -> __m256i {
        avx2!({
            let low = _mm256_permute2x128_si256::<0x20>(abcd, efgh);
            let high = _mm256_permute2x128_si256::<0x31>(abcd, efgh);
            _mm256_add_epi32(low, high)
        })
    }
}

impl Simd for Avx2 {
    type F32 = __m256;
    type I32 = __m256i;
    type I16 = __m256i;
    type Bytes = __m256i;
    type Count = __m256i;

    #[inline(always)]
    fn splat_f32(self, value: f32) -> __m256 {
        avx2!(_mm256_set1_ps(value))
    }
    #[inline(always)]
    fn load_f32(self, from: &[f32; 8]) -> __m256 {
        avx2!(_mm256_loadu_ps(from.as_ptr()))
    }
    #[inline(always)]
    fn store_f32(self, value: __m256, to: &mut [f32; 8]) {
        avx2!(_mm256_storeu_ps(to.as_mut_ptr(), value))
    }
    #[inline(always)]
    fn widen_f32(self, from: &[u8; 32]) -> __m256 {
        avx2!(_mm256_castsi256_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn widen_f16(self, from: &[u8; 16]) -> __m256 {
        avx2!(_mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn widen_bf16(self, from: &[u8; 16]) -> __m256 {
        avx2!({
            let halves = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.as_ptr().cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(halves))
        })
    }
    #[inline(always)]
    fn widen_u8(self, from: &[u8; 8]) -> __m256 {
        avx2!(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(from.as_ptr().cast()))))
    }
    #[inline(always)]
    fn widen_i8(self, from: &[u8; 8]) -> __m256 {
        avx2!(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(from.as_ptr().cast()))))
    }
    #[inline(always)]
    fn add_f32(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub_f32(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul_f32(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn mul_add_f32(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        avx2!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn min_f32(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn max_f32(self, a: __m256, b: __m256) -> __m256 {
        avx2!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn sum_f32(self, value: __m256) -> f32 {
        avx2!({
            let four = _mm_add_ps(_mm256_castps256_ps128(value), _mm256_extractf128_ps::<1>(value));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
        })
    }
    #[inline(always)]
    fn positive_f32(self, value: __m256) -> u32 {
        avx2!(_mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(value, _mm256_setzero_ps()))) as u32
    }
    #[inline(always)]
    fn round_f32(self, value: __m256) -> __m256i {
        avx2!(_mm256_cvtps_epi32(value))
    }

    #[inline(always)]
    fn zero_i32(self) -> __m256i {
        avx2!(_mm256_setzero_si256())
    }
    #[inline(always)]
    fn add_i32(self, a: __m256i, b: __m256i) -> __m256i {
        avx2!(_mm256_add_epi32(a, b))
    }
    #[inline(always)]
    fn to_array_i32(self, value: __m256i) -> [i32; 8] {
        let mut array = [0; 8];
        avx2!(_mm256_storeu_si256(array.as_mut_ptr().cast(), value));
        array
    }
    #[inline(always)]
    fn sum_i32(self, value: __m256i) -> i64 {
        avx2!({
            let low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(value));
            let high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256::<1>(value));
            let four = _mm256_add_epi64(low, high);
            let two = _mm_add_epi64(_mm256_castsi256_si128(four), _mm256_extracti128_si256::<1>(four));
            _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two)))
        })
    }
    #[inline(always)]
    fn sums_i32(self, [a, b, c, d, e, f, g, h]: [__m256i; 8]) -> __m256i {
        avx2!({
            let abcd = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
            let efgh = _mm256_hadd_epi32(_mm256_hadd_epi32(e, f), _mm256_hadd_epi32(g, h));
            self.add_halves(abcd, efgh)
        })
    }
    #[inline(always)]
    fn to_f32(self, value: __m256i) -> __m256 {
        avx2!(_mm256_cvtepi32_ps(value))
    }

    #[inline(always)]
    fn load_i16(self, from: &[i16; 16]) -> __m256i {
        avx2!(_mm256_loadu_si256(from.as_ptr().cast()))
    }
    #[inline(always)]
    fn zero_i16(self) -> __m256i {
        avx2!(_mm256_setzero_si256())
    }
    #[inline(always)]
    fn i16_from_u8(self, from: &[u8; 16]) -> __m256i {
        avx2!(_mm256_cvtepu8_epi16(_mm_loadu_si128(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn i16_from_i8(self, from: &[u8; 16]) -> __m256i {
        avx2!(_mm256_cvtepi8_epi16(_mm_loadu_si128(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn add_i16(self, a: __m256i, b: __m256i) -> __m256i {
        avx2!(_mm256_add_epi16(a, b))
    }
    #[inline(always)]
    fn sub_i16(self, a: __m256i, b: __m256i) -> __m256i {
        avx2!(_mm256_sub_epi16(a, b))
    }
    #[inline(always)]
    fn dot_i16(self, a: __m256i, b: __m256i) -> __m256i {
        avx2!(_mm256_madd_epi16(a, b))
    }
    #[inline(always)]
    fn pair_sum_i16(self, a: __m256i) -> __m256i {
        avx2!(_mm256_madd_epi16(a, _mm256_set1_epi16(1)))
    }
    #[inline(always)]
    fn sums_i16(self, [a, b, c, d, e, f, g, h]: [__m256i; 8]) -> __m256i {
        avx2!({
            // Two vectors are one before they are widened.
            let ab = self.pair_sum_i16(_mm256_hadd_epi16(a, b));
            let cd = self.pair_sum_i16(_mm256_hadd_epi16(c, d));
            let ef = self.pair_sum_i16(_mm256_hadd_epi16(e, f));
            let gh = self.pair_sum_i16(_mm256_hadd_epi16(g, h));
            self.add_halves(_mm256_hadd_epi32(ab, cd), _mm256_hadd_epi32(ef, gh))
        })
    }

    #[inline(always)]
    fn narrow_u7(self, [a, b, c, d]: [__m256i; 4]) -> __m256i {
        avx2!({
            let words = (_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
            // Packing works within halves: fours of lanes come out as a₀ b₀ c₀ d₀ a₁ b₁ c₁ d₁.
            let bytes = _mm256_packus_epi16(words.0, words.1);
            _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
        })
    }
    #[inline(always)]
    fn store_bytes(self, value: __m256i, to: &mut Block32) {
        avx2!(_mm256_storeu_si256(to.0.as_mut_ptr().cast(), value))
    }
    #[inline(always)]
    fn load_bytes(self, from: &Block32) -> __m256i {
        avx2!(_mm256_loadu_si256(from.0.as_ptr().cast()))
    }
    #[inline(always)]
    fn nibbles(self, from: __m256i) -> (__m256i, __m256i) {
        avx2!({
            let mask = _mm256_set1_epi8(0x0f);
            (_mm256_and_si256(from, mask), _mm256_and_si256(_mm256_srli_epi16::<4>(from), mask))
        })
    }
    #[inline(always)]
    fn splat_bytes(self, from: [u8; 4]) -> __m256i {
        avx2!(_mm256_set1_epi32(i32::from_le_bytes(from)))
    }
    #[inline(always)]
    fn dot_u7_i8(self, a: __m256i, b: __m256i) -> __m256i {
        avx2!(_mm256_maddubs_epi16(a, b))
    }

    #[inline(always)]
    fn look_up_pairs(self, tables: &Block32, codes: __m256i) -> __m256i {
        avx2!({
            let tables = _mm256_loadu_si256(tables.0.as_ptr().cast());
            let low = _mm256_permute2x128_si256::<0x00>(tables, tables);
            let high = _mm256_permute2x128_si256::<0x11>(tables, tables);
            let half = _mm256_set1_epi8(15);
            let upper = _mm256_and_si256(_mm256_srli_epi16::<4>(codes), half);
            let lower = _mm256_and_si256(codes, half);
            _mm256_add_epi8(_mm256_shuffle_epi8(low, lower), _mm256_shuffle_epi8(high, upper))
        })
    }
    #[inline(always)]
    fn even_odd_u8(self, bytes: __m256i) -> [__m256i; 2] {
        avx2!([_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(bytes)])
    }
    #[inline(always)]
    fn store_i16(self, value: __m256i, to: &mut [i16; 16]) {
        avx2!(_mm256_storeu_si256(to.as_mut_ptr().cast(), value))
    }

    #[inline(always)]
    fn zero_count(self) -> __m256i {
        avx2!(_mm256_setzero_si256())
    }
    /// Looks the count of each half byte up in a register (Muła, Kurz, Lemire, arXiv:1611.07612, section 3.2).
    #[inline(always)]
    fn count_xor(self, count: __m256i, a: &[u8; 32], b: &[u8; 32]) -> __m256i {
        avx2!({
            let a = _mm256_loadu_si256(a.as_ptr().cast());
            let bits = _mm256_xor_si256(a, _mm256_loadu_si256(b.as_ptr().cast()));
            let table = _mm256_setr_epi64x(
                0x0302_0201_0201_0100,
                0x0403_0302_0302_0201,
                0x0302_0201_0201_0100,
                0x0403_0302_0302_0201,
            );
            let mask = _mm256_set1_epi8(0x0f);
            let low = _mm256_shuffle_epi8(table, _mm256_and_si256(bits, mask));
            let high = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16::<4>(bits), mask));
            let bytes = _mm256_add_epi8(low, high);
            _mm256_add_epi64(count, _mm256_sad_epu8(bytes, _mm256_setzero_si256()))
        })
    }
    #[inline(always)]
    fn sum_count(self, count: __m256i) -> u64 {
        avx2!({
            let two = _mm_add_epi64(_mm256_castsi256_si128(count), _mm256_extracti128_si256::<1>(count));
            _mm_cvtsi128_si64(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))) as u64
        })
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        avx2!(_mm_prefetch::<_MM_HINT_T1>(address.cast()))
    }
}
