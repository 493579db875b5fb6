//! Rows of every type, and what is asked of a graph over them.

use half::{bf16, f16};
use vexfs_ann::index::{self, Build, Effort, Index, IndexError, Progress, RowSource, Search, SearchStats};
use vexfs_ann::{DType, ExactScan, Metric, Neighbor, Queries, TopK, Vectors};

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
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

/// `count` × `dim` numbers within −1.4 .. 1.4 around 40 centres, side by side if `ordered`.
pub(crate) fn clustered(count: usize, dim: usize, seed: u64, ordered: bool) -> Vec<f32> {
    let mut random = Random(77);
    let centres: Vec<f32> = (0..40 * dim).map(|_| random.float()).collect();
    let mut random = Random(seed);
    let mut values = Vec::with_capacity(count * dim);
    for row in 0..count {
        let centre = if ordered { row * 40 / count } else { random.next() as usize % 40 };
        values.extend(centres[centre * dim..][..dim].iter().map(|c| c + 0.4 * random.float()));
    }
    values
}

/// `values` within −1.5 .. 1.5 as stored elements, and as the numbers that those are.
pub(crate) fn stored(values: &[f32], dim: usize, dtype: DType) -> (Vec<u8>, Vec<f32>) {
    let scaled = |by: f32, add: f32| values.iter().map(move |value| (value * by + add).round());
    match dtype {
        DType::F32 => (values.iter().flat_map(|value| value.to_le_bytes()).collect(), values.to_vec()),
        DType::F16 => {
            let halves = || values.iter().map(|value| f16::from_f32(*value));
            (halves().flat_map(f16::to_le_bytes).collect(), halves().map(f16::to_f32).collect())
        }
        DType::BF16 => {
            let halves = || values.iter().map(|value| bf16::from_f32(*value));
            (halves().flat_map(bf16::to_le_bytes).collect(), halves().map(bf16::to_f32).collect())
        }
        DType::I8 => {
            (scaled(80.0, 0.0).map(|value| value as i8 as u8).collect(), scaled(80.0, 0.0).collect())
        }
        DType::U8 => (scaled(80.0, 127.0).map(|value| value as u8).collect(), scaled(80.0, 127.0).collect()),
        DType::B1 => {
            let row = |row: &[f32]| {
                let mut bytes = vec![0u8; dim.div_ceil(8)];
                for (at, _) in row.iter().enumerate().filter(|(_, value)| **value > 0.0) {
                    bytes[at / 8] |= 1 << (at % 8);
                }
                bytes
            };
            (values.chunks_exact(dim).flat_map(row).collect(), Vec::new())
        }
    }
}

/// Queries of `values` for rows of `dtype`.
pub(crate) fn queries(values: &[f32], dim: usize, dtype: DType, metric: Metric) -> Queries {
    let (bytes, values) = stored(values, dim, dtype);
    match dtype {
        DType::B1 => Queries::of_bits(&bytes, dim).unwrap(),
        _ => Queries::new(&values, dim, dtype, metric).unwrap(),
    }
}

/// Says nothing and never stops.
pub(crate) struct Silent;

impl Progress for Silent {
    fn step(&self, _: &'static str, _: u64, _: u64) {}

    fn is_interrupted(&self) -> bool {
        false
    }
}

/// A build of all of `rows`.
pub(crate) fn plan<'a>(rows: &'a dyn RowSource, metric: Metric, excluded: Option<&'a [u64]>) -> Build<'a> {
    Build {
        rows,
        metric,
        first_row: 0,
        end_row: rows.len(),
        excluded,
        generation: 3,
        seed: 5,
        memory: 1 << 30,
        progress: &Silent,
    }
}

/// The image of a graph.
pub(crate) fn image(spec: &str, build: &Build<'_>) -> Vec<u8> {
    let mut image = Vec::new();
    index::build(&spec.parse().unwrap(), build, &mut image).unwrap();
    image
}

/// What `index` finds.
pub(crate) fn find(
    index: &dyn Index,
    rows: &dyn RowSource,
    queries: &Queries,
    (k, effort): (usize, Effort),
    excluded: Option<&[u64]>,
) -> Result<(Vec<Vec<Neighbor>>, SearchStats), IndexError> {
    let search = Search { queries, k, effort, rows, excluded, interrupted: &|| false };
    let mut tops = vec![TopK::new(k); queries.len()];
    let mut stats = SearchStats::default();
    index.search(&search, 0..queries.len(), &mut tops, &mut stats)?;
    Ok((tops.into_iter().map(TopK::into_sorted).collect(), stats))
}

/// The answer of brute force.
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

/// Share of the true neighbours that were found; a neighbour no farther than the last of them is one.
pub(crate) fn recall(found: &[Vec<Neighbor>], truth: &[Vec<Neighbor>]) -> f64 {
    let (mut right, mut all) = (0, 0);
    for (found, truth) in found.iter().zip(truth) {
        let farthest = truth.last().map_or(0.0, |last| last.distance);
        right += found.iter().filter(|hit| hit.distance <= farthest).count();
        all += truth.len();
        assert!(found.len() <= truth.len());
        assert!(
            found.iter().enumerate().all(|(at, hit)| found[..at].iter().all(|other| other.row != hit.row))
        );
    }
    right as f64 / all as f64
}

/// An effort.
pub(crate) fn effort(ef: u32, rerank: u32) -> Effort {
    Effort { effort: ef, rerank }
}
