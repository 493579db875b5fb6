//! Building: centroids of a sample, the list of each row, then the lists, as many at a time as fit the memory.

use std::io::Write;
use std::ops::Range;

use rayon::prelude::*;
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::layout::{CENTROIDS, DIRECTORY, GIANTS, LISTS, MEAN, Place, Shape};
use super::params::{Params, Wanted, check_rows};
use super::space::{self, Space};
use crate::index::image::ImageWriter;
use crate::index::{Build, IndexError, IndexSpec};
use crate::quant::sq8::{self, Coder};
use crate::rng::Random;
use crate::simd::Block32;
use crate::simd::codes::LANE_SPAN;
use crate::tile::Coded;
use crate::{Metric, kmeans, reference};

/// Rows for each list that its centroid is trained with: from 64 on, more change nothing about the recall at a given cost.
const TRAINING_ROWS: usize = 64;

/// Rows that tell the size of a typical row.
const TYPICAL_ROWS: usize = 1000;

/// Rows that one thread places and codes at a time.
const CHUNK: usize = 512;

/// Bytes for each row, whatever its dimension: its number, its list, its place in the list.
const ROW_BYTES: u64 = 12;

/// Least room for lists on their way out, and for training.
const LEAST_ROOM: u64 = 4 << 20;

/// Of inner products: rows this many times longer than the typical one may be the answer to any query, and the centroid of a list
/// that they share with others does not tell.
const LONG: f64 = 4.0;

/// Most rows that are in no list for being long.
const MOST_LONG: usize = 256;

/// Sets the random numbers that choose the training set apart from those of others.
const STREAM: u64 = u64::from_le_bytes(*b"training");

/// How many rows one image can cover within the memory: half of it is for rows, the other half for lists.
pub(crate) fn rows_within_memory(spec: &IndexSpec, build: &Build<'_>) -> Result<u64, IndexError> {
    check_rows(spec, build)?;
    Wanted::of(spec)?;
    Ok((build.memory / 2 / ROW_BYTES).max(1))
}

/// Builds the image of an `ivf`.
///
/// # Determinism
/// By rows, spec and seed; neither threads nor instruction sets nor memory change a byte, unless the memory is too small for the
/// training set.
pub(crate) fn build(spec: &IndexSpec, build: &Build<'_>, out: &mut dyn Write) -> Result<(), IndexError> {
    check_rows(spec, build)?;
    let wanted = Wanted::of(spec)?;
    let live = build.live();
    let nlist = wanted.nlist(live.len());
    let lists = Lists::train(build, &live, nlist)?;
    let (assigned, giants) = lists.assign(build, &live)?;

    let mut writer = ImageWriter::new(out);
    writer.section(MEAN)?;
    for value in &lists.space.mean {
        writer.write(&value.to_le_bytes())?;
    }
    writer.section(CENTROIDS)?;
    writer.write(&lists.stored)?;
    let places = lists.places(&assigned);
    writer.section(DIRECTORY)?;
    writer.write(places.as_bytes())?;
    writer.section(LISTS)?;
    lists.write(build, &live, &assigned, &places, &mut writer)?;
    writer.section(GIANTS)?;
    for giant in &giants {
        writer.write(&giant.to_le_bytes())?;
    }
    let params = Params { nlist: lists.count(), exponent: lists.space.exponent, giants: giants.len() };
    writer.finish(&build.header(spec.kind, live.len() as u64, params.bytes()))
}

/// The centroids, and what goes into the image of them.
struct Lists {
    space: Space,
    dim: usize,
    /// Rows longer than this are long; of inner products.
    long: f64,
    /// nlist × dim: as decoded, so that a reader computes with the same numbers.
    centroids: Vec<f32>,
    coded: Coded,
    /// The section.
    stored: Vec<u8>,
}

/// The rows of a chunk in the space of lists.
struct Placed {
    values: Vec<f32>,
    places: Vec<space::Place>,
}

/// The rows of a chunk, coded.
struct CodedChunk {
    codes: Vec<Block32>,
    /// Scale, low, constant.
    terms: Vec<[f32; 3]>,
}

