//! Random projections of a vector, many at once: signs are flipped at random and the Walsh–Hadamard transform is applied,
//! three times over.
//!
//! A round gives as many projections as the padded vector has elements, in d log d additions instead of d² products; each is
//! close to normally distributed with the vector's length as its deviation, as a projection on a random direction is.
//! Additions happen in a fixed order and the last step multiplies by a power of two, so that every machine gets the same bits.
//!
//! # Source
//! Dasgupta, Kumar, Sarlós, Fast locality-sensitive hashing, KDD 2011, section 4; three rounds of signs as in Andoni, Indyk,
//! Laarhoven, Razenshteyn, Schmidt, Practical and optimal LSH for angular distance, NIPS 2015, section 5.

use crate::quant::hadamard::transform;
use crate::rng::Random;

/// Times that signs are flipped and the transform applied.
pub(super) const STEPS: usize = 3;

/// Fewest elements of a padded vector: with fewer, projections of short vectors would repeat each other.
const LEAST: usize = 32;

/// The signs of all rounds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rotation {
    width: usize,
    /// rounds × [`STEPS`] × width, each 1 or −1.
    signs: Vec<f32>,
}

/// Elements of a vector of `dim` once it is padded.
pub(super) fn padded(dim: usize) -> usize {
    dim.next_power_of_two().max(LEAST)
}

/// Bytes of the signs, a bit each, for `functions` projections of vectors of `dim` elements.
pub(super) fn sign_bytes(dim: usize, functions: usize) -> usize {
    functions.div_ceil(padded(dim)) * STEPS * padded(dim) / 8
}

impl Rotation {
    /// Random signs, as bits: [`sign_bytes`] of them.
    pub(super) fn random_signs(dim: usize, functions: usize, random: &mut Random) -> Vec<u8> {
        (0..sign_bytes(dim, functions)).map(|_| random.next() as u8).collect()
    }

    /// Of `signs` as [`random_signs`](Self::random_signs) gives them; bit j mod 8 of byte ⌊j / 8⌋ set: sign j is −1.
    pub(super) fn new(dim: usize, signs: &[u8]) -> Self {
        let sign = |bit: u8| if bit & 1 == 1 { -1.0 } else { 1.0 };
        let signs = signs.iter().flat_map(|byte| (0..8).map(move |bit| sign(byte >> bit)));
        Self { width: padded(dim), signs: signs.collect() }
    }

    /// Writes `into.len()` projections of `vector`. `room` is scratch space.
    ///
    /// # Shape
    /// `vector`: d elements; `into`: at most as many as there are signs for.
    pub(super) fn project(&self, vector: &[f32], into: &mut [f32], room: &mut Vec<f32>) {
        let scale = 1.0 / self.width as f32;
        for (round, into) in self.signs.chunks_exact(STEPS * self.width).zip(into.chunks_mut(self.width)) {
            room.clear();
            room.extend_from_slice(vector);
            room.resize(self.width, 0.0);
            for signs in round.chunks_exact(self.width) {
                room.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
                transform(room);
            }
            into.iter_mut().zip(&*room).for_each(|(into, value)| *into = value * scale);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projections_keep_lengths_and_do_not_repeat() {
        for dim in [1, 3, 100] {
            let functions = 3 * padded(dim) - 5;
            let signs = Rotation::random_signs(dim, functions, &mut Random::new(1, 2));
            assert_eq!(signs.len(), sign_bytes(dim, functions));
            let rotation = Rotation::new(dim, &signs);
            let vector: Vec<f32> = (0..dim).map(|at| 2.0 - (at % 5) as f32).collect();
            let length: f32 = vector.iter().map(|value| value * value).sum();
            let mut into = vec![0.0; functions];
            rotation.project(&vector, &mut into, &mut Vec::new());
            let mean = into.iter().map(|value| value * value).sum::<f32>() / functions as f32;
            assert!((mean / length - 1.0).abs() < 0.1, "{dim}: {mean} {length}");
            assert!(dim == 1 || into[0] != into[padded(dim)], "rounds differ");
        }
    }
}
