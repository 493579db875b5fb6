//! `cargo fuzz run filter`: see entries/filter.rs.

#![no_main]

#[path = "../entries/filter.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
