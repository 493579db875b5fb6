//! The work of `vexfs-import`: the rows of all files in one transaction, then the indexes and the ordinary files, one each.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use vexfs_cli::index::BuiltIndex;
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::size::format_size;
use vexfs_cli::{Output, Report, Usage, WithHint, signals, volume};
use vexfs_fs::Volume;

use crate::args::Args;
use crate::{copy, indexes, rows};

const SCHEMA: Schema = Schema::new("vexfs-import", 1);

/// What was imported.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Imported {
    /// Rows added.
    rows: u64,
    /// Bytes of rows and files.
    bytes: u64,
    /// Ordinary files copied.
    files: u64,
    /// From the opening of the device until everything is durable.
    seconds: f64,
    /// Indexes that were built over the rows.
    indexes: Vec<BuiltIndex>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    let report = Report::new("vexfs-import", &args.output);
    read_standard_input_once(args)?;
    copy::check_sources(args)?;
    signals::catch()?;
    let begun = Instant::now();
    let mut volume = volume::open_for_writing(&args.device, &report)?;
    let mut imported = Imported::default();
    let outcome = imported.work(args, &mut volume, &report);
    let closed = volume.close();
    if imported.rows > 0 || imported.files > 0 {
        outcome.hint(format!("stored before that: {}", imported.amount()))?;
    } else {
        outcome?;
    }
    closed?;
    imported.seconds = begun.elapsed().as_secs_f64();
    if args.output.json {
        write_document(out, SCHEMA, &imported)?;
        return Ok(());
    }
    let rate = imported.bytes as f64 / imported.seconds.max(f64::MIN_POSITIVE);
    report.message(format!(
        "imported {}, {} in {:.2} s ({}/s), durable",
        imported.amount(),
        format_size(imported.bytes),
        imported.seconds,
        format_size(rate as u64),
    ));
    Ok(())
}

impl Imported {
    /// Imports everything; what is counted is stored, also when an error follows.
    fn work(&mut self, args: &Args, volume: &mut Volume, report: &Report) -> anyhow::Result<()> {
        if !args.vectors.is_empty() {
            indexes::check(args, volume)?;
            let added = rows::import(args, volume, report)?;
            (self.rows, self.bytes) = (added.rows, added.bytes);
        }
        for request in &args.index {
            self.indexes.push(indexes::build(args, volume, report, request)?);
        }
        for (source, destination) in args.copies() {
            self.bytes += copy::import(args, volume, report, source, destination)?;
            self.files += 1;
        }
        Ok(())
    }

    fn amount(&self) -> String {
        let count = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        match (self.rows, self.files) {
            (rows, 0) => count(rows, "row"),
            (0, files) => count(files, "file"),
            (rows, files) => format!("{} and {}", count(rows, "row"), count(files, "file")),
        }
    }
}

/// Standard input ends with its first reader: a second one would find nothing, and call it an empty file.
fn read_standard_input_once(args: &Args) -> Result<(), Usage> {
    let vectors = args.vectors.iter().map(|path| path.as_path());
    let beside = args.ids.iter().chain(&args.keys).map(|path| path.as_path());
    let all = vectors.chain(beside).chain(args.copies().map(|(source, _)| source));
    match all.filter(|&path| path == Path::new("-")).count() {
        0 | 1 => Ok(()),
        _ => Err(Usage::new("- is given more than once, and standard input can be read only once")),
    }
}
