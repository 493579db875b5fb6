//! Many against many, at every level of this machine, against plain f64.

use super::coded::View;
use super::search::nearest_at;
use super::{Coded, Near, nearest, nearest_within};
use crate::simd::Level;
use crate::{DType, Metric, Vectors, reference};

const METRICS: [Metric; 3] = [Metric::L2, Metric::Cosine, Metric::InnerProduct];

/// The codes of `vectors`.
fn of_vectors(vectors: Vectors<'_>, metric: Metric) -> Coded {
    let mut coded = Coded::empty(vectors.dim(), metric);
    coded.extend(vectors);
    coded
}

/// Distance of two vectors of `coded`.
fn distance(coded: &Coded, a: usize, b: usize) -> f32 {
    let mut distances = Vec::new();
    coded.view().distances(a, coded.view(), &[b as u32], &mut distances);
    distances[0]
}

/// Numbers in −1 .. 1 (Numerical Recipes' quick generator).
fn numbers(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state as i32 as f32 / 2f32.powi(31)
    };
    (0..count).map(|_| next()).collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// What `nearest` should find for query `query`, one pair at a time.
fn by_hand(all: &Coded, query: usize, rows: View<'_>, k: usize, own: Option<usize>) -> Vec<Near> {
    let mut distances = Vec::new();
    all.view().distances(query, rows, &(0..rows.len() as u32).collect::<Vec<_>>(), &mut distances);
    let of_row = |(row, distance): (usize, f32)| Near { row: row as u32, distance };
    let mut found: Vec<Near> = distances.into_iter().enumerate().map(of_row).collect();
    found.retain(|near| own.is_none_or(|own| own + query != near.row as usize));
    found.sort_by(|a, b| a.distance.total_cmp(&b.distance).then(a.row.cmp(&b.row)));
    found.truncate(k);
    found
}

fn check(values: &[f32], dim: usize, k: usize) {
    for metric in METRICS {
        let coded = Coded::of_floats(values, dim, metric);
        let count = coded.len();
        for level in Level::tested() {
            let mut calls = 0;
            nearest_at(level, coded.view(), coded.view(), k, Some(0), |query, found| {
                assert_eq!(query, calls);
                let want = by_hand(&coded, query, coded.view(), k, Some(0));
                assert_eq!(found, want, "{level:?} {metric} d={dim} query {query} of {count}");
                calls += 1;
            });
            assert_eq!(calls, count);
        }
    }
}

#[test]
fn the_nearest_are_those_of_all_pairs_at_every_level_and_length() {
    for dim in (1..=70).chain([95, 96, 97, 127, 128, 129, 130, 784]) {
        check(&numbers(dim as u32, 43 * dim), dim, 1 + dim % 7);
    }
}

#[test]
fn within_a_bound_is_what_is_no_farther() {
    let dim = 33;
    for metric in METRICS {
        let coded = Coded::of_floats(&numbers(7, 700 * dim), dim, metric);
        let (queries, rows) = (coded.slice(0..600), coded.slice(600..700));
        let nearest = |query| by_hand(&coded, query, rows, 1, None)[0];
        let bound = |query: usize| match query % 4 {
            0 => nearest(query).distance,
            1 => nearest(query).distance.next_down(),
            2 => f32::INFINITY,
            _ => nearest(query).distance + 0.5,
        };
        let bounds: Vec<f32> = (0..600).map(bound).collect();
        let mut found = Vec::new();
        nearest_within(queries, rows, &bounds, |query, near| found.push((query, near)));
        let want: Vec<(usize, Near)> =
            (0..600).filter(|query| query % 4 != 1).map(|query| (query, nearest(query))).collect();
        assert_eq!(found, want, "{metric}");
    }
}

#[test]
fn the_nearest_are_right_where_nothing_can_be_ruled_out() {
    let dim = 40;
    let some = numbers(5, 60 * dim);
    // Far from the origin, where f32 cancels; minute; enormous; mixed; constant; zero; all the same.
    check(&some.iter().map(|x| x + 1e6).collect::<Vec<_>>(), dim, 3);
    check(&some.iter().map(|x| x * 1e-30).collect::<Vec<_>>(), dim, 3);
    check(&some.iter().map(|x| x * 1e-42).collect::<Vec<_>>(), dim, 3);
    check(&some.iter().map(|x| x * 3e38).collect::<Vec<_>>(), dim, 3);
    let mixed = |(i, x): (usize, &f32)| x * [1.0, 1e20, 1e-20, 0.0, 1e-44, f32::MAX][i / dim % 6];
    check(&some.iter().enumerate().map(mixed).collect::<Vec<_>>(), dim, 60);
    check(&(0..60 * dim).map(|i| (i / dim % 4) as f32).collect::<Vec<_>>(), dim, 5);
    check(&[some[..dim].repeat(50), some.clone()].concat(), dim, 7);
}

#[test]
fn blocks_of_rows_and_of_queries_do_not_show() {
    // More than one block of rows and more than one part of the queries.
    let (dim, count) = (2000, 700);
    let coded = Coded::of_floats(&numbers(9, dim * count), dim, Metric::L2);
    let rows = coded.slice(0..300);
    let mut all = Vec::new();
    nearest(coded.view(), rows, 4, None, |_, found| all.push(found.to_vec()));
    for query in (0..count).step_by(97) {
        assert_eq!(all[query], by_hand(&coded, query, rows, 4, None));
    }
    // Query i of the part is row 650 − 400 + i of the rows.
    nearest(coded.slice(650..700), coded.slice(400..700), 2, Some(250), |query, found| {
        let mut want = by_hand(&coded, 650 + query, coded.slice(400..700), 3, None);
        want.retain(|near| near.row as usize != 250 + query);
        want.truncate(2);
        assert_eq!(found, want);
    });
}

