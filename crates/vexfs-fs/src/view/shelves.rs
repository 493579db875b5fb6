//! What a reader remembers of the parts of a file, made when it is first needed.

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Values made at a time.
const SHELF: u64 = 4096;

/// One value for each of so many parts.
///
/// They are made a shelf at a time, when one of a shelf is asked for: the size that a file is said to have takes no memory
/// worth speaking of before something of it was read, and what is read does. 16 bytes for each 4096 values.
#[derive(Debug)]
pub(super) struct Shelves<T> {
    count: u64,
    shelves: Vec<OnceLock<Box<[T]>>>,
}

impl<T: Default> Shelves<T> {
    /// `count` default values.
    pub(super) fn new(count: u64) -> Self {
        let mut shelves = Vec::new();
        shelves.resize_with(count.div_ceil(SHELF) as usize, OnceLock::new);
        Self { count, shelves }
    }

    /// The value at `index`, or `None` behind the last.
    #[inline]
    pub(super) fn get(&self, index: u64) -> Option<&T> {
        let shelf = self.shelves.get((index / SHELF) as usize)?;
        let len = SHELF.min(self.count - index / SHELF * SHELF);
        let values = shelf.get_or_init(|| (0..len).map(|_| T::default()).collect());
        values.get((index % SHELF) as usize)
    }
}

/// A bit for each of so many parts, all clear at first; several threads may set them.
#[derive(Debug)]
pub(super) struct Bits(Shelves<AtomicU64>);

impl Bits {
    /// `count` bits.
    pub(super) fn new(count: u64) -> Self {
        Self(Shelves::new(count.div_ceil(64)))
    }

    /// Whether a bit is set; those behind the last are not.
    #[inline]
    pub(super) fn is_set(&self, bit: u64) -> bool {
        self.0.get(bit / 64).is_some_and(|word| word.load(Ordering::Acquire) >> (bit % 64) & 1 == 1)
    }

    /// Whether all of some bits are set.
    #[inline]
    pub(super) fn are_set(&self, bits: Range<u64>) -> bool {
        let mut first = bits.start;
        while first < bits.end {
            let end = bits.end.min((first / 64 + 1) * 64);
            let clear = self.0.get(first / 64).map_or(u64::MAX, |word| !word.load(Ordering::Acquire));
            if clear >> (first % 64) << (64 - (end - first)) != 0 {
                return false;
            }
            first = end;
        }
        true
    }

    /// Sets a bit; true if it was clear. Whoever sees it set sees what was done before.
    pub(super) fn set(&self, bit: u64) -> bool {
        let mask = 1 << (bit % 64);
        self.0.get(bit / 64).is_some_and(|word| word.fetch_or(mask, Ordering::Release) & mask == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_begin_as_defaults_and_end_with_the_last() {
        let shelves: Shelves<OnceLock<u64>> = Shelves::new(SHELF + 10);
        for index in [0, SHELF - 1, SHELF, SHELF + 9] {
            assert_eq!(shelves.get(index).expect("a value").get_or_init(|| index), &index);
        }
        assert_eq!(shelves.get(SHELF).and_then(OnceLock::get), Some(&SHELF), "it is remembered");
        assert!(shelves.get(SHELF + 10).is_none() && shelves.get(u64::MAX).is_none());
        assert!(Shelves::<u64>::new(0).get(0).is_none());
    }

    #[test]
    fn bits_stay_set_and_touch_no_other() {
        let bits = Bits::new(1 << 20);
        let chosen = [0, 63, 64, 262_143, 262_144, (1 << 20) - 1];
        chosen.into_iter().for_each(|bit| assert!(bits.set(bit), "{bit} was clear"));
        assert!(!bits.set(63));
        for bit in (0..1 << 20).filter(|bit| bits.is_set(*bit)) {
            assert!(chosen.contains(&bit), "{bit}");
        }
        assert!(chosen.into_iter().all(|bit| bits.is_set(bit)));
        assert!(!bits.set(1 << 40));
        assert!(!bits.is_set(1 << 40));
    }

    #[test]
    fn bits_are_set_if_each_is() {
        let bits = Bits::new(1000);
        (60..=200).for_each(|bit| assert!(bits.set(bit)));
        for first in 58..203 {
            for end in first..=203 {
                assert_eq!(
                    bits.are_set(first..end),
                    (first..end).all(|bit| bits.is_set(bit)),
                    "{first}..{end}"
                );
            }
        }
        assert!(!bits.are_set(999..1 << 40), "none is set behind the last");
    }
}
