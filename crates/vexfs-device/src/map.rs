//! [`Mapping`]: runs of a device as one contiguous slice of memory.
//!
//! A real device's runs are mapped side by side into one reserved range of addresses, so that a fragmented file is still
//! `&[u8]` and nothing is read before it is used. Reading errors under a mapping would arrive as SIGBUS:
//! [`Mapping::populate`] asks for them first, and [`crate::sigbus`] catches the rest.

mod region;
mod segments;
mod unreadable;

use std::ops::{Deref, Range};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::mman::MmapAdvise;

use crate::buffer::AlignedBuf;
use crate::lock::LockedFile;
use crate::{Device, DeviceError, IoOp, Run};

pub use region::LARGE_PAGE;
use region::{Region, page_size};
pub(crate) use segments::Segments;
use segments::lay_out;

/// Runs of a device, side by side in memory, read-only. Made by [`Device::map`].
///
/// The first byte lies on a multiple of [`MAPPING_ALIGN`](crate::MAPPING_ALIGN). A mapping that shows the
/// device itself, not a copy, keeps it open and locked for as long as it lives.
#[derive(Debug)]
pub struct Mapping {
    bytes: Bytes,
    segments: Arc<Segments>,
    /// Runs of the mapping that a faulty device refuses to read: positions, and the system's error number.
    faults: Vec<(Range<usize>, i32)>,
}

#[derive(Debug)]
enum Bytes {
    Mapped(Region),
    Owned(AlignedBuf),
}

impl Mapping {
    /// Bytes in memory as a mapping, for devices that have nothing to map. Device offsets in messages count from 0.
    pub fn from_vec(bytes: Vec<u8>) -> Self {
        let run = Run { offset: 0, len: bytes.len() as u64 };
        let segments = Arc::new(Segments::new("memory", &[run]));
        Self { bytes: Bytes::Owned(AlignedBuf::from_vec(bytes)), segments, faults: Vec::new() }
    }

    /// The runs of `device` read into memory: what [`Device::map`] falls back to, and what devices that cannot map use.
    ///
    /// # Errors
    /// As [`Device::map`]: [`DeviceError::OutOfRange`], then [`DeviceError::Io`] with [`IoOp::Map`] if there is no memory
    /// for them, or with [`IoOp::Read`].
    pub fn read_from(device: &(impl Device + ?Sized), runs: &[Run]) -> Result<Self, DeviceError> {
        let (segments, len) = lay_out(device, runs)?;
        let mut bytes =
            AlignedBuf::zeroed(len).map_err(|_| segments.error(IoOp::Map, 0..len, Errno::ENOMEM))?;
        for segment in &segments.list {
            // `len` is the sum of the runs, so each lies inside the buffer.
            let range = segment.start..segment.start + segment.run.len as usize;
            device.read_at(segment.run.offset, &mut bytes[range])?;
        }
        Ok(Self { bytes: Bytes::Owned(bytes), segments: Arc::new(segments), faults: Vec::new() })
    }

    /// Maps the runs of `device`, whose first byte is byte `base` of `file`; reads them where they cannot be mapped.
    pub(crate) fn map_file(
        device: &impl Device,
        file: &Arc<LockedFile>,
        base: u64,
        runs: &[Run],
    ) -> Result<Self, DeviceError> {
        let (segments, len) = lay_out(device, runs)?;
        let page = page_size();
        let fits = |value: u64| value.is_multiple_of(page as u64);
        let is_paged = segments.list.iter().enumerate().all(|(index, segment)| {
            let is_last = index + 1 == segments.list.len();
            fits(base + segment.run.offset) && (is_last || fits(segment.run.len))
        });
        if !is_paged || len == 0 {
            return Self::read_from(device, runs);
        }
        let segments = Arc::new(segments);
        match Region::new(file, base, &segments, len) {
            Ok(region) => Ok(Self { bytes: Bytes::Mapped(region), segments, faults: Vec::new() }),
            // A filesystem that cannot map, or more runs than the system allows mappings.
            Err(Errno::ENODEV | Errno::ENOMEM) => Self::read_from(device, runs),
            Err(errno) => Err(segments.error(IoOp::Map, 0..len, errno)),
        }
    }

