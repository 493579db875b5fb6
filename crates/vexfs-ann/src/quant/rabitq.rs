//! RaBitQ: one bit per element of a rotated residual, with an estimate that is right on average and a bound of its error.
//!
//! After a random rotation, the signs of a residual r point nearly where r points. It stands as r̂ᵢ = ± s with s = |r|² / Σ |rᵢ|,
//! long enough that r̂·r = |r|²: then r̂ − r is at a right angle to r, and where else it points is chance. For any vector v,
//! v·r̂ has the mean v·r and deviates from it by |v| σ with σ = |r̂ − r| / √(d − 1); in [`DEVIATIONS`] cases it is further off
//! in one direction only about once in forty times, and what is then lost is lost only if the row was at the margin.
//!
//! Products of a query with the signs of four elements at a time are tabulated, in steps as those of [`pq`](super::pq) with four bits, and
//! looked up in registers.
//!
//! # Source
//! Gao and Long, RaBitQ: quantizing high-dimensional vectors with a theoretical error bound for approximate nearest neighbor search, SIGMOD 2024
//! (arXiv:2405.12497): section 3.1 (codes), 3.2 (estimator and bound), 3.3.2 (look-up tables), theorem 3.2. Deviations: the query is not coded
//! once per list, but once, and what the centroid adds is part of the row's constant; the rotation is fast, not a random matrix.

/// How many deviations a row's estimate may be off before the row is passed over: ε₀ of the paper, section 5.2.4.
pub(crate) const DEVIATIONS: f32 = 1.9;

/// Elements of which one entry of a table has the signs.
pub(crate) const TOGETHER: usize = 4;

/// Largest entry of a table: two of them can be added as bytes.
const MOST: f32 = 127.0;

/// A residual besides its signs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Coded {
    /// s.
    pub(crate) scale: f32,
    /// σ.
    pub(crate) deviation: f32,
}

/// Numbers of [`TOGETHER`] signs that a vector of `dim` elements has.
pub(crate) fn groups(dim: usize) -> usize {
    dim.div_ceil(TOGETHER)
}

/// Writes the signs of `residual`, d elements, [`groups`] numbers in 0 ..= 15, bit j of number g that of element 4 g + j, set
/// unless negative; and r̂.
pub(crate) fn code(residual: &[f32], codes: &mut [u8], decoded: &mut [f32]) -> Coded {
    let (mut square, mut size) = (0f64, 0f64);
    for value in residual.iter().map(|value| f64::from(*value)) {
        square += value * value;
        size += value.abs();
    }
    let scale = if size > 0.0 { square / size } else { 0.0 };
    let scale_f32 = scale as f32;
    for ((code, signs), decoded) in
        codes.iter_mut().zip(residual.chunks(TOGETHER)).zip(decoded.chunks_mut(TOGETHER))
    {
        *code = 0;
        for (bit, (value, decoded)) in signs.iter().zip(decoded).enumerate() {
            let is_set = *value >= 0.0;
            *code |= u8::from(is_set) << bit;
            *decoded = if is_set { scale_f32 } else { -scale_f32 };
        }
    }
    let dim = residual.len() as f64;
    let deviation = ((scale * scale * dim - square).max(0.0) / (dim - 1.0).max(1.0)).sqrt();
    Coded { scale: scale_f32, deviation: deviation as f32 }
}

/// What tables say of a query v: v·r̂ = s (δ t + offset), t the sum of the entries of the codes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tabulated {
    /// δ.
    pub(crate) step: f32,
    pub(crate) offset: f32,
}

/// Appends the tables of `factor` · `query`, sixteen entries for each group, to `entries`.
pub(crate) fn tabulate(query: &[f32], factor: f32, entries: &mut Vec<u8>) -> Tabulated {
    let (mut widest, mut least, mut total) = (0f32, 0f32, 0f32);
    for four in query.chunks(TOGETHER) {
        let (mut above, mut below) = (0f32, 0f32);
        for value in four.iter().map(|value| factor * value) {
            above += value.max(0.0);
            below += value.min(0.0);
            total += value;
        }
        widest = widest.max(above - below);
        least += below;
    }
    let (step, per_step) =
        if widest > f32::MIN_POSITIVE * 1e6 { (widest / MOST, MOST / widest) } else { (0.0, 0.0) };
    for four in query.chunks(TOGETHER) {
        let mut sums = [0f32; 16];
        sums[0] = -four.iter().map(|value| (factor * value).min(0.0)).sum::<f32>();
        for bit in 0..TOGETHER {
            let value = four.get(bit).map_or(0.0, |value| factor * value);
            for at in 0..1 << bit {
                sums[at | 1 << bit] = sums[at] + value;
            }
        }
        // A saturating conversion: no entry is beyond the range, whatever the query is.
        let entry = |sum: f32| ((sum * per_step + 0.5) as u8).min(MOST as u8);
        entries.extend(sums.map(entry));
    }
    // The signs are 2 u − 1 for bits u.
    Tabulated { step: 2.0 * step, offset: 2.0 * least - total }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Random;

    fn numbers(random: &mut Random, count: usize) -> Vec<f32> {
        (0..count).map(|_| random.next() as i32 as f32 / 2f32.powi(31)).collect()
    }

    fn dot(a: &[f32], b: &[f32]) -> f64 {
        a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
    }

    #[test]
    fn estimates_are_right_on_average_and_within_their_bound_nearly_always() {
        let (dim, mut random) = (130, Random::new(4, 4));
        let (mut sum, mut outside, count) = (0.0, 0, 2000);
        for _ in 0..count {
            let (residual, query) = (numbers(&mut random, dim), numbers(&mut random, dim));
            let (mut codes, mut decoded) = (vec![0; groups(dim)], vec![0.0; dim]);
            let coded = code(&residual, &mut codes, &mut decoded);
            assert!((dot(&decoded, &residual) / dot(&residual, &residual) - 1.0).abs() < 1e-5);
            let mut entries = Vec::new();
            let table = tabulate(&query, -2.0, &mut entries);
            let t: u32 = codes
                .iter()
                .zip(entries.chunks(16))
                .map(|(code, table)| u32::from(table[*code as usize]))
                .sum();
            let product = coded.scale * (table.step * t as f32 + table.offset);
            // Entries are off by half a step at most.
            let off = f64::from(coded.scale * table.step) * 0.51 * groups(dim) as f64;
            assert!((f64::from(product) + 2.0 * dot(&query, &decoded)).abs() <= off);
            let error = dot(&query, &decoded) - dot(&query, &residual);
            let deviation = f64::from(coded.deviation) * dot(&query, &query).sqrt();
            sum += error / deviation;
            outside += usize::from(error > f64::from(DEVIATIONS) * deviation);
        }
        assert!((sum / f64::from(count)).abs() < 0.08, "{sum}");
        assert!((20..120).contains(&outside), "{outside} of {count}");
    }

    #[test]
    fn nothing_to_code_is_no_trouble() {
        let mut decoded = [1.0; 3];
        assert_eq!(code(&[0.0; 3], &mut [0], &mut decoded), Coded { scale: 0.0, deviation: 0.0 });
        assert_eq!(decoded, [0.0; 3]);
        let mut entries = Vec::new();
        assert_eq!(tabulate(&[0.0; 5], 1.0, &mut entries), Tabulated { step: 0.0, offset: 0.0 });
        assert_eq!(entries, [0; 32]);
        assert_eq!(code(&[-2.5], &mut [0], &mut decoded[..1]), Coded { scale: 2.5, deviation: 0.0 });
        tabulate(&[f32::NAN, f32::INFINITY, 1.0], 1.0, &mut entries);
    }
}
