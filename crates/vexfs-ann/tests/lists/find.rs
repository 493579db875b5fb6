//! What is found.

use std::ops::Range;
use std::sync::Mutex;

use vexfs_ann::index::{self, Effort, ImageBytes, IndexError, IndexSpec, Search, SearchStats};
use vexfs_ann::{DType, Metric, Queries, TopK, Vectors};

use crate::support::*;
use crate::{APPROXIMATE, SPECS};

const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];

#[test]
fn each_metric_and_element_type_reaches_its_recall_with_part_of_the_rows() {
    const ROWS: usize = 3000;
    let dim = 32;
    let mut random = Random(1);
    let clustered = random.clustered(ROWS + 40, dim);
    for dtype in [DType::F32, DType::F16, DType::BF16, DType::I8, DType::U8] {
        for metric in METRICS {
            let bytes = store(dtype, &clustered);
            let at = ROWS * dtype.row_bytes(dim);
            let rows = Vectors::new(&bytes[..at], dim, dtype).unwrap();
            let queries = queries_of(dtype, &bytes[at..], dim, metric);
            let truth = truth(rows, &queries, 10, None);
            for spec in APPROXIMATE {
                let image = image(spec, &plan(&rows, metric));
                let opened = index::open(&image).unwrap();
                opened.verify(None, &|| false).unwrap();
                let search = |effort: Effort| {
                    let asked = Search {
                        queries: &queries,
                        k: 10,
                        effort,
                        rows: &rows,
                        excluded: None,
                        interrupted: &|| false,
                    };
                    let (mut tops, mut stats) = (vec![TopK::new(10); 40], SearchStats::default());
                    opened.search(&asked, 0..40, &mut tops, &mut stats).unwrap();
                    let answers: Vec<_> = tops.into_iter().map(TopK::into_sorted).collect();
                    let compared =
                        if spec.starts_with("pq") { stats.reranked } else { stats.distance_computations };
                    (recall(&answers, &truth), compared as f64 / (40 * ROWS) as f64)
                };
                let efforts = opened.efforts(10);
                let reached =
                    efforts.iter().map(|effort| search(*effort)).find(|(recall, _)| *recall >= 0.95);
                let (_, share) = reached.expect("enough effort finds 19 of 20");
                assert!(share < 0.25, "{spec} {dtype} {metric}: recall 0.95 by {share} of the rows");
                let (recall, _) = search(*efforts.last().unwrap());
                assert!(recall >= 0.999, "{spec} {dtype} {metric}: {recall} at the end");
            }
        }
    }
}

