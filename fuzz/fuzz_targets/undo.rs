//! `cargo fuzz run undo`: see entries/undo.rs.

#![no_main]

#[path = "../entries/undo.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
