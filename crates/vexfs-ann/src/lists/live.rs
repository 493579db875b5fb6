//! The rows of a list that may be found.

use super::layout::List;
use crate::index::Search;
use crate::simd::Block32;
use crate::simd::scan::{Found, RowSide, float};

use super::open::Lists;

/// Where fewer than one row in this many may be found, those are picked out before they are compared.
const PICK_BELOW: usize = 2;

/// A list, and which of its rows may be found.
pub(super) struct Live<'a> {
    list: &'a List<'a>,
    /// Rows that may be found.
    count: usize,
    /// Of each row whether it may be found; empty if all may, or those of `picked` alone are compared.
    may: Vec<bool>,
    picked: Option<Picked>,
}

/// Rows picked out of a list.
struct Picked {
    codes: Vec<Block32>,
    terms: [Vec<u8>; 3],
    numbers: Vec<u32>,
}

impl<'a> Live<'a> {
    /// Looks which rows of `list` may be found.
    pub(super) fn new(index: &Lists<'_>, list: &'a List<'a>, search: &Search<'_>) -> Self {
        let mut live = Self { count: list.len(), may: Vec::new(), picked: None, list };
        if search.excluded.is_none() {
            return live;
        }
        let first = index.header.rows.start;
        let is_excluded = |number: u32| search.is_excluded(first.saturating_add(u64::from(number)));
        live.may.extend(live.list.numbers.iter().map(|number| !is_excluded(number.get())));
        live.count = live.may.iter().filter(|may| **may).count();
        if live.count == live.list.len() {
            live.may.clear();
        } else if index.params.codes.are_steps() && live.count < live.list.len() / PICK_BELOW {
            live.picked = Some(live.pick());
            live.may.clear();
        }
        live
    }

    fn pick(&self) -> Picked {
        let rows = || (0..self.list.len()).filter(|row| self.may[*row]);
        let blocks = self.list.codes().len() / self.list.len().max(1);
        let codes = rows().flat_map(|row| &self.list.codes()[row * blocks..][..blocks]).copied().collect();
        let terms = std::array::from_fn(|term| {
            let stored = self.list.term(term);
            rows().flat_map(|row| float(stored, row).to_le_bytes()).collect()
        });
        Picked { codes, terms, numbers: rows().map(|row| self.list.numbers[row].get()).collect() }
    }

    /// Number of rows that may be found.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The list as it is.
    pub(super) fn list(&self) -> &'a List<'a> {
        self.list
    }

    /// The rows of steps to compare.
    pub(super) fn rows(&self) -> RowSide<'_> {
        let Some(picked) = &self.picked else { return self.list.rows() };
        let [scale, low, constant] = &picked.terms;
        let is_packed = self.list.is_packed();
        RowSide { codes: &picked.codes, is_packed, count: self.count, scale, low, constant, ahead: &[] }
    }

    /// Leaves those of `found`, rows of [`rows`](Self::rows), that may be found.
    pub(super) fn retain(&self, found: &mut Vec<Found>) {
        if !self.may.is_empty() {
            found.retain(|found| self.may[found.row as usize]);
        }
    }

    /// The number of row `row` of [`rows`](Self::rows).
    #[inline]
    pub(super) fn number(&self, row: u32) -> u32 {
        match &self.picked {
            Some(picked) => picked.numbers[row as usize],
            None => self.list.numbers[row as usize].get(),
        }
    }
}
