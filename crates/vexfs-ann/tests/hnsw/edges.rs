//! Few rows, equal rows, strange rows.

use vexfs_ann::index::{self, Build, Index, IndexError, Progress, open};
use vexfs_ann::{DType, Metric, Queries, Vectors};

use crate::data::{Random, clustered, effort, find, image, plan, queries, recall, stored, truth};

/// Builds over `values`, checks the image, and returns recall@`k` at a small effort for queries that are some of the rows.
fn recall_of(values: &[f32], dim: usize, metric: Metric, k: usize) -> f64 {
    let (bytes, _) = stored(values, dim, DType::F32);
    let rows = Vectors::new(&bytes, dim, DType::F32).unwrap();
    let image = image("hnsw", &plan(&rows, metric, None));
    let index = open(&image).unwrap();
    index.verify(None, &|| false).unwrap();
    let step = (rows.len() / 50).max(1);
    let asked: Vec<f32> = values.chunks(dim).step_by(step).flatten().copied().collect();
    let queries = Queries::new(&asked, dim, DType::F32, metric).unwrap();
    let effort = effort(3 * k as u32 + 20, 2 * k as u32);
    let (found, _) = find(index.as_ref(), &rows, &queries, (k, effort), None).unwrap();
    let truth = truth(rows, &queries, k, None);
    assert!(found.iter().zip(&truth).all(|(found, truth)| found.len() == truth.len()));
    recall(&found, &truth)
}

#[test]
fn no_row_one_row_and_as_many_as_are_wanted() {
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        for rows in [1, 2, 9, 10, 11, 33] {
            let recall = recall_of(&clustered(rows, 7, 3, false), 7, metric, 10);
            assert_eq!(recall, 1.0, "{rows} rows, {metric}");
        }
    }
    let rows = Vectors::new(&[], 7, DType::F32).unwrap();
    let image = image("hnsw", &plan(&rows, Metric::L2, None));
    let index = open(&image).unwrap();
    index.verify(None, &|| false).unwrap();
    let queries = queries(&[0.0; 7], 7, DType::F32, Metric::L2);
    let (found, stats) = find(index.as_ref(), &rows, &queries, (3, index.default_effort(3)), None).unwrap();
    assert!(found[0].is_empty() && stats.distance_computations == 0);
    assert!(!index.efforts(10).is_empty());
}

#[test]
fn equal_rows_are_all_reached() {
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        assert_eq!(recall_of(&[0.25; 3000 * 3], 3, metric, 10), 1.0, "{metric}");
    }
    // A thousand times the same row among others.
    let mut values = clustered(3000, 8, 4, false);
    values[8 * 1000..8 * 2000].fill(0.5);
    let recall = recall_of(&values, 8, Metric::L2, 10);
    assert!(recall > 0.98, "{recall}");
    // Every row three times.
    let once = clustered(1000, 8, 4, false);
    let thrice = [once.clone(), once.clone(), once].concat();
    let recall = recall_of(&thrice, 8, Metric::L2, 6);
    assert!(recall >= 0.97, "{recall}");
}

#[test]
fn rows_of_zeros_are_at_cosine_distance_one_of_all() {
    let mut values = clustered(2000, 6, 5, false);
    for row in (0..2000).step_by(3) {
        values[row * 6..row * 6 + 6].fill(0.0);
    }
    assert!(recall_of(&values, 6, Metric::Cosine, 5) > 0.98);
}

#[test]
fn one_dimension_and_very_many() {
    let mut random = Random(6);
    let line: Vec<f32> = (0..2000).map(|_| random.float()).collect();
    assert!(recall_of(&line, 1, Metric::L2, 10) > 0.99);
    assert!(recall_of(&clustered(500, 4096, 6, false), 4096, Metric::L2, 3) > 0.98);
}

#[test]
fn outliers_and_ordered_rows_are_found() {
    let mut values = clustered(1500, 12, 7, true);
    assert!(recall_of(&values, 12, Metric::L2, 10) > 0.98);
    for row in [3, 700, 1400] {
        values[row * 12..row * 12 + 12].iter_mut().for_each(|value| *value *= 1e6);
    }
    assert!(recall_of(&values, 12, Metric::L2, 10) > 0.98);
}

#[test]
fn huge_norms_do_not_hide_the_others_from_inner_products() {
    let mut values = clustered(1500, 12, 8, false);
    let mut random = Random(9);
    for row in values.chunks_exact_mut(12) {
        let norm = 1.0 / (random.float().abs() + 1e-3);
        row.iter_mut().for_each(|value| *value *= norm);
    }
    let recall = recall_of(&values, 12, Metric::InnerProduct, 10);
    assert!(recall > 0.8, "{recall}");
    values[..12].iter_mut().for_each(|value| *value *= 1e12);
    let recall = recall_of(&values, 12, Metric::InnerProduct, 10);
    assert!(recall > 0.7, "{recall}");
}

