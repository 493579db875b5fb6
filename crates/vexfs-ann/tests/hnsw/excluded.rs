//! Deleted rows and filters.

use vexfs_ann::index::open;
use vexfs_ann::{DType, Metric, Vectors};

use crate::data::{Random, clustered, effort, find, image, plan, queries, recall, stored, truth};

const ROWS: usize = 4000;
const DIM: usize = 16;

/// A set of rows as words.
fn set(holds: impl Fn(usize) -> bool) -> Vec<u64> {
    let mut words = vec![0; ROWS.div_ceil(64)];
    (0..ROWS).filter(|row| holds(*row)).for_each(|row| words[row / 64] |= 1 << (row % 64));
    words
}

#[test]
fn excluded_rows_are_never_found_and_cost_no_recall() {
    let (bytes, _) = stored(&clustered(ROWS, DIM, 1, true), DIM, DType::F32);
    let rows = Vectors::new(&bytes, DIM, DType::F32).unwrap();
    let queries = queries(&clustered(60, DIM, 2, false), DIM, DType::F32, Metric::L2);
    let image = image("hnsw", &plan(&rows, Metric::L2, None));
    let index = open(&image).unwrap();
    let mut random = Random(3);
    let dice: Vec<u64> = (0..ROWS).map(|_| random.next() % 100).collect();
    let filters = [
        ("none", set(|_| false)),
        ("30 % deleted", set(|row| dice[row] < 30)),
        ("80 % excluded", set(|row| dice[row] < 80)),
        ("99 % excluded", set(|row| dice[row] != 0)),
        ("a whole region", set(|row| row < ROWS / 2)),
        ("all but three", set(|row| ![5, 6, 3999].contains(&row))),
        ("everything", set(|_| true)),
    ];
    for (name, excluded) in filters {
        let truth = truth(rows, &queries, 10, Some(&excluded));
        let (found, stats) =
            find(index.as_ref(), &rows, &queries, (10, effort(40, 20)), Some(&excluded)).unwrap();
        let is_excluded = |row: u64| excluded[row as usize / 64] >> (row % 64) & 1 == 1;
        assert!(found.iter().flatten().all(|hit| !is_excluded(hit.row)), "{name}");
        assert!(found.iter().zip(&truth).all(|(found, truth)| found.len() == truth.len()), "{name}");
        if truth.iter().any(|truth| !truth.is_empty()) {
            let recall = recall(&found, &truth);
            assert!(recall >= 0.97, "{name}: {recall}");
        }
        assert!(stats.distance_computations < (60 * ROWS * 3 / 4) as u64, "{name}: {stats:?}");
    }
}

#[test]
fn rows_deleted_before_the_build_are_not_in_the_graph() {
    let (bytes, _) = stored(&clustered(ROWS, DIM, 1, false), DIM, DType::F32);
    let rows = Vectors::new(&bytes, DIM, DType::F32).unwrap();
    let deleted = set(|row| row % 3 == 0);
    let image = image("hnsw", &plan(&rows, Metric::L2, Some(&deleted)));
    let index = open(&image).unwrap();
    assert_eq!(index.header().indexed, (ROWS - ROWS.div_ceil(3)) as u64);
    index.verify(Some(&deleted), &|| false).unwrap();
    let missing = index.verify(None, &|| false).unwrap_err().to_string();
    assert!(missing.contains("row 0 of the image has no node"), "{missing}");
    let queries = queries(&clustered(60, DIM, 2, false), DIM, DType::F32, Metric::L2);
    let (found, _) = find(index.as_ref(), &rows, &queries, (10, effort(40, 20)), Some(&deleted)).unwrap();
    assert!(recall(&found, &truth(rows, &queries, 10, Some(&deleted))) > 0.98);
}

#[test]
fn a_graph_of_which_everything_was_deleted_finds_nothing() {
    let (bytes, _) = stored(&clustered(ROWS, DIM, 1, false), DIM, DType::F32);
    let rows = Vectors::new(&bytes, DIM, DType::F32).unwrap();
    let all = set(|_| true);
    let image = image("hnsw", &plan(&rows, Metric::L2, Some(&all)));
    let index = open(&image).unwrap();
    index.verify(Some(&all), &|| false).unwrap();
    let queries = queries(&clustered(2, DIM, 2, false), DIM, DType::F32, Metric::L2);
    let (found, _) = find(index.as_ref(), &rows, &queries, (10, effort(40, 20)), Some(&all)).unwrap();
    assert!(found.iter().all(Vec::is_empty));
}
