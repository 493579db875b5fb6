//! The little linear algebra that training a rotation takes: small square matrices, f64, every sum in one order.

/// A square matrix.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Square {
    size: usize,
    /// Row by row.
    values: Vec<f64>,
}

/// Steps of Newton's method at most; it is done after ten or so.
const STEPS: usize = 40;

/// Share of the rotation before that is mixed into a matrix, so that what does not matter to it stays as it is.
const KEPT: f64 = 1e-6;

impl Square {
    pub(super) fn zero(size: usize) -> Self {
        Self { size, values: vec![0.0; size * size] }
    }

    pub(super) fn identity(size: usize) -> Self {
        let mut identity = Self::zero(size);
        (0..size).for_each(|at| identity.values[at * size + at] = 1.0);
        identity
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.size..][..self.size]
    }

    pub(super) fn set_row(&mut self, row: usize, values: &[f32]) {
        let to = &mut self.values[row * self.size..][..self.size];
        to.iter_mut().zip(values).for_each(|(to, value)| *to = f64::from(*value));
    }

    /// The numbers, column by column.
    pub(super) fn columns(&self) -> impl Iterator<Item = f64> + '_ {
        (0..self.size).flat_map(|column| self.values.iter().skip(column).step_by(self.size).copied())
    }

    /// Adds the product of a column and a row.
    pub(super) fn add_product(&mut self, column: &[f32], row: &[f32]) {
        for (values, &factor) in self.values.chunks_exact_mut(self.size).zip(column) {
            let factor = f64::from(factor);
            values.iter_mut().zip(row).for_each(|(value, other)| *value += factor * f64::from(*other));
        }
    }

    fn transposed(&self) -> Self {
        Self { size: self.size, values: self.columns().collect() }
    }

    /// Root of the sum of all squares.
    fn length(&self) -> f64 {
        self.values.iter().map(|value| value * value).sum::<f64>().sqrt()
    }

    /// `a` times this one and `b` times the other.
    fn mixed(&self, a: f64, other: &Self, b: f64) -> Self {
        let values = self.values.iter().zip(&other.values).map(|(x, y)| a * x + b * y);
        Self { size: self.size, values: values.collect() }
    }

    /// The inverse, if there is one.
    fn inverse(mut self) -> Option<Self> {
        let size = self.size;
        let mut inverse = Self::identity(size);
        for column in 0..size {
            let pivot = (column..size)
                .max_by(|&a, &b| self.row(a)[column].abs().total_cmp(&self.row(b)[column].abs()))?;
            for matrix in [&mut self, &mut inverse] {
                (0..size).for_each(|at| matrix.values.swap(pivot * size + at, column * size + at));
            }
            let scale = 1.0 / self.row(column)[column];
            if !scale.is_finite() {
                return None;
            }
            let mut pivots = [self.row(column).to_vec(), inverse.row(column).to_vec()];
            pivots.iter_mut().flatten().for_each(|value| *value *= scale);
            for row in 0..size {
                let factor = self.row(row)[column];
                for (matrix, pivot) in [&mut self, &mut inverse].into_iter().zip(&pivots) {
                    if row == column {
                        matrix.values[row * size..][..size].copy_from_slice(pivot);
                    } else {
                        let values = &mut matrix.values[row * size..][..size];
                        values.iter_mut().zip(pivot).for_each(|(value, pivot)| *value -= factor * pivot);
                    }
                }
            }
        }
        Some(inverse)
    }
}

/// The rotation (or reflection) R that is nearest to `matrix`: the one with the largest sum of products of their numbers. Where the
/// matrix has nothing to say, as along elements that are always zero, it is `before`.
///
/// # Source
/// Schönemann, A generalized solution of the orthogonal Procrustes problem, Psychometrika 31(1), 1966; by Newton's method with scaling: Higham, Computing the polar
/// decomposition, SIAM Journal on Scientific and Statistical Computing 7(4), 1986.
pub(super) fn nearest_rotation(matrix: &Square, before: &Square) -> Square {
    let length = matrix.length();
    if length == 0.0 || !length.is_finite() {
        return before.clone();
    }
    let mut rotation = matrix.mixed((matrix.size as f64).sqrt() / length, before, KEPT);
    for _ in 0..STEPS {
        let Some(inverse) = rotation.clone().inverse() else { return before.clone() };
        let scale = (inverse.length() / rotation.length()).sqrt();
        let next = rotation.mixed(scale / 2.0, &inverse.transposed(), 0.5 / scale);
        let change = next.mixed(1.0, &rotation, -1.0).length();
        rotation = next;
        if change <= 1e-12 * (matrix.size as f64) {
            return rotation;
        }
    }
    // NaN, or numbers too far apart to be told from it.
    before.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Random;

    fn random(size: usize, seed: u64) -> Square {
        let mut random = Random::new(seed, 0);
        let values = (0..size * size).map(|_| f64::from(random.next() as i32) / 2f64.powi(31));
        Square { size, values: values.collect() }
    }

    fn product(a: &Square, b: &Square) -> Square {
        let mut product = Square::zero(a.size);
        for (row, values) in product.values.chunks_exact_mut(a.size).enumerate() {
            for (factor, other) in a.row(row).iter().zip(b.values.chunks_exact(a.size)) {
                values.iter_mut().zip(other).for_each(|(value, other)| *value += factor * other);
            }
        }
        product
    }

    fn is_near(a: &Square, b: &Square) -> bool {
        a.mixed(1.0, b, -1.0).length() < 1e-8
    }

    #[test]
    fn the_nearest_rotation_undoes_what_only_stretches() {
        for size in [1, 3, 12] {
            let some = random(size, 2);
            let rotation = nearest_rotation(&some, &Square::identity(size));
            assert!(is_near(&product(&rotation, &rotation.transposed()), &Square::identity(size)));
            let stretch = product(&random(size, 3), &random(size, 3).transposed());
            let stretched = product(&stretch.mixed(1.0, &Square::identity(size), 1.0), &rotation);
            let found = nearest_rotation(&stretched, &Square::identity(size));
            assert!(found.mixed(1.0, &rotation, -1.0).length() < 1e-4, "{size}");
        }
        let before = Square::identity(3);
        assert_eq!(nearest_rotation(&Square::zero(3), &before), before);
        let mut flat = Square::zero(3);
        flat.set_row(0, &[2.0, 0.0, 0.0]);
        let found = nearest_rotation(&flat, &before);
        assert!(is_near(&product(&found, &found.transposed()), &before));
    }
}
