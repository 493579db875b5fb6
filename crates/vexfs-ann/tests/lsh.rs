//! An LSH index finds what it should, by every metric and element type, whatever the rows are like; its bytes depend on rows and
//! seed alone; an image that lies is an error.
#![allow(clippy::unwrap_used)]

#[path = "support/mod.rs"]
mod support;

use vexfs_ann::index::{self, Build, Effort, IndexError, IndexSpec, Search, SearchStats, rows_within_memory};
use vexfs_ann::{DType, Metric, Queries, TopK, Vectors};

use support::*;

fn all() -> Effort {
    Effort { effort: u32::MAX, rerank: 100 }
}

#[test]
fn each_metric_and_element_type_reaches_its_recall_with_part_of_the_rows() {
    const ROWS: usize = 4000;
    let dim = 32;
    let mut random = Random(1);
    let clustered = random.clustered(ROWS + 50, dim);
    let bits = random.clustered(ROWS + 50, 256);
    let cases = DType::ALL.into_iter().flat_map(|dtype| match dtype {
        DType::B1 => vec![(dtype, Metric::Hamming)],
        _ => [Metric::L2, Metric::Cosine, Metric::InnerProduct].map(|metric| (dtype, metric)).to_vec(),
    });
    for (dtype, metric) in cases {
        let (values, dim) = if dtype == DType::B1 { (&bits, 256) } else { (&clustered, dim) };
        let bytes = store(dtype, values);
        let at = ROWS * dtype.row_bytes(dim);
        let rows = Vectors::new(&bytes[..at], dim, dtype).unwrap();
        let queries = queries_of(dtype, &bytes[at..], dim, metric);
        let image = image("lsh", &plan(&rows, metric));
        let opened = index::open(&image).unwrap();
        opened.verify(None, &|| false).unwrap();
        let truth = truth(rows, &queries, 10, None);
        let search = |effort: Effort| {
            let asked = Search {
                queries: &queries,
                k: 10,
                effort,
                rows: &rows,
                excluded: None,
                interrupted: &|| false,
            };
            let (mut tops, mut stats) = (vec![TopK::new(10); 50], SearchStats::default());
            opened.search(&asked, 0..50, &mut tops, &mut stats).unwrap();
            let answers: Vec<_> = tops.into_iter().map(TopK::into_sorted).collect();
            (recall(&answers, &truth), stats.distance_computations as f64 / (50 * ROWS) as f64)
        };
        let efforts = opened.efforts(10);
        let reached = efforts.iter().map(|effort| search(*effort)).find(|(recall, _)| *recall >= 0.9);
        let (_, share) = reached.expect("enough effort finds nine in ten");
        assert!(share < 0.5, "{dtype} {metric}: recall 0.9 by {share} of the rows");
        let (recall, _) = search(*efforts.last().unwrap());
        assert!(recall >= 0.99, "{dtype} {metric}: {recall} at the end");
        let (recall, _) = search(opened.default_effort(10));
        assert!(recall > 0.6, "{dtype} {metric}: {recall} by default");
    }
}