#[test]
fn elements_at_the_ends_of_their_type_are_indexed() {
    let mut random = Random(10);
    let wild: Vec<f32> =
        (0..500 * 5).map(|_| if random.next().is_multiple_of(2) { f32::MAX } else { -f32::MAX }).collect();
    let tiny: Vec<f32> = (0..500 * 5).map(|_| f32::from_bits(random.next() as u32 % 9)).collect();
    for values in [wild, tiny] {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            recall_of(&values, 5, metric, 3);
        }
    }
    let mut values = clustered(200, 5, 1, false);
    values[77] = f32::INFINITY;
    let (bytes, _) = stored(&values, 5, DType::F32);
    let rows = Vectors::new(&bytes, 5, DType::F32).unwrap();
    let result = index::build(&"hnsw".parse().unwrap(), &plan(&rows, Metric::L2, None), &mut Vec::new());
    assert!(matches!(result, Err(IndexError::Mismatch(what)) if what.starts_with("row 15 ")));
}

#[test]
fn an_image_of_some_rows_answers_with_their_numbers_in_the_collection() {
    let values = clustered(1500, 8, 11, false);
    let (bytes, _) = stored(&values, 8, DType::F32);
    let rows = Vectors::new(&bytes, 8, DType::F32).unwrap();
    let build = Build { first_row: 200, end_row: 1400, ..plan(&rows, Metric::L2, None) };
    let image = image("hnsw", &build);
    let index = open(&image).unwrap();
    let queries = queries(&values[..80], 8, DType::F32, Metric::L2);
    let (found, _) = find(index.as_ref(), &rows, &queries, (10, effort(40, 20)), None).unwrap();
    let covered = rows.slice(200..1400);
    let mut truth = truth(covered, &queries, 10, None);
    truth.iter_mut().flatten().for_each(|hit| hit.row += 200);
    assert!(recall(&found, &truth) > 0.98);
    assert!(found.iter().flatten().all(|hit| (200..1400).contains(&hit.row)));

    let few = rows.slice(0..1000);
    let result = find(index.as_ref(), &few, &queries, (10, effort(40, 20)), None);
    assert!(matches!(result, Err(IndexError::Mismatch(_))), "rows that the collection does not have");
}

#[test]
fn a_build_stops_when_asked_to() {
    struct After(std::sync::atomic::AtomicU32);
    impl Progress for After {
        fn step(&self, _: &'static str, _: u64, _: u64) {}
        fn is_interrupted(&self) -> bool {
            self.0
                .fetch_update(
                    std::sync::atomic::Ordering::SeqCst,
                    std::sync::atomic::Ordering::SeqCst,
                    |left| left.checked_sub(1),
                )
                .is_err()
        }
    }
    let (bytes, _) = stored(&clustered(1500, 8, 11, false), 8, DType::F32);
    let rows = Vectors::new(&bytes, 8, DType::F32).unwrap();
    for calls in [0, 1, 2, 5, 12, 20] {
        let progress = After(calls.into());
        let build = Build { progress: &progress, ..plan(&rows, Metric::L2, None) };
        let result = index::build(&"hnsw".parse().unwrap(), &build, &mut Vec::new());
        assert!(matches!(result, Err(IndexError::Interrupted)), "{calls}");
    }
}

#[test]
fn memory_bounds_the_rows_of_an_image() {
    let (bytes, _) = stored(&clustered(100, 8, 11, false), 8, DType::F32);
    let rows = Vectors::new(&bytes, 8, DType::F32).unwrap();
    let spec = "hnsw".parse().unwrap();
    let within = |memory| {
        index::rows_within_memory(&spec, &Build { memory, ..plan(&rows, Metric::L2, None) }).unwrap()
    };
    assert_eq!(within(0), 1);
    let (some, more) = (within(1 << 28), within(1 << 30));
    assert!(some > 100_000 && more > 3 * some && more < (1 << 30) / 100);
    let wrong = "hnsw,nlist=3".parse().unwrap();
    assert!(index::rows_within_memory(&wrong, &plan(&rows, Metric::L2, None)).is_err());
}

#[test]
fn a_graph_of_other_rows_is_refused() {
    let (bytes, _) = stored(&clustered(100, 8, 11, false), 8, DType::F32);
    let rows = Vectors::new(&bytes, 8, DType::F32).unwrap();
    let image = image("hnsw", &plan(&rows, Metric::L2, None));
    let index: Box<dyn Index> = open(&image).unwrap();
    let other = Vectors::new(&bytes, 4, DType::F32).unwrap();
    let asked = queries(&[0.0; 4], 4, DType::F32, Metric::L2);
    let result = find(index.as_ref(), &other, &asked, (1, effort(8, 8)), None);
    assert!(matches!(result, Err(IndexError::Mismatch(_))));
    let asked = queries(&[0.0; 8], 8, DType::F32, Metric::Cosine);
    let result = find(index.as_ref(), &rows, &asked, (1, effort(8, 8)), None);
    assert!(matches!(result, Err(IndexError::Mismatch(_))));
}
