//! `vexfs-query`: finds nearest neighbours among the vectors of a VexFS.
//!
//! [`args`] is the command line, `run` the work. The rest of the workspace uses only [`args::Args`], for the man page and
//! the completions.

pub mod args;
mod array;
mod damage;
mod merge;
mod place;
mod print;
mod recall;
mod run;
mod source;
mod stats;
mod stream;

use std::process::ExitCode;

use vexfs_cli::{Family, run_tool};

/// Runs the tool on the arguments of this process.
pub fn main() -> ExitCode {
    run_tool(Family::Ordinary, run::run)
}
