//! Which of many numbers are among those that were given, and where.

/// Numbers that were given, ready to be looked up.
///
/// # Memory
/// 16 bytes for each number and 2 to 4 for a filter: a collection has far more ids than a change names, and a search among
/// those named would touch memory many times for each.
pub(super) struct Lookup {
    /// The numbers with their places among those given, ascending.
    sorted: Vec<(u64, u64)>,
    bits: Vec<u64>,
    shift: u32,
}

impl Lookup {
    /// Bits of the filter for each number: one in sixteen other numbers passes.
    const BITS_PER_VALUE: usize = 16;

    pub(super) fn of(values: &[u64]) -> Self {
        let mut sorted: Vec<(u64, u64)> = values.iter().copied().zip(0..).collect();
        sorted.sort_unstable();
        let bits = values.len().saturating_mul(Self::BITS_PER_VALUE).next_power_of_two().max(64);
        let mut lookup = Self { sorted, bits: vec![0; bits / 64], shift: 64 - bits.trailing_zeros() };
        for &value in values {
            let bit = lookup.bit(value);
            lookup.bits[bit / 64] |= 1 << (bit % 64);
        }
        lookup
    }

    /// The places among those given where `value` is, ascending.
    pub(super) fn find(&self, value: u64) -> impl Iterator<Item = u64> + '_ {
        let bit = self.bit(value);
        let from = if self.bits[bit / 64] >> (bit % 64) & 1 == 1 {
            self.sorted.partition_point(|&(v, _)| v < value)
        } else {
            self.sorted.len()
        };
        self.sorted[from..].iter().take_while(move |&&(v, _)| v == value).map(|&(_, place)| place)
    }

    /// The places of each number that was given again, and of the same number before.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0).map(|pair| (pair[0].1, pair[1].1))
    }

    /// Fibonacci hashing: ids are often neighbours.
    fn bit(&self, value: u64) -> usize {
        (value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn among_many_numbers_none_is_missed_and_none_is_made_up() {
        let given: Vec<u64> = (0..5_000).map(|i| i * 3 + 1_000_000).collect();
        let lookup = Lookup::of(&given);
        let others = (0..20_000).map(|i| i * 3 + 1);
        assert_eq!(others.flat_map(|value| lookup.find(value)).next(), None);
        for nth in [0, 4_321, 4_999] {
            assert!(lookup.find(given[nth]).eq([nth as u64]));
        }
        assert_eq!(Lookup::of(&[]).find(0).next(), None);
    }

    #[test]
    fn a_number_given_again_is_found_at_all_its_places() {
        let lookup = Lookup::of(&[7, 1, 7, u64::MAX, 7]);
        assert!(lookup.find(7).eq([0, 2, 4]));
        assert!(lookup.pairs().eq([(0, 2), (2, 4)]));
    }
}
