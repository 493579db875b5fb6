//! The work of `vexfs-query`: batches of queries in, neighbours out.

use std::time::Instant;

use anyhow::bail;
use vexfs_cli::output::json::{Schema, to_line};
use vexfs_cli::{Output, Report, volume};
use vexfs_fs::collection::Collection;
use vexfs_fs::search::Searcher;

use crate::args::Args;
use crate::print::Printer;
use crate::recall::GroundTruth;
use crate::source::QuerySource;
use crate::stats::Stats;

const STATS_SCHEMA: Schema = Schema::new("vexfs-query-stats", 1);

pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    let report = Report::new("vexfs-query", &args.output);
    let volume = volume::open_for_reading(&args.device, &report)?;
    let collection = Collection::open(&volume, args.collection.name())?;
    let searcher = Searcher::open(&volume, &collection)?;
    let k = args.k as usize;
    let threads = args.threads.count().get();
    let mut truth =
        args.ground_truth.as_deref().map(|path| GroundTruth::open(path, k, &searcher)).transpose()?;
    let mut source = QuerySource::open(args, &searcher)?;
    let mut printer = Printer::new(args, searcher.identities())?;
    let mut stats = Stats::new(k, threads);
    let mut damaged = 0;
    while let Some(batch) = source.next_batch(&searcher)? {
        let begun = Instant::now();
        let answer = searcher.exact(&batch.queries, k, threads, &|| false)?;
        stats.add(begun.elapsed(), &answer);
        for (row, reason) in answer.damaged.iter().skip(damaged) {
            report.warning(format!("row {row} was not compared: {reason}"));
        }
        damaged = damaged.max(answer.damaged_rows as usize);
        if let Some(truth) = &mut truth {
            truth.compare(&batch, &answer.hits, &searcher)?;
        }
        printer.batch(out, &answer.hits)?;
    }
    printer.finish(out)?;
    if let Some(truth) = truth {
        let recall = truth.finish()?;
        stats.recall = Some(recall);
        if !args.stats {
            report.message(format!("recall@{k}: {recall:.4}"));
        }
    }
    if args.stats {
        eprintln!("{}", to_line(STATS_SCHEMA, &stats.finish())?);
    }
    if damaged > 0 {
        bail!("{damaged} rows are damaged and were not compared; the answer holds what is intact");
    }
    Ok(())
}
