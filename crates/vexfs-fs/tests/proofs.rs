//! Proofs of the repair: whatever is damaged, and in whatever way, is found and mended, and what was not damaged stays as it was.
//!
//! In its short form each proof tries a sample; with `VEXFS_PROVE=all` (`make prove`) it tries everything and writes its totals into
//! docs/proofs.md.

#![allow(unreachable_pub)] // shared by the proofs

#[path = "proofs/block_damage.rs"]
mod block_damage;
#[path = "proofs/excuses.rs"]
mod excuses;
#[path = "proofs/field_damage.rs"]
mod field_damage;
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

mod check_support;
mod common;
mod crash_model;
mod repair_support;

#[path = "../../../fuzz/entries/image_fields.rs"]
#[allow(dead_code)] // the fuzzer uses other parts
mod fields;
