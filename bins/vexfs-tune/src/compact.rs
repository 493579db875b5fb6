//! `--compact`: the space of deleted rows, reclaimed.

use std::time::Instant;

use serde::Serialize;
use vexfs_cli::index::IndexProgress;
use vexfs_cli::size::format_size;
use vexfs_cli::{Interrupted, Report, WithHint, signals};
use vexfs_fs::collection::Collection;
use vexfs_fs::{BlockSource, FsError, Volume, index};

use crate::args::Args;

/// What an error or interruption leaves.
const UNTOUCHED: &str = "the collection is as it was";

/// What was reclaimed, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct Compacted {
    collection: String,
    /// Rows that are left.
    rows: u64,
    /// Deleted rows that take no space any more.
    removed: u64,
    seconds: f64,
}

/// Writes the rows of the collection anew without those that are deleted. Returns what was done and the names of the indexes that are
/// to be built anew.
pub(crate) fn compact(
    args: &Args,
    volume: &mut Volume,
    report: &Report,
) -> anyhow::Result<(Compacted, Vec<String>)> {
    let begun = Instant::now();
    let path = args.collection.name();
    let collection = Collection::open(volume, path)?;
    let (ino, live) = (collection.inode.number(), collection.desc.live_rows.get());
    let removed = collection.rows() - live;
    let plural = if removed == 1 { "" } else { "s" };
    let mut done = Compacted { collection: path.to_owned(), rows: live, removed, seconds: 0.0 };
    if removed == 0 {
        report.message(format!("{path} has no deleted rows"));
    } else if args.dry_run {
        let bytes = removed.saturating_mul(collection.desc.row_bytes());
        let bytes = format_size(bytes);
        report
            .message(format!("would reclaim the space of {removed} deleted row{plural} of {path}: {bytes}"));
    } else {
        if signals::interrupted() {
            return Err(Interrupted::new(UNTOUCHED).into());
        }
        let free = volume.superblock().free_blocks.get();
        let progress = IndexProgress::new(report);
        let mut txn = volume.begin()?;
        let compacted = txn.compact_rows(path, ino, &progress).and_then(|compacted| {
            txn.commit()?;
            Ok(compacted)
        });
        let compacted = match compacted {
            Err(FsError::Interrupted) => return Err(Interrupted::new(UNTOUCHED).into()),
            Err(error @ FsError::NoSpace { .. }) => {
                return Err(error).hint(format!(
                    "{UNTOUCHED}; the rows are written anew before their old places are free: drop indexes, or make room"
                ));
            }
            other => other?,
        };
        drop(progress);
        (done.rows, done.removed) = (compacted.rows, compacted.removed);
        let freed = volume.superblock().free_blocks.get().saturating_sub(free);
        report.message(format!(
            "compacted {path}: {} rows are left, {} deleted row{plural} removed, {} are free again",
            done.rows,
            done.removed,
            format_size(freed.saturating_mul(volume.block_size() as u64)),
        ));
    }
    done.seconds = begun.elapsed().as_secs_f64();
    let collection = Collection::open(volume, path)?;
    // A dry run does not drop any, and tells of those that it would.
    let is_to_build = |files: &index::IndexFiles| files.is_unbuilt() || (args.dry_run && removed > 0);
    let indexes = index::list(volume, &collection)?.into_iter().filter(is_to_build);
    Ok((done, indexes.map(|files| files.name).collect()))
}
