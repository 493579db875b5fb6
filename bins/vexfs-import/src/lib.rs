//! `vexfs-import`: stores vectors and files in a VexFS.
//!
//! [`args`] is the command line, `run` the work. The rest of the workspace uses only [`args::Args`], for the man page and
//! the completions.

mod ahead;
pub mod args;
mod copy;
mod delete;
mod identity;
mod indexes;
mod normalize;
mod payload;
mod resume;
mod rows;
mod run;
mod slabs;
mod target;

use std::path::Path;
use std::process::ExitCode;

use vexfs_cli::{Family, run_tool};

/// Runs the tool on the arguments of this process.
pub fn main() -> ExitCode {
    run_tool(Family::Ordinary, run::run)
}

/// A path for messages; `-` is standard input.
fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}
