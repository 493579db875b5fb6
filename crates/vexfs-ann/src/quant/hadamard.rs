//! The Walsh–Hadamard transform, and random rotations made of it.
//!
//! A rotation mixes all elements in d log d additions instead of d² products. Additions happen in a fixed order and products are
//! rounded one by one, so that every machine gets the same bits.

use crate::rng::Random;

/// Times that signs are flipped and the transform applied.
const STEPS: usize = 4;

/// A random rotation of vectors of d elements, whatever d is.
///
/// # Source
/// Signs flipped at random before the transform: Ailon and Chazelle, The fast Johnson–Lindenstrauss transform, SIAM Journal on Computing 39(1),
/// 2009, section 2. Deviation: the transform takes a power of two, p ≤ d, so it is applied to the first p elements and to the last p in
/// turn; every step is a rotation or reflection, and so is the whole.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rotation {
    dim: usize,
    /// [`STEPS`] × d, each 1 or −1.
    signs: Vec<f32>,
}

impl Rotation {
    /// Bytes of the signs, a bit each, of a rotation of `dim` elements.
    pub(crate) fn sign_bytes(dim: usize) -> usize {
        (STEPS * dim).div_ceil(8)
    }

    /// Random signs, as bits.
    pub(crate) fn random_signs(dim: usize, random: &mut Random) -> Vec<u8> {
        (0..Self::sign_bytes(dim)).map(|_| random.next() as u8).collect()
    }

    /// Of `signs` as [`random_signs`](Self::random_signs) gives them; bit j mod 8 of byte ⌊j / 8⌋ set: sign j is −1.
    pub(crate) fn new(dim: usize, signs: &[u8]) -> Self {
        let sign = |bit: u8| if bit & 1 == 1 { -1.0 } else { 1.0 };
        let signs = signs.iter().flat_map(|byte| (0..8).map(move |bit| sign(byte >> bit)));
        Self { dim, signs: signs.take(STEPS * dim).collect() }
    }

    /// Rotates `vector`, d elements.
    pub(crate) fn apply(&self, vector: &mut [f32]) {
        let len = 1 << self.dim.ilog2();
        let scale = (1.0 / (len as f64).sqrt()) as f32;
        for (step, signs) in self.signs.chunks_exact(self.dim).enumerate() {
            vector.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
            let window = if step % 2 == 0 { 0..len } else { self.dim - len..self.dim };
            let window = &mut vector[window];
            transform(window);
            window.iter_mut().for_each(|value| *value *= scale);
        }
    }
}

/// The Walsh–Hadamard transform, in place: sums and differences at distance 1, 2, 4 and so on. The length is a power of two.
pub(crate) fn transform(values: &mut [f32]) {
    let mut step = 1;
    if values.len() >= 8 {
        for eight in values.as_chunks_mut::<8>().0 {
            let [a, b, c, d, e, f, g, h] = *eight;
            let ([a, b], [c, d], [e, f], [g, h]) =
                ([a + b, a - b], [c + d, c - d], [e + f, e - f], [g + h, g - h]);
            let ([a, b, c, d], [e, f, g, h]) = ([a + c, b + d, a - c, b - d], [e + g, f + h, e - g, f - h]);
            *eight = [a + e, b + f, c + g, d + h, a - e, b - f, c - g, d - h];
        }
        step = 8;
    }
    while step < values.len() {
        for pair in values.chunks_exact_mut(2 * step) {
            let (low, high) = pair.split_at_mut(step);
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (*low + *high, *low - *high);
            }
        }
        step *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transform_is_that_of_the_matrix() {
        for len in [1usize, 2, 4, 8, 32, 64] {
            let values: Vec<f32> = (0..len).map(|at| ((at * 37 + 11) % 23) as f32 - 9.0).collect();
            let mut transformed = values.clone();
            transform(&mut transformed);
            for (row, got) in transformed.iter().enumerate() {
                let sign = |column: usize| if (row & column).count_ones() % 2 == 1 { -1.0 } else { 1.0 };
                let want: f32 = values.iter().enumerate().map(|(column, value)| sign(column) * value).sum();
                assert_eq!(*got, want, "{len} {row}");
            }
        }
    }

    #[test]
    fn rotations_keep_products_and_spread_what_is_in_one_place() {
        for dim in [1, 2, 3, 7, 100, 128, 784] {
            let signs = Rotation::random_signs(dim, &mut Random::new(1, 2));
            assert_eq!(signs.len(), Rotation::sign_bytes(dim));
            let rotation = Rotation::new(dim, &signs);
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let mut a: Vec<f32> = (0..dim).map(|at| 2.0 - (at % 5) as f32).collect();
            let mut b: Vec<f32> = (0..dim).map(|at| (at % 7) as f32 - 1.5).collect();
            let (product, square) = (dot(&a, &b), dot(&a, &a));
            rotation.apply(&mut a);
            rotation.apply(&mut b);
            let error = (dot(&a, &b) - product).abs().max((dot(&a, &a) - square).abs());
            assert!(error <= 1e-4 * square, "{dim}: {error}");
            let mut one = vec![0.0; dim];
            one[dim / 2] = 1.0;
            rotation.apply(&mut one);
            let most = one.iter().fold(0f32, |most, value| most.max(value.abs()));
            assert!(dim < 100 || most < 0.45, "{dim}: {most}");
        }
    }
}
