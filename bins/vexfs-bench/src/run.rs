//! The order of the work.

use std::time::Instant;

use vexfs_cli::index::{BuiltIndex, IndexProgress, explain};
use vexfs_cli::output::json::write_document;
use vexfs_cli::size::format_size;
use vexfs_cli::{Output, Report, Usage, memory, signals, volume};
use vexfs_fs::Volume;
use vexfs_fs::index::{self, BuildOptions, Expected};

use crate::args::{Args, What};
use crate::hardware::{self, Machine};
use crate::memory::most_during;
use crate::result::{About, Bench, Built, SCHEMA};
use crate::volume::Place;
use crate::workload::Workload;
use crate::{compare, import, plot, print, search};

pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    if matches!(args.what, What::Run | What::Hw) && !args.files.is_empty() {
        return Err(
            Usage::new("files are for compare and show; vectors are named by --train and --test").into()
        );
    }
    match args.what {
        What::Run => bench(args, out),
        What::Hw => hardware::run(args, out),
        What::Compare => compare::run(args, out),
        What::Show => show(args, out),
    }
}

/// Prints a result that was written before.
fn show(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    args.plot.as_deref().map(plot::Format::of).transpose()?;
    let [file] = args.files.as_slice() else {
        return Err(Usage::new("show takes one file: RESULT.json").into());
    };
    give(args, &compare::read(file)?, out)
}

fn bench(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    let report = Report::new("vexfs-bench", &args.output);
    args.plot.as_deref().map(plot::Format::of).transpose()?;
    let is_named = args.device.named()?.is_some() && args.directory.is_none();
    if is_named {
        // Before a large file is read in vain.
        drop(volume::open_for_reading(&args.device, &report)?);
    }
    let workload = Workload::of(args)?;
    let mut expected = Expected::of_new(&args.collection, workload.spec()?);
    args.index
        .iter()
        .try_for_each(|request| explain(expected.add(request), "nothing was measured").map(drop))?;
    signals::catch()?;
    let times = import::repetitions(&workload, !is_named, args.runs.get(), args.warm_ups);
    let place = Place::of(args, workload.rows.len() as u64, times.0, args.index.len())?;
    let mut volume = volume::open_for_writing(&place.device, &report)?;
    let stored = store(args, &mut volume, &workload, times, &report);
    let closed = volume.close();
    let (imported, indexes) = stored?;
    closed?;
    let volume = volume::open_for_reading(&place.device, &report)?;
    let searches = search::measure(args, &volume, &workload, &indexes, &report)?;
    let bench = Bench {
        machine: Machine::here(),
        workload: About {
            name: workload.name.clone(),
            rows: workload.len(),
            dim: workload.dim,
            dtype: workload.dtype.to_string(),
            metric: workload.metric.to_string(),
            queries: workload.query_count(),
            k: workload.rows_within(args.k.get()),
        },
        device: place.name.clone(),
        is_scratch: place.is_scratch(),
        warm_ups: args.warm_ups,
        import: imported,
        indexes,
        searches,
    };
    give(args, &bench, out)
}

/// Plots and prints a result as the flags say.
fn give(args: &Args, bench: &Bench, out: &mut Output) -> anyhow::Result<()> {
    if let Some(path) = &args.plot {
        plot::write(bench, path)?;
    }
    if args.output.json {
        write_document(out, SCHEMA, bench)?;
    } else if args.csv {
        print::csv(bench, out)?;
    } else {
        print::table(bench, out)?;
    }
    Ok(())
}

/// Imports the rows and builds the indexes.
fn store(
    args: &Args,
    volume: &mut Volume,
    workload: &Workload,
    times: (usize, usize),
    report: &Report,
) -> anyhow::Result<(crate::result::Import, Vec<Built>)> {
    let imported = import::measure(volume, workload, &args.collection, times)?;
    report.detail(format!("imported {} rows, {}", workload.len(), format_size(imported.bytes)));
    let threads = args.threads.count().get();
    let mut indexes = Vec::new();
    for request in &args.index {
        let begun = Instant::now();
        let progress = IndexProgress::new(report);
        let memory = args.memory.unwrap_or_else(memory::for_builds);
        let options = BuildOptions { threads, memory, progress: &progress, dry_run: false };
        let (built, most) = most_during(|| index::build(volume, &args.collection, request, &options));
        let built = explain(built, "the vectors are stored, the index is not built")?;
        let built = BuiltIndex::new(&built, begun.elapsed());
        report.detail(format!("built {} in {}: {}", built.spec, built.time(), format_size(built.bytes)));
        indexes.push(Built {
            name: built.name,
            spec: built.spec,
            bytes: built.bytes,
            seconds: built.seconds,
            calibration_seconds: built.calibration_seconds,
            memory: most,
            threads,
        });
    }
    Ok((imported, indexes))
}
