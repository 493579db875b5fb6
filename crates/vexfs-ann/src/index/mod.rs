//! Indexes: built from rows into an image, opened where the image lies, searched there.
//!
//! - [`IndexSpec`] says what to build, [`build`] builds it and writes the image.
//! - [`open`] reads the trailer of an image, and nothing else of it; what a search touches comes from [`ImageBytes`], which
//!   verifies it first.
//! - An image covers a range of rows. What lies outside is the caller's to scan; several images of one collection can answer
//!   one search, each offering its finds to the same [`TopK`].
//!
//! Every distance that an index offers is that of the full row, as [`reference`](crate::reference) defines it: codes only
//! decide which rows are looked at.

mod error;
pub mod image;
mod source;
mod spec;

pub use crate::flat::kind::flat_is_coded;
pub use error::IndexError;
pub use source::{ImageBytes, RowSource};
pub use spec::{IndexSpec, Kind, Options, SpecError};

use std::ops::Range;

use crate::{DType, Metric, Queries, TopK, Vectors, flat, hnsw, lists, lsh};
use image::{Header, Image};

/// How hard a search tries. What the numbers count is the kind's business; more is slower and finds more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// `ef` of a graph, `nprobe` of inverted lists, `probes` of hashing.
    pub effort: u32,
    /// Candidates by their codes that are compared by their full rows.
    pub rerank: u32,
}

/// What a search wants, whichever index answers.
#[derive(Clone, Copy)]
pub struct Search<'a> {
    /// The queries.
    pub queries: &'a Queries,
    /// Neighbours wanted of each.
    pub k: usize,
    /// How hard to try.
    pub effort: Effort,
    /// The rows, by their numbers in the collection.
    pub rows: &'a dyn RowSource,
    /// Bit r mod 64 of word ⌊r / 64⌋ set: row r is not to be found, because it is deleted or a filter excludes it. Rows
    /// behind the last word may be found.
    pub excluded: Option<&'a [u64]>,
    /// Asked now and then whether to stop.
    pub interrupted: &'a (dyn Fn() -> bool + Sync),
}

impl Search<'_> {
    /// Whether `row` is not to be found.
    #[inline]
    pub fn is_excluded(&self, row: u64) -> bool {
        let word = self.excluded.and_then(|words| words.get((row / 64) as usize));
        word.is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

/// What a search cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SearchStats {
    /// Distances computed, of codes and of full rows.
    pub distance_computations: u64,
    /// Of these, those of full rows.
    pub reranked: u64,
}

/// An index that was opened.
pub trait Index: Sync {
    /// What the image is of.
    fn header(&self) -> &Header;

    /// What the kind calls [`Effort::effort`]: `ef`, `nprobe`, `probes`; empty if only [`Effort::rerank`] counts.
    fn effort_name(&self) -> &'static str;

    /// Efforts from little to all that helps, in order of cost, for `k` neighbours: what a calibration measures.
    fn efforts(&self, k: usize) -> Vec<Effort>;

    /// The effort for `k` neighbours when nobody says anything and nothing was calibrated.
    fn default_effort(&self, k: usize) -> Effort;

    /// Whether the answer is that of brute force whatever the effort.
    fn is_exact(&self) -> bool {
        false
    }

    /// Searches for the queries of `range` and offers what it finds to `tops`, one per query of the range.
    ///
    /// Deterministic: the same image, queries and effort give the same answer, in whatever ranges the queries come and
    /// whatever the instruction set.
    ///
    /// # Errors
    /// [`IndexError::Source`] and [`IndexError::Damaged`]: the caller falls back to an exact scan;
    /// [`IndexError::Interrupted`].
    fn search(
        &self,
        search: &Search<'_>,
        range: Range<usize>,
        tops: &mut [TopK],
        stats: &mut SearchStats,
    ) -> Result<(), IndexError>;

    /// Checks the whole image against itself: numbers in range, every live row reachable. `excluded` as in [`Search`].
    ///
    /// # Errors
    /// [`IndexError::Damaged`] for the first contradiction; those of the source.
    fn verify(&self, excluded: Option<&[u64]>, interrupted: &dyn Fn() -> bool) -> Result<(), IndexError>;
}

/// How a build tells where it is, and is told to stop.
pub trait Progress: Sync {
    /// `done` of `total` steps of `stage` are done. Called from several threads, not in order.
    fn step(&self, stage: &'static str, done: u64, total: u64);
    /// Whether to stop.
    fn is_interrupted(&self) -> bool;
}

/// What a build needs to know besides the spec.
///
/// It runs in the rayon pool of the caller and uses its threads; the image does not depend on how many they are.
#[derive(Clone, Copy)]
pub struct Build<'a> {
    /// The rows, by their numbers in the collection.
    pub rows: &'a dyn RowSource,
    /// Metric of the collection.
    pub metric: crate::Metric,
    /// First row to cover.
    pub first_row: u64,
    /// Row behind the last to cover.
    pub end_row: u64,
    /// Deleted rows, which are left out; as in [`Search::excluded`].
    pub excluded: Option<&'a [u64]>,
    /// The collection's generation.
    pub generation: u64,
    /// Seed of every random choice.
    pub seed: u64,
    /// Bytes of anonymous memory to stay within.
    pub memory: u64,
    /// Where to tell how far it is.
    pub progress: &'a dyn Progress,
}

