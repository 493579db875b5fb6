//! What a check cost: the time of each pass, and how much it read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vexfs_device::{Device, DeviceError, Mapping, Run};

/// Counts what is read from a device.
#[derive(Debug)]
pub(crate) struct CountingDevice {
    inner: Arc<dyn Device>,
    bytes: AtomicU64,
}

impl CountingDevice {
    pub(crate) fn new(inner: Arc<dyn Device>) -> Self {
        Self { inner, bytes: AtomicU64::new(0) }
    }

    /// Bytes that were read so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Device for CountingDevice {
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
        self.bytes.fetch_add(buf.len() as u64, Ordering::Relaxed);
        self.inner.read_at(offset, buf)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        self.inner.write_at(offset, buf)
    }

    fn flush(&self) -> Result<(), DeviceError> {
        self.inner.flush()
    }

    fn zero(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        self.inner.zero(offset, len)
    }

    fn discard(&self, offset: u64, len: u64) -> Result<bool, DeviceError> {
        self.inner.discard(offset, len)
    }

    fn map(&self, runs: &[Run]) -> Result<Mapping, DeviceError> {
        self.inner.map(runs)
    }
}

/// The cost of one pass.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    pub(crate) pass: u8,
    pub(crate) time: Duration,
    pub(crate) bytes: u64,
}

/// Measures passes.
#[derive(Debug)]
pub(crate) struct Meter {
    device: Arc<CountingDevice>,
    pass: Option<(u8, Instant, u64)>,
    /// The passes that are over.
    pub(crate) costs: Vec<Cost>,
}

impl Meter {
    pub(crate) fn new(device: Arc<CountingDevice>) -> Self {
        Self { device, pass: None, costs: Vec::new() }
    }

    /// Notes that `pass` is under way; returns whether it has just begun.
    pub(crate) fn enter(&mut self, pass: u8) -> bool {
        if self.pass.is_some_and(|(current, ..)| current == pass) {
            return false;
        }
        self.finish();
        self.pass = Some((pass, Instant::now(), self.device.bytes_read()));
        true
    }

    /// Ends the pass that is under way.
    pub(crate) fn finish(&mut self) {
        if let Some((pass, begun, before)) = self.pass.take() {
            let bytes = self.device.bytes_read() - before;
            self.costs.push(Cost { pass, time: begun.elapsed(), bytes });
        }
    }
}
