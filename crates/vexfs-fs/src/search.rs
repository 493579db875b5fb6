//! Exact search over the rows of a collection, verified on the way.
//!
//! Rows are scanned where they lie, a chunk at a time: verify the chunk's checksums, which brings it into the cache, then
//! compare. Threads take chunks in turn. A damaged block costs the rows whose own checksum disagrees, and they are named.

use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use vexfs_ann::{AnnError, ExactScan, Neighbor, Queries, Vectors, reference};
use vexfs_format::codes::{DType, Metric};

use crate::collection::Collection;
use crate::collection::ids::Identities;
use crate::collection::rows::{Deletions, Rows};
use crate::error::{FsError, Result};
use crate::volume::Volume;

/// Bytes of rows that are verified and then compared at a time: they stay in a second-level cache in between.
const CHUNK_BYTES: u64 = 128 << 10;
/// Work below which a second thread costs more than it saves: bytes of rows times queries. In a process that has just begun, a thread
/// costs as much as scanning 5 MB (Zen 3: 1 ms of processor time of 3.3 ms for a query over 10,000 × 128 f32).
const PARALLEL_WORK: u64 = 16 << 20;
/// Damaged rows that are named one by one; the rest is counted.
const MAX_NAMED_DAMAGE: usize = 100;

/// A collection that is ready to be searched.
#[derive(Debug)]
pub struct Searcher {
    rows: Rows,
    deletions: Deletions,
    identities: Identities,
    live: u64,
    dim: usize,
    dtype: vexfs_ann::DType,
    metric: vexfs_ann::Metric,
    path: String,
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
    /// Rows compared, over all queries.
    pub distance_computations: u64,
    /// Blocks of rows that were read.
    pub blocks_read: u64,
}

