//! `fsck.vexfs`: checks and repairs a VexFS filesystem.
//!
//! [`args`] is the command line, `place` the device or its copy (`repair_to`), `run` the work; `watch` is told what the check finds and `ask`s what is to be repaired, `print` and `json` put it into words,
//! `progress_fd` and `meter` say how far it is and what it cost. The rest of the workspace uses only [`args::Args`], for the man
//! page and the completions.

pub mod args;
mod ask;
mod json;
mod meter;
mod place;
mod print;
mod progress_fd;
mod repair_to;
mod run;
mod watch;

use std::process::ExitCode;

use vexfs_cli::{Family, run_tool};

/// Runs the tool on the arguments of this process.
pub fn main() -> ExitCode {
    run_tool(Family::Fsck, run::run)
}