/// Many queries look at what they want of the rows together: it changes neither what each finds nor what that costs.
#[test]
fn the_answer_to_a_query_does_not_depend_on_the_others() {
    const DIM: usize = 256;
    let values = Random(9).clustered(4020, DIM);
    for (dtype, metric) in [
        (DType::F32, Metric::L2),
        (DType::F32, Metric::InnerProduct),
        (DType::U8, Metric::Cosine),
        (DType::B1, Metric::Hamming),
    ] {
        let bytes = store(dtype, &values);
        let at = 4000 * dtype.row_bytes(DIM);
        let rows = Vectors::new(&bytes[..at], DIM, dtype).unwrap();
        let queries = queries_of(dtype, &bytes[at..], DIM, metric);
        let image = image("lsh", &plan(&rows, metric));
        let opened = index::open(&image).unwrap();
        let excluded = [0x5555_0000_ffff_0000; 4000 / 64];
        for effort in [1, 4, 32, u32::MAX].map(|effort| Effort { effort, rerank: 40 }) {
            let search = |range: std::ops::Range<usize>| {
                let asked = Search {
                    queries: &queries,
                    k: 10,
                    effort,
                    rows: &rows,
                    excluded: Some(&excluded),
                    interrupted: &|| false,
                };
                let (mut tops, mut stats) = (vec![TopK::new(10); range.len()], SearchStats::default());
                opened.search(&asked, range, &mut tops, &mut stats).unwrap();
                (tops.into_iter().map(TopK::into_sorted).collect::<Vec<_>>(), stats)
            };
            let (together, cost) = search(0..20);
            let (mut alone, mut cost_alone) = (Vec::new(), SearchStats::default());
            for query in 0..20 {
                let (found, stats) = search(query..query + 1);
                alone.extend(found);
                cost_alone.distance_computations += stats.distance_computations;
                cost_alone.reranked += stats.reranked;
            }
            assert_eq!(together, alone, "{dtype} {metric} {effort:?}");
            assert_eq!(cost, cost_alone, "{dtype} {metric} {effort:?}");
        }
    }
}

