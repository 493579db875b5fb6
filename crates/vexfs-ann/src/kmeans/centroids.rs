//! Centroids to assign vectors to.
//!
//! Where they are many they lie in groups of near ones, and a vector is compared with those of some groups, and then with those around
//! the one found: comparing it with all would be most of the time that a build of lists takes.

use std::convert::Infallible;
use std::ops::Range;

use rayon::prelude::*;

use super::{CHUNK, NONE, code, group, near, train};
use crate::tile::{Coded, nearest, nearest_within};

/// So many are all compared: that takes no longer.
const FEW: usize = 1024;

/// Centroids for each group.
const GROUP: usize = 64;

/// Groups whose centroids a vector is compared with, before those about the one found. Of a million rows of 16 inner dimensions in 4,000
/// lists, the nearest 8 lists of a query then have 0.9985 of its neighbours, and 0.9984 if all centroids are compared; by 8 groups alone 0.9974.
const PROBES: usize = 6;

/// The same for a first assignment, which later ones make better.
const FEW_ROUGHLY: usize = 256;

/// Likewise: lists have the same recall, of 0.86 to 0.99, as if all centroids were compared (means of 2 to 5 seeds of Fashion-MNIST, SIFT
/// and a million rows of 16 inner dimensions).
const PROBES_ROUGHLY: usize = 2;

/// Centroids, coded to be compared with vectors.
pub(crate) struct Centroids {
    coded: Coded,
    groups: Option<Groups>,
}

/// Groups of near centroids.
struct Groups {
    centres: Coded,
    /// The centroids of each group, ascending,
    members: Vec<Vec<u32>>,
    /// and the same side by side.
    coded: Vec<Coded>,
    /// Groups whose centroids a vector is compared with.
    probes: usize,
    /// The nearest to each centroid; empty if nobody looks there.
    around: Vec<Vec<u32>>,
}

impl Centroids {
    /// Takes count × `dim` numbers; `seed` decides the groups.
    pub(crate) fn new(values: &[f32], dim: usize, seed: u64) -> Self {
        let coded = code(values, dim);
        let groups = (coded.len() > FEW)
            .then(|| Groups { around: around(&coded), ..Groups::new(values, &coded, PROBES, seed) });
        Self { coded, groups }
    }

    /// As [`new`](Self::new), for a first assignment that others make better.
    pub(super) fn roughly(values: &[f32], dim: usize, seed: u64) -> Self {
        let coded = code(values, dim);
        let is_few = coded.len() <= FEW_ROUGHLY;
        let groups = (!is_few).then(|| Groups::new(values, &coded, PROBES_ROUGHLY, seed));
        Self { coded, groups }
    }

    /// The centroid of each of `vectors`: the nearest, or nearly so if they are many; ties to the lower one; [`NONE`] if there are
    /// none.
    pub(crate) fn assign(&self, vectors: &Coded) -> Vec<u32> {
        let mut assigned = vec![NONE; vectors.len()];
        assigned.par_chunks_mut(CHUNK).enumerate().for_each(|(chunk, assigned)| {
            let range = chunk * CHUNK..chunk * CHUNK + assigned.len();
            match &self.groups {
                Some(groups) => {
                    groups.assign(vectors, range.clone(), assigned);
                    groups.look_around(vectors, range, &self.coded, assigned);
                }
                None => nearest(vectors.slice(range), self.coded.view(), 1, None, |vector, found| {
                    if let Some(near) = found.first() {
                        assigned[vector] = near.row;
                    }
                }),
            }
        });
        assigned
    }
}

impl Groups {
    fn new(values: &[f32], coded: &Coded, probes: usize, seed: u64) -> Self {
        let (dim, count) = (coded.dim(), coded.len().div_ceil(GROUP));
        let Ok(trained) = train(values, dim, count, seed, &|_| Ok::<(), Infallible>(()));
        let (starts, all) = group(&trained.assigned, count);
        let members: Vec<Vec<u32>> = starts.windows(2).map(|pair| all[pair[0]..pair[1]].to_vec()).collect();
        Self {
            centres: code(&trained.centroids, dim),
            coded: members.iter().map(|members| coded.gather(members)).collect(),
            members,
            probes,
            around: Vec::new(),
        }
    }

    /// Assigns the vectors of `range`: first by the nearest group of each, which leaves little to look at in the others.
    fn assign(&self, vectors: &Coded, range: Range<usize>, assigned: &mut [u32]) {
        let mut nearest_group: Vec<Vec<u32>> = vec![Vec::new(); self.members.len()];
        let mut others = nearest_group.clone();
        nearest(vectors.slice(range.clone()), self.centres.view(), self.probes, None, |vector, found| {
            let vector = (range.start + vector) as u32;
            for (rank, near) in found.iter().enumerate() {
                let of_groups = if rank == 0 { &mut nearest_group } else { &mut others };
                of_groups[near.row as usize].push(vector);
            }
        });
        let mut bounds = vec![f32::INFINITY; assigned.len()];
        for of_groups in [nearest_group, others] {
            for ((picks, members), centroids) in of_groups.iter().zip(&self.members).zip(&self.coded) {
                let place = |pick: u32| pick as usize - range.start;
                let within: Vec<f32> = picks.iter().map(|pick| bounds[place(*pick)]).collect();
                nearest_within(vectors.gather(picks).view(), centroids.view(), &within, |pick, near| {
                    let (vector, centroid) = (place(picks[pick]), members[near.row as usize]);
                    if (near.distance, centroid) < (bounds[vector], assigned[vector]) {
                        (bounds[vector], assigned[vector]) = (near.distance, centroid);
                    }
                });
            }
        }
    }

    /// Assigns the vectors of `range` to the nearest of those around the centroid that they have, as long as that is another.
    fn look_around(&self, vectors: &Coded, range: Range<usize>, centroids: &Coded, assigned: &mut [u32]) {
        let mut distances = Vec::new();
        for (vector, assigned) in range.zip(assigned) {
            let mut least = (f32::INFINITY, NONE);
            while let Some(around) = self.around.get(*assigned as usize) {
                vectors.view().distances(vector, centroids.view(), around, &mut distances);
                let pairs = distances.iter().copied().zip(around.iter().copied());
                let nearest = pairs.fold(least, |a, b| if b < a { b } else { a });
                if nearest.1 == *assigned || nearest >= least {
                    break;
                }
                (least, *assigned) = (nearest, nearest.1);
            }
        }
    }
}

/// The nearest to each of the centroids.
fn around(coded: &Coded) -> Vec<Vec<u32>> {
    let firsts: Vec<usize> = (0..coded.len()).step_by(GROUP).collect();
    let around = firsts.into_par_iter().flat_map_iter(|first| {
        let mut around = Vec::with_capacity(GROUP);
        near(coded, first..coded.len().min(first + GROUP), |_, near| around.push(near));
        around
    });
    around.collect()
}
