//! The [`Device`] trait: the only door through which the tools touch stored bytes.
//!
//! Everything above works on `dyn Device` or a generic, so that the same logic runs on block devices, image files, memory
//! and the faulty and recording devices of tests. Offsets and lengths are plain bytes: blocks belong to the crates above.

use std::sync::Arc;

use crate::{DeviceError, Mapping};

/// A run of bytes on a device: `offset .. offset + len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Run {
    /// First byte, in bytes from the start of the device.
    pub offset: u64,
    /// Length in bytes; 0 is an empty run.
    pub len: u64,
}

/// Bytes on a block device, in an image file or in memory.
///
/// All methods take `&self`, so one device serves several threads; two writes that overlap in place and time leave either,
/// but the tools never issue such. Every offset counts from the start of the device (of its window, when it was opened at an
/// offset), also the offsets in errors.
pub trait Device: Send + Sync + std::fmt::Debug {
    /// The device as the user typed it, for messages.
    fn name(&self) -> &str;

    /// Length in bytes (of the window, when the device was opened at an offset). It does not change while the device is open.
    fn len(&self) -> u64;

    /// Whether the device has no bytes at all.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Logical sector in bytes: the smallest unit the device writes as a whole. Image files say 512.
    fn sector_size(&self) -> u32;

    /// Whether the device refuses writes, because of how it was opened or because the medium is read-only.
    fn is_read_only(&self) -> bool;

    /// Fills `buf` with the bytes at `offset`: all of them, or an error and `buf` unspecified.
    ///
    /// # Errors
    /// [`DeviceError::OutOfRange`], [`DeviceError::Io`] with the offset of the first byte that cannot be read.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError>;

    /// Writes `buf` at `offset`: all of it, or an error and any part of it. Never extends the device.
    ///
    /// # Durability
    /// None before the next successful [`flush`](Self::flush): a crash keeps any subset of the sectors.
    ///
    /// # Errors
    /// [`DeviceError::ReadOnly`], [`DeviceError::OutOfRange`], [`DeviceError::Io`] with the offset of the first byte that
    /// was not accepted.
    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError>;

    /// Barrier: when it returns `Ok`, all completed writes, zeroes and discards are durable.
    ///
    /// # Errors
    /// [`DeviceError::Io`]. After a failure nobody knows which writes were lost, and the system reports that only once;
    /// therefore a device whose flush failed fails every later flush as well.
    fn flush(&self) -> Result<(), DeviceError>;

    /// Makes `len` bytes at `offset` read back as zeroes, without transferring them where the device can do that.
    ///
    /// # Durability
    /// As [`write_at`](Self::write_at).
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    fn zero(&self, offset: u64, len: u64) -> Result<(), DeviceError>;

    /// Tells the device that `len` bytes at `offset` are not needed; afterwards their contents are undefined.
    ///
    /// Returns `false` where the device cannot discard. Contents are undefined then, too: it may have begun.
    ///
    /// # Errors
    /// As [`write_at`](Self::write_at).
    fn discard(&self, offset: u64, len: u64) -> Result<bool, DeviceError>;

    /// Hints that `len` bytes at `offset` will be flushed soon, so that the device may begin. Promises nothing.
    fn start_writeback(&self, offset: u64, len: u64) {
        let _ = (offset, len);
    }

    /// Makes `runs` readable side by side, in the given order, as one contiguous slice.
    ///
    /// Real devices map them without reading; where that is impossible (a run that does not begin and end on a memory page,
    /// a filesystem without mapping) they are read into memory. The caller does not write to these runs while the mapping
    /// lives: bytes in use are never overwritten in place.
    ///
    /// # Errors
    /// [`DeviceError::OutOfRange`] if a run passes the end of the device, [`DeviceError::Io`] if the bytes can neither be
    /// mapped nor read.
    fn map(&self, runs: &[Run]) -> Result<Mapping, DeviceError>;
}

macro_rules! forward_device {
    ($($pointer:ty),*) => {$(
        impl<D: Device + ?Sized> Device for $pointer {
            fn name(&self) -> &str {
                (**self).name()
            }
            fn len(&self) -> u64 {
                (**self).len()
            }
            fn sector_size(&self) -> u32 {
                (**self).sector_size()
            }
            fn is_read_only(&self) -> bool {
                (**self).is_read_only()
            }
            fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
                (**self).read_at(offset, buf)
            }
            fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
                (**self).write_at(offset, buf)
            }
            fn flush(&self) -> Result<(), DeviceError> {
                (**self).flush()
            }
            fn zero(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
                (**self).zero(offset, len)
            }
            fn discard(&self, offset: u64, len: u64) -> Result<bool, DeviceError> {
                (**self).discard(offset, len)
            }
            fn start_writeback(&self, offset: u64, len: u64) {
                (**self).start_writeback(offset, len);
            }
            fn map(&self, runs: &[Run]) -> Result<Mapping, DeviceError> {
                (**self).map(runs)
            }
        }
    )*};
}

forward_device!(&D, Box<D>, Arc<D>);

/// Refuses a range that passes the end of `device`.
pub(crate) fn check_range(device: &(impl Device + ?Sized), offset: u64, len: u64) -> Result<(), DeviceError> {
    match offset.checked_add(len) {
        Some(end) if end <= device.len() => Ok(()),
        _ => {
            Err(DeviceError::OutOfRange { device: device.name().to_owned(), offset, len, size: device.len() })
        }
    }
}

/// Drops empty runs and joins each run with the next when that begins where it ends.
pub(crate) fn merge_runs(runs: &[Run]) -> Vec<Run> {
    let mut merged: Vec<Run> = Vec::new();
    for run in runs.iter().filter(|run| run.len > 0) {
        match merged.last_mut() {
            Some(last) if last.offset.checked_add(last.len) == Some(run.offset) => last.len += run.len,
            _ => merged.push(*run),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemDevice;

    #[test]
    fn runs_that_touch_are_joined_and_order_is_kept() {
        let run = |offset, len| Run { offset, len };
        let merged = merge_runs(&[run(8, 4), run(12, 0), run(12, 4), run(0, 8), run(8, 1)]);
        assert_eq!(merged, [run(8, 8), run(0, 9)]);
    }

    #[test]
    fn a_range_that_overflows_is_out_of_range() {
        let device = MemDevice::new(100);
        assert!(check_range(&device, 100, 0).is_ok());
        assert!(check_range(&device, 0, 100).is_ok());
        for (offset, len) in [(101, 0), (1, 100), (u64::MAX, 1), (u64::MAX, u64::MAX)] {
            let error = check_range(&device, offset, len).expect_err("beyond the end");
            assert!(matches!(error, DeviceError::OutOfRange { size: 100, .. }), "{error}");
        }
    }

    #[test]
    fn a_device_behind_a_pointer_is_the_same_device() {
        let device: Arc<dyn Device> = Arc::new(MemDevice::new(4096));
        Box::new(&device).write_at(1, b"x").expect("write");
        let mut byte = [0];
        device.read_at(1, &mut byte).expect("read");
        assert_eq!(&byte, b"x");
    }
}
