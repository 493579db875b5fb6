//! Finding an id or key that two live rows would have.

use vexfs_format::collection::{FLAG_IDS, FLAG_KEYS, STREAM_IDS, STREAM_KEY_HASHES};

use super::Collection;
use crate::error::{Result, TakenBy};
use crate::txn::transaction::Transaction;

/// A value that is given to a row and taken already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    /// Index of the value among those given.
    pub(super) given: u64,
    pub(super) taken: TakenBy,
}

/// The first of the ids `given` that clashes.
///
/// The rows before `first_row` that are not committed belong to the running transaction and have their number as id.
///
/// # Complexity
/// O(n log n) in the ids given, one look at each id of the collection; 16 bytes for each id given.
///
/// # Errors
/// Device errors; damage of the streams of ids or deletions.
pub(super) fn id_clash(
    txn: &Transaction<'_>,
    collection: &Collection,
    first_row: u64,
    given: &[u64],
) -> Result<Option<Clash>> {
    if collection.desc.has(FLAG_IDS) {
        return committed_clash(txn, collection, STREAM_IDS, given);
    }
    let deleted = collection.deletions(txn.volume)?;
    let live = (0..first_row).filter(|&row| !deleted.contains(row));
    Ok(first_clash(given, live.map(|row| (row, row))))
}

/// The first of the key hashes `given` that clashes; costs and errors as for ids.
pub(super) fn key_clash(
    txn: &Transaction<'_>,
    collection: &Collection,
    given: &[u64],
) -> Result<Option<Clash>> {
    if collection.desc.has(FLAG_KEYS) {
        return committed_clash(txn, collection, STREAM_KEY_HASHES, given);
    }
    Ok(first_clash(given, std::iter::empty()))
}

fn committed_clash(
    txn: &Transaction<'_>,
    collection: &Collection,
    stream: &'static str,
    given: &[u64],
) -> Result<Option<Clash>> {
    let view = collection.view_exact(txn.volume, stream, collection.rows() * 8)?;
    let deleted = collection.deletions(txn.volume)?;
    let numbers = view.all()?.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b));
    Ok(first_clash(given, numbers.zip(0..).filter(|&(_, row)| !deleted.contains(row))))
}

/// The first value of `given` that occurs before it there, or in `existing`, which are values with the rows that have them.
fn first_clash(given: &[u64], existing: impl Iterator<Item = (u64, u64)>) -> Option<Clash> {
    let mut sorted: Vec<(u64, u64)> = given.iter().copied().zip(0..).collect();
    sorted.sort_unstable();
    let twice = sorted.windows(2).filter(|pair| pair[0].0 == pair[1].0);
    let twice = twice.map(|pair| Clash { given: pair[1].1, taken: TakenBy::Given(pair[0].1) });
    let filter = Filter::of(given);
    let taken = existing.filter(|&(value, _)| filter.may_hold(value)).filter_map(|(value, row)| {
        let at = sorted.partition_point(|&(v, _)| v < value);
        let &(found, given) = sorted.get(at)?;
        (found == value).then_some(Clash { given, taken: TakenBy::Row(row) })
    });
    twice.chain(taken).min_by_key(|clash| clash.given)
}

/// Says of most values that they are not in a set, by one bit: a collection has far more ids than an import brings, and a search
/// among those brought would touch memory many times for each.
struct Filter {
    bits: Vec<u64>,
    shift: u32,
}

impl Filter {
    /// Bits for each value: one in sixteen other values passes.
    const BITS_PER_VALUE: usize = 16;

    fn of(values: &[u64]) -> Self {
        let bits = values.len().saturating_mul(Self::BITS_PER_VALUE).next_power_of_two().max(64);
        let mut filter = Self { bits: vec![0; bits / 64], shift: 64 - bits.trailing_zeros() };
        for &value in values {
            let bit = filter.bit(value);
            filter.bits[bit / 64] |= 1 << (bit % 64);
        }
        filter
    }

    fn may_hold(&self, value: u64) -> bool {
        let bit = self.bit(value);
        self.bits[bit / 64] >> (bit % 64) & 1 == 1
    }

    /// Fibonacci hashing: ids are often neighbours.
    fn bit(&self, value: u64) -> usize {
        (value.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clash(given: &[u64], existing: &[(u64, u64)]) -> Option<(u64, TakenBy)> {
        first_clash(given, existing.iter().copied()).map(|clash| (clash.given, clash.taken))
    }

    #[test]
    fn the_first_value_given_that_is_taken_is_found() {
        assert_eq!(clash(&[], &[(1, 0)]), None);
        assert_eq!(clash(&[5, 6, 7], &[(1, 0), (2, 1)]), None);
        assert_eq!(clash(&[5, 2, 7], &[(1, 0), (2, 4)]), Some((1, TakenBy::Row(4))));
        assert_eq!(clash(&[9, 8, 9, 9], &[(1, 0)]), Some((2, TakenBy::Given(0))));
        assert_eq!(clash(&[9, 8, 9], &[(8, 3)]), Some((1, TakenBy::Row(3))));
        assert_eq!(clash(&[u64::MAX, 0], &[(0, 7)]), Some((1, TakenBy::Row(7))));
    }

    #[test]
    fn among_many_values_no_clash_is_missed_and_none_is_made_up() {
        let given: Vec<u64> = (0..5_000).map(|i| i * 3 + 1_000_000).collect();
        let existing = |value| (0..20_000).map(|i| (i * 3 + 1, i)).chain([(value, 77)]);
        assert_eq!(first_clash(&given, existing(1_000_001)), None);
        for nth in [0, 4_321, 4_999] {
            let found = first_clash(&given, existing(given[nth]));
            assert_eq!(found, Some(Clash { given: nth as u64, taken: TakenBy::Row(77) }));
        }
    }
}
