//! `vexfs-tune`: changes a VexFS that exists.
//!
//! [`args`] is the command line, `run` the order of the work, `grow`, `identity`, `delete`, `compact`, `defrag`, `indexes`, `simd` and `undo` the kinds of it. The
//! rest of the workspace uses only [`args::Args`], for the man page and the completions.

pub mod args;
mod compact;
mod defrag;
mod delete;
mod grow;
mod identity;
mod indexes;
mod list;
mod run;
mod simd;
mod undo;

use std::process::ExitCode;

use vexfs_cli::{Family, run_tool};

/// Runs the tool on the arguments of this process.
pub fn main() -> ExitCode {
    run_tool(Family::Ordinary, run::run)
}
