//! The lock by which VexFS tools keep out of each other's way on one device.
//!
//! It is an open-file-description lock (`F_OFD_SETLK`) on the bytes of the window, moved up by [`LOCK_BASE`]: readers share
//! it, a writer has it alone. It works alike on image files and device nodes, belongs to the descriptor (so two openings in
//! one process exclude each other as two processes do), ends with the descriptor whatever happens to the process, and
//! meets neither `flock`, which systemd and udev hold on a device while they run a tool on it, nor the byte locks of other
//! programs, which lie where the data is.
//!
//! The system keeps these locks by device node. Writers that reach one device through two nodes (a disk and its partition, a
//! second node in a container) still meet at `O_EXCL`; a reader beside such a writer is not noticed.

use std::fs::File;
use std::ops::Deref;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// Where the lock bytes begin: beyond every byte a file or device can have.
const LOCK_BASE: u64 = 1 << 62;

/// What a tool is going to do with the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl Access {
    fn lock_type(self) -> libc::c_int {
        match self {
            Access::Read => libc::F_RDLCK,
            Access::Write => libc::F_WRLCK,
        }
    }
}

/// Part of a device: `start ..`, or `start .. start + len`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span {
    pub(crate) start: u64,
    /// `None` is "to the end, wherever that will be".
    pub(crate) len: Option<u64>,
}

impl Span {
    pub(crate) const WHOLE: Span = Span { start: 0, len: None };
}

/// An open file and the locks that protect it, given back when it is dropped.
///
/// Closing would give them back too, but not before every copy of the descriptor is closed, and another thread that is just
/// starting a program has copied them all for a moment.
#[derive(Debug)]
pub(crate) struct LockedFile {
    file: File,
    /// Holds the lock in the file behind a loop device.
    behind: Option<File>,
}

impl LockedFile {
    /// A file that is not locked so far.
    pub(crate) fn new(file: File) -> Self {
        Self { file, behind: None }
    }

    /// Keeps a file that has been locked as well.
    pub(crate) fn keep_behind(&mut self, behind: File) {
        self.behind = Some(behind);
    }
}

impl Deref for LockedFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        for file in self.behind.iter().chain([&self.file]) {
            let all = request(libc::F_UNLCK, LOCK_BASE, Span::WHOLE);
            // What fails here is done by closing.
            let _ = fcntl(file, FcntlArg::F_OFD_SETLK(&all));
        }
    }
}

/// Takes the lock, or says how those hold it who are in the way.
pub(crate) fn try_lock(file: &File, access: Access, span: Span) -> Result<Result<(), Access>, Errno> {
    let request = request(access.lock_type(), LOCK_BASE, span);
    match fcntl(file, FcntlArg::F_OFD_SETLK(&request)) {
        Ok(_) => Ok(Ok(())),
        // The holder may have gone between the two calls; then it was a writer as likely as not.
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(Err(holder(file, access, span)?.unwrap_or(Access::Write))),
        Err(errno) => Err(errno),
    }
}

/// Who would be in the way of taking the lock.
pub(crate) fn holder(file: &File, access: Access, span: Span) -> Result<Option<Access>, Errno> {
    query(file, request(access.lock_type(), LOCK_BASE, span))
}

/// Whether a program that is not of this family has locked bytes of the file itself, as virtual machines do with their disks.
pub(crate) fn is_locked_by_others(file: &File) -> Result<bool, Errno> {
    let data = Span { start: 0, len: Some(LOCK_BASE) };
    Ok(query(file, request(libc::F_WRLCK, 0, data))?.is_some())
}

fn query(file: &File, mut request: libc::flock) -> Result<Option<Access>, Errno> {
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut request))?;
    Ok(match libc::c_int::from(request.l_type) {
        libc::F_UNLCK => None,
        libc::F_RDLCK => Some(Access::Read),
        _ => Some(Access::Write),
    })
}

