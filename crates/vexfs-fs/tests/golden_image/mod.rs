//! The golden images: how they are made ([`recipe`]), how they are kept ([`packed`]) and how they read ([`listing`]).
//!
//! The golden test holds them against the library; the hostile tests start from them.

#![allow(dead_code, unreachable_pub)] // each test file uses its own part

pub mod listing;
pub mod packed;
pub mod recipe;

use std::path::PathBuf;

use vexfs_device::MemDevice;

/// Folder of the golden case of format version 1.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/golden/v1")
}

/// A golden image as it is committed: "clean" or "unclean".
pub fn stored(name: &str) -> MemDevice {
    let path = folder().join(format!("{name}.packed"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    MemDevice::from_bytes(packed::unpack(&bytes).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
}
