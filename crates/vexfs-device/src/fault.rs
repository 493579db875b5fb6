//! [`FaultDevice`]: a device that fails when told to, for tests of what the tools do then.

use std::io;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::device::check_range;
use crate::{Device, DeviceError, IoOp, Mapping, Run};

/// What unreadable bytes of a mapping hold, for callers who use them without [`Mapping::populate`].
const UNREADABLE: u8 = 0xEE;

/// Wraps a device and fails its operations by plan. Without a plan it changes nothing.
///
/// Numbers count from 1 and from the moment they are given: `fail_nth(IoOp::Write, 1, …)` fails the next write. Error numbers
/// are those of the system (`EIO` is 5, `ENOSPC` 28). Of a write that fails at a byte, the bytes before it arrive.
///
/// ```
/// use vexfs_device::{Device, FaultDevice, IoOp, MemDevice};
/// let device = FaultDevice::new(MemDevice::new(1 << 20));
/// device.fail_nth(IoOp::Write, 2, 5);
/// assert!(device.write_at(0, b"first").is_ok());
/// assert_eq!(device.write_at(0, b"second").unwrap_err().errno(), Some(5));
/// assert!(device.write_at(0, b"third").is_ok());
/// ```
#[derive(Debug)]
pub struct FaultDevice<D> {
    inner: D,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Operations so far, by [`slot`].
    counts: [u64; 6],
    plan: Plan,
}

#[derive(Debug, Default)]
struct Plan {
    nth: Vec<Nth>,
    unreadable: Vec<(Range<u64>, i32)>,
    unwritable: Vec<(Range<u64>, i32)>,
    /// What is written can be read again.
    remaps: bool,
    /// The device is gone once this many operations have been made.
    vanish_after: Option<u64>,
    /// Bytes that can still be written.
    room: Option<u64>,
    /// The error number with which a flush has failed; all later ones fail as well.
    failed_flush: Option<i32>,
}

/// Fails one operation, once.
#[derive(Debug, Clone, Copy)]
struct Nth {
    op: IoOp,
    at: u64,
    errno: i32,
    /// Bytes of a write that arrive.
    kept: u64,
}

impl<D: Device> FaultDevice<D> {
    /// Wraps `inner`, without a plan.
    pub fn new(inner: D) -> Self {
        Self { inner, state: Mutex::default() }
    }

    /// The device inside, which does not fail.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// Fails the `n`-th operation `op` from here on, once, without any of its effect.
    pub fn fail_nth(&self, op: IoOp, n: u64, errno: i32) {
        self.plan_nth(op, n, 0, errno);
    }

    /// Lets the first `kept` bytes of the `n`-th write from here on arrive, then fails it, once.
    pub fn tear_nth_write(&self, n: u64, kept: u64, errno: i32) {
        self.plan_nth(IoOp::Write, n, kept, errno);
    }

    /// Fails every read of a byte in `range`. Mappings made after this fail to populate there.
    pub fn fail_reads(&self, range: Range<u64>, errno: i32) {
        self.lock().plan.unreadable.push((range, errno));
    }

    /// From here on, bytes that could not be read can be once they are written: as a disk does that has spare sectors.
    pub fn remap_on_write(&self) {
        self.lock().plan.remaps = true;
    }

    /// Fails every write and zeroing of a byte in `range`.
    pub fn fail_writes(&self, range: Range<u64>, errno: i32) {
        self.lock().plan.unwritable.push((range, errno));
    }

    /// Lets `n` more operations of any kind pass; after them the device is gone and everything fails with EIO.
    pub fn vanish_after(&self, n: u64) {
        let mut state = self.lock();
        state.plan.vanish_after = Some(state.total() + n);
    }

    /// Lets `bytes` more bytes be written or zeroed; after them there is no room (ENOSPC).
    pub fn limit_space(&self, bytes: u64) {
        self.lock().plan.room = Some(bytes);
    }

    /// Forgets the plan: the device works. Counts go on.
    pub fn heal(&self) {
        self.lock().plan = Plan::default();
    }

