//! `cargo fuzz run repair`: see entries/repair.rs.

#![no_main]

#[path = "../entries/repair.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
