//! The definition of every distance: plain loops in f64. Whatever else computes a distance is measured against
//! this, and exact search answers with exactly these numbers.
//!
//! A row is first widened to f32, which is exact for every element type. Products and differences are rounded to
//! f64 once each (no fused operations), and element `i` is added to partial sum `i mod 16`; the sixteen partial sums
//! are then folded in halves. The order of additions belongs to the definition because it decides the last bit: with it
//! fixed, a scalar and a vector implementation give the same number. Bytes with whole-numbered queries have exact
//! sums in any order.

use half::{bf16, f16};

use crate::{DType, Metric};

/// Partial sums kept; see the module's description.
const LANES: usize = 16;

/// Distance of `query` from the stored `row`.
///
/// # Shape
/// `query`: d elements; `row`: `dtype.row_bytes(d)` bytes. `dtype` is not [`DType::B1`] and `metric` not
/// [`Metric::Hamming`]: those are [`hamming`].
pub fn distance(metric: Metric, dtype: DType, query: &[f32], row: &[u8]) -> f64 {
    let row = widen(dtype, row);
    match metric {
        Metric::L2 => l2(query, &row),
        Metric::InnerProduct => negated(dot(query, &row)),
        Metric::Cosine => cosine(dot(query, &row), dot(query, query), dot(&row, &row)),
        Metric::Hamming => unreachable!("bits are compared by `hamming`"),
    }
}

/// Number of bits in which two bit vectors of equal length differ.
pub fn hamming(query: &[u8], row: &[u8]) -> f64 {
    let count: u64 = query.iter().zip(row).map(|(a, b)| u64::from((a ^ b).count_ones())).sum();
    count as f64
}

/// The elements of a row as f32, exactly. `dtype` is not [`DType::B1`].
pub fn widen(dtype: DType, row: &[u8]) -> Vec<f32> {
    let pairs = || row.as_chunks::<2>().0.iter();
    match dtype {
        DType::F32 => row.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        DType::F16 => pairs().map(|&b| f16::from_le_bytes(b).to_f32()).collect(),
        DType::BF16 => pairs().map(|&b| bf16::from_le_bytes(b).to_f32()).collect(),
        DType::I8 => row.iter().map(|&b| f32::from(b as i8)).collect(),
        DType::U8 => row.iter().map(|&b| f32::from(b)).collect(),
        DType::B1 => unreachable!("bits are not numbers"),
    }
}

/// Squared Euclidean distance: Σ (aᵢ − bᵢ)².
#[inline(always)]
pub(crate) fn l2(a: &[f32], b: &[f32]) -> f64 {
    sum_of(a, b, |x, y| (x - y) * (x - y))
}

/// Inner product: Σ aᵢ bᵢ.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    sum_of(a, b, |x, y| x * y)
}

/// The inner-product distance; of a zero product it is 0, not −0.
#[inline(always)]
pub(crate) fn negated(dot: f64) -> f64 {
    0.0 - dot
}

/// The cosine distance, of the product of two vectors and their squared norms.
///
/// 1 if either norm is zero. Rounding may carry the cosine past 1; the distance is then 0.
#[inline(always)]
pub(crate) fn cosine(dot: f64, a_squared: f64, b_squared: f64) -> f64 {
    if a_squared == 0.0 || b_squared == 0.0 {
        return 1.0;
    }
    let distance = 1.0 - dot / (a_squared * b_squared).sqrt();
    // Not `max`, which would turn the NaN of a non-finite row into the best distance of all.
    if distance < 0.0 { 0.0 } else { distance }
}

/// Σ `term`(aᵢ, bᵢ) in the order the module describes.
#[inline(always)]
fn sum_of(a: &[f32], b: &[f32], term: impl Fn(f64, f64) -> f64) -> f64 {
    let mut lanes = [0.0; LANES];
    let ((a_blocks, a_rest), (b_blocks, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    for (a, b) in a_blocks.iter().zip(b_blocks) {
        for lane in 0..LANES {
            lanes[lane] += term(f64::from(a[lane]), f64::from(b[lane]));
        }
    }
    for (lane, (&a, &b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += term(f64::from(a), f64::from(b));
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] += lanes[lane + half];
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_cases_by_hand() {
        let row = [1.0f32, -2.0, 3.0].iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        let query = [4.0, 0.5, 3.0];
        assert_eq!(distance(Metric::L2, DType::F32, &query, &row), 9.0 + 6.25);
        assert_eq!(distance(Metric::InnerProduct, DType::F32, &query, &row), -12.0);
        let cos = 12.0 / (25.25f64 * 14.0).sqrt();
        assert_eq!(distance(Metric::Cosine, DType::F32, &query, &row), 1.0 - cos);
        assert_eq!(distance(Metric::L2, DType::I8, &[-128.0, 127.0], &[127, 128]), 2.0 * 255.0 * 255.0);
        assert_eq!(distance(Metric::L2, DType::U8, &[0.5], &[255]), 254.5 * 254.5);
        assert_eq!(hamming(&[0b1010_1010, 0xff], &[0b0101_0101, 0xfe]), 9.0);
    }

    #[test]
    fn a_zero_vector_is_at_cosine_distance_one() {
        assert_eq!(distance(Metric::Cosine, DType::U8, &[0.0, 0.0], &[1, 2]), 1.0);
        assert_eq!(distance(Metric::Cosine, DType::U8, &[1.0, 0.0], &[0, 0]), 1.0);
        assert!(distance(Metric::Cosine, DType::F32, &[1.0], &f32::NAN.to_le_bytes()).is_nan());
    }

    #[test]
    fn a_zero_product_is_not_minus_zero() {
        let distance = distance(Metric::InnerProduct, DType::U8, &[1.0, 0.0], &[0, 7]);
        assert_eq!(distance.to_bits(), 0);
    }
}
