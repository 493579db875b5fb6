//! Searching: every way that is measured, as often as the runs say, with its recall.

use std::time::Instant;

use vexfs_ann::{Neighbor, Queries};
use vexfs_cli::{Interrupted, Report, signals};
use vexfs_fs::collection::Collection;
use vexfs_fs::index::Indexes;
use vexfs_fs::search::{Choice, Effort, Plan, Request, Searcher};
use vexfs_fs::{FsError, Volume};

use crate::args::Args;
use crate::result::{Built, Measured, Mode, RECALLS};
use crate::statistics::{Statistic, percentile};
use crate::workload::{Asked, Workload};

/// Recall beyond which nobody wants more effort.
const ENOUGH: f64 = RECALLS[RECALLS.len() - 1];

/// What an interrupted run leaves.
const STAYS: &str = "what was imported stays";

/// Measures all searches of the collection: exact, and through each of `built` at each effort.
pub(crate) fn measure(
    args: &Args,
    volume: &Volume,
    workload: &Workload,
    built: &[Built],
    report: &Report,
) -> anyhow::Result<Vec<Measured>> {
    let collection = Collection::open(volume, &args.collection)?;
    let searcher = Searcher::open(volume, &collection)?;
    let bench = Bench::new(args, workload, &searcher)?;
    let mut all = Vec::new();
    let none = Indexes::none();
    let exact = Request { choice: Choice::Exact, effort: Effort::Default };
    let plan = searcher.plan(&none, &exact, bench.k)?;
    bench.both("exact", ("", 0, 0), &plan, report, &mut all)?;
    for index in built {
        let choice = Choice::Named(index.name.clone());
        let indexes = Indexes::open(volume, &collection, &choice);
        for (name, effort) in efforts(&indexes, &searcher, &choice, bench.k)? {
            let given = Effort::Given {
                effort: Some((name, effort.effort)).filter(|(name, _)| !name.is_empty()),
                rerank: Some(effort.rerank),
            };
            let request = Request { choice: choice.clone(), effort: given };
            let plan = searcher.plan(&indexes, &request, bench.k)?;
            plan.warnings().iter().for_each(|warning| report.warning(warning));
            if bench.recall(&plan)? < args.from {
                continue;
            }
            let recall =
                bench.both(&index.spec, (name, effort.effort, effort.rerank), &plan, report, &mut all)?;
            if recall >= ENOUGH {
                break;
            }
        }
    }
    Ok(all)
}

/// The efforts that the index proposes for `k`, and what it calls them.
fn efforts(
    indexes: &Indexes,
    searcher: &Searcher,
    choice: &Choice,
    k: usize,
) -> anyhow::Result<Vec<(&'static str, vexfs_ann::index::Effort)>> {
    let request = Request { choice: choice.clone(), effort: Effort::Default };
    let plan = searcher.plan(indexes, &request, k)?;
    Ok(plan.efforts())
}

/// What is the same for all searches.
struct Bench<'a> {
    searcher: &'a Searcher,
    queries: Queries,
    /// The same queries, one by one.
    single: Vec<Queries>,
    k: usize,
    /// Distance of the true k-th neighbour of each query.
    farthest: Vec<f64>,
    threads: usize,
    runs: usize,
    warm_ups: usize,
}

impl<'a> Bench<'a> {
    fn new(args: &Args, workload: &Workload, searcher: &'a Searcher) -> anyhow::Result<Self> {
        let dim = workload.dim;
        let (queries, single) = match &workload.queries {
            Asked::Numbers(values) => {
                let single = values.chunks_exact(dim).map(|query| searcher.queries(query, dim));
                (searcher.queries(values, dim)?, single.collect::<Result<Vec<_>, _>>()?)
            }
            Asked::Bits(bytes) => {
                let single =
                    bytes.chunks_exact(dim.div_ceil(8)).map(|query| searcher.bit_queries(query, dim));
                (searcher.bit_queries(bytes, dim)?, single.collect::<Result<Vec<_>, _>>()?)
            }
        };
        let k = workload.rows_within(args.k.get());
        let threads = args.threads.count().get();
        let mut bench = Self {
            searcher,
            queries,
            single,
            k,
            farthest: Vec::new(),
            threads,
            runs: args.runs.get(),
            warm_ups: args.warm_ups,
        };
        bench.farthest = bench.truth(workload)?;
        Ok(bench)
    }

