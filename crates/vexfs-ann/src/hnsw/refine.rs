//! Better candidates from the graph itself: each node looks for its neighbours by walking over the links of the pass before.
//!
//! All nodes walk over the same links and none sees what another finds: the outcome does not depend on their order.

use super::beam::{self, Beam, Met};
use super::links::Links;
use super::params::Params;
use super::select::Selector;
use super::space::{Space, closer};
use crate::tile::Near;

/// Room for the walk of one node.
#[derive(Default)]
struct Room {
    beam: Beam,
    met: Met,
    fresh: Vec<u32>,
    distances: Vec<f32>,
    candidates: Vec<Near>,
    selector: Selector,
}

/// Links of all nodes, selected from the `ef_construction` nearest that a walk from the node itself finds.
pub(super) fn refine(
    space: &Space,
    links: &Links,
    params: &Params,
    width: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Links {
    Links::make((links.len(), width), stop, Room::default, |room, node, chosen| {
        room.walk(space, links, params.ef_construction, node);
        room.selector.select(space, &room.candidates, width, params.alpha_squared(), chosen);
    })
}

impl Room {
    /// Sets the candidates: the `ef` nearest to `node` that a walk finds, and all its links.
    fn walk(&mut self, space: &Space, links: &Links, ef: usize, node: u32) {
        self.met.reset(links.len() as u32);
        self.beam.reset(ef);
        self.met.insert(node);
        self.fresh.clear();
        self.fresh.extend(links.of(node).iter().filter(|link| self.met.insert(**link)));
        space.distances(node, &self.fresh, &mut self.distances);
        self.candidates.clear();
        let near = |(&row, &distance): (&u32, &f32)| Near { row, distance };
        self.candidates.extend(self.fresh.iter().zip(&self.distances).map(near));
        self.candidates.iter().for_each(|near| self.beam.insert(beam::key(near.distance, near.row)));
        while let Some(next) = self.beam.pop() {
            self.fresh.clear();
            self.fresh.extend(links.of(next).iter().filter(|link| self.met.insert(**link)));
            space.distances(node, &self.fresh, &mut self.distances);
            for (&link, &distance) in self.fresh.iter().zip(&self.distances) {
                self.beam.insert(beam::key(distance, link));
            }
        }
        let found = |key: &beam::Key| Near { row: beam::node(*key), distance: beam::estimate(*key) };
        self.candidates.extend(self.beam.keys().iter().map(found));
        self.candidates.sort_unstable_by(closer);
        self.candidates.dedup_by_key(|near| near.row);
    }
}
