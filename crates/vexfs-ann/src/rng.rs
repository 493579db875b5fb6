//! Random numbers from a seed: the same on every machine, for whatever is decided by chance.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// The numbers of `seed`; `stream` tells those of one purpose from those of another.
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        let mut outer = Self(seed);
        Self(outer.next() ^ Self(stream).next())
    }

    /// Uniform in 0 .. 2⁶⁴.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in 0 .. `end` but for a bias below `end` / 2⁶⁴; 0 if `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// `count` different numbers of 0 .. `end`, ascending; all of them if there are no more.
    ///
    /// # Source
    /// Floyd's algorithm (Bentley and Floyd, Communications of the ACM 30(9), 1987).
    pub(crate) fn sample(&mut self, end: u64, count: usize) -> Vec<u64> {
        if end <= count as u64 {
            return (0..end).collect();
        }
        let mut chosen = std::collections::BTreeSet::new();
        for last in end - count as u64..end {
            let pick = self.below(last + 1);
            if !chosen.insert(pick) {
                chosen.insert(last);
            }
        }
        chosen.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_ascending_and_of_the_size_asked_for() {
        let mut random = Random::new(1, 2);
        for (end, count) in [(0, 3), (3, 3), (4, 3), (1000, 400), (u64::MAX, 5)] {
            let sample = random.sample(end, count);
            assert_eq!(sample.len() as u64, end.min(count as u64));
            assert!(sample.is_sorted_by(|a, b| a < b) && sample.iter().all(|&pick| pick < end));
        }
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let first = |seed, stream| Random::new(seed, stream).next();
        assert_eq!(first(1, 1), first(1, 1));
        assert!(first(1, 1) != first(1, 2) && first(1, 1) != first(2, 1));
    }
}
