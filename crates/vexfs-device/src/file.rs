//! [`FileDevice`]: a block device or an image file.

mod clear;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};

use crate::device::check_range;
use crate::lock::LockedFile;
use crate::open::{
    FileKind, IMAGE_SECTOR, OpenMode, OpenOptions, Opened, failed, open, open_error, take_locks,
};
use crate::system::System;
use crate::{Device, DeviceError, IoOp, Mapping, ReadOnlyCause, Run, ioctl};

/// Reads of at most this many bytes are tried again when the device fails: callers who read much at once read again in
/// pieces themselves.
const SECOND_TRY_BYTES: u64 = 64 << 10;
/// No page of the system's cache is larger, in bytes.
const LARGEST_PAGE: u64 = 2 << 20;

/// A block device, an image file, or the part of one that begins at an offset.
///
/// While it is open for writing nobody else opens it with these tools, and no other program mounts it or claims a block
/// device exclusively. Input and output go through the page cache, so no alignment is asked of callers.
#[derive(Debug)]
pub struct FileDevice {
    name: String,
    file: Arc<LockedFile>,
    kind: FileKind,
    mode: OpenMode,
    /// Where the window begins in the file, and its length.
    base: u64,
    len: u64,
    sector_size: u32,
    /// A flush has failed; see [`Device::flush`].
    has_lost_writes: AtomicBool,
    /// The image file that this device created.
    created: Option<PathBuf>,
}

impl FileDevice {
    /// Opens the block device or image file at `path`.
    ///
    /// A writer opens a block device with `O_EXCL` and takes the tools' lock for itself; readers share the lock, so that
    /// none of them reads beside a writer. No `flock` is taken: systemd holds one on the device while it runs a tool.
    ///
    /// # Errors
    /// In the order of the checks: [`DeviceError::NotFound`], [`DeviceError::NotADevice`],
    /// [`DeviceError::PermissionDenied`], [`DeviceError::ReadOnly`] (writers), [`DeviceError::Busy`],
    /// [`DeviceError::NoMedium`], [`DeviceError::OutOfRange`] for a window that begins beyond the end, and
    /// [`DeviceError::Open`] for whatever else the system answers.
    pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<Self, DeviceError> {
        let path = path.as_ref();
        let name = match options.offset {
            0 => path.display().to_string(),
            offset => format!("{}?offset={offset}", path.display()),
        };
        let Opened { file, kind, size, sector_size } = open(path, &name, options)?;
        Ok(Self {
            name,
            file: Arc::new(file),
            kind,
            mode: options.mode,
            base: options.offset,
            len: size - options.offset,
            sector_size,
            has_lost_writes: AtomicBool::new(false),
            created: None,
        })
    }

