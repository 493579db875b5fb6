//! [`Ranges`]: a set of numbers as runs.

use std::collections::BTreeMap;
use std::ops::Range;

/// Numbers, kept as runs that neither overlap nor touch: start → end.
#[derive(Debug, Clone, Default)]
pub(super) struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    /// Whether `number` is in the set.
    pub(super) fn contains(&self, number: u64) -> bool {
        self.0.range(..=number).next_back().is_some_and(|(_, &end)| number < end)
    }

    /// Adds a run, which is not empty, and joins what it overlaps or touches.
    pub(super) fn insert(&mut self, range: Range<u64>) {
        let (mut start, mut end) = (range.start, range.end);
        while let Some((&first, &last)) = self.0.range(..=end).next_back().filter(|(_, last)| **last >= start)
        {
            self.0.remove(&first);
            start = start.min(first);
            end = end.max(last);
        }
        self.0.insert(start, end);
    }

    /// The runs, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.0.iter().map(|(&start, &end)| start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn runs_that_overlap_or_touch_become_one() {
        let mut set = Ranges::default();
        for range in [10..12, 20..22, 12..14, 8..9, 9..21] {
            set.insert(range);
        }
        assert_eq!(set.iter().count(), 1);
        set.insert(30..31);
        assert_eq!(set.iter().collect::<Vec<_>>(), [8..22, 30..31]);
        assert!(!set.contains(7) && set.contains(8) && set.contains(21) && !set.contains(22));
    }

    #[test]
    fn it_is_the_set_it_looks_like() {
        let mut random = Random::new(5);
        let (mut set, mut naive) = (Ranges::default(), [false; 100]);
        for _ in 0..60 {
            let start = random.below(96);
            let end = start + 1 + random.below(4);
            set.insert(start..end);
            naive[start as usize..end as usize].fill(true);
            assert!((0..100).all(|n| set.contains(n) == naive[n as usize]));
            let runs: Vec<_> = set.iter().collect();
            assert!(runs.windows(2).all(|pair| pair[0].end < pair[1].start), "{runs:?}");
        }
    }
}
