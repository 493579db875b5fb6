//! The hash functions of all tables: from a vector to the key of its bucket in each table, and to what it would take to land in
//! another.
//!
//! A table's key is Σ zᵢ cᵢ modulo 2³², scrambled: zᵢ is the value of its function i, and cᵢ a power of two where values are bits,
//! else a random odd number. Two cells of the same key share a bucket, which costs candidates but loses none.

use super::params::{Family, Params};
use super::rotate::Rotation;
use super::space::Space;
use crate::rng::Random;

/// Values of functions lie within ± this; what lies beyond is hashed as if it lay there.
const FARTHEST: f32 = (1 << 20) as f32;

/// One hash function.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Function {
    /// Of [`Family::Stable`]: the shift b / w, in 0 .. 1. Of [`Family::Bit`]: the number of the bit. Else 0.
    pub(super) shift: f32,
    /// Number of the bit that is looked at; of [`Family::Bit`] only.
    pub(super) bit: u32,
    /// c.
    pub(super) factor: u32,
}

/// The hash functions of an index.
#[derive(Debug, Clone)]
pub(super) struct Hasher {
    pub(super) family: Family,
    pub(super) params: Params,
    /// Of numbers.
    pub(super) numbers: Option<(Space, Rotation)>,
    /// tables × bits.
    pub(super) functions: Vec<Function>,
}

/// What a function would take another value for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    /// Square of the distance to the other value's cell, in the unit of projections.
    pub(super) score: f32,
    /// The function within its table.
    pub(super) function: u8,
    /// What is added to the sum of the key.
    pub(super) delta: u32,
}

/// Room for hashing one vector after the other.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// The vector in the space of hashes.
    pub(super) place: Vec<f64>,
    narrow: Vec<f32>,
    projections: Vec<f32>,
    transform: Vec<f32>,
}

impl Hasher {
    /// Random functions; `dim`: elements of a row.
    pub(super) fn random_functions(
        family: Family,
        params: &Params,
        dim: usize,
        random: &mut Random,
    ) -> Vec<Function> {
        let function = |at: usize| Function {
            shift: if family == Family::Stable {
                (random.next() >> 40) as f32 / (1 << 24) as f32
            } else {
                0.0
            },
            bit: if family == Family::Bit { random.below(dim as u64) as u32 } else { 0 },
            factor: if family == Family::Stable { random.next() as u32 | 1 } else { 1 << (at % params.bits) },
        };
        (0..params.functions()).map(function).collect()
    }

    /// Sums of the keys of a row of numbers, one per table. [`Room::place`] is left as the place of the row.
    pub(super) fn row(&self, row: &[f32], room: &mut Room, sums: &mut [u32]) {
        if let Some((space, rotation)) = &self.numbers {
            space.row(row, &mut room.place);
            self.project(rotation, room);
            self.sums(&room.projections, sums);
        }
    }

    /// Sums of the keys of a row of bits, one per table.
    pub(super) fn bits(&self, row: &[u8], sums: &mut [u32]) {
        for (sum, functions) in sums.iter_mut().zip(self.functions.chunks_exact(self.params.bits)) {
            *sum = functions
                .iter()
                .filter(|function| bit(row, function.bit))
                .map(|function| function.factor)
                .sum();
        }
    }

