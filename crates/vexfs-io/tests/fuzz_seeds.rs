//! The fuzz targets on their seeds and on mutations of them, the same ones every time.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

#[path = "../../../fuzz/entries/csv.rs"]
mod csv;
#[path = "../../../fuzz/entries/hdf5.rs"]
mod hdf5;
#[path = "../../../fuzz/entries/npy.rs"]
mod npy;
#[path = "../../../fuzz/entries/npz.rs"]
mod npz;
#[path = "../../../fuzz/entries/parquet.rs"]
mod parquet;
#[path = "../../../fuzz/entries/plain.rs"]
mod plain;
#[path = "../../../fuzz/entries/read.rs"]
mod read;
#[path = "../../../fuzz/entries/text.rs"]
mod text;

/// The seeds of a target by name, in a fixed order.
fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz").join(target);
    let mut seeds: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

/// xorshift64* (Vigna 2016): small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}

/// Numbers and words that parsers stumble over.
const SPICES: [&[u8]; 16] = [
    b"0",
    b"1",
    b"255",
    b"65536",
    b"1048577",
    b"4294967296",
    b"9223372036854775807",
    b"18446744073709551615",
    b"-1",
    b"1e999",
    b"NaN",
    b"True",
    b"'<f8'",
    b"(",
    b"[",
    b"\xff\xff\xff\xff",
];

fn mutate(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(3) {
        // Most of what matters is in the first 128 bytes, the header, or in the last 512, the footer.
        let (start, end) = match random.below(8) {
            0 | 1 => (0, bytes.len()),
            2 | 3 => (bytes.len().saturating_sub(512), bytes.len()),
            _ => (0, bytes.len().min(128)),
        };
        let at = start + random.below(end - start);
        let until = at + random.below((end - at).min(9));
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            1 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            2 => drop(bytes.drain(at..until)),
            3 => bytes.truncate(at),
            4 => drop(bytes.splice(at..until, SPICES[random.below(SPICES.len())].iter().copied())),
            _ => {
                let from = random.below(other.len());
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from..]);
            }
        }
    }
}

fn run_all(target: &str, entry: fn(&[u8]), mutations: usize) {
    let seeds = seeds(target);
    assert!(seeds.len() >= 5, "only {} seeds for {target}", seeds.len());
    let run = |bytes: &[u8], what: &dyn Fn() -> String| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| entry(bytes))) {
            println!("{}: {:?}", what(), String::from_utf8_lossy(bytes));
            std::panic::resume_unwind(panic);
        }
    };
    for (name, bytes) in &seeds {
        run(bytes, &|| format!("seed {name}"));
    }
    let mut random = Random(20);
    for number in 0..mutations {
        let (name, seed) = &seeds[random.below(seeds.len())];
        let mut bytes = seed.clone();
        let (_, other) = &seeds[random.below(seeds.len())];
        mutate(&mut random, &mut bytes, other);
        run(&bytes, &|| format!("mutation {number} of {name}"));
    }
}

#[test]
fn no_bytes_break_the_npy_reader() {
    run_all("npy", npy::run, 20_000);
}

#[test]
fn no_bytes_break_the_readers_of_formats_without_a_magic() {
    run_all("plain", plain::run, 20_000);
}

#[test]
fn no_bytes_break_the_text_readers() {
    run_all("text", text::run, 20_000);
}

#[test]
fn no_bytes_break_the_reader_of_tables() {
    run_all("csv", csv::run, 20_000);
}

#[test]
fn no_bytes_break_the_reader_of_archives() {
    run_all("npz", npz::run, 10_000);
}

#[test]
fn no_bytes_break_the_parquet_reader() {
    run_all("parquet", parquet::run, 20_000);
}

#[test]
fn no_bytes_break_the_way_to_the_hdf5_library() {
    run_all("hdf5", hdf5::run, 300);
}
