//! Recall against a ground truth: recall@k = found among the true k nearest / k, averaged over the queries.
//!
//! With ties, a found row counts if its distance does not exceed that of the true k-th (ANN-Benchmarks, arXiv:1807.05614,
//! section 2.1).

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, bail};
use vexfs_fs::search::Searcher;
use vexfs_io::{Matrix, OpenOptions, read_matrix_u64};

use crate::merge::Found;
use crate::place::Place;
use crate::source::Batch;

/// The true neighbours, and what was found of them so far.
pub(crate) struct GroundTruth<'a> {
    name: String,
    ids: Matrix<u64>,
    places: Vec<Ids<'a>>,
    k: usize,
    queries: usize,
    found: u64,
}

/// The k-th neighbours that are in one place.
struct Ids<'a> {
    searcher: &'a Searcher,
    /// Row of each; `None` where ids are row numbers.
    rows: Option<HashMap<u64, u64>>,
}

impl Ids<'_> {
    /// The row with this id, unless it is deleted.
    fn row(&self, id: u64) -> Option<u64> {
        let row = match &self.rows {
            None => Some(id).filter(|&row| row < self.searcher.rows().len()),
            Some(rows) => rows.get(&id).copied(),
        };
        row.filter(|&row| !self.searcher.deletions().contains(row))
    }
}

impl<'a> GroundTruth<'a> {
    pub(crate) fn open(path: &Path, k: usize, places: &'a [Place]) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let ids = read_matrix_u64(path, &OpenOptions::default())?;
        if ids.columns < k {
            bail!("{name}: has {} neighbours for each query, and -k asks for {k}", ids.columns);
        }
        let of = |place: &'a Place| {
            let searcher = &place.searcher;
            let rows = if searcher.identities().ids_are_rows() {
                None
            } else {
                let wanted = (0..ids.rows).map(|query| ids.row(query)[k - 1]).collect();
                Some(searcher.identities().rows_of_ids(&wanted)?)
            };
            Ok(Ids { searcher, rows })
        };
        let places = places.iter().map(of).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Self { name, ids, places, k, queries: 0, found: 0 })
    }

    /// Compares what was found for the next queries.
    pub(crate) fn compare(&mut self, batch: &Batch, hits: &[Vec<Found>]) -> anyhow::Result<()> {
        for (query, hits) in hits.iter().enumerate() {
            let number = self.queries;
            if number >= self.ids.rows {
                bail!("{}: has the neighbours of {} queries, and there are more", self.name, self.ids.rows);
            }
            let id = self.ids.row(number)[self.k - 1];
            let mut rows = self.places.iter().filter_map(|place| Some((place.searcher, place.row(id)?)));
            let (searcher, row) = rows.next().with_context(|| {
                format!("{}: query {number} has the neighbour {id}, which the collection has not", self.name)
            })?;
            if rows.next().is_some() {
                bail!(
                    "{}: query {number} has the neighbour {id}, and more than one of the collections has such an id: nobody \
                     knows which is meant",
                    self.name
                );
            }
            let furthest = batch.distance(searcher, query, row)?;
            let is_found = |hit: &&Found| hit.neighbor.distance <= furthest;
            self.found += hits.iter().take(self.k).filter(is_found).count() as u64;
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
