//! The work of `vexfs-import`: the rows of all files in one transaction, then the ordinary files, one each.

use std::time::Instant;

use serde::Serialize;
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::size::format_size;
use vexfs_cli::{Output, Report, signals, volume};

use crate::args::Args;
use crate::{copy, rows};

const SCHEMA: Schema = Schema::new("vexfs-import", 1);

/// What was imported.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Imported {
    /// Rows added.
    pub(crate) rows: u64,
    /// Bytes of rows and files.
    pub(crate) bytes: u64,
    /// Ordinary files copied.
    pub(crate) files: u64,
    /// From the opening of the device until everything is durable.
    pub(crate) seconds: f64,
    /// Indexes that cover the rows.
    pub(crate) indexes: Vec<String>,
}

pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    let report = Report::new("vexfs-import", &args.output);
    signals::catch()?;
    let begun = Instant::now();
    let mut volume = volume::open_for_writing(&args.device, &report)?;
    let mut imported = Imported::default();
    if !args.vectors.is_empty() {
        let added = rows::import(args, &mut volume, &report)?;
        (imported.rows, imported.bytes) = (added.rows, added.bytes);
    }
    for (source, destination) in args.copies() {
        imported.bytes += copy::import(args, &mut volume, &report, source, destination)?;
        imported.files += 1;
    }
    volume.close()?;
    imported.seconds = begun.elapsed().as_secs_f64();
    if args.output.json {
        write_document(out, SCHEMA, &imported)?;
        return Ok(());
    }
    let rate = imported.bytes as f64 / imported.seconds.max(f64::MIN_POSITIVE);
    report.message(format!(
        "imported {} in {:.2} s ({}/s), durable",
        match (imported.rows, imported.files) {
            (rows, 0) => format!("{rows} rows, {}", format_size(imported.bytes)),
            (0, files) => format!("{files} files, {}", format_size(imported.bytes)),
            (rows, files) => format!("{rows} rows and {files} files, {}", format_size(imported.bytes)),
        },
        imported.seconds,
        format_size(rate as u64),
    ));
    Ok(())
}
