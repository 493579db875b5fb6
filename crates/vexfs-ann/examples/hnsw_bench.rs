//! Measures the graph: `cargo run --release -p vexfs-ann --example hnsw_bench -- SPEC TRAIN TEST [K]`, with `hnsw` or
//! `hnsw,m=24,codes=sq4` as SPEC and two .npy files of u8 or f32 rows.
//!
//! Prints seconds of the build with two threads, bytes of the image, and for each effort recall@K, queries per second of one thread one
//! query at a time, p50 and p99 in microseconds, and distances computed for each query.

use std::collections::HashSet;
use std::path::Path;
use std::time::Instant;

use vexfs_ann::index::{self, Build, Effort, IndexSpec, Progress, Search, SearchStats};
use vexfs_ann::{DType, ExactScan, Metric, Queries, TopK, Vectors};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [spec, train, test, rest @ ..] = arguments.as_slice() else {
        return Err("SPEC TRAIN TEST [K]".into());
    };
    let k: usize = rest.first().map_or(Ok(10), |k| k.parse())?;
    let (dtype, dim, train) = npy(Path::new(train))?;
    let (test_dtype, _, test) = npy(Path::new(test))?;
    let rows = Vectors::new(&train, dim, dtype)?;
    let values: Vec<f32> = match test_dtype {
        DType::U8 => test.iter().map(|&byte| f32::from(byte)).collect(),
        _ => test.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
    };
    let queries = Queries::new(&values, dim, dtype, Metric::L2)?;
    let mut scan = ExactScan::new(&queries, k)?;
    scan.push(rows, 0, None);
    let truth: Vec<f64> = scan.finish().iter().map(|found| found[found.len() - 1].distance).collect();

    let quiet = Quiet(std::sync::Mutex::new(Instant::now()));
    let build = Build {
        rows: &rows,
        metric: Metric::L2,
        first_row: 0,
        end_row: rows.len() as u64,
        excluded: None,
        generation: 0,
        seed: 1,
        memory: u64::MAX,
        progress: &quiet,
    };
    let spec: IndexSpec = spec.parse()?;
    let mut image = Vec::with_capacity(1 << 28);
    let start = Instant::now();
    index::build(&spec, &build, &mut image)?;
    let seconds = start.elapsed().as_secs_f64();
    println!("{spec:?}: built in {seconds:.2} s, {} MB", image.len() / 1_000_000);
    let index = index::open(&image)?;
    index.verify(None, &|| false)?;

    let mut efforts: Vec<Effort> = index.efforts(k);
    efforts.retain(|effort| effort.effort as usize <= 40 * k);
    for effort in efforts {
        let single = Queries::new(&values, dim, dtype, Metric::L2)?;
        let search =
            Search { queries: &single, k, effort, rows: &rows, excluded: None, interrupted: &|| false };
        let (mut best, mut found, mut stats) = (f64::INFINITY, 0, SearchStats::default());
        let mut latencies = Vec::new();
        for _ in 0..5 {
            (found, stats) = (0, SearchStats::default());
            let mut times = Vec::with_capacity(queries.len());
            for (query, truth) in truth.iter().enumerate() {
                let mut top = [TopK::new(k)];
                let start = Instant::now();
                index.search(&search, query..query + 1, &mut top, &mut stats)?;
                times.push(start.elapsed().as_secs_f64());
                let [top] = top;
                let hits = top.into_sorted();
                assert_eq!(hits.iter().map(|hit| hit.row).collect::<HashSet<_>>().len(), hits.len());
                found += hits.iter().filter(|hit| hit.distance <= *truth).count();
            }
            let total: f64 = times.iter().sum();
            if total < best {
                best = total;
                times.sort_by(f64::total_cmp);
                latencies = times;
            }
        }
        println!(
            "ef {:>4} rerank {:>3}: recall {:.4}, {:>6.0} q/s, p50 {:.1} us, p99 {:.1} us, {:.0} distances",
            effort.effort,
            effort.rerank,
            found as f64 / (k * queries.len()) as f64,
            queries.len() as f64 / best,
            latencies[latencies.len() / 2] * 1e6,
            latencies[latencies.len() * 99 / 100] * 1e6,
            stats.distance_computations as f64 / queries.len() as f64,
        );
    }
    Ok(())
}

/// Prints how long each step took.
struct Quiet(std::sync::Mutex<Instant>);

impl Progress for Quiet {
    fn step(&self, stage: &'static str, done: u64, total: u64) {
        let mut last = self.0.lock().expect("no panic");
        if last.elapsed().as_secs_f64() > 0.05 {
            println!("  {:.2} s before {stage} {done}/{total}", last.elapsed().as_secs_f64());
        }
        *last = Instant::now();
    }

    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Type, dimension and body of a version 1 .npy file of two dimensions.
fn npy(path: &Path) -> Result<(DType, usize, Vec<u8>), Box<dyn std::error::Error>> {
    let file = std::fs::read(path)?;
    let body = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    let head = String::from_utf8_lossy(&file[10..body]).into_owned();
    let dtype = if head.contains("u1") { DType::U8 } else { DType::F32 };
    let shape =
        head.split_once("'shape': (").and_then(|(_, shape)| shape.split_once(')')).ok_or("no shape")?.0;
    let dim = shape.split(',').nth(1).ok_or("one dimension")?.trim().parse()?;
    Ok((dtype, dim, file[body..].to_vec()))
}
