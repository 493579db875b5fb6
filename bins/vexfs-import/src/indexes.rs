//! Indexes over the rows, built when these are durable.

use std::time::Instant;

use vexfs_cli::index::{BuiltIndex, IndexProgress, explain};
use vexfs_cli::size::format_size;
use vexfs_cli::{Report, memory};
use vexfs_fs::Volume;
use vexfs_fs::index::{self, BuildOptions, Expected, IndexRequest};

use crate::args::Args;
use crate::rows::UNTOUCHED;

/// Refuses indexes that cannot be built one after the other, before anything is stored.
pub(crate) fn check(args: &Args, mut expected: Expected) -> anyhow::Result<()> {
    args.index.iter().try_for_each(|request| explain(expected.add(request), UNTOUCHED).map(drop))
}

/// Builds one index over all rows of the collection.
pub(crate) fn build(
    args: &Args,
    volume: &mut Volume,
    report: &Report,
    request: &IndexRequest,
) -> anyhow::Result<BuiltIndex> {
    let begun = Instant::now();
    let progress = IndexProgress::new(report);
    let built = index::build(volume, args.collection.name(), request, &options(args, &progress));
    let built = explain(built, "the vectors are stored, the index is not built")?;
    drop(progress);
    let built = BuiltIndex::new(&built, begun.elapsed());
    report.message(format!(
        "built index {} ({}) over {} rows: {} in {}",
        built.name,
        built.spec,
        built.rows,
        format_size(built.bytes),
        built.time(),
    ));
    Ok(built)
}

fn options<'p>(args: &Args, progress: &'p IndexProgress<'_>) -> BuildOptions<'p> {
    BuildOptions {
        threads: args.threads.count().get(),
        memory: args.memory.unwrap_or_else(memory::for_builds),
        progress,
        dry_run: false,
    }
}
