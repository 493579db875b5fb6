//! The work of `vexfs-query`: batches of queries in, neighbours out.

use std::io::{self, Write};
use std::time::Instant;

use vexfs_cli::output::json::{Schema, to_line};
use vexfs_cli::{Output, Report};
use vexfs_fs::search::{Answer, Plan};

use crate::args::Args;
use crate::damage::Damage;
use crate::merge::merge;
use crate::place;
use crate::print::Printer;
use crate::recall::GroundTruth;
use crate::source::{QuerySource, answer_len};
use crate::stats::Stats;

const STATS_SCHEMA: Schema = Schema::new("vexfs-query-stats", 1);

pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    let report = Report::new("vexfs-query", &args.output);
    let places = place::open(args, &report)?;
    let limit = args.limit();
    let k = limit.k;
    let plans: Vec<Plan<'_>> =
        places.iter().map(|place| place.plan(args, limit)).collect::<Result<_, _>>()?;
    plans.iter().flat_map(Plan::warnings).for_each(|warning| report.warning(warning));
    let threads = args.threads.count().get();
    let mut truth =
        args.ground_truth.as_deref().map(|path| GroundTruth::open(path, k, &places)).transpose()?;
    let mut source = QuerySource::open(args, &places, &report)?;
    let columns = answer_len(limit, &places).max(1);
    let mut printer = Printer::new(args, out, &places, &report, columns, source.len())?;
    let mut stats = Stats::new(limit, threads, &plans);
    let mut damage = Damage::new(&places);
    while let Some(batch) = source.next_batch()? {
        let begun = Instant::now();
        // One place after the other, each with all threads: they never wait for each other's device, and none is idle.
        let answer = |plan: &Plan<'_>| plan.search(&batch.queries, threads, &|| false);
        let answers: Vec<Answer> = plans.iter().map(answer).collect::<Result<_, _>>()?;
        let hits = merge(&answers, k);
        stats.add(begun.elapsed(), &answers);
        let fallbacks = answers.iter().filter_map(|answer| answer.fallback.as_ref());
        for reason in fallbacks {
            report.warning(reason);
            stats.index(&plans);
        }
        damage.tell(&answers, &report);
        if let Some(truth) = &mut truth {
            truth.compare(&batch, &hits)?;
        }
        printer.batch(&hits, answers.iter().all(|answer| answer.is_exact))?;
    }
    let unnamed = printer.finish()?;
    if let Some(truth) = truth {
        let recall = truth.finish()?;
        stats.recall = Some(recall);
        if !args.stats {
            report.message(format!("recall@{k}: {recall:.4}"));
        }
    }
    if args.stats {
        // Figures are wanted also with -q; nobody can be told when standard error is closed.
        let _ = writeln!(io::stderr(), "{}", to_line(STATS_SCHEMA, &stats.finish())?);
    }
    damage.finish(unnamed)
}
