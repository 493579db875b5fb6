//! The fuzz target of the files of indexes on its seeds and on mutations of them, the same ones every time. `BLESS=1` writes the
//! seeds anew.

#[allow(clippy::unwrap_used, dead_code)] // other tests use the rest
mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{Random, image, plan};
use vexfs_ann::{DType, Metric, Vectors, index};

#[path = "../../../fuzz/entries/index.rs"]
mod fuzzed;
use fuzzed::{DIM, rows};

/// One image of each kind.
const SPECS: [&str; 6] = [
    "flat",
    "hnsw,m=4",
    "ivf,nlist=3",
    "pq,pq_m=3,nbits=4",
    "ivf-pq,nlist=2,pq_m=3,nbits=4",
    "lsh,tables=2,bits=4",
];
/// Mutations of each seed.
const MUTATIONS: usize = 3000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz/index")
}

/// Seeds may be of an older builder; what one was, every reader still takes.
#[test]
fn each_kind_has_a_seed_that_is_whole() {
    let bytes = rows();
    let rows = Vectors::new(&bytes, DIM, DType::F32).expect("whole rows");
    for spec in SPECS {
        let path = folder().join(spec.split(',').next().unwrap_or(spec));
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, image(spec, &plan(&rows, Metric::L2))).expect("written");
        }
        let seed = fs::read(&path).expect("a seed");
        let opened = index::open(&seed).unwrap_or_else(|error| panic!("{spec}: {error}"));
        opened.verify(None, &|| false).unwrap_or_else(|error| panic!("{spec}: {error}"));
    }
}

#[test]
fn no_bytes_make_an_index_panic() {
    let seeds = fs::read_dir(folder()).expect("seeds").map(|entry| entry.expect("an entry").path());
    let mut seeds: Vec<PathBuf> = seeds.collect();
    seeds.sort_unstable();
    assert!(seeds.len() >= SPECS.len() + 2);
    let mut random = Random(1);
    for seed in seeds {
        let seed = fs::read(seed).expect("a seed");
        fuzzed::run(&seed);
        for _ in 0..MUTATIONS {
            let mut bytes = seed.clone();
            for _ in 0..=random.next() % 4 {
                let at = (random.next() % bytes.len() as u64) as usize;
                match random.next() % 8 {
                    0 => bytes.truncate(at + 1),
                    1 => bytes[at] = 0xFF,
                    2 => bytes[at] = bytes[at].wrapping_add(1),
                    _ => bytes[at] ^= 1 << (random.next() % 8),
                }
            }
            fuzzed::run(&bytes);
        }
    }
}