#[test]
fn coded_distances_are_close_to_true_ones() {
    for metric in METRICS {
        for (dim, shift) in [(1, 0.0), (3, 0.5), (100, 0.0), (784, 2.0), (4096, 0.0)] {
            let values: Vec<f32> = numbers(3, 6 * dim).iter().map(|x| x + shift).collect();
            let coded = Coded::of_floats(&values, dim, metric);
            let packed = bytes(&values);
            let row = |index: usize| &packed[index * 4 * dim..][..4 * dim];
            for (a, b) in [(0, 1), (2, 3), (4, 5), (1, 1)] {
                let query = &values[a * dim..][..dim];
                let want = reference::distance(metric, DType::F32, query, row(b));
                let norm = reference::dot(query, query).sqrt() + 1.0;
                // Each element is off by at most 1/254 of a range of 2.
                let (lost, far) = (2.0 / 254.0 * (dim as f64).sqrt(), (dim as f64).sqrt() * 2.0);
                let allowed = match metric {
                    Metric::L2 => 2.0 * lost * (far + lost) * 2.0,
                    Metric::InnerProduct => 2.0 * lost * (norm + far * (1.0 + f64::from(shift))),
                    _ => 8.0 * lost / norm,
                };
                let got = f64::from(distance(&coded, a, b));
                assert!((got - want).abs() <= allowed, "{metric} d={dim} {a} {b}: {got} is not {want}");
                assert_eq!(distance(&coded, a, b), distance(&coded, b, a));
                if metric == Metric::L2 && a == b {
                    assert_eq!(got, 0.0);
                }
            }
        }
    }
}

#[test]
fn small_whole_numbers_are_coded_without_loss() {
    let rows: Vec<u8> = vec![0, 127, 5, 9, 0, 0, 127, 100, 127, 127, 0, 1];
    let coded = of_vectors(Vectors::new(&rows, 4, DType::U8).unwrap(), Metric::L2);
    let want = |a: usize, b: usize| {
        let query: Vec<f32> = rows[a * 4..][..4].iter().map(|&x| f32::from(x)).collect();
        reference::distance(Metric::L2, DType::U8, &query, &rows[b * 4..][..4])
    };
    for (a, b) in [(0, 1), (0, 2), (1, 2), (2, 2)] {
        assert_eq!(f64::from(distance(&coded, a, b)), want(a, b));
    }
}

#[test]
fn a_zero_vector_is_at_cosine_distance_one() {
    let coded = Coded::of_floats(&[0.0, 0.0, 1.0, 2.0, -1.0, -2.0, 2.0, 4.0], 2, Metric::Cosine);
    assert_eq!((distance(&coded, 0, 1), distance(&coded, 0, 0)), (1.0, 1.0));
    assert!((distance(&coded, 1, 2) - 2.0).abs() < 1e-6 && distance(&coded, 1, 3) < 1e-6);
}

#[test]
fn codes_do_not_depend_on_the_level_or_on_the_way_in() {
    for (dtype, dim) in
        [DType::F32, DType::F16, DType::BF16, DType::I8, DType::U8].map(|t| [(t, 7), (t, 97)]).concat()
    {
        let values = numbers(8, 600 * dim);
        let rows: Vec<u8> = match dtype {
            DType::F32 => bytes(&values),
            DType::F16 => values.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect(),
            DType::BF16 => values.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect(),
            _ => values.iter().map(|&x| (x * 128.0) as i8 as u8).collect(),
        };
        let rows = Vectors::new(&rows, dim, dtype).unwrap();
        let mut whole = Coded::empty(dim, Metric::Cosine);
        whole.extend_at(Level::SCALAR, rows);
        for level in Level::tested() {
            let mut parts = Coded::empty(dim, Metric::Cosine);
            parts.extend_at(level, rows.slice(0..1));
            let mut rest = Coded::empty(dim, Metric::Cosine);
            rest.extend_at(level, rows.slice(1..600));
            parts.append(rest.view());
            same(&whole, &parts);
        }
        let wide: Vec<f32> = reference::widen(dtype, rows.bytes());
        same(&whole, &Coded::of_floats(&wide, dim, Metric::Cosine));
        let backwards: Vec<u32> = (0..600).rev().collect();
        same(&whole, &whole.gather(&backwards).gather(&backwards));
        assert_eq!(distance(&whole.gather(&[5, 5, 599]), 0, 2), distance(&whole, 5, 599));
    }
}

fn same(a: &Coded, b: &Coded) {
    assert_eq!((a.dim(), a.len()), (b.dim(), b.len()));
    assert!(a.view().codes == b.view().codes && a.view().shapes == b.view().shapes);
}

#[test]
fn fewer_rows_than_asked_for_or_none_are_no_trouble() {
    let coded = Coded::of_floats(&[1.0, 2.0, 3.0], 1, Metric::L2);
    let mut found = Vec::new();
    nearest(coded.view(), coded.slice(1..3), 9, None, |_, near| found.push(near.len()));
    nearest(coded.view(), coded.slice(0..0), 9, None, |_, near| found.push(near.len()));
    nearest(coded.view(), coded.view(), 0, None, |_, near| found.push(near.len()));
    assert_eq!(found, [2, 2, 2, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn a_vector_that_is_not_finite_is_far_from_everything() {
    let values = [1.0, 2.0, f32::NAN, 1.0, f32::INFINITY, 0.0, 1.0, 3.0];
    for metric in METRICS {
        let coded = Coded::of_floats(&values, 2, metric);
        assert_eq!(distance(&coded, 0, 2), f32::INFINITY, "{metric}");
        assert!(distance(&coded, 0, 3).is_finite());
    }
}
