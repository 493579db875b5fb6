//! Which of its candidates a node links to: near ones, in different directions.

use super::space::Space;
use crate::tile::Near;

/// Chooses links; keeps its room from one node to the next.
#[derive(Default)]
pub(super) struct Selector {
    left: Vec<Near>,
    picks: Vec<u32>,
    distances: Vec<f32>,
}

impl Selector {
    /// Appends to `chosen` at most `most` of `candidates`, which are ascending, all different and not the node.
    ///
    /// The nearest is chosen, and those that are α times nearer to it than to the node are dropped; then the nearest of what is
    /// left, and so on.
    ///
    /// # Source
    /// Malkov and Yashunin, algorithm 4, with the factor α of Subramanya et al. (DiskANN, NeurIPS 2019), algorithm 2.
    /// `alpha_squared` because distances are like squared lengths.
    ///
    /// # Complexity
    /// As many distances as there are pairs of a chosen candidate and one that was left when it was.
    pub(super) fn select(
        &mut self,
        space: &Space,
        candidates: &[Near],
        most: usize,
        alpha_squared: f64,
        chosen: &mut Vec<u32>,
    ) {
        self.left.clear();
        self.left.extend_from_slice(candidates);
        while let Some(&nearest) = self.left.first() {
            chosen.push(nearest.row);
            if chosen.len() == most {
                return;
            }
            self.picks.clear();
            self.picks.extend(self.left[1..].iter().map(|near| near.row));
            space.distances(nearest.row, &self.picks, &mut self.distances);
            let mut from_nearest = std::iter::once(&0.0).chain(&self.distances);
            self.left.retain(|near| {
                let between = from_nearest.next().map_or(0.0, |distance| f64::from(*distance));
                near.row != nearest.row && alpha_squared * between > f64::from(near.distance)
            });
        }
    }
}
