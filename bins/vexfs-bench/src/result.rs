//! What `run` finds out, as it is written and read.

use serde::{Deserialize, Serialize};
use vexfs_cli::output::json::Schema;

use crate::hardware::Machine;
use crate::statistics::Statistic;

/// Name and version of the document.
pub(crate) const SCHEMA: Schema = Schema::new("vexfs-bench", 1);

/// Recalls at which searches are summed up and compared.
pub(crate) const RECALLS: [f64; 4] = [0.9, 0.95, 0.99, 0.999];

/// A result of `run`.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Bench {
    pub(crate) machine: Machine,
    pub(crate) workload: About,
    /// Image or device, and whether it was made for this run.
    pub(crate) device: String,
    pub(crate) is_scratch: bool,
    pub(crate) warm_ups: usize,
    pub(crate) import: Import,
    pub(crate) indexes: Vec<Built>,
    pub(crate) searches: Vec<Measured>,
}

/// What was measured with.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct About {
    pub(crate) name: String,
    pub(crate) rows: u64,
    pub(crate) dim: usize,
    pub(crate) dtype: String,
    pub(crate) metric: String,
    pub(crate) queries: usize,
    pub(crate) k: usize,
}

/// From rows in memory to a durable collection.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Import {
    pub(crate) bytes: u64,
    pub(crate) seconds: Statistic,
    pub(crate) rows_per_second: Statistic,
}

/// An index that was built.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Built {
    pub(crate) name: String,
    pub(crate) spec: String,
    pub(crate) bytes: u64,
    /// With its calibration, until it was durable.
    pub(crate) seconds: f64,
    /// Of this, the calibration; 0 in results of versions that did not say.
    #[serde(default)]
    pub(crate) calibration_seconds: f64,
    /// Most bytes of anonymous memory that the build took at a time; 0 if the system does not say.
    #[serde(default)]
    pub(crate) memory: u64,
    pub(crate) threads: usize,
}

/// How queries come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mode {
    /// One after the other, by one thread.
    Single,
    /// All at once.
    Batch,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Batch => "batch",
        }
    }
}

/// One way of searching.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Kind and parameters of the index; `exact` without one.
    pub(crate) spec: String,
    /// What `effort` counts: `ef`, `nprobe`, `probes`; empty if nothing.
    pub(crate) effort_name: String,
    pub(crate) effort: u32,
    pub(crate) rerank: u32,
    pub(crate) mode: Mode,
    pub(crate) threads: usize,
    pub(crate) recall: f64,
    pub(crate) qps: Statistic,
    /// Latency of a query, over all counted runs; of a batch, that of the batch.
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Per query.
    pub(crate) distance_computations: f64,
}

impl Measured {
    /// The effort in words.
    pub(crate) fn effort(&self) -> String {
        match (self.effort_name.as_str(), self.rerank) {
            ("", 0) => String::new(),
            ("", rerank) => format!("rerank={rerank}"),
            (name, 0) => format!("{name}={}", self.effort),
            (name, rerank) => format!("{name}={} rerank={rerank}", self.effort),
        }
    }
}
