//! Which parts of a mapping were brought into memory, so that using them cannot fail for a device error.

use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use vexfs_device::{DeviceError, Mapping};

use super::shelves::Bits;

/// Bytes brought in at a time by a reader that goes from front to back: a call into the system for each costs nothing then.
const WINDOW_BYTES: usize = 2 << 20;

/// Bytes that the system reads at a time where it has been told to read nothing ahead; it may be more.
const PAGE_BYTES: usize = 4096;

/// Calls after which a reader that goes here and there gets all of a window that is in memory anyway. A call for a page costs as
/// much as its checksum, one for a window as much as thirty of these: whoever asks for little should not pay for that, and
/// whoever has asked some hundred times will ask again.
const WINDOWS_AFTER: u64 = 256;

/// One page in so many is looked for, while all that were looked for were found: a look is a call into the system. The last of so
/// many, since what every search asks for begins on round pages, and is in memory.
const LOOKED_FOR: usize = 64;

/// How often what is asked for has to be found before memory counts as large enough again, once something was gone.
const SCARCE_FOR: u32 = 64;

/// The windows of one mapping that were brought in.
#[derive(Debug)]
pub(super) struct Presence {
    present: Bits,
    /// Windows that were looked at: not all of what is not present is in memory.
    seen: Bits,
    /// Calls so far.
    calls: AtomicU64,
    /// How often what is asked for has to be found yet; 0 while nothing was missed.
    scarce: AtomicU32,
}

impl Presence {
    /// Nothing of a mapping of `len` bytes.
    pub(super) fn new(len: u64) -> Self {
        let windows = len.div_ceil(WINDOW_BYTES as u64);
        Self {
            present: Bits::new(windows),
            seen: Bits::new(windows),
            calls: AtomicU64::new(0),
            scarce: AtomicU32::new(0),
        }
    }

    /// Brings in `bytes`, and at times what lies around them in memory: nothing is read from the device but `bytes`.
    ///
    /// # Errors
    /// A device error if `bytes` cannot be read.
    pub(super) fn bring(&self, data: &Mapping, bytes: Range<usize>) -> Result<(), DeviceError> {
        let first = bytes.start / WINDOW_BYTES;
        if (first..bytes.end.div_ceil(WINDOW_BYTES)).all(|window| self.present.is_set(window as u64)) {
            return Ok(());
        }
        if bytes.len() > PAGE_BYTES {
            // Where nothing is to be read ahead, each page would be a request of its own, one after the other.
            data.advise_will_need(bytes.clone());
        }
        data.populate(bytes)?;
        let is_frequent = self.calls.fetch_add(1, Ordering::Relaxed) >= WINDOWS_AFTER;
        if is_frequent && self.seen.set(first as u64) && data.is_resident(extent(data, first)) {
            self.bring_window(data, first);
        }
        Ok(())
    }

    /// Whether the window that holds byte `at` was brought in.
    pub(super) fn is_present(&self, at: usize) -> bool {
        self.present.is_set((at / WINDOW_BYTES) as u64)
    }

    /// Whether memory is too small for what is read: what was in it once may be gone, and is better asked for before it is used. Some
    /// of the ranges that this is asked of tell, and each while it is so.
    pub(super) fn is_scarce(&self, data: &Mapping, bytes: Range<usize>) -> bool {
        let left = self.scarce.load(Ordering::Relaxed);
        if bytes.is_empty() || left == 0 && !(bytes.start / PAGE_BYTES + 1).is_multiple_of(LOOKED_FOR) {
            return false;
        }
        let is_absent = data.is_absent(bytes.end - 1..bytes.end);
        let next = if is_absent { SCARCE_FOR } else { left.saturating_sub(1) };
        if next != left {
            self.scarce.store(next, Ordering::Relaxed);
        }
        next > 0
    }

    /// Brings in the window that holds byte `at`, reading from the device what is not in memory. A window that cannot be read whole
    /// is left alone: its blocks are then brought in, or fail, one by one.
    pub(super) fn bring_around(&self, data: &Mapping, at: usize) {
        let window = at / WINDOW_BYTES;
        if !self.is_present(at) {
            self.bring_window(data, window);
        }
    }

    fn bring_window(&self, data: &Mapping, window: usize) {
        if data.populate(extent(data, window)).is_ok() {
            self.present.set(window as u64);
        }
    }
}

/// The bytes of a window.
fn extent(data: &Mapping, window: usize) -> Range<usize> {
    window * WINDOW_BYTES..((window + 1) * WINDOW_BYTES).min(data.len())
}

#[cfg(test)]
mod tests {
    use vexfs_device::{Device, FaultDevice, FileDevice, MemDevice, OpenOptions, Run};

    use super::*;

    #[test]
    fn after_many_calls_a_window_comes_at_once_unless_a_part_of_it_is_bad() {
        const LEN: usize = 4 * WINDOW_BYTES - 8192;
        let device = FaultDevice::new(MemDevice::new(LEN as u64));
        device.fail_reads(WINDOW_BYTES as u64..WINDOW_BYTES as u64 + 4096, 5);
        let data = device.map(&[Run { offset: 0, len: LEN as u64 }]).expect("a mapping");
        let presence = Presence::new(LEN as u64);
        let present = || (0..4).filter(|window| presence.present.is_set(*window)).collect::<Vec<_>>();
        let bring = |page: usize| presence.bring(&data, page * 4096..(page + 1) * 4096);
        for call in 0..WINDOWS_AFTER as usize {
            bring(call % 16).expect("readable");
        }
        assert_eq!(present(), [0; 0], "whoever asks for little gets no more");
        bring(511).expect("readable");
        assert_eq!(present(), [0]);
        bring(513).expect("the block behind the bad one");
        assert!(bring(512).is_err(), "the bad one");
        presence.bring_around(&data, WINDOW_BYTES);
        assert_eq!(present(), [0], "no window with a bad block");
        presence.bring_around(&data, LEN - 1);
        assert_eq!(present(), [0, 3]);
    }

    #[test]
    fn memory_is_scarce_from_a_page_that_is_gone_until_many_are_there() {
        const LEN: u64 = 1 << 20;
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(LEN).expect("a hole, of which nothing is in memory");
        let device = FileDevice::open(file.path(), OpenOptions::read_only()).expect("a device");
        let data = device.map(&[Run { offset: 0, len: LEN }]).expect("a mapping");
        let presence = Presence::new(LEN);
        let is_scarce = |page: usize| presence.is_scarce(&data, page * PAGE_BYTES..(page + 1) * PAGE_BYTES);
        assert!((0..LOOKED_FOR - 1).all(|page| !is_scarce(page)), "these are not looked for");
        assert!(!presence.is_scarce(&data, 0..0));
        assert!(is_scarce(LOOKED_FOR - 1));
        assert!(is_scarce(1), "and then each tells");
        data.populate(0..LEN as usize).expect("populate");
        assert_eq!((0..1000).filter(|_| is_scarce(1)).count(), SCARCE_FOR as usize - 1);
        assert!(!is_scarce(LOOKED_FOR - 1));
    }
}
