//! Other programs, loop devices and mounts, where this machine has them.
#![allow(dead_code)] // each test file uses its part

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Makes tests that this machine cannot run fail instead of passing silently.
const NO_SKIP: &str = "VEXFS_TEST_NO_SKIP";

/// Says that a test, or a part of it, cannot run here.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os(NO_SKIP).is_none(), "{NO_SKIP} is set, but {why}");
    println!("skipped: {why}");
}

/// Runs a program of the system; `None`, with a line, if it is not installed.
pub(crate) fn run<T: AsRef<OsStr>>(program: &str, arguments: impl IntoIterator<Item = T>) -> Option<Output> {
    // The administrator's programs are not on everybody's path.
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    match Command::new(program).args(arguments).env("PATH", path).stdin(Stdio::null()).output() {
        Ok(output) => Some(output),
        Err(error) => {
            skip(&format!("{program} does not run: {error}"));
            None
        }
    }
}

/// Runs a program of the system that must succeed; `None`, with a line, if it is not installed or fails.
pub(crate) fn succeed<T: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = T>,
) -> Option<String> {
    let output = run(program, arguments)?;
    if !output.status.success() {
        skip(&format!("{program} fails: {}", String::from_utf8_lossy(&output.stderr).trim()));
        return None;
    }
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Asserts that neither blkid nor wipefs recognises anything on `device`.
#[track_caller]
pub(crate) fn assert_nothing_recognised(device: &Path, context: &str) {
    if let Some(output) = run("blkid", ["-p".as_ref(), device.as_os_str()]) {
        let found = String::from_utf8_lossy(&output.stdout);
        assert!(found.is_empty(), "{context}: blkid finds {found}");
        assert_eq!(output.status.code(), Some(2), "{context}: blkid is not sure");
    }
    if let Some(output) = run("wipefs", ["--no-act".as_ref(), device.as_os_str()]) {
        let found = String::from_utf8_lossy(&output.stdout);
        assert!(found.is_empty(), "{context}: wipefs finds {found}");
    }
}

/// A loop device, detached when dropped.
pub(crate) struct Loop(pub(crate) PathBuf);

impl Loop {
    /// Attaches `image`; `None`, with a line, where that is impossible.
    pub(crate) fn attach(image: &Path, options: &[&str]) -> Option<Self> {
        let arguments = options.iter().copied().chain(["--find", "--show"]).map(OsStr::new);
        let printed = succeed("losetup", arguments.chain([image.as_os_str()]))?;
        Some(Self(printed.trim().into()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if succeed("losetup", ["--detach".as_ref(), self.0.as_os_str()]).is_none() {
            eprintln!("{} stays attached", self.0.display());
        }
    }
}

/// A mounted filesystem, unmounted when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts `device` at `at`; `None`, with a line, where that is impossible.
    pub(crate) fn new(options: &[&str], device: &Path, at: &Path) -> Option<Self> {
        let arguments = options.iter().map(OsStr::new).chain([device.as_os_str(), at.as_os_str()]);
        succeed("mount", arguments)?;
        Some(Self(at.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if succeed("umount", [&self.0]).is_none() {
            eprintln!("{} stays mounted", self.0.display());
        }
    }
}
