//! `--undo FILE`: puts back what another tool has saved with `-z FILE`.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use serde::Serialize;
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::undo::known_uuid;
use vexfs_cli::{Output, Report, WithHint, signals};
use vexfs_device::{
    Device, FileDevice, FileKind, OpenOptions, UndoApply, UndoError, UndoFile, UndoReport, apply_undo,
};

use crate::args::Args;

const SCHEMA: Schema = Schema::new("vexfs-tune-undo", 1);

/// What was put back.
#[derive(Serialize)]
struct Outcome<'a> {
    device: &'a str,
    file: String,
    dry_run: bool,
    /// Name of the tool whose work was taken back, and whether it had ended.
    tool: &'a str,
    finished: bool,
    /// Bytes written; in a dry run, that would be.
    restored: u64,
    /// Length that an image file was cut off to.
    shortened_to: Option<u64>,
    lost: Vec<Lost>,
}

/// Bytes that could not be read when they were overwritten, and stay as they are.
#[derive(Serialize)]
struct Lost {
    byte: u64,
    bytes: u64,
}

pub(crate) fn run(args: &Args, file: &Path, out: &mut Output) -> anyhow::Result<()> {
    let report = Report::new("vexfs-tune", &args.output);
    let located = args.device()?.locate()?;
    let options = if args.dry_run { OpenOptions::read_only() } else { OpenOptions::read_write() };
    // A half of the work would be worse than either end: the first signal is not obeyed.
    signals::catch().context("cannot catch signals")?;
    let device = FileDevice::open(&located.path, options.offset(located.offset))?;
    let options = UndoApply { uuid: known_uuid(&device), force: args.force, dry_run: args.dry_run };
    let done = UndoFile::open(file).and_then(|store| apply_undo(store, &device, &options));
    let done = match done {
        Ok(done) => done,
        Err(error @ UndoError::Changed { .. }) => {
            return Err(error)
                .hint("-f puts it back all the same, and mixes what was before with what came after");
        }
        Err(error) => return Err(error.into()),
    };
    let (name, is_image) = (device.name().to_owned(), device.kind() == FileKind::Image);
    let is_longer = done.original_len.is_some_and(|len| len < device.len());
    drop(device);
    let shortened_to = done.original_len.filter(|_| is_image && is_longer && !args.dry_run);
    if let Some(len) = shortened_to {
        let cut = File::options().write(true).open(&located.path);
        let cut = cut.and_then(|file| file.set_len(located.offset + len).and_then(|()| file.sync_all()));
        cut.with_context(|| format!("{name}: cannot be made as short as it was"))?;
    }
    tell(args, &name, &done, &report);
    if args.output.json {
        let lost = done.lost.iter().map(|run| Lost { byte: run.offset, bytes: run.len }).collect();
        let outcome = Outcome {
            device: &name,
            file: file.display().to_string(),
            dry_run: args.dry_run,
            tool: &done.tool,
            finished: done.is_finished,
            restored: done.restored,
            shortened_to,
            lost,
        };
        write_document(out, SCHEMA, &outcome)?;
    }
    Ok(())
}

fn tell(args: &Args, name: &str, done: &UndoReport, report: &Report) {
    for run in &done.lost {
        report.warning(format!(
            "{name}: {} bytes at byte offset {} could not be read when they were overwritten; they stay as they are",
            run.len, run.offset
        ));
    }
    let how = if done.is_finished { "" } else { ", which was cut off" };
    let tool = match done.tool.as_str() {
        "" => "an unnamed tool",
        tool => tool,
    };
    let verb = if args.dry_run { "would put back" } else { "put back" };
    report.message(format!("{name}: {verb} {} bytes, the work of {tool}{how}", done.restored));
}
