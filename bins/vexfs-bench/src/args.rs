//! The flags of `vexfs-bench`.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Parser, ValueEnum, ValueHint};
use vexfs_cli::args::{DeviceArgs, OutputArgs, ThreadsArgs, metric};
use vexfs_cli::size::parse_size;
use vexfs_format::codes::Metric;
use vexfs_fs::index::IndexRequest;

/// Measure a VexFS: imports, index builds, searches and their recall
///
/// run imports vectors into a collection, builds the indexes asked for, and searches by comparing with every vector and through each
/// index at every effort, one query at a time and all at once. Each search is repeated, and recall stands beside speed. hw measures
/// the machine; compare sets two results of run side by side, and show prints or plots one again.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "vexfs-bench",
    bin_name = "vexfs-bench",
    version,
    override_usage = "vexfs-bench run [OPTIONS]\n       vexfs-bench hw [OPTIONS]\n       vexfs-bench compare [OPTIONS] BEFORE.json AFTER.json\n       vexfs-bench show [OPTIONS] RESULT.json"
)]
pub struct Args {
    /// What to do
    #[arg(value_name = "WHAT", value_enum)]
    pub what: What,

    /// For compare two results of run, as --json writes them; for show one
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub device: DeviceArgs,

    /// For run: collection to make on the device [default: bench]
    ///
    /// It must not exist, and stays, with its indexes, so that the other tools can be tried on it.
    #[arg(short, long, value_name = "NAME", default_value = "bench", hide_default_value = true)]
    pub collection: String,

    /// Directory of the image made without -d [default: that for temporary files]
    ///
    /// The image is removed in the end. What is measured is the filesystem and the device under this directory.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "device")]
    pub directory: Option<PathBuf>,

    /// For run: an HDF5 file of ann-benchmarks.com: train, test, neighbors
    ///
    /// The same as --train FILE:/train --test FILE:/test --ground-truth FILE:/neighbors; the last may be given otherwise.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with_all = ["train", "test"], group = "rows")]
    pub dataset: Option<PathBuf>,

    /// For run: vectors to import [default: the standard workload]
    ///
    /// A file as vexfs-import reads it; its rows are held in memory, so that reading them is not measured. The standard workload is
    /// 10,000 rows of 128 uniform f32 and 100 queries, those of NumPy's generator MT19937 with seed 42: numpy.random.seed(42), then
    /// numpy.random.random twice.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "test", group = "rows")]
    pub train: Option<PathBuf>,

    /// For run: queries
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "train")]
    pub test: Option<PathBuf>,

    /// For run: true neighbours of the queries, as row numbers
    ///
    /// Recall is measured against these rather than against the exact search, which is thereby measured too.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "rows")]
    pub ground_truth: Option<PathBuf>,

    /// For run: metric of the collection [default: l2, of bits hamming]
    #[arg(long, value_name = "METRIC", value_parser = metric())]
    pub metric: Option<Metric>,

    /// For run: index to build and to search through; may be repeated
    ///
    /// A kind with its parameters, such as hnsw,m=16, as for vexfs-import.
    #[arg(long, value_name = "KIND[,name=value…]")]
    pub index: Vec<IndexRequest>,

    /// For run: number of neighbours
    #[arg(short, long, value_name = "N", default_value = "10")]
    pub k: NonZeroUsize,

    /// For run: counted runs of each measurement
    #[arg(long, value_name = "N", default_value = "20")]
    pub runs: NonZeroUsize,

    /// For run: runs before those, which are not counted
    #[arg(long, value_name = "N", default_value = "5")]
    pub warm_ups: usize,

    /// For run: least recall of a search through an index
    ///
    /// The efforts of an index go from little to much, up to the first with a recall of 0.999. Those that find less than this are passed
    /// over.
    #[arg(long, value_name = "RECALL", default_value = "0", hide_default_value = true, value_parser = share)]
    pub from: f64,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub threads: ThreadsArgs,

    /// For run: memory that building an index may take [default: half of what is free]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory: Option<u64>,

    /// For run and show: print the searches as comma-separated values
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,

    /// For run and show: plot recall against queries per second
    ///
    /// Both axes are logarithmic, that of recall in the share of neighbours that is missed. The picture is an SVG or a PNG, as the end
    /// of the name says.
    #[arg(long, value_name = "FILE.svg|FILE.png", value_hint = ValueHint::FilePath)]
    pub plot: Option<PathBuf>,

    #[command(flatten)]
    #[allow(missing_docs)] // the fragment says what it is
    pub output: OutputArgs,
}

fn share(text: &str) -> Result<f64, String> {
    let is_share = |share: &f64| (0.0..=1.0).contains(share);
    text.parse().ok().filter(is_share).ok_or_else(|| "it is not between 0 and 1".to_owned())
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Measure imports, index builds and searches
    Run,
    /// Measure processor, memory and device
    Hw,
    /// Compare two results
    Compare,
    /// Show a result again, as a table, a plot or values
    Show,
}
