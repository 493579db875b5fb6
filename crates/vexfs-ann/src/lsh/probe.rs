//! Which buckets to look into, nearest first, over all tables at once.
//!
//! # Source
//! Lv, Josephson, Wang, Charikar, Li, Multi-probe LSH, VLDB 2007, sections 4.3 and 4.4: sets of changes in the order of the sums
//! of their scores, made by *shift* and *expand* from a heap. Deviation: one heap serves all tables, so that the next bucket is
//! the nearest of any table.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::hash::{Change, key};

/// Buckets in the order in which they are looked into.
#[derive(Debug, Default)]
pub(super) struct Probes {
    heap: BinaryHeap<Reverse<Set>>,
}

/// A set of changes to the key of a table.
#[derive(Debug, Clone, Copy)]
struct Set {
    score: f32,
    table: u8,
    /// Bit i set: the change of i-th least score is in the set.
    changes: u64,
}

impl Ord for Set {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_score = self.score.total_cmp(&other.score);
        by_score.then(self.changes.cmp(&other.changes)).then(self.table.cmp(&other.table))
    }
}

impl PartialOrd for Set {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Set {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Set {}

impl Probes {
    /// Begins with the query's own buckets. `changes`: those of each table, at most 64, which are put in order.
    pub(super) fn begin(&mut self, changes: &mut [Vec<Change>]) {
        self.heap.clear();
        for (table, changes) in changes.iter_mut().enumerate() {
            changes.sort_by(|a, b| a.score.total_cmp(&b.score).then(a.delta.cmp(&b.delta)));
            self.heap.push(Reverse(Set { score: 0.0, table: table as u8, changes: 0 }));
        }
    }

    /// Table and key of the next bucket; `None` after all that the changes lead to. `sums` and `changes` as at the beginning.
    pub(super) fn next(&mut self, sums: &[u32], changes: &[Vec<Change>]) -> Option<(usize, u32)> {
        loop {
            let Reverse(set) = self.heap.pop()?;
            let table = usize::from(set.table);
            let changes = &changes[table];
            let last = 63u32.saturating_sub(set.changes.leading_zeros()) as usize;
            let after = if set.changes == 0 { 0 } else { last + 1 };
            if let Some(next) = changes.get(after) {
                let with = set.changes | 1 << after;
                self.heap.push(Reverse(Set { score: set.score + next.score, changes: with, ..set }));
                if set.changes != 0 {
                    let score = set.score - changes[last].score + next.score;
                    self.heap.push(Reverse(Set { score, changes: with & !(1 << last), ..set }));
                }
            }
            if let Some(sum) = apply(set.changes, sums[table], changes) {
                return Some((table, key(sum)));
            }
        }
    }
}

/// The sum of a key after a set of changes; `None` if a function would have to change both ways.
fn apply(mut set: u64, mut sum: u32, changes: &[Change]) -> Option<u32> {
    let mut changed = 0u32;
    while set != 0 {
        let change = &changes[set.trailing_zeros() as usize];
        let function = 1 << change.function;
        if changed & function != 0 {
            return None;
        }
        changed |= function;
        sum = sum.wrapping_add(change.delta);
        set &= set - 1;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_come_once_each_and_nearest_first() {
        // Two tables of three functions; the keys tell how each function was changed.
        let change = |score, function, delta| Change { score, function, delta };
        let mut changes = vec![
            vec![
                change(0.04, 0, 1),
                change(0.64, 0, 2),
                change(0.25, 1, 10),
                change(0.25, 1, 20),
                change(0.01, 2, 100),
                change(0.81, 2, 200),
            ],
            vec![change(0.09, 0, 1), change(0.49, 0, 2), change(0.5, 1, 10), change(0.0, 2, 100)],
        ];
        let sums = [1000, 5000];
        let mut probes = Probes::default();
        probes.begin(&mut changes);
        let mut seen = Vec::new();
        while let Some((table, found)) = probes.next(&sums, &changes) {
            let of = |sum: u32| key(sums[table] + sum) == found;
            let sum = (0..=222u32).find(|&sum| of(sum)).unwrap();
            let score: f32 = [(0, sum % 10), (1, sum / 10 % 10 * 10), (2, sum / 100 * 100)]
                .iter()
                .filter(|(_, delta)| *delta != 0)
                .map(|(function, delta)| {
                    let change = changes[table].iter().find(|c| c.function == *function && c.delta == *delta);
                    change.unwrap().score
                })
                .sum();
            seen.push((table, sum, score));
        }
        assert_eq!(seen.len(), 27 + 3 * 2 * 2);
        assert!(seen.is_sorted_by(|a, b| a.2 <= b.2 + 1e-6), "{seen:?}");
        seen.sort_by_key(|(table, sum, _)| (*table, *sum));
        assert!(seen.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)), "no bucket twice");
    }
}
