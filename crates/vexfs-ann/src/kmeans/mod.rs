//! k-means: centroids such that each vector has one near it.
//!
//! Assignment is many against many and goes by the [`tile`](crate::tile), after the first round to the centroids about the one that a
//! vector has; the vectors of a cluster are added up in f64 in their order.
//! Chunks and orders are fixed, so the centroids do not depend on the number of threads or the instruction set.

mod centroids;
#[cfg(test)]
mod tests;

use std::ops::Range;

use rayon::prelude::*;

pub(crate) use centroids::Centroids;

use crate::Metric;
use crate::rng::Random;
use crate::tile::{Coded, nearest};

/// Rounds of Lloyd's iteration. From the tenth on, the mean squared distance to the centroid falls by less than a thousandth a
/// round, and the recall of lists does not change.
pub(crate) const ROUNDS: usize = 10;

/// Centroids about the one that a vector has, itself among them, that it is compared with: after the first round of training, where recall
/// at a given cost is the same as with all, and at last where it was compared with some only.
const NEAR: usize = 64;

/// Vectors that one thread assigns or codes at a time.
const CHUNK: usize = 512;

/// Centroids whose vectors one thread assigns anew at a time.
const CLUSTERS: usize = 32;

/// Sets the random numbers of k-means apart from those of others.
const STREAM: u64 = u64::from_le_bytes(*b"k-means ");

/// The assignment that a vector without any centroid gets.
pub(crate) const NONE: u32 = u32::MAX;

/// Centroids, and to which of them the vectors belong that they were trained with.
pub(crate) struct Trained {
    /// Count × dim.
    pub(crate) centroids: Vec<f32>,
    /// Nearly always the nearest, for each vector.
    pub(crate) assigned: Vec<u32>,
}

/// Centroids of `vectors` by squared Euclidean distance, min(`count`, n) of them.
///
/// # Shape
/// `vectors`: n × `dim`, finite.
///
/// `step` is told each round that is done, and whether it returns an error ends it.
///
/// # Complexity
/// n · (min(count, 128) + count / 64) · dim multiplications of bytes or so for the first round, and (64 n + count²) · dim for each of the
/// others and at last.
/// Memory: n · (dim + 48) bytes besides the vectors.
///
/// # Determinism
/// By `seed` alone.
///
/// # Source
/// Lloyd, IEEE Transactions on Information Theory 28(2), 1982, with the candidates of k²-means (Agustsson, Timofte and Van Gool, ECML PKDD
/// 2017); seeded by a sample without repetition. A centroid that lost all its vectors takes half of those of the largest cluster.
pub(crate) fn train<E: Send>(
    vectors: &[f32],
    dim: usize,
    count: usize,
    seed: u64,
    step: &(dyn Fn(u64) -> Result<(), E> + Sync),
) -> Result<Trained, E> {
    let rows = vectors.len() / dim;
    let mut random = Random::new(seed, STREAM);
    let picks = random.sample(rows as u64, count);
    let mut centroids: Vec<f32> =
        picks.iter().flat_map(|&pick| &vectors[pick as usize * dim..][..dim]).copied().collect();
    if rows <= count {
        return Ok(Trained { centroids, assigned: (0..rows as u32).collect() });
    }
    let coded = code(vectors, dim);
    let mut assigned = Centroids::roughly(&centroids, dim, seed).assign(&coded);
    for round in 1..=ROUNDS {
        update(vectors, dim, &assigned, &mut centroids);
        reassign(&coded, &code(&centroids, dim), &mut assigned);
        step(round as u64)?;
    }
    Ok(Trained { centroids, assigned })
}

