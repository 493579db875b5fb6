//! Search in a collection: by comparing with every row, or through an index.
//!
//! A [`Searcher`] has the rows, verified on the way; [`Searcher::exact`] compares with all of them, or with those that a [`Filter`]
//! lets through. A [`Plan`] chooses an index
//! and how hard to try, scans what the index does not cover, and turns to the exact search when the index is damaged.

mod cost;
mod exact;
pub mod filter;
mod indexed;
mod plan;

use std::ops::Range;

use vexfs_ann::{AnnError, Neighbor, Queries, TopK, Vectors, reference};
use vexfs_format::codes::{DType, Metric};

use crate::collection::Collection;
use crate::collection::ids::Identities;
use crate::collection::rows::{Deletions, Rows};
use crate::error::{FsError, Result};
use crate::volume::Volume;

pub use filter::{Filter, FilterError, Matches};
pub use plan::{Choice, Effort, Plan, Request};

/// Bytes of rows that do not match which are rather passed over than left out: they lie in blocks that are read anyway.
const SKIPPED_BYTES: u64 = 4096;

/// A collection that is ready to be searched.
#[derive(Debug)]
pub struct Searcher {
    rows: Rows,
    deletions: Deletions,
    identities: Identities,
    dim: usize,
    dtype: vexfs_ann::DType,
    metric: vexfs_ann::Metric,
    path: String,
    /// The rows that may be found, where a filter decides over them.
    matches: Option<Matches>,
}

/// The answer to a batch of queries.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// For each query its neighbours, nearest first, ties by lower row.
    pub hits: Vec<Vec<Neighbor>>,
    /// Rows that could not be compared because they are damaged, with the reason; at most 100 are named.
    pub damaged: Vec<(u64, String)>,
    /// How many there are in all.
    pub damaged_rows: u64,
    /// Damage that cost no row, because the rows agree with checksums of their own; at most 100 places, in order of their rows.
    pub survived: Vec<String>,
    /// Whether the answer is that of brute force over the rows that are not damaged.
    pub is_exact: bool,
    /// Why the index could not answer, so that every row was compared.
    pub fallback: Option<String>,
    /// Distances computed, over all queries, of codes and of full rows.
    pub distance_computations: u64,
    /// Blocks of rows and of the index that were read for this answer; those read before are not read again.
    pub blocks_read: u64,
}

/// How many neighbours are wanted of each query.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// At most so many.
    pub k: usize,
    /// None that is farther than this.
    pub radius: f64,
}

impl From<usize> for Limit {
    /// The `k` nearest.
    fn from(k: usize) -> Self {
        Self { k, radius: f64::INFINITY }
    }
}

impl Limit {
    /// All rows whose distance is at most `radius`, or the `k` nearest of them.
    pub fn within(radius: f64, k: Option<usize>) -> Self {
        Self { k: k.unwrap_or(usize::MAX), radius }
    }
}

impl Answer {
    fn of(tops: Vec<TopK>, damage: exact::Damage) -> Self {
        Self {
            hits: tops.into_iter().map(TopK::into_sorted).collect(),
            damaged: damage.named.into_iter().collect(),
            damaged_rows: damage.count,
            survived: damage.survived.into_values().collect(),
            ..Self::default()
        }
    }
}

impl Searcher {
    /// Opens a collection for searching. Nothing is read but its metadata.
    ///
    /// # Errors
    /// [`FsError::BadStream`] when a stream is missing or has another length than the rows need; device errors; damage.
    pub fn open(volume: &Volume, collection: &Collection) -> Result<Self> {
        Ok(Self {
            rows: collection.open_rows(volume)?,
            deletions: collection.deletions(volume)?,
            identities: collection.identities(volume)?,
            dim: collection.dim(),
            dtype: dtype(collection.desc.dtype()),
            metric: metric(collection.desc.metric()),
            path: collection.path.clone(),
            matches: None,
        })
    }

    /// Lets only the rows that match be found; [`Filter::apply`] says which.
    #[must_use]
    pub fn only(mut self, matches: Matches) -> Self {
        self.matches = Some(matches);
        self
    }

    /// The rows that are not found: those that are deleted, and those that do not match.
    pub(crate) fn excluded(&self) -> &Deletions {
        self.matches.as_ref().map_or(&self.deletions, |matches| &matches.excluded)
    }

    /// How many rows may be found.
    pub fn findable(&self) -> u64 {
        let rows = self.rows.len();
        self.matches.as_ref().map_or_else(|| rows - self.deletions.count(0..rows), |matches| matches.rows)
    }

    /// The parts of `ranges` worth a look. Without a filter nearly all rows are, and those that are not are passed over on the way.
    fn worthwhile(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        if self.matches.is_none() {
            return ranges.to_vec();
        }
        let gap = (SKIPPED_BYTES / self.rows.row_bytes()).max(1);
        let mut found: Vec<Range<u64>> = Vec::new();
        for row in ranges.iter().cloned().flatten().filter(|&row| !self.excluded().contains(row)) {
            match found.last_mut() {
                Some(last) if row - last.end < gap => last.end = row + 1,
                _ => found.push(row..row + 1),
            }
        }
        found
    }

