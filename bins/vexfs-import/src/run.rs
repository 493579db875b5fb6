//! The work of `vexfs-import`: the rows of all files in one transaction, then the indexes and the ordinary files, one each.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use vexfs_cli::index::BuiltIndex;
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::size::format_size;
use vexfs_cli::{Output, Report, Usage, WithHint, signals, volume};
use vexfs_fs::Volume;

use crate::args::{Args, Mode};
use crate::{copy, delete, indexes, resume, rows};

const SCHEMA: Schema = Schema::new("vexfs-import", 1);

/// What was imported.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Imported {
    /// Rows added.
    rows: u64,
    /// Rows of the same import that earlier runs have stored.
    resumed: u64,
    /// How many of them replaced a row.
    replaced: u64,
    /// Rows deleted, without those replaced.
    deleted: u64,
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
    args.check()?;
    read_standard_input_once(args)?;
    copy::check_sources(args)?;
    signals::catch()?;
    let begun = Instant::now();
    let mut volume = volume::open_for_writing(&args.device, &report)?;
    let mut imported = Imported::default();
    let outcome = imported.work(args, &mut volume, &report);
    let closed = volume.close();
    if imported.rows > 0 || imported.deleted > 0 || imported.files > 0 {
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
    if args.mode() == Mode::Delete || args.abandon {
        report.message(format!("{} in {:.2} s, durable", imported.amount(), imported.seconds));
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
            let added = rows::import(args, volume, report)?;
            (self.rows, self.bytes, self.replaced) = (added.rows, added.bytes, added.replaced);
            self.resumed = added.resumed;
        }
        if args.mode() == Mode::Delete {
            self.deleted = delete::delete(args, volume)?;
        }
        if args.abandon {
            self.deleted = resume::abandon(args, volume)?;
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
        let rows = match self.replaced {
            0 => count(self.rows, "row"),
            replaced => format!("{} ({replaced} replaced)", count(self.rows, "row")),
        };
        let deleted = format!("{} deleted", count(self.deleted, "row"));
        let parts = [(self.rows, rows), (self.deleted, deleted), (self.files, count(self.files, "file"))];
        let parts: Vec<String> = parts.into_iter().filter(|(n, _)| *n > 0).map(|(_, text)| text).collect();
        if parts.is_empty() { count(0, "row") } else { parts.join(" and ") }
    }
}

/// Standard input ends with its first reader: a second one would find nothing, and call it an empty file.
fn read_standard_input_once(args: &Args) -> Result<(), Usage> {
    let vectors = args.vectors.iter().map(|path| path.as_path());
    let beside = args.ids.iter().chain(&args.keys).chain(&args.payload).map(|path| path.as_path());
    let all = vectors.chain(beside).chain(args.copies().map(|(source, _)| source));
    match all.filter(|&path| path == Path::new("-")).count() {
        0 | 1 => Ok(()),
        _ => Err(Usage::new("- is given more than once, and standard input can be read only once")),
    }
}