/// Assigns each of `vectors` to the nearest of the [`NEAR`] centroids about the one that it has.
fn reassign(vectors: &Coded, centroids: &Coded, assigned: &mut [u32]) {
    let (starts, members) = group(assigned, centroids.len());
    let firsts: Vec<usize> = (0..centroids.len()).step_by(CLUSTERS).collect();
    let moved = firsts.into_par_iter().map(|first| {
        let mut moved = Vec::new();
        near(centroids, first..centroids.len().min(first + CLUSTERS), |cluster, near| {
            let vectors = vectors.gather(&members[starts[cluster]..starts[cluster + 1]]);
            nearest(vectors.view(), centroids.gather(&near).view(), 1, None, |_, found| {
                moved.push(found.first().map_or(cluster as u32, |found| near[found.row as usize]));
            });
        });
        moved
    });
    let moved: Vec<Vec<u32>> = moved.collect();
    for (&member, centroid) in members.iter().zip(moved.iter().flatten()) {
        assigned[member as usize] = *centroid;
    }
}

/// Calls `visit` with each of the centroids of `range`, in order, and the [`NEAR`] nearest to it.
fn near(centroids: &Coded, range: Range<usize>, mut visit: impl FnMut(usize, Vec<u32>)) {
    nearest(centroids.slice(range.clone()), centroids.view(), NEAR, None, |centroid, found| {
        visit(range.start + centroid, found.iter().map(|near| near.row).collect());
    });
}

/// Codes n × `dim` numbers for [`Centroids::assign`].
pub(crate) fn code(values: &[f32], dim: usize) -> Coded {
    let parts: Vec<Coded> =
        values.par_chunks(CHUNK * dim).map(|part| Coded::of_floats(part, dim, Metric::L2)).collect();
    let mut coded = Coded::empty(dim, Metric::L2);
    coded.reserve(values.len() / dim);
    parts.iter().for_each(|part| coded.append(part.view()));
    coded
}

/// Moves each centroid to the mean of its vectors.
fn update(vectors: &[f32], dim: usize, assigned: &[u32], centroids: &mut [f32]) {
    let count = centroids.len() / dim;
    let (starts, members) = group(assigned, count);
    centroids.par_chunks_mut(dim).enumerate().for_each(|(cluster, centroid)| {
        let members = &members[starts[cluster]..starts[cluster + 1]];
        if members.is_empty() {
            return;
        }
        let mut sums = vec![0f64; dim];
        for &member in members {
            let vector = &vectors[member as usize * dim..][..dim];
            sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        let share = 1.0 / members.len() as f64;
        centroid.iter_mut().zip(sums).for_each(|(value, sum)| *value = (sum * share) as f32);
    });
    let mut sizes: Vec<usize> = starts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    split(centroids, dim, &mut sizes);
}

/// Members of each of `count` clusters, ascending: those of cluster c lie at `starts[c]..starts[c + 1]`. Vectors without a
/// cluster have no place.
pub(crate) fn group(assigned: &[u32], count: usize) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0; count + 1];
    for &cluster in assigned.iter().filter(|&&cluster| cluster != NONE) {
        starts[cluster as usize + 1] += 1;
    }
    for cluster in 0..count {
        starts[cluster + 1] += starts[cluster];
    }
    let mut next = starts.clone();
    let mut members = vec![0; starts[count]];
    for (vector, &cluster) in assigned.iter().enumerate() {
        if cluster != NONE {
            members[next[cluster as usize]] = vector as u32;
            next[cluster as usize] += 1;
        }
    }
    (starts, members)
}

/// Gives each empty cluster half of the largest one: two centroids side by side, a little apart.
fn split(centroids: &mut [f32], dim: usize, sizes: &mut [usize]) {
    /// As far apart as the steps of codes can tell.
    const APART: f32 = 1.0 / 64.0;
    for empty in 0..sizes.len() {
        if sizes[empty] > 0 {
            continue;
        }
        let largest = (0..sizes.len()).rev().max_by_key(|&cluster| sizes[cluster]).unwrap_or(empty);
        if sizes[largest] < 2 {
            return;
        }
        for at in 0..dim {
            let (value, sign) = (centroids[largest * dim + at], if at % 2 == 0 { APART } else { -APART });
            centroids[empty * dim + at] = value * (1.0 + sign);
            centroids[largest * dim + at] = value * (1.0 - sign);
        }
        sizes[empty] = sizes[largest] / 2;
        sizes[largest] -= sizes[empty];
    }
}
