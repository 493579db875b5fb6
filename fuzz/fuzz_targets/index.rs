//! `cargo fuzz run index`: see entries/index.rs.

#![no_main]

#[path = "../entries/index.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
