//! Measures exact search: `cargo run --release -p vexfs-ann --example exact_bench -- [PART ...] [DIRECTORY]`.
//!
//! Parts: `single` (one query over 1 GiB of rows, against the rate at which one thread reads memory), `seed` (10,000 × 128
//! uniform rows) and, given a directory that holds `fashion-mnist.train.npy` and `fashion-mnist.test.npy`, `fmnist`. All by
//! default. Each figure is the best of several runs, by one and by two threads.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::Instant;

use vexfs_ann::{DType, ExactScan, Level, Metric, Neighbor, Queries, Vectors};

const K: usize = 10;

fn main() -> std::io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let directory = arguments.iter().map(PathBuf::from).find(|path| path.is_dir());
    let wants = |part: &str| {
        let named =
            arguments.iter().any(|argument| ["single", "seed", "fmnist"].contains(&argument.as_str()));
        !named || arguments.iter().any(|argument| argument == part)
    };
    println!("instructions: {:?}", Level::best());
    if wants("single") {
        single();
    }
    if wants("seed") {
        seed();
    }
    if let (true, Some(directory)) = (wants("fmnist"), directory) {
        fashion_mnist(&directory)?;
    }
    Ok(())
}

/// One query, one thread, 512 MiB of rows.
///
/// Reading and scanning alternate, because other work on the machine moves both; the share is the median of the rounds.
fn single() {
    const BYTES: usize = 512 << 20;
    const ROUNDS: usize = 9;
    let mut random = Random(7);
    for (dtype, dim) in [
        (DType::F32, 768),
        (DType::F32, 128),
        (DType::F16, 768),
        (DType::BF16, 768),
        (DType::U8, 768),
        (DType::U8, 128),
        (DType::B1, 1024),
    ] {
        let rows = random.rows(dtype, BYTES / dtype.row_bytes(dim) * dim);
        let metrics: &[Metric] = match dtype {
            DType::B1 => &[Metric::Hamming],
            _ => &[Metric::L2, Metric::Cosine, Metric::InnerProduct],
        };
        for &metric in metrics {
            let queries = match dtype {
                DType::B1 => Queries::of_bits(&rows[..dim / 8], dim),
                DType::U8 => Queries::new(&vec![100.0; dim], dim, dtype, metric),
                _ => Queries::new(&random.floats(dim), dim, dtype, metric),
            }
            .expect("well-formed queries");
            let view = Vectors::new(&rows, dim, dtype).expect("whole rows");
            let piece = (256 << 10) / dtype.row_bytes(dim);
            let ways: [(&str, &dyn Fn()); 4] = [
                ("read", &|| _ = black_box(sum(&rows))),
                ("scan", &|| _ = black_box(search(&queries, view, usize::MAX, false))),
                ("in 256 KiB pieces", &|| _ = black_box(search(&queries, view, piece, false))),
                ("pieces summed before", &|| _ = black_box(search(&queries, view, piece, true))),
            ];
            let mut seconds = [const { Vec::new() }; 4];
            for _ in 0..ROUNDS {
                for ((_, way), seconds) in ways.iter().zip(&mut seconds) {
                    seconds.push(best(1, way).0);
                }
            }
            print!("{dtype:>4} d={dim:<4} {metric:<7}");
            for ((name, _), of_way) in ways.iter().zip(&seconds) {
                let least = of_way.iter().copied().fold(f64::INFINITY, f64::min);
                let mut shares: Vec<f64> =
                    seconds[0].iter().zip(of_way).map(|(read, way)| read / way).collect();
                shares.sort_by(f64::total_cmp);
                print!(
                    "  {name} {:.1} GB/s {:.0} %",
                    rows.len() as f64 / least / 1e9,
                    100.0 * shares[ROUNDS / 2]
                );
            }
            println!();
        }
    }
}

/// 10,000 × 128 uniform rows.
fn seed() {
    let mut random = Random(42);
    let rows = random.rows(DType::F32, 10_000 * 128);
    let rows = Vectors::new(&rows, 128, DType::F32).expect("whole rows");
    for count in [1, 2, 4, 10, 40, 100, 1000] {
        batch("seed", rows, &random.floats(count * 128), Metric::L2);
    }
    let rows = random.rows(DType::B1, 10_000 * 768);
    let rows = Vectors::new(&rows, 768, DType::B1).expect("whole rows");
    let queries = Queries::of_bits(&random.rows(DType::B1, 1000 * 768), 768).expect("whole queries");
    threads("seed", rows, &queries);
}