impl Build<'_> {
    /// The rows that are to be indexed, ascending, as numbers within the image.
    pub fn live(&self) -> Vec<u32> {
        let covered = self.end_row.saturating_sub(self.first_row).min(image::MAX_ROWS);
        let is_live = |row: &u32| {
            let row = self.first_row + u64::from(*row);
            let word = self.excluded.and_then(|words| words.get((row / 64) as usize));
            word.is_none_or(|word| word >> (row % 64) & 1 == 0)
        };
        (0..covered as u32).filter(is_live).collect()
    }

    /// Reports progress.
    ///
    /// # Errors
    /// [`IndexError::Interrupted`] if the caller asked to stop.
    pub fn step(&self, stage: &'static str, done: u64, total: u64) -> Result<(), IndexError> {
        self.progress.step(stage, done, total);
        if self.progress.is_interrupted() { Err(IndexError::Interrupted) } else { Ok(()) }
    }

    /// The header of an image of `kind` with `params`.
    pub fn header(&self, kind: Kind, indexed: u64, params: [u8; image::PARAM_BYTES]) -> Header {
        Header {
            kind,
            dtype: self.rows.dtype(),
            metric: self.metric,
            dim: self.rows.dim(),
            rows: self.first_row..self.end_row,
            generation: self.generation,
            indexed,
            seed: self.seed,
            params,
        }
    }
}

/// Makes sure that there can be an index of `spec` over rows of `dim` elements of `dtype`, compared by `metric`: everything that is
/// to be known before there are rows.
///
/// # Errors
/// [`IndexError::Spec`] for parameters that the kind does not have or that do not fit the rows; [`IndexError::Mismatch`] for a
/// metric or element type that the kind cannot index.
pub fn check(spec: &IndexSpec, dim: usize, dtype: DType, metric: Metric) -> Result<(), IndexError> {
    struct Silent;
    impl Progress for Silent {
        fn step(&self, _: &'static str, _: u64, _: u64) {}
        fn is_interrupted(&self) -> bool {
            false
        }
    }
    let rows = Vectors::new(&[], dim, dtype).map_err(|e| IndexError::Mismatch(e.to_string()))?;
    let build = Build {
        rows: &rows,
        metric,
        first_row: 0,
        end_row: 0,
        excluded: None,
        generation: 0,
        seed: 0,
        memory: 0,
        progress: &Silent,
    };
    rows_within_memory(spec, &build).map(drop)
}

/// How many rows from [`Build::first_row`] on one image of `spec` can cover within [`Build::memory`]; at least 1.
///
/// # Errors
/// Those of [`check`].
pub fn rows_within_memory(spec: &IndexSpec, build: &Build<'_>) -> Result<u64, IndexError> {
    check_metric(spec.kind, build)?;
    match spec.kind {
        Kind::Flat => flat::kind::rows_within_memory(spec, build),
        Kind::Hnsw => hnsw::rows_within_memory(spec, build),
        Kind::Ivf | Kind::Pq | Kind::IvfPq => lists::rows_within_memory(spec, build),
        Kind::Lsh => lsh::rows_within_memory(spec, build),
    }
}

/// Builds an index over [`Build::first_row`] .. [`Build::end_row`] and writes its image to `out`.
///
/// # Errors
/// Those of [`check`] and of the rows; [`IndexError::Output`]; [`IndexError::Interrupted`]. What was written is then to be thrown
/// away.
pub fn build(spec: &IndexSpec, build: &Build<'_>, out: &mut dyn std::io::Write) -> Result<(), IndexError> {
    check_metric(spec.kind, build)?;
    match spec.kind {
        Kind::Flat => flat::kind::build(spec, build, out),
        Kind::Hnsw => hnsw::build(spec, build, out),
        Kind::Ivf | Kind::Pq | Kind::IvfPq => lists::build(spec, build, out),
        Kind::Lsh => lsh::build(spec, build, out),
    }
}

/// Makes sure that rows of this type are compared by this metric at all.
fn check_metric(kind: Kind, build: &Build<'_>) -> Result<(), IndexError> {
    let (dtype, metric) = (build.rows.dtype(), build.metric);
    if metric.accepts(dtype) {
        return Ok(());
    }
    Err(IndexError::Mismatch(format!("{kind} cannot index {dtype} rows by {metric}")))
}

/// Opens an image: O(1), nothing but its trailer and what the kind keeps beside it is read.
///
/// # Errors
/// Those of [`Image::open`] and of the kind.
pub fn open<'a>(bytes: &'a dyn ImageBytes) -> Result<Box<dyn Index + 'a>, IndexError> {
    let image = Image::open(bytes)?;
    match image.header().kind {
        Kind::Flat => flat::kind::open(&image),
        Kind::Hnsw => hnsw::open(&image),
        Kind::Ivf | Kind::Pq | Kind::IvfPq => lists::open(&image),
        Kind::Lsh => lsh::open(&image),
    }
}
