//! [`RecordDevice`]: a device that writes down what is done to it, so that [`crate::crash`] can replay every crash.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::{Device, DeviceError, Mapping, MemDevice, Run};

/// One entry of a recorder's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Bytes written.
    Write {
        /// First byte.
        offset: u64,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Bytes zeroed.
    Zero {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
    /// Bytes discarded.
    Discard {
        /// First byte.
        offset: u64,
        /// Number of bytes.
        len: u64,
    },
    /// A flush that succeeded: everything before it is durable.
    Flush,
    /// A place in the log that the test named, for instance where a tool has acknowledged its work.
    Mark(String),
}

impl Op {
    /// The bytes it changes as (offset, length); `None` for flushes and marks.
    pub fn range(&self) -> Option<(u64, u64)> {
        match self {
            Op::Write { offset, data } => Some((*offset, data.len() as u64)),
            Op::Zero { offset, len } | Op::Discard { offset, len } => Some((*offset, *len)),
            Op::Flush | Op::Mark(_) => None,
        }
    }

    /// Does it again, on `device`; nothing for flushes and marks.
    ///
    /// # Errors
    /// [`DeviceError::OutOfRange`] if the device is shorter than the recorded one, [`DeviceError::ReadOnly`].
    pub fn apply(&self, device: &MemDevice) -> Result<(), DeviceError> {
        let (start, len) = self.range().unwrap_or((0, 0));
        self.apply_part(device, start, start + len)
    }

    /// Does again what it does to the bytes `start..end`, which lie in its range.
    pub(crate) fn apply_part(&self, device: &MemDevice, start: u64, end: u64) -> Result<(), DeviceError> {
        match self {
            Op::Write { offset, data } => {
                device.write_at(start, &data[(start - offset) as usize..(end - offset) as usize])
            }
            Op::Zero { .. } => device.zero(start, end - start),
            Op::Discard { .. } => device.discard(start, end - start).map(drop),
            Op::Flush | Op::Mark(_) => Ok(()),
        }
    }
}

/// Wraps a device and logs every change and flush that succeeds, in the order in which they took effect.
///
/// To record what arrives of failing writes, put it inside a [`FaultDevice`](crate::FaultDevice).
#[derive(Debug)]
pub struct RecordDevice<D = MemDevice> {
    inner: D,
    log: Mutex<Vec<Op>>,
}

impl<D: Device> RecordDevice<D> {
    /// Wraps `inner`, with an empty log.
    pub fn new(inner: D) -> Self {
        Self { inner, log: Mutex::default() }
    }

    /// The device inside; what is done to it directly is not recorded.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// Names this place in the log.
    pub fn mark(&self, label: impl Into<String>) {
        self.lock().push(Op::Mark(label.into()));
    }

    /// The log so far.
    pub fn log(&self) -> Vec<Op> {
        self.lock().clone()
    }

    /// The log so far; the next one begins empty.
    pub fn take_log(&self) -> Vec<Op> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Op>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<D: Device> Device for RecordDevice<D> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn sector_size(&self) -> u32 {
        self.inner.sector_size()
    }

    fn is_read_only(&self) -> bool {
        self.inner.is_read_only()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        self.inner.read_at(offset, buf)
    }

    // The log is held while the device changes, so that it has the order in which changes took effect.

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        let mut log = self.lock();
        self.inner.write_at(offset, buf)?;
        log.push(Op::Write { offset, data: buf.to_vec() });
        Ok(())
    }

    fn flush(&self) -> Result<(), DeviceError> {
        let mut log = self.lock();
        self.inner.flush()?;
        log.push(Op::Flush);
        Ok(())
    }

    fn zero(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        let mut log = self.lock();
        self.inner.zero(offset, len)?;
        log.push(Op::Zero { offset, len });
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> Result<bool, DeviceError> {
        let mut log = self.lock();
        let is_supported = self.inner.discard(offset, len)?;
        if is_supported {
            log.push(Op::Discard { offset, len });
        }
        Ok(is_supported)
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.inner.start_writeback(offset, len);
    }

    fn map(&self, runs: &[Run]) -> Result<Mapping, DeviceError> {
        self.inner.map(runs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FaultDevice, IoOp};

    #[test]
    fn the_log_replays_to_the_same_bytes() {
        let base = MemDevice::from_bytes((0..=255).cycle().take(20_000).collect());
        let device = RecordDevice::new(base.fork());
        device.write_at(5, b"hello").expect("write");
        device.mark("greeted");
        device.zero(4000, 5000).expect("zero");
        device.flush().expect("flush");
        device.discard(15_000, 5000).expect("discard");
        assert!(device.write_at(19_999, b"xx").is_err());
        let log = device.log();
        assert_eq!(log[1..4], [Op::Mark("greeted".into()), Op::Zero { offset: 4000, len: 5000 }, Op::Flush]);
        assert_eq!(log.len(), 5, "what failed is not in the log");
        let replayed = base.fork();
        log.iter().for_each(|op| op.apply(&replayed).expect("apply"));
        assert!(replayed.snapshot() == device.inner().snapshot());
        assert_eq!(device.take_log(), log);
        assert_eq!(device.log(), []);
    }

    #[test]
    fn inside_a_faulty_device_the_part_that_arrived_is_recorded() {
        let device = FaultDevice::new(RecordDevice::new(MemDevice::new(4096)));
        device.tear_nth_write(1, 2, libc::EIO);
        device.fail_nth(IoOp::Flush, 1, libc::EIO);
        assert!(device.write_at(0, b"abc").is_err());
        assert!(device.flush().is_err());
        assert_eq!(device.inner().log(), [Op::Write { offset: 0, data: b"ab".to_vec() }]);
    }
}
