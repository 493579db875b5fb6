//! `cargo fuzz run npz`: see entries/npz.rs.

#![no_main]

#[path = "../entries/npz.rs"]
mod entry;
#[path = "../entries/read.rs"]
mod read;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
