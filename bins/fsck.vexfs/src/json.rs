//! The outcome as one JSON document, written as it is found: a filesystem with endless problems takes no memory for them.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use vexfs_cli::Output;
use vexfs_fs::check::repair::RepairReport;
use vexfs_fs::check::{CheckReport, Problem, Summary};

use crate::meter::Cost;
use crate::repair_to::LostRun;

/// Version of the document; grows when a field changes its meaning or goes away.
const VERSION: u32 = 1;

/// One problem.
#[derive(Serialize)]
struct JsonProblem<'a> {
    code: String,
    pass: u8,
    severity: &'static str,
    preen: &'static str,
    message: String,
    question: Option<String>,
    block: Option<u64>,
    blocks: Option<u64>,
    byte: Option<u64>,
    inode: Option<u64>,
    path: Option<&'a str>,
    group: Option<u64>,
    row: Option<u64>,
    rows: Option<u64>,
    name: Option<&'a str>,
    found: Option<&'a str>,
    expected: Option<&'a str>,
    other: Option<u64>,
}

/// What stands behind the problems.
#[derive(Serialize)]
pub(crate) struct Outcome<'a> {
    /// `clean`, `repaired` (nothing is left), `damaged`, `interrupted`, `stopped` (at the first problem that a preening run cannot decide about) or `failed`.
    pub(crate) result: &'a str,
    /// Whether the filesystem was checked, or only looked at because it is marked clean.
    pub(crate) checked: bool,
    /// Transactions of the journal that were replayed, on the device or in memory.
    pub(crate) replayed: u64,
    /// Block of the backup superblock that was used.
    pub(crate) backup: Option<u64>,
    pub(crate) problems_found: u64,
    pub(crate) problems_repaired: u64,
    pub(crate) problems_left: u64,
    /// How often each kind of problem was found.
    pub(crate) counts: BTreeMap<String, u64>,
    /// How often each kind of problem is left.
    pub(crate) left: BTreeMap<String, u64>,
    pub(crate) worst: Option<&'static str>,
    pub(crate) summary: Option<JsonSummary>,
    pub(crate) passes: Vec<JsonCost>,
    /// What could not be read of the device that was copied.
    pub(crate) lost: Vec<JsonRun>,
}

/// Bytes of a device.
#[derive(Serialize)]
pub(crate) struct JsonRun {
    byte: u64,
    bytes: u64,
}

impl From<&LostRun> for JsonRun {
    fn from(lost: &LostRun) -> Self {
        Self { byte: lost.run.offset, bytes: lost.run.len }
    }
}

/// What the filesystem holds.
#[derive(Serialize)]
pub(crate) struct JsonSummary {
    inodes_used: u64,
    inodes: u64,
    blocks_used: u64,
    blocks: u64,
    collections: u64,
    vectors: u64,
    /// Whether collections and vectors were counted to the end.
    complete: bool,
}

impl JsonSummary {
    pub(crate) fn new(summary: &Summary, complete: bool) -> Self {
        Self {
            inodes_used: summary.inodes_used,
            inodes: summary.inodes,
            blocks_used: summary.blocks_used,
            blocks: summary.blocks,
            collections: summary.collections,
            vectors: summary.vectors,
            complete,
        }
    }
}

/// What a pass cost.
#[derive(Serialize)]
pub(crate) struct JsonCost {
    pass: u8,
    seconds: f64,
    bytes_read: u64,
}

impl From<&Cost> for JsonCost {
    fn from(cost: &Cost) -> Self {
        Self { pass: cost.pass, seconds: cost.time.as_secs_f64(), bytes_read: cost.bytes }
    }
}

impl<'a> Outcome<'a> {
    pub(crate) fn new(result: &'a str, checked: bool) -> Self {
        Self {
            result,
            checked,
            replayed: 0,
            backup: None,
            problems_found: 0,
            problems_repaired: 0,
            problems_left: 0,
            counts: BTreeMap::new(),
            left: BTreeMap::new(),
            worst: None,
            summary: None,
            passes: Vec::new(),
            lost: Vec::new(),
        }
    }

    /// Takes over what a repair reports.
    pub(crate) fn of_repair(mut self, report: &RepairReport) -> Self {
        self = self.of(&report.check);
        self.replayed = report.replayed;
        self.left = report.left.iter().map(|(code, count)| (code.to_string(), *count)).collect();
        self.counts = self.left.clone();
        for (code, count) in &report.repaired {
            *self.counts.entry(code.to_string()).or_default() += count;
        }
        self.problems_left = report.left.values().sum();
        self.problems_repaired = report.repaired.values().sum();
        self.problems_found = self.problems_left + self.problems_repaired;
        self
    }

    /// Takes over what a check reports.
    pub(crate) fn of(mut self, report: &CheckReport) -> Self {
        self.backup = report.backup.map(|block| block.get());
        self.problems_found = report.problems();
        self.problems_left = report.problems();
        self.counts = report.counts.iter().map(|(code, count)| (code.to_string(), *count)).collect();
        self.left = self.counts.clone();
        self.worst = report.worst.map(|severity| severity.name());
        self.summary = Some(JsonSummary::new(&report.summary, true));
        self
    }
}

/// A document under way.
#[derive(Debug, Default)]
pub(crate) struct Document {
    problems: u64,
    is_begun: bool,
}

impl Document {
    fn begin(&mut self, out: &mut Output, device: &str) -> io::Result<()> {
        if !self.is_begun {
            self.is_begun = true;
            let device = serde_json::to_string(device)?;
            let schema = format!(r#"{{"name":"fsck.vexfs","version":{VERSION}}}"#);
            write!(out, "{{\"schema\":{schema},\n\"device\":{device},\n\"problems\":[")?;
        }
        Ok(())
    }

    /// Writes one problem.
    pub(crate) fn problem(&mut self, out: &mut Output, problem: &Problem) -> io::Result<()> {
        self.begin(out, &problem.device)?;
        out.write_all(if self.problems == 0 { b"\n" } else { b",\n" })?;
        self.problems += 1;
        let place = &problem.place;
        let body = JsonProblem {
            code: problem.code().to_string(),
            pass: problem.code().pass,
            severity: problem.kind.severity.name(),
            preen: problem.kind.preen.name(),
            message: problem.message(),
            question: Some(problem.question()).filter(|question| !question.is_empty()),
            block: place.block,
            blocks: place.blocks,
            byte: place.byte,
            inode: place.inode,
            path: place.path.as_deref(),
            group: place.group,
            row: place.row,
            rows: place.rows,
            name: problem.name.as_deref(),
            found: problem.found.as_deref(),
            expected: problem.expected.as_deref(),
            other: problem.other,
        };
        serde_json::to_writer(&mut *out, &body)?;
        Ok(())
    }

    /// Writes what stands behind the problems, and ends the document.
    pub(crate) fn end(mut self, out: &mut Output, device: &str, outcome: &Outcome<'_>) -> io::Result<()> {
        self.begin(out, device)?;
        out.write_all(b"],\n")?;
        let body = serde_json::to_string(outcome)?;
        // The fields of the outcome go on in the same object.
        out.write_all(body.strip_prefix('{').unwrap_or(&body).as_bytes())?;
        out.write_all(b"\n")
    }

    /// Whether anything was written.
    pub(crate) fn is_begun(&self) -> bool {
        self.is_begun
    }
}
