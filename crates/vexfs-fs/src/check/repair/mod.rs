//! Repairing a filesystem: what a check finds is mended, as far as that was decided.
//!
//! Detection stays where it is. A problem that is found is told, and `Ledger` decides whether it is repaired: by the mode, or by
//! asking. What is to be repaired waits until the part of the pass that found it has gathered everything it knows; then it is
//! repaired, and the check begins anew, so that what comes later sees the repaired state. The last round is a complete check that
//! finds nothing more to do.
//!
//! # What a repair never does
//! It never makes intact data disappear. A block with two owners is copied, an object without a name gets one in lost+found, a row
//! that is damaged is saved there before it is deleted; a damaged metadata block is taken from the journal, where the log still
//! holds its last image. A block that a check found to be in use is never given to anybody else, whatever the bitmaps say
//! (`Occupied` of `usage`).
//!
//! # Durability
//! Repairs are transactions of the filesystem. Those of pass 0, before the journal can be trusted, are written in an order that
//! leaves after a crash at any point what the same repair mends again (`raw`). The first transaction marks the filesystem as
//! damaged; the mark goes when a round has found nothing.
//!
//! # Reading order
//! `rounds` is the course of a repair; `ledger` decides; `raw` and `layout` are pass 0, `groups`, `records` and
//! `mapping` pass 1, `directories` pass 2, `connect` and `index_names` passes 3 and 4, `derived`, `agree`, `streams`, `rows`, `contents`
//! and `indexes` pass 5.

mod agree;
mod batch;
mod connect;
mod contents;
mod derived;
mod directories;
mod groups;
mod index_names;
mod indexes;
mod layout;
mod ledger;
mod mapping;
mod payload;
mod raw;
mod records;
mod rounds;
mod rows;
mod salvage;
mod streams;

use std::collections::BTreeMap;

use super::problem::Code;
use super::{CheckOptions, CheckReport};
pub(super) use ledger::Ledger;
pub use rounds::repair;

/// Who decides what is repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// What needs no decision is repaired; the first problem that needs one ends the run.
    Preen,
    /// Everything is repaired that can be.
    Yes,
    /// The observer is asked ([`super::Observer::decide`]).
    #[default]
    Ask,
}

/// What becomes of indexes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reindex {
    /// One that is damaged is built anew by its description, and dropped where that cannot be.
    #[default]
    Auto,
    /// One that is damaged is dropped.
    Never,
    /// Each is built anew, damaged or not.
    All,
}

/// How a filesystem is repaired.
#[derive(Clone, Debug)]
pub struct RepairOptions {
    /// How it is checked.
    pub check: CheckOptions,
    /// Who decides.
    pub mode: Mode,
    /// The time, nanoseconds since 1970-01-01 UTC, stamped on what is written.
    pub now_ns: u64,
    /// What becomes of indexes.
    pub reindex: Reindex,
    /// Threads that build an index; what is built does not depend on them.
    pub threads: usize,
}

/// Checks as by default, asks, builds damaged indexes anew with one thread.
impl Default for RepairOptions {
    fn default() -> Self {
        Self {
            check: CheckOptions::default(),
            mode: Mode::default(),
            now_ns: 0,
            reindex: Reindex::default(),
            threads: 1,
        }
    }
}

/// The outcome of a repair.
#[derive(Clone, Debug, Default)]
pub struct RepairReport {
    /// What the last round found.
    pub check: CheckReport,
    /// How many problems of each kind were repaired.
    pub repaired: BTreeMap<Code, u64>,
    /// How many problems of each kind are left.
    pub left: BTreeMap<Code, u64>,
    /// The problem at which a preening run ended; what is behind it was not looked at.
    pub stopped: Option<Code>,
    /// Transactions that were replayed.
    pub replayed: u64,
}

impl RepairReport {
    /// Whether nothing is left that was found.
    pub fn is_clean(&self) -> bool {
        self.left.is_empty() && self.stopped.is_none()
    }

    /// Whether anything was repaired.
    pub fn is_changed(&self) -> bool {
        !self.repaired.is_empty()
    }
}
