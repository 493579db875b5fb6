//! Arbitrary bytes as a table, CSV or JSON lines by what it looks like, with the names and the payload of its rows: whole against slabs.

use vexfs_io::{Format, OpenOptions, open_file};

use crate::read;

/// Reads `data` in every way and compares what must be the same.
///
/// # Panics
/// If the reader breaks its contract.
pub(crate) fn run(data: &[u8]) {
    let options = OpenOptions { format: Some(Format::Csv), memory: 1 << 20, ..OpenOptions::default() };
    let whole = read::all(open_file(data.to_vec(), "fuzz", &options), 1 << 20);
    let slabs = read::all(open_file(data.to_vec(), "fuzz", &options), 3);
    // Of several errors, the size of the slabs tells which is met first.
    assert_eq!(whole.ok(), slabs.ok(), "slabs differ from the whole");
}
