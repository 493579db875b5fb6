//! `vexfs-dump`: shows what is in a VexFS, and takes it out.
//!
//! [`args`] and [`what`] are the command line, `run` chooses the part, `dump` is what the parts share; each part has its file.
//! The rest of the workspace uses only [`args::Args`], for the man page and the completions.

pub mod args;
mod block_use;
mod cat;
mod collections;
mod diff;
mod dump;
mod export;
mod extents;
mod groups;
mod health;
mod image;
mod indexes;
mod inode;
mod journal;
mod list;
mod map;
mod objects;
mod run;
mod superblock;
mod udev;
mod vector;
pub mod what;

use std::process::ExitCode;

use vexfs_cli::{Family, run_tool};

/// Runs the tool on the arguments of this process.
pub fn main() -> ExitCode {
    run_tool(Family::Ordinary, run::run)
}
