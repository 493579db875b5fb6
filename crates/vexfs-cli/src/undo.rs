//! `-z FILE`: work that can be taken back.

use std::path::Path;
use std::sync::Arc;

use vexfs_device::{Device, FileDevice, UndoDevice, UndoError, UndoFile, UndoIdentity};
use vexfs_format::BlockNo;
use vexfs_fs::probe;

use crate::{Report, WithHint};

/// A device that is saved in an undo file.
pub type SavedDevice = Arc<UndoDevice<Arc<FileDevice>>>;

/// The UUID of the VexFS on `device`, if a superblock of it can be found.
pub fn known_uuid(device: &dyn Device) -> Option<[u8; 16]> {
    let primary = probe::read_superblock(device, BlockNo(0), 4096).ok();
    primary.or_else(|| probe::find_backup(device)).map(|superblock| superblock.uuid)
}

/// Saves in `file` what lies on `device`, which was opened at `path`, before it is overwritten.
///
/// # Errors
/// Those of [`UndoFile::create`] and [`UndoDevice::new`], with advice.
pub fn save(
    file: &Path,
    device: Arc<FileDevice>,
    path: &Path,
    identity: &UndoIdentity,
) -> anyhow::Result<SavedDevice> {
    let saved = UndoFile::create(file, path).and_then(|store| UndoDevice::new(device, store, identity));
    match saved {
        Ok(device) => Ok(Arc::new(device)),
        Err(error) => {
            let hint = match &error {
                UndoError::Device(_) | UndoError::Busy { .. } => return Err(error.into()),
                UndoError::OnDevice { .. } => "it needs room on another device",
                _ => "name a file that does not exist; nothing was changed",
            };
            Err(error).hint(hint)
        }
    }
}

/// Completes the undo file, and says how the work is taken back if anything was overwritten.
///
/// # Errors
/// The device or the file failed.
pub fn finish(device: &SavedDevice, file: &Path, report: &Report) -> anyhow::Result<()> {
    let finished = device.finish();
    if device.has_saved() {
        let (name, file) = (device.name(), file.display());
        report.message(format!("{name}: 'vexfs-tune --undo {file} {name}' takes this back"));
    }
    Ok(finished?)
}
