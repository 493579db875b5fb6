//! [`UndoError`]: why an undo file cannot be written or put back.

use std::fmt;

use crate::DeviceError;

/// In what another device than the undo file's shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherDevice {
    /// Its length.
    Len {
        /// Bytes of the device.
        found: u64,
        /// Bytes of the device that the file belongs to.
        expected: u64,
    },
    /// Its UUID.
    Uuid {
        /// The device's.
        found: [u8; 16],
        /// That of the device that the file belongs to.
        expected: [u8; 16],
    },
}

impl fmt::Display for OtherDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Len { found, expected } => {
                write!(f, "it was written for a device of {expected} bytes, and this one has {found}")
            }
            Self::Uuid { found, expected } => {
                write!(
                    f,
                    "it was written for the UUID {}, and this device has {}",
                    Uuid(expected),
                    Uuid(found)
                )
            }
        }
    }
}

/// A UUID in its usual form.
struct Uuid<'a>(&'a [u8; 16]);

impl fmt::Display for Uuid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// An undo file cannot be written, or not be put back. `file` is the undo file, `device` the device, both as typed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UndoError {
    /// The device or the undo file failed; the error names which.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The file exists and is something else; it is left as it is.
    #[error("{file}: is not an undo file")]
    NotUndo {
        /// As typed.
        file: String,
    },
    /// The undo file would change with what it is to save.
    #[error("{file}: lies on {device}, whose contents it is to save")]
    OnDevice {
        /// As typed.
        file: String,
        /// As typed.
        device: String,
    },
    /// Another run is writing to the file, or putting it back.
    #[error("{file}: is in use")]
    Busy {
        /// As typed.
        file: String,
    },
    /// The file comes from newer tools.
    #[error("{file}: has version {found} of the layout of undo files; these tools know version 1")]
    Version {
        /// As typed.
        file: String,
        /// Its version.
        found: u32,
    },
    /// A part of the file does not hold what was written; nothing was put back.
    #[error("{file}: record {sequence} at byte offset {offset} is damaged: {what}")]
    Damaged {
        /// As typed.
        file: String,
        /// Byte of the undo file where the record begins.
        offset: u64,
        /// Number of the record; 0 is the header.
        sequence: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The file belongs to another device.
    #[error("{file}: does not belong to {device}: {what}")]
    OtherDevice {
        /// As typed.
        file: String,
        /// As typed.
        device: String,
        /// In what that shows.
        what: OtherDevice,
    },
    /// The device was written to after the work that the file takes back.
    #[error(
        "{device}: was changed after {file} was written: {bytes} bytes, the first at byte offset {offset}, are neither as \
         they were before nor as they were left"
    )]
    Changed {
        /// As typed.
        file: String,
        /// As typed.
        device: String,
        /// First byte on the device of the first part that differs.
        offset: u64,
        /// Bytes that differ, counted in granules of 4096.
        bytes: u64,
    },
    /// The file has been put back, in whole or in part; nothing is added to it.
    #[error("{file}: has been put back already; take another file, or remove it")]
    Used {
        /// As typed.
        file: String,
    },
}
