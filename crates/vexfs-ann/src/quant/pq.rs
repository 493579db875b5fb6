//! Product quantisation: elements in pq_m groups, each group as the number of one of 2^nbits codewords.
//!
//! A residual r stands as r̂, its codewords one after the other. Of a query, Σ over the groups of its product with the codeword is
//! what a row needs; these products are tabulated once per query, in whole steps δ above the least of each group, so that a row's
//! sum is an integer and the same on every machine.
//!
//! # Source
//! Jégou, Douze, Schmid, Product quantization for nearest neighbor search, TPAMI 2011, section III (ADC). Tables of bytes that are looked up
//! in registers: André, Kermarrec, Le Scouarnec, Cache locality is not enough, VLDB 2015, section 4; here of 7 bits, so that two
//! of them can be added as bytes.

use std::ops::Range;

use rayon::prelude::*;

use crate::rng::Random;

/// Rounds of Lloyd's iteration for codewords that are kept.
pub(crate) const ROUNDS: usize = 12;

/// Residuals for each codeword that it is trained with.
pub(crate) const TRAINING_ROWS: usize = 128;

/// Sets the random numbers of codebooks apart from those of others.
const STREAM: u64 = u64::from_le_bytes(*b"codeword");

/// How a vector is cut up and coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Elements, d.
    pub(crate) dim: usize,
    /// Groups, 1 ..= d.
    pub(crate) pq_m: usize,
    /// Bits of a code, 4 or 8.
    pub(crate) nbits: u32,
}

impl Shape {
    /// Codewords of a group, 2^nbits.
    pub(crate) fn ksub(&self) -> usize {
        1 << self.nbits
    }

    /// The elements of group `group`: d / pq_m of them, or one more.
    pub(crate) fn group(&self, group: usize) -> Range<usize> {
        group * self.dim / self.pq_m..(group + 1) * self.dim / self.pq_m
    }

    /// Largest entry of a table of products.
    pub(crate) fn most(&self) -> u16 {
        // Sums of 65,536 groups, the most there are, stay below 2³².
        if self.nbits == 4 { 127 } else { u16::MAX }
    }
}

/// The codewords.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Codebooks {
    shape: Shape,
    /// Group by group; of a group element by element, ksub numbers each.
    values: Vec<f32>,
}

impl Codebooks {
    /// Those whose numbers are `values`, ksub · d of them.
    pub(crate) fn new(shape: Shape, values: Vec<f32>) -> Self {
        debug_assert_eq!(values.len(), shape.ksub() * shape.dim, "a number for each codeword and element");
        Self { shape, values }
    }

    /// Trains codewords with `residuals`, n × d, in `rounds` rounds.
    ///
    /// # Determinism
    /// By `seed` alone: distances are f32 sums in the order of the elements, means f64 sums in the order of the vectors.
    pub(crate) fn train(shape: Shape, residuals: &[f32], rounds: usize, seed: u64) -> Self {
        let groups: Vec<Vec<f32>> = (0..shape.pq_m)
            .into_par_iter()
            .map(|group| train_group(shape, group, residuals, rounds, seed))
            .collect();
        Self::new(shape, groups.concat())
    }

    /// How vectors are cut up.
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    /// All numbers.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The numbers of group `group`.
    fn words(&self, group: usize) -> &[f32] {
        let (elements, ksub) = (self.shape.group(group), self.shape.ksub());
        &self.values[elements.start * ksub..elements.end * ksub]
    }

    /// Writes the codes of `vector`, one per group, and what they stand for.
    pub(crate) fn code(&self, vector: &[f32], codes: &mut [u8], decoded: &mut [f32]) {
        let ksub = self.shape.ksub();
        let mut distances = vec![0.0; ksub];
        for (group, code) in codes.iter_mut().enumerate() {
            let (elements, words) = (self.shape.group(group), self.words(group));
            let nearest = nearest(words, &vector[elements.clone()], &mut distances);
            *code = nearest as u8;
            let word = words.iter().skip(nearest).step_by(ksub);
            decoded[elements].iter_mut().zip(word).for_each(|(value, word)| *value = *word);
        }
    }

    /// The products of `query` with each codeword, times `factor`: as steps δ above the least of the group, within 0 ..=
    /// [`Shape::most`], appended to `steps`, ksub per group. Returns δ and the sum of the leasts.
    pub(crate) fn tabulate(&self, query: &[f32], factor: f32, steps: &mut Vec<u16>) -> (f32, f32) {
        let ksub = self.shape.ksub();
        let mut products = vec![0f32; ksub * self.shape.pq_m];
        let (mut base, mut widest) = (0f32, 0f32);
        let mut leasts = Vec::with_capacity(self.shape.pq_m);
        for (group, products) in products.chunks_exact_mut(ksub).enumerate() {
            let words = self.words(group).chunks_exact(ksub);
            for (value, words) in query[self.shape.group(group)].iter().zip(words) {
                let value = factor * value;
                products.iter_mut().zip(words).for_each(|(product, word)| *product += value * word);
            }
            let least = products.iter().copied().fold(f32::INFINITY, f32::min);
            let largest = products.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            leasts.push(least);
            base += least;
            widest = widest.max(largest - least);
        }
        let most = f32::from(self.shape.most());
        let (step, per_step) =
            if widest > f32::MIN_POSITIVE * 1e6 { (widest / most, most / widest) } else { (0.0, 0.0) };
        for (products, least) in products.chunks_exact(ksub).zip(leasts) {
            // A saturating conversion: no entry is beyond the range, whatever the codewords are.
            let entry = |product: &f32| (((product - least) * per_step + 0.5) as u16).min(self.shape.most());
            steps.extend(products.iter().map(entry));
        }
        (step, base)
    }
}

