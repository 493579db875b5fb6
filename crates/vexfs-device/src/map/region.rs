//! [`Region`]: the pages behind a mapping of a real device.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::ptr::NonNull;
use std::sync::{Arc, OnceLock};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap, mmap_anonymous, munmap};
use nix::sys::utsname::uname;
use nix::unistd::{SysconfVar, geteuid, sysconf};

use super::segments::{Segment, Segments};
use super::unreadable::{Unreadable, cut_off};
use crate::lock::LockedFile;
use crate::sigbus::{self, Registration};
use crate::{DeviceError, IoOp};

/// Memory page of this machine in bytes.
pub(super) fn page_size() -> usize {
    sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|size| usize::try_from(size).ok()).unwrap_or(4096)
}

/// Whether the system gives up populating a page that the device cannot read.
///
/// From Linux 5.14, which has MADV_POPULATE_READ, to 6.8 a page that could not be read is read again without end
/// (mm/madvise.c takes VM_FAULT_RETRY for progress). There, what is not in memory must have been read before.
fn populating_ends() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let release =
            uname().map(|system| system.release().to_string_lossy().into_owned()).unwrap_or_default();
        let mut numbers =
            release.split(|c: char| !c.is_ascii_digit()).map_while(|number| number.parse::<u32>().ok());
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (6, 9)
    })
}

/// Bytes that the processor can map as one page, where pages have 4 KiB.
///
/// Runs whose length, offset in the file and place in a mapping are multiples of it are mapped in a fraction of the time.
pub const LARGE_PAGE: usize = 2 << 20;

/// A reserved range of addresses, filled with read-only mappings of a file.
#[derive(Debug)]
pub(super) struct Region {
    /// Removed from the table before the addresses are given back: fields are dropped after [`Drop::drop`] has run, so this
    /// one is taken there.
    registration: Option<Registration>,
    address: NonNull<c_void>,
    /// Bytes that belong to runs; the rest of the last page does not.
    len: usize,
    /// Where the address space begins that was reserved.
    reserved: NonNull<c_void>,
    /// Its bytes, a multiple of the page.
    reserved_len: NonZeroUsize,
    file: Arc<LockedFile>,
    base: u64,
    segments: Arc<Segments>,
    /// Whether the system tells this user what is in memory; to others it says that everything is.
    knows_residency: bool,
    unreadable: Unreadable,
}

// SAFETY: the region is read-only memory that belongs to this value alone until it is dropped; nothing in it is tied to the
// thread that made it.
unsafe impl Send for Region {}
// SAFETY: as above; shared use only reads.
unsafe impl Sync for Region {}