/// 60,000 × 784 bytes, as they are and as f32.
fn fashion_mnist(directory: &Path) -> std::io::Result<()> {
    let train = npy(&directory.join("fashion-mnist.train.npy"))?;
    let test = npy(&directory.join("fashion-mnist.test.npy"))?;
    let queries: Vec<f32> = test.iter().map(|&byte| f32::from(byte)).collect();
    let wide: Vec<u8> = train.iter().flat_map(|&byte| f32::from(byte).to_le_bytes()).collect();
    for metric in [Metric::L2, Metric::Cosine, Metric::InnerProduct] {
        let bytes = Vectors::new(&train, 784, DType::U8).expect("whole rows");
        batch("fmnist", bytes, &queries, metric);
        let floats = Vectors::new(&wide, 784, DType::F32).expect("whole rows");
        batch("fmnist", floats, &queries, metric);
    }
    Ok(())
}

fn batch(name: &str, rows: Vectors<'_>, queries: &[f32], metric: Metric) {
    let (prepare, queries) =
        best(3, || Queries::new(queries, rows.dim(), rows.dtype(), metric).expect("well-formed queries"));
    print!("prepared in {:.1} ms; ", prepare * 1e3);
    threads(name, rows, &queries);
}

/// Searches by one and by two threads.
fn threads(name: &str, rows: Vectors<'_>, queries: &Queries) {
    let count = queries.len();
    print!("{name} {} {} × {} {} {count} queries:", rows.dtype(), rows.len(), rows.dim(), queries.metric());
    let mut answers = Vec::new();
    for threads in [1, 2] {
        let share = rows.len().div_ceil(threads);
        let (seconds, hits) = best(5, || {
            let scans = std::thread::scope(|scope| {
                let start = |first: usize| {
                    scope.spawn(move || {
                        let mut scan = ExactScan::new(queries, K).expect("k is not zero");
                        let part = first..rows.len().min(first + share);
                        scan.push(rows.slice(part), first as u64, None);
                        scan
                    })
                };
                let started: Vec<_> = (0..rows.len()).step_by(share).map(start).collect();
                started.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
            });
            let mut scans = scans.into_iter();
            let mut all = scans.next().expect("at least one thread");
            scans.for_each(|scan| all.merge(scan));
            all.finish()
        });
        print!(" {threads} thread(s) {:.0} q/s", count as f64 / seconds);
        answers.push(hits);
    }
    assert_eq!(answers[0], answers[1]);
    println!();
}

/// One scan in pieces of `chunk` rows, which `verify` reads through beforehand, as a checksum would.
fn search(queries: &Queries, rows: Vectors<'_>, chunk: usize, verify: bool) -> Vec<Vec<Neighbor>> {
    let mut scan = ExactScan::new(queries, K).expect("k is not zero");
    let mut start = 0;
    while start < rows.len() {
        let piece = rows.slice(start..rows.len().min(start.saturating_add(chunk)));
        if verify {
            if rows.dtype() != DType::F32 {
                scan.set_piece_distance(piece.bytes().len());
            }
            black_box(sum(piece.bytes()));
        }
        scan.push(piece, start as u64, None);
        start += piece.len();
    }
    scan.finish()
}

/// Reads every byte, by the widest loads that portable code gets.
fn sum(bytes: &[u8]) -> u64 {
    let mut lanes = [0u64; 32];
    for block in bytes.as_chunks::<256>().0 {
        for (lane, word) in lanes.iter_mut().zip(block.as_chunks::<8>().0) {
            *lane ^= u64::from_ne_bytes(*word);
        }
    }
    lanes.iter().fold(0, |a, b| a ^ b)
}

/// Least seconds of `runs` runs, and what one of them gave.
fn best<T>(runs: usize, mut run: impl FnMut() -> T) -> (f64, T) {
    let mut timed = || {
        let start = Instant::now();
        let out = run();
        (start.elapsed().as_secs_f64(), out)
    };
    let first = timed();
    (1..runs).fold(first, |least, _| {
        let next = timed();
        if next.0 < least.0 { next } else { least }
    })
}

/// The body of a version 1 .npy file of bytes.
fn npy(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::read(path)?;
    let header = 10 + usize::from(u16::from_le_bytes([file[8], file[9]]));
    Ok(file[header..].to_vec())
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn float(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    /// `elements` elements as stored bytes.
    fn rows(&mut self, dtype: DType, elements: usize) -> Vec<u8> {
        match dtype {
            DType::F32 => (0..elements).flat_map(|_| self.float().to_le_bytes()).collect(),
            DType::F16 => {
                (0..elements).flat_map(|_| half::f16::from_f32(self.float()).to_le_bytes()).collect()
            }
            DType::BF16 => {
                (0..elements).flat_map(|_| half::bf16::from_f32(self.float()).to_le_bytes()).collect()
            }
            DType::I8 | DType::U8 => (0..elements).map(|_| self.next() as u8).collect(),
            DType::B1 => (0..elements / 8).map(|_| self.next() as u8).collect(),
        }
    }
}
