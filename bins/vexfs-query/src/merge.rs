//! One answer out of those of several places.

use vexfs_ann::Neighbor;
use vexfs_fs::search::Answer;

/// A neighbour, and the place that it is in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Found {
    /// Number of the place.
    pub(crate) place: usize,
    pub(crate) neighbor: Neighbor,
}

/// The `k` nearest of what the places have found, for each query: nearest first, ties by the order of the places, then by lower row.
///
/// Each answer has a list for each query.
pub(crate) fn merge(answers: &[Answer], k: usize) -> Vec<Vec<Found>> {
    let queries = answers.first().map_or(0, |answer| answer.hits.len());
    let of_query = |query: usize| {
        let in_place = |(place, answer): (usize, &Answer)| {
            let found = move |&neighbor: &Neighbor| Found { place, neighbor };
            answer.hits[query].iter().map(found).collect::<Vec<_>>()
        };
        let mut all: Vec<Found> = answers.iter().enumerate().flat_map(in_place).collect();
        // Rows of one place are in order, and so are the places: the sort is stable and leaves ties as they are.
        all.sort_by(|a, b| a.neighbor.distance.total_cmp(&b.neighbor.distance));
        all.truncate(k);
        all
    };
    (0..queries).map(of_query).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(hits: &[(u64, f64)]) -> Answer {
        let hits = hits.iter().map(|&(row, distance)| Neighbor { row, distance }).collect();
        Answer { hits: vec![hits], ..Answer::default() }
    }

    #[test]
    fn ties_are_those_of_the_first_place_and_lower_rows() {
        let answers =
            [answer(&[(5, 1.0), (7, 1.0), (2, 3.0)]), answer(&[(9, 0.5), (0, 1.0), (1, 3.0)]), answer(&[])];
        let merged = merge(&answers, 5);
        let found: Vec<_> = merged[0].iter().map(|hit| (hit.place, hit.neighbor.row)).collect();
        assert_eq!(found, [(1, 9), (0, 5), (0, 7), (1, 0), (0, 2)]);
    }
}
