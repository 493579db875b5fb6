//! Optimised product quantisation: a rotation after which codewords of a few elements lose less.
//!
//! A rotation R and codewords are good for each other in turn: given R, codewords are trained with the rotated residuals; given what these
//! became, R is the rotation that takes the residuals nearest to it. It starts from no rotation or from a random one, whichever loses less.
//!
//! # Source
//! Ge, He, Ke, Sun, Optimized product quantization, TPAMI 36(4), 2014 (CVPR 2013): the non-parametric solution. Deviations: above [`BLOCK`] elements R is
//! made of blocks of consecutive elements, so that a query is rotated in d · [`BLOCK`] products and not d². It does not start from the axes of
//! largest variance (the parametric solution): they make a few groups much wider than others, and the steps of tables too wide for the rest.

use std::ops::Range;

use rayon::prelude::*;

use super::hadamard;
use super::linear::{Square, nearest_rotation};
use super::pq::{Codebooks, Shape};
use crate::rng::Random;
use crate::simd::{Job, Level, Simd};

/// Most elements of a block.
const BLOCK: usize = 128;

/// Times that codewords and rotation are made in turn; the time of a build grows with them.
const TURNS: usize = 8;

/// Turns after which the better start shows.
const TRIED: usize = 2;

/// Rounds of k-means for codewords on the way.
const ROUNDS: usize = 4;

/// Sets the random numbers of the start apart from those of others.
const STREAM: u64 = u64::from_le_bytes(*b"opq-turn");

/// Residuals that a rotation is trained with at most.
pub(crate) const TRAINING_ROWS: usize = 4096;

/// A rotation of vectors of d elements, in blocks.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rotation {
    dim: usize,
    /// Block by block, for each of its elements what it adds to each element of the rotated block.
    values: Vec<f32>,
}

/// Number of blocks.
fn blocks(dim: usize) -> usize {
    dim.div_ceil(BLOCK)
}

/// The elements of block `block`.
fn place(dim: usize, block: usize) -> Range<usize> {
    block * dim / blocks(dim)..(block + 1) * dim / blocks(dim)
}

impl Rotation {
    /// Numbers of a rotation of `dim` elements.
    pub(crate) fn len(dim: usize) -> usize {
        (0..blocks(dim)).map(|block| place(dim, block).len().pow(2)).sum()
    }

    /// Of `values`, [`len`](Self::len) of them.
    pub(crate) fn new(dim: usize, values: Vec<f32>) -> Self {
        debug_assert_eq!(values.len(), Self::len(dim), "a number for each pair of elements of a block");
        Self { dim, values }
    }

    /// All numbers.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// Rotates `vector`, d elements. Each sum is taken in the order of the elements, each product and sum rounded on its own: the same at every level.
    pub(crate) fn apply(&self, vector: &mut [f32]) {
        Level::best().run(Apply { rotation: self, vector });
    }

    /// Trains a rotation for codewords of `shape` with `residuals`, n × d. With fewer of them than a block has elements there is nothing to be learned,
    /// and it is none.
    ///
    /// # Complexity
    /// For each of ten turns, n · d · (4 ksub + 128) and d · 128² or so products. [`TRAINING_ROWS`] residuals are enough.
    ///
    /// # Determinism
    /// By `seed` alone: all sums are taken in the order of the elements or vectors.
    pub(crate) fn train(shape: Shape, residuals: &[f32], seed: u64) -> Self {
        let dim = shape.dim;
        if residuals.len() / dim < dim.div_ceil(blocks(dim)) {
            let squares = (0..blocks(dim)).map(|block| Square::identity(place(dim, block).len()));
            return Self::of(dim, &squares.collect::<Vec<_>>());
        }
        let apart = apart(residuals, dim);
        let widths = || (0..blocks(dim)).map(|block| place(dim, block).len());
        let still = widths().map(Square::identity).collect();
        let mixed = widths().map(|width| mix(width, seed)).collect();
        // Neighbouring elements of an image are best left together, those of other data are not.
        let tried = [still, mixed].map(|mut squares: Vec<Square>| {
            let mut lost = f64::INFINITY;
            (0..TRIED).for_each(|_| lost = turn(shape, &mut squares, (residuals, &apart), seed));
            (squares, lost)
        });
        let [(still, lost_still), (mixed, lost_mixed)] = tried;
        let mut squares = if lost_mixed < lost_still { mixed } else { still };
        (TRIED..TURNS).for_each(|_| _ = turn(shape, &mut squares, (residuals, &apart), seed));
        Self::of(dim, &squares)
    }

    fn of(dim: usize, squares: &[Square]) -> Self {
        let values = squares.iter().flat_map(|square| square.columns().map(|value| value as f32));
        Self::new(dim, values.collect())
    }
}

/// The elements of each block, vector by vector.
fn apart(vectors: &[f32], dim: usize) -> Vec<Vec<f32>> {
    let of = |block: usize| vectors.chunks_exact(dim).flat_map(move |vector| &vector[place(dim, block)]);
    (0..blocks(dim)).map(|block| of(block).copied().collect()).collect()
}

