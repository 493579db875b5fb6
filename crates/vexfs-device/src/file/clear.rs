//! Zeroing and discarding on real devices: by the system where it can, by writing where not.

use std::fs::File;

use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};

use super::FileDevice;
use crate::{DeviceError, FileKind, IoOp, ioctl};

impl FileDevice {
    /// Makes a range read zero; it lies on the device, which is writable.
    pub(super) fn clear(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        if len == 0 {
            return Ok(());
        }
        let answer = match self.kind {
            FileKind::Image => self
                .zero_in_file(offset, len)
                .map(|()| (offset, offset + len))
                .map_err(|errno| (offset, errno)),
            FileKind::BlockDevice => self.on_sectors(offset, len, ioctl::zero_out),
        };
        match answer {
            Ok((first, last)) => {
                self.write_zeroes(offset, first - offset)?;
                self.write_zeroes(last, offset + len - last)
            }
            // EBUSY: somebody else holds the device, and the call would have to drop pages it may be using.
            Err((_, errno)) if is_unsupported(errno) || errno == Errno::EBUSY => {
                self.write_zeroes(offset, len)
            }
            Err((at, errno)) => Err(self.error(IoOp::Zero, at, offset + len - at, errno)),
        }
    }

    /// Discards a range, if the device can; it lies on the device, which is writable.
    pub(super) fn give_back(&self, offset: u64, len: u64) -> Result<bool, DeviceError> {
        if len == 0 {
            return Ok(true);
        }
        let answer = match self.kind {
            FileKind::Image => self.punch(offset, len).map_err(|errno| (offset, errno)),
            FileKind::BlockDevice => self.on_sectors(offset, len, ioctl::discard).map(drop),
        };
        match answer {
            Ok(()) => Ok(true),
            Err((_, errno)) if is_unsupported(errno) || errno == Errno::EBUSY => Ok(false),
            Err((at, errno)) => Err(self.error(IoOp::Discard, at, offset + len - at, errno)),
        }
    }

    /// Zeroes a range that the system cannot zero, by writing.
    fn write_zeroes(&self, mut offset: u64, len: u64) -> Result<(), DeviceError> {
        let end = offset + len;
        let zeroes = vec![0; len.min(1 << 20) as usize];
        while offset < end {
            let step = (end - offset).min(zeroes.len() as u64);
            self.write_all(IoOp::Zero, offset, &zeroes[..step as usize])?;
            offset += step;
        }
        Ok(())
    }

    /// Zeroes a range of an image file by giving its blocks back; where that is impossible, by marking them unwritten.
    fn zero_in_file(&self, offset: u64, len: u64) -> Result<(), Errno> {
        match self.punch(offset, len) {
            Err(errno) if is_unsupported(errno) => {
                let flags = FallocateFlags::FALLOC_FL_ZERO_RANGE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
                self.fallocate(flags, offset, len)
            }
            answer => answer,
        }
    }

    fn punch(&self, offset: u64, len: u64) -> Result<(), Errno> {
        self.fallocate(
            FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE,
            offset,
            len,
        )
    }

    fn fallocate(&self, flags: FallocateFlags, offset: u64, len: u64) -> Result<(), Errno> {
        let off_t = |value| libc::off_t::try_from(value).map_err(|_| Errno::EFBIG);
        let (start, len) = (off_t(self.base + offset)?, off_t(len)?);
        retry(|| fallocate(&**self.file, flags, start, len))
    }

    /// Applies `call` to the whole sectors of a range of a block device, step by step; returns the range they form.
    fn on_sectors(
        &self,
        offset: u64,
        len: u64,
        call: impl Fn(&File, u64, u64) -> Result<(), Errno>,
    ) -> Result<(u64, u64), (u64, Errno)> {
        let sector = u64::from(self.sector_size);
        let (start, end) = (self.base + offset, self.base + offset + len);
        let first = start.next_multiple_of(sector).min(end);
        let last = (end / sector * sector).max(first);
        let mut at = first;
        while at < last {
            let step = (last - at).min(IOCTL_STEP);
            retry(|| call(&self.file, at, step)).map_err(|errno| (at - self.base, errno))?;
            at += step;
        }
        Ok((first - self.base, last - self.base))
    }
}

/// Bytes zeroed or discarded by one call: a signal is noticed between calls, not inside. mke2fs takes the same step.
const IOCTL_STEP: u64 = 2 << 30;

/// Whether an answer means that the device cannot do this at all, so that there is another way.
fn is_unsupported(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::ENOTTY | Errno::EINVAL | Errno::ENODEV | Errno::EPERM
    )
}

fn retry(mut call: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            answer => return answer,
        }
    }
}
