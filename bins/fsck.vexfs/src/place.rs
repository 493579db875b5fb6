//! Where the check works: on the device, on the device with an undo file beside it, or on a copy.

use std::path::PathBuf;
use std::sync::Arc;

use vexfs_cli::undo::{self, SavedDevice};
use vexfs_cli::{Located, Report};
use vexfs_device::{Device, FileDevice, OpenOptions, UndoIdentity};

use crate::args::Args;
use crate::repair_to::{self, LostRun};

/// The device that is checked.
pub(crate) enum Place {
    /// The one that was named.
    Device(Arc<FileDevice>),
    /// The same; what is overwritten is saved in this file.
    Saved(SavedDevice, PathBuf),
    /// A copy of it, which lacks what could not be read.
    Copy(Arc<FileDevice>, Vec<LostRun>),
}

impl Place {
    /// Opens the device that was found, and what the flags put between it and the check.
    ///
    /// # Errors
    /// It cannot be opened, saved or copied; a copy that was begun is removed.
    pub(crate) fn open(args: &Args, located: &Located, report: &Report) -> anyhow::Result<Self> {
        let is_written = args.writes() && args.repair_to.is_none();
        let options = if is_written { OpenOptions::read_write() } else { OpenOptions::read_only() };
        let device = Arc::new(FileDevice::open(&located.path, options.offset(located.offset))?);
        if let Some(new) = &args.repair_to {
            let (copy, lost) = repair_to::copy(&device, new, report)?;
            return Ok(Self::Copy(Arc::new(copy), lost));
        }
        let Some(file) = &args.undo_file else { return Ok(Self::Device(device)) };
        let uuid = undo::known_uuid(&*device);
        let tool = "fsck.vexfs".to_owned();
        let identity = UndoIdentity { uuid, uuid_before: uuid, original_len: None, tool };
        Ok(Self::Saved(undo::save(file, device, &located.path, &identity)?, file.clone()))
    }

    pub(crate) fn device(&self) -> Arc<dyn Device> {
        match self {
            Self::Device(device) | Self::Copy(device, _) => device.clone(),
            Self::Saved(device, _) => device.clone(),
        }
    }

    /// What a copy lacks.
    pub(crate) fn lost(&self) -> &[LostRun] {
        match self {
            Self::Copy(_, lost) => lost,
            Self::Device(_) | Self::Saved(..) => &[],
        }
    }

    /// The check is over: completes the undo file.
    ///
    /// # Errors
    /// The device or the undo file failed.
    pub(crate) fn finish(&self, report: &Report) -> anyhow::Result<()> {
        match self {
            Self::Saved(device, file) => undo::finish(device, file, report),
            Self::Device(_) | Self::Copy(..) => Ok(()),
        }
    }
}
