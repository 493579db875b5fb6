//! Queries that are rows.

use vexfs_ann::index::open;
use vexfs_ann::{DType, Metric, Vectors};

use crate::data::{clustered, effort, find, image, plan, queries, stored, truth};

/// Share of the nearest other rows that a walk with the narrowest beam finds of some rows, or of queries like them.
fn nearest_found(metric: Metric, are_rows: bool) -> f64 {
    const ROWS: usize = 3000;
    const DIM: usize = 24;
    let values = clustered(ROWS + 400, DIM, 1, false);
    let (bytes, _) = stored(&values[..ROWS * DIM], DIM, DType::F32);
    let rows = Vectors::new(&bytes, DIM, DType::F32).unwrap();
    let image = image("hnsw,m=6", &plan(&rows, metric, None));
    let index = open(&image).unwrap();
    let first = if are_rows { 100 } else { ROWS };
    let asked = queries(&values[first * DIM..(first + 400) * DIM], DIM, DType::F32, metric);
    let own: Vec<u64> = (first as u64..first as u64 + 400).collect();
    // With the row itself, the nearest other one is the second.
    let (asked, k) = if are_rows { (asked.of_rows(&own).unwrap(), 2) } else { (asked, 1) };
    let truth = truth(rows, &asked, k, None);
    let (found, _) = find(index.as_ref(), &rows, &asked, (k, effort(1, 1)), None).unwrap();
    let right = found.iter().zip(&truth).zip(&own).filter(|((found, truth), own)| {
        let nearest = truth.iter().find(|hit| !are_rows || hit.row != **own);
        found.iter().any(|hit| nearest.is_some_and(|nearest| hit.distance == nearest.distance))
    });
    right.count() as f64 / 400.0
}

#[test]
fn a_row_finds_its_neighbours_no_more_easily_than_a_query_from_elsewhere() {
    for metric in [Metric::L2, Metric::Cosine] {
        let (of_rows, of_others) = (nearest_found(metric, true), nearest_found(metric, false));
        // Rather less easily: the links that the others have to it lead nowhere.
        assert!(of_rows < of_others + 0.05, "{metric}: {of_rows} of rows, {of_others} of others");
        assert!(of_rows > of_others - 0.3, "{metric}: {of_rows} of rows, {of_others} of others");
        assert!(of_others < 0.9, "{metric}: the beam is not narrow: {of_others}");
    }
}
