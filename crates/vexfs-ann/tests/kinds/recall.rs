//! Recall on fixed data.

use vexfs_ann::index::{self, IndexError, IndexSpec};
use vexfs_ann::{DType, Metric, Vectors};

use crate::support::*;
use crate::{CASES, can_index, types};

const ROWS: usize = 3000;
const QUERIES: usize = 50;

#[test]
fn every_kind_finds_its_share_by_every_metric_and_type_and_looks_at_few_rows_for_it() {
    for (dtype, metric) in types() {
        let dim = if dtype == DType::B1 { 256 } else { 32 };
        let bytes = store(dtype, &Random(1).clustered(ROWS + QUERIES, dim));
        let (rows, asked) = bytes.split_at(ROWS * dtype.row_bytes(dim));
        let rows = Vectors::new(rows, dim, dtype).unwrap();
        let queries = queries_of(dtype, asked, dim, metric);
        let truth = truth(rows, &queries, 10, None);
        for case in &CASES {
            let spec: IndexSpec = case.spec.parse().unwrap();
            let name = format!("{spec} {dtype} {metric}");
            if !can_index(spec.kind, dtype) {
                continue;
            }
            let image = image(case.spec, &plan(&rows, metric));
            let opened = index::open(&image).unwrap();
            opened.verify(None, &|| false).unwrap();
            let search = |effort| {
                let (hits, stats) = found_at(&*opened, &rows, &queries, (10, effort), None);
                (recall(&hits, &truth), stats.distance_computations as f64 / (QUERIES * ROWS) as f64)
            };
            let (by_default, _) = search(opened.default_effort(10));
            let efforts = opened.efforts(10);
            let reached = efforts.iter().map(|effort| search(*effort)).find(|(recall, _)| *recall >= 0.95);
            let (_, share) = reached.expect("enough effort finds 19 of 20");
            let (most, _) = search(*efforts.last().unwrap());
            assert!(by_default >= case.by_default, "{name}: recall {by_default} by default");
            assert!(share <= case.share, "{name}: recall 0.95 by {share} of the rows");
            assert!(most >= 0.999, "{name}: recall {most} at the end");
        }
    }
}

#[test]
fn what_a_kind_cannot_index_is_refused_with_a_reason_before_there_are_rows() {
    for dtype in DType::ALL {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct, Metric::Hamming] {
            let bytes = store(dtype, &Random(7).floats(64 * 8));
            let rows = Vectors::new(&bytes, 8, dtype).unwrap();
            for case in &CASES {
                let spec: IndexSpec = case.spec.parse().unwrap();
                let is_possible = metric.accepts(dtype) && can_index(spec.kind, dtype);
                let checked = index::check(&spec, 8, dtype, metric);
                let built = index::build(&spec, &plan(&rows, metric), &mut Vec::new());
                assert_eq!(
                    (checked.is_ok(), built.is_ok()),
                    (is_possible, is_possible),
                    "{spec} {dtype} {metric}"
                );
                let reason = format!("{} cannot index {dtype} rows by {metric}", spec.kind);
                for refused in [checked.err(), built.err()].into_iter().flatten() {
                    assert!(
                        matches!(refused, IndexError::Mismatch(_)) && refused.to_string() == reason,
                        "{refused}"
                    );
                }
            }
        }
    }
}
