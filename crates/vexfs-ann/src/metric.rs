//! The four metrics. In all of them a smaller distance is nearer.

use std::fmt;

use crate::DType;

/// How two vectors are compared; see [`reference`](crate::reference) for the exact arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Squared Euclidean distance: Σ (qᵢ − xᵢ)².
    L2,
    /// 1 − q·x / (|q| |x|), never below 0; 1 where either vector is all zeros.
    Cosine,
    /// −(q·x): the inner product, negated so that smaller is nearer.
    InnerProduct,
    /// Number of differing bits; of [`DType::B1`] only.
    Hamming,
}

impl Metric {
    /// Whether rows of `dtype` can be compared by this metric: bits by Hamming, numbers by the other three.
    pub const fn accepts(self, dtype: DType) -> bool {
        matches!(self, Self::Hamming) == matches!(dtype, DType::B1)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::L2 => "l2",
            Self::Cosine => "cosine",
            Self::InnerProduct => "ip",
            Self::Hamming => "hamming",
        })
    }
}