    /// Makes parts of a mapping unreadable: what a faulty device does. `faults` are runs of the device with an error number.
    pub(crate) fn with_faults(mut self, faults: &[(Range<u64>, i32)]) -> Self {
        for segment in &self.segments.list {
            let run = segment.run.offset..segment.run.offset + segment.run.len;
            for (fault, errno) in faults {
                let (start, end) = (fault.start.max(run.start), fault.end.min(run.end));
                if start < end {
                    let position = |offset: u64| segment.start + (offset - run.start) as usize;
                    self.faults.push((position(start)..position(end), *errno));
                }
            }
        }
        self.faults.sort_by_key(|(range, _)| range.start);
        self
    }

    /// Overwrites what [`with_faults`](Self::with_faults) made unreadable, so that a caller who uses it unasked notices.
    pub(crate) fn poison_faults(&mut self, pattern: u8) {
        if let Bytes::Owned(bytes) = &mut self.bytes {
            for (range, _) in &self.faults {
                bytes[range.clone()].fill(pattern);
            }
        }
    }

    /// Reads the bytes of `range` into memory now, so that using them cannot fail for a device error.
    ///
    /// Bytes beyond the end of the mapping are ignored. What the device could not read once is not asked of it again.
    ///
    /// # Errors
    /// [`DeviceError::Io`] with the offset *on the device* of the first byte that cannot be read.
    pub fn populate(&self, range: Range<usize>) -> Result<(), DeviceError> {
        let range = range.start..range.end.min(self.len());
        if range.is_empty() {
            return Ok(());
        }
        if let Some((fault, errno)) =
            self.faults.iter().find(|(fault, _)| fault.start < range.end && range.start < fault.end)
        {
            let first = fault.start.max(range.start)..fault.end.min(range.end);
            return Err(self.segments.error(IoOp::Read, first, Errno::from_raw(*errno)));
        }
        match &self.bytes {
            Bytes::Mapped(region) => region.populate(range),
            Bytes::Owned(_) => Ok(()),
        }
    }

    /// Whether all bytes of `range` are known to be in memory: [`populate`](Self::populate) then reads nothing from the device. Only root
    /// and the owner of a device are told.
    pub fn is_resident(&self, range: Range<usize>) -> bool {
        let range = range.start..range.end.min(self.len());
        match &self.bytes {
            Bytes::Mapped(region) => range.is_empty() || region.is_resident(range),
            Bytes::Owned(_) => true,
        }
    }

    /// Whether a byte of `range` is known to be outside memory. Where nobody is told, none is.
    pub fn is_absent(&self, range: Range<usize>) -> bool {
        let range = range.start..range.end.min(self.len());
        match &self.bytes {
            Bytes::Mapped(region) => !range.is_empty() && region.is_absent(range),
            Bytes::Owned(_) => false,
        }
    }

    /// Hints that `range` will be read in no order: reading ahead does not pay.
    pub fn advise_random(&self, range: Range<usize>) {
        self.advise(range, MmapAdvise::MADV_RANDOM);
    }

    /// Hints that `range` will be read from front to back.
    pub fn advise_sequential(&self, range: Range<usize>) {
        self.advise(range, MmapAdvise::MADV_SEQUENTIAL);
    }

    /// Hints that `range` will be needed soon; reading begins in the background.
    pub fn advise_will_need(&self, range: Range<usize>) {
        self.advise(range, MmapAdvise::MADV_WILLNEED);
    }

    fn advise(&self, range: Range<usize>, advice: MmapAdvise) {
        let range = range.start..range.end.min(self.len());
        if let (Bytes::Mapped(region), false) = (&self.bytes, range.is_empty()) {
            // A hint: the bytes are the same without it.
            let _ = region.advise(range, advice);
        }
    }
}

impl Deref for Mapping {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::Mapped(region) => region.bytes(),
            Bytes::Owned(bytes) => bytes,
        }
    }
}
