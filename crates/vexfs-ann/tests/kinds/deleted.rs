//! Rows that are deleted after the build, or that a filter excludes.

use vexfs_ann::index::{self, IndexSpec};
use vexfs_ann::{DType, Vectors};

use crate::support::*;
use crate::{CASES, can_index, types};

const ROWS: usize = 3000;
const QUERIES: usize = 30;

/// Words of the rows that are not kept.
fn excluding(keep: impl Fn(usize) -> bool) -> Vec<u64> {
    let mut words = vec![0u64; ROWS.div_ceil(64)];
    (0..ROWS).filter(|row| !keep(*row)).for_each(|row| words[row / 64] |= 1 << (row % 64));
    words
}

#[test]
fn what_is_excluded_is_not_found_and_the_rest_is_found_as_before() {
    let mut random = Random(5);
    let dice: Vec<u64> = (0..ROWS).map(|_| random.next() % 100).collect();
    let sets = [
        ("none", excluding(|_| true)),
        ("30 % deleted", excluding(|row| dice[row] >= 30)),
        ("a filter that leaves 1 %", excluding(|row| dice[row] == 0)),
        ("a filter that leaves a region", excluding(|row| row < 12)),
        ("all deleted", excluding(|_| false)),
    ];
    for (dtype, metric) in types() {
        let dim = if dtype == DType::B1 { 256 } else { 16 };
        let bytes = store(dtype, &Random(6).clustered(ROWS + QUERIES, dim));
        let (rows, asked) = bytes.split_at(ROWS * dtype.row_bytes(dim));
        let rows = Vectors::new(rows, dim, dtype).unwrap();
        let queries = queries_of(dtype, asked, dim, metric);
        let truths: Vec<_> = sets.iter().map(|(_, set)| truth(rows, &queries, 10, Some(set))).collect();
        for case in &CASES {
            let spec: IndexSpec = case.spec.parse().unwrap();
            if !can_index(spec.kind, dtype) {
                continue;
            }
            let image = image(case.spec, &plan(&rows, metric));
            let opened = index::open(&image).unwrap();
            let mut before: Option<f64> = None;
            for ((name, set), truth) in sets.iter().zip(&truths) {
                let name = format!("{spec} {dtype} {metric}, {name}");
                let effort = opened.default_effort(10);
                let hits = found(&*opened, &rows, &queries, 10, effort, Some(set));
                assert!(hits.iter().zip(truth).all(|(hits, truth)| hits.len() == truth.len()), "{name}");
                let is_excluded = |row: u64| set[row as usize / 64] >> (row % 64) & 1 == 1;
                assert!(hits.iter().flatten().all(|hit| !is_excluded(hit.row)), "{name}");
                let reached = recall(&hits, truth);
                // As much as was found before anything was deleted.
                let before = *before.get_or_insert(reached);
                assert!(
                    reached >= before - 0.02 && reached >= case.by_default,
                    "{name}: {reached}, {before} before"
                );
            }
        }
    }
}
