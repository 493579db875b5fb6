//! Rows of every shape: none, few, equal, strange.

use vexfs_ann::index::{self, Effort, IndexSpec};
use vexfs_ann::{DType, Metric, Vectors};

use crate::support::*;
use crate::{CASES, can_index, types};

/// As hard as it goes.
const ALL: Effort = Effort { effort: u32::MAX, rerank: u32::MAX };

/// Rows within −1 .. 1, which each element type holds.
fn plain() -> Vec<(&'static str, usize, Vec<f32>)> {
    let mut random = Random(2);
    let mut ordered = random.clustered(320, 8);
    ordered.sort_by(f32::total_cmp);
    let mut zeros = random.floats(320 * 8);
    zeros[..8 * 20].fill(0.0);
    vec![
        ("no rows", 8, Vec::new()),
        ("one row", 8, random.floats(8)),
        ("k rows", 8, random.floats(10 * 8)),
        ("uniform", 8, random.floats(320 * 8)),
        ("clustered", 8, random.clustered(320, 8)),
        ("ordered", 8, ordered),
        ("each row ten times", 8, random.floats(32 * 8).repeat(10)),
        ("identical", 8, vec![0.25; 320 * 8]),
        ("all zero", 8, vec![0.0; 320 * 8]),
        ("some zero", 8, zeros),
        ("one dimension", 1, random.floats(320)),
        ("4096 dimensions", 4096, random.floats(12 * 4096)),
    ]
}

/// Rows that only floating point holds.
fn wild() -> Vec<(&'static str, usize, Vec<f32>)> {
    let mut random = Random(3);
    let uniform = random.floats(320 * 8);
    let mut outliers = random.floats(320 * 8);
    outliers[8 * 7..8 * 9].fill(3e37);
    outliers[8 * 100] = -1e30;
    outliers[8 * 200..8 * 202].fill(1e-35);
    let mut norms = random.floats(320 * 8);
    for row in norms.chunks_exact_mut(8) {
        let norm = 1.0 / (random.float().abs() + 1e-4);
        row.iter_mut().for_each(|value| *value *= norm);
    }
    norms[8 * 5..8 * 6].iter_mut().for_each(|value| *value *= 1e12);
    vec![
        ("outliers", 8, outliers),
        ("norms of all sizes", 8, norms),
        ("minute", 8, uniform.iter().map(|value| value * 1e-41).collect()),
        ("enormous", 8, uniform.iter().map(|value| value * 3e38).collect()),
    ]
}

/// With little effort each kind finds as many as there are; with all of it, all of them: some of the rows are asked for, the
/// origin, and a point far away.
fn assert_found(name: &str, (dtype, metric): (DType, Metric), dim: usize, values: &[f32]) {
    // A bit is one of a byte's eight elements.
    let values: Vec<f32> = if dtype == DType::B1 { values.repeat(8) } else { values.to_vec() };
    let dim = if dtype == DType::B1 { dim * 8 } else { dim };
    let bytes = store(dtype, &values);
    let rows = Vectors::new(&bytes, dim, dtype).unwrap();
    let mut asked = store(dtype, &Random(4).floats(4 * dim));
    asked[..dtype.row_bytes(dim)].fill(0);
    asked.extend(&bytes[..bytes.len().min(5 * dtype.row_bytes(dim))]);
    let queries = queries_of(dtype, &asked, dim, metric);
    let truth = truth(rows, &queries, 10, None);
    for case in &CASES {
        let spec: IndexSpec = case.spec.parse().unwrap();
        if !can_index(spec.kind, dtype) {
            continue;
        }
        let name = format!("{name}, {dtype}, {metric}, {spec}");
        let image = image(case.spec, &plan(&rows, metric));
        let opened = index::open(&image).unwrap();
        opened.verify(None, &|| false).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(opened.header().indexed, rows.len() as u64);
        let efforts = opened.efforts(10);
        let little = Effort { effort: 0, rerank: 0 };
        for effort in [little, efforts[0], opened.default_effort(10), ALL] {
            let hits = found(&*opened, &rows, &queries, 10, effort, None);
            assert!(hits.iter().all(|hits| hits.len() == rows.len().min(10)), "{name}: {effort:?}");
            let reached = recall(&hits, &truth);
            if effort == ALL {
                assert!(reached == 1.0, "{name}: {reached} with all effort");
            }
        }
    }
}

#[test]
fn whatever_the_rows_are_like_each_kind_finds_all_of_them() {
    for (name, dim, values) in plain() {
        for (dtype, metric) in types() {
            assert_found(name, (dtype, metric), dim, &values);
        }
    }
}

#[test]
fn numbers_of_any_size_hide_no_row() {
    for (name, dim, values) in wild() {
        for dtype in [DType::F32, DType::BF16] {
            for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
                assert_found(name, (dtype, metric), dim, &values);
            }
        }
    }
}