    /// Distances of the true k-th neighbours: of those given, or of those that the exact search finds.
    fn truth(&self, workload: &Workload) -> anyhow::Result<Vec<f64>> {
        let Some(truth) = &workload.truth else {
            let answer = interruptible(self.searcher.exact(
                &self.queries,
                self.k,
                self.threads,
                &signals::interrupted,
            ))?;
            return Ok(answer
                .hits
                .iter()
                .map(|hits| hits.last().map_or(f64::INFINITY, |hit| hit.distance))
                .collect());
        };
        let farthest = |(query, rows): (usize, &Vec<u64>)| {
            let distance = |row: &u64| match &workload.queries {
                Asked::Numbers(values) => {
                    self.searcher.distance(&values[query * workload.dim..][..workload.dim], *row)
                }
                Asked::Bits(bytes) => {
                    let len = workload.dim.div_ceil(8);
                    self.searcher.bit_distance(&bytes[query * len..][..len], *row)
                }
            };
            rows.iter()
                .try_fold(f64::NEG_INFINITY, |farthest, row| Ok::<_, FsError>(farthest.max(distance(row)?)))
        };
        Ok(truth.iter().enumerate().map(farthest).collect::<Result<_, _>>()?)
    }

    /// Recall of one way of searching, which is not measured.
    fn recall(&self, plan: &Plan<'_>) -> anyhow::Result<f64> {
        let answer = interruptible(plan.search(&self.queries, self.threads, &signals::interrupted))?;
        Ok(self.share(self.found(0, &answer.hits)))
    }

    /// What share of all true neighbours so many are.
    fn share(&self, found: usize) -> f64 {
        found as f64 / (self.single.len() * self.k) as f64
    }

    /// Measures one way of searching, query by query and in batch; the recall.
    fn both(
        &self,
        spec: &str,
        (name, effort, rerank): (&str, u32, u32),
        plan: &Plan<'_>,
        report: &Report,
        all: &mut Vec<Measured>,
    ) -> anyhow::Result<f64> {
        let mut recall = 1.0;
        for mode in [Mode::Single, Mode::Batch] {
            let measured = Measured {
                spec: spec.to_owned(),
                effort_name: name.to_owned(),
                effort,
                rerank,
                ..self.one(mode, plan)?
            };
            report.detail(format!(
                "{spec} {} {}: recall {:.4}, {:.0} queries/s",
                measured.effort(),
                mode.name(),
                measured.recall,
                measured.qps.mean
            ));
            recall = measured.recall;
            all.push(measured);
        }
        Ok(recall)
    }

    fn one(&self, mode: Mode, plan: &Plan<'_>) -> anyhow::Result<Measured> {
        let (batches, threads) = match mode {
            Mode::Single => (self.single.as_slice(), 1),
            Mode::Batch => (std::slice::from_ref(&self.queries), self.threads),
        };
        let (mut rates, mut latencies) = (Vec::new(), Vec::new());
        let (mut found, mut distances) = (0, 0);
        for run in 0..self.warm_ups + self.runs {
            let is_last = run + 1 == self.warm_ups + self.runs;
            let (mut seconds, mut at) = (0.0, 0);
            for queries in batches {
                let begun = Instant::now();
                let answer = interruptible(plan.search(queries, threads, &signals::interrupted))?;
                let taken = begun.elapsed().as_secs_f64();
                seconds += taken;
                if run >= self.warm_ups {
                    latencies.push(taken * 1e6);
                }
                if is_last {
                    found += self.found(at, &answer.hits);
                    distances += answer.distance_computations;
                }
                at += answer.hits.len();
            }
            if run >= self.warm_ups {
                rates.push(self.single.len() as f64 / seconds);
            }
        }
        latencies.sort_by(f64::total_cmp);
        let count = self.single.len() as f64;
        Ok(Measured {
            spec: String::new(),
            effort_name: String::new(),
            effort: 0,
            rerank: 0,
            mode,
            threads,
            recall: self.share(found),
            qps: Statistic::of(&rates),
            p50_us: percentile(&latencies, 0.5),
            p99_us: percentile(&latencies, 0.99),
            distance_computations: distances as f64 / count,
        })
    }

    /// True neighbours among the answers to the queries from `first` on.
    fn found(&self, first: usize, hits: &[Vec<Neighbor>]) -> usize {
        let near = |(hits, farthest): (&Vec<Neighbor>, &f64)| {
            hits.iter().filter(|hit| hit.distance <= *farthest).count()
        };
        hits.iter().zip(&self.farthest[first..]).map(near).sum()
    }
}

fn interruptible<T>(result: vexfs_fs::Result<T>) -> anyhow::Result<T> {
    match result {
        Err(FsError::Interrupted) => Err(Interrupted::new(STAYS).into()),
        other => Ok(other?),
    }
}
