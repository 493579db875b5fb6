//! Where rows and queries are compared by codes: scaled, so that all numbers are of ordinary size, and moved, so that the mean of
//! the rows is at zero.
//!
//! - **l2**: 2ᵉ x − m.
//! - **cosine**: x / |x| − m: on the unit sphere the order by cosine is that by distance. A zero vector stays zero before m is
//!   taken off.
//! - **ip**: 2ᵉ x; queries are scaled to a largest element between 1 and 2, which changes no order.
//!
//! Then both may be rotated, which changes no distance: so that no element stands out, or as suits the codewords.
//!
//! e is such that the largest element of a typical row is between 1 and 2. A row whose largest element is then outside [`SAFE`] is a
//! giant: it is in no list, and every search compares it.

use std::ops::RangeInclusive;

use crate::quant::hadamard::Rotation;
use crate::quant::opq;
use crate::{DType, Metric, Vectors, reference};

/// Powers of two by which elements of f32 may be scaled.
pub(super) const EXPONENTS: RangeInclusive<i32> = -128..=149;

/// Largest elements, 2⁻⁴⁰ ..= 2⁴⁰, with which sums of squares are f32 numbers that can be reckoned with. Zero is safe, too.
const SAFE: RangeInclusive<f64> = 1.0 / (1u64 << 40) as f64..=(1u64 << 40) as f64;

/// The map of rows and queries.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Space {
    pub(super) metric: Metric,
    pub(super) exponent: i32,
    /// m, d elements; empty for zero.
    pub(super) mean: Vec<f32>,
    pub(super) turn: Turn,
}

/// How rows and queries are rotated in the end.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Turn {
    /// Not at all.
    None,
    /// At random.
    Random(Rotation),
    /// As suits the codewords.
    Learned(opq::Rotation),
}

impl Turn {
    /// Rotates `vector`, d elements.
    pub(super) fn apply(&self, vector: &mut [f32]) {
        match self {
            Self::None => (),
            Self::Random(rotation) => rotation.apply(vector),
            Self::Learned(rotation) => rotation.apply(vector),
        }
    }
}

/// Where a vector went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// As described.
    Ordinary,
    /// It is all zeros.
    Zero,
    /// It cannot be compared by codes; what was written is zeros.
    Giant,
}

impl Space {
    /// The exponent for rows whose typical largest element is `largest`.
    pub(super) fn exponent(metric: Metric, largest: f32) -> i32 {
        if metric == Metric::Cosine || largest == 0.0 || !largest.is_finite() {
            return 0;
        }
        -f64::from(largest).log2().floor() as i32
    }

    /// Writes where the row `row` is, d elements.
    pub(super) fn row(&self, row: &[f32], into: &mut [f32]) -> Place {
        let scale = match self.metric {
            Metric::Cosine => inverse(reference::dot(row, row).sqrt()),
            _ => power(self.exponent),
        };
        self.place(row, scale, into)
    }

    /// Writes where the query `query` is, d elements. Besides, what its distances from rows are multiplied with there.
    pub(super) fn query(&self, query: &[f32], into: &mut [f32]) -> (Place, f64) {
        let of_rows = power(self.exponent);
        let (scale, unit) = match self.metric {
            Metric::Cosine => (inverse(reference::dot(query, query).sqrt()), 2.0),
            Metric::InnerProduct => {
                let scale = power(Self::exponent(self.metric, largest(query)));
                (scale, scale * of_rows)
            }
            _ => (of_rows, of_rows * of_rows),
        };
        (self.place(query, scale, into), unit)
    }

    fn place(&self, vector: &[f32], scale: f64, into: &mut [f32]) -> Place {
        let largest = f64::from(largest(vector)) * scale;
        if largest != 0.0 && !SAFE.contains(&largest) {
            into.fill(0.0);
            return Place::Giant;
        }
        into.iter_mut().zip(vector).for_each(|(into, value)| *into = (f64::from(*value) * scale) as f32);
        into.iter_mut().zip(&self.mean).for_each(|(into, mean)| *into -= mean);
        self.turn.apply(into);
        if largest == 0.0 { Place::Zero } else { Place::Ordinary }
    }

    /// Writes where the rows of `rows` are, n × d; appends the place of each to `places`.
    pub(super) fn rows(&self, rows: Vectors<'_>, into: &mut [f32], places: &mut Vec<Place>) {
        // A row at a time, which stays in cache.
        let wide = (0..rows.len()).map(|row| widen(rows.slice(row..row + 1)));
        let each = wide.zip(into.chunks_exact_mut(rows.dim()));
        places.extend(each.map(|(row, into)| self.row(&row, into)));
    }
}

/// The elements of rows of numbers.
pub(super) fn widen(rows: Vectors<'_>) -> Vec<f32> {
    debug_assert!(rows.dtype() != DType::B1, "bits are in no list");
    reference::widen(rows.dtype(), rows.bytes())
}

/// Largest element by size; NaN if there is one.
pub(super) fn largest(vector: &[f32]) -> f32 {
    // In the order of their bits a NaN is larger than any number.
    f32::from_bits(vector.iter().fold(0, |largest, value| largest.max(value.abs().to_bits())))
}

/// 2 to the power of `exponent`, of ± 1000.
fn power(exponent: i32) -> f64 {
    f64::from_bits(((1023 + exponent) as u64) << 52)
}

/// 1 / `value`, or 0 for 0.
fn inverse(value: f64) -> f64 {
    if value > 0.0 { 1.0 / value } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(metric: Metric, exponent: i32) -> Space {
        Space { metric, exponent, mean: vec![0.5, -0.5], turn: Turn::None }
    }

    #[test]
    fn typical_elements_become_ordinary() {
        for largest in [1e-45, 1e-30, 0.3, 1.0, 255.0, 1e30, f32::MAX] {
            let exponent = Space::exponent(Metric::L2, largest);
            assert!(EXPONENTS.contains(&exponent));
            let mut into = [0.0; 2];
            assert_eq!(space(Metric::L2, exponent).row(&[largest, 0.0], &mut into), Place::Ordinary);
            assert!((1.0..2.0).contains(&(into[0] + 0.5)), "{largest}: {into:?}");
        }
        assert_eq!(Space::exponent(Metric::L2, 0.0), 0);
    }

    #[test]
    fn giants_and_zeros_are_told_apart() {
        let mut into = [0.0; 2];
        let space = space(Metric::L2, 0);
        assert_eq!(space.row(&[1e13, 0.0], &mut into), Place::Giant);
        assert_eq!(space.row(&[1e-13, 0.0], &mut into), Place::Giant);
        assert_eq!(space.row(&[f32::NAN, 0.0], &mut into), Place::Giant);
        assert_eq!(space.row(&[0.0, -0.0], &mut into), Place::Zero);
        assert_eq!(into, [-0.5, 0.5]);
        let cosine = Space { metric: Metric::Cosine, ..space };
        assert_eq!(cosine.row(&[3e-45, 4e-45], &mut into), Place::Ordinary);
        assert_eq!(cosine.query(&[3e38, 0.0], &mut into), (Place::Ordinary, 2.0));
        assert_eq!(into, [0.5, 0.5]);
    }
}
