//! The nearest of a few rows, such as centroids, for each of many vectors: by the reference's distances.

use crate::{AnnError, DType, ExactScan, Metric, Neighbor, Queries, Vectors};

/// Queries that are prepared together.
const QUERIES: usize = 512;

/// Calls `visit` with the index of each of `queries`, in order, and the `k` of `rows` nearest to it: nearest first, ties by
/// lower row; fewer if there are fewer. Distances are those of the [`mod@crate::reference`].
///
/// # Shape
/// `queries`: nq × `dim`; `rows`: n × `dim`; both row-major. `metric` is not [`Metric::Hamming`].
///
/// # Errors
/// [`AnnError::ZeroK`]; [`AnnError::Dim`]; [`AnnError::MetricOfDType`]; [`AnnError::Shape`] if a side is not a whole number
/// of vectors; [`AnnError::NotFinite`] of a query.
pub(crate) fn nearest_exact(
    queries: &[f32],
    rows: &[f32],
    dim: usize,
    metric: Metric,
    k: usize,
    mut visit: impl FnMut(usize, &[Neighbor]),
) -> Result<(), AnnError> {
    let bytes: Vec<u8> = rows.iter().flat_map(|value| value.to_le_bytes()).collect();
    let rows = Vectors::new(&bytes, dim, DType::F32)?;
    for (chunk, queries) in queries.chunks(QUERIES * dim).enumerate() {
        let queries = Queries::new(queries, dim, DType::F32, metric)?;
        let mut scan = ExactScan::new(&queries, k)?;
        scan.push(rows, 0, None);
        for (index, found) in scan.finish().iter().enumerate() {
            visit(chunk * QUERIES + index, found);
        }
    }
    Ok(())
}
