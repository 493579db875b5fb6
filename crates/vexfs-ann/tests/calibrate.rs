//! A calibration counts what an index finds, and the effort it chooses keeps its promise on queries it never saw.
#![allow(clippy::unwrap_used)]

use std::ops::Range;

use vexfs_ann::calibrate::{Calibration, Sample, measure};
use vexfs_ann::index::{Effort, IndexError, Search, SearchStats};
use vexfs_ann::{DType, ExactScan, Metric, Queries, TopK, Vectors};

/// SplitMix64 (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn floats(count: usize, seed: u64) -> Vec<f32> {
    (0..count as u64).map(|at| (mix(seed << 32 | at) >> 40) as f32 / (1 << 24) as f32).collect()
}

fn stored(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Answers from the rows whose number, scrambled, falls below `effort` of 1,000: a recall of `effort` / 1,000.
fn lottery(
    search: &Search<'_>,
    range: Range<usize>,
    tops: &mut [TopK],
    stats: &mut SearchStats,
) -> Result<(), IndexError> {
    let lost = |row: &u64| mix(*row) % 1000 >= u64::from(search.effort.effort) || search.is_excluded(*row);
    let rows = search.rows.rows(0..search.rows.len())?;
    let mut excluded = vec![0u64; rows.len().div_ceil(64)];
    (0..search.rows.len()).filter(lost).for_each(|row| excluded[row as usize / 64] |= 1 << (row % 64));
    let mut scan = ExactScan::new(search.queries, search.k).unwrap();
    scan.push(rows, 0, Some(&excluded));
    stats.distance_computations += range.len() as u64 * search.rows.len();
    for (hits, top) in scan.finish()[range].iter().zip(tops) {
        hits.iter().for_each(|hit| _ = top.offer(hit.row, hit.distance));
    }
    Ok(())
}

fn efforts(_: usize) -> Vec<Effort> {
    [250, 500, 750, 900, 1000].map(|effort| Effort { effort, rerank: 0 }).to_vec()
}

fn sample<'a>(rows: &'a Vectors<'_>, metric: Metric, excluded: Option<&'a [u64]>) -> Sample<'a> {
    Sample {
        rows,
        metric,
        first_row: 0,
        end_row: rows.len() as u64,
        excluded,
        seed: 7,
        queries: 150,
        interrupted: &|| false,
    }
}

fn recall(rows: Vectors<'_>, effort: Effort, k: usize) -> f64 {
    let queries = Queries::new(&floats(100 * rows.dim(), 99), rows.dim(), rows.dtype(), Metric::L2).unwrap();
    let mut scan = ExactScan::new(&queries, k).unwrap();
    scan.push(rows, 0, None);
    let truth = scan.finish();
    let search = Search { queries: &queries, k, effort, rows: &rows, excluded: None, interrupted: &|| false };
    let mut tops = vec![TopK::new(k); 100];
    lottery(&search, 0..100, &mut tops, &mut SearchStats::default()).unwrap();
    let answers = tops.into_iter().map(TopK::into_sorted);
    let found: usize = answers
        .zip(&truth)
        .map(|(hits, truth)| hits.iter().filter(|hit| hit.distance <= truth[k - 1].distance).count())
        .sum();
    found as f64 / (100 * k) as f64
}