    /// How many operations `op` have been asked for, failed ones included. A test runs once without a plan, takes this
    /// number, and fails each operation in turn.
    pub fn count(&self, op: IoOp) -> u64 {
        self.lock().counts[slot(op)]
    }

    fn plan_nth(&self, op: IoOp, n: u64, kept: u64, errno: i32) {
        let mut state = self.lock();
        let at = state.counts[slot(op)] + n;
        state.plan.nth.push(Nth { op, at, errno, kept });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn error(&self, op: IoOp, offset: u64, len: u64, errno: i32) -> DeviceError {
        let source = io::Error::from_raw_os_error(errno);
        DeviceError::Io { op, device: self.name().to_owned(), offset, len, source }
    }

    /// Counts a writing operation and says how many of its bytes arrive, and with which error number it fails then.
    fn admit(&self, op: IoOp, offset: u64, len: u64) -> (u64, Option<i32>) {
        let mut state = self.lock();
        if let Some((kept, errno)) = state.begin(op) {
            return (kept.min(len), Some(errno));
        }
        let mut fate = (len, None);
        if op != IoOp::Discard {
            if let Some((at, errno)) = first_fault(&state.plan.unwritable, offset, len) {
                fate = (at - offset, Some(errno));
            }
            if let Some(room) = &mut state.plan.room {
                if *room < fate.0 {
                    fate = (*room, Some(libc::ENOSPC));
                }
                *room -= fate.0;
            }
        }
        fate
    }

    /// Performs a writing operation as far as the plan admits it.
    fn write_by_plan(
        &self,
        op: IoOp,
        offset: u64,
        len: u64,
        perform: impl FnOnce(u64) -> Result<(), DeviceError>,
    ) -> Result<(), DeviceError> {
        check_range(self, offset, len)?;
        match self.admit(op, offset, len) {
            (_, None) => {
                perform(len)?;
                self.lock().plan.remap(offset, len);
                Ok(())
            }
            (kept, Some(errno)) => {
                if kept > 0 {
                    perform(kept)?;
                }
                Err(self.error(op, offset + kept, len - kept, errno))
            }
        }
    }
}

impl Plan {
    /// Takes written bytes out of the unreadable ones, if the device does that.
    fn remap(&mut self, offset: u64, len: u64) {
        if self.remaps {
            let faults = std::mem::take(&mut self.unreadable);
            let rest = |(range, errno): (Range<u64>, i32)| {
                let before = range.start..range.end.min(offset);
                let behind = range.start.max(offset + len)..range.end;
                [(before, errno), (behind, errno)].into_iter().filter(|(range, _)| !range.is_empty())
            };
            self.unreadable = faults.into_iter().flat_map(rest).collect();
        }
    }
}

impl State {
    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Counts an operation. If it fails whatever it touches: the bytes that arrive and the error number.
    fn begin(&mut self, op: IoOp) -> Option<(u64, i32)> {
        self.counts[slot(op)] += 1;
        if self.plan.vanish_after.is_some_and(|last| self.total() > last) {
            return Some((0, libc::EIO));
        }
        let count = self.counts[slot(op)];
        let index = self.plan.nth.iter().position(|nth| nth.op == op && nth.at == count)?;
        let nth = self.plan.nth.swap_remove(index);
        Some((nth.kept, nth.errno))
    }
}

/// Place of an operation in the table of counts.
fn slot(op: IoOp) -> usize {
    match op {
        IoOp::Read => 0,
        IoOp::Write => 1,
        IoOp::Flush => 2,
        IoOp::Zero => 3,
        IoOp::Discard => 4,
        IoOp::Map => 5,
    }
}

/// The first byte of a range that lies in a faulty one, with its error number.
fn first_fault(faults: &[(Range<u64>, i32)], offset: u64, len: u64) -> Option<(u64, i32)> {
    let hit = |(fault, errno): &(Range<u64>, i32)| {
        let at = fault.start.max(offset);
        (at < fault.end.min(offset + len)).then_some((at, *errno))
    };
    faults.iter().filter_map(hit).min()
}

impl<D: Device> Device for FaultDevice<D> {
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
        let len = buf.len() as u64;
        check_range(self, offset, len)?;
        let fault = {
            let mut state = self.lock();
            let whole = state.begin(IoOp::Read).map(|(_, errno)| (offset, errno));
            whole.or_else(|| first_fault(&state.plan.unreadable, offset, len))
        };
        match fault {
            Some((at, errno)) => Err(self.error(IoOp::Read, at, offset + len - at, errno)),
            None => self.inner.read_at(offset, buf),
        }
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        self.write_by_plan(IoOp::Write, offset, buf.len() as u64, |kept| {
            self.inner.write_at(offset, &buf[..kept as usize])
        })
    }

