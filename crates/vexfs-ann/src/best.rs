//! The rows of smallest estimates.

use crate::simd::scan::Found;

/// Up to so many are kept in order: moving what is behind a new one costs less than to select among twice as many.
const IN_ORDER: usize = 8;

/// Estimates for each one that is kept, more than which are cut before they are offered.
const MANY: usize = 2;

/// Most estimates that room is made for before they are offered.
const ROOM: usize = 256;

/// Halvings after which a cut is taken as it is.
const MOST_HALVINGS: usize = 12;

/// Keeps the `keep` smallest estimates offered, ties to the lower row, in whatever order they are offered.
#[derive(Debug, Clone)]
pub(crate) struct Best {
    keep: usize,
    /// Estimate and row, ordered as numbers; if `keep` is more than [`IN_ORDER`], in any order and up to twice as many for a while.
    keys: Vec<u64>,
    /// Larger estimates are not kept.
    limit: f32,
}

impl Best {
    /// Keeps `keep`, at least one.
    pub(crate) fn new(keep: usize) -> Self {
        let keep = keep.max(1);
        let keys = Vec::with_capacity(Self::most(keep).min(ROOM));
        Self { keep, keys, limit: f32::INFINITY }
    }

    /// Estimates that are held for a while if `keep` are kept.
    fn most(keep: usize) -> usize {
        if keep <= IN_ORDER { keep } else { keep.saturating_add(keep.max(32)) }
    }

    /// Estimates above this need not be offered.
    pub(crate) fn limit(&self) -> f32 {
        self.limit
    }

    /// Offers a row. A NaN counts as +∞.
    #[inline(always)]
    pub(crate) fn offer(&mut self, row: u32, estimate: f32) {
        let estimate = if estimate.is_nan() { f32::INFINITY } else { estimate };
        if estimate > self.limit {
            return;
        }
        let key = u64::from(ordered(estimate)) << 32 | u64::from(row);
        if self.keep <= IN_ORDER {
            return self.insert(key);
        }
        self.keys.push(key);
        if self.keys.len() >= Self::most(self.keep) {
            self.tighten();
        }
    }

    /// Offers all of `found`, under the numbers that `number` gives their rows, and leaves none.
    ///
    /// Of many, those that others of them rule out are passed over together: to count how many are below some estimate is cheaper than to
    /// move them about.
    pub(crate) fn offer_all(&mut self, found: &mut Vec<Found>, number: impl Fn(u32) -> u32) {
        let cut = if found.len() > MANY * self.keep { cut(found, self.keep) } else { f32::INFINITY };
        for Found { row, estimate } in found.drain(..) {
            if estimate.is_nan() || estimate <= cut {
                self.offer(number(row), estimate);
            }
        }
    }

    /// Puts a key where it belongs, if it is among the smallest.
    #[inline]
    fn insert(&mut self, key: u64) {
        if self.keys.len() == self.keep {
            if self.keys.last().is_some_and(|last| *last < key) {
                return;
            }
            self.keys.pop();
        }
        let at = self.keys.partition_point(|other| *other < key);
        self.keys.insert(at, key);
        if self.keys.len() == self.keep {
            self.limit = self.keys.last().map_or(self.limit, |last| number((*last >> 32) as u32));
        }
    }

    /// Drops what is not among the smallest, and takes the limit from what is left.
    #[inline(never)]
    pub(crate) fn tighten(&mut self) {
        if self.keys.len() >= self.keep && self.keep > IN_ORDER {
            let (_, last, _) = self.keys.select_nth_unstable(self.keep - 1);
            self.limit = number((*last >> 32) as u32);
            self.keys.truncate(self.keep);
        }
    }

    /// Takes out the `count` smallest.
    pub(crate) fn take(&mut self, count: usize) -> Vec<u32> {
        self.tighten();
        self.keys.sort_unstable();
        self.keys.drain(..count.min(self.keys.len())).map(|key| key as u32).collect()
    }

    /// Keeps no estimates above `limit`.
    pub(crate) fn restrict(&mut self, limit: f32) {
        self.limit = self.limit.min(limit);
        let limit = self.limit;
        self.keys.retain(|key| number((key >> 32) as u32) <= limit);
    }

    /// The rows and their estimates, smallest first.
    pub(crate) fn sorted(&mut self) -> impl ExactSizeIterator<Item = (u32, f32)> + '_ {
        self.tighten();
        self.keys.sort_unstable();
        self.keys.iter().map(|key| (*key as u32, number((key >> 32) as u32)))
    }
}

