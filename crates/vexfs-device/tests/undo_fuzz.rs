//! The fuzz target of undo files on its seeds and on mutations of them, the same ones every time. `BLESS=1` writes the seeds anew.

use std::fs;
use std::path::{Path, PathBuf};

use vexfs_device::{Device, UndoApply, UndoDevice, UndoIdentity, apply_undo};

#[path = "../../../fuzz/entries/undo.rs"]
mod fuzzed;
use fuzzed::{Store, before, run, work};

/// Mutations of each seed.
const MUTATIONS: usize = 2000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz/undo")
}

/// The undo file of the work: left as it is by a power cut, finished, and put back.
fn files() -> [(&'static str, Vec<u8>); 3] {
    let store = Store::default();
    let identity = UndoIdentity {
        uuid: Some([1; 16]),
        uuid_before: Some([1; 16]),
        original_len: None,
        tool: "test".to_owned(),
    };
    let device = UndoDevice::new(before(), store.clone(), &identity).expect("begun");
    work(&device);
    device.flush().expect("flushed");
    let open = store.bytes();
    device.finish().expect("finished");
    let finished = store.bytes();
    apply_undo(store.clone(), device.inner(), &UndoApply::default()).expect("put back");
    assert!(device.inner().snapshot() == before().snapshot());
    [("open", open), ("finished", finished), ("replayed", store.bytes())]
}

#[test]
fn the_seeds_are_undo_files() {
    for (name, bytes) in files() {
        let path = folder().join(name);
        if std::env::var_os("BLESS").is_some() {
            fs::write(&path, &bytes).expect("written");
        }
        assert!(fs::read(path).expect("a seed") == bytes, "{name}");
    }
}

#[test]
fn no_bytes_make_putting_back_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |bound: usize| {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    };
    for (_, seed) in files() {
        run(&seed);
        for _ in 0..MUTATIONS {
            let mut bytes = seed.clone();
            for _ in 0..=below(3) {
                let at = below(bytes.len());
                match below(8) {
                    0 => bytes.truncate(at + 1),
                    1 => bytes[at] = 0xFF,
                    2 => bytes[at] = bytes[at].wrapping_add(1),
                    3 => drop(bytes.drain(at..(at + 512).min(bytes.len() - 1).max(at))),
                    _ => bytes[at] ^= 1 << below(8),
                }
            }
            run(&bytes);
        }
    }
}
