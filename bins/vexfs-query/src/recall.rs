//! Recall against a ground truth: recall@k = found among the true k nearest / k, averaged over the queries.
//!
//! With ties, a found row counts if its distance does not exceed that of the true k-th (ANN-Benchmarks, arXiv:1807.05614,
//! section 2.1).

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};
use vexfs_ann::Neighbor;
use vexfs_fs::search::Searcher;
use vexfs_io::{Matrix, OpenOptions, read_matrix_u64};

use crate::source::Batch;

/// The true neighbours, and what was found of them so far.
pub(crate) struct GroundTruth {
    name: String,
    ids: Matrix<u64>,
    /// Row of each id that is a k-th neighbour; `None` where ids are row numbers.
    rows: Option<HashMap<u64, u64>>,
    k: usize,
    queries: usize,
    found: u64,
}

impl GroundTruth {
    pub(crate) fn open(path: &Path, k: usize, searcher: &Searcher) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let ids = read_matrix_u64(path, &OpenOptions::default())?;
        if ids.columns < k {
            bail!("{name}: has {} neighbours for each query, and -k asks for {k}", ids.columns);
        }
        let rows = if searcher.identities().ids_are_rows() {
            None
        } else {
            let wanted = (0..ids.rows).map(|query| ids.row(query)[k - 1]).collect();
            Some(searcher.identities().rows_of_ids(&wanted)?)
        };
        Ok(Self { name, ids, rows, k, queries: 0, found: 0 })
    }

    /// Compares what was found for the next queries.
    pub(crate) fn compare(
        &mut self,
        batch: &Batch,
        hits: &[Vec<Neighbor>],
        searcher: &Searcher,
    ) -> anyhow::Result<()> {
        for (query, hits) in hits.iter().enumerate() {
            let number = self.queries;
            if number >= self.ids.rows {
                bail!("{}: has the neighbours of {} queries, and there are more", self.name, self.ids.rows);
            }
            let id = self.ids.row(number)[self.k - 1];
            let row = match &self.rows {
                None => Some(id).filter(|&row| row < searcher.rows().len()),
                Some(rows) => rows.get(&id).copied(),
            };
            let row = row.filter(|&row| !searcher.deletions().contains(row)).with_context(|| {
                format!("{}: query {number} has the neighbour {id}, which the collection has not", self.name)
            })?;
            let furthest = batch.distance(searcher, query, row)?;
            self.found += hits.iter().take(self.k).filter(|hit| hit.distance <= furthest).count() as u64;
            self.queries += 1;
        }
        Ok(())
    }

    /// The recall over all queries.
    pub(crate) fn finish(self) -> anyhow::Result<f64> {
        if self.queries == 0 {
            bail!("{}: there was no query to compare", self.name);
        }
        Ok(self.found as f64 / (self.queries * self.k) as f64)
    }
}
