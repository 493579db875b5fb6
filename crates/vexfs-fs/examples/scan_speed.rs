//! How fast one thread compares one query with every row, against how fast it can read the same bytes at all.
//!
//! Usage: `cargo run --release -p vexfs-fs --example scan_speed -- DEVICE [COLLECTION]`. The page cache should hold the
//! collection (run it twice). Prints, as the best of several rounds: plain reading of the mapped rows, the scan of a process
//! that verifies every block, and the scan of rows verified before.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use vexfs_device::{FileDevice, OpenOptions as DeviceOptions};
use vexfs_fs::collection::Collection;
use vexfs_fs::search::Searcher;
use vexfs_fs::{OpenOptions, Volume};

const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let device = args.next().ok_or("which device?")?;
    let collection = args.next().unwrap_or_else(|| "vectors".to_owned());
    let device = Arc::new(FileDevice::open(device, DeviceOptions::read_only())?);
    let volume = Volume::open(device, &OpenOptions::default())?;
    let collection = Collection::open(&volume, &collection)?;
    let (mut plain, mut first, mut again) = (f64::MAX, f64::MAX, f64::MAX);
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let searcher = Searcher::open(&volume, &collection)?;
        let query = searcher.query_of_row(0)?;
        searcher.exact(&query, 10, 1, &|| false)?;
        first = first.min(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        searcher.exact(&query, 10, 1, &|| false)?;
        again = again.min(begun.elapsed().as_secs_f64());
        let rows = searcher.rows().bytes(0..searcher.rows().len())?;
        bytes = rows.len();
        let begun = Instant::now();
        black_box(sum(rows));
        plain = plain.min(begun.elapsed().as_secs_f64());
    }
    let rate = |seconds: f64| bytes as f64 / seconds / 1e9;
    println!("{} bytes of rows, one thread, page cache warm, best of {ROUNDS}", bytes);
    println!("plain read of the mapping    {:6.2} GB/s", rate(plain));
    println!("query, opening and verifying {:6.2} GB/s  {:.2} of plain", rate(first), plain / first);
    println!("query, verified before       {:6.2} GB/s  {:.2} of plain", rate(again), plain / again);
    Ok(())
}

/// Adds all bytes up, eight at a time in several sums, so that nothing but memory limits the speed.
fn sum(bytes: &[u8]) -> u64 {
    let mut sums = [0_u64; 16];
    for block in bytes.as_chunks::<128>().0 {
        for (sum, word) in sums.iter_mut().zip(block.as_chunks::<8>().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.iter().fold(0, |a, &b| a.wrapping_add(b))
}