impl Lists {
    /// Trains `nlist` centroids.
    fn train(build: &Build<'_>, live: &[u32], nlist: usize) -> Result<Self, IndexError> {
        let dim = build.rows.dim();
        let room = (build.memory / 2).max(LEAST_ROOM) / (6 * dim as u64 + 64);
        let count = nlist.saturating_mul(TRAINING_ROWS).min(room as usize).max(nlist).min(live.len());
        let picks = Random::new(build.seed, STREAM).sample(live.len() as u64, count);
        let picks: Vec<u32> = picks.into_iter().map(|pick| live[pick as usize]).collect();

        let mut space = Space { metric: build.metric, exponent: 0, mean: Vec::new() };
        let typical = picks.len().div_ceil(TYPICAL_ROWS).max(1);
        let mut sizes = Vec::new();
        for &pick in picks.iter().step_by(typical) {
            sizes.push(space::largest(&space::widen(build.rows.rows(one(build, pick))?)));
        }
        sizes.retain(|size| *size > 0.0);
        sizes.sort_by(f32::total_cmp);
        space.exponent = Space::exponent(build.metric, sizes.get(sizes.len() / 2).copied().unwrap_or(0.0));

        let chunks: Vec<Placed> =
            picks.par_chunks(CHUNK).map(|rows| place(build, &space, rows)).collect::<Result<_, _>>()?;
        let mut vectors = Vec::with_capacity(picks.len() * dim);
        for chunk in chunks {
            for (value, place) in chunk.values.chunks_exact(dim).zip(&chunk.places) {
                if *place != space::Place::Giant {
                    vectors.extend_from_slice(value);
                }
            }
        }
        if build.metric != Metric::InnerProduct && !vectors.is_empty() {
            space.mean = mean(&vectors, dim);
            vectors.par_chunks_mut(dim).for_each(|vector| {
                vector.iter_mut().zip(&space.mean).for_each(|(value, mean)| *value -= mean);
            });
        } else if build.metric != Metric::InnerProduct {
            space.mean = vec![0.0; dim];
        }
        let mut norms: Vec<f64> =
            vectors.par_chunks(dim).map(|vector| reference::dot(vector, vector)).collect();
        norms.retain(|norm| *norm > 0.0);
        norms.sort_by(f64::total_cmp);
        let typical = norms.get(norms.len() / 2).map_or(f64::INFINITY, |norm| norm.sqrt());
        let long = if build.metric == Metric::InnerProduct { LONG * typical } else { f64::INFINITY };

        let rounds = kmeans::ROUNDS as u64;
        let step = |round| build.step("training", round, rounds);
        let trained = kmeans::train(&vectors, dim, nlist, build.seed, &step)?;
        Ok(Self::of_centroids(space, dim, long, &trained))
    }

    /// Codes the centroids, and computes with the decoded ones from here on.
    fn of_centroids(space: Space, dim: usize, long: f64, trained: &[f32]) -> Self {
        let mut coder = Coder::default();
        let (codes, rows) = coder.code(trained, dim);
        let blocks = dim.div_ceil(LANE_SPAN);
        let mut centroids = vec![0.0; trained.len()];
        let mut terms = Vec::with_capacity(rows.len());
        for ((codes, row), centroid) in
            codes.chunks_exact(blocks).zip(rows).zip(centroids.chunks_exact_mut(dim))
        {
            sq8::decode(codes, row.scale, row.offset, centroid);
            let square = reference::dot(centroid, centroid) as f32;
            let constant = if space.metric == Metric::InnerProduct { 0.0 } else { square };
            terms.push([row.scale, row.offset, constant]);
        }
        let shape = Shape::centroids(terms.len(), dim);
        let mut stored = vec![0; shape.bytes() as usize];
        put(&mut stored, &shape, 0, codes, &terms);
        Self { space, dim, long, coded: kmeans::code(&centroids, dim), centroids, stored }
    }

    /// Number of lists.
    fn count(&self) -> usize {
        self.centroids.len() / self.dim
    }

