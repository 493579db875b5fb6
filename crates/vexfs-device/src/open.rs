//! Opening: what the path names, whether it may be used, and by whom it is held.
//!
//! In order: kind, rights, read-only media, exclusive use, the lock of the VexFS tools. Nothing is written. What comes out
//! is wrapped by [`crate::FileDevice`].

use std::fs::{self, File, FileType, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use nix::errno::Errno;
use nix::unistd::{AccessFlags, eaccess};

use crate::busy::{self, LoopBacking};
use crate::lock::{self, Access, LockedFile, Span};
use crate::system::{System, number_of, read_number};
use crate::{BusyReason, DeviceError, ReadOnlyCause, ioctl};

/// What a tool wants of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpenMode {
    /// Only read, beside other readers.
    ReadOnly,
    /// Read and write, alone.
    ReadWrite,
}

/// How to open a device.
///
/// ```
/// use vexfs_device::{OpenMode, OpenOptions};
/// let options = OpenOptions::read_write().offset(1 << 20);
/// assert_eq!((options.mode, options.offset, options.allow_busy), (OpenMode::ReadWrite, 1 << 20, false));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpenOptions {
    /// Reading, or reading and writing.
    pub mode: OpenMode,
    /// Where in the file the device's window begins, in bytes; it reaches to the end of the file.
    pub offset: u64,
    /// Write although the device is mounted, swap, held or backs a loop device. It does not override another VexFS tool:
    /// two of them never write to one device.
    pub allow_busy: bool,
}

impl OpenOptions {
    /// Only read, the whole device.
    pub fn read_only() -> Self {
        Self { mode: OpenMode::ReadOnly, offset: 0, allow_busy: false }
    }

    /// Read and write, the whole device, unless it is busy.
    pub fn read_write() -> Self {
        Self { mode: OpenMode::ReadWrite, ..Self::read_only() }
    }

    /// Sets where in the file the window begins, in bytes.
    pub fn offset(self, offset: u64) -> Self {
        Self { offset, ..self }
    }

    /// Sets whether to write to a busy device.
    pub fn allow_busy(self, allow_busy: bool) -> Self {
        Self { allow_busy, ..self }
    }
}

/// What a device is to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// A block special file: disk, partition, loop device, …
    BlockDevice,
    /// A regular file.
    Image,
}

/// An open device with what the system says about it.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: LockedFile,
    pub(crate) kind: FileKind,
    /// Length of the whole file or device in bytes.
    pub(crate) size: u64,
    pub(crate) sector_size: u32,
}

/// Sector of an image file in bytes: what loop devices show, and what every disk writes as a whole.
pub(crate) const IMAGE_SECTOR: u32 = 512;

/// Opens `path` as `options` say; `name` is for messages.
pub(crate) fn open(path: &Path, name: &str, options: OpenOptions) -> Result<Opened, DeviceError> {
    let system = System::live();
    // Asked before opening: opening a pipe waits for a writer, and opening a tape rewinds it.
    let meta = fs::metadata(path).map_err(|source| open_error(name, source))?;
    let kind = kind_of(name, meta.file_type())?;
    let file = match options.mode {
        OpenMode::ReadOnly => {
            File::options().read(true).open(path).map_err(|source| open_error(name, source))?
        }
        OpenMode::ReadWrite => open_for_writing(&system, path, name, &meta, kind, options.allow_busy)?,
    };
    // The path may have been given to something else in between.
    let meta = file.metadata().map_err(|source| failed(name, "read its properties", source))?;
    if kind_of(name, meta.file_type())? != kind {
        return Err(failed(name, "open", io::Error::from(Errno::ESTALE)));
    }
    if options.mode == OpenMode::ReadWrite && !options.allow_busy {
        // Neither is told by O_EXCL: an image file knows none, and a loop device does not claim what is behind it.
        let claimed = match kind {
            FileKind::Image => busy::claim(&system, &meta),
            FileKind::BlockDevice => busy::backs_loop_device(&system, &meta),
        };
        if let Some(reason) = claimed {
            return Err(DeviceError::Busy { device: name.to_owned(), reason });
        }
    }
    let mut file = LockedFile::new(file);
    take_locks(&system, &mut file, name, &meta, options)?;

    // Measured under the lock: before it, a writer may have been at work.
    let (size, sector_size) = match kind {
        FileKind::Image => {
            let meta = file.metadata().map_err(|source| failed(name, "read its size", source))?;
            (meta.len(), IMAGE_SECTOR)
        }
        FileKind::BlockDevice => measure(&file, name)?,
    };
    if options.offset > size {
        return Err(DeviceError::OutOfRange {
            device: name.to_owned(),
            offset: options.offset,
            len: 0,
            size,
        });
    }
    Ok(Opened { file, kind, size, sector_size })
}

