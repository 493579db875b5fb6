//! The links of all nodes of a layer while it is built.

use rayon::prelude::*;

use super::select::Selector;
use super::space::Space;
use crate::tile::Near;

/// Nodes that one thread works on at a time.
const CHUNK: usize = 256;

/// Links that lead to a node and compete for its room, at most this many times the room: the nearest.
const INCOMING: usize = 4;

/// For each node, as many links as it has room for, or fewer.
pub(super) struct Links {
    width: usize,
    ids: Vec<u32>,
    counts: Vec<u32>,
}

impl Links {
    /// No links yet, of `nodes` nodes.
    pub(super) fn empty(nodes: usize, width: usize) -> Self {
        Self { width, ids: vec![0; nodes * width], counts: vec![0; nodes] }
    }

    /// Sets the links of each of `nodes` nodes to what `choose` puts into its last argument, at most `width`.
    ///
    /// `room` makes what each thread needs; `stop` is asked now and then, and leaves nodes without links if it says so.
    pub(super) fn make<R>(
        (nodes, width): (usize, usize),
        stop: &(dyn Fn() -> bool + Sync),
        room: impl Fn() -> R + Sync + Send,
        choose: impl Fn(&mut R, u32, &mut Vec<u32>) + Sync + Send,
    ) -> Self {
        let Self { mut ids, mut counts, .. } = Self::empty(nodes, width);
        ids.par_chunks_mut(CHUNK * width).zip(counts.par_chunks_mut(CHUNK)).enumerate().for_each_init(
            || (room(), Vec::with_capacity(width)),
            |(room, chosen), (chunk, (ids, counts))| {
                if stop() {
                    return;
                }
                for (at, (ids, count)) in ids.chunks_exact_mut(width).zip(counts).enumerate() {
                    chosen.clear();
                    choose(room, (chunk * CHUNK + at) as u32, chosen);
                    ids[..chosen.len()].copy_from_slice(chosen);
                    *count = chosen.len() as u32;
                }
            },
        );
        Self { width, ids, counts }
    }

    /// Number of nodes.
    pub(super) fn len(&self) -> usize {
        self.counts.len()
    }

    /// Links there is room for.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// The links of `node`.
    pub(super) fn of(&self, node: u32) -> &[u32] {
        let node = node as usize;
        &self.ids[node * self.width..][..self.counts[node] as usize]
    }

    /// Appends a link, if there is room.
    pub(super) fn push(&mut self, node: u32, link: u32) -> bool {
        let (at, count) = (node as usize, self.counts[node as usize] as usize);
        if count == self.width {
            return false;
        }
        self.ids[at * self.width + count] = link;
        self.counts[at] += 1;
        true
    }

    /// Replaces the link of `node` at `place`.
    pub(super) fn replace(&mut self, node: u32, place: usize, link: u32) {
        self.ids[node as usize * self.width + place] = link;
    }

    /// Links the other way round, of all nodes: `(starts, nodes)`, those of node i at starts[i] .. starts[i + 1], ascending.
    pub(super) fn reversed(&self) -> (Vec<usize>, Vec<u32>) {
        let mut starts = vec![0; self.len() + 1];
        for node in 0..self.len() as u32 {
            self.of(node).iter().for_each(|link| starts[*link as usize + 1] += 1);
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let (mut free, mut nodes) = (starts.clone(), vec![0; starts[self.len()]]);
        for node in 0..self.len() as u32 {
            for link in self.of(node) {
                nodes[free[*link as usize]] = node;
                free[*link as usize] += 1;
            }
        }
        (starts, nodes)
    }

    /// Each node linked also from where it links to: where there is no room for all, the selection decides.
    pub(super) fn mutual(
        &self,
        space: &Space,
        width: usize,
        alpha_squared: f64,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Self {
        let (starts, incoming) = self.reversed();
        let room = || (Selector::default(), Vec::new(), Vec::new(), Vec::new());
        Self::make((self.len(), width), stop, room, |(selector, picks, distances, list), node, chosen| {
            picks.clear();
            picks.extend_from_slice(self.of(node));
            picks.extend_from_slice(&incoming[starts[node as usize]..starts[node as usize + 1]]);
            picks.sort_unstable();
            picks.dedup();
            space.distances(node, picks, distances);
            list.clear();
            list.extend(picks.iter().zip(distances.iter()).map(|(&row, &distance)| Near { row, distance }));
            list.sort_unstable_by(super::space::closer);
            if list.len() <= width {
                chosen.extend(list.iter().map(|near| near.row));
                return;
            }
            list.truncate(INCOMING * width);
            selector.select(space, list, width, alpha_squared, chosen);
        })
    }
}
