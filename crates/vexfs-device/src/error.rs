//! [`DeviceError`]: everything that can go wrong below the format, worded for the person who named the device.

use std::fmt;
use std::io;

use crate::BusyReason;

/// The operation that a [`DeviceError::Io`] interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IoOp {
    /// [`Device::read_at`](crate::Device::read_at), or bytes of a mapping that cannot be read.
    Read,
    /// [`Device::write_at`](crate::Device::write_at).
    Write,
    /// [`Device::flush`](crate::Device::flush).
    Flush,
    /// [`Device::zero`](crate::Device::zero).
    Zero,
    /// [`Device::discard`](crate::Device::discard).
    Discard,
    /// [`Device::map`](crate::Device::map): no address space or no memory for the mapping.
    Map,
}

impl fmt::Display for IoOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            IoOp::Read => "read",
            IoOp::Write => "write",
            IoOp::Flush => "flush",
            IoOp::Zero => "zero",
            IoOp::Discard => "discard",
            IoOp::Map => "map",
        })
    }
}

/// Why a device refuses writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReadOnlyCause {
    /// The block device is set read-only (write-protected medium, `blockdev --setro`, `losetup -r`).
    Medium,
    /// The image file lies on a filesystem that is mounted read-only.
    Filesystem,
    /// The permissions allow reading, not writing.
    Permission,
    /// The tool opened the device for reading.
    OpenedReadOnly,
}

impl fmt::Display for ReadOnlyCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ReadOnlyCause::Medium => "the device is set read-only",
            ReadOnlyCause::Filesystem => "it lies on a filesystem that is mounted read-only",
            ReadOnlyCause::Permission => "its permissions allow reading only",
            ReadOnlyCause::OpenedReadOnly => "it was opened for reading only",
        })
    }
}

/// A device could not be opened, or failed.
///
/// `device` is the device as the user typed it. Offsets and lengths are in bytes from the start of the device (of its
/// window, when it was opened at an offset).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The path names nothing; an existing block device or image file was expected.
    #[error("{device}: no such file or device")]
    NotFound {
        /// As typed.
        device: String,
    },
    /// The user may not even read the device; root or the group of the device node may.
    #[error("{device}: permission denied (a block device needs root or membership of its group)")]
    PermissionDenied {
        /// As typed.
        device: String,
    },
    /// The path names something else than a block device or a regular file.
    #[error("{device}: is a {kind}, neither a block device nor an image file")]
    NotADevice {
        /// As typed.
        device: String,
        /// What it is: "directory", "character device", "pipe", "socket".
        kind: &'static str,
    },
    /// The block device has no bytes: no medium in the drive, or a loop device without a backing file.
    #[error("{device}: has no medium, or nothing is attached to it")]
    NoMedium {
        /// As typed.
        device: String,
    },
    /// An image file was to be created where something exists.
    #[error("{device}: exists already")]
    AlreadyExists {
        /// As typed.
        device: String,
    },
    /// Somebody else uses the device; they have to let go of it first.
    #[error("{device}: is in use: {reason}")]
    Busy {
        /// As typed.
        device: String,
        /// Who uses it.
        reason: BusyReason,
    },
    /// A write was asked of a device that refuses it.
    #[error("{device}: cannot be written: {cause}")]
    ReadOnly {
        /// As typed.
        device: String,
        /// Why it refuses.
        cause: ReadOnlyCause,
    },
    /// A range passes the end of the device; nothing was read or written.
    #[error("{device}: {len} bytes at byte offset {offset} pass the end of the device at {size} bytes")]
    OutOfRange {
        /// As typed.
        device: String,
        /// First byte asked for.
        offset: u64,
        /// Number of bytes asked for.
        len: u64,
        /// Length of the device in bytes.
        size: u64,
    },
    /// The system refused to open, measure or lock the device for a reason that no other variant names.
    #[error("{device}: cannot {action}: {source}")]
    Open {
        /// As typed.
        device: String,
        /// What was tried: "open", "read its size", "lock", "create", "remove".
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// An operation on the open device failed (EIO, ENOSPC, EROFS, …).
    #[error("{device}: cannot {op} {len} bytes at byte offset {offset}: {source}")]
    Io {
        /// The operation.
        op: IoOp,
        /// As typed.
        device: String,
        /// First byte that failed; 0 for a flush.
        offset: u64,
        /// Number of bytes from `offset` on that are affected; the whole device for a flush.
        len: u64,
        /// The system's answer.
        source: io::Error,
    },
}

impl DeviceError {
    /// The system's error number, where the system refused something.
    pub fn errno(&self) -> Option<i32> {
        match self {
            DeviceError::Io { source, .. } | DeviceError::Open { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Whether there was no room: the filesystem below an image file, a quota or a thin volume is full.
    pub fn is_no_space(&self) -> bool {
        matches!(self.errno(), Some(libc::ENOSPC | libc::EDQUOT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_io_error_names_operation_device_offset_and_system_text() {
        let error = DeviceError::Io {
            op: IoOp::Write,
            device: "/dev/sdq1".into(),
            offset: 4096,
            len: 512,
            source: io::Error::from_raw_os_error(libc::ENOSPC),
        };
        assert!(error.is_no_space());
        let text = error.to_string();
        for part in ["/dev/sdq1", "write", "byte offset 4096", "No space left on device"] {
            assert!(text.contains(part), "{part:?} missing in {text:?}");
        }
    }
}
