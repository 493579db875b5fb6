//! `cargo fuzz run npy`: see entries/npy.rs.

#![no_main]

#[path = "../entries/npy.rs"]
mod entry;

libfuzzer_sys::fuzz_target!(|data: &[u8]| entry::run(data));
