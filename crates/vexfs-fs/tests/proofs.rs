//! Proofs of the repair: whatever is damaged, and in whatever way, is found and mended, and what was not damaged stays as it was.
//!
//! In its short form each proof tries a sample; with `VEXFS_PROVE=all` (`make prove`) it tries everything and writes its totals into
//! docs/proofs.md.

#![allow(unreachable_pub)] // shared by the proofs

#[path = "proofs/again.rs"]
mod again;
#[path = "proofs/bit_damage.rs"]
mod bit_damage;
#[path = "proofs/block_damage.rs"]
mod block_damage;
#[path = "proofs/crashes.rs"]
mod crashes;
#[path = "proofs/excuses.rs"]
mod excuses;
#[path = "proofs/failing_devices.rs"]
mod failing_devices;
#[path = "proofs/field_damage.rs"]
mod field_damage;
#[path = "proofs/golden_damage.rs"]
mod golden_damage;
#[path = "proofs/mutated_images.rs"]
mod mutated_images;
#[path = "proofs/sample.rs"]
mod sample;
#[path = "proofs/totals.rs"]
mod totals;
#[path = "proofs/tree.rs"]
mod tree;
#[path = "proofs/verbs.rs"]
mod verbs;
#[path = "proofs/verdict.rs"]
mod verdict;

#[allow(dead_code)] // the tests of the check use the rest
mod check_recipes;
mod check_support;
mod common;
mod counting;
mod crash_model;
mod repair_support;

#[path = "../../../fuzz/entries/repair.rs"]
mod fuzzed;
use fuzzed::image::fields;
