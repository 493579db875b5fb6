//! What a query is expected to cost, as the number of bytes that an exact search compares in the same time.
//!
//! How many codes and rows an index looks at for a recall, its calibration has counted, and how long they are, its image says. Only
//! what a byte of each costs is a constant: those below were measured, as BENCHMARKS.md says. Nothing is timed where the search
//! runs, so that the same image and query always take the same way.

use vexfs_ann::calibrate::Choice;
use vexfs_ann::index::{Kind, flat_is_coded};

use crate::index::StoredIndex;

/// Bytes compared in sequence while one row or record somewhere else is fetched: 80 to 200 ns, at 18 GB/s.
const JUMP: f64 = 2000.0;

/// Of rows that are compared one after the other.
pub(super) fn of_rows(rows: u64, row_bytes: u64) -> f64 {
    rows as f64 * row_bytes as f64
}

/// Of a search through an index by which `choice` computes distances; of an exact one, which has no choice, by all of its codes, or by
/// the rows where those are as small as codes and stand for them.
pub(super) fn of_index(stored: &StoredIndex, choice: Option<&Choice>, row_bytes: u64) -> f64 {
    let indexed: u64 = stored.parts().iter().map(|part| part.header().indexed).sum();
    let Some(choice) = choice else {
        let is_coded = stored.parts().iter().all(|part| flat_is_coded(part.header().dtype));
        return if is_coded { stored.bytes() as f64 } else { of_rows(indexed, row_bytes) };
    };
    // Codes with what lies beside them: links, numbers, hash tables.
    let record = stored.bytes() as f64 / indexed.max(1) as f64;
    let codes = (choice.distance_computations - choice.reranked).max(0.0);
    let code = match stored.kind() {
        Kind::Hnsw | Kind::Lsh => JUMP + record,
        Kind::Flat | Kind::Ivf | Kind::Pq | Kind::IvfPq => record,
    };
    codes * code + choice.reranked * (JUMP + row_bytes as f64)
}
