//! The state of a walk over a graph: the nearest nodes so far, and which nodes have been met.

/// A node and its estimate in one number that orders by estimate, then by node: estimate · 2³² + node · 2, and 1 in the
/// lowest bit once the walk went on from it.
pub(super) type Key = u64;

/// The key of `node`, which is less than 2³¹. `estimate` is not NaN.
#[inline(always)]
pub(super) fn key(estimate: f32, node: u32) -> Key {
    let bits = estimate.to_bits();
    // Floats order like integers of sign and magnitude; this makes them order like unsigned numbers.
    let ordered = bits ^ ((bits as i32 >> 31) as u32 | 1 << 31);
    u64::from(ordered) << 32 | u64::from(node) << 1
}

/// The node of a key.
#[inline(always)]
pub(super) fn node(key: Key) -> u32 {
    key as u32 >> 1
}

/// The estimate of a key.
pub(super) fn estimate(key: Key) -> f32 {
    let ordered = (key >> 32) as u32;
    let flip = if ordered >> 31 == 1 { 1 << 31 } else { u32::MAX };
    f32::from_bits(ordered ^ flip)
}

/// The `limit` nearest nodes met, ascending: a line in which insertion moves what is behind. For the few hundred of a walk this
/// beats a heap, and one line serves as candidates and as result (algorithm 2 of Malkov and Yashunin keeps two heaps).
#[derive(Debug, Default)]
pub(super) struct Beam {
    keys: Vec<Key>,
    limit: usize,
    /// All before it have been gone on from.
    next: usize,
}

impl Beam {
    /// Forgets everything, and keeps `limit` nodes, at least one, from here on.
    pub(super) fn reset(&mut self, limit: usize) {
        self.keys.clear();
        self.limit = limit.max(1);
        self.next = 0;
    }

    /// Whether a node with this key would be kept.
    #[inline(always)]
    pub(super) fn takes(&self, key: Key) -> bool {
        self.keys.len() < self.limit || self.keys.last().is_some_and(|last| key < *last)
    }

    /// Keeps a node that was not met before, if it is near enough.
    #[inline(always)]
    pub(super) fn insert(&mut self, key: Key) {
        if !self.takes(key) {
            return;
        }
        if self.keys.len() == self.limit {
            self.keys.pop();
        }
        let at = self.keys.partition_point(|other| *other < key);
        self.keys.insert(at, key);
        self.next = self.next.min(at);
    }

    /// The nearest node that the walk has not gone on from; it counts as gone on from.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<u32> {
        let key = self.keys.get_mut(self.next)?;
        *key |= 1;
        let node = node(*key);
        self.next += 1;
        while self.keys.get(self.next).is_some_and(|key| key & 1 == 1) {
            self.next += 1;
        }
        Some(node)
    }

    /// What [`pop`](Self::pop) would give.
    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u32> {
        self.keys.get(self.next).map(|key| node(*key))
    }

    /// The nodes kept, ascending.
    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }
}

/// A set of nodes that is emptied in time proportional to what it holds.
#[derive(Debug, Default)]
pub(super) struct Met {
    bits: Vec<u64>,
    /// Words that are not zero.
    touched: Vec<u32>,
}

impl Met {
    /// Empties the set, and makes room for nodes below `nodes`.
    pub(super) fn reset(&mut self, nodes: u32) {
        for word in self.touched.drain(..) {
            self.bits[word as usize] = 0;
        }
        let words = (nodes as usize).div_ceil(64);
        if self.bits.len() < words {
            // Zeroed pages cost nothing until they are touched; what is there is zero.
            self.bits = vec![0; words];
        }
    }

    /// Adds `node`; whether it was not in the set. A node that there is no room for never is.
    #[inline(always)]
    pub(super) fn insert(&mut self, node: u32) -> bool {
        let (index, bit) = (node as usize / 64, 1 << (node % 64));
        let Some(word) = self.bits.get_mut(index) else { return true };
        if *word & bit != 0 {
            return false;
        }
        if *word == 0 {
            self.touched.push(index as u32);
        }
        *word |= bit;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_as_estimates_do() {
        let estimates = [f32::NEG_INFINITY, -2.0, -1.0e-20, -0.0, 0.0, 1.0e-30, 1.0, f32::MAX, f32::INFINITY];
        for pair in estimates.windows(2) {
            assert!(key(pair[0], u32::MAX >> 1) < key(pair[1], 0), "{pair:?}");
        }
        for value in estimates {
            assert_eq!(estimate(key(value, 77)).to_bits(), value.to_bits());
        }
        assert_eq!(node(key(1.5, super::super::MAX_NODES)), super::super::MAX_NODES);
        assert!(key(1.0, 3) < key(1.0, 4));
    }

    #[test]
    fn a_beam_keeps_the_nearest_and_goes_on_from_each_once() {
        let mut beam = Beam::default();
        beam.reset(3);
        for (estimate, node) in [(5.0, 1), (3.0, 2), (4.0, 3), (9.0, 4)] {
            beam.insert(key(estimate, node));
        }
        assert_eq!((beam.peek(), beam.pop()), (Some(2), Some(2)));
        beam.insert(key(1.0, 5));
        assert_eq!((beam.pop(), beam.pop(), beam.pop()), (Some(5), Some(3), None));
        beam.insert(key(8.0, 6));
        assert_eq!(beam.pop(), None);
        let kept: Vec<_> = beam.keys().iter().map(|key| node(*key)).collect();
        assert_eq!(kept, [5, 2, 3]);
    }

    #[test]
    fn a_set_is_empty_after_a_reset() {
        let mut met = Met::default();
        met.reset(100);
        assert!(met.insert(3) && met.insert(99) && !met.insert(3) && met.insert(64));
        met.reset(1000);
        assert!(met.insert(3) && met.insert(999) && !met.insert(999));
        met.reset(10);
        assert!(met.insert(999) && met.insert(3));
    }
}
