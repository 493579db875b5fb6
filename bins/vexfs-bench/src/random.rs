//! The random numbers of the standard workload: those of `numpy.random.seed(42)` and `numpy.random.random`.

/// MT19937 (Matsumoto, Nishimura, ACM TOMACS 8(1), 1998), seeded by one number as NumPy's legacy generator is.
pub(crate) struct MersenneTwister {
    state: [u32; 624],
    next: usize,
}

impl MersenneTwister {
    /// The generator of `seed`.
    pub(crate) fn new(seed: u32) -> Self {
        let mut state = [seed; 624];
        for at in 1..624 {
            let last = state[at - 1];
            state[at] = (last ^ (last >> 30)).wrapping_mul(1_812_433_253).wrapping_add(at as u32);
        }
        Self { state, next: 624 }
    }

    fn word(&mut self) -> u32 {
        if self.next == 624 {
            for at in 0..624 {
                let mixed = (self.state[at] & 0x8000_0000) | (self.state[(at + 1) % 624] & 0x7fff_ffff);
                let twist = if mixed & 1 == 1 { 0x9908_b0df } else { 0 };
                self.state[at] = self.state[(at + 397) % 624] ^ (mixed >> 1) ^ twist;
            }
            self.next = 0;
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// Uniform in 0 .. 1, with 53 bits.
    pub(crate) fn double(&mut self) -> f64 {
        let (high, low) = (self.word() >> 5, self.word() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_numpy() {
        let mut random = MersenneTwister::new(42);
        let first: Vec<f64> = (0..3).map(|_| random.double()).collect();
        assert_eq!(first, [0.374_540_118_847_362_5, 0.950_714_306_409_916_2, 0.731_993_941_811_405_1]);
        let later = (3..1000).map(|_| random.double()).last();
        assert_eq!(later, Some(0.446_005_772_957_955_74));
    }
}
