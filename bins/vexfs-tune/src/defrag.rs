//! `--defrag`: what lies in pieces, brought together.

use std::time::Instant;

use serde::Serialize;
use vexfs_cli::index::IndexProgress;
use vexfs_cli::output::printable;
use vexfs_cli::size::format_size;
use vexfs_cli::{Interrupted, Report, signals};
use vexfs_fs::defrag::{Defragmented, Fragmented, fragmented};
use vexfs_fs::{FsError, Volume};

use crate::args::Args;

/// What was brought together, or would be.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Defrag {
    /// Files and streams that lay in more pieces than one.
    fragmented: usize,
    /// Those that were written anew.
    moved: Vec<Moved>,
    /// Those that stay as they are, and why.
    left: Vec<Left>,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct Moved {
    path: String,
    bytes: u64,
    pieces_before: u64,
    /// Pieces afterwards; `null` in a dry run, which does not try.
    pieces: Option<u64>,
}

#[derive(Debug, Serialize)]
struct Left {
    path: String,
    bytes: u64,
    pieces: u64,
    reason: String,
}

/// Writes what lies in pieces anew, one after the other.
pub(crate) fn run(args: &Args, volume: &mut Volume, report: &Report) -> anyhow::Result<Defrag> {
    let begun = Instant::now();
    let mut todo = fragmented(volume)?;
    let mut done = Defrag { fragmented: todo.len(), ..Defrag::default() };
    if todo.is_empty() {
        report.message("nothing to defragment: every file and stream lies in one piece");
    } else if args.dry_run {
        for object in todo {
            report.message(format!("would move {}", described(&object)));
            done.moved.push(Moved::of(object, None));
        }
    } else {
        // What one object leaves behind may be room for another.
        loop {
            let before = done.moved.len();
            todo = pass(volume, report, todo, &mut done)?;
            if todo.is_empty() || done.moved.len() == before {
                break;
            }
        }
        for object in todo {
            report.warning(format!("{}: no room for it in fewer pieces", described(&object)));
            done.left.push(Left::of(object, "no room for it in fewer pieces".to_owned()));
        }
        report.message(format!(
            "defragmented: {} of {} moved, {}",
            done.moved.len(),
            done.fragmented,
            format_size(done.moved.iter().map(|moved| moved.bytes).sum())
        ));
    }
    done.seconds = begun.elapsed().as_secs_f64();
    Ok(done)
}

/// Tries each object once, and returns those that found no room.
fn pass(
    volume: &mut Volume,
    report: &Report,
    todo: Vec<Fragmented>,
    done: &mut Defrag,
) -> anyhow::Result<Vec<Fragmented>> {
    let mut no_room = Vec::new();
    for object in todo {
        let stopped = |done: &Defrag| {
            let rest = "the rest lies as it did; the same command goes on";
            Interrupted::new(format!("{} objects were moved, {rest}", done.moved.len()))
        };
        if signals::interrupted() {
            return Err(stopped(done).into());
        }
        let progress = IndexProgress::new(report);
        match volume.defragment(&object, &progress) {
            Ok(Defragmented::Moved { pieces }) => {
                report.detail(format!("moved {}, which lies in {pieces} now", described(&object)));
                done.moved.push(Moved::of(object, Some(pieces)));
            }
            Ok(Defragmented::NoRoom) => no_room.push(object),
            Err(FsError::Interrupted) => return Err(stopped(done).into()),
            Err(error @ (FsError::Corrupt(_) | FsError::BadStream { .. })) => {
                report.warning(format!("{}: {error}", described(&object)));
                done.left.push(Left::of(object, error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(no_room)
}

fn described(object: &Fragmented) -> String {
    let (path, size) = (printable(&object.path), format_size(object.bytes));
    format!("{path} ({size} in {} pieces)", object.pieces)
}

impl Moved {
    fn of(object: Fragmented, pieces: Option<u64>) -> Self {
        Self { path: object.path, bytes: object.bytes, pieces_before: object.pieces, pieces }
    }
}

impl Left {
    fn of(object: Fragmented, reason: String) -> Self {
        Self { path: object.path, bytes: object.bytes, pieces: object.pieces, reason }
    }
}
