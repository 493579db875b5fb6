//! Rows, images and answers for the tests.

use vexfs_ann::index::{self, Build, Effort, Index, Progress, Search, SearchStats};
use vexfs_ann::{DType, ExactScan, Metric, Neighbor, Queries, TopK, Vectors, reference};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Uniform in −1 .. 1.
    pub(crate) fn float(&mut self) -> f32 {
        (self.next() as i32) as f32 / 2f32.powi(31)
    }

    pub(crate) fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    /// Rows around a fiftieth as many centres.
    pub(crate) fn clustered(&mut self, count: usize, dim: usize) -> Vec<f32> {
        let centres = self.floats(count.div_ceil(50) * dim);
        let mut rows = Vec::with_capacity(count * dim);
        for _ in 0..count {
            let centre = (self.next() % count.div_ceil(50) as u64) as usize;
            rows.extend(centres[centre * dim..][..dim].iter().map(|value| value * 0.7 + self.float() * 0.3));
        }
        rows
    }
}

/// Numbers between −1 and 1 as stored elements.
pub(crate) fn store(dtype: DType, values: &[f32]) -> Vec<u8> {
    match dtype {
        DType::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        DType::F16 => values.iter().flat_map(|&x| half::f16::from_f32(x).to_le_bytes()).collect(),
        DType::BF16 => values.iter().flat_map(|&x| half::bf16::from_f32(x).to_le_bytes()).collect(),
        DType::I8 => values.iter().map(|&x| (x * 127.0).round() as i8 as u8).collect(),
        DType::U8 => values.iter().map(|&x| (x * 127.0 + 127.0).round() as u8).collect(),
        DType::B1 => values
            .chunks(8)
            .map(|x| x.iter().rev().fold(0, |bits, &x| bits << 1 | u8::from(x > 0.0)))
            .collect(),
    }
}

pub(crate) struct Silent;

impl Progress for Silent {
    fn step(&self, _: &'static str, _: u64, _: u64) {}
    fn is_interrupted(&self) -> bool {
        false
    }
}

pub(crate) fn plan<'a>(rows: &'a Vectors<'_>, metric: Metric) -> Build<'a> {
    Build {
        rows,
        metric,
        first_row: 0,
        end_row: rows.len() as u64,
        excluded: None,
        generation: 3,
        seed: 42,
        memory: 1 << 30,
        progress: &Silent,
    }
}

pub(crate) fn image(spec: &str, build: &Build<'_>) -> Vec<u8> {
    let mut image = Vec::new();
    index::build(&spec.parse().unwrap(), build, &mut image).unwrap();
    image
}

pub(crate) fn queries_of(dtype: DType, bytes: &[u8], dim: usize, metric: Metric) -> Queries {
    match dtype {
        DType::B1 => Queries::of_bits(bytes, dim).unwrap(),
        _ => Queries::new(&reference::widen(dtype, bytes), dim, dtype, metric).unwrap(),
    }
}

pub(crate) fn found(
    opened: &dyn Index,
    rows: &Vectors<'_>,
    queries: &Queries,
    k: usize,
    effort: Effort,
    excluded: Option<&[u64]>,
) -> Vec<Vec<Neighbor>> {
    found_at(opened, rows, queries, (k, effort), excluded).0
}

/// What is found, and what it cost.
pub(crate) fn found_at(
    opened: &dyn Index,
    rows: &Vectors<'_>,
    queries: &Queries,
    (k, effort): (usize, Effort),
    excluded: Option<&[u64]>,
) -> (Vec<Vec<Neighbor>>, SearchStats) {
    let search = Search { queries, k, effort, rows, excluded, interrupted: &|| false };
    let (mut tops, mut stats) = (vec![TopK::new(k); queries.len()], SearchStats::default());
    opened.search(&search, 0..queries.len(), &mut tops, &mut stats).unwrap();
    (tops.into_iter().map(TopK::into_sorted).collect(), stats)
}

pub(crate) fn truth(
    rows: Vectors<'_>,
    queries: &Queries,
    k: usize,
    excluded: Option<&[u64]>,
) -> Vec<Vec<Neighbor>> {
    let mut scan = ExactScan::new(queries, k).unwrap();
    scan.push(rows, 0, excluded);
    scan.finish()
}

/// Share of the true neighbours found, ties counted; every distance that is found is a true one.
pub(crate) fn recall(answers: &[Vec<Neighbor>], truth: &[Vec<Neighbor>]) -> f64 {
    let (mut found, mut wanted) = (0, 0);
    for (answer, truth) in answers.iter().zip(truth) {
        let farthest = truth.last().map_or(f64::NEG_INFINITY, |hit| hit.distance);
        found += answer.iter().filter(|hit| hit.distance <= farthest).count();
        wanted += truth.len();
        for hit in answer {
            let same = truth.iter().find(|other| other.row == hit.row);
            assert!(same.is_none_or(|other| other.distance == hit.distance), "{hit:?} {same:?}");
        }
    }
    if wanted == 0 { 1.0 } else { found as f64 / wanted as f64 }
}
