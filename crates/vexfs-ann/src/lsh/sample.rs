//! What a sample of the rows tells: their middle, how wide buckets have to be, and how many functions it takes to part them.

use super::hash::{Hasher, Room, bit};
use super::params::{Family, Params, Wanted};
use super::rotate::Rotation;
use super::space::{Space, dim_of};
use crate::index::{Build, IndexError};
use crate::rng::Random;
use crate::{DType, ExactScan, Metric, Queries, Vectors, reference};

/// Rows of the sample.
const ROWS: usize = 4096;
/// Bytes of the sample as f32; fewer rows are taken if they are long.
const BYTES: usize = 64 << 20;
/// Rows whose nearest neighbour within the sample is looked for.
const NEAREST_OF: usize = 128;
/// Pairs of rows whose hashes are compared.
const PAIRS: usize = 2048;
/// Functions by which they are compared.
const FUNCTIONS: usize = 256;

/// Bucket width, in distances to the nearest neighbour within the sample.
const WIDTH: f64 = 3.5;

/// Rows that share a bucket with a row that has nothing to do with them, once there are enough functions: with fewer, more
/// candidates are met by chance; with more, more buckets have to be looked into.
const COMPANY: f64 = 100.0;

/// Most functions per table unless they are given: beyond that even neighbours fall apart.
const MOST_BITS: usize = 24;

/// Times the median by which the longest row of a sample may exceed it and still give the common norm.
const GIANT: f64 = 4.0;

/// A sample of the rows, and what is found out about it.
pub(super) struct Sample<'a> {
    build: &'a Build<'a>,
    random: Random,
    /// Of numbers: count × dim.
    floats: Vec<f32>,
    /// Of bits: count × row bytes.
    bits: Vec<u8>,
    count: usize,
}

impl<'a> Sample<'a> {
    /// Draws rows of `live`.
    pub(super) fn draw(build: &'a Build<'a>, live: &[u32], mut random: Random) -> Result<Self, IndexError> {
        let (dim, dtype) = (build.rows.dim(), build.rows.dtype());
        let most = (BYTES / (4 * dim)).clamp(2 * NEAREST_OF, ROWS);
        let picks = random.sample(live.len() as u64, most);
        let mut sample = Self { build, random, floats: Vec::new(), bits: Vec::new(), count: picks.len() };
        for pick in picks {
            let row = build.first_row + u64::from(live[pick as usize]);
            let row = build.rows.rows(row..row + 1)?;
            match dtype {
                DType::B1 => sample.bits.extend_from_slice(row.bytes()),
                _ => sample.floats.extend(reference::widen(dtype, row.bytes())),
            }
        }
        Ok(sample)
    }

    fn floats(&self, index: usize) -> &[f32] {
        let dim = self.build.rows.dim();
        &self.floats[index * dim..][..dim]
    }

    /// The functions for `wanted`, and what they hash: everything about an index that does not grow with the rows.
    pub(super) fn hasher(mut self, wanted: &Wanted, live: usize) -> Result<(Hasher, Vec<u8>), IndexError> {
        let (dim, metric) = (self.build.rows.dim(), self.build.metric);
        let family = Family::of(metric);
        let mut params = Params { tables: wanted.tables, bits: 1, width: 1.0, norm: 1.0 };
        params.norm = self.norm();
        params.width = match wanted.width {
            Some(width) => width,
            None => self.width()?,
        };
        let middle = self.middle(&params);
        params.bits = match wanted.bits {
            Some(bits) => bits,
            None => {
                let trial = Params { tables: FUNCTIONS / 32, bits: 32, ..params };
                let trial = make(family, trial, dim, metric, middle.clone(), &mut self.random).0;
                self.bits(&trial, live)
            }
        };
        Ok(make(family, params, dim, metric, middle, &mut self.random))
    }

    /// M: the norm of the longest row, or that which one row in a hundred exceeds if the longest is much longer than most.
    fn norm(&self) -> f64 {
        if self.build.metric != Metric::InnerProduct || self.count == 0 {
            return 1.0;
        }
        let norm = |index: usize| reference::dot(self.floats(index), self.floats(index)).sqrt();
        let mut norms: Vec<f64> = (0..self.count).map(norm).collect();
        norms.sort_by(f64::total_cmp);
        let longest = norms[norms.len() - 1];
        let norm =
            if longest <= GIANT * norms[norms.len() / 2] { longest } else { norms[norms.len() * 99 / 100] };
        if norm.is_normal() { norm } else { 1.0 }
    }

