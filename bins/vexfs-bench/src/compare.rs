//! Two results side by side: how many times faster, at the same recall.

use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::output::table::{Align, Table};
use vexfs_cli::{Output, Report, Usage};

use crate::args::Args;
use crate::result::{Bench, Measured, Mode, RECALLS, SCHEMA};

const COMPARED: Schema = Schema::new("vexfs-bench-compare", 1);

/// No document of a run is longer.
const MOST_BYTES: u64 = 64 << 20;

/// One figure of both results.
#[derive(Debug, PartialEq, Serialize)]
struct Line {
    what: String,
    unit: &'static str,
    before: f64,
    after: f64,
    /// after / before.
    ratio: f64,
}

#[derive(Serialize)]
struct Lines {
    lines: Vec<Line>,
}

/// Reads both results and prints the ratios.
pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    let [before, after] = args.files.as_slice() else {
        return Err(Usage::new("compare takes two files: BEFORE.json AFTER.json").into());
    };
    let report = Report::new("vexfs-bench", &args.output);
    let (before, after) = (read(before)?, read(after)?);
    if before.workload != after.workload {
        report.warning("the results are of different workloads");
    }
    if before.machine.processor != after.machine.processor || before.machine.simd != after.machine.simd {
        report.warning("the results are of different machines");
    }
    let lines = lines(&before, &after);
    if args.output.json {
        write_document(out, COMPARED, &Lines { lines })?;
        return Ok(());
    }
    let columns = [
        ("what", Align::Left),
        ("unit", Align::Left),
        ("before", Align::Right),
        ("after", Align::Right),
        ("ratio", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for line in &lines {
        let ratio = format!("{:.2}", line.ratio);
        table.row([line.what.clone(), line.unit.to_owned(), figure(line.before), figure(line.after), ratio]);
    }
    table.write(out)?;
    Ok(())
}

/// Reads a result of run.
pub(crate) fn read(path: &Path) -> anyhow::Result<Bench> {
    #[derive(Deserialize)]
    struct Document {
        schema: Found,
        #[serde(flatten)]
        bench: serde_json::Value,
    }
    #[derive(Deserialize)]
    struct Found {
        name: String,
        version: u32,
    }
    let name = || path.display().to_string();
    let len = std::fs::metadata(path).with_context(name)?.len();
    if len > MOST_BYTES {
        bail!("{}: {len} bytes are too many for a result of vexfs-bench run", path.display());
    }
    let text = std::fs::read(path).with_context(name)?;
    let expected = "is no result of vexfs-bench run --json";
    let document: Document =
        serde_json::from_slice(&text).with_context(|| format!("{}: {expected}", path.display()))?;
    if document.schema.name != SCHEMA.name || document.schema.version != SCHEMA.version {
        bail!(
            "{}: is a {} of version {}; {} of version {} is expected",
            path.display(),
            document.schema.name,
            document.schema.version,
            SCHEMA.name,
            SCHEMA.version
        );
    }
    serde_json::from_value(document.bench).with_context(|| format!("{}: {expected}", path.display()))
}

/// All figures that both have.
fn lines(before: &Bench, after: &Bench) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut add = |what: String, unit, before: f64, after: f64| {
        lines.push(Line { what, unit, before, after, ratio: after / before });
    };
    let import = |bench: &Bench| bench.import.rows_per_second.mean;
    add("import".to_owned(), "rows/s", import(before), import(after));
    for index in &before.indexes {
        let Some(other) = after.indexes.iter().find(|other| other.spec == index.spec) else { continue };
        add(format!("{} build", index.spec), "s", index.seconds, other.seconds);
        add(format!("{} size", index.spec), "bytes", index.bytes as f64, other.bytes as f64);
    }
    let mut seen: Vec<(&str, Mode)> = Vec::new();
    for search in &before.searches {
        if seen.contains(&(&search.spec, search.mode)) {
            continue;
        }
        seen.push((&search.spec, search.mode));
        let exact = search.effort_name.is_empty() && search.rerank == 0;
        for recall in RECALLS.iter().take(if exact { 1 } else { RECALLS.len() }) {
            let best = |bench: &Bench| fastest(&bench.searches, &search.spec, search.mode, *recall);
            let (Some(one), Some(other)) = (best(before), best(after)) else { continue };
            let at = if exact { String::new() } else { format!(" recall >= {recall}") };
            add(format!("{} {}{at}", search.spec, search.mode.name()), "queries/s", one, other);
        }
    }
    lines
}

/// Queries per second of the fastest search with at least `recall`.
pub(crate) fn fastest(searches: &[Measured], spec: &str, mode: Mode, recall: f64) -> Option<f64> {
    let fit = searches
        .iter()
        .filter(|search| search.spec == spec && search.mode == mode && search.recall >= recall);
    fit.map(|search| search.qps.mean).max_by(f64::total_cmp)
}

fn figure(value: f64) -> String {
    if value < 100.0 { format!("{value:.3}") } else { format!("{value:.0}") }
}
