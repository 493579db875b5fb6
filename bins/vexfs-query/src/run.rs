//! The work of `vexfs-query`: batches of queries in, neighbours out.

use std::io::{self, Write};
use std::time::Instant;

use anyhow::bail;
use vexfs_cli::output::json::{Schema, to_line};
use vexfs_cli::{Output, Report, Usage, volume};
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::payload::Payloads;
use vexfs_fs::index::Indexes;
use vexfs_fs::search::{Answer, Matches, Searcher};
use vexfs_fs::{FsError, Volume};

use crate::args::Args;
use crate::print::{Names, Printer};
use crate::recall::GroundTruth;
use crate::source::{QuerySource, answer_len};
use crate::stats::Stats;

const STATS_SCHEMA: Schema = Schema::new("vexfs-query-stats", 1);

pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    let report = Report::new("vexfs-query", &args.output);
    let volume = volume::open_for_reading(&args.device, &report)?;
    let collection = Collection::open(&volume, args.collection.name())?;
    let payloads = open_payloads(args, &volume, &collection)?;
    let mut searcher = Searcher::open(&volume, &collection)?;
    let mut damage = Damage::default();
    if let (Some(filter), Some(payloads)) = (&args.filter, &payloads) {
        let matches = filter.apply(payloads, searcher.deletions(), args.threads.count().get(), &|| false)?;
        damage.undecided(&matches, &report);
        searcher = searcher.only(matches);
    }
    let (limit, request) = (args.limit(), args.request());
    let k = limit.k;
    let indexes = Indexes::open(&volume, &collection, &request.choice);
    let plan = searcher.plan(&indexes, &request, limit).map_err(|e| match e {
        FsError::BadIndex(problem) => Usage::new(problem).into(),
        other => anyhow::Error::from(other),
    })?;
    plan.warnings().iter().for_each(|warning| report.warning(warning));
    let threads = args.threads.count().get();
    let mut truth =
        args.ground_truth.as_deref().map(|path| GroundTruth::open(path, k, &searcher)).transpose()?;
    let mut source = QuerySource::open(args, &searcher, &report)?;
    let columns = answer_len(limit, &searcher).max(1);
    let shown = payloads.as_ref().filter(|_| args.payload);
    let names = Names { identities: searcher.identities(), payloads: shown };
    let mut printer = Printer::new(args, out, names, &report, columns, source.len())?;
    let mut stats = Stats::new(limit, threads, plan.index());
    while let Some(batch) = source.next_batch(&searcher)? {
        let begun = Instant::now();
        let answer = plan.search(&batch.queries, threads, &|| false)?;
        stats.add(begun.elapsed(), &answer);
        if let Some(reason) = &answer.fallback {
            report.warning(reason);
            stats.index(plan.index());
        }
        damage.tell(&answer, &report);
        if let Some(truth) = &mut truth {
            truth.compare(&batch, &answer.hits, &searcher)?;
        }
        printer.batch(&answer)?;
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
    if unnamed > 0 {
        bail!(
            "{unnamed} neighbours are left out because their ids, keys or payload are damaged; run fsck.vexfs"
        );
    }
    match damage.undecided {
        0 => {}
        1 => bail!("the payload of 1 row is damaged, and nobody knows whether it fulfils the filter"),
        n => bail!("the payload of {n} rows is damaged, and nobody knows whether they fulfil the filter"),
    }
    match damage.rows {
        0 => Ok(()),
        1 => bail!("1 row is damaged and was not compared; the answer holds what is intact"),
        n => bail!("{n} rows are damaged and were not compared; the answer holds what is intact"),
    }
}

/// Damage that was met; each batch of queries meets it again.
#[derive(Default)]
struct Damage {
    is_told: bool,
    rows: u64,
    /// Rows of which the filter could not be decided.
    undecided: u64,
}

/// The payload, where it is asked for.
fn open_payloads(args: &Args, volume: &Volume, collection: &Collection) -> anyhow::Result<Option<Payloads>> {
    if args.filter.is_none() && !args.payload {
        return Ok(None);
    }
    match collection.payloads(volume)? {
        None => bail!("{}: its rows have no payload; vexfs-import --payload stores it", collection.path),
        payloads => Ok(payloads),
    }
}

impl Damage {
    fn undecided(&mut self, matches: &Matches, report: &Report) {
        self.undecided = matches.unreadable_rows;
        for (row, reason) in &matches.unreadable {
            report.warning(format!("row {row} is left out: {reason}"));
        }
    }

    fn tell(&mut self, answer: &Answer, report: &Report) {
        self.rows = self.rows.max(answer.damaged_rows);
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        for (row, reason) in &answer.damaged {
            report.warning(format!("row {row} was not compared: {reason}"));
        }
        if answer.damaged_rows > answer.damaged.len() as u64 {
            report.warning(format!("and {} rows more", answer.damaged_rows - answer.damaged.len() as u64));
        }
        for damage in &answer.survived {
            report.warning(format!("{damage}; its rows agree with their own checksums and were compared"));
        }
    }
}
