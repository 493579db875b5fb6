//! An image that was opened.

use std::ops::Range;

use super::params::{Codes, Params};
use super::record::{Head, Layer, Shape};
use super::{search, verify};
use crate::TopK;
use crate::index::image::{Header, Image};
use crate::index::{Effort, Index, IndexError, Search, SearchStats};

/// The section of layer 0; that of layer l follows l behind.
pub(super) const LAYERS_SECTION: u32 = 1;

/// Beams that a calibration measures, as multiples of k in tenths.
const BEAMS: [u64; 20] =
    [10, 12, 15, 18, 22, 27, 33, 40, 50, 65, 80, 100, 140, 200, 280, 400, 640, 1000, 2000, 4000];

/// Full rows compared beyond k, and for each k of them this many tenths more.
const RERANK: (u64, u64) = (4, 4);

/// The same by codes of four bits, which leave more in the wrong order: with fewer, recall on SIFT ends at 0.995 whatever the beam.
const RERANK_SQ4: (u64, u64) = (8, 10);

/// A hierarchical navigable small world graph.
pub(super) struct Hnsw<'a> {
    pub(super) header: Header,
    pub(super) params: Params,
    /// Layer 0 first; none if there are no rows. The entry point is node 0 of the last.
    pub(super) layers: Vec<Layer<'a>>,
}

impl<'a> Hnsw<'a> {
    /// Opens the graph of an image of this kind.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] for parameters or layers that no build writes.
    pub(super) fn open(image: &Image<'a>) -> Result<Self, IndexError> {
        let header = image.header().clone();
        let (params, count) = Params::load(&header.params, header.metric)?;
        let mut layers = Vec::with_capacity(count);
        for layer in 0..count {
            let section = image.section(LAYERS_SECTION + layer as u32)?;
            layers.push(Layer::new(section, Shape::new(&params, header.dim, layer))?);
        }
        let nodes = layers.first().map_or(0, |layer| u64::from(layer.nodes()));
        if nodes != header.indexed || layers.windows(2).any(|pair| pair[0].nodes() < pair[1].nodes()) {
            return Err(IndexError::damaged(0, format!("layers of a graph of {} rows", header.indexed)));
        }
        Ok(Self { header, params, layers })
    }

    /// The number in the collection of the row of a record on layer 0.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] for a row that the image does not cover.
    pub(super) fn row_number(&self, head: &Head) -> Result<u64, IndexError> {
        let (row, rows) = (u64::from(head.below.get()), &self.header.rows);
        if row < rows.end - rows.start {
            return Ok(rows.start + row);
        }
        Err(IndexError::damaged(0, format!("row {row} of the image, which does not cover it")))
    }

    /// Makes sure that the graph is of the queries' kind of rows.
    ///
    /// # Errors
    /// [`IndexError::Mismatch`].
    pub(super) fn check_search(&self, search: &Search<'_>) -> Result<(), IndexError> {
        let of_graph = (self.header.dim, self.header.dtype, self.header.metric);
        let of_queries = (search.queries.dim(), search.queries.dtype(), search.queries.metric());
        let of_rows = (search.rows.dim(), search.rows.dtype(), self.header.metric);
        if of_graph != of_queries || of_graph != of_rows || self.header.rows.end > search.rows.len() {
            return Err(IndexError::Mismatch("the graph is not of these rows or this metric".to_owned()));
        }
        Ok(())
    }

    fn effort(&self, k: usize, tenths: u64) -> Effort {
        let k = (k as u64).clamp(1, u64::from(u32::MAX) / 1024);
        let ef = (k * tenths / 10).max(k);
        let (more, tenths) = if self.params.codes == Codes::Sq4 { RERANK_SQ4 } else { RERANK };
        let rerank = (k + more + k * tenths / 10).min(ef);
        Effort { effort: ef.min(u64::from(u32::MAX)) as u32, rerank: rerank as u32 }
    }
}

impl Index for Hnsw<'_> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn effort_name(&self) -> &'static str {
        "ef"
    }

    /// Up to the first beam for which all rows are compared instead.
    fn efforts(&self, k: usize) -> Vec<Effort> {
        let mut efforts: Vec<Effort> = BEAMS.iter().map(|&tenths| self.effort(k, tenths)).collect();
        efforts.dedup();
        let all = self.header.indexed.min(u64::from(u32::MAX)) as u32;
        let enough = efforts.iter().position(|effort| effort.effort >= all);
        efforts.truncate(enough.map_or(efforts.len(), |at| at + 1));
        efforts
    }

    fn default_effort(&self, k: usize) -> Effort {
        let mut effort = self.effort(k, 40);
        effort.effort = effort.effort.max(64);
        effort
    }

    fn search(
        &self,
        search: &Search<'_>,
        range: Range<usize>,
        tops: &mut [TopK],
        stats: &mut SearchStats,
    ) -> Result<(), IndexError> {
        search::search(self, search, range, tops, stats)
    }

    fn verify(&self, excluded: Option<&[u64]>, interrupted: &dyn Fn() -> bool) -> Result<(), IndexError> {
        verify::verify(self, excluded, interrupted)
    }
}
