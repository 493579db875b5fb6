//! [`UndoStore`]: where the bytes of an undo file lie, and [`UndoFile`], the real one.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::UndoError;
use crate::busy::LoopBacking;
use crate::lock::{Access, LockedFile, Span, try_lock};
use crate::open::{failed, open_error};
use crate::system::System;
use crate::{DeviceError, IoOp};

/// A file that grows.
pub trait UndoStore: Send + Sync + std::fmt::Debug {
    /// The file as the user typed it, for messages.
    fn name(&self) -> &str;

    /// Length in bytes.
    ///
    /// # Errors
    /// The system's answer.
    fn len(&self) -> Result<u64, DeviceError>;

    /// Whether there are no bytes at all.
    ///
    /// # Errors
    /// The system's answer.
    fn is_empty(&self) -> Result<bool, DeviceError> {
        Ok(self.len()? == 0)
    }

    /// Fills `buf` with the bytes at `offset`: all of them, or an error.
    ///
    /// # Errors
    /// [`DeviceError::Io`], also behind the end.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError>;

    /// Writes `buf` at `offset`, growing the file where that is behind its end.
    ///
    /// # Errors
    /// [`DeviceError::Io`].
    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError>;

    /// Cuts the file off behind `len` bytes, or fills it up with zeros.
    ///
    /// # Errors
    /// [`DeviceError::Io`].
    fn set_len(&self, len: u64) -> Result<(), DeviceError>;

    /// When it returns `Ok`, all that was written is durable, the length included.
    ///
    /// # Errors
    /// [`DeviceError::Io`]; what was written is lost then.
    fn sync(&self) -> Result<(), DeviceError>;
}

/// An undo file, locked for this process alone.
#[derive(Debug)]
pub struct UndoFile {
    name: String,
    file: LockedFile,
}

impl UndoFile {
    /// Opens the undo file at `path`, to save what lies on the device at `device`; creates it where there is none.
    ///
    /// What is created can be read by its owner only: it holds parts of the device.
    ///
    /// # Durability
    /// The name of the file lasts when this returns.
    ///
    /// # Errors
    /// [`UndoError::NotUndo`] for anything but a regular file; [`UndoError::OnDevice`] if it is the device, the file behind a
    /// loop device, or on a filesystem on the device; [`UndoError::Busy`]; [`UndoError::Device`].
    pub fn create(path: impl AsRef<Path>, device: impl AsRef<Path>) -> Result<Self, UndoError> {
        let (path, device) = (path.as_ref(), device.as_ref());
        let name = path.display().to_string();
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        // Opening a device node or a pipe may do something.
        let found = match fs::metadata(path) {
            Ok(meta) if !meta.is_file() => return Err(UndoError::NotUndo { file: name }),
            Ok(meta) => meta,
            Err(_) => fs::metadata(folder).map_err(|source| open_error(&name, source))?,
        };
        if lies_on(&found, device) {
            return Err(UndoError::OnDevice { file: name, device: device.display().to_string() });
        }
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(|source| open_error(&name, source))?;
        // A folder that may not be read cannot be asked to make its names last.
        if let Ok(folder) = File::open(folder) {
            folder.sync_all().map_err(|source| failed(&name, "create", source))?;
        }
        Self::lock(file, name)
    }

    /// Opens an undo file that exists, to put it back.
    ///
    /// # Errors
    /// [`UndoError::NotUndo`] for anything but a regular file, [`UndoError::Busy`], [`UndoError::Device`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, UndoError> {
        let path = path.as_ref();
        let name = path.display().to_string();
        let meta = std::fs::metadata(path).map_err(|source| open_error(&name, source))?;
        if !meta.is_file() {
            return Err(UndoError::NotUndo { file: name });
        }
        let file = File::options().read(true).write(true).open(path);
        Self::lock(file.map_err(|source| open_error(&name, source))?, name)
    }

    fn lock(file: File, name: String) -> Result<Self, UndoError> {
        match try_lock(&file, Access::Write, Span::WHOLE) {
            Ok(Ok(())) => Ok(Self { name, file: LockedFile::new(file) }),
            Ok(Err(_)) => Err(UndoError::Busy { file: name }),
            Err(errno) => Err(failed(&name, "lock", errno.into()).into()),
        }
    }

    fn error(&self, op: IoOp, offset: u64, len: u64, source: io::Error) -> DeviceError {
        DeviceError::Io { op, device: self.name.clone(), offset, len, source }
    }
}

impl UndoStore for UndoFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> Result<u64, DeviceError> {
        let meta = self.file.metadata();
        meta.map(|meta| meta.len()).map_err(|source| failed(&self.name, "read its size", source))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        let len = buf.len() as u64;
        self.file.read_exact_at(buf, offset).map_err(|source| self.error(IoOp::Read, offset, len, source))
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        let len = buf.len() as u64;
        self.file.write_all_at(buf, offset).map_err(|source| self.error(IoOp::Write, offset, len, source))
    }

    fn set_len(&self, len: u64) -> Result<(), DeviceError> {
        self.file.set_len(len).map_err(|source| self.error(IoOp::Write, len, 0, source))
    }

    fn sync(&self) -> Result<(), DeviceError> {
        self.file.sync_data().map_err(|source| self.error(IoOp::Flush, 0, 0, source))
    }
}

/// Whether `found`, an undo file or the folder for one, is the device, or changes with it.
fn lies_on(found: &Metadata, device: &Path) -> bool {
    // Whoever opens the device says that it is missing.
    let Ok(on) = fs::metadata(device) else { return false };
    let is_same = |other: &Metadata| (other.dev(), other.ino()) == (found.dev(), found.ino());
    if !on.file_type().is_block_device() {
        return is_same(&on);
    }
    let backing = LoopBacking::of(&System::live(), &on, Access::Read);
    let is_backing = backing.is_some_and(|backing| backing.file.metadata().is_ok_and(|meta| is_same(&meta)));
    is_backing || found.dev() == on.rdev()
}
