//! Finding the ids or keys that two live rows would have.

use vexfs_format::collection::{FLAG_IDS, FLAG_KEYS, STREAM_IDS, STREAM_KEY_HASHES};

use super::Collection;
use super::lookup::Lookup;
use super::rows::Deletions;
use crate::error::{Result, TakenBy};
use crate::txn::transaction::Transaction;

/// A value that is given to a row and taken already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clash {
    /// Index of the value among those given.
    pub(super) given: u64,
    pub(super) taken: TakenBy,
}

/// What the ids or key hashes that are given to new rows meet.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// The first one that was given before.
    pub(super) twice: Option<Clash>,
    /// Which of those given live rows have, with these rows, in the order of the rows.
    pub(super) taken: Vec<(u64, u64)>,
}

impl Met {
    /// The first value given that clashes.
    pub(super) fn first(&self) -> Option<Clash> {
        let taken = self.taken.iter().map(|&(given, row)| Clash { given, taken: TakenBy::Row(row) });
        self.twice.into_iter().chain(taken).min_by_key(|clash| clash.given)
    }

    fn of(given: &[u64], existing: impl Iterator<Item = (u64, u64)>) -> Self {
        let lookup = Lookup::of(given);
        let twice = lookup.pairs().map(|(first, given)| Clash { given, taken: TakenBy::Given(first) });
        let twice = twice.min_by_key(|clash| clash.given);
        let met = existing.filter_map(|(value, row)| lookup.find(value).next().map(|given| (given, row)));
        Self { twice, taken: met.collect() }
    }
}

/// What the ids `given` meet.
///
/// The rows before `first_row` that are not committed belong to the running transaction and have their number as id.
///
/// # Complexity
/// O(n log n) in the ids given, one look at each id of the collection; 19 bytes for each id given.
///
/// # Errors
/// Device errors; damage of the streams of ids or deletions.
pub(super) fn ids_met(
    txn: &Transaction<'_>,
    collection: &Collection,
    first_row: u64,
    given: &[u64],
) -> Result<Met> {
    let deleted = collection.deletions_as_of(txn.volume, txn)?;
    if collection.desc.has(FLAG_IDS) {
        return committed(txn, collection, STREAM_IDS, given, &deleted);
    }
    let live = (0..first_row).filter(|&row| !deleted.contains(row));
    Ok(Met::of(given, live.map(|row| (row, row))))
}

/// What the key hashes `given` meet; costs and errors as for ids.
pub(super) fn key_hashes_met(txn: &Transaction<'_>, collection: &Collection, given: &[u64]) -> Result<Met> {
    if collection.desc.has(FLAG_KEYS) {
        let deleted = collection.deletions_as_of(txn.volume, txn)?;
        return committed(txn, collection, STREAM_KEY_HASHES, given, &deleted);
    }
    Ok(Met::of(given, std::iter::empty()))
}

fn committed(
    txn: &Transaction<'_>,
    collection: &Collection,
    stream: &'static str,
    given: &[u64],
    deleted: &Deletions,
) -> Result<Met> {
    let view = collection.view_exact_as_of(txn.volume, txn, stream, collection.rows() * 8)?;
    let numbers = view.all()?.as_chunks::<8>().0.iter().map(|b| u64::from_le_bytes(*b));
    Ok(Met::of(given, numbers.zip(0..).filter(|&(_, row)| !deleted.contains(row))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clash(given: &[u64], existing: &[(u64, u64)]) -> Option<(u64, TakenBy)> {
        Met::of(given, existing.iter().copied()).first().map(|clash| (clash.given, clash.taken))
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
    fn all_rows_that_are_met_are_found() {
        let met = Met::of(&[4, 9, 2], [(2, 0), (3, 1), (4, 5)].into_iter());
        assert_eq!((met.twice, met.taken), (None, vec![(2, 0), (0, 5)]));
    }
}
