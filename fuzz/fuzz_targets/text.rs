//! `cargo fuzz run text`: see entries/text.rs.

#![no_main]

#[path = "../entries/text.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
