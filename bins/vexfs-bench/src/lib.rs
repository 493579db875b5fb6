//! `vexfs-bench`: measures imports, index builds and searches on a real image or device, by the way the other tools take.
//!
//! [`args`] is the command line and `run` the order of the work; `workload` is what is measured with, `volume` where, `import` and
//! `search` what; `result` is what comes out, `plot`, `print` and `compare` show it, `hardware` tells on which machine. The rest of
//! the workspace uses only [`args::Args`], for the man page and the completions.

pub mod args;
mod compare;
mod hardware;
mod import;
mod memory;
mod plot;
mod print;
mod random;
mod result;
mod run;
mod search;
mod statistics;
mod volume;
mod workload;

use std::process::ExitCode;

use vexfs_cli::{Family, run_tool};

/// Runs the tool on the arguments of this process.
pub fn main() -> ExitCode {
    run_tool(Family::Ordinary, run::run)
}
