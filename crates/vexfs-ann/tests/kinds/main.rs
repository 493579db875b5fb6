//! What holds for every kind of index, by every metric and element type: one table, and each property asserted of all of it.
#![allow(clippy::unwrap_used)]

mod deleted;
mod recall;
mod rows;
#[path = "../support/mod.rs"]
mod support;

use vexfs_ann::index::Kind;
use vexfs_ann::{DType, Metric};

/// An index, and what is demanded of it.
pub(crate) struct Case {
    pub(crate) spec: &'static str,
    /// Recall@10 by default, without calibration.
    pub(crate) by_default: f64,
    /// Distances, of codes and of rows, that a recall of 0.95 may take, as a share of the rows.
    pub(crate) share: f64,
}

/// Every kind.
pub(crate) const CASES: [Case; 6] = [
    // Exact whatever the effort; the rows that the codes cannot rule out come on top of all codes.
    Case { spec: "flat", by_default: 1.0, share: 1.1 },
    Case { spec: "hnsw", by_default: 0.98, share: 0.12 },
    Case { spec: "ivf", by_default: 0.95, share: 0.2 },
    Case { spec: "pq", by_default: 0.95, share: 1.1 },
    Case { spec: "ivf-pq", by_default: 0.95, share: 0.2 },
    Case { spec: "lsh", by_default: 0.9, share: 0.5 },
];

/// Every element type with each metric that it has.
pub(crate) fn types() -> impl Iterator<Item = (DType, Metric)> {
    DType::ALL.into_iter().flat_map(|dtype| match dtype {
        DType::B1 => vec![(dtype, Metric::Hamming)],
        _ => [Metric::L2, Metric::Cosine, Metric::InnerProduct].map(|metric| (dtype, metric)).to_vec(),
    })
}

/// Whether `kind` can index rows of `dtype`: bits have no centroids and no codebooks.
pub(crate) fn can_index(kind: Kind, dtype: DType) -> bool {
    dtype != DType::B1 || !matches!(kind, Kind::Ivf | Kind::Pq | Kind::IvfPq)
}
