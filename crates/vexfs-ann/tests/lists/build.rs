//! What is written.

use vexfs_ann::index::{self, Build, Effort, Search, SearchStats};
use vexfs_ann::{DType, Metric, Queries, TopK, Vectors};

use crate::SPECS;
use crate::support::*;

#[test]
fn rows_deleted_before_the_build_are_left_out_and_parts_keep_their_numbers() {
    let mut random = Random(5);
    let bytes = store(DType::F32, &random.floats(1000 * 8));
    let rows = Vectors::new(&bytes, 8, DType::F32).unwrap();
    let queries = Queries::new(&random.floats(20 * 8), 8, DType::F32, Metric::Cosine).unwrap();
    let mut excluded = vec![0u64; 16];
    (0..1000usize).filter(|row| row % 3 == 0).for_each(|row| excluded[row / 64] |= 1 << (row % 64));
    let whole = plan(&rows, Metric::Cosine);
    let part = |first_row, end_row| Build { first_row, end_row, excluded: Some(&excluded), ..whole };
    for spec in SPECS {
        let images = [image(spec, &part(0, 400)), image(spec, &part(400, 1000))];
        let mut tops = vec![TopK::new(10); 20];
        for image in &images {
            let opened = index::open(image).unwrap();
            opened.verify(Some(&excluded), &|| false).unwrap();
            assert!(opened.verify(None, &|| false).is_err(), "{spec}: rows that nobody deleted are missing");
            let search = Search {
                queries: &queries,
                k: 10,
                effort: Effort { effort: u32::MAX, rerank: u32::MAX },
                rows: &rows,
                excluded: Some(&excluded),
                interrupted: &|| false,
            };
            opened.search(&search, 0..20, &mut tops, &mut SearchStats::default()).unwrap();
        }
        assert_eq!(index::open(&images[1]).unwrap().header().rows, 400..1000);
        let hits: Vec<_> = tops.into_iter().map(TopK::into_sorted).collect();
        assert_eq!(hits, truth(rows, &queries, 10, Some(&excluded)), "{spec}");
    }
}

#[test]
fn the_bytes_depend_on_rows_and_seed_and_not_on_threads_or_memory() {
    let mut random = Random(6);
    for (dtype, metric, dim) in
        [(DType::F32, Metric::L2, 70), (DType::U8, Metric::InnerProduct, 8), (DType::F16, Metric::Cosine, 33)]
    {
        let bytes = store(dtype, &random.clustered(1200, dim));
        let rows = Vectors::new(&bytes, dim, dtype).unwrap();
        for spec in SPECS {
            let with = |threads: usize, seed: u64, memory: u64| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| image(spec, &Build { seed, memory, ..plan(&rows, metric) }))
            };
            let one = with(1, 42, 1 << 30);
            assert!(one == with(2, 42, 1 << 30) && one == with(5, 42, 1 << 20), "{spec} {dtype}");
            assert!(spec == "flat" || one != with(2, 43, 1 << 30), "{spec} {dtype}");
        }
    }
}

#[test]
fn an_interrupted_build_is_an_error() {
    struct Stop;
    impl index::Progress for Stop {
        fn step(&self, _: &'static str, _: u64, _: u64) {}
        fn is_interrupted(&self) -> bool {
            true
        }
    }
    let bytes = store(DType::F32, &Random(8).floats(600 * 4));
    let rows = Vectors::new(&bytes, 4, DType::F32).unwrap();
    for spec in SPECS {
        let build = Build { progress: &Stop, ..plan(&rows, Metric::L2) };
        let built = index::build(&spec.parse().unwrap(), &build, &mut Vec::new());
        assert!(matches!(built, Err(index::IndexError::Interrupted)), "{spec}");
    }
}
