//! The device to format: opened, created or grown, and put back as it was when formatting fails.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use vexfs_cli::{Located, Usage, WithHint};
use vexfs_device::{BusyReason, Device, DeviceError, FileDevice, FileKind, OpenOptions};

use crate::occupant::{Occupant, occupants};

/// Where the filesystem goes. Nothing is changed before [`ready`](Self::ready).
#[derive(Debug)]
pub(crate) struct Target {
    place: Located,
    options: OpenOptions,
    /// `None`: a file that does not exist, and is to be created.
    device: Option<Arc<FileDevice>>,
    /// Bytes of the filesystem, when the user gave their number.
    size: Option<u64>,
}

/// A device that can be written to.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) device: Arc<FileDevice>,
    undo: Undo,
}

/// What was done to the file beside formatting it.
#[derive(Debug)]
enum Undo {
    Nothing,
    /// It was created.
    Remove(PathBuf, Metadata),
    /// It had this length.
    Shorten(PathBuf, u64),
}

impl Target {
    /// Opens the device; for reading if it is only to be looked at.
    ///
    /// # Errors
    /// Those of [`FileDevice::open`], but a file that is missing may be given a size; a size that the device does not have;
    /// [`Usage`] for a size that no file can have.
    pub(crate) fn open(
        place: Located,
        size: Option<u64>,
        allow_busy: bool,
        read_only: bool,
    ) -> anyhow::Result<Self> {
        let end = place.offset.checked_add(size.unwrap_or(0));
        if end.is_none_or(|end| i64::try_from(end).is_err()) {
            return Err(Usage::new("SIZE is too large").into());
        }
        let options = if read_only { OpenOptions::read_only() } else { OpenOptions::read_write() };
        let options = options.offset(place.offset).allow_busy(allow_busy);
        let device = match FileDevice::open(&place.path, options) {
            Ok(device) => Some(Arc::new(device)),
            Err(DeviceError::NotFound { .. }) if size.is_some() => None,
            Err(error @ DeviceError::NotFound { .. }) => {
                return Err(error).hint("with SIZE behind it, an image file is created");
            }
            Err(error @ DeviceError::Busy { .. }) => {
                let hint = busy_hint(&error);
                return Err(error).hint(hint);
            }
            Err(error) => return Err(error.into()),
        };
        if let (Some(device), Some(size)) = (&device, size)
            && device.kind() == FileKind::BlockDevice
            && size > device.len()
        {
            bail!("{}: SIZE is {size} bytes, and the device has only {}", device.name(), device.len());
        }
        Ok(Self { place, options, device, size })
    }

    /// The device as the user typed it.
    pub(crate) fn name(&self) -> String {
        self.device.as_ref().map_or_else(|| self.path().display().to_string(), |d| d.name().to_owned())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.place.path
    }

    pub(crate) fn offset(&self) -> u64 {
        self.place.offset
    }

    /// Bytes that the filesystem may use.
    pub(crate) fn bytes(&self) -> u64 {
        self.size.or_else(|| self.device.as_ref().map(|d| d.len())).unwrap_or(0)
    }

    pub(crate) fn is_block_device(&self) -> bool {
        self.device.as_ref().is_some_and(|d| d.kind() == FileKind::BlockDevice)
    }

    /// What is on the device.
    ///
    /// # Errors
    /// It cannot be read.
    pub(crate) fn occupants(&self) -> anyhow::Result<Vec<Occupant>> {
        match &self.device {
            Some(device) => occupants(device, self.path(), self.offset()),
            None => Ok(Vec::new()),
        }
    }

    /// Creates the file, or grows it, where that is needed.
    ///
    /// # Errors
    /// The file cannot be made; it is then as it was.
    pub(crate) fn ready(mut self) -> anyhow::Result<Ready> {
        let path = self.path().to_owned();
        let bytes = self.bytes();
        let end = self.offset() + bytes;
        let undo = match self.device.take() {
            Some(device) if bytes <= device.len() => return Ok(Ready { device, undo: Undo::Nothing }),
            Some(device) => {
                let name = device.name().to_owned();
                let old = self.offset() + device.len();
                File::options()
                    .write(true)
                    .open(&path)
                    .and_then(|file| file.set_len(end))
                    .with_context(|| format!("{name}: cannot be made longer"))?;
                Undo::Shorten(path, old)
            }
            None => {
                let device = FileDevice::create(&path, end)?;
                let meta = fs::metadata(&path).with_context(|| format!("cannot find {}", path.display()))?;
                let undo = Undo::Remove(path, meta);
                if self.offset() == 0 {
                    return Ok(Ready { device: Arc::new(device), undo });
                }
                undo
            }
        };
        // The device knows its length and window from the moment it is opened.
        match FileDevice::open(&self.place.path, self.options) {
            Ok(device) => Ok(Ready { device: Arc::new(device), undo }),
            Err(error) => {
                undo.run()?;
                Err(error.into())
            }
        }
    }
}

impl Ready {
    /// Length that the device had in bytes, if it was made longer.
    pub(crate) fn original_len(&self, offset: u64) -> Option<u64> {
        match &self.undo {
            Undo::Nothing => None,
            Undo::Remove(..) => Some(0),
            Undo::Shorten(_, len) => Some(len.saturating_sub(offset)),
        }
    }

    /// Takes back what was done to the file beside formatting it. Says what has become of it.
    ///
    /// # Errors
    /// The file stays as it is.
    pub(crate) fn give_up(self) -> anyhow::Result<()> {
        drop(self.device);
        self.undo.run()
    }
}

impl Undo {
    fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Nothing => Ok(()),
            Self::Remove(path, made) => {
                let is_same = |now: &Metadata| (now.dev(), now.ino()) == (made.dev(), made.ino());
                if fs::symlink_metadata(&path).is_ok_and(|now| is_same(&now)) {
                    fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
                }
                Ok(())
            }
            Self::Shorten(path, len) => File::options()
                .write(true)
                .open(&path)
                .and_then(|file| file.set_len(len))
                .with_context(|| format!("cannot make {} as short as it was", path.display())),
        }
    }
}

/// What can be done about a busy device: other VexFS tools are never worked beside.
fn busy_hint(error: &DeviceError) -> &'static str {
    match error {
        DeviceError::Busy { reason: BusyReason::VexfsReader | BusyReason::VexfsWriter, .. } => {
            "wait until it has ended"
        }
        _ => "-f -f formats it all the same, and destroys what its user reads and writes",
    }
}
