//! Images, loop devices and child processes for the tests of real devices.
#![allow(dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use vexfs_device::{BusyReason, DeviceError, FileDevice, OpenOptions};

/// Makes tests that this machine cannot run fail instead of passing silently.
const NO_SKIP: &str = "VEXFS_TEST_NO_SKIP";

/// Says that a test cannot run here.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os(NO_SKIP).is_none(), "{NO_SKIP} is set, but {why}");
    println!("skipped: {why}");
}

/// A folder with an image file of `len` bytes whose every 4096 bytes hold the number of their block.
pub(crate) fn image(len: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("image");
    std::fs::write(&path, numbered(len)).expect("image");
    (folder, path)
}

/// Bytes that tell their block of 4096.
pub(crate) fn numbered(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i / 4096) as u8).collect()
}

/// The reason for which opening is refused.
pub(crate) fn busy(path: &Path, options: OpenOptions) -> BusyReason {
    match FileDevice::open(path, options) {
        Err(DeviceError::Busy { reason, .. }) => reason,
        Err(other) => panic!("refused for another reason: {other}"),
        Ok(device) => panic!("opened: {device:?}"),
    }
}

/// A loop device, detached when dropped.
pub(crate) struct Loop(pub(crate) PathBuf);

impl Loop {
    /// Attaches `image`; `None`, with a line, where that is impossible.
    pub(crate) fn attach(image: &Path, options: &[&str]) -> Option<Self> {
        let mut command = Command::new("losetup");
        match command.args(options).args(["--find", "--show"]).arg(image).output() {
            Ok(Output { status, stdout, .. }) if status.success() => {
                Some(Self(String::from_utf8_lossy(&stdout).trim().into()))
            }
            Ok(output) => {
                skip(&format!("losetup says: {}", String::from_utf8_lossy(&output.stderr).trim()));
                None
            }
            Err(error) => {
                skip(&format!("losetup does not run: {error}"));
                None
            }
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        if !run("losetup", &["--detach".as_ref(), &self.0]) {
            eprintln!("{} stays attached", self.0.display());
        }
    }
}

/// A mounted filesystem, unmounted when dropped.
pub(crate) struct Mount(pub(crate) PathBuf);

impl Mount {
    pub(crate) fn new(device: &Path, at: &Path) -> Option<Self> {
        run("mount", &[device, at]).then(|| Self(at.to_owned()))
    }

    /// A filesystem in memory that holds `size` (as mount says it), at a folder of its own.
    pub(crate) fn in_memory(size: &str) -> Option<(tempfile::TempDir, Self)> {
        let folder = tempfile::tempdir().expect("folder");
        let options = format!("size={size}");
        let arguments = ["-t", "tmpfs", "-o", &options, "tmpfs"].map(Path::new);
        let is_mounted = run("mount", &[arguments.as_slice(), &[folder.path()]].concat());
        let mount = is_mounted.then(|| Self(folder.path().to_owned()))?;
        Some((folder, mount))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !run("umount", &[&self.0]) {
            eprintln!("{} stays mounted", self.0.display());
        }
    }
}

/// Whether a command runs and succeeds.
pub(crate) fn run(program: &str, arguments: &[&Path]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