impl Searcher {
    /// Opens a collection for searching. Nothing is read but its metadata.
    ///
    /// # Errors
    /// [`FsError::BadStream`] when a stream is missing or has another length than the rows need; device errors; damage.
    pub fn open(volume: &Volume, collection: &Collection) -> Result<Self> {
        let rows = collection.open_rows(volume)?;
        rows.view().advise_sequential();
        Ok(Self {
            rows,
            deletions: collection.deletions(volume)?,
            identities: collection.identities(volume)?,
            live: collection.desc.live_rows.get(),
            dim: collection.dim(),
            dtype: dtype(collection.desc.dtype()),
            metric: metric(collection.desc.metric()),
            path: collection.path.clone(),
        })
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

    /// Finds the `k` nearest rows of each query by comparing it with every row that is not deleted.
    ///
    /// # Shape
    /// Result: one list for each query, at most `k` long.
    ///
    /// # Parameters
    /// `threads`: at most so many work; the answer does not depend on it. `interrupted` is asked between chunks.
    ///
    /// # Errors
    /// [`FsError::Interrupted`]; [`FsError::BadCollection`] for `k` = 0. Rows that cannot be read are named in the answer.
    pub fn exact(
        &self,
        queries: &Queries,
        k: usize,
        threads: usize,
        interrupted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Answer> {
        let row_bytes = self.rows.row_bytes();
        let per_chunk = (CHUNK_BYTES / row_bytes).max(1);
        let chunks = self.rows.len().div_ceil(per_chunk);
        let work = self.rows.len().saturating_mul(row_bytes).saturating_mul(queries.len() as u64);
        let threads =
            if work < PARALLEL_WORK { 1 } else { (threads as u64).clamp(1, chunks.max(1)) as usize };
        let scan = Scan {
            searcher: self,
            per_chunk,
            chunks,
            next: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            damage: Mutex::default(),
            interrupted,
        };
        let mut result = ExactScan::new(queries, k).map_err(query_error)?;
        let empty = result.clone();
        let helper = || {
            let mut part = empty.clone();
            scan.work(&mut part);
            part
        };
        let parts: Vec<_> = thread::scope(|scope| {
            // A thread that the system does not give is not missed: the others take its chunks.
            let start = |_| thread::Builder::new().spawn_scoped(scope, helper).ok();
            let helpers: Vec<_> = (1..threads).filter_map(start).collect();
            scan.work(&mut result);
            helpers.into_iter().map(|helper| helper.join()).collect()
        });
        for part in parts {
            result.merge(part.unwrap_or_else(|panic| resume_unwind(panic)));
        }
        if scan.stopped.into_inner() {
            return Err(FsError::Interrupted);
        }
        let damage = scan.damage.into_inner().unwrap_or_else(PoisonError::into_inner);
        let compared = self.live.saturating_sub(damage.count);
        Ok(Answer {
            hits: result.finish(),
            damaged: damage.named.into_iter().collect(),
            damaged_rows: damage.count,
            survived: damage.survived.into_values().collect(),
            distance_computations: compared.saturating_mul(queries.len() as u64),
            blocks_read: self.rows.view().len().div_ceil(self.rows.view().block_size() as u64),
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

/// One pass over the rows, shared by its threads.
struct Scan<'a> {
    searcher: &'a Searcher,
    per_chunk: u64,
    chunks: u64,
    next: AtomicU64,
    stopped: AtomicBool,
    damage: Mutex<Damage>,
    interrupted: &'a (dyn Fn() -> bool + Sync),
}

#[derive(Debug, Default)]
struct Damage {
    named: BTreeMap<u64, String>,
    count: u64,
    /// First row of each chunk that was saved row by row, and what was wrong.
    survived: BTreeMap<u64, String>,
}

impl Scan<'_> {
    /// Takes chunks until there are none.
    fn work(&self, scan: &mut ExactScan<'_>) {
        loop {
            let chunk = self.next.fetch_add(1, Ordering::Relaxed);
            if chunk >= self.chunks || self.stopped.load(Ordering::Relaxed) {
                return;
            }
            if (self.interrupted)() {
                self.stopped.store(true, Ordering::Relaxed);
                return;
            }
            let first = chunk * self.per_chunk;
            let rows = first..first + self.per_chunk;
            self.searcher.rows.view().bring_in(first * self.searcher.rows.row_bytes());
            let deleted = self.searcher.deletions.words();
            match self.searcher.rows.bytes(rows.clone()).and_then(|bytes| self.searcher.vectors(bytes)) {
                Ok(vectors) => scan.push(vectors, first, deleted),
                Err(damage) => self.salvage(rows, &damage, scan),
            }
        }
    }

    /// Compares the rows of a damaged chunk that are intact.
    fn salvage(&self, rows: Range<u64>, damage: &FsError, scan: &mut ExactScan<'_>) {
        let deleted = self.searcher.deletions.words();
        let (first, mut lost) = (rows.start, false);
        let mut report = |row, error: &FsError| {
            lost = true;
            self.report(row, error);
        };
        let mut intact = Vec::new();
        self.searcher.rows.salvage(rows, |row, bytes| intact.push((row, bytes)), |row, e| report(row, &e));
        for (row, bytes) in intact {
            match self.searcher.vectors(bytes) {
                Ok(vectors) => scan.push(vectors, row, deleted),
                Err(e) => report(row, &e),
            }
        }
        if !lost {
            let mut found = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
            name(&mut found.survived, first, damage);
        }
    }

    fn report(&self, row: u64, error: &FsError) {
        if self.searcher.deletions.contains(row) {
            return;
        }
        let mut damage = self.damage.lock().unwrap_or_else(PoisonError::into_inner);
        damage.count += 1;
        name(&mut damage.named, row, error);
    }
}

/// Remembers the damage of a row; of too much of it the lowest rows, whichever thread finds them when.
fn name(named: &mut BTreeMap<u64, String>, row: u64, damage: &FsError) {
    if named.len() == MAX_NAMED_DAMAGE && named.last_key_value().is_some_and(|(&last, _)| row > last) {
        return;
    }
    named.insert(row, damage.to_string());
    if named.len() > MAX_NAMED_DAMAGE {
        named.pop_last();
    }
}

fn query_error(error: AnnError) -> FsError {
    FsError::BadCollection(error.to_string())
}

/// The element type as the search knows it.
fn dtype(dtype: DType) -> vexfs_ann::DType {
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
fn metric(metric: Metric) -> vexfs_ann::Metric {
    match metric {
        Metric::L2 => vexfs_ann::Metric::L2,
        Metric::Cosine => vexfs_ann::Metric::Cosine,
        Metric::InnerProduct => vexfs_ann::Metric::InnerProduct,
        Metric::Hamming => vexfs_ann::Metric::Hamming,
    }
}