/// Takes the tools' lock on the window, also in the file behind a loop device.
pub(crate) fn take_locks(
    system: &System,
    file: &mut LockedFile,
    name: &str,
    meta: &Metadata,
    options: OpenOptions,
) -> Result<(), DeviceError> {
    let access = match options.mode {
        OpenMode::ReadOnly => Access::Read,
        OpenMode::ReadWrite => Access::Write,
    };
    let busy = |reason| DeviceError::Busy { device: name.to_owned(), reason };
    let lock = |file: &File, span: Span| match lock::try_lock(file, access, span) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(holder)) => Err(busy(BusyReason::from_lock(holder))),
        // Where there are no locks no writer gets in, so a reader is alone with readers.
        Err(Errno::ENOLCK | Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOSYS) if access == Access::Read => {
            Ok(())
        }
        Err(errno) => Err(failed(name, "lock", errno.into())),
    };
    let window = Span { start: options.offset, len: None };
    lock(file, window)?;
    if access == Access::Write && meta.is_file() && !options.allow_busy {
        let is_locked =
            lock::is_locked_by_others(file).map_err(|errno| failed(name, "lock", errno.into()))?;
        if is_locked {
            return Err(busy(BusyReason::LockedByProgram));
        }
    }
    if let Some(backing) = LoopBacking::of(system, meta, access) {
        lock(&backing.file, backing.span(window))?;
        file.keep_behind(backing.file);
    }
    Ok(())
}

/// Tries at opening a block device that somebody holds without showing a reason: udev and the like look at devices for
/// milliseconds.
const BRIEF_HOLDER_TRIES: u32 = 5;
const BRIEF_HOLDER_PAUSE: Duration = Duration::from_millis(20);

fn open_for_writing(
    system: &System,
    path: &Path,
    name: &str,
    meta: &Metadata,
    kind: FileKind,
    allow_busy: bool,
) -> Result<File, DeviceError> {
    let mut options = File::options();
    options.read(true).write(true);
    if kind == FileKind::BlockDevice {
        options.custom_flags(libc::O_EXCL);
    }
    let mut tries = 0;
    let file = loop {
        let error = match options.open(path) {
            Ok(file) => break file,
            Err(error) => error,
        };
        if error.raw_os_error() != Some(libc::EBUSY) {
            return Err(writing_error(system, path, name, meta, error));
        }
        if allow_busy && tries == 0 {
            options.custom_flags(0);
        } else {
            // Known holders stay; one that nothing tells of may be gone in a moment.
            let reason = busy::busy_reason(path).unwrap_or(BusyReason::OpenedExclusively);
            if reason != BusyReason::OpenedExclusively || tries >= BRIEF_HOLDER_TRIES {
                return Err(DeviceError::Busy { device: name.to_owned(), reason });
            }
            sleep(BRIEF_HOLDER_PAUSE);
        }
        tries += 1;
    };
    if kind == FileKind::BlockDevice && ioctl::is_read_only(&file).unwrap_or(false) {
        return Err(DeviceError::ReadOnly { device: name.to_owned(), cause: ReadOnlyCause::Medium });
    }
    Ok(file)
}

/// Why opening for writing failed: a medium or rights that allow reading are told from none at all.
fn writing_error(system: &System, path: &Path, name: &str, meta: &Metadata, error: io::Error) -> DeviceError {
    let read_only = |cause| DeviceError::ReadOnly { device: name.to_owned(), cause };
    let is_block = meta.file_type().is_block_device();
    match error.raw_os_error() {
        Some(libc::EROFS) if is_block => read_only(ReadOnlyCause::Medium),
        Some(libc::EROFS) => read_only(ReadOnlyCause::Filesystem),
        Some(libc::EACCES | libc::EPERM) if eaccess(path, AccessFlags::R_OK).is_ok() => {
            let flag = system.block_dir(&number_of(meta)).join("ro");
            let is_medium = is_block && read_number(&flag) == Some(1);
            read_only(if is_medium { ReadOnlyCause::Medium } else { ReadOnlyCause::Permission })
        }
        _ => open_error(name, error),
    }
}

/// Length and logical sector of a block device.
fn measure(file: &File, name: &str) -> Result<(u64, u32), DeviceError> {
    let size = ioctl::size(file).map_err(|errno| failed(name, "read its size", errno.into()))?;
    let sector = ioctl::sector_size(file).map_err(|errno| failed(name, "read its sector", errno.into()))?;
    if size == 0 {
        return Err(DeviceError::NoMedium { device: name.to_owned() });
    }
    if !sector.is_power_of_two() {
        return Err(failed(name, "read its sector", Errno::EINVAL.into()));
    }
    Ok((size, sector))
}

fn kind_of(name: &str, file_type: FileType) -> Result<FileKind, DeviceError> {
    let kind = if file_type.is_block_device() {
        return Ok(FileKind::BlockDevice);
    } else if file_type.is_file() {
        return Ok(FileKind::Image);
    } else if file_type.is_dir() {
        "directory"
    } else if file_type.is_char_device() {
        "character device"
    } else if file_type.is_fifo() {
        "pipe"
    } else {
        "socket"
    };
    Err(DeviceError::NotADevice { device: name.to_owned(), kind })
}

/// The error for a path that the system does not open.
pub(crate) fn open_error(name: &str, source: io::Error) -> DeviceError {
    let device = name.to_owned();
    match source.raw_os_error() {
        Some(libc::ENOENT) => DeviceError::NotFound { device },
        Some(libc::EACCES | libc::EPERM) => DeviceError::PermissionDenied { device },
        Some(libc::EEXIST) => DeviceError::AlreadyExists { device },
        Some(libc::ENOMEDIUM | libc::ENXIO) => DeviceError::NoMedium { device },
        Some(libc::EROFS) => DeviceError::ReadOnly { device, cause: ReadOnlyCause::Filesystem },
        _ => failed(name, "open", source),
    }
}

pub(crate) fn failed(name: &str, action: &'static str, source: io::Error) -> DeviceError {
    DeviceError::Open { device: name.to_owned(), action, source }
}
