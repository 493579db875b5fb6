//! Rows that their codes do not tell apart: one of them stands for all while the graph is built.
//!
//! Equal rows would be each other's only candidates and close themselves off from all others. So the first of them is a node like
//! any other, and the rest, its twins, hang below it in a tree: it leads to the first twin, that one to more of them,
//! and each of them back.

use rayon::prelude::*;

use super::links::Links;
use super::space::Space;

/// Rows, and which of them stand for others.
pub(super) struct Twins {
    /// The rows that stand for themselves and for their twins, ascending.
    pub(super) firsts: Vec<u32>,
    /// For each of `firsts`, its twins: rows, ascending.
    twins: Vec<Vec<u32>>,
}

impl Twins {
    /// Finds the twins among the rows of `space`.
    pub(super) fn of(space: &Space) -> Self {
        let mut prints: Vec<(u64, u32)> =
            (0..space.len() as u32).into_par_iter().map(|row| (space.print(row), row)).collect();
        prints.par_sort_unstable();
        let mut groups: Vec<Vec<u32>> = Vec::new();
        for alike in prints.chunk_by(|a, b| a.0 == b.0) {
            // Rows of one print are nearly always equal.
            let start = groups.len();
            for &(_, row) in alike {
                match groups[start..].iter_mut().find(|group| space.is_twin(group[0], row)) {
                    Some(group) => group.push(row),
                    None => groups.push(vec![row]),
                }
            }
        }
        groups.par_sort_unstable();
        let firsts = groups.iter().map(|group| group[0]).collect();
        groups.iter_mut().for_each(|group| _ = group.remove(0));
        Self { firsts, twins: groups }
    }

    /// Whether no row has a twin.
    pub(super) fn is_empty(&self) -> bool {
        self.twins.iter().all(Vec::is_empty)
    }

    /// All rows in the order of the nodes, if the firsts, by their place in [`firsts`](Self::firsts), are in this one: each is
    /// followed by its twins. And the node of each of them.
    pub(super) fn order(&self, order: &[u32]) -> (Vec<u32>, Vec<u32>) {
        let (mut rows, mut nodes) = (Vec::new(), Vec::with_capacity(order.len()));
        for &first in order {
            nodes.push(rows.len() as u32);
            rows.push(self.firsts[first as usize]);
            rows.extend_from_slice(&self.twins[first as usize]);
        }
        (rows, nodes)
    }

    /// The links of all nodes, `width` at most, from those among the firsts, fewer by one at least, which are the nodes `nodes`.
    pub(super) fn link(&self, links: &Links, nodes: &[u32], width: usize) -> Links {
        let count = self.firsts.len() + self.twins.iter().map(Vec::len).sum::<usize>();
        let mut all = Links::empty(count, width);
        let ends = nodes.iter().skip(1).copied().chain([count as u32]);
        for ((first, &node), end) in (0..).zip(nodes).zip(ends) {
            links.of(first).iter().for_each(|link| _ = all.push(node, nodes[*link as usize]));
            let branches = width as u32 - 1;
            for twin in node + 1..end {
                let above = if twin == node + 1 { node } else { node + 1 + (twin - node - 2) / branches };
                all.push(above, twin);
                all.push(twin, above);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_hang_below_the_first_and_lead_back() {
        let firsts = Links::make((2, 3), &|| false, || (), |_, node, chosen| chosen.push(1 - node));
        let twins = Twins { firsts: vec![7, 9], twins: vec![Vec::new(), vec![11; 10]] };
        let all = twins.link(&firsts, &[0, 1], 4);
        assert_eq!(all.of(0), [1]);
        assert_eq!(all.of(1), [0, 2]);
        assert_eq!(all.of(2), [1, 3, 4, 5]);
        assert_eq!(all.of(3), [2, 6, 7, 8]);
        assert_eq!(all.of(11), [4]);
        for node in 1..12 {
            assert!((0..12).any(|from| all.of(from).contains(&node)) && !all.of(node).is_empty());
        }
    }
}