#[test]
fn the_chosen_effort_keeps_the_promise_on_other_queries() {
    let bytes = stored(&floats(1200 * 8, 1));
    let rows = Vectors::new(&bytes, 8, DType::F32).unwrap();
    let calibration = measure(&sample(&rows, Metric::L2, None), &efforts, &lottery).unwrap();
    assert_eq!(calibration.curves.iter().map(|curve| curve.k).collect::<Vec<_>>(), [1, 10, 100]);
    for (curve, slack) in calibration.curves.iter().zip([0.12, 0.06, 0.03]) {
        for point in &curve.points {
            let measured = curve.recall(point, calibration.queries);
            let share = f64::from(point.effort.effort) / 1000.0;
            assert!((measured - share).abs() < slack, "k = {}: {share} gives {measured}", curve.k);
        }
    }
    // A promise holds for 95 of 100 sets of queries: of 15, one may fall short, by as little as chance makes of 100 queries.
    let mut short = Vec::new();
    for k in [1, 10, 30, 100, 150] {
        for target in [0.5, 0.7, 0.9] {
            let choice = calibration.choose(k, target).unwrap();
            let found = recall(rows, choice.effort, k);
            assert!(found >= target - 0.05, "k = {k}, {target}: {found} by {choice:?}");
            if found < target {
                short.push((k, target, found));
            }
        }
    }
    assert!(short.len() <= 1, "{short:?}");
    // Not merely by always taking everything.
    assert!(calibration.choose(10, 0.5).unwrap().effort.effort < 750);
}

#[test]
fn what_tells_nothing_is_not_measured() {
    let bytes = stored(&floats(1200 * 8, 1));
    let rows = Vectors::new(&bytes, 8, DType::F32).unwrap();
    let efforts = |_| {
        let efforts = [300, 400, 600, 700, 900, 945, 990, 991, 992, 996, 1000, 2000, 3000];
        efforts.map(|effort| Effort { effort, rerank: 0 }).to_vec()
    };
    let calibration = measure(&sample(&rows, Metric::L2, None), &efforts, &lottery).unwrap();
    let measured = |curve: usize| -> Vec<u32> {
        calibration.curves[curve].points.iter().map(|point| point.effort.effort).collect()
    };
    // Not 400, because 600 is little too; nothing behind what finds nearly everything.
    assert_eq!(measured(0), [300, 600, 700, 900, 945, 990]);
    // Nor what is little for a smaller k; not 991, because 990 and 992 give nearly the same; nothing behind what finds everything.
    assert_eq!(measured(1), [300, 900, 945, 990, 992, 996, 1000]);
    assert_eq!(measured(2), [300, 900, 945, 990, 992, 996, 1000]);
}

#[test]
fn the_rows_that_are_far_from_their_neighbours_are_asked_for() {
    // Two rows in three lie close together, every third far from all others; only the latter are found.
    let mut values = floats(600 * 8, 6);
    for (row, values) in values.chunks_exact_mut(8).enumerate() {
        let (scale, place) = if row % 3 == 0 { (100.0, 1000.0) } else { (0.01, 0.0) };
        values.iter_mut().for_each(|value| *value = *value * scale + place);
    }
    let bytes = stored(&values);
    let rows = Vectors::new(&bytes, 8, DType::F32).unwrap();
    let close: Vec<u64> = (0..600u64.div_ceil(64))
        .map(|word| (0..64).fold(0, |bits, at| bits | u64::from((word * 64 + at) % 3 != 0) << at))
        .collect();
    let lonely = |search: &Search<'_>, range: Range<usize>, tops: &mut [TopK], _: &mut SearchStats| {
        let mut scan = ExactScan::new(search.queries, search.k).unwrap();
        scan.push(search.rows.rows(0..search.rows.len())?, 0, Some(&close));
        for (hits, top) in scan.finish()[range].iter().zip(tops) {
            hits.iter().for_each(|hit| _ = top.offer(hit.row, hit.distance));
        }
        Ok(())
    };
    let calibration =
        measure(&sample(&rows, Metric::L2, None), &|k| efforts(k)[4..].to_vec(), &lonely).unwrap();
    assert_eq!(calibration.queries, 150);
    // Of the 300 that are drawn about 100 are lonely: a third of all, and two thirds of those that are asked for.
    for curve in &calibration.curves {
        let recall = curve.recall(&curve.points[0], calibration.queries);
        assert!((0.55..0.8).contains(&recall), "k = {}: {recall}", curve.k);
    }
}