    /// w: a multiple of the median distance to the nearest neighbour; of l2 only.
    fn width(&self) -> Result<f32, IndexError> {
        if Family::of(self.build.metric) != Family::Stable {
            return Ok(1.0);
        }
        let dim = self.build.rows.dim();
        let queries = &self.floats[..self.count.min(NEAREST_OF) * dim];
        let queries = Queries::new(queries, dim, DType::F32, Metric::L2).map_err(IndexError::source)?;
        let bytes: Vec<u8> = self.floats.iter().flat_map(|value| value.to_le_bytes()).collect();
        // Itself, some of its copies, and one that differs.
        let mut scan = ExactScan::new(&queries, 8).map_err(IndexError::source)?;
        scan.push(Vectors::new(&bytes, dim, DType::F32).map_err(IndexError::source)?, 0, None);
        let nearest = |hits: Vec<crate::Neighbor>| hits.iter().map(|hit| hit.distance).find(|hit| *hit > 0.0);
        let mut nearest: Vec<f64> = scan.finish().into_iter().filter_map(nearest).collect();
        nearest.sort_by(f64::total_cmp);
        let width = nearest.get(nearest.len() / 2).map_or(1.0, |square| WIDTH * square.sqrt()) as f32;
        Ok(if width.is_normal() { width } else { 1.0 })
    }

    /// m: the median of each element, so that a few rows far out do not move it.
    fn middle(&self, params: &Params) -> Vec<f32> {
        let (dim, metric) = (self.build.rows.dim(), self.build.metric);
        if metric == Metric::Hamming {
            return Vec::new();
        }
        let space = Space::new(metric, params, Vec::new());
        let mut places: Vec<f32> = Vec::with_capacity(self.count * dim_of(metric, dim));
        let mut place = Vec::new();
        for index in 0..self.count {
            space.place(self.floats(index), false, &mut place);
            places.extend(place.iter().map(|value| *value as f32));
        }
        let mut column = Vec::with_capacity(self.count);
        let median = |element: usize| {
            column.clear();
            column.extend(places.iter().skip(element).step_by(dim_of(metric, dim)));
            let half = column.len() / 2;
            if column.is_empty() { 0.0 } else { *column.select_nth_unstable_by(half, f32::total_cmp).1 }
        };
        (0..dim_of(metric, dim)).map(median).collect()
    }

    /// K: the fewest functions by which `live` rows fall into buckets of [`COMPANY`], judged by how often the functions of
    /// `trial` agree on pairs.
    fn bits(&mut self, trial: &Hasher, live: usize) -> usize {
        let (mut room, mut one, mut other) = (Room::default(), Vec::new(), Vec::new());
        let (mut agreeing, mut compared) = (0, 0);
        for _ in 0..if self.count < 2 { 0 } else { PAIRS } {
            let first = self.random.below(self.count as u64) as usize;
            let second = (first + 1 + self.random.below(self.count as u64 - 1) as usize) % self.count;
            self.values(trial, first, &mut room, &mut one);
            self.values(trial, second, &mut room, &mut other);
            agreeing += one.iter().zip(&other).filter(|(one, other)| one == other).count();
            compared += one.len();
        }
        let agree = agreeing as f64 / compared.max(1) as f64;
        let mut company = live as f64;
        for bits in 1..MOST_BITS {
            company *= agree;
            if company <= COMPANY {
                return bits;
            }
        }
        MOST_BITS
    }

    fn values(&self, trial: &Hasher, index: usize, room: &mut Room, values: &mut Vec<i32>) {
        if trial.family == Family::Bit {
            let bytes = self.bits.len() / self.count;
            let row = &self.bits[index * bytes..][..bytes];
            values.clear();
            values.extend(trial.functions.iter().map(|function| i32::from(bit(row, function.bit))));
        } else {
            trial.values(self.floats(index), room, values);
        }
    }
}

/// Random functions with `params`, and the signs of their projections.
fn make(
    family: Family,
    params: Params,
    dim: usize,
    metric: Metric,
    middle: Vec<f32>,
    random: &mut Random,
) -> (Hasher, Vec<u8>) {
    let functions = Hasher::random_functions(family, &params, dim, random);
    if family == Family::Bit {
        return (Hasher { family, params, numbers: None, functions }, Vec::new());
    }
    let signs = Rotation::random_signs(middle.len(), functions.len(), random);
    let rotation = Rotation::new(middle.len(), &signs);
    let space = Space::new(metric, &params, middle);
    (Hasher { family, params, numbers: Some((space, rotation)), functions }, signs)
}
