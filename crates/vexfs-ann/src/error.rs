//! What a caller can get wrong. Nothing else fails: searching itself cannot.

use crate::{DType, Metric};

/// Largest dimension a search accepts, 65,536: the integer kernels add that many products without overflow.
pub const MAX_DIM: usize = 1 << 16;

/// A shape or a value that a search cannot be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnnError {
    /// The dimension is outside 1 ..= [`MAX_DIM`].
    #[error("dimension {dim} is outside 1..={MAX_DIM}")]
    Dim {
        /// The dimension given.
        dim: usize,
    },
    /// The metric is not defined on the element type; see [`Metric::accepts`].
    #[error("metric {metric} is not defined on {dtype} vectors")]
    MetricOfDType {
        /// The metric given.
        metric: Metric,
        /// The element type given.
        dtype: DType,
    },
    /// A buffer is not a whole number of vectors.
    #[error("{len} {unit} are not a whole number of vectors of {per_vector}")]
    Shape {
        /// Length given.
        len: usize,
        /// Length of one vector.
        per_vector: usize,
        /// What is counted: "bytes" or "values".
        unit: &'static str,
    },
    /// A query holds a NaN or an infinity.
    #[error("query {query} is not finite at element {element}")]
    NotFinite {
        /// Index of the query.
        query: usize,
        /// Index of its first bad element.
        element: usize,
    },
    /// Zero neighbours were asked for.
    #[error("k must be at least 1")]
    ZeroK,
}