    /// The list of each of `live`, [`kmeans::NONE`] for giants and the longest of the long rows; and these.
    fn assign(&self, build: &Build<'_>, live: &[u32]) -> Result<(Vec<u32>, Vec<u32>), IndexError> {
        let mut assigned = vec![kmeans::NONE; live.len()];
        let done = std::sync::atomic::AtomicU64::new(0);
        let chunks = assigned.par_chunks_mut(CHUNK).zip(live.par_chunks(CHUNK)).enumerate();
        let long = chunks.map(|(chunk, (assigned, rows))| {
            let placed = place(build, &self.space, rows)?;
            let coded = Coded::of_floats(&placed.values, self.dim, Metric::L2);
            assigned.copy_from_slice(&kmeans::assign(&coded, &self.coded));
            for (assigned, place) in assigned.iter_mut().zip(&placed.places) {
                if *place == space::Place::Giant {
                    *assigned = kmeans::NONE;
                }
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

    /// Where each list goes.
    fn places(&self, assigned: &[u32]) -> Vec<Place> {
        let mut sizes = vec![0usize; self.count()];
        assigned.iter().filter(|list| **list != kmeans::NONE).for_each(|list| sizes[*list as usize] += 1);
        let mut offset = 0;
        let mut places = Vec::with_capacity(sizes.len() + 1);
        for size in sizes {
            places.push(place_at(offset, size));
            offset += Shape::list(size, self.dim).bytes();
        }
        places.push(place_at(offset, 0));
        places
    }

    /// Writes the lists, in passes over the rows, each of as many lists as there is memory for.
    fn write(
        &self,
        build: &Build<'_>,
        live: &[u32],
        assigned: &[u32],
        places: &[Place],
        writer: &mut ImageWriter<'_>,
    ) -> Result<(), IndexError> {
        let slots = slots(assigned, self.count());
        let rows_room = ROW_BYTES * live.len() as u64;
        let room = build.memory.saturating_sub(rows_room).max(LEAST_ROOM);
        let window = (room / 4 / (10 * self.dim as u64 + 64)).max(1) as usize;
        let offset = |list: usize| places[list].offset.get();
        let mut first = 0;
        while first < self.count() {
            let mut end = first + 1;
            while end < self.count() && offset(end + 1) - offset(first) <= room / 2 {
                end += 1;
            }
            let mut bytes = vec![0; (offset(end) - offset(first)) as usize];
            let mine: Vec<u32> = (0..live.len() as u32)
                .filter(|&at| (first as u32..end as u32).contains(&assigned[at as usize]))
                .collect();
            for (index, window) in mine.chunks(window).enumerate() {
                let chunks: Vec<CodedChunk> = window
                    .par_chunks(CHUNK)
                    .map(|chunk| {
                        let rows: Vec<u32> = chunk.iter().map(|&at| live[at as usize]).collect();
                        let lists: Vec<u32> = chunk.iter().map(|&at| assigned[at as usize]).collect();
                        self.code(build, &rows, &lists)
                    })
                    .collect::<Result<_, _>>()?;
                for (chunk, coded) in window.chunks(CHUNK).zip(&chunks) {
                    self.put(chunk, coded, (live, assigned, &slots), places, offset(first), &mut bytes);
                }
                let done = (index * window.len()) as u64;
                build.step("writing lists", (offset(first) + done).min(offset(end)), offset(self.count()))?;
            }
            writer.write(&bytes)?;
            first = end;
        }
        Ok(())
    }

    /// Codes rows of the lists `lists`.
    fn code(&self, build: &Build<'_>, rows: &[u32], lists: &[u32]) -> Result<CodedChunk, IndexError> {
        let dim = self.dim;
        let Placed { mut values, places } = place(build, &self.space, rows)?;
        let centroid = |list: u32| &self.centroids[list as usize * dim..][..dim];
        for (value, &list) in values.chunks_exact_mut(dim).zip(lists) {
            value.iter_mut().zip(centroid(list)).for_each(|(value, centre)| *value -= centre);
        }
        let mut coder = Coder::default();
        let (codes, coded) = coder.code(&values, dim);
        let mut decoded = vec![0.0; dim];
        let mut terms = Vec::with_capacity(rows.len());
        let each = codes.chunks_exact(dim.div_ceil(LANE_SPAN)).zip(coded).zip(values.chunks_exact(dim));
        for (((codes, row), value), (&list, place)) in each.zip(lists.iter().zip(&places)) {
            sq8::decode(codes, row.scale, row.offset, &mut decoded);
            let cross = 2.0 * reference::dot(centroid(list), &decoded);
            let constant = match build.metric {
                Metric::InnerProduct => 0.0,
                // A zero vector is at cosine distance 1 from all, which is 2 here; zero itself is at 1 from a unit vector.
                Metric::Cosine if *place == space::Place::Zero => reference::dot(value, value) + cross + 1.0,
                _ => reference::dot(value, value) + cross,
            };
            terms.push([row.scale, row.offset, constant as f32]);
        }
        Ok(CodedChunk { codes: codes.to_vec(), terms })
    }

    /// Puts coded rows to their places in lists that begin at `start` of the section.
    fn put(
        &self,
        chunk: &[u32],
        coded: &CodedChunk,
        (live, assigned, slots): (&[u32], &[u32], &[u32]),
        places: &[Place],
        start: u64,
        bytes: &mut [u8],
    ) {
        let blocks = self.dim.div_ceil(LANE_SPAN);
        for ((&at, codes), terms) in chunk.iter().zip(coded.codes.chunks_exact(blocks)).zip(&coded.terms) {
            let place = &places[assigned[at as usize] as usize];
            let shape = Shape::list(place.rows.get() as usize, self.dim);
            let list = &mut bytes[(place.offset.get() - start) as usize..];
            let slot = slots[at as usize] as usize;
            put(list, &shape, slot, codes, &[*terms]);
            let number = shape.numbers_at() as usize + 4 * slot;
            list[number..number + 4].copy_from_slice(&live[at as usize].to_le_bytes());
        }
    }
}

/// Puts codes and terms of rows from `slot` on into a list.
fn put(list: &mut [u8], shape: &Shape, slot: usize, codes: &[Block32], terms: &[[f32; 3]]) {
    let codes = codes.as_bytes();
    let row_bytes = codes.len() / terms.len().max(1);
    list[slot * row_bytes..][..codes.len()].copy_from_slice(codes);
    for (row, terms) in terms.iter().enumerate() {
        for (term, value) in terms.iter().enumerate() {
            let at = shape.term_at(term as u64) as usize + 4 * (slot + row);
            list[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }
}

fn place_at(offset: u64, rows: usize) -> Place {
    Place { offset: U64::new(offset), rows: U32::new(rows as u32), reserved: U32::ZERO }
}

/// The place of each row within its list: in the order of the rows.
fn slots(assigned: &[u32], count: usize) -> Vec<u32> {
    let mut next = vec![0; count];
    let slot = |&list: &u32| {
        let Some(next) = next.get_mut(list as usize) else { return 0 };
        *next += 1;
        *next - 1
    };
    assigned.iter().map(slot).collect()
}

/// The mean of vectors, each number rounded once.
fn mean(vectors: &[f32], dim: usize) -> Vec<f32> {
    let mut sums = vec![0f64; dim];
    for vector in vectors.chunks_exact(dim) {
        sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
    }
    let share = dim as f64 / vectors.len() as f64;
    sums.into_iter().map(|sum| (sum * share) as f32).collect()
}

/// The row `row` of the image, in the collection.
fn one(build: &Build<'_>, row: u32) -> Range<u64> {
    let row = build.first_row + u64::from(row);
    row..row + 1
}

/// The rows `rows` of the image, ascending, in the space of lists.
fn place(build: &Build<'_>, space: &Space, rows: &[u32]) -> Result<Placed, IndexError> {
    let dim = build.rows.dim();
    let mut placed = Placed { values: Vec::with_capacity(rows.len() * dim), places: Vec::new() };
    let mut values = Vec::new();
    for run in rows.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        let range = one(build, run[0]);
        let vectors = build.rows.rows(range.start..range.start + run.len() as u64)?;
        placed.places.extend(space.rows(vectors, &mut values));
        placed.values.extend_from_slice(&values);
    }
    Ok(placed)
}