fn request(kind: libc::c_int, base: u64, span: Span) -> libc::flock {
    // Offsets end at 2^63 - 1. A start of 2^62 or more names no byte of any device; the last lock byte stands for it.
    let start = (base + span.start.min(LOCK_BASE - 1)) as i64;
    let len = span.len.map_or(0, |len| len.clamp(1, (i64::MAX - start) as u64 + 1)) as i64;
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: len,
        l_pid: 0, // F_OFD_* demand 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &std::path::Path) -> File {
        File::options().read(true).write(true).open(path).expect("open")
    }

    #[test]
    fn readers_share_and_a_writer_is_alone() {
        let image = tempfile::NamedTempFile::new().expect("file");
        let (a, b, c) = (open(image.path()), open(image.path()), open(image.path()));
        assert_eq!(try_lock(&a, Access::Read, Span::WHOLE), Ok(Ok(())));
        assert_eq!(try_lock(&b, Access::Read, Span::WHOLE), Ok(Ok(())));
        assert_eq!(try_lock(&c, Access::Write, Span::WHOLE), Ok(Err(Access::Read)));
        drop((a, b));
        assert_eq!(try_lock(&c, Access::Write, Span::WHOLE), Ok(Ok(())));
        let late = open(image.path());
        assert_eq!(try_lock(&late, Access::Read, Span::WHOLE), Ok(Err(Access::Write)));
        assert_eq!(is_locked_by_others(&late), Ok(false), "our own lock lies beyond the data");
    }

    #[test]
    fn windows_that_do_not_overlap_do_not_exclude_each_other() {
        let image = tempfile::NamedTempFile::new().expect("file");
        let (a, b, c) = (open(image.path()), open(image.path()), open(image.path()));
        assert_eq!(try_lock(&a, Access::Write, Span { start: 0, len: Some(4096) }), Ok(Ok(())));
        assert_eq!(try_lock(&b, Access::Write, Span { start: 4096, len: None }), Ok(Ok(())));
        assert_eq!(try_lock(&c, Access::Read, Span { start: 4095, len: Some(1) }), Ok(Err(Access::Write)));
    }

    #[test]
    fn a_window_beyond_every_offset_locks_nothing_by_accident() {
        let image = tempfile::NamedTempFile::new().expect("file");
        let (a, b) = (open(image.path()), open(image.path()));
        let far = Span { start: u64::MAX, len: Some(u64::MAX) };
        assert_eq!(try_lock(&a, Access::Write, far), Ok(Ok(())));
        assert_eq!(try_lock(&b, Access::Write, Span { start: 0, len: Some(1 << 40) }), Ok(Ok(())));
    }

    #[test]
    fn a_lock_of_another_program_on_the_data_is_seen() {
        let image = tempfile::NamedTempFile::new().expect("file");
        let (other, mine) = (open(image.path()), open(image.path()));
        let byte_100 = request(libc::F_RDLCK, 0, Span { start: 100, len: Some(1) });
        fcntl(&other, FcntlArg::F_OFD_SETLK(&byte_100)).expect("lock");
        assert_eq!(is_locked_by_others(&mine), Ok(true));
    }

    #[test]
    fn a_dropped_file_is_free_although_a_copy_of_its_descriptor_is_open() {
        let upper = tempfile::NamedTempFile::new().expect("file");
        let lower = tempfile::NamedTempFile::new().expect("file");
        let mut locked = LockedFile::new(open(upper.path()));
        let lower_file = open(lower.path());
        assert_eq!(try_lock(&locked, Access::Write, Span::WHOLE), Ok(Ok(())));
        assert_eq!(try_lock(&lower_file, Access::Write, Span::WHOLE), Ok(Ok(())));
        // As a child process has between its fork and the start of its program.
        let copies = (locked.try_clone().expect("copy"), lower_file.try_clone().expect("copy"));
        locked.keep_behind(lower_file);
        for path in [upper.path(), lower.path()] {
            assert_eq!(holder(&open(path), Access::Read, Span::WHOLE), Ok(Some(Access::Write)));
        }
        drop(locked);
        for path in [upper.path(), lower.path()] {
            assert_eq!(holder(&open(path), Access::Write, Span::WHOLE), Ok(None));
        }
        drop(copies);
    }
}
