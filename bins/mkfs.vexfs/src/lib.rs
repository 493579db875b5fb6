//! `mkfs.vexfs`: makes a VexFS filesystem on a block device or image file.
//!
//! [`args`] and [`values`] are the command line, `run` is the work; `target` is the device, `occupant` and `foreign` say what is on
//! it, `layout` what is made. The rest of the workspace uses only [`args::Args`], for the man page and the completions.

pub mod args;
mod foreign;
mod layout;
mod occupant;
mod run;
mod target;
pub mod values;

use std::ffi::OsString;
use std::process::ExitCode;

use vexfs_cli::{Family, run_tool_from};

/// Runs the tool on the arguments of this process.
pub fn main() -> ExitCode {
    ExitCode::from(run_tool_from(Family::Mkfs, version_if_asked(std::env::args_os().collect()), run::run))
}

/// A lone `-V` asks for the version, as it does of every `mkfs.TYPE`; beside other arguments it means vectors.
fn version_if_asked(mut argv: Vec<OsString>) -> Vec<OsString> {
    if argv.len() == 2 && argv[1] == "-V" {
        argv[1] = "--version".into();
    }
    argv
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lone_v_asks_for_the_version() {
        let turned = |argv: &[&str]| version_if_asked(argv.iter().map(OsString::from).collect());
        assert_eq!(turned(&["mkfs.vexfs", "-V"]), ["mkfs.vexfs", "--version"]);
        assert_eq!(turned(&["mkfs.vexfs", "-V", "/dev/sda1"]), ["mkfs.vexfs", "-V", "/dev/sda1"]);
        assert_eq!(turned(&["mkfs.vexfs"]), ["mkfs.vexfs"]);
    }
}
