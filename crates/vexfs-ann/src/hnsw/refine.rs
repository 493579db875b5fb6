//! Better candidates from the graph itself: the neighbours of neighbours of a node are likely to be near it.
//!
//! Nodes that are linked to each other share many of these: a group of them meets all at once, in one small matrix product. That is
//! faster by far than a walk from each node, one distance after the other.
//!
//! All nodes look at the same links and none sees what another finds: the outcome does not depend on their order.
//!
//! # Source
//! The local join of Dong et al. ("NN-Descent", WWW 2011, section 2.3), over groups of nodes in place of one.

use super::beam::Met;
use super::links::Links;
use super::params::Params;
use super::select::Selector;
use super::space::{Space, closer};
use crate::tile::Near;

/// Nodes that meet their neighbours' neighbours together: two panels of the tile. A divisor of the nodes that one thread works on
/// at a time.
const GROUP: usize = 32;

/// Links of a neighbour that are followed, the nearest. In SIFT all 32 find no more than these and take twice as long.
const FARTHER: usize = 12;

/// Room for a group.
#[derive(Default)]
struct Room {
    met: Met,
    /// The nodes that the group meets, itself first.
    nodes: Vec<u32>,
    /// For each node of the group the nearest of those, and how many these are.
    found: Vec<Near>,
    ends: Vec<usize>,
    distances: Vec<f32>,
    candidates: Vec<Near>,
    selector: Selector,
}

/// Links of all nodes, selected from their own and the `ef_construction` nearest of what links of nodes near them lead to.
pub(super) fn refine(
    space: &Space,
    links: &Links,
    params: &Params,
    width: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Links {
    let order = grouped(links);
    let refined = Links::make((links.len(), width), stop, Room::default, |room, place, chosen| {
        let (place, member) = (place as usize, place as usize % GROUP);
        if member == 0 {
            let group = &order[place..order.len().min(place + GROUP)];
            room.meet(space, links, params.ef_construction, group);
        }
        room.gather(space, links, order[place], member);
        room.selector.select(space, &room.candidates, width, params.alpha_squared(), chosen);
    });
    refined.placed(&order)
}

/// All nodes, those of a group together: a node, and of what is reached from it over `links` the first that are in no group yet.
fn grouped(links: &Links) -> Vec<u32> {
    let mut order = Vec::with_capacity(links.len());
    let mut left = (0..links.len() as u32).peekable();
    let mut taken = vec![false; links.len()];
    while order.len() < links.len() {
        let (start, mut from) = (order.len(), order.len());
        while order.len() - start < GROUP {
            if from == order.len() {
                // Everything around is in other groups: on with the next, which is not far away.
                let Some(node) = left.find(|node| !taken[*node as usize]) else { break };
                taken[node as usize] = true;
                order.push(node);
            }
            let free = links.of(order[from]).iter().copied();
            let room = GROUP - (order.len() - start);
            order.extend(free.filter(|link| !std::mem::replace(&mut taken[*link as usize], true)).take(room));
            from += 1;
        }
    }
    order
}

impl Room {
    /// Finds the `ef` nearest of each node of `group`.
    fn meet(&mut self, space: &Space, links: &Links, ef: usize, group: &[u32]) {
        self.met.reset(links.len() as u32);
        self.nodes.clear();
        self.nodes.extend(group.iter().filter(|node| self.met.insert(**node)));
        // Their neighbours, and the nearest neighbours of these.
        let mut from = 0;
        for each in [links.width(), FARTHER] {
            for at in std::mem::replace(&mut from, self.nodes.len())..self.nodes.len() {
                let some = links.of(self.nodes[at]).iter().take(each);
                self.nodes.extend(some.filter(|link| self.met.insert(**link)));
            }
        }
        self.found.clear();
        self.ends.clear();
        let all = space.gather(&self.nodes);
        let (nodes, found, ends) = (&self.nodes, &mut self.found, &mut self.ends);
        space.gather(group).nearest(&all, ef, true, |_, list| {
            found.extend(list.iter().map(|near| Near { row: nodes[near.row as usize], ..*near }));
            ends.push(found.len());
        });
    }

    /// Sets the candidates of `node`, the given member of its group: what was found for it, and its links.
    fn gather(&mut self, space: &Space, links: &Links, node: u32, member: usize) {
        let start = if member == 0 { 0 } else { self.ends[member - 1] };
        let own = links.of(node);
        space.distances(node, own, &mut self.distances);
        self.candidates.clear();
        let near = |(&row, &distance): (&u32, &f32)| Near { row, distance };
        self.candidates.extend(own.iter().zip(&self.distances).map(near));
        self.candidates.extend_from_slice(&self.found[start..self.ends[member]]);
        self.candidates.sort_unstable_by(closer);
        self.candidates.dedup_by_key(|near| near.row);
    }
}
