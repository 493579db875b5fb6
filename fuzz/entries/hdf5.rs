//! Arbitrary bytes as an HDF5 file: whole against slabs. The library opens files by name, so there is one.

use std::fs;

use vexfs_io::{Format, KeyReader, OpenOptions, open};

use crate::read;

/// Reads `data` in every way and compares what must be the same.
///
/// # Panics
/// If the reader breaks its contract.
pub(crate) fn run(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("vexfs-fuzz-{}.h5", std::process::id()));
    if fs::write(&path, data).is_err() {
        return;
    }
    let options = OpenOptions { format: Some(Format::Hdf5), memory: 1 << 20, ..OpenOptions::default() };
    let whole = read::all(open(&path, &options), 1 << 20);
    let slabs = read::all(open(&path, &options), 3);
    // Of several errors, the size of the slabs tells which is met first.
    assert_eq!(whole.ok(), slabs.ok(), "slabs differ from the whole");
    if let Ok(mut keys) = KeyReader::open(&path) {
        while let Some(Ok(_)) = keys.next() {}
        assert!(keys.next().is_none(), "something after the end");
    }
    // What is left of a failure is of use.
    let _ = fs::remove_file(&path);
}