/// The nearest codeword of a group for some elements; ties to the lower one. `distances` is room for one number each.
fn nearest(words: &[f32], elements: &[f32], distances: &mut [f32]) -> usize {
    distances.fill(0.0);
    for (value, words) in elements.iter().zip(words.chunks_exact(distances.len())) {
        for (distance, word) in distances.iter_mut().zip(words) {
            let difference = value - word;
            *distance += difference * difference;
        }
    }
    let least = distances.iter().copied().fold(f32::INFINITY, f32::min);
    distances.iter().position(|distance| *distance == least).unwrap_or(0)
}

/// Trains the codewords of one group: element by element, ksub numbers each.
fn train_group(shape: Shape, group: usize, residuals: &[f32], rounds: usize, seed: u64) -> Vec<f32> {
    let (elements, ksub) = (shape.group(group), shape.ksub());
    let (width, count) = (elements.len(), residuals.len() / shape.dim);
    let vectors: Vec<f32> =
        residuals.chunks_exact(shape.dim).flat_map(|residual| &residual[elements.clone()]).copied().collect();
    let mut words = vec![0.0; ksub * width];
    if count == 0 {
        return words;
    }
    let mut random = Random::new(seed, STREAM.wrapping_add(group as u64));
    for word in 0..ksub {
        let pick = random.below(count as u64) as usize;
        put(&mut words, ksub, word, &vectors[pick * width..][..width]);
    }
    let (mut distances, mut assigned) = (vec![0.0; ksub], vec![0; count]);
    for _ in 0..rounds {
        for (assigned, vector) in assigned.iter_mut().zip(vectors.chunks_exact(width)) {
            *assigned = nearest(&words, vector, &mut distances);
        }
        let (mut sums, mut sizes) = (vec![0f64; ksub * width], vec![0u32; ksub]);
        for (&word, vector) in assigned.iter().zip(vectors.chunks_exact(width)) {
            sizes[word] += 1;
            let sums = &mut sums[word * width..][..width];
            sums.iter_mut().zip(vector).for_each(|(sum, value)| *sum += f64::from(*value));
        }
        for word in 0..ksub {
            if sizes[word] == 0 {
                // A codeword that nobody needs goes to where a random vector is.
                let pick = random.below(count as u64) as usize;
                put(&mut words, ksub, word, &vectors[pick * width..][..width]);
                continue;
            }
            let share = 1.0 / f64::from(sizes[word]);
            let mean: Vec<f32> =
                sums[word * width..][..width].iter().map(|sum| (sum * share) as f32).collect();
            put(&mut words, ksub, word, &mean);
        }
    }
    words
}

/// Sets codeword `word`.
fn put(words: &mut [f32], ksub: usize, word: usize, values: &[f32]) {
    words.iter_mut().skip(word).step_by(ksub).zip(values).for_each(|(word, value)| *word = *value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_share_the_elements_and_codes_stand_for_what_is_near() {
        let mut random = Random::new(1, 1);
        let mut number = || random.next() as i32 as f32 / 2f32.powi(31);
        for (dim, pq_m, nbits, lost) in [(10, 3, 4, 0.35), (7, 7, 8, 0.001), (6, 1, 8, 0.5), (1, 1, 4, 0.01)]
        {
            let shape = Shape { dim, pq_m, nbits };
            let elements: Vec<usize> = (0..pq_m).flat_map(|group| shape.group(group)).collect();
            assert_eq!(elements, (0..dim).collect::<Vec<_>>());
            let residuals: Vec<f32> = (0..2000 * dim).map(|_| number()).collect();
            let books = Codebooks::train(shape, &residuals, ROUNDS, 5);
            assert_eq!(books, Codebooks::train(shape, &residuals, ROUNDS, 5));
            let query: Vec<f32> = (0..dim).map(|_| number()).collect();
            let mut steps = Vec::new();
            let (step, base) = books.tabulate(&query, -2.0, &mut steps);
            assert!(steps.iter().all(|step| *step <= shape.most()) && steps.contains(&shape.most()));
            let (mut codes, mut decoded) = (vec![0; pq_m], vec![0.0; dim]);
            let (mut error, mut size) = (0.0, 0.0);
            for residual in residuals.chunks_exact(dim).take(200) {
                books.code(residual, &mut codes, &mut decoded);
                let squared = |(a, b): (&f32, &f32)| (a - b) * (a - b);
                error += residual.iter().zip(&decoded).map(squared).sum::<f32>();
                size += residual.iter().map(|value| value * value).sum::<f32>();
                let product: f32 = query.iter().zip(&decoded).map(|(a, b)| -2.0 * a * b).sum();
                let entries = codes.iter().enumerate();
                let sum: u32 = entries
                    .map(|(group, code)| u32::from(steps[group * shape.ksub() + usize::from(*code)]))
                    .sum();
                assert!((base + step * sum as f32 - product).abs() <= step * pq_m as f32 * 0.51 + 1e-4);
            }
            assert!(error < lost * size, "{shape:?}: {error} of {size}");
        }
    }

    #[test]
    fn nothing_to_train_with_and_nothing_to_tell_apart_are_no_trouble() {
        let shape = Shape { dim: 3, pq_m: 2, nbits: 4 };
        let books = Codebooks::train(shape, &[], ROUNDS, 1);
        let mut steps = Vec::new();
        assert_eq!(books.tabulate(&[1.0, 2.0, 3.0], 1.0, &mut steps), (0.0, 0.0));
        let same = Codebooks::train(shape, &[2.0; 30], ROUNDS, 1);
        let mut decoded = [0.0; 3];
        same.code(&[2.0; 3], &mut [0; 2], &mut decoded);
        assert_eq!(decoded, [2.0; 3]);
    }
}