#[test]
fn any_rows_are_indexed_and_all_of_them_are_found() {
    let mut random = Random(2);
    let uniform = random.floats(300 * 8);
    let mut outliers = random.floats(300 * 8);
    outliers[8 * 7..8 * 9].fill(3e37);
    outliers[8 * 100] = -1e30;
    let mut ordered = random.clustered(300, 8);
    ordered.sort_by(f32::total_cmp);
    let mut duplicates = random.floats(30 * 8).repeat(10);
    duplicates.truncate(300 * 8);
    let mut zeros = random.floats(300 * 8);
    zeros[..8 * 20].fill(0.0);
    let cases = [
        ("nothing", 8, Vec::new()),
        ("one row", 8, random.floats(8)),
        ("k rows", 8, random.floats(10 * 8)),
        ("uniform", 8, uniform),
        ("outliers", 8, outliers),
        ("ordered", 8, ordered),
        ("duplicates", 8, duplicates),
        ("identical", 8, vec![0.25; 300 * 8]),
        ("all zero", 8, vec![0.0; 300 * 8]),
        ("some zero", 8, zeros),
        ("one dimension", 1, random.floats(300)),
        ("4096 dimensions", 4096, random.floats(12 * 4096)),
    ];
    for (name, dim, values) in &cases {
        for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
            let bytes = store(DType::F32, values);
            let rows = Vectors::new(&bytes, *dim, DType::F32).unwrap();
            let mut asked = random.floats(3 * dim);
            asked[..*dim].fill(0.0);
            let own = values.len().min(5 * dim);
            asked.extend(&values[..own]);
            let queries = Queries::new(&asked, *dim, DType::F32, metric).unwrap();
            for spec in ["lsh", "lsh,tables=2,bits=3", "lsh,tables=1,bits=32"] {
                let image = image(spec, &plan(&rows, metric));
                let opened = index::open(&image).unwrap();
                opened.verify(None, &|| false).unwrap();
                let truth = truth(rows, &queries, 10, None);
                let exact = found(&*opened, &rows, &queries, 10, all(), None);
                assert!(recall(&exact, &truth) >= 0.99, "{name} {metric} {spec}");
                for effort in [0, 1, 8, 100] {
                    let effort = Effort { effort, rerank: 0 };
                    for hits in found(&*opened, &rows, &queries, 10, effort, None) {
                        assert_eq!(hits.len(), rows.len().min(10), "{name} {metric} {spec} {effort:?}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_few_rows_of_huge_norm_are_found_by_inner_product() {
    let mut random = Random(3);
    let mut values = random.floats(2000 * 16);
    for giant in [5, 700, 1999] {
        values[giant * 16..][..16].iter_mut().for_each(|value| *value *= 1e4);
    }
    let bytes = store(DType::F32, &values);
    let rows = Vectors::new(&bytes, 16, DType::F32).unwrap();
    let queries = Queries::new(&random.floats(40 * 16), 16, DType::F32, Metric::InnerProduct).unwrap();
    let image = image("lsh", &plan(&rows, Metric::InnerProduct));
    let opened = index::open(&image).unwrap();
    let hits = found(&*opened, &rows, &queries, 1, Effort { effort: 1, rerank: 10 }, None);
    let truth = truth(rows, &queries, 1, None);
    assert!(recall(&hits, &truth) > 0.8, "the nearest is nearly always a giant");
    for (hits, truth) in hits.iter().zip(&truth) {
        assert!(truth[0].distance > -1000.0 || hits == truth, "{hits:?} {truth:?}");
    }
}

#[test]
fn what_is_excluded_is_not_found_and_the_rest_still_is() {
    let mut random = Random(4);
    let bytes = store(DType::F16, &random.clustered(3000, 16));
    let rows = Vectors::new(&bytes, 16, DType::F16).unwrap();
    let queries = Queries::new(&random.floats(30 * 16), 16, DType::F16, Metric::L2).unwrap();
    let image = image("lsh", &plan(&rows, Metric::L2));
    let opened = index::open(&image).unwrap();
    let excluding = |keep: &dyn Fn(u64) -> bool| {
        let mut words = vec![0u64; 3000usize.div_ceil(64)];
        (0..3000).filter(|row| !keep(*row)).for_each(|row| words[row as usize / 64] |= 1 << (row % 64));
        words
    };
    let third = excluding(&|row| row % 10 > 2);
    let most = excluding(&|row| row % 100 == 7);
    let everything = excluding(&|_| false);
    for (excluded, left, floor) in [(third, 2100, 0.7), (most, 30, 0.9), (everything, 0, 1.0)] {
        let truth = truth(rows, &queries, 10, Some(&excluded));
        let effort = opened.default_effort(10);
        let hits = found(&*opened, &rows, &queries, 10, effort, Some(&excluded));
        assert!(recall(&hits, &truth) >= floor, "{left} left: {}", recall(&hits, &truth));
        for hit in hits.iter().flatten() {
            assert!(excluded[hit.row as usize / 64] >> (hit.row % 64) & 1 == 0, "{hit:?}");
        }
        assert!(hits.iter().all(|hits| hits.len() == 10.min(left)));
    }
}

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
    let images = [image("lsh", &part(0, 400)), image("lsh", &part(400, 1000))];
    let mut tops = vec![TopK::new(10); 20];
    for image in &images {
        let opened = index::open(image).unwrap();
        opened.verify(Some(&excluded), &|| false).unwrap();
        assert!(opened.verify(None, &|| false).is_err(), "rows that nobody deleted are missing");
        let search = Search {
            queries: &queries,
            k: 10,
            effort: all(),
            rows: &rows,
            excluded: None,
            interrupted: &|| false,
        };
        opened.search(&search, 0..20, &mut tops, &mut SearchStats::default()).unwrap();
    }
    assert_eq!(index::open(&images[1]).unwrap().header().rows, 400..1000);
    let hits: Vec<_> = tops.into_iter().map(TopK::into_sorted).collect();
    assert_eq!(hits, truth(rows, &queries, 10, Some(&excluded)));
}

#[test]
fn the_bytes_depend_on_rows_and_seed_and_not_on_threads() {
    let mut random = Random(6);
    for (dtype, metric, dim) in [
        (DType::F32, Metric::L2, 20),
        (DType::U8, Metric::InnerProduct, 20),
        (DType::B1, Metric::Hamming, 160),
    ] {
        let bytes = store(dtype, &random.clustered(1500, dim));
        let rows = Vectors::new(&bytes, dim, dtype).unwrap();
        let with = |threads: usize, seed: u64| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| image("lsh", &Build { seed, ..plan(&rows, metric) }))
        };
        let one = with(1, 42);
        assert!(one == with(2, 42) && one == with(5, 42), "{dtype}");
        assert!(one != with(2, 43), "{dtype}");
    }
}

#[test]
fn images_that_lie_are_errors() {
    let mut random = Random(7);
    let bytes = store(DType::F32, &random.floats(60 * 4));
    let rows = Vectors::new(&bytes, 4, DType::F32).unwrap();
    for metric in [Metric::L2, Metric::InnerProduct] {
        let queries = Queries::new(&random.floats(8), 4, DType::F32, metric).unwrap();
        let good = image("lsh,tables=2,bits=4", &plan(&rows, metric));
        let mut errors = [0; 3];
        for at in 0..good.len() {
            for flip in [[0x01, 0x80], [0x7f, 0xff]][at % 2] {
                let mut bad = good.clone();
                bad[at] ^= flip;
                let Ok(opened) = index::open(&bad) else {
                    errors[0] += 1;
                    continue;
                };
                errors[1] += usize::from(opened.verify(None, &|| false).is_err());
                for effort in [Effort { effort: 4, rerank: 0 }, all()] {
                    let search = Search {
                        queries: &queries,
                        k: 3,
                        effort,
                        rows: &rows,
                        excluded: None,
                        interrupted: &|| false,
                    };
                    let mut tops = vec![TopK::new(3); 2];
                    let searched = opened.search(&search, 0..2, &mut tops, &mut SearchStats::default());
                    errors[2] += usize::from(searched.is_err());
                }
            }
        }
        assert!(errors.iter().all(|count| *count > 100), "{errors:?}");
        for len in (0..good.len()).step_by(97) {
            assert!(index::open(&good[..len].to_vec()).is_err());
        }
    }
}

#[test]
fn verify_finds_a_row_that_is_in_no_bucket() {
    let bytes = store(DType::U8, &Random(8).floats(100 * 4));
    let rows = Vectors::new(&bytes, 4, DType::U8).unwrap();
    let good = image("lsh,tables=1,bits=1", &plan(&rows, Metric::L2));
    // Row 55 appears once, as one of the numbers at the end of the only table.
    let places: Vec<usize> =
        (0..good.len() - 1024).step_by(4).filter(|at| good[*at..at + 4] == 55u32.to_le_bytes()).collect();
    let damaged = places.iter().filter(|at| {
        let mut bad = good.clone();
        bad[**at] = 54;
        index::open(&bad).is_ok_and(|opened| opened.verify(None, &|| false).is_err())
    });
    assert!(damaged.count() > 0);
}

#[test]
fn parameters_are_those_of_the_kind() {
    let bytes = store(DType::F32, &Random(9).floats(64 * 4));
    let rows = Vectors::new(&bytes, 4, DType::F32).unwrap();
    let error = |spec: &str, metric| {
        let spec: IndexSpec = spec.parse().unwrap();
        let build = plan(&rows, metric);
        assert!(rows_within_memory(&spec, &build).is_err());
        match index::build(&spec, &build, &mut Vec::new()) {
            Err(IndexError::Spec(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert!(error("lsh,nlist=5", Metric::L2).contains("it has tables, bits, width"));
    assert!(error("lsh,bits=33", Metric::L2).contains("from 1 to 32"));
    assert!(error("lsh,tables=0", Metric::L2).contains("from 1 to 64"));
    assert!(error("lsh,width=2", Metric::Cosine).contains("for l2, not for cosine"));
    let spec: IndexSpec = "lsh,tables=64".parse().unwrap();
    let little = Build { memory: 1 << 28, ..plan(&rows, Metric::L2) };
    let (few, many) = (
        rows_within_memory(&spec, &little).unwrap(),
        rows_within_memory(&"lsh".parse().unwrap(), &little).unwrap(),
    );
    assert!(0 < few && few < many, "{few} {many}");
    assert_eq!(rows_within_memory(&spec, &Build { memory: 0, ..little }).unwrap(), 1);
}
