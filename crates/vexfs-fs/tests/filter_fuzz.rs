//! The fuzz target of filters on its seeds and on mutations of them, the same ones every time.

use std::fs;
use std::path::Path;

#[path = "../../../fuzz/entries/filter.rs"]
mod filter;

/// Pieces that a mutation puts somewhere.
const SPICES: [&str; 14] =
    ["(", ")", " NOT ", " AND ", "'", "\\", "`", ".", "\n", " IN (", "\u{301}", "null", " LIKE '%'", "-"];

#[test]
fn no_text_makes_a_filter_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz/filter");
    let seeds = fs::read_dir(folder).expect("seeds").map(|entry| entry.expect("an entry").path());
    let seeds: Vec<Vec<u8>> = seeds.map(|path| fs::read(path).expect("a seed")).collect();
    assert!(seeds.len() >= 4);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    };
    for seed in &seeds {
        filter::run(seed);
        for _ in 0..5_000 {
            let mut bytes = seed.clone();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                match below(3) {
                    0 => bytes[at] = below(256) as u8,
                    1 => drop(bytes.drain(at..bytes.len().min(at + 1 + below(8)))),
                    _ => drop(bytes.splice(at..at, SPICES[below(SPICES.len())].bytes())),
                }
                if bytes.is_empty() {
                    bytes.push(b' ');
                }
            }
            filter::run(&bytes);
        }
    }
}
