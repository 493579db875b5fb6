//! The file descriptor that `-C` names: a line for each step, for the program that started this one.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::FromRawFd;
use std::time::{Duration, Instant};

use vexfs_fs::check::Progress;

/// Time between two lines: eight a second, as e2fsck does.
const EVERY: Duration = Duration::from_millis(125);

/// Where progress goes.
#[derive(Debug)]
pub(crate) struct ProgressFd {
    /// `None` when nobody reads any more.
    file: Option<File>,
    device: String,
    last: Option<(u8, Instant)>,
}

impl ProgressFd {
    /// Takes a copy of descriptor `fd`, before a device is opened that could get its number.
    ///
    /// # Errors
    /// The caller of this program did not open it.
    pub(crate) fn new(fd: i32, device: String) -> io::Result<Self> {
        // SAFETY: fcntl with F_DUPFD_CLOEXEC takes any number and touches no memory; an unused descriptor is the error EBADF.
        let copy = unsafe { libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 3) };
        if copy < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the call above has made this descriptor, so nothing else in this process owns or closes it.
        let file = unsafe { File::from_raw_fd(copy) };
        Ok(Self { file: Some(file), device, last: None })
    }

    /// Writes `PASS CUR MAX DEVICE`, if it is time to.
    pub(crate) fn show(&mut self, progress: Progress) {
        let Progress { pass, done, total } = progress;
        // Passes are counted from 1 on; pass 0 takes no time.
        if pass == 0 {
            return;
        }
        let is_due = match self.last {
            Some((before, at)) => before != pass || at.elapsed() >= EVERY,
            None => true,
        };
        if !is_due && done < total {
            return;
        }
        self.last = Some((pass, Instant::now()));
        let Some(file) = &mut self.file else { return };
        // A reader that has gone away does not stop a check.
        if writeln!(file, "{pass} {done} {total} {}", self.device).is_err() {
            self.file = None;
        }
    }
}
