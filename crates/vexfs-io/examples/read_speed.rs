//! Compares reading an npy file row by row, checked and converted, with reading its bytes and nothing more.
//!
//! `cargo run --release -p vexfs-io --example read_speed -- FILE.npy [f32|f16|bf16|i8|u8|b1]`
//!
//! Prints the best of five runs of each, from the page cache if the file fits in memory.

use std::error::Error;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use vexfs_io::{OpenOptions, TargetType, open};

/// Bytes per slab: what an importer hands to a transaction at a time.
const SLAB_BYTES: usize = 8 << 20;

/// The alignment at which a file is kept in memory.
const PAGE_BYTES: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("name an npy file")?;
    let target = arguments.next().map(|name| {
        TargetType::ALL.into_iter().find(|target| target.to_string() == name).ok_or("unknown target type")
    });
    let options = OpenOptions { target: target.transpose()?, ..OpenOptions::default() };

    let file = File::open(&path)?;
    let bytes = file.metadata()?.len();
    // A page boundary, as the file begins at one: where a destination lies 1 to 31 bytes beyond its source modulo 4096,
    // as a large `Vec` does to the pages of a file, some processors (Zen 3) copy at a fifth of their speed.
    let mut memory = vec![0; SLAB_BYTES + PAGE_BYTES];
    let start = memory.as_ptr().align_offset(PAGE_BYTES);
    let buffer = &mut memory[start..start + SLAB_BYTES];
    let plain = best(|| {
        let mut offset = 0;
        while offset < bytes {
            offset += file.read_at(buffer, offset)? as u64;
        }
        Ok(())
    })?;
    println!("plain read: {:6.2} GB/s", bytes as f64 / plain / 1e9);

    let mut slab = Vec::new();
    let mut rows = 0;
    let checked = best(|| {
        let mut source = open(Path::new(&path), &options)?;
        let slab_rows = source.rows_within(SLAB_BYTES);
        rows = 0;
        while let read @ 1.. = source.read_rows(&mut slab, slab_rows)? {
            rows += read;
        }
        Ok(())
    })?;
    println!(
        "rows:       {:6.2} GB/s of the file, {:.2} million rows/s ({rows} rows)",
        bytes as f64 / checked / 1e9,
        rows as f64 / checked / 1e6
    );
    Ok(())
}

/// The shortest of five runs, in seconds.
fn best(mut run: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let mut shortest = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        run()?;
        shortest = shortest.min(start.elapsed().as_secs_f64());
    }
    Ok(shortest)
}
