//! Measures an index kind on a data set, and how its calibration keeps its promise:
//! `cargo run --release -p vexfs-ann --example index_bench -- TRAIN.npy TEST.npy SPEC [METRIC]`.
//!
//! The arrays are two-dimensional, of f32 or u8. Printed are the recall of each effort beside the queries per second of
//! one thread, and for each recall asked for the effort that the calibration chose with the recall that the test queries got.

use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use vexfs_ann::calibrate::{DEFAULT_QUERIES, Sample, measure};
use vexfs_ann::index::{self, Build, Effort, Index, IndexSpec, Progress, Search, SearchStats};
use vexfs_ann::{DType, ExactScan, Metric, Neighbor, Queries, TopK, Vectors, reference};

const KS: [usize; 3] = [1, 10, 100];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [train, test, spec, metric @ ..] = arguments.as_slice() else {
        return Err("TRAIN.npy TEST.npy SPEC [l2|cosine|ip] are expected".into());
    };
    let metric = match metric.first().map(String::as_str) {
        Some("cosine") => Metric::Cosine,
        Some("ip") => Metric::InnerProduct,
        _ => Metric::L2,
    };
    let (train, test) = (Npy::read(Path::new(train))?, Npy::read(Path::new(test))?);
    let rows = Vectors::new(&train.body, train.dim, train.dtype)?;
    let queries = Queries::new(&reference::widen(test.dtype, &test.body), test.dim, train.dtype, metric)?;

    let spec: IndexSpec = spec.parse()?;
    let stages = Stages::default();
    let build = Build {
        rows: &rows,
        metric,
        first_row: 0,
        end_row: rows.len() as u64,
        excluded: None,
        generation: 1,
        seed: 42,
        memory: 4 << 30,
        progress: &stages,
    };
    let (mut image, start) = (Vec::new(), Instant::now());
    index::build(&spec, &build, &mut image)?;
    let share = image.len() as f64 / train.body.len() as f64;
    println!(
        "built in {:.2} s, {} bytes, {share:.2} of the rows",
        start.elapsed().as_secs_f64(),
        image.len()
    );
    stages.print();
    let start = Instant::now();
    let opened = index::open(&image)?;
    println!("opened in {:.0} us", start.elapsed().as_secs_f64() * 1e6);
    opened.verify(None, &|| false)?;

    let truth = truth(rows, &queries)?;
    for effort in opened.efforts(10) {
        print(&*opened, &rows, &queries, &truth, 10, effort)?;
    }
    let sample = Sample {
        rows: &rows,
        metric,
        first_row: 0,
        end_row: rows.len() as u64,
        excluded: None,
        seed: 42,
        queries: DEFAULT_QUERIES,
        interrupted: &|| false,
    };
    let start = Instant::now();
    let calibration = measure(&sample, &|k| opened.efforts(k), &|search, range, tops, stats| {
        opened.search(search, range, tops, stats)
    })?;
    println!("calibrated in {:.2} s", start.elapsed().as_secs_f64());
    for k in [1, 5, 10, 30, 100] {
        for wanted in [0.8, 0.9, 0.95, 0.98, 0.99, 0.995] {
            print!("recall@{k} of {wanted}: ");
            match calibration.choose(k, wanted) {
                None => println!("not promised"),
                Some(choice) => print(&*opened, &rows, &queries, &truth, k, choice.effort)?,
            }
        }
    }
    Ok(())
}

fn truth(rows: Vectors<'_>, queries: &Queries) -> Result<Vec<Vec<Neighbor>>, vexfs_ann::AnnError> {
    let mut scan = ExactScan::new(queries, KS[2])?;
    scan.push(rows, 0, None);
    Ok(scan.finish())
}

/// Searches with one effort, one query at a time, and prints what came of it.
fn print(
    opened: &dyn Index,
    rows: &Vectors<'_>,
    queries: &Queries,
    truth: &[Vec<Neighbor>],
    k: usize,
    effort: Effort,
) -> Result<(), index::IndexError> {
    let search = Search { queries, k, effort, rows, excluded: None, interrupted: &|| false };
    let mut stats = SearchStats::default();
    let (mut found, start) = (0, Instant::now());
    for (query, truth) in truth.iter().enumerate() {
        let mut top = [TopK::new(k)];
        opened.search(&search, query..query + 1, &mut top, &mut stats)?;
        let [top] = top;
        found += top.into_sorted().iter().filter(|hit| hit.distance <= truth[k - 1].distance).count();
    }
    let (seconds, count) = (start.elapsed().as_secs_f64(), queries.len() as f64);
    println!(
        "{} {} rerank {}: recall@{k} {:.4}, {:.0} queries/s, {:.0} distances, {:.0} full rows",
        opened.effort_name(),
        effort.effort,
        effort.rerank,
        found as f64 / (count * k as f64),
        count / seconds,
        stats.distance_computations as f64 / count,
        stats.reranked as f64 / count,
    );
    Ok(())
}

/// Notes when each stage of the build began: the first step it reports.
#[derive(Default)]
struct Stages(Mutex<Vec<(&'static str, Instant)>>);

impl Progress for Stages {
    fn step(&self, stage: &'static str, _: u64, _: u64) {
        let mut stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The steps of linking differ too much to be counted together.
        if stage == "linking" || stages.last().is_none_or(|(last, _)| *last != stage) {
            stages.push((stage, Instant::now()));
        }
    }
    fn is_interrupted(&self) -> bool {
        false
    }
}

impl Stages {
    fn print(&self) {
        let stages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ends = stages.iter().skip(1).map(|(_, begun)| *begun).chain([Instant::now()]);
        for ((stage, begun), end) in stages.iter().zip(ends) {
            println!("  {stage}: {:.2} s", (end - *begun).as_secs_f64());
        }
    }
}

/// The rows of a version 1 .npy file of two dimensions.
struct Npy {
    body: Vec<u8>,
    dim: usize,
    dtype: DType,
}

impl Npy {
    fn read(path: &Path) -> io::Result<Self> {
        let file = std::fs::read(path)?;
        let start = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
        let header = String::from_utf8_lossy(&file[10..start]);
        let dtype = if header.contains("f4") { DType::F32 } else { DType::U8 };
        let dim = header.split("'shape': (").nth(1).and_then(|shape| shape.split([',', ')']).nth(1));
        let dim = dim.and_then(|dim| dim.trim().parse().ok());
        let dim = dim.ok_or_else(|| io::Error::other("an array of two dimensions is expected"))?;
        Ok(Self { body: file[start..].to_vec(), dim, dtype })
    }
}
