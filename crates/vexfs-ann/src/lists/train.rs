//! What lists are made by: the centroids and codewords of a sample; and to which list each row belongs.

use std::ops::Range;

use rayon::prelude::*;
use zerocopy::IntoBytes;

use super::build::LEAST_ROOM;
use super::groups::Grouped;
use super::layout::Shape;
use super::params::{Codes, Wanted};
use super::space::{self, Space, Turn};
use crate::index::{Build, IndexError};
use crate::kmeans::{Centroids, Trained};
use crate::quant::hadamard::Rotation;
use crate::quant::opq;
use crate::quant::pq::{self, Codebooks};
use crate::quant::sq8::{self, Coder};
use crate::rng::Random;
use crate::simd::codes::{CODE_MAX, LANE_SPAN};
use crate::tile::Coded;
use crate::{Metric, kmeans, reference};

/// Rows for each list that its centroid is trained with: from 64 on, more change nothing about the recall at a given cost.
const TRAINING_ROWS: usize = 64;

/// Rows that tell the size of a typical row.
const TYPICAL_ROWS: usize = 1000;

/// Rows that one thread places and codes at a time.
pub(super) const CHUNK: usize = 512;

/// Elements of all rows that one thread adds up at a time.
const COLUMNS: usize = 64;

/// Of inner products: rows this many times longer than the typical one may be the answer to any query, and the centroid of a list
/// that they share with others does not tell.
const LONG: f64 = 4.0;

/// Most rows that are in no list for being long.
const MOST_LONG: usize = 256;

/// Sets the random numbers that choose the training set apart from those of others.
const STREAM: u64 = u64::from_le_bytes(*b"training");

/// The same of those that rotate.
const TURN_STREAM: u64 = u64::from_le_bytes(*b"rotation");

/// The centroids, and what goes into the image of them.
pub(super) struct Lists {
    pub(super) space: Space,
    pub(super) dim: usize,
    /// Rows longer than this are long; of inner products.
    long: f64,
    pub(super) grouped: Grouped,
    /// nlist × dim, by group: as decoded, so that a reader computes with the same numbers.
    pub(super) centroids: Vec<f32>,
    near: Centroids,
    /// Rows of the training set, ascending, whose list is known from training, and these lists. None of inner products: all rows are
    /// looked at then, for their length.
    known: (Vec<u32>, Vec<u32>),
    /// The section of the centroids.
    pub(super) stored: Vec<u8>,
    /// That of the centres of groups.
    pub(super) centres: Vec<u8>,
    /// How many groups have the nearest lists.
    pub(super) reach: Vec<u32>,
    pub(super) codes: Codes,
    /// Of product quantisation.
    pub(super) codebooks: Option<Codebooks>,
    /// The section of the rotation.
    pub(super) turn: Vec<u8>,
}

/// The rows of a chunk in the space of lists.
pub(super) struct Placed {
    pub(super) values: Vec<f32>,
    pub(super) places: Vec<space::Place>,
}

