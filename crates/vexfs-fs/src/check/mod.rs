//! Checking a filesystem: find everything that is wrong, say where, change nothing.
//!
//! [`check`] reads the filesystem as its journal leaves it (the log is replayed in memory) and goes through six passes; each
//! file begins with what it verifies and what it gathers for later ones. A damaged structure does not stop a check: it goes on
//! with what is intact. [`quick`] is the look at a filesystem that claims to be clean, [`record`] writes down the outcome.
//!
//! # Reading order
//! `problem` and [`table`] say what can be found; `context` is what the passes share, with `inodes` (the objects) and `usage` (the
//! blocks) gathered in it; `pass0` to `pass5`; `content` and `data` read the contents of files.
//!
//! # Memory
//! One bit for each block of the groups that are partly used by objects, so at most a bit for each block of the device; 256 bytes
//! for each group; 32 bytes for each inode in use; 600 bytes for each collection; 20 MiB of blocks and buffers, and the extents of
//! one object at a time. While the ids of a collection are compared, at most a quarter of [`CheckOptions::memory`] more, and all of it
//! while an index is built anew. A repair holds 400 bytes for each problem, of 131,072 at a time.
//!
//! # Example
//! ```
//! use std::sync::Arc;
//! use vexfs_device::MemDevice;
//! use vexfs_fs::check::{self, CheckOptions, Problem};
//! use vexfs_fs::mkfs::{self, MkfsOptions};
//!
//! let device = Arc::new(MemDevice::new(16 << 20));
//! mkfs::format(device.clone(), &MkfsOptions::new(16 << 20, [7; 16]))?;
//! let mut problems: Vec<Problem> = Vec::new();
//! let report = check::check(device, &CheckOptions::default(), &mut problems)?;
//! assert!(report.is_clean() && problems.is_empty());
//! assert_eq!(report.summary.inodes_used, 10);
//! # Ok::<(), vexfs_fs::FsError>(())
//! ```

mod content;
mod context;
mod data;
pub(crate) mod extent_walk;
mod inodes;
mod pass0;
mod pass1;
mod pass2;
mod pass3;
mod pass4;
mod pass5;
mod paths;
mod places;
mod problem;
pub mod quick;
mod reader;
pub mod record;
pub mod repair;
pub mod table;
pub(crate) mod usage;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::BlockNo;

use crate::error::Result;
use context::Context;
pub use problem::{Code, Fix, Kind, PLACEHOLDERS, Place, Preen, Problem, Severity};

/// How often the observer is told of one kind of problem. What is lost is always told, since the list is all that remains of it;
/// the rest is counted.
pub const MAX_TOLD: u64 = 10_000;

/// How much of the contents of files is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum DataLevel {
    /// The structure of the filesystem only.
    None,
    /// Checksum blocks, what describes rows (ids, keys, deletions, row checksums), and the images of indexes.
    #[default]
    Meta,
    /// Every block of every file and stream, and whether the images of indexes contradict themselves.
    Full,
}

/// How a filesystem is checked.
#[derive(Clone, Debug, Default)]
pub struct CheckOptions {
    /// Read the superblock from this block instead of the primary one.
    pub superblock: Option<BlockNo>,
    /// Bytes per block, where `superblock` is given and the primary cannot tell.
    pub block_size: Option<u32>,
    /// Search all of the device where neither the superblock nor a backup is in its place.
    pub search: bool,
    /// How much of the contents of files is read.
    pub data: DataLevel,
    /// Bytes of memory to stay within, beside what [the module](self#memory) says of the tables; 0 for [`DEFAULT_MEMORY`].
    pub memory: u64,
}

/// Bytes of memory that the comparison of ids, and building indexes anew, stay within together: what a small server has to spare
/// at boot.
pub const DEFAULT_MEMORY: u64 = 512 << 20;

impl CheckOptions {
    /// Bytes of memory to stay within.
    pub fn memory(&self) -> u64 {
        if self.memory == 0 { DEFAULT_MEMORY } else { self.memory }
    }
}

/// How far a check has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The pass, 0 to 5.
    pub pass: u8,
    /// Steps of the pass that are done; 0 when it begins.
    pub done: u64,
    /// Steps of the pass.
    pub total: u64,
}

/// Who is told what a check finds, as it finds it. [`ControlFlow::Break`] ends the check.
pub trait Observer {
    /// A problem was found.
    fn problem(&mut self, problem: Problem) -> ControlFlow<()>;

    /// The check has come further. Called at least once in each pass, and often enough to be asked whether to go on.
    fn progress(&mut self, progress: Progress) -> ControlFlow<()> {
        let _ = progress;
        ControlFlow::Continue(())
    }

    /// Asks a person whether a problem, of which [`Self::problem`] has told, is to be repaired. `None` ends the check.
    fn decide(&mut self, problem: &Problem) -> Option<bool> {
        let _ = problem;
        Some(false)
    }

    /// A repair says what it did beyond what was asked, or why it could not be made.
    fn note(&mut self, text: String) -> ControlFlow<()> {
        let _ = text;
        ControlFlow::Continue(())
    }
}

/// Collects the problems.
impl Observer for Vec<Problem> {
    fn problem(&mut self, problem: Problem) -> ControlFlow<()> {
        self.push(problem);
        ControlFlow::Continue(())
    }
}

/// What a filesystem holds, as the check counted it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Inodes in use, the reserved ones included.
    pub inodes_used: u64,
    /// Inodes of the filesystem.
    pub inodes: u64,
    /// Blocks in use, the filesystem's own included.
    pub blocks_used: u64,
    /// Blocks of the filesystem.
    pub blocks: u64,
    /// Collections.
    pub collections: u64,
    /// Rows of all collections that are not deleted.
    pub vectors: u64,
}

/// The outcome of a check.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// How often each kind of problem was found; notices are not counted.
    pub counts: BTreeMap<Code, u64>,
    /// The worst that is at stake.
    pub worst: Option<Severity>,
    /// First block on the device that a problem names.
    pub first_block: Option<u64>,
    /// What the filesystem holds.
    pub summary: Summary,
    /// Transactions that were read from the journal, because they are not home.
    pub replayed: u64,
    /// The backup superblock that was used instead of the primary.
    pub backup: Option<BlockNo>,
    /// Whether the filesystem is marked as damaged.
    pub marked_damaged: bool,
}

impl CheckReport {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.counts.is_empty()
    }

    /// Number of problems.
    pub fn problems(&self) -> u64 {
        self.counts.values().sum()
    }
}

/// Checks the filesystem on `dev`. Nothing is written; an unclean journal is replayed in memory.
///
/// # Errors
/// [`crate::FsError::NotVexfs`] when there is neither a superblock nor a backup, [`crate::FsError::Incompatible`],
/// [`crate::FsError::Interrupted`] when the observer broke off; a device error when neither superblock nor backup can be read.
/// Whatever else is wrong, unreadable blocks included, is a problem that the observer is told of.
pub fn check(
    dev: Arc<dyn Device>,
    options: &CheckOptions,
    observer: &mut dyn Observer,
) -> Result<CheckReport> {
    let mut ctx = Context::open(dev, options, observer, None)?;
    pass1::run(&mut ctx)?;
    pass2::run(&mut ctx)?;
    pass3::run(&mut ctx)?;
    pass4::run(&mut ctx)?;
    pass5::run(&mut ctx)?;
    Ok(ctx.take_report())
}
