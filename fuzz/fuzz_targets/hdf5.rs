//! `cargo fuzz run hdf5`: see entries/hdf5.rs.

#![no_main]

#[path = "../entries/hdf5.rs"]
mod entry;
#[path = "../entries/read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
