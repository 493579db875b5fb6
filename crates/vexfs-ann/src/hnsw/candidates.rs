//! The first links: selected from the nearest in each of the parts that a row belongs to.

use rayon::prelude::*;

use super::links::Links;
use super::params::Params;
use super::select::Selector;
use super::space::{Space, closer};
use crate::tile::Near;

/// Nearest rows sought in each part.
const NEAREST: usize = 12;

/// Links of all rows of `space`, as rows in common `parts` give them.
pub(super) fn first_links(
    space: &Space,
    parts: &[Vec<u32>],
    params: &Params,
    width: usize,
    stop: &(dyn Fn() -> bool + Sync),
) -> Links {
    let lists: Vec<Lists> = parts.par_iter().map(|part| Lists::of(space, part, stop)).collect();
    let (starts, places) = places(space.len(), parts);
    let room = || (Vec::new(), Selector::default());
    Links::make((space.len(), width), stop, room, |(near, selector), node, chosen| {
        near.clear();
        for &(part, place) in &places[starts[node as usize]..starts[node as usize + 1]] {
            near.extend_from_slice(lists[part as usize].at(place as usize));
        }
        near.sort_unstable_by(closer);
        near.dedup_by_key(|near| near.row);
        selector.select(space, near, width, params.alpha_squared(), chosen);
    })
}

/// The nearest of each row of a part within the part.
struct Lists {
    each: usize,
    near: Vec<Near>,
}

impl Lists {
    fn of(space: &Space, part: &[u32], stop: &(dyn Fn() -> bool + Sync)) -> Self {
        let each = NEAREST.min(part.len().saturating_sub(1));
        let mut near = Vec::with_capacity(part.len() * each);
        if each > 0 && !stop() {
            let rows = space.gather(part);
            rows.nearest(&rows, each, true, |_, list| {
                near.extend(list.iter().map(|near| Near { row: part[near.row as usize], ..*near }));
            });
        }
        Self { each, near }
    }

    /// Of the row at `place` in the part; nothing if the build was stopped.
    fn at(&self, place: usize) -> &[Near] {
        self.near.get(place * self.each..(place + 1) * self.each).unwrap_or_default()
    }
}

/// Where each row is: `(starts, places)`, the parts of row i and the places in them at starts[i] .. starts[i + 1].
fn places(rows: usize, parts: &[Vec<u32>]) -> (Vec<usize>, Vec<(u32, u32)>) {
    let mut starts = vec![0; rows + 1];
    for row in parts.iter().flatten() {
        starts[*row as usize + 1] += 1;
    }
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let (mut free, mut places) = (starts.clone(), vec![(0, 0); starts[rows]]);
    for (number, part) in parts.iter().enumerate() {
        for (place, row) in part.iter().enumerate() {
            places[free[*row as usize]] = (number as u32, place as u32);
            free[*row as usize] += 1;
        }
    }
    (starts, places)
}