#[test]
fn the_result_depends_on_seed_and_rows_alone() {
    let bytes = stored(&floats(700 * 4, 2));
    let rows = Vectors::new(&bytes, 4, DType::F32).unwrap();
    let with = |threads: usize, seed: u64| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let sample = Sample { seed, ..sample(&rows, Metric::Cosine, None) };
        pool.install(|| measure(&sample, &efforts, &lottery)).unwrap().to_bytes()
    };
    let one = with(1, 7);
    assert_eq!(one, with(2, 7));
    assert_eq!(one, with(5, 7));
    assert_ne!(one, with(2, 8));
    assert_eq!(Calibration::from_bytes(&one).unwrap().to_bytes(), one);
}

#[test]
fn deleted_rows_are_neither_queries_nor_answers() {
    let bytes = stored(&floats(640 * 4, 3));
    let rows = Vectors::new(&bytes, 4, DType::F32).unwrap();
    // What the index sees of the deleted rows would be found if the truth knew it.
    let excluded = vec![0x5555_5555_5555_5555u64; 10];
    let calibration = measure(&sample(&rows, Metric::L2, Some(&excluded)), &efforts, &lottery).unwrap();
    for curve in &calibration.curves {
        let last = curve.points.last().unwrap();
        assert_eq!(last.found, u64::from(curve.k) * 150);
        assert_eq!(last.found_squared, u64::from(curve.k) * last.found);
    }
    let all = vec![u64::MAX; 10];
    let nothing = measure(&sample(&rows, Metric::L2, Some(&all)), &efforts, &lottery).unwrap();
    assert_eq!((nothing.queries, nothing.curves.len()), (0, 0));
}

#[test]
fn few_and_equal_rows_are_measured_as_far_as_they_go() {
    for count in [0, 1, 2, 11, 12] {
        let bytes = stored(&vec![0.5; count * 3]);
        let rows = Vectors::new(&bytes, 3, DType::F32).unwrap();
        let calibration = measure(&sample(&rows, Metric::L2, None), &efforts, &lottery).unwrap();
        assert_eq!(calibration.queries as usize, count.div_ceil(2));
        assert_eq!(
            calibration.curves.len(),
            [0, 1, 2].into_iter().filter(|&i| 10usize.pow(i) < count).count()
        );
        for curve in &calibration.curves {
            assert_eq!(
                curve.points.last().unwrap().found,
                u64::from(curve.k * calibration.queries),
                "{count}"
            );
        }
    }
}

#[test]
fn bits_and_bytes_are_measured_too() {
    let bytes: Vec<u8> = (0..300 * 16).map(|at| mix(at) as u8).collect();
    for (dtype, dim, metric) in [
        (DType::B1, 128, Metric::Hamming),
        (DType::U8, 16, Metric::L2),
        (DType::I8, 16, Metric::InnerProduct),
    ] {
        let rows = Vectors::new(&bytes, dim, dtype).unwrap();
        let from_half = |k| efforts(k)[1..].to_vec();
        let calibration = measure(&sample(&rows, metric, None), &from_half, &lottery).unwrap();
        let curve = &calibration.curves[1];
        let measured = curve.recall(&curve.points[0], calibration.queries);
        assert!((measured - 0.5).abs() < 0.1, "{dtype} {measured}");
        assert_eq!(curve.points.last().unwrap().found, 1500);
    }
}

#[test]
fn errors_and_interruptions_come_out() {
    let bytes = stored(&floats(100 * 4, 5));
    let rows = Vectors::new(&bytes, 4, DType::F32).unwrap();
    let stopped = Sample { interrupted: &|| true, ..sample(&rows, Metric::L2, None) };
    assert!(matches!(measure(&stopped, &efforts, &lottery), Err(IndexError::Interrupted)));
    let broken = measure(&sample(&rows, Metric::L2, None), &efforts, &|_, _, _, _| {
        Err(IndexError::damaged(5, "on purpose"))
    });
    assert!(matches!(broken, Err(IndexError::Damaged { offset: 5, .. })));
    let infinite = stored(&[f32::INFINITY; 40]);
    let rows = Vectors::new(&infinite, 4, DType::F32).unwrap();
    assert!(matches!(
        measure(&sample(&rows, Metric::L2, None), &efforts, &lottery),
        Err(IndexError::Source(_))
    ));
}
