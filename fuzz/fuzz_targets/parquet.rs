//! `cargo fuzz run parquet`: see entries/parquet.rs.

#![no_main]

#[path = "../entries/parquet.rs"]
mod entry;
#[path = "../entries/read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
