//! [`Segments`]: which bytes of a device lie where in a mapping.

use std::io;
use std::ops::Range;

use nix::errno::Errno;

use crate::device::{check_range, merge_runs};
use crate::{Device, DeviceError, IoOp, Run};

/// Which bytes of which device a mapping shows.
#[derive(Debug)]
pub(crate) struct Segments {
    device: String,
    pub(super) list: Vec<Segment>,
}

/// One run in its place.
#[derive(Debug)]
pub(super) struct Segment {
    /// Position in the mapping.
    pub(super) start: usize,
    pub(super) run: Run,
}

impl Segments {
    /// The runs one after another. Their sum fits `usize`: see [`lay_out`].
    pub(crate) fn new(device: &str, runs: &[Run]) -> Self {
        let mut start = 0;
        let mut list = Vec::with_capacity(runs.len());
        for run in merge_runs(runs) {
            list.push(Segment { start, run });
            start += run.len as usize;
        }
        Self { device: device.to_owned(), list }
    }

    pub(crate) fn device(&self) -> &str {
        &self.device
    }

    /// The device offset of a position in the mapping. Allocates nothing: the SIGBUS handler asks.
    pub(crate) fn device_offset(&self, position: usize) -> u64 {
        let after = self.list.partition_point(|segment| segment.start <= position);
        match after.checked_sub(1).and_then(|index| self.list.get(index)) {
            Some(segment) => segment.run.offset + (position - segment.start) as u64,
            None => position as u64,
        }
    }

    /// A failure at a range of positions.
    pub(super) fn error(&self, op: IoOp, range: Range<usize>, source: impl Into<io::Error>) -> DeviceError {
        DeviceError::Io {
            op,
            device: self.device.clone(),
            offset: self.device_offset(range.start),
            len: range.len() as u64,
            source: source.into(),
        }
    }
}

/// The layout of a mapping of `runs` and its length in bytes.
pub(super) fn lay_out(
    device: &(impl Device + ?Sized),
    runs: &[Run],
) -> Result<(Segments, usize), DeviceError> {
    let mut len = 0usize;
    for run in runs {
        check_range(device, run.offset, run.len)?;
        let sum = usize::try_from(run.len).ok().and_then(|more| len.checked_add(more));
        // Address space ends at half of `usize`; the same runs repeated can ask for any length.
        len = sum.filter(|len| *len <= isize::MAX as usize / 2).ok_or_else(|| DeviceError::Io {
            op: IoOp::Map,
            device: device.name().to_owned(),
            offset: run.offset,
            len: run.len,
            source: io::Error::from(Errno::ENOMEM),
        })?;
    }
    Ok((Segments::new(device.name(), runs), len))
}