impl Lists {
    /// Trains `nlist` centroids.
    pub(super) fn train(
        build: &Build<'_>,
        live: &[u32],
        nlist: usize,
        wanted: &Wanted,
    ) -> Result<Self, IndexError> {
        let codes = wanted.codes;
        let dim = build.rows.dim();
        let room = (build.memory / 2).max(LEAST_ROOM) / (6 * dim as u64 + 64);
        let words = match codes {
            Codes::Pq(shape) => shape.ksub() * pq::TRAINING_ROWS,
            _ => 0,
        };
        let count = nlist.saturating_mul(TRAINING_ROWS).max(words);
        let count = count.min(room as usize).max(nlist).min(live.len());
        let picks = Random::new(build.seed, STREAM).sample(live.len() as u64, count);
        let picks: Vec<u32> = picks.into_iter().map(|pick| live[pick as usize]).collect();

        let mut space = Space { metric: build.metric, exponent: 0, mean: Vec::new(), turn: Turn::None };
        let typical = picks.len().div_ceil(TYPICAL_ROWS).max(1);
        let mut sizes = Vec::new();
        for &pick in picks.iter().step_by(typical) {
            sizes.push(space::largest(&space::widen(build.rows.rows(one(build, pick))?)));
        }
        sizes.retain(|size| *size > 0.0);
        sizes.sort_by(f32::total_cmp);
        space.exponent = Space::exponent(build.metric, sizes.get(sizes.len() / 2).copied().unwrap_or(0.0));

        let (mut members, mut vectors) = place_all(build, &space, picks)?;
        if build.metric != Metric::InnerProduct && !vectors.is_empty() {
            space.mean = mean(&vectors, dim);
            vectors.par_chunks_mut(dim).for_each(|vector| {
                vector.iter_mut().zip(&space.mean).for_each(|(value, mean)| *value -= mean);
            });
        } else if build.metric != Metric::InnerProduct {
            space.mean = vec![0.0; dim];
        }
        let mut turn = Vec::new();
        if codes == Codes::Rabitq {
            turn = Rotation::random_signs(dim, &mut Random::new(build.seed, TURN_STREAM));
            space.turn = Turn::Random(Rotation::new(dim, &turn));
            vectors.par_chunks_mut(dim).for_each(|vector| space.turn.apply(vector));
        }
        let mut norms: Vec<f64> =
            vectors.par_chunks(dim).map(|vector| reference::dot(vector, vector)).collect();
        norms.retain(|norm| *norm > 0.0);
        norms.sort_by(f64::total_cmp);
        let typical = norms.get(norms.len() / 2).map_or(f64::INFINITY, |norm| norm.sqrt());
        let long = if build.metric == Metric::InnerProduct { LONG * typical } else { f64::INFINITY };

        let rounds = kmeans::ROUNDS as u64;
        let step = |round| build.step("training", round, rounds);
        let mut trained = kmeans::train(&vectors, dim, nlist, build.seed, &step)?;
        if let (Codes::Pq(shape), true) = (codes, wanted.opq) {
            let rotation = learn(&vectors, &trained.centroids, shape, build.seed);
            turn.extend(rotation.values().iter().flat_map(|value| value.to_le_bytes()));
            space.turn = Turn::Learned(rotation);
            build.step("training the rotation", 1, 1)?;
            for turned in [&mut vectors, &mut trained.centroids] {
                turned.par_chunks_mut(dim).for_each(|vector| space.turn.apply(vector));
            }
        }
        if long < f64::INFINITY {
            members = Vec::new();
            trained.assigned = Vec::new();
        }
        let mut lists = Self::of_trained(space, codes, dim, long, trained, members, build.seed);
        lists.turn = turn;
        lists.measure_reach(&vectors, build.seed);
        if let Codes::Pq(shape) = codes {
            lists.codebooks = Some(lists.train_codebooks(&vectors, shape, build.seed));
            build.step("training codewords", 1, 1)?;
        }
        Ok(lists)
    }

    /// Measures how many groups have the nearest lists of some of the training set.
    fn measure_reach(&mut self, vectors: &[f32], seed: u64) {
        let metric =
            if self.space.metric == Metric::InnerProduct { Metric::InnerProduct } else { Metric::L2 };
        let code = |values: &[f32]| Coded::of_floats(values, self.dim, metric);
        if self.grouped.count() > 0 {
            self.reach = self.grouped.reach(code, &self.centroids, vectors, seed);
        }
    }

    /// Trains codewords with what is left of some of the training set.
    fn train_codebooks(&self, vectors: &[f32], shape: pq::Shape, seed: u64) -> Codebooks {
        let count = shape.ksub() * pq::TRAINING_ROWS;
        let residuals = residuals(vectors, self.dim, count, &self.centroids, &self.near);
        Codebooks::train(shape, &residuals, pq::ROUNDS, seed)
    }

    /// Groups and codes the centroids, and computes with the decoded ones from here on; `members` are the rows that were assigned.
    fn of_trained(
        space: Space,
        codes: Codes,
        dim: usize,
        long: f64,
        trained: Trained,
        members: Vec<u32>,
        seed: u64,
    ) -> Self {
        let Trained { mut centroids, mut assigned } = trained;
        let (grouped, before) = Grouped::train(&mut centroids, dim, seed);
        let mut now = vec![0; before.len()];
        before.into_iter().zip(0..).for_each(|(before, list)| now[before as usize] = list);
        assigned.iter_mut().for_each(|list| *list = now[*list as usize]);
        let (centroids, stored) = store(&centroids, dim, space.metric);
        let (_, centres) = store(&grouped.centres, dim, space.metric);
        let near = Centroids::new(&centroids, dim, seed);
        let known = (members, assigned);
        let (reach, codebooks, turn) = (Vec::new(), None, Vec::new());
        Self {
            space,
            dim,
            long,
            grouped,
            centroids,
            near,
            known,
            stored,
            centres,
            reach,
            codes,
            codebooks,
            turn,
        }
    }

