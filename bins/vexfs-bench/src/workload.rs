//! What is measured with: rows, queries and, if it is given, the truth.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use vexfs_cli::args::metric_for;
use vexfs_format::codes::{DType, Metric};
use vexfs_fs::collection::create::CollectionSpec;
use vexfs_io::{OpenOptions, TargetType, read_matrix_u64};

use crate::args::Args;
use crate::random::MersenneTwister;

/// Rows of the standard workload, their dimension, and its queries.
const STANDARD: (usize, usize, usize) = (10_000, 128, 100);
/// Its seed.
const SEED: u32 = 42;
/// Bytes of a file that are read at a time.
const SLAB_BYTES: usize = 16 << 20;

/// Rows and queries in memory.
pub(crate) struct Workload {
    pub(crate) name: String,
    pub(crate) dim: usize,
    pub(crate) dtype: DType,
    pub(crate) metric: Metric,
    /// Packed rows.
    pub(crate) rows: Vec<u8>,
    pub(crate) queries: Asked,
    /// True neighbours by row number, a list for each query.
    pub(crate) truth: Option<Vec<Vec<u64>>>,
}

/// Queries, all in one.
pub(crate) enum Asked {
    Numbers(Vec<f32>),
    Bits(Vec<u8>),
}

impl Workload {
    /// The workload that the flags name.
    pub(crate) fn of(args: &Args) -> anyhow::Result<Self> {
        let truth = args.ground_truth.clone();
        match (&args.dataset, &args.train, &args.test) {
            (Some(file), ..) => {
                let [train, test, neighbors] = ["train", "test", "neighbors"].map(|name| part(file, name));
                Self::of_files(args, &train, &test, Some(truth.unwrap_or(neighbors)))
            }
            (None, Some(train), Some(test)) => Self::of_files(args, train, test, truth),
            _ => {
                let (rows, dim, queries) = STANDARD;
                let mut random = MersenneTwister::new(SEED);
                let mut draw =
                    |count: usize| -> Vec<f32> { (0..count).map(|_| random.double() as f32).collect() };
                let rows = draw(rows * dim).iter().flat_map(|value| value.to_le_bytes()).collect();
                let metric = metric_for(DType::F32, args.metric)?;
                let queries = Asked::Numbers(draw(queries * dim));
                Ok(Self {
                    name: "standard".to_owned(),
                    dim,
                    dtype: DType::F32,
                    metric,
                    rows,
                    queries,
                    truth: None,
                })
            }
        }
    }

    fn of_files(args: &Args, train: &Path, test: &Path, truth: Option<PathBuf>) -> anyhow::Result<Self> {
        let (rows, dim, target) = read(train, None)?;
        let dtype = match target {
            TargetType::F32 => DType::F32,
            TargetType::F16 => DType::F16,
            TargetType::BF16 => DType::BF16,
            TargetType::I8 => DType::I8,
            TargetType::U8 => DType::U8,
            TargetType::B1 => DType::B1,
        };
        let wanted = if dtype == DType::B1 { TargetType::B1 } else { TargetType::F32 };
        let (queries, found, _) = read(test, Some(wanted))?;
        if found != dim {
            bail!("{}: dimension {found}, where {} has {dim}", test.display(), train.display());
        }
        let queries = match dtype {
            DType::B1 => Asked::Bits(queries),
            _ => Asked::Numbers(
                queries.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            ),
        };
        let named = args.dataset.as_deref().unwrap_or(train);
        let mut workload = Self {
            name: named.file_name().unwrap_or(named.as_os_str()).to_string_lossy().into_owned(),
            dim,
            dtype,
            metric: metric_for(dtype, args.metric)?,
            rows,
            queries,
            truth: None,
        };
        if workload.len() == 0 || workload.query_count() == 0 {
            bail!("{}: there are no rows or no queries", train.display());
        }
        if let Some(path) = truth {
            workload.truth = Some(workload.read_truth(&path, args.k.get())?);
        }
        Ok(workload)
    }

    /// The collection that the rows go to.
    pub(crate) fn spec(&self) -> anyhow::Result<CollectionSpec> {
        let dim = u32::try_from(self.dim)?;
        Ok(CollectionSpec { dim, dtype: self.dtype, metric: self.metric, normalized: false })
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> u64 {
        (self.rows.len() / self.row_bytes()) as u64
    }

    /// Bytes of a row.
    pub(crate) fn row_bytes(&self) -> usize {
        if self.dtype == DType::B1 { self.dim.div_ceil(8) } else { self.rows_element() * self.dim }
    }

    fn rows_element(&self) -> usize {
        match self.dtype {
            DType::F32 => 4,
            DType::F16 | DType::BF16 => 2,
            DType::I8 | DType::U8 | DType::B1 => 1,
        }
    }

    /// Number of queries.
    pub(crate) fn query_count(&self) -> usize {
        match &self.queries {
            Asked::Numbers(values) => values.len() / self.dim,
            Asked::Bits(bytes) => bytes.len() / self.dim.div_ceil(8),
        }
    }

    fn read_truth(&self, path: &Path, k: usize) -> anyhow::Result<Vec<Vec<u64>>> {
        let truth = read_matrix_u64(path, &OpenOptions::default())?;
        let lists: Vec<Vec<u64>> = (0..truth.rows.min(self.query_count()))
            .map(|row| truth.row(row).iter().take(k).copied().collect())
            .collect();
        let fits = lists.len() == self.query_count()
            && lists.iter().all(|list| {
                list.len() == k.min(self.rows_within(usize::MAX)) && list.iter().all(|row| *row < self.len())
            });
        if !fits {
            bail!(
                "{}: {k} row numbers below {} are expected for each of {} queries",
                path.display(),
                self.len(),
                self.query_count()
            );
        }
        Ok(lists)
    }

    /// The smaller of the number of rows and `most`.
    pub(crate) fn rows_within(&self, most: usize) -> usize {
        usize::try_from(self.len()).unwrap_or(usize::MAX).min(most)
    }
}

/// A dataset of an HDF5 file.
fn part(file: &Path, name: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(format!(":/{name}"));
    path.into()
}

/// All rows of a file, its dimension, and the type of the rows.
fn read(path: &Path, target: Option<TargetType>) -> anyhow::Result<(Vec<u8>, usize, TargetType)> {
    let mut source = vexfs_io::open(path, &OpenOptions { target, ..OpenOptions::default() })?;
    let (mut all, mut slab) = (Vec::new(), Vec::new());
    let most = source.rows_within(SLAB_BYTES);
    while source.read_rows(&mut slab, most).with_context(|| path.display().to_string())? > 0 {
        all.extend_from_slice(&slab);
    }
    Ok((all, source.dim(), source.target()))
}