    fn flush(&self) -> Result<(), DeviceError> {
        let failed = {
            let mut state = self.lock();
            let answer = state.begin(IoOp::Flush).map(|(_, errno)| errno).or(state.plan.failed_flush);
            state.plan.failed_flush = answer;
            answer
        };
        match failed {
            Some(errno) => Err(self.error(IoOp::Flush, 0, self.len(), errno)),
            None => self.inner.flush(),
        }
    }

    fn zero(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        self.write_by_plan(IoOp::Zero, offset, len, |kept| self.inner.zero(offset, kept))
    }

    fn discard(&self, offset: u64, len: u64) -> Result<bool, DeviceError> {
        let mut is_supported = true;
        self.write_by_plan(IoOp::Discard, offset, len, |kept| {
            is_supported = self.inner.discard(offset, kept)?;
            Ok(())
        })?;
        Ok(is_supported)
    }

    fn start_writeback(&self, offset: u64, len: u64) {
        self.inner.start_writeback(offset, len);
    }

    /// As a real device: mapping succeeds, and unreadable bytes show when they are populated.
    fn map(&self, runs: &[Run]) -> Result<Mapping, DeviceError> {
        let mut state = self.lock();
        let mut faults = state.plan.unreadable.clone();
        if let Some((_, errno)) = state.begin(IoOp::Map) {
            faults.insert(0, (0..u64::MAX, errno));
        }
        drop(state);
        let mut mapping = Mapping::read_from(&self.inner, runs)?.with_faults(&faults);
        mapping.poison_faults(UNREADABLE);
        Ok(mapping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_with_spare_sectors_can_read_again_what_was_written() {
        let device = FaultDevice::new(MemDevice::new(8192));
        device.fail_reads(1000..3000, libc::EIO);
        device.remap_on_write();
        device.write_at(1500, &[7; 500]).expect("write");
        let mut bytes = [0; 500];
        device.read_at(1500, &mut bytes).expect("written");
        assert_eq!(bytes, [7; 500]);
        assert!(device.read_at(1499, &mut [0; 2]).is_err() && device.read_at(2000, &mut [0; 1]).is_err());
    }
    use crate::MemDevice;

    fn device() -> FaultDevice<MemDevice> {
        FaultDevice::new(MemDevice::new(64 << 10))
    }

    fn place(error: DeviceError) -> (IoOp, u64, u64, Option<i32>) {
        match &error {
            DeviceError::Io { op, offset, len, .. } => (*op, *offset, *len, error.errno()),
            other => panic!("not an I/O error: {other}"),
        }
    }

    #[test]
    fn one_operation_fails_and_the_next_works() {
        let device = device();
        device.read_at(0, &mut [0]).expect("before");
        device.fail_nth(IoOp::Read, 2, libc::EIO);
        device.read_at(0, &mut [0]).expect("first");
        let error = device.read_at(512, &mut [0; 8]).expect_err("second");
        assert_eq!(place(error), (IoOp::Read, 512, 8, Some(libc::EIO)));
        device.read_at(0, &mut [0]).expect("third");
        assert_eq!(device.count(IoOp::Read), 4);
        device.fail_nth(IoOp::Zero, 1, libc::EIO);
        assert!(device.zero(0, 1).is_err());
        device.fail_nth(IoOp::Discard, 1, libc::EIO);
        assert!(device.discard(0, 1).is_err());
    }

    #[test]
    fn a_torn_write_keeps_its_first_bytes() {
        let device = device();
        device.tear_nth_write(1, 3, libc::EIO);
        let error = device.write_at(100, b"abcdef").expect_err("torn");
        assert_eq!(place(error), (IoOp::Write, 103, 3, Some(libc::EIO)));
        let mut bytes = [9; 6];
        device.read_at(100, &mut bytes).expect("read");
        assert_eq!(&bytes, b"abc\0\0\0");
    }

    #[test]
    fn faulty_ranges_fail_at_their_first_byte() {
        let device = device();
        device.fail_reads(1000..1001, libc::EIO);
        device.fail_writes(2000..2100, libc::EROFS);
        device.fail_writes(1990..1995, libc::EIO);
        let error = device.read_at(0, &mut [0; 4096]).expect_err("read");
        assert_eq!(place(error), (IoOp::Read, 1000, 3096, Some(libc::EIO)));
        device.read_at(1001, &mut [0; 100]).expect("beside");
        let error = device.write_at(1980, &[7; 100]).expect_err("write");
        assert_eq!(place(error), (IoOp::Write, 1990, 90, Some(libc::EIO)));
        let error = device.zero(2050, 100).expect_err("zero");
        assert_eq!(place(error), (IoOp::Zero, 2050, 100, Some(libc::EROFS)));
        let mut bytes = [0; 12];
        device.read_at(1980, &mut bytes).expect("read");
        assert_eq!(bytes, [7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0]);
        device.heal();
        device.read_at(0, &mut [0; 4096]).expect("healed");
    }

    #[test]
    fn a_failed_flush_is_never_forgotten() {
        let device = device();
        device.fail_nth(IoOp::Flush, 1, libc::EIO);
        assert!(device.flush().is_err());
        assert!(device.flush().is_err(), "the system reports a lost write once; the device must remember");
        device.heal();
        device.flush().expect("healed");
    }

    #[test]
    fn a_full_device_takes_what_fits() {
        let device = device();
        device.limit_space(10);
        device.write_at(0, &[1; 8]).expect("fits");
        let error = device.write_at(8, &[1; 8]).expect_err("full");
        assert!(error.is_no_space());
        assert_eq!(place(error), (IoOp::Write, 10, 6, Some(libc::ENOSPC)));
        device.read_at(0, &mut [0; 8]).expect("reading goes on");
        assert!(device.write_at(0, &[1]).expect_err("still full").is_no_space());
    }

    #[test]
    fn a_vanished_device_fails_everything() {
        let device = device();
        device.vanish_after(2);
        device.write_at(0, b"x").expect("first");
        device.flush().expect("second");
        assert!(device.read_at(0, &mut [0]).is_err());
        assert!(device.write_at(0, b"x").is_err());
        assert!(device.zero(0, 1).is_err());
        assert!(device.discard(0, 1).is_err());
        assert!(device.flush().is_err());
        let mapping = device.map(&[Run { offset: 0, len: 4096 }]).expect("map");
        assert!(mapping.populate(0..1).is_err());
    }

    #[test]
    fn unreadable_bytes_of_a_mapping_show_when_populated() {
        let device = device();
        device.fail_reads(8192..8200, libc::EIO);
        let runs = [Run { offset: 8192, len: 4096 }, Run { offset: 0, len: 4096 }];
        let mapping = device.map(&runs).expect("mapping itself reads nothing");
        let error = mapping.populate(4..5000).expect_err("faulty");
        assert_eq!(place(error), (IoOp::Read, 8196, 4, Some(libc::EIO)));
        mapping.populate(8..8192).expect("beside");
        assert_eq!(mapping[..9], [[UNREADABLE; 8].as_slice(), &[0]].concat());
    }

    #[test]
    fn a_range_beyond_the_end_is_out_of_range_and_not_counted() {
        let device = device();
        assert!(matches!(device.write_at(65536, b"x"), Err(DeviceError::OutOfRange { .. })));
        assert_eq!(device.count(IoOp::Write), 0);
    }
}