    /// Number of lists.
    pub(super) fn count(&self) -> usize {
        self.centroids.len() / self.dim
    }

    /// The list of each of `live`, [`kmeans::NONE`] for giants and the longest of the long rows; and these.
    pub(super) fn assign(&self, build: &Build<'_>, live: &[u32]) -> Result<(Vec<u32>, Vec<u32>), IndexError> {
        let mut assigned = vec![kmeans::NONE; live.len()];
        let done = std::sync::atomic::AtomicU64::new(0);
        let chunks = assigned.par_chunks_mut(CHUNK).zip(live.par_chunks(CHUNK)).enumerate();
        let long = chunks.map(|(chunk, (assigned, rows))| {
            let unknown = self.take_known(rows, assigned);
            let others: Vec<u32> = unknown.iter().map(|at| rows[*at]).collect();
            let placed = place(build, &self.space, &others)?;
            let coded = Coded::of_floats(&placed.values, self.dim, Metric::L2);
            for ((at, list), place) in unknown.into_iter().zip(self.near.assign(&coded)).zip(&placed.places) {
                assigned[at] = if *place == space::Place::Giant { kmeans::NONE } else { list };
            }
            let count = rows.len() as u64;
            let done = done.fetch_add(count, std::sync::atomic::Ordering::Relaxed) + count;
            build.step("assigning rows to lists", done, live.len() as u64)?;
            Ok(self.long_ones(chunk * CHUNK, &placed))
        });
        let mut long: Vec<(u64, usize)> = long.collect::<Result<Vec<_>, IndexError>>()?.concat();
        long.sort_unstable_by_key(|(norm, at)| (std::cmp::Reverse(*norm), *at));
        long.iter().take(MOST_LONG).for_each(|(_, at)| assigned[*at] = kmeans::NONE);
        let giants = live.iter().zip(&assigned).filter(|(_, list)| **list == kmeans::NONE);
        let giants = giants.map(|(row, _)| *row).collect();
        Ok((assigned, giants))
    }

    /// Sets the lists of those of `rows`, ascending, that training tells; says which it does not.
    fn take_known(&self, rows: &[u32], assigned: &mut [u32]) -> Vec<usize> {
        let (known, lists) = &self.known;
        let first = rows.first().map_or(0, |row| known.partition_point(|known| known < row));
        let mut known = known[first..].iter().zip(&lists[first..]).peekable();
        let mut unknown = Vec::new();
        for (at, (row, assigned)) in rows.iter().zip(assigned).enumerate() {
            match known.next_if(|(known, _)| *known == row) {
                Some((_, list)) => *assigned = *list,
                None => unknown.push(at),
            }
        }
        unknown
    }

    /// The norms, as bits, which have their order, and the indices of long rows of a chunk that begins at `start`.
    fn long_ones(&self, start: usize, placed: &Placed) -> Vec<(u64, usize)> {
        if self.long == f64::INFINITY {
            return Vec::new();
        }
        let norms = placed.values.chunks_exact(self.dim).map(|value| reference::dot(value, value).sqrt());
        norms
            .zip(start..)
            .filter(|(norm, _)| *norm > self.long)
            .map(|(norm, at)| (norm.to_bits(), at))
            .collect()
    }
}

/// Vectors n × `dim` as they are decoded, and as a list without row numbers.
fn store(values: &[f32], dim: usize, metric: Metric) -> (Vec<f32>, Vec<u8>) {
    let mut coder = Coder::default();
    let (codes, rows) = coder.code(values, dim, CODE_MAX);
    let blocks = dim.div_ceil(LANE_SPAN);
    let shape = Shape::centroids(rows.len(), dim);
    let (mut decoded, mut stored) = (vec![0.0; values.len()], vec![0; shape.bytes() as usize]);
    stored[..shape.codes() as usize].copy_from_slice(codes.as_bytes());
    let each = codes.chunks_exact(blocks).zip(rows).zip(decoded.chunks_exact_mut(dim));
    for (at, ((codes, row), vector)) in each.enumerate() {
        sq8::decode(codes, row.scale, row.offset, vector);
        let square = reference::dot(vector, vector) as f32;
        let constant = if metric == Metric::InnerProduct { 0.0 } else { square };
        shape.put_terms(&mut stored, at, &[row.scale, row.offset, constant]);
    }
    (decoded, stored)
}

