//! Figures of a search.

use std::time::Duration;

use serde::Serialize;
use vexfs_fs::search::{Answer, Limit, Plan};

/// What is gathered while queries are answered.
pub(crate) struct Stats {
    /// `None` if only a radius limits the neighbours.
    k: Option<usize>,
    threads: usize,
    index: String,
    pub(crate) recall: Option<f64>,
    /// Time of each batch and its number of queries.
    batches: Vec<(Duration, usize)>,
    distance_computations: u64,
    blocks_read: u64,
}

/// The line of `--stats`.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    queries: usize,
    k: Option<usize>,
    threads: usize,
    /// Name of the index, `flat` if every vector was compared; of several places those that differ.
    index: String,
    /// Searching only: neither opening, nor reading queries, nor printing.
    seconds: f64,
    qps: f64,
    /// Latency of a query: the time of the batch in which it was answered.
    p50_us: f64,
    p99_us: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    recall: Option<f64>,
    distance_computations: u64,
    blocks_read: u64,
}

impl Stats {
    pub(crate) fn new(limit: Limit, threads: usize, plans: &[Plan<'_>]) -> Self {
        let mut stats = Self {
            k: Some(limit.k).filter(|&k| k < usize::MAX),
            threads,
            index: String::new(),
            recall: None,
            batches: Vec::new(),
            distance_computations: 0,
            blocks_read: 0,
        };
        stats.index(plans);
        stats
    }

    /// Takes note of which indexes answer.
    pub(crate) fn index(&mut self, plans: &[Plan<'_>]) {
        let mut names: Vec<&str> = Vec::new();
        for name in plans.iter().map(|plan| plan.index().unwrap_or("flat")) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        self.index = names.join(",");
    }

    /// Takes in a batch that took `time`, as each place answered it.
    pub(crate) fn add(&mut self, time: Duration, answers: &[Answer]) {
        self.batches.push((time, answers.first().map_or(0, |answer| answer.hits.len())));
        for answer in answers {
            self.distance_computations += answer.distance_computations;
            self.blocks_read += answer.blocks_read;
        }
    }

    pub(crate) fn finish(mut self) -> Figures {
        self.batches.sort_unstable();
        let queries: usize = self.batches.iter().map(|(_, n)| n).sum();
        let seconds: f64 = self.batches.iter().map(|(time, _)| time.as_secs_f64()).sum();
        let percentile = |share: f64| {
            let rank = (share * queries as f64).ceil() as usize;
            let mut seen = 0;
            let at = self.batches.iter().find(|(_, n)| {
                seen += n;
                seen >= rank
            });
            at.map_or(0.0, |(time, _)| time.as_secs_f64() * 1e6)
        };
        Figures {
            queries,
            k: self.k,
            threads: self.threads,
            index: self.index,
            seconds,
            qps: if seconds > 0.0 { queries as f64 / seconds } else { 0.0 },
            p50_us: percentile(0.5),
            p99_us: percentile(0.99),
            recall: self.recall,
            distance_computations: self.distance_computations,
            blocks_read: self.blocks_read,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_count_queries_not_batches() {
        let mut stats = Stats::new(Limit::from(10), 1, &[]);
        let answer = |n| [Answer { hits: vec![vec![]; n], ..Answer::default() }];
        stats.add(Duration::from_micros(500), &answer(1));
        stats.add(Duration::from_micros(100), &answer(99));
        let figures = stats.finish();
        assert_eq!((figures.queries, figures.p50_us.round(), figures.p99_us.round()), (100, 100.0, 100.0));
    }
}
