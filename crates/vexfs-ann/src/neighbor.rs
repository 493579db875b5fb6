//! The answer of a search, and the selection of the `k` best.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Neighbours that room is made for before they are offered.
const ROOM: usize = 16;

/// One found row and its distance from the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbor {
    /// Row in the collection.
    pub row: u64,
    /// Distance by the collection's metric; smaller is nearer. Never NaN.
    pub distance: f64,
}

impl Eq for Neighbor {}

/// Nearest first; ties by lower row.
impl Ord for Neighbor {
    fn cmp(&self, other: &Self) -> Ordering {
        self.distance.total_cmp(&other.distance).then(self.row.cmp(&other.row))
    }
}

impl PartialOrd for Neighbor {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The `k` nearest rows offered so far, in whatever order they are offered; none that is farther than a radius.
///
/// # Memory
/// Grows with what is offered; room for a few is there before.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    /// Largest distance that is taken.
    radius: f64,
    /// Farthest on top.
    heap: BinaryHeap<Neighbor>,
}

impl TopK {
    /// Selects `k` rows; with `k` = 0 it stays empty.
    pub fn new(k: usize) -> Self {
        Self::within(k, f64::INFINITY)
    }

    /// Selects `k` rows whose distance is at most `radius`; with `usize::MAX` for `k` all of them.
    pub fn within(k: usize, radius: f64) -> Self {
        Self { k, radius, heap: BinaryHeap::with_capacity(k.min(ROOM)) }
    }

    /// How many rows are selected at most.
    pub fn k(&self) -> usize {
        self.k
    }

    /// How many rows are selected so far.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }

    /// Distance beyond which (strictly) no row is taken any more; the radius while there are fewer than `k`.
    #[inline]
    pub fn bound(&self) -> f64 {
        if self.heap.len() < self.k {
            self.radius
        } else {
            self.heap.peek().map_or(f64::NEG_INFINITY, |farthest| farthest.distance)
        }
    }

    /// Offers a row; true if it is among the `k` nearest so far. A NaN distance counts as +∞, −0 as 0.
    pub fn offer(&mut self, row: u64, distance: f64) -> bool {
        let distance = if distance.is_nan() { f64::INFINITY } else { distance + 0.0 };
        if distance > self.radius {
            return false;
        }
        let new = Neighbor { row, distance };
        if self.heap.len() < self.k {
            self.heap.push(new);
            return true;
        }
        match self.heap.peek_mut() {
            Some(mut farthest) if new < *farthest => {
                *farthest = new;
                true
            }
            _ => false,
        }
    }

    /// Takes over what `other` selected from rows of its own.
    pub fn merge(&mut self, other: Self) {
        for neighbor in other.heap {
            self.offer(neighbor.row, neighbor.distance);
        }
    }

    /// The selection, nearest first, ties by lower row; fewer than `k` if fewer were offered.
    pub fn into_sorted(self) -> Vec<Neighbor> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn select(k: usize, offers: &[(u64, f64)]) -> Vec<(u64, f64)> {
        let mut top = TopK::new(k);
        for &(row, distance) in offers {
            top.offer(row, distance);
        }
        top.into_sorted().into_iter().map(|n| (n.row, n.distance)).collect()
    }

    #[test]
    fn ties_go_to_the_lower_row_in_any_order_of_arrival() {
        assert_eq!(select(2, &[(9, 1.0), (3, 1.0), (5, 1.0), (1, 2.0)]), [(3, 1.0), (5, 1.0)]);
        assert_eq!(select(2, &[(5, 0.0), (3, -0.0)]), [(3, 0.0), (5, 0.0)]);
    }

    #[test]
    fn a_nan_is_farther_than_any_number() {
        let got = select(3, &[(0, -f64::NAN), (1, f64::MAX), (2, f64::NEG_INFINITY), (3, f64::NAN)]);
        assert_eq!(got, [(2, f64::NEG_INFINITY), (1, f64::MAX), (0, f64::INFINITY)]);
    }

    #[test]
    fn the_bound_is_the_kth_distance_once_there_are_k() {
        let mut top = TopK::new(2);
        assert!(top.offer(0, 5.0));
        assert_eq!(top.bound(), f64::INFINITY);
        assert!(top.offer(1, 7.0));
        assert_eq!(top.bound(), 7.0);
        assert!(!top.offer(2, 7.0));
        assert!(top.offer(3, 6.0));
        assert_eq!(top.bound(), 6.0);
        assert!(!TopK::new(0).offer(0, 0.0));
    }

    #[test]
    fn nothing_beyond_the_radius_is_taken_and_what_lies_on_it_is() {
        let mut top = TopK::within(usize::MAX, 3.0);
        assert_eq!(top.bound(), 3.0);
        assert!(
            top.offer(4, 3.0) && !top.offer(5, 3.000_001) && !top.offer(6, f64::NAN) && top.offer(7, -1.0)
        );
        assert_eq!(top.bound(), 3.0);
        assert_eq!(top.into_sorted().iter().map(|n| n.row).collect::<Vec<_>>(), [7, 4]);
        let mut top = TopK::within(1, 3.0);
        assert!(top.offer(1, 2.0) && !top.offer(2, 2.5));
        assert_eq!(top.bound(), 2.0);
    }

    #[test]
    fn merging_parts_equals_selecting_from_the_whole() {
        let offers: Vec<_> = (0..100u64).map(|i| (i, ((i * 37) % 10) as f64)).collect();
        let mut left = TopK::new(17);
        let mut right = TopK::new(17);
        for (i, &(row, distance)) in offers.iter().enumerate() {
            if i % 3 == 0 { &mut left } else { &mut right }.offer(row, distance);
        }
        left.merge(right);
        let merged: Vec<_> = left.into_sorted().into_iter().map(|n| (n.row, n.distance)).collect();
        assert_eq!(merged, select(17, &offers));
    }
}