    /// As [`row`](Self::row) for a query, with the changes that lead to other buckets, 0 to 2 for each function in turn.
    pub(super) fn query(
        &self,
        query: &[f32],
        room: &mut Room,
        sums: &mut [u32],
        changes: &mut [Vec<Change>],
    ) {
        let Some((space, rotation)) = &self.numbers else { return };
        space.query(query, &mut room.place);
        self.project(rotation, room);
        self.sums(&room.projections, sums);
        let tables = self
            .functions
            .chunks_exact(self.params.bits)
            .zip(room.projections.chunks_exact(self.params.bits));
        for ((functions, projections), changes) in tables.zip(changes) {
            changes.clear();
            for (number, (function, &projection)) in functions.iter().zip(projections).enumerate() {
                let change = |distance: f32, delta: u32| Change {
                    score: distance * distance,
                    function: number as u8,
                    delta,
                };
                if self.family == Family::Sign {
                    let back = 0u32.wrapping_sub(function.factor);
                    changes.push(change(projection, if projection > 0.0 { back } else { function.factor }));
                } else {
                    let at = projection + function.shift;
                    let within = at - at.floor();
                    changes.push(change(within, 0u32.wrapping_sub(function.factor)));
                    changes.push(change(1.0 - within, function.factor));
                }
            }
        }
    }

    /// As [`bits`](Self::bits) for a query, with the changes that lead to other buckets.
    pub(super) fn query_bits(&self, query: &[u8], sums: &mut [u32], changes: &mut [Vec<Change>]) {
        self.bits(query, sums);
        for (functions, changes) in self.functions.chunks_exact(self.params.bits).zip(changes) {
            changes.clear();
            changes.extend(functions.iter().enumerate().map(|(number, function)| {
                let set = bit(query, function.bit);
                let delta = if set { 0u32.wrapping_sub(function.factor) } else { function.factor };
                Change { score: 1.0, function: number as u8, delta }
            }));
        }
    }

    /// The values of the functions, for whoever counts how often they agree.
    pub(super) fn values(&self, row: &[f32], room: &mut Room, values: &mut Vec<i32>) {
        values.clear();
        if let Some((space, rotation)) = &self.numbers {
            space.row(row, &mut room.place);
            self.project(rotation, room);
            let pairs = self.functions.iter().zip(&room.projections);
            values.extend(pairs.map(|(function, &projection)| self.value(function, projection)));
        }
    }

    /// Fills the projections from the place; of [`Family::Stable`] in units of w.
    fn project(&self, rotation: &Rotation, room: &mut Room) {
        let unit = if self.family == Family::Stable { 1.0 / f64::from(self.params.width) } else { 1.0 };
        room.narrow.clear();
        let far = f64::from(FARTHEST);
        room.narrow.extend(room.place.iter().map(|value| (value * unit).clamp(-far, far) as f32));
        room.projections.resize(self.functions.len(), 0.0);
        rotation.project(&room.narrow, &mut room.projections, &mut room.transform);
    }

    fn sums(&self, projections: &[f32], sums: &mut [u32]) {
        let tables =
            self.functions.chunks_exact(self.params.bits).zip(projections.chunks_exact(self.params.bits));
        for (sum, (functions, projections)) in sums.iter_mut().zip(tables) {
            let terms = functions.iter().zip(projections);
            *sum = terms.fold(0u32, |sum, (function, &projection)| {
                let value = self.value(function, projection) as u32;
                sum.wrapping_add(value.wrapping_mul(function.factor))
            });
        }
    }

    #[inline]
    fn value(&self, function: &Function, projection: f32) -> i32 {
        match self.family {
            Family::Sign => i32::from(projection > 0.0),
            _ => (projection + function.shift).floor().clamp(-FARTHEST, FARTHEST) as i32,
        }
    }
}

/// Bit `number` of a row: the least significant of byte 0 is the first. Beyond the row it is not set.
pub(super) fn bit(row: &[u8], number: u32) -> bool {
    row.get(number as usize / 8).is_some_and(|byte| byte >> (number % 8) & 1 == 1)
}

/// The key of a bucket: the sum of its values, scrambled so that keys spread evenly. Invertible: the finalizer of MurmurHash3
/// (Appleby 2011).
#[inline]
pub(super) fn key(sum: u32) -> u32 {
    let mut key = sum;
    key = (key ^ (key >> 16)).wrapping_mul(0x85eb_ca6b);
    key = (key ^ (key >> 13)).wrapping_mul(0xc2b2_ae35);
    key ^ (key >> 16)
}
