//! The last step of a layer: from the entry point every node is reached, and from every node the entry point, so that no search
//! is caught in a part of the graph.
//!
//! There are few such nodes: rows far from all others, and small groups of near ones.

use super::beam::{self, Beam, Met};
use super::links::Links;
use super::space::Space;
use crate::rng::Random;

/// Beam of the search for a node to link from.
const BEAM: usize = 32;

/// Sets the random numbers of this step apart from others.
const STREAM: u64 = u64::from_le_bytes(*b"hnsw-con");

/// No node.
const NONE: u32 = u32::MAX;

/// Links nodes of `links` so that all are reached from `entry` and reach it.
pub(super) fn connect(space: &Space, links: &mut Links, entry: u32) {
    let nodes = links.len();
    let mut tree = Tree { parents: vec![NONE; nodes] };
    tree.parents[entry as usize] = entry;
    tree.spread(links, entry);
    let mut finder = Finder::default();
    for node in 0..nodes as u32 {
        if tree.parents[node as usize] == NONE {
            tree.attach(space, links, entry, node, &mut finder);
            tree.spread(links, node);
        }
    }

    let mut reaches = vec![false; nodes];
    let (starts, incoming) = links.reversed();
    let spread_back = |reaches: &mut Vec<bool>, from: u32| {
        let mut waiting = vec![from];
        reaches[from as usize] = true;
        while let Some(node) = waiting.pop() {
            for &other in &incoming[starts[node as usize]..starts[node as usize + 1]] {
                if !std::mem::replace(&mut reaches[other as usize], true) {
                    waiting.push(other);
                }
            }
        }
    };
    spread_back(&mut reaches, entry);
    for node in 0..nodes as u32 {
        if !reaches[node as usize] {
            let target = finder
                .near(space, links, entry, node)
                .iter()
                .map(|key| beam::node(*key))
                .find(|near| reaches[*near as usize]);
            let from = tree.link_anyhow(links, node, target.unwrap_or(entry));
            spread_back(&mut reaches, from);
        }
    }
}

/// How nodes were reached first.
struct Tree {
    /// The node that each was reached from; [`NONE`] of those that were not.
    parents: Vec<u32>,
}

impl Tree {
    /// Reaches what `from` leads to.
    fn spread(&mut self, links: &Links, from: u32) {
        let mut waiting = vec![from];
        while let Some(node) = waiting.pop() {
            for &link in links.of(node) {
                if self.parents[link as usize] == NONE {
                    self.parents[link as usize] = node;
                    waiting.push(link);
                }
            }
        }
    }

    /// Links from a reached node to `node`, which is not reached: the nearest that has room, or one attached below it.
    fn attach(&mut self, space: &Space, links: &mut Links, entry: u32, node: u32, finder: &mut Finder) {
        let reached = |link: &&u32| self.parents[**link as usize] != NONE;
        let mut from = match links.of(node).iter().find(reached) {
            Some(link) => *link,
            None => finder.near(space, links, entry, node).first().map_or(entry, |key| beam::node(*key)),
        };
        let mut random = Random::new(u64::from(node), STREAM);
        while !links.push(from, node) {
            let place = links.of(from).iter().rposition(|link| self.parents[*link as usize] != from);
            if let Some(place) = place {
                links.replace(from, place, node);
                break;
            }
            // All its links are part of the tree: down to one of its children, a different one each time.
            from = links.of(from)[random.below(links.width() as u64) as usize];
        }
        self.parents[node as usize] = from;
    }

    /// Links from `node`, or from a node below it if there is no link to spare, to `target`; returns which.
    fn link_anyhow(&self, links: &mut Links, node: u32, target: u32) -> u32 {
        let mut from = node;
        while !links.push(from, target) {
            let place = links.of(from).iter().rposition(|link| self.parents[*link as usize] != from);
            if let Some(place) = place {
                links.replace(from, place, target);
                break;
            }
            from = links.of(from)[0];
        }
        from
    }
}

/// Searches from the entry point among what is reached from there.
#[derive(Default)]
struct Finder {
    beam: Beam,
    met: Met,
    fresh: Vec<u32>,
    distances: Vec<f32>,
}

impl Finder {
    /// The nodes nearest to `node` that are found from `entry`, without itself.
    fn near(&mut self, space: &Space, links: &Links, entry: u32, node: u32) -> &[beam::Key] {
        self.met.reset(links.len() as u32);
        self.beam.reset(BEAM);
        self.met.insert(node);
        self.fresh.clear();
        self.fresh.push(entry);
        self.met.insert(entry);
        loop {
            space.distances(node, &self.fresh, &mut self.distances);
            for (&link, &distance) in self.fresh.iter().zip(&self.distances) {
                self.beam.insert(beam::key(distance, link));
            }
            let Some(next) = self.beam.pop() else { return self.beam.keys() };
            self.fresh.clear();
            self.fresh.extend(links.of(next).iter().filter(|link| self.met.insert(**link)));
        }
    }
}