/// What is left of at most `wanted` of `vectors`, evenly over all, once their centroids are taken off.
fn residuals(vectors: &[f32], dim: usize, wanted: usize, centroids: &[f32], near: &Centroids) -> Vec<f32> {
    let count = vectors.len() / dim;
    let picks = (0..count.min(wanted)).map(|pick| if count > wanted { pick * count / wanted } else { pick });
    let mut some: Vec<f32> = picks.flat_map(|pick| &vectors[pick * dim..][..dim]).copied().collect();
    let assigned = near.assign(&kmeans::code(&some, dim));
    for (vector, list) in some.chunks_exact_mut(dim).zip(assigned) {
        if list != kmeans::NONE {
            let centroid = &centroids[list as usize * dim..][..dim];
            vector.iter_mut().zip(centroid).for_each(|(value, centre)| *value -= centre);
        }
    }
    some
}

/// The rotation that suits codewords of what is left of `vectors`.
fn learn(vectors: &[f32], centroids: &[f32], shape: pq::Shape, seed: u64) -> opq::Rotation {
    let near = Centroids::new(centroids, shape.dim, seed);
    let residuals = residuals(vectors, shape.dim, opq::TRAINING_ROWS, centroids, &near);
    opq::Rotation::train(shape, &residuals, seed)
}

/// The mean of vectors, each number rounded once.
fn mean(vectors: &[f32], dim: usize) -> Vec<f32> {
    let mut sums = vec![0f64; dim];
    sums.par_chunks_mut(COLUMNS).enumerate().for_each(|(chunk, sums)| {
        for vector in vectors.chunks_exact(dim) {
            let values = &vector[chunk * COLUMNS..];
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += f64::from(*value));
        }
    });
    let share = dim as f64 / vectors.len() as f64;
    sums.into_iter().map(|sum| (sum * share) as f32).collect()
}

/// The row `row` of the image, in the collection.
fn one(build: &Build<'_>, row: u32) -> Range<u64> {
    let row = build.first_row + u64::from(row);
    row..row + 1
}

/// Those of `rows`, ascending, that are no giants, and the vectors of these in the space of lists.
fn place_all(build: &Build<'_>, space: &Space, rows: Vec<u32>) -> Result<(Vec<u32>, Vec<f32>), IndexError> {
    let dim = build.rows.dim();
    let mut vectors = vec![0.0; rows.len() * dim];
    let chunks = vectors.par_chunks_mut(CHUNK * dim).zip(rows.par_chunks(CHUNK));
    let places = chunks.map(|(vectors, rows)| place_into(build, space, rows, vectors));
    let places = places.collect::<Result<Vec<_>, IndexError>>()?.concat();
    let mut members = rows;
    let mut kept = 0;
    for (at, _) in places.iter().enumerate().filter(|(_, place)| **place != space::Place::Giant) {
        if kept < at {
            members[kept] = members[at];
            vectors.copy_within(at * dim..(at + 1) * dim, kept * dim);
        }
        kept += 1;
    }
    members.truncate(kept);
    vectors.truncate(kept * dim);
    Ok((members, vectors))
}

/// The rows `rows` of the image, ascending, in the space of lists.
pub(super) fn place(build: &Build<'_>, space: &Space, rows: &[u32]) -> Result<Placed, IndexError> {
    let mut values = vec![0.0; rows.len() * build.rows.dim()];
    let places = place_into(build, space, rows, &mut values)?;
    Ok(Placed { values, places })
}

/// Writes the rows `rows` of the image, ascending, in the space of lists.
fn place_into(
    build: &Build<'_>,
    space: &Space,
    rows: &[u32],
    values: &mut [f32],
) -> Result<Vec<space::Place>, IndexError> {
    let mut places = Vec::with_capacity(rows.len());
    for run in rows.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        let range = one(build, run[0]);
        let vectors = build.rows.rows(range.start..range.start + run.len() as u64)?;
        let values = &mut values[places.len() * build.rows.dim()..];
        space.rows(vectors, values, &mut places);
    }
    Ok(places)
}
