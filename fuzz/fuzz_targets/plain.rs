//! `cargo fuzz run plain`: see entries/plain.rs.

#![no_main]

#[path = "../entries/plain.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
