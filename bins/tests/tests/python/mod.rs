//! Python with the packages that files of vectors come from: VEXFS_TEST_PYTHON, or python3.

#![allow(dead_code, unreachable_pub)] // each test file uses its own part

use std::path::{Path, PathBuf};
use std::process::Command;

/// An interpreter.
pub struct Python(PathBuf);

/// An interpreter that has these modules (`numpy, h5py`); without one, prints that the test is skipped.
pub fn with(modules: &str) -> Option<Python> {
    let program = std::env::var_os("VEXFS_TEST_PYTHON").unwrap_or_else(|| "python3".into());
    let import = Command::new(&program).args(["-c", &format!("import {modules}")]).output();
    if import.is_ok_and(|output| output.status.success()) {
        return Some(Python(program.into()));
    }
    println!("skipped: no Python with {modules}; VEXFS_TEST_PYTHON names one");
    None
}

impl Python {
    /// Runs a program, which finds the paths in `sys.argv[1:]`, and expects that it succeeds.
    #[track_caller]
    pub fn run(&self, program: &str, paths: &[&Path]) {
        let output = Command::new(&self.0).args(["-c", program]).args(paths).output().expect("Python");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