impl Region {
    /// All segments begin on a page of the file, all but the last end on one, and `len`, their sum, is not 0.
    pub(super) fn new(
        file: &Arc<LockedFile>,
        base: u64,
        segments: &Arc<Segments>,
        len: usize,
    ) -> Result<Self, Errno> {
        let page = page_size();
        let offset = |segment: &Segment| base + segment.run.offset;
        let longest = segments.list.iter().max_by_key(|segment| segment.run.len).ok_or(Errno::EINVAL)?;
        let alignment = if len < LARGE_PAGE { page } else { LARGE_PAGE };
        let reserved_len = len.next_multiple_of(page) + alignment - page;
        let reserved_len = NonZeroUsize::new(reserved_len).ok_or(Errno::EINVAL)?;
        // SAFETY: the kernel picks an unused range of addresses, so no memory of this process changes.
        let reserved = unsafe {
            mmap_anonymous(
                None,
                reserved_len,
                ProtFlags::PROT_NONE,
                MapFlags::MAP_PRIVATE | MapFlags::MAP_NORESERVE,
            )
        }?;
        // Large pages of the page cache are mapped whole only where addresses and offsets in the file begin them at the same bytes.
        let shift =
            (offset(longest) as usize).wrapping_sub(reserved.addr().get() + longest.start) % alignment;
        let address = reserved.map_addr(|address| address.saturating_add(shift));
        // From here on, a failure drops the region and with it the reservation.
        let mut region = Self {
            registration: None,
            address,
            len,
            reserved,
            reserved_len,
            file: Arc::clone(file),
            base,
            segments: Arc::clone(segments),
            unreadable: Unreadable::default(),
            knows_residency: {
                let user = geteuid();
                user.is_root() || file.metadata().is_ok_and(|metadata| metadata.uid() == user.as_raw())
            },
        };
        for segment in &segments.list {
            let size = NonZeroUsize::new((segment.run.len as usize).next_multiple_of(page));
            let target = NonZeroUsize::new(address.as_ptr().addr() + segment.start);
            let offset = libc::off_t::try_from(offset(segment)).map_err(|_| Errno::EOVERFLOW)?;
            // SAFETY: segments lie side by side, each a whole number of pages but for the last, whose last page is inside the
            // reservation: that was rounded up, and is longer by `alignment` less a page, which `shift` is at most. So MAP_FIXED
            // replaces only pages of the fresh reservation, which nobody refers to yet. The mapping is read-only.
            unsafe {
                mmap(
                    target,
                    size.ok_or(Errno::EINVAL)?,
                    ProtFlags::PROT_READ,
                    MapFlags::MAP_SHARED | MapFlags::MAP_FIXED,
                    &***file,
                    offset,
                )
            }?;
        }
        region.registration = sigbus::register(address.as_ptr().addr(), len, Arc::clone(segments));
        Ok(region)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` bytes from `address` on are mapped readable until this value is dropped, which the borrow prevents.
        // The mapping is shared: that its bytes do not change while they are borrowed is the contract of `Device::map`,
        // kept inside a process by never overwriting blocks in use and between processes by the device's lock.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr().cast(), self.len) }
    }

    /// `range` is not empty and inside the mapping.
    pub(super) fn advise(&self, range: Range<usize>, advice: MmapAdvise) -> Result<(), Errno> {
        let start = range.start / page_size() * page_size();
        let address = NonZeroUsize::new(self.address.as_ptr().addr() + start).ok_or(Errno::EINVAL)?;
        let address = NonNull::new(self.address.as_ptr().with_addr(address.get())).ok_or(Errno::EINVAL)?;
        // SAFETY: the pages lie inside the reservation; the advice passed here (reading order, populate) changes no byte.
        unsafe { madvise(address, range.end - start, advice) }
    }

    /// `range` is not empty and inside the mapping. What the system does not say is not resident.
    pub(super) fn is_resident(&self, range: Range<usize>) -> bool {
        if !self.knows_residency {
            return false;
        }
        let page = page_size();
        let mut states = [0; 512];
        (range.start / page..range.end.div_ceil(page)).step_by(states.len()).all(|first| {
            let end = (range.end.div_ceil(page)).min(first + states.len());
            let address = self.address.as_ptr().wrapping_byte_add(first * page);
            // SAFETY: the pages lie inside the reservation, which is mapped; the call writes a byte for each of these at most 512
            // pages to `states`, which has 512.
            let result = unsafe { libc::mincore(address, (end - first) * page, states.as_mut_ptr()) };
            result == 0 && states[..end - first].iter().all(|state| state & 1 == 1)
        })
    }

    /// `range` is not empty and inside the mapping. What the system does not say is not absent.
    pub(super) fn is_absent(&self, range: Range<usize>) -> bool {
        self.knows_residency && !self.is_resident(range)
    }

    /// `range` is not empty and inside the mapping. What could not be read once is not tried again.
    pub(super) fn populate(&self, range: Range<usize>) -> Result<(), DeviceError> {
        if let Some((bad, error)) = self.unreadable.first_in(&range) {
            return Err(self.segments.error(IoOp::Read, bad.start..range.end, error));
        }
        if !populating_ends() && !self.is_resident(range.clone()) {
            self.read_through(range.clone())?;
        }
        let mut is_second_try = false;
        loop {
            match self.advise(range.clone(), MmapAdvise::MADV_POPULATE_READ) {
                Ok(()) => return Ok(()),
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                // A kernel older than 5.14: reading brings the bytes into the page cache, and errors to light.
                Err(Errno::EINVAL | Errno::ENOSYS) => return self.read_through(range),
                // EFAULT says that touching the bytes would raise SIGBUS, not where and why. Reading says that.
                Err(errno) => {
                    self.read_through(range.clone())?;
                    if is_second_try {
                        return Err(self.segments.error(IoOp::Read, range, errno));
                    }
                    is_second_try = true;
                }
            }
        }
    }

    /// Reads the range from the file, only to see whether that works.
    fn read_through(&self, range: Range<usize>) -> Result<(), DeviceError> {
        let mut buffer = vec![0; range.len().min(1 << 20)];
        for segment in &self.segments.list {
            let end = range.end.min(segment.start + segment.run.len as usize);
            let mut position = range.start.max(segment.start);
            while position < end {
                let wanted = buffer.len().min(end - position);
                let offset = self.base + segment.run.offset + (position - segment.start) as u64;
                let error = match self.file.read_at(&mut buffer[..wanted], offset) {
                    Ok(0) => cut_off(),
                    Ok(read) => {
                        position += read;
                        continue;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => error,
                };
                let page = position / page_size() * page_size();
                self.unreadable.remember(page..page + page_size(), &error);
                return Err(self.segments.error(IoOp::Read, position..end, error));
            }
        }
        Ok(())
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        self.registration = None;
        // SAFETY: the range was reserved by `new`, belongs to this value alone, and nothing borrows it any more.
        let unmapped = unsafe { munmap(self.reserved, self.reserved_len.get()) };
        debug_assert_eq!(unmapped, Ok(()), "unmapping a reserved range cannot fail");
    }
}