    /// How the rows are called.
    pub fn identities(&self) -> &Identities {
        &self.identities
    }

    /// Which rows are deleted.
    pub fn deletions(&self) -> &Deletions {
        &self.deletions
    }

    /// The rows.
    pub fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Dimension of the vectors.
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// The elements of a stored row, widened to f32, which is exact.
    ///
    /// # Errors
    /// Device errors; damage of the row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn row_values(&self, row: u64) -> Result<Vec<f32>> {
        Ok(reference::widen(self.dtype, self.rows.row(row)?))
    }

    /// Whether the rows are bits, so that queries are given as bits too.
    pub fn is_binary(&self) -> bool {
        self.dtype == vexfs_ann::DType::B1
    }

    /// Prepares queries of `dim` numbers each.
    ///
    /// # Errors
    /// [`FsError::WrongDimension`]; [`FsError::BadCollection`] for values that are not finite.
    pub fn queries(&self, values: &[f32], dim: usize) -> Result<Queries> {
        self.check_dim(dim)?;
        Queries::new(values, dim, self.dtype, self.metric).map_err(query_error)
    }

    /// Prepares queries of `dim` bits each, packed as rows of b1.
    ///
    /// # Errors
    /// [`FsError::WrongDimension`].
    pub fn bit_queries(&self, bytes: &[u8], dim: usize) -> Result<Queries> {
        self.check_dim(dim)?;
        Queries::of_bits(bytes, dim).map_err(query_error)
    }

    /// The stored row as a query.
    ///
    /// # Errors
    /// Device errors; damage of the row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn query_of_row(&self, row: u64) -> Result<Queries> {
        if self.is_binary() {
            return self.bit_queries(self.rows.row(row)?, self.dim);
        }
        self.queries(&self.row_values(row)?, self.dim)
    }

    /// The distance of query `query` to a stored row, as the search computes it.
    ///
    /// # Errors
    /// Device errors; damage of the row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn distance(&self, query: &[f32], row: u64) -> Result<f64> {
        Ok(reference::distance(self.metric, self.dtype, query, self.rows.row(row)?))
    }

    /// The Hamming distance of a query of packed bits to a stored row.
    ///
    /// # Errors
    /// Device errors; damage of the row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn bit_distance(&self, query: &[u8], row: u64) -> Result<f64> {
        Ok(reference::hamming(query, self.rows.row(row)?))
    }

    /// Finds the nearest rows of each query by comparing it with every row that is not deleted.
    ///
    /// # Shape
    /// Result: one list for each query, no longer than `limit` says.
    ///
    /// # Parameters
    /// `threads`: at most so many work; the answer does not depend on it. `interrupted` is asked between chunks.
    ///
    /// # Errors
    /// [`FsError::Interrupted`]; [`FsError::BadCollection`] for `k` = 0. Rows that cannot be read are named in the answer.
    pub fn exact(
        &self,
        queries: &Queries,
        limit: impl Into<Limit>,
        threads: usize,
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Answer> {
        let before = self.rows.view().blocks_read();
        let all = 0..self.rows.len();
        let all = self.worthwhile(std::slice::from_ref(&all));
        let pass = exact::pass(self, queries, limit.into(), &all, threads, interrupted)?;
        Ok(Answer {
            is_exact: true,
            distance_computations: pass.compared.saturating_mul(queries.len() as u64),
            blocks_read: self.rows.view().blocks_read() - before,
            ..Answer::of(pass.tops, pass.damage)
        })
    }

    fn check_dim(&self, dim: usize) -> Result<()> {
        if dim == self.dim {
            return Ok(());
        }
        let what = format!("collection {}", self.path);
        Err(FsError::WrongDimension { what, found: dim, expected: self.dim })
    }

    fn vectors<'a>(&self, bytes: &'a [u8]) -> Result<Vectors<'a>> {
        Vectors::new(bytes, self.dim, self.dtype).map_err(query_error)
    }
}

fn query_error(error: AnnError) -> FsError {
    FsError::BadCollection(error.to_string())
}

/// The element type as the search knows it.
pub(crate) fn dtype(dtype: DType) -> vexfs_ann::DType {
    match dtype {
        DType::F32 => vexfs_ann::DType::F32,
        DType::F16 => vexfs_ann::DType::F16,
        DType::BF16 => vexfs_ann::DType::BF16,
        DType::I8 => vexfs_ann::DType::I8,
        DType::U8 => vexfs_ann::DType::U8,
        DType::B1 => vexfs_ann::DType::B1,
    }
}

/// The metric as the search knows it.
pub(crate) fn metric(metric: Metric) -> vexfs_ann::Metric {
    match metric {
        Metric::L2 => vexfs_ann::Metric::L2,
        Metric::Cosine => vexfs_ann::Metric::Cosine,
        Metric::InnerProduct => vexfs_ann::Metric::InnerProduct,
        Metric::Hamming => vexfs_ann::Metric::Hamming,
    }
}
