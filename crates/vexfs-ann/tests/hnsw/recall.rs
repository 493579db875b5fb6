//! Recall on fixed data, and that a build does not depend on threads.

use vexfs_ann::index::open;
use vexfs_ann::{DType, Metric, Vectors};

use crate::data::{clustered, effort, find, image, plan, queries, recall, stored, truth};

const ROWS: usize = 1600;
const DIM: usize = 24;

#[test]
fn every_metric_and_type_finds_nearly_everything() {
    let values = clustered(ROWS, DIM, 1, false);
    let asked = clustered(100, DIM, 2, false);
    for (dtype, metrics) in [
        (DType::F32, &[Metric::L2, Metric::Cosine, Metric::InnerProduct][..]),
        (DType::F16, &[Metric::L2, Metric::Cosine]),
        (DType::BF16, &[Metric::L2, Metric::InnerProduct]),
        (DType::I8, &[Metric::L2, Metric::Cosine, Metric::InnerProduct]),
        (DType::U8, &[Metric::L2, Metric::Cosine, Metric::InnerProduct]),
    ] {
        let (bytes, _) = stored(&values, DIM, dtype);
        let rows = Vectors::new(&bytes, DIM, dtype).unwrap();
        for &metric in metrics {
            let queries = queries(&asked, DIM, dtype, metric);
            let truth = truth(rows, &queries, 10, None);
            // A few bits are too few for the angles between vectors that all point the same way.
            let is_narrow = dtype == DType::F32 || (dtype, metric) == (DType::U8, Metric::L2);
            let specs = [("hnsw", 0.99), ("hnsw,codes=sq4", 0.98)];
            for (spec, floor) in specs.into_iter().take(1 + usize::from(is_narrow)) {
                let image = image(spec, &plan(&rows, metric, None));
                let index = open(&image).unwrap();
                index.verify(None, &|| false).unwrap();
                let (found, stats) =
                    find(index.as_ref(), &rows, &queries, (10, effort(60, 30)), None).unwrap();
                let recall = recall(&found, &truth);
                assert!(recall >= floor, "{spec} {dtype} {metric}: recall {recall}");
                assert!(stats.distance_computations < (ROWS * 100 * 2 / 3) as u64, "{stats:?}");
                assert_eq!(stats.reranked, 30 * 100);
            }
        }
    }
}

#[test]
fn bits_are_found_by_hamming_distance() {
    let dim = 200;
    let values = clustered(ROWS, dim, 1, false);
    let (bytes, _) = stored(&values, dim, DType::B1);
    let rows = Vectors::new(&bytes, dim, DType::B1).unwrap();
    let queries = queries(&clustered(100, dim, 2, false), dim, DType::B1, Metric::Hamming);
    let image = image("hnsw", &plan(&rows, Metric::Hamming, None));
    let index = open(&image).unwrap();
    index.verify(None, &|| false).unwrap();
    let (found, _) = find(index.as_ref(), &rows, &queries, (10, effort(60, 20)), None).unwrap();
    let recall = recall(&found, &truth(rows, &queries, 10, None));
    assert!(recall >= 0.97, "recall {recall}");
}

#[test]
fn more_effort_finds_more_and_enough_finds_all() {
    let values = clustered(ROWS, DIM, 1, true);
    let (bytes, _) = stored(&values, DIM, DType::F32);
    let rows = Vectors::new(&bytes, DIM, DType::F32).unwrap();
    let queries = queries(&clustered(100, DIM, 2, false), DIM, DType::F32, Metric::L2);
    let truth = truth(rows, &queries, 5, None);
    let image = image("hnsw,m=4,ef_construction=16,alpha=1.0", &plan(&rows, Metric::L2, None));
    let index = open(&image).unwrap();
    let efforts = index.efforts(5);
    let (mut last, mut cost) = (0.0, 0);
    for &effort in &efforts {
        let (found, stats) = find(index.as_ref(), &rows, &queries, (5, effort), None).unwrap();
        let recall = recall(&found, &truth);
        assert!(
            recall > last - 0.02 && stats.distance_computations >= cost,
            "{effort:?}: {recall} {stats:?}"
        );
        (last, cost) = (recall, stats.distance_computations);
    }
    assert_eq!(last, 1.0, "{efforts:?}");
    assert!(efforts.contains(&index.default_effort(1)) || index.default_effort(5).effort >= 64);
}

#[test]
fn an_image_does_not_depend_on_the_number_of_threads() {
    for (dtype, metric, spec) in [
        (DType::F32, Metric::InnerProduct, "hnsw,m=6"),
        (DType::B1, Metric::Hamming, "hnsw"),
        (DType::U8, Metric::L2, "hnsw,codes=sq4"),
    ] {
        let (bytes, _) = stored(&clustered(ROWS, DIM, 1, false), DIM, dtype);
        let rows = Vectors::new(&bytes, DIM, dtype).unwrap();
        let of_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| image(spec, &plan(&rows, metric, None)))
        };
        let image = of_threads(1);
        assert!(image == of_threads(2) && image == of_threads(5), "{dtype} {metric}");
        let mut other = plan(&rows, metric, None);
        other.seed += 1;
        assert!(image != crate::data::image(spec, &other), "the seed decides nothing");
    }
}