    /// Creates an image file of `size` bytes, all zero and sparse, and opens it for writing.
    ///
    /// Its permissions are 0644 less the umask. A caller whose work fails takes it away with
    /// [`remove_created`](Self::remove_created).
    ///
    /// # Errors
    /// [`DeviceError::AlreadyExists`]; [`DeviceError::NotFound`] if the folder does not exist;
    /// [`DeviceError::PermissionDenied`], [`DeviceError::ReadOnly`], [`DeviceError::Open`]. No file is left behind.
    pub fn create(path: impl AsRef<Path>, size: u64) -> Result<Self, DeviceError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(path)
            .map_err(|source| open_error(&name, source))?;
        let mut file = LockedFile::new(file);
        let locked = file
            .metadata()
            .map_err(|source| failed(&name, "create", source))
            .and_then(|meta| take_locks(&System::live(), &mut file, &name, &meta, OpenOptions::read_write()));
        let device = Self {
            name,
            file: Arc::new(file),
            kind: FileKind::Image,
            mode: OpenMode::ReadWrite,
            base: 0,
            len: size,
            sector_size: IMAGE_SECTOR,
            has_lost_writes: AtomicBool::new(false),
            created: Some(path.to_owned()),
        };
        match locked.and_then(|()| device.prepare_created()) {
            Ok(()) => Ok(device),
            Err(error) => {
                // The error that made the file useless is the one to tell.
                let _ = device.remove_created();
                Err(error)
            }
        }
    }

    /// Gives the file just created its length, and makes its name durable.
    fn prepare_created(&self) -> Result<(), DeviceError> {
        let create_error = |source| failed(&self.name, "create", source);
        self.file.set_len(self.len).map_err(create_error)?;
        self.file.sync_all().map_err(create_error)?;
        if let Some(path) = &self.created {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            // A folder that may be written but not read cannot be opened; then its name entry is durable later.
            if let Ok(folder) = File::open(parent.unwrap_or(Path::new("."))) {
                let _ = folder.sync_all();
            }
        }
        Ok(())
    }

    /// Removes the image file that [`create`](Self::create) made. A device that was merely opened is left alone.
    ///
    /// # Errors
    /// [`DeviceError::Open`] if the file cannot be removed.
    pub fn remove_created(self) -> Result<(), DeviceError> {
        let Some(path) = &self.created else { return Ok(()) };
        let remove_error = |source| failed(&self.name, "remove", source);
        let mine = self.file.metadata().map_err(remove_error)?;
        match fs::symlink_metadata(path) {
            // Only what was created here: somebody may have put another file in its place.
            Ok(found) if (found.dev(), found.ino()) == (mine.dev(), mine.ino()) => {
                fs::remove_file(path).map_err(remove_error)
            }
            _ => Ok(()),
        }
    }

    /// Makes an image file longer, to `len` bytes from where the device begins; they are zero and take no space. One that is as long
    /// already stays as it is.
    ///
    /// # Durability
    /// When it returns, the length survives a crash.
    ///
    /// # Errors
    /// [`DeviceError::ReadOnly`] if it was opened for reading; [`DeviceError::OutOfRange`] for a block device, which has the
    /// length it has; [`DeviceError::Open`] if the file cannot be as long.
    pub fn extend(mut self, len: u64) -> Result<Self, DeviceError> {
        if len <= self.len {
            return Ok(self);
        }
        self.check_write(0, if self.kind == FileKind::Image { 0 } else { len })?;
        let extend_error = |source| failed(&self.name, "extend", source);
        let end = self.base.checked_add(len).ok_or_else(|| extend_error(Errno::EFBIG.into()))?;
        self.file.set_len(end).map_err(extend_error)?;
        self.file.sync_all().map_err(extend_error)?;
        self.len = len;
        Ok(self)
    }

    /// What the device is to the system.
    pub fn kind(&self) -> FileKind {
        self.kind
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        if self.is_read_only() {
            let device = self.name.clone();
            return Err(DeviceError::ReadOnly { device, cause: ReadOnlyCause::OpenedReadOnly });
        }
        check_range(self, offset, len)
    }

    fn error(&self, op: IoOp, offset: u64, len: u64, source: impl Into<io::Error>) -> DeviceError {
        DeviceError::Io { op, device: self.name.clone(), offset, len, source: source.into() }
    }

    /// Lets the system forget what it has of the device around `offset`.
    ///
    /// It reads several blocks into one page of its cache, and a page with one bad block in it may fail as a whole, for as long as
    /// it is kept: seen on Linux 6.18 after a mapping met the bad block. Dirty pages stay.
    fn forget_cached(&self, offset: u64) {
        let start = (self.base + offset) / LARGEST_PAGE * LARGEST_PAGE;
        if let (Ok(start), Ok(len)) = (libc::off_t::try_from(start), libc::off_t::try_from(LARGEST_PAGE)) {
            // Where it does not work the second try fails as the first.
            let _ = posix_fadvise(&**self.file, start, len, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        }
    }

    fn write_all(&self, op: IoOp, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        let mut done = 0;
        while done < buf.len() {
            let at = offset + done as u64;
            let failed = |source| self.error(op, at, (buf.len() - done) as u64, source);
            match self.file.write_at(&buf[done..], self.base + at) {
                // Accepting nothing without a reason would be asked for ever.
                Ok(0) => return Err(failed(io::Error::from(Errno::ENOSPC))),
                Ok(written) => done += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }
}

impl Device for FileDevice {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn is_read_only(&self) -> bool {
        self.mode == OpenMode::ReadOnly
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        check_range(self, offset, buf.len() as u64)?;
        let mut done = 0;
        let mut may_try_again = buf.len() as u64 <= SECOND_TRY_BYTES;
        while done < buf.len() {
            let at = offset + done as u64;
            let left = (buf.len() - done) as u64;
            let failed = |source| self.error(IoOp::Read, at, left, source);
            match self.file.read_at(&mut buf[done..], self.base + at) {
                Ok(0) => {
                    let text = "the file has been truncated";
                    return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, text)));
                }
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if may_try_again && error.raw_os_error() == Some(libc::EIO) => {
                    may_try_again = false;
                    self.forget_cached(at);
                }
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(())
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        self.check_write(offset, buf.len() as u64)?;
        self.write_all(IoOp::Write, offset, buf)
    }

    fn flush(&self) -> Result<(), DeviceError> {
        if self.is_read_only() {
            return Ok(());
        }
        let failed = |source| self.error(IoOp::Flush, 0, self.len, source);
        if self.has_lost_writes.load(Ordering::Acquire) {
            return Err(failed(io::Error::from(Errno::EIO)));
        }
        loop {
            match self.file.sync_data() {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.has_lost_writes.store(true, Ordering::Release);
                    return Err(failed(error));
                }
            }
        }
    }

    fn zero(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        self.check_write(offset, len)?;
        self.clear(offset, len)
    }

    fn discard(&self, offset: u64, len: u64) -> Result<bool, DeviceError> {
        self.check_write(offset, len)?;
        self.give_back(offset, len)
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        if self.check_write(offset, len).is_ok() && len > 0 {
            // A hint; what cannot begin early is written by the flush.
            let _ = ioctl::start_writeback(&self.file, self.base + offset, len);
        }
    }

    fn map(&self, runs: &[Run]) -> Result<Mapping, DeviceError> {
        Mapping::map_file(self, &self.file, self.base, runs)
    }
}
