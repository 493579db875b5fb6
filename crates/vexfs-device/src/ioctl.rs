//! The system calls on block devices and files that have no safe wrapper elsewhere.
//!
//! Each function is one call with its arguments in Rust types and its answer as a `Result`; what the answers mean is decided
//! in [`crate::file`] and [`crate::open`].
#![allow(unsafe_code)]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// Numbers and argument types from `include/uapi/linux/fs.h`.
mod raw {
    use nix::{
        ioctl_read_bad, ioctl_write_ptr_bad, libc::c_int, libc::size_t, request_code_none, request_code_read,
    };

    ioctl_read_bad!(blkroget, request_code_none!(0x12, 94), c_int);
    ioctl_read_bad!(blksszget, request_code_none!(0x12, 104), c_int);
    // The kernel encodes the request with `size_t`, and stores a 64-bit number whatever its width.
    ioctl_read_bad!(blkgetsize64, request_code_read!(0x12, 114, size_of::<size_t>()), u64);
    ioctl_write_ptr_bad!(blkdiscard, request_code_none!(0x12, 119), [u64; 2]);
    ioctl_write_ptr_bad!(blkzeroout, request_code_none!(0x12, 127), [u64; 2]);
}

/// Length of a block device in bytes.
pub(crate) fn size(device: &File) -> Result<u64, Errno> {
    let mut bytes = 0u64;
    // SAFETY: the descriptor is open for the duration of the call, and BLKGETSIZE64 stores one u64 at the given address.
    unsafe { raw::blkgetsize64(device.as_raw_fd(), &raw mut bytes) }?;
    Ok(bytes)
}

/// Logical sector of a block device in bytes.
pub(crate) fn sector_size(device: &File) -> Result<u32, Errno> {
    let mut bytes = 0;
    // SAFETY: the descriptor is open for the duration of the call, and BLKSSZGET stores one int at the given address.
    unsafe { raw::blksszget(device.as_raw_fd(), &raw mut bytes) }?;
    u32::try_from(bytes).map_err(|_| Errno::ERANGE)
}

/// Whether a block device is set read-only.
pub(crate) fn is_read_only(device: &File) -> Result<bool, Errno> {
    let mut flag = 0;
    // SAFETY: the descriptor is open for the duration of the call, and BLKROGET stores one int at the given address.
    unsafe { raw::blkroget(device.as_raw_fd(), &raw mut flag) }?;
    Ok(flag != 0)
}

/// Makes a range of a block device read back as zeroes. `offset` and `len` are multiples of the sector.
pub(crate) fn zero_out(device: &File, offset: u64, len: u64) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the duration of the call, and BLKZEROOUT reads two u64 at the given address.
    unsafe { raw::blkzeroout(device.as_raw_fd(), &[offset, len]) }.map(drop)
}

/// Discards a range of a block device. `offset` and `len` are multiples of the sector.
pub(crate) fn discard(device: &File, offset: u64, len: u64) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the duration of the call, and BLKDISCARD reads two u64 at the given address.
    unsafe { raw::blkdiscard(device.as_raw_fd(), &[offset, len]) }.map(drop)
}

/// Starts writing back dirty pages of a range without waiting for them.
pub(crate) fn start_writeback(file: &File, offset: u64, len: u64) -> Result<(), Errno> {
    let (offset, len) = (i64::try_from(offset), i64::try_from(len));
    let (Ok(offset), Ok(len)) = (offset, len) else { return Err(Errno::EINVAL) };
    // SAFETY: the descriptor is open for the duration of the call, which touches no memory of this process.
    let status = unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
    Errno::result(status).map(drop)
}