/// Trains codewords after the rotation of `squares`, and then the rotation for what they made of the residuals; returns what they lost.
/// `apart`: the residuals by block.
fn turn(shape: Shape, squares: &mut [Square], (residuals, apart): (&[f32], &[Vec<f32>]), seed: u64) -> f64 {
    let dim = shape.dim;
    let rotation = Rotation::of(dim, squares);
    let mut coded = residuals.to_vec();
    coded.par_chunks_mut(dim).for_each(|vector| rotation.apply(vector));
    let codebooks = Codebooks::train(shape, &coded, ROUNDS, seed);
    let lost: Vec<f64> = coded
        .par_chunks_mut(dim)
        .map(|vector| {
            let rotated = vector.to_vec();
            codebooks.code(&rotated, &mut vec![0; shape.pq_m], vector);
            let pairs = rotated.iter().zip(&*vector);
            pairs.map(|(a, b)| f64::from(a - b) * f64::from(a - b)).sum()
        })
        .collect();
    squares.par_iter_mut().zip(apart).enumerate().for_each(|(block, (square, vectors))| {
        let place = place(dim, block);
        let mut matrix = Square::zero(place.len());
        let pairs = vectors.chunks_exact(place.len()).zip(coded.chunks_exact(dim));
        pairs.for_each(|(vector, coded)| matrix.add_product(&coded[place.clone()], vector));
        *square = nearest_rotation(&matrix, square);
    });
    lost.iter().sum()
}

/// A random rotation of a block.
fn mix(width: usize, seed: u64) -> Square {
    let rotation = hadamard::Rotation::new(
        width,
        &hadamard::Rotation::random_signs(width, &mut Random::new(seed, STREAM)),
    );
    let mut square = Square::zero(width);
    for row in 0..width {
        let mut axis = vec![0.0; width];
        axis[row] = 1.0;
        rotation.apply(&mut axis);
        square.set_row(row, &axis);
    }
    square
}

/// See [`Rotation::apply`].
struct Apply<'a> {
    rotation: &'a Rotation,
    vector: &'a mut [f32],
}

impl Job for Apply<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let dim = self.rotation.dim;
        let mut rotated = vec![0.0; dim];
        let mut values = &self.rotation.values[..];
        for block in 0..blocks(dim) {
            let to = &mut rotated[place(dim, block)];
            let (of_block, rest) = values.split_at(to.len() * to.len());
            values = rest;
            let from = &self.vector[place(dim, block)];
            for (&value, column) in from.iter().zip(of_block.chunks_exact(to.len())) {
                to.iter_mut().zip(column).for_each(|(to, part)| *to += value * part);
            }
        }
        self.vector.copy_from_slice(&rotated);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    /// What codewords of 16 lose of vectors.
    fn lost(shape: Shape, vectors: &[f32]) -> f32 {
        let books = Codebooks::train(shape, vectors, 8, 1);
        let (mut codes, mut decoded, mut lost) = (vec![0; shape.pq_m], vec![0.0; shape.dim], 0.0);
        for vector in vectors.chunks_exact(shape.dim) {
            books.code(vector, &mut codes, &mut decoded);
            lost += vector.iter().zip(&decoded).map(|(a, b)| (a - b) * (a - b)).sum::<f32>();
        }
        lost
    }

    #[test]
    fn a_rotation_keeps_products_and_spares_codewords_an_uneven_share() {
        for (dim, pq_m, share) in [(10, 5, 0.9), (130, 20, 0.9), (7, 3, 1.0)] {
            let mut random = Random::new(3, 3);
            let mut number = || random.next() as i32 as f32 / 2f32.powi(31);
            // The first elements vary most, and go together.
            let vectors: Vec<f32> = (0..600)
                .flat_map(|_| {
                    let common = number();
                    (0..dim).map(|at| (common + number()) / (1 + at) as f32).collect::<Vec<_>>()
                })
                .collect();
            let shape = Shape { dim, pq_m, nbits: 4 };
            let rotation = Rotation::train(shape, &vectors, 9);
            assert_eq!(rotation, Rotation::train(shape, &vectors, 9));
            assert_eq!(rotation.values().len(), Rotation::len(dim));
            let mut rotated = vectors.clone();
            rotated.chunks_exact_mut(dim).for_each(|vector| rotation.apply(vector));
            let pairs = vectors.chunks_exact(2 * dim).zip(rotated.chunks_exact(2 * dim));
            for (before, after) in pairs {
                let [before, after] = [before, after].map(|pair| dot(&pair[..dim], &pair[dim..]));
                assert!((before - after).abs() < 1e-4, "{dim}: {before} {after}");
            }
            let (plain, spared) = (lost(shape, &vectors), lost(shape, &rotated));
            assert!(spared < share * plain, "{dim}: {spared} of {plain}");
        }
    }

    #[test]
    fn nothing_to_train_with_and_nothing_that_varies_are_no_trouble() {
        for vectors in [vec![], vec![0.0; 30], vec![1e-30; 30], vec![2.0; 300]] {
            let rotation = Rotation::train(Shape { dim: 3, pq_m: 2, nbits: 4 }, &vectors, 1);
            let mut vector = [3.0, -4.0, 12.0];
            rotation.apply(&mut vector);
            assert!((dot(&vector, &vector) - 169.0).abs() < 1e-3, "{vector:?}");
        }
    }

    #[test]
    fn the_blocks_share_the_elements() {
        for dim in [1, 128, 129, 784, 1000, 4096] {
            let elements: Vec<usize> = (0..blocks(dim)).flat_map(|block| place(dim, block)).collect();
            assert_eq!(elements, (0..dim).collect::<Vec<_>>());
            let vector: Vec<f32> = (0..dim).map(|at| at as f32).collect();
            for (block, of_block) in apart(&vector, dim).iter().enumerate() {
                assert_eq!(of_block.len(), place(dim, block).len());
                assert!(of_block.len() <= BLOCK);
            }
        }
    }
}