/// An estimate that at least `keep` of `found` do not exceed, and seldom more than a quarter more; +∞ if there is none.
fn cut(found: &[Found], keep: usize) -> f32 {
    let estimates = || found.iter().map(|found| found.estimate);
    let (mut low, mut high) =
        (estimates().fold(f32::INFINITY, f32::min), estimates().fold(f32::NEG_INFINITY, f32::max));
    let mut cut = f32::INFINITY;
    for _ in 0..MOST_HALVINGS {
        let middle = low + (high - low) / 2.0;
        let count = estimates().map(|estimate| u32::from(estimate <= middle)).sum::<u32>() as usize;
        if count < keep {
            low = middle;
            continue;
        }
        (high, cut) = (middle, middle);
        if count <= keep + keep / 4 {
            break;
        }
    }
    cut
}

/// A number whose order is that of the f32.
fn ordered(value: f32) -> u32 {
    let bits = value.to_bits();
    if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }
}

/// The reverse of [`ordered`].
fn number(ordered: u32) -> f32 {
    f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Random;

    #[test]
    fn the_smallest_are_kept_in_whatever_order_they_come() {
        let mut random = Random::new(1, 1);
        let mut offers: Vec<(u32, f32)> = (0..500).map(|row| (row, random.below(90) as f32 - 40.0)).collect();
        offers.extend([(500, f32::NAN), (501, f32::NEG_INFINITY), (502, f32::INFINITY)]);
        let mut sorted = offers.clone();
        sorted.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        for keep in [1, 2, 8, 9, 10, 65, 490] {
            for _ in 0..3 {
                for at in (1..offers.len()).rev() {
                    offers.swap(at, random.below(at as u64 + 1) as usize);
                }
                let mut best = Best::new(keep);
                offers.iter().for_each(|&(row, estimate)| best.offer(row, estimate));
                assert_eq!(best.sorted().collect::<Vec<_>>(), sorted[..keep]);
                assert_eq!(best.limit(), sorted[keep - 1].1);
                for some in [7, 100, 503] {
                    let mut best = Best::new(keep);
                    for offers in offers.chunks(some) {
                        let found =
                            |(at, offer): (usize, &(u32, f32))| Found { row: at as u32, estimate: offer.1 };
                        let mut found: Vec<Found> = offers.iter().enumerate().map(found).collect();
                        best.offer_all(&mut found, |at| offers[at as usize].0);
                        assert!(found.is_empty());
                    }
                    assert_eq!(best.sorted().collect::<Vec<_>>(), sorted[..keep], "{keep} of {some}");
                }
            }
        }
    }

    #[test]
    fn a_cut_leaves_enough_and_not_many_more() {
        let mut random = Random::new(2, 1);
        let found = |estimate: f32| Found { row: 0, estimate };
        let found: Vec<Found> = (0..250).map(|_| found(random.below(1 << 20) as f32)).collect();
        let left = |found: &[Found], keep| {
            let cut = cut(found, keep);
            found.iter().filter(|found| found.estimate <= cut).count()
        };
        for keep in [9, 40, 100] {
            assert!((keep..=keep + keep / 4).contains(&left(&found, keep)));
        }
        let same = [found[0]; 250];
        assert_eq!(left(&same, 40), 250);
        for odd in [f32::NEG_INFINITY, f32::INFINITY, f32::NAN, f32::MAX, f32::MIN] {
            let mut found = found.clone();
            found[..30].iter_mut().for_each(|found| found.estimate = odd);
            assert!(left(&found, 40) >= 40, "{odd}");
        }
    }

    #[test]
    fn what_is_taken_or_beyond_a_limit_is_gone() {
        let mut best = Best::new(10);
        (0..8).for_each(|row| best.offer(row, 8.0 - row as f32));
        assert_eq!(best.take(2), [7, 6]);
        best.restrict(5.0);
        best.offer(9, 5.5);
        best.offer(8, 0.5);
        assert_eq!(best.sorted().map(|(row, _)| row).collect::<Vec<_>>(), [8, 5, 4, 3]);
        assert_eq!(best.limit(), 5.0);
        assert_eq!(best.take(9).len(), 4);
    }

    #[test]
    fn fewer_than_asked_for_are_all_kept() {
        let mut best = Best::new(3);
        best.offer(7, -1.5);
        best.offer(5, f32::NAN);
        assert_eq!(
            (best.limit(), best.sorted().collect::<Vec<_>>()),
            (f32::INFINITY, vec![(7, -1.5), (5, f32::INFINITY)])
        );
    }
}
