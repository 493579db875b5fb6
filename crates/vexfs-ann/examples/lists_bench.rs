//! Measures an index of inverted lists, or any other kind: build time, bytes, and recall against speed.
//!
//! Usage: `lists_bench PREFIX DIM SPEC [MOST_RECALL [BATCHES [SINGLES]]]`, where `PREFIX.base` and `PREFIX.query` hold packed f32 and
//! `PREFIX.gt` 100 true neighbours of each query, i32. One thread; the build uses those of `RAYON_NUM_THREADS`.

use std::error::Error;
use std::ops::Range;
use std::time::Instant;

use vexfs_ann::index::{
    self, Build, Effort, ImageBytes, Index, IndexError, IndexSpec, Progress, RowSource, Search, SearchStats,
};
use vexfs_ann::{DType, Metric, Queries, TopK, Vectors};

const K: usize = 10;

struct Silent;

impl Progress for Silent {
    fn step(&self, _: &'static str, _: u64, _: u64) {}
    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Bytes at an address that is a multiple of 64, as those of a mapped file are.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
}

impl Aligned {
    fn new(image: &[u8]) -> Self {
        let mut bytes = vec![0; image.len() + 64];
        let start = bytes.as_ptr().align_offset(64);
        bytes[start..start + image.len()].copy_from_slice(image);
        Self { bytes, start, len: image.len() }
    }
}

impl ImageBytes for Aligned {
    fn len(&self) -> u64 {
        self.len as u64
    }
    fn bytes(&self, range: Range<u64>) -> Result<&[u8], IndexError> {
        self.bytes[self.start..self.start + self.len].bytes(range)
    }
    fn address(&self, at: u64) -> *const u8 {
        self.bytes[self.start..].address(at)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [prefix, dim, spec] =
        args.get(..3).ok_or("usage: lists_bench PREFIX DIM SPEC [MOST_RECALL [BATCHES [SINGLES]]]")?
    else {
        unreachable!("three were taken")
    };
    let most: f64 = args.get(3).map_or(Ok(0.999), |most| most.parse())?;
    let passes = |at: usize, usual: usize| args.get(at).map_or(Ok(usual), |passes| passes.parse());
    let passes = (passes(4, 5)?, passes(5, 3)?);
    let (dim, spec): (usize, IndexSpec) = (dim.parse()?, spec.parse()?);
    let base = std::fs::read(format!("{prefix}.base"))?;
    let rows = Vectors::new(&base, dim, DType::F32)?;
    let floats = |bytes: Vec<u8>| -> Vec<f32> {
        bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    };
    let queries = floats(std::fs::read(format!("{prefix}.query"))?);
    let truth = std::fs::read(format!("{prefix}.gt"))?;
    let truth: Vec<u64> =
        truth.as_chunks::<4>().0.iter().map(|bytes| u64::from(u32::from_le_bytes(*bytes))).collect();

    let build = Build {
        rows: &rows,
        metric: Metric::L2,
        first_row: 0,
        end_row: rows.len() as u64,
        excluded: None,
        generation: 1,
        seed: 1,
        memory: 4 << 30,
        progress: &Silent,
    };
    let mut image = Vec::new();
    let start = Instant::now();
    index::build(&spec, &build, &mut image)?;
    println!(
        "built in {:.2} s, {} bytes, {:.4} of the rows",
        start.elapsed().as_secs_f64(),
        image.len(),
        image.len() as f64 / base.len() as f64
    );
    let image = Aligned::new(&image);
    let index = index::open(&image)?;
    let start = Instant::now();
    index.verify(None, &|| false)?;
    println!("verified in {:.3} s", start.elapsed().as_secs_f64());
    for effort in index.efforts(K) {
        let reached = measure(&*index, &rows, (&queries, &truth), effort, passes)?;
        if reached > most {
            break;
        }
    }
    Ok(())
}

/// Prints a line about an effort, from some passes over the queries in a batch and one by one; returns the recall.
fn measure(
    index: &dyn Index,
    rows: &dyn RowSource,
    (queries, truth): (&[f32], &[u64]),
    effort: Effort,
    (batches, singles): (usize, usize),
) -> Result<f64, Box<dyn Error>> {
    let dim = rows.dim();
    let answer = |values: &[f32]| -> Result<(Vec<TopK>, SearchStats), Box<dyn Error>> {
        let queries = Queries::new(values, dim, rows.dtype(), Metric::L2)?;
        let search = Search { queries: &queries, k: K, effort, rows, excluded: None, interrupted: &|| false };
        let (mut tops, mut stats) = (vec![TopK::new(K); queries.len()], SearchStats::default());
        index.search(&search, 0..queries.len(), &mut tops, &mut stats)?;
        Ok((tops, stats))
    };
    let count = queries.len() / dim;
    let mut answers = answer(queries)?;
    let mut batch = f64::INFINITY;
    for _ in 0..batches {
        let start = Instant::now();
        answers = answer(queries)?;
        batch = batch.min(start.elapsed().as_secs_f64());
    }
    let mut times = vec![f64::INFINITY; count];
    for _ in 0..singles {
        for (query, time) in queries.chunks_exact(dim).zip(&mut times) {
            let start = Instant::now();
            answer(query)?;
            *time = time.min(start.elapsed().as_secs_f64());
        }
    }
    times.sort_by(f64::total_cmp);
    let found: usize = answers
        .0
        .into_iter()
        .zip(truth.chunks_exact(100))
        .map(|(top, truth)| top.into_sorted().iter().filter(|hit| truth[..K].contains(&hit.row)).count())
        .sum();
    let recall = found as f64 / (K * count) as f64;
    println!(
        "{} {:5} rerank {:4}: recall {recall:.4}  batch {:8.0} q/s  single {:7.0} q/s, p50 {:6.1} us, p99 {:6.1} us  {:6} codes, {:4} rows",
        index.effort_name(),
        effort.effort,
        effort.rerank,
        count as f64 / batch,
        count as f64 / times.iter().sum::<f64>(),
        times[count / 2] * 1e6,
        times[count * 99 / 100] * 1e6,
        (answers.1.distance_computations - answers.1.reranked) / count as u64,
        answers.1.reranked / count as u64,
    );
    Ok(recall)
}
