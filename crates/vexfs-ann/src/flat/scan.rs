//! The scan: rows are pushed in pieces of any size and order; the answer is that of brute force in f64.

use crate::neighbor::TopK;
use crate::simd::Level;
use crate::{AnnError, Neighbor, Vectors};

use super::Queries;
use super::batch::Batch;
use super::stream::{self, Rows};

/// Bytes of rows that a few queries pass over one after the other while they are in cache.
const BLOCK_BYTES: usize = 64 << 10;

/// How far behind the row looked at memory is asked for unless the caller knows better, bytes: 2 KiB, on Zen 3 worth a
/// tenth to a fifth with elements of one or two bytes and nothing with f32; 1 to 8 KiB do equally well.
const AHEAD: usize = 2 << 10;

/// Exact search for the `k` nearest rows of each query.
///
/// The caller pushes every row once, in pieces as they become usable; pieces may come in any order and have any
/// size, though pieces of 64 KiB and more keep overheads low. Several scans over the same [`Queries`] may run in threads,
/// each over a part of the rows, and be [`merge`](Self::merge)d.
///
/// # Source
/// The answer is defined by [`reference`](crate::reference): the `k` smallest distances, ties by lower row, bit for bit,
/// whatever the pieces, threads or instruction set. How rows are ruled out without computing that
/// distance, and why that is safe, is in the documentation of the source files `glance.rs` and `coding.rs`.
///
/// # Example
/// ```
/// use vexfs_ann::{DType, ExactScan, Metric, Queries, Vectors};
///
/// let queries = Queries::new(&[1.0, 2.0], 2, DType::U8, Metric::L2)?;
/// let mut scan = ExactScan::new(&queries, 2)?;
/// scan.push(Vectors::new(&[9, 9, 1, 2, 1, 3], 2, DType::U8)?, 100, None);
/// let hits = scan.finish();
/// let found: Vec<_> = hits[0].iter().map(|hit| (hit.row, hit.distance)).collect();
/// assert_eq!(found, [(101, 0.0), (102, 1.0)]);
/// # Ok::<(), vexfs_ann::AnnError>(())
/// ```
#[derive(Debug, Clone)]
pub struct ExactScan<'q> {
    queries: &'q Queries,
    level: Level,
    /// One per query.
    tops: Vec<TopK>,
    batch: Option<Batch<'q>>,
    ahead: usize,
    /// One row as f32; scratch space.
    wide: Vec<f32>,
}

impl<'q> ExactScan<'q> {
    /// A scan that has seen no row.
    ///
    /// # Errors
    /// [`AnnError::ZeroK`] if `k` is 0.
    pub fn new(queries: &'q Queries, k: usize) -> Result<Self, AnnError> {
        Self::with_level(queries, k, Level::best())
    }

    /// As [`new`](Self::new), with a given instruction set. The answer is the same.
    ///
    /// # Errors
    /// [`AnnError::ZeroK`] if `k` is 0.
    pub fn with_level(queries: &'q Queries, k: usize, level: Level) -> Result<Self, AnnError> {
        Self::selecting(queries, TopK::new(k), level)
    }

    /// A scan for the rows whose distance is at most `radius`; of more than `k` of them, the nearest.
    ///
    /// # Errors
    /// [`AnnError::ZeroK`] if `k` is 0.
    pub fn within(queries: &'q Queries, k: usize, radius: f64) -> Result<Self, AnnError> {
        Self::selecting(queries, TopK::within(k, radius), Level::best())
    }

    fn selecting(queries: &'q Queries, top: TopK, level: Level) -> Result<Self, AnnError> {
        if top.k() == 0 {
            return Err(AnnError::ZeroK);
        }
        let tops = vec![top; queries.len()];
        let batch = queries.coded_batch().map(|coded| Batch::new(coded, queries.metric(), &tops));
        Ok(Self { queries, level, tops, batch, ahead: AHEAD, wide: Vec::new() })
    }

    /// Says that pieces this scan gets one after the other lie `bytes` apart.
    ///
    /// For a caller that has read each piece through before it pushes it, so that its rows are in cache: while they are
    /// compared, the next piece is asked for. It need not exist. On Zen 3, with pieces of 64 to 256 KiB and a single
    /// query, this is worth a fifth to a third with elements of one or two bytes. With f32, where comparing takes less
    /// time than fetching, it costs a tenth: leave it alone.
    pub fn set_piece_distance(&mut self, bytes: usize) {
        self.ahead = bytes;
    }

    /// Looks at `rows`, of which the first is row `first_row` of the collection.
    ///
    /// `deleted`: bit r mod 64 of word ⌊r / 64⌋ set means that row r is not to be found; rows beyond its end are. A row
    /// that is not finite cannot be stored; should one be met all the same, its distance is what the formula gives, and
    /// +∞ where that is NaN.
    ///
    /// # Panics
    /// If the dimension or element type of `rows` is not that of the queries.
    ///
    /// # Complexity
    /// nq · n · d multiplications of 32-bit floats or 8-bit integers, and one of 64-bit floats for each row that is
    /// not ruled out: about k (1 + ln(n / k)) per query, if rows come in random order.
    pub fn push(&mut self, rows: Vectors<'_>, first_row: u64, deleted: Option<&[u64]>) {
        assert_eq!(
            (rows.dim(), rows.dtype()),
            (self.queries.dim(), self.queries.dtype()),
            "rows and queries are of one kind"
        );
        let rows = Rows { vectors: rows, first: first_row, deleted };
        if let Some(batch) = &mut self.batch {
            return batch.push(self.level, self.queries, rows, &mut self.tops, &mut self.wide);
        }
        let count = rows.vectors.len();
        let block = match self.tops.len() {
            0 | 1 => count,
            _ => (BLOCK_BYTES / rows.vectors.row_bytes()).max(1),
        };
        for start in (0..count).step_by(block.max(1)) {
            let picks = start..count.min(start + block);
            for (query, top) in self.tops.iter_mut().enumerate() {
                let ahead = if query == 0 { self.ahead } else { 0 };
                stream::scan(
                    self.level,
                    (self.queries, query),
                    rows,
                    picks.clone(),
                    ahead,
                    top,
                    &mut self.wide,
                );
            }
        }
    }

    /// Takes over what another scan of the same queries found in other rows.
    ///
    /// # Panics
    /// If the two scans do not have the same number of queries.
    pub fn merge(&mut self, other: Self) {
        assert_eq!(self.tops.len(), other.tops.len(), "scans of the same queries");
        for (top, other) in self.tops.iter_mut().zip(other.tops) {
            top.merge(other);
        }
        if let Some(batch) = &mut self.batch {
            batch.tighten(&self.tops);
        }
    }

    /// The selections as they are, one for each query.
    pub fn into_tops(self) -> Vec<TopK> {
        self.tops
    }

    /// The neighbours found: for each query at most `k`, nearest first, ties by lower row; fewer if there were fewer
    /// rows.
    pub fn finish(self) -> Vec<Vec<Neighbor>> {
        self.tops.into_iter().map(TopK::into_sorted).collect()
    }
}
