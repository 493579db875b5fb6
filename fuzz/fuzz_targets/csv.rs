//! `cargo fuzz run csv`: see entries/csv.rs.

#![no_main]

#[path = "../entries/csv.rs"]
mod entry;
#[path = "../entries/read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