#[test]
fn flat_is_brute_force_for_whatever_rows() {
    let mut random = Random(7);
    for (dtype, metric) in DType::ALL.into_iter().flat_map(|dtype| match dtype {
        DType::B1 => vec![(dtype, Metric::Hamming)],
        _ => METRICS.map(|metric| (dtype, metric)).to_vec(),
    }) {
        for dim in if dtype == DType::B1 { [8, 40, 200] } else { [1, 33, 200] } {
            let bytes = store(dtype, &random.clustered(900, dim));
            let rows = Vectors::new(&bytes, dim, dtype).unwrap();
            let image = image("flat", &plan(&rows, metric));
            let opened = index::open(&image).unwrap();
            opened.verify(None, &|| false).unwrap();
            assert!(opened.is_exact());
            for count in [1, 2, 3, 9, 40] {
                let asked = store(dtype, &random.clustered(count, dim));
                let queries = queries_of(dtype, &asked, dim, metric);
                let hits = found(&*opened, &rows, &queries, 7, opened.default_effort(7), None);
                assert_eq!(hits, truth(rows, &queries, 7, None), "{dtype} {metric} {dim} {count}");
            }
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
    outliers[8 * 200..8 * 202].fill(1e-35);
    let mut ordered = random.clustered(300, 8);
    ordered.sort_by(f32::total_cmp);
    let mut zeros = random.floats(300 * 8);
    zeros[..8 * 20].fill(0.0);
    let minute: Vec<f32> = uniform.iter().map(|value| value * 1e-41).collect();
    let enormous: Vec<f32> = uniform.iter().map(|value| value * 3e38).collect();
    let cases = [
        ("nothing", 8, Vec::new()),
        ("one row", 8, random.floats(8)),
        ("k rows", 8, random.floats(10 * 8)),
        ("uniform", 8, uniform),
        ("outliers", 8, outliers),
        ("minute", 8, minute),
        ("enormous", 8, enormous),
        ("ordered", 8, ordered),
        ("duplicates", 8, random.floats(30 * 8).repeat(10)),
        ("identical", 8, vec![0.25; 300 * 8]),
        ("all zero", 8, vec![0.0; 300 * 8]),
        ("some zero", 8, zeros),
        ("one dimension", 1, random.floats(300)),
        ("4096 dimensions", 4096, random.floats(12 * 4096)),
    ];
    for (name, dim, values) in &cases {
        for metric in METRICS {
            let bytes = store(DType::F32, values);
            let rows = Vectors::new(&bytes, *dim, DType::F32).unwrap();
            let mut asked = random.floats(4 * dim);
            asked[..*dim].fill(0.0);
            asked[*dim] = 3e38;
            asked.extend(&values[..values.len().min(5 * dim)]);
            let queries = Queries::new(&asked, *dim, DType::F32, metric).unwrap();
            let truth = truth(rows, &queries, 10, None);
            for spec in SPECS {
                let image = image(spec, &plan(&rows, metric));
                let opened = index::open(&image).unwrap();
                opened.verify(None, &|| false).unwrap();
                let everything = Effort { effort: u32::MAX, rerank: u32::MAX };
                let exact = found(&*opened, &rows, &queries, 10, everything, None);
                assert_eq!(exact, truth, "{name} {metric} {spec}");
                for effort in [0, 1, 8] {
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
    for size in [1e4, 1e25] {
        let mut values = random.floats(2000 * 16);
        for giant in [5, 700, 1999] {
            values[giant * 16..][..16].iter_mut().for_each(|value| *value *= size);
        }
        let bytes = store(DType::F32, &values);
        let rows = Vectors::new(&bytes, 16, DType::F32).unwrap();
        let queries = Queries::new(&random.floats(40 * 16), 16, DType::F32, Metric::InnerProduct).unwrap();
        for spec in SPECS {
            let image = image(spec, &plan(&rows, Metric::InnerProduct));
            let opened = index::open(&image).unwrap();
            let hits = found(&*opened, &rows, &queries, 1, Effort { effort: 2, rerank: 10 }, None);
            for (hits, truth) in hits.iter().zip(&truth(rows, &queries, 1, None)) {
                assert!(truth[0].distance > -1000.0 || hits == truth, "{spec}: {hits:?} {truth:?}");
            }
        }
    }
}

#[test]
fn what_is_excluded_is_not_found_and_the_rest_still_is() {
    let mut random = Random(4);
    let bytes = store(DType::F16, &random.clustered(3000, 16));
    let rows = Vectors::new(&bytes, 16, DType::F16).unwrap();
    let queries = Queries::new(&random.clustered(30, 16), 16, DType::F16, Metric::L2).unwrap();
    let excluding = |keep: &dyn Fn(u64) -> bool| {
        let mut words = vec![0u64; 3000usize.div_ceil(64)];
        (0..3000).filter(|row| !keep(*row)).for_each(|row| words[row as usize / 64] |= 1 << (row % 64));
        words
    };
    let third = excluding(&|row| row % 10 > 2);
    let most = excluding(&|row| row % 100 == 7);
    let block = excluding(&|row| row < 12);
    let everything = excluding(&|_| false);
    for spec in SPECS {
        let image = image(spec, &plan(&rows, Metric::L2));
        let opened = index::open(&image).unwrap();
        for (excluded, left) in [(&third, 2100), (&most, 30), (&block, 12), (&everything, 0)] {
            let truth = truth(rows, &queries, 10, Some(excluded));
            let effort = opened.default_effort(10);
            let hits = found(&*opened, &rows, &queries, 10, effort, Some(excluded));
            let reached = recall(&hits, &truth);
            assert!(reached >= 0.95, "{spec}, {left} left: {reached}");
            for hit in hits.iter().flatten() {
                assert!(excluded[hit.row as usize / 64] >> (hit.row % 64) & 1 == 0, "{hit:?}");
            }
            assert!(hits.iter().all(|hits| hits.len() == 10.min(left)), "{spec}, {left} left");
        }
    }
}

#[test]
fn the_answer_does_not_depend_on_the_company_of_a_query() {
    let mut random = Random(9);
    let bytes = store(DType::F32, &random.clustered(2500, 48));
    let rows = Vectors::new(&bytes, 48, DType::F32).unwrap();
    for metric in METRICS {
        let queries = Queries::new(&random.clustered(70, 48), 48, DType::F32, metric).unwrap();
        for spec in SPECS {
            let image = image(spec, &plan(&rows, metric));
            let opened = index::open(&image).unwrap();
            let effort = Effort { effort: 4, rerank: 12 };
            let together = found(&*opened, &rows, &queries, 10, effort, None);
            let search = Search {
                queries: &queries,
                k: 10,
                effort,
                rows: &rows,
                excluded: None,
                interrupted: &|| false,
            };
            for range in [0..1, 1..3, 3..17, 17..70] {
                let mut tops = vec![TopK::new(10); range.len()];
                opened.search(&search, range.clone(), &mut tops, &mut SearchStats::default()).unwrap();
                let alone: Vec<_> = tops.into_iter().map(TopK::into_sorted).collect();
                assert_eq!(alone, together[range], "{spec} {metric}");
            }
        }
    }
}

#[test]
fn candidates_that_are_estimated_to_be_too_far_are_passed_over_unless_more_are_asked_for() {
    const ROWS: usize = 4000;
    const DIM: usize = 48;
    let mut random = Random(5);
    let values = random.clustered(ROWS + 100, DIM);
    let bytes = store(DType::F32, &values);
    let rows = Vectors::new(&bytes[..4 * ROWS * DIM], DIM, DType::F32).unwrap();
    for metric in METRICS {
        let queries = Queries::new(&values[ROWS * DIM..], DIM, DType::F32, metric).unwrap();
        let truth = truth(rows, &queries, 10, None);
        for spec in ["ivf", "ivf,codes=sq4"] {
            let image = image(spec, &plan(&rows, metric));
            let opened = index::open(&image).unwrap();
            let usual = Effort { effort: 8, ..opened.default_effort(10) };
            let decided = |rerank: u32| {
                let effort = Effort { rerank, ..usual };
                let (found, stats) = found_at(&*opened, &rows, &queries, (10, effort), None);
                (recall(&found, &truth), stats.reranked as f64 / 100.0)
            };
            let (few, most) = (decided(usual.rerank), decided(ROWS as u32));
            let of = f64::from(usual.rerank);
            assert!((10.0..0.9 * of).contains(&few.1), "{spec} {metric}: {} of {of}", few.1);
            assert!(few.0 > most.0 - 0.005, "{spec} {metric}: {} of {}", few.0, most.0);
            let more = decided(20 * usual.rerank).1;
            assert!(more > 2.0 * few.1 && most.1 > more, "{spec} {metric}: {more} and {}", most.1);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let bytes = vec![0; 64];
    let bits = Vectors::new(&bytes, 64, DType::B1).unwrap();
    assert!(index::build(&"ivf".parse().unwrap(), &plan(&bits, Metric::Hamming), &mut Vec::new()).is_err());
    let rows = Vectors::new(&bytes, 8, DType::U8).unwrap();
    for spec in [
        "pq,nlist=2",
        "pq,nbits=5",
        "pq,pq_m=0",
        "ivf-pq,pq_m=9",
        "ivf,pq_m=2",
        "ivf,codes=pq",
        "ivf-pq,codes=sq4",
        "ivf,nlist=0",
        "ivf,lists=3",
        "flat,nlist=3",
        "ivf,nlist=x",
    ] {
        let spec: IndexSpec = spec.parse().unwrap();
        assert!(index::build(&spec, &plan(&rows, Metric::L2), &mut Vec::new()).is_err());
        assert!(index::rows_within_memory(&spec, &plan(&rows, Metric::L2)).is_err());
    }
    let image = image("ivf", &plan(&rows, Metric::L2));
    let opened = index::open(&image).unwrap();
    let queries = Queries::new(&[0.0; 8], 8, DType::U8, Metric::Cosine).unwrap();
    let search = Search {
        queries: &queries,
        k: 1,
        effort: opened.default_effort(1),
        rows: &rows,
        excluded: None,
        interrupted: &|| false,
    };
    assert!(opened.search(&search, 0..1, &mut [TopK::new(1)], &mut SearchStats::default()).is_err());
}

/// An image that notes what it is told to expect, and what is then read.
struct Noted<'a> {
    image: &'a [u8],
    expected: Mutex<Vec<Range<u64>>>,
    read: Mutex<Vec<Range<u64>>>,
}

impl ImageBytes for Noted<'_> {
    fn len(&self) -> u64 {
        self.image.len() as u64
    }
    fn bytes(&self, range: Range<u64>) -> Result<&[u8], IndexError> {
        self.read.lock().unwrap().push(range.clone());
        ImageBytes::bytes(self.image, range)
    }
    fn address(&self, at: u64) -> *const u8 {
        self.image.address(at)
    }
    fn expect(&self, ranges: &mut dyn Iterator<Item = Range<u64>>) {
        self.expected.lock().unwrap().extend(ranges);
    }
}

#[test]
fn all_lists_of_a_query_are_asked_for_before_the_first_is_read() {
    let mut random = Random(12);
    let bytes = store(DType::F32, &random.clustered(3000, 24));
    let rows = Vectors::new(&bytes, 24, DType::F32).unwrap();
    let query = Queries::new(&random.clustered(1, 24), 24, DType::F32, Metric::L2).unwrap();
    for spec in ["ivf,nlist=600", "ivf,nlist=40", "ivf,nlist=40,codes=rabitq", "ivf-pq,nlist=40"] {
        let image = image(spec, &plan(&rows, Metric::L2));
        let noted = Noted { image: &image, expected: Mutex::default(), read: Mutex::default() };
        let opened = index::open(&noted).unwrap();
        let is_told = |read: &Range<u64>| {
            let expected = noted.expected.lock().unwrap();
            expected.iter().any(|told| told.start <= read.start && read.end <= told.end)
        };
        noted.read.lock().unwrap().clear();
        found(&*opened, &rows, &query, 10, Effort { effort: 7, rerank: 40 }, None);
        let read = noted.read.lock().unwrap().clone();
        // Not what every search reads: giants and codewords.
        let untold: Vec<_> = read.iter().filter(|read| !read.is_empty() && !is_told(read)).collect();
        assert!(read.len() >= 14 && untold.len() <= 1, "{spec}: {untold:?} of {}", read.len());
    }
}
