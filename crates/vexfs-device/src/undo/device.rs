//! [`UndoDevice`]: a device whose overwrites can be taken back.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use zerocopy::little_endian::U64;

use super::apply::verify_state;
use super::layout::{GRANULE, RECORD_BYTES, UndoHeader, UndoKind};
use super::log::Log;
use super::pending::Pending;
use super::ranges::Ranges;
use super::store::UndoStore;
use super::writer::Writer;
use super::{OtherDevice, UndoError};
use crate::device::check_range;
use crate::{Device, DeviceError, Mapping, ReadOnlyCause, Run};

/// Bytes of writes that are held back at most, before they are let through without being asked for: what the tools change
/// between two flushes of metadata fits many times over.
const PENDING_BYTES: u64 = 16 << 20;
/// Bytes that are zeroed behind one flush of the undo file.
const ZERO_STEP: u64 = 64 << 20;

/// By what the device is known to whoever works on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UndoIdentity {
    /// UUID by which the device is known after the work; `None` if nobody can tell.
    pub uuid: Option<[u8; 16]>,
    /// UUID by which it is known now; `None` if it is not.
    pub uuid_before: Option<[u8; 16]>,
    /// Length in bytes of the image file before it was made longer for this work; `None` if it was not.
    pub original_len: Option<u64>,
    /// Name of the tool, at most 32 bytes.
    pub tool: String,
}

/// Wraps a device, and saves what lies on it before the first overwrite of each 4096 bytes.
///
/// Writes are held back until the next [`flush`](Device::flush), or until 16 MiB are held: then the before-images of all of
/// them go to the undo file, that is flushed, and the writes follow. Reads see what is held. What is written and not
/// flushed when the device is dropped never reaches the inner device, as after a power failure.
///
/// A write that fails because the undo file cannot take its before-image fails with an error that names the undo file; nothing
/// has reached the device then, and nothing will.
///
/// Bytes that cannot be read are overwritten all the same, since that may be what a repair is for; the file notes that they are lost.
///
/// # Memory
/// The writes held, and 16 bytes for each run of granules saved so far.
#[derive(Debug)]
pub struct UndoDevice<D> {
    inner: D,
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    writer: Writer,
    pending: Pending,
    /// Numbers of the granules whose before-images are in the file.
    saved: Ranges,
}

impl<D: Device> UndoDevice<D> {
    /// Wraps `inner`, to be saved in `store`: an empty file, or one that was written for this device and describes the state it is in.
    /// That one is gone on with, so that putting it back takes back the earlier work as well.
    ///
    /// # Durability
    /// The header is durable when this returns.
    ///
    /// # Errors
    /// With nothing written: [`UndoError::NotUndo`], [`UndoError::Version`], [`UndoError::Damaged`], [`UndoError::OtherDevice`],
    /// [`UndoError::Used`], [`UndoError::Changed`]. [`UndoError::Device`].
    pub fn new(
        inner: D,
        store: impl UndoStore + 'static,
        identity: &UndoIdentity,
    ) -> Result<Self, UndoError> {
        let mut saved = Ranges::default();
        let writer = if store.is_empty()? {
            Writer::begin(Box::new(store), &header(&inner, identity))?
        } else {
            let log = Log::read(&store)?;
            belongs(&log, &store, &inner, identity)?;
            log.granules.keys().for_each(|&number| saved.insert(number..number + 1));
            store.set_len(log.end)?;
            Writer::go_on(Box::new(store), log.header.checksum.get(), log.sequence, log.durable, log.end)
        };
        Ok(Self { inner, state: RwLock::new(State { writer, pending: Pending::default(), saved }) })
    }

    /// The device inside; what is held back is not on it.
    pub fn inner(&self) -> &D {
        &self.inner
    }

    /// Whether the file has saved anything.
    pub fn has_saved(&self) -> bool {
        self.read_lock().saved.iter().next().is_some()
    }

    /// Lets everything through, flushes the device, and marks the file as complete.
    ///
    /// An undo file without the mark can be put back as well. The mark says that its end is not missing.
    ///
    /// # Errors
    /// [`DeviceError::Io`].
    pub fn finish(&self) -> Result<(), DeviceError> {
        self.flush()?;
        self.write_lock().writer.mark(UndoKind::Finished)
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_write(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        if self.is_read_only() {
            let (device, cause) = (self.name().to_owned(), ReadOnlyCause::OpenedReadOnly);
            return Err(DeviceError::ReadOnly { device, cause });
        }
        check_range(self, offset, len)
    }

    /// Saves what the held writes overwrite, and lets them through.
    fn drain(&self, state: &mut State) -> Result<(), DeviceError> {
        if state.pending.is_empty() {
            return Ok(());
        }
        let pending = std::mem::take(&mut state.pending);
        let touched = pending.granules();
        let passed = touched
            .iter()
            .try_for_each(|granules| self.save(state, granules, &|offset, buf| pending.overlay(offset, buf)))
            .and_then(|()| state.writer.commit())
            .and_then(|()| pending.iter().try_for_each(|(offset, bytes)| self.inner.write_at(offset, bytes)));
        if passed.is_err() {
            // Reads go on seeing them, and the next flush fails or writes them again.
            state.pending = pending;
        }
        passed
    }

    /// Appends records for a run of granules; `overwrite` changes bytes of the device, from an offset on, as the writes will.
    fn save(
        &self,
        state: &mut State,
        granules: std::ops::Range<u64>,
        overwrite: &dyn Fn(u64, &mut [u8]),
    ) -> Result<(), DeviceError> {
        let mut offset = granules.start * GRANULE;
        let end = (granules.end * GRANULE).min(self.len());
        while offset < end {
            let len = RECORD_BYTES.min(end - offset);
            let before = self.read_before(offset, len);
            let mut after = before.bytes.clone();
            overwrite(offset, &mut after);
            self.append(state, offset, &before, &after)?;
            offset += len;
        }
        Ok(())
    }

    /// Reads up to a record's worth of granules; those that cannot be read are marked.
    fn read_before(&self, offset: u64, len: u64) -> Image {
        let mut bytes = vec![0; len as usize];
        let mut is_readable = vec![true; len.div_ceil(GRANULE) as usize];
        if self.inner.read_at(offset, &mut bytes).is_err() {
            for ((granule, flag), at) in bytes.chunks_mut(GRANULE as usize).zip(&mut is_readable).zip(0..) {
                *flag = self.inner.read_at(offset + at * GRANULE, granule).is_ok();
                if !*flag {
                    granule.fill(0);
                }
            }
        }
        Image { bytes, is_readable }
    }

    /// Appends a record for each run of granules that are alike.
    fn append(
        &self,
        state: &mut State,
        offset: u64,
        before: &Image,
        after: &[u8],
    ) -> Result<(), DeviceError> {
        let granule = GRANULE as usize;
        let kinds: Vec<UndoKind> = before
            .bytes
            .chunks(granule)
            .zip(&before.is_readable)
            .zip(offset / GRANULE..)
            .map(|((bytes, is_readable), number)| match (is_readable, state.saved.contains(number)) {
                (false, _) => UndoKind::Unreadable,
                (true, true) => UndoKind::Again,
                (true, false) if bytes.iter().all(|&byte| byte == 0) => UndoKind::Zeroes,
                (true, false) => UndoKind::Bytes,
            })
            .collect();
        let mut first = 0;
        for alike in kinds.chunk_by(|a, b| a == b) {
            let from = first * granule;
            let to = ((first + alike.len()) * granule).min(after.len());
            let sum = |bytes: &[u8]| if alike[0] == UndoKind::Unreadable { 0 } else { crc32c::crc32c(bytes) };
            let sums: Vec<u32> = after[from..to].chunks(granule).map(sum).collect();
            let bytes = if alike[0] == UndoKind::Bytes { &before.bytes[from..to] } else { &[] };
            state.writer.cover(alike[0], offset + from as u64, (to - from) as u64, &sums, bytes)?;
            first += alike.len();
        }
        let number = offset / GRANULE;
        state.saved.insert(number..number + kinds.len() as u64);
        Ok(())
    }
}

/// Bytes read before they are overwritten.
struct Image {
    bytes: Vec<u8>,
    /// By granule.
    is_readable: Vec<bool>,
}

fn header(device: &dyn Device, identity: &UndoIdentity) -> UndoHeader {
    let mut header = UndoHeader::empty();
    header.device_len = U64::new(device.len());
    let original_len = identity.original_len.unwrap_or(device.len());
    header.original_len = U64::new(original_len.min(device.len()));
    header.uuid = identity.uuid.unwrap_or_default();
    header.uuid_before = identity.uuid_before.unwrap_or_default();
    let tool = identity.tool.as_bytes();
    let len = tool.len().min(header.tool.len());
    header.tool[..len].copy_from_slice(&tool[..len]);
    header.seal();
    header
}

/// Refuses an undo file that was written for something else than `device` as it is.
fn belongs(
    log: &Log,
    store: &dyn UndoStore,
    device: &dyn Device,
    identity: &UndoIdentity,
) -> Result<(), UndoError> {
    let other = |what| UndoError::OtherDevice {
        file: store.name().to_owned(),
        device: device.name().to_owned(),
        what,
    };
    if matches!(log.mark, Some(UndoKind::Replaying | UndoKind::Replayed)) {
        return Err(UndoError::Used { file: store.name().to_owned() });
    }
    let expected = log.header.device_len.get();
    if expected != device.len() {
        return Err(other(OtherDevice::Len { found: device.len(), expected }));
    }
    if let Some(found) = identity.uuid_before.filter(|uuid| !log.header.is_known_as(uuid)) {
        return Err(other(OtherDevice::Uuid { found, expected: log.header.uuid }));
    }
    verify_state(log, store, device).map(drop)
}

impl<D: Device> Device for UndoDevice<D> {
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
        let state = self.read_lock();
        self.inner.read_at(offset, buf)?;
        state.pending.overlay(offset, buf);
        Ok(())
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        self.check_write(offset, buf.len() as u64)?;
        let mut state = self.write_lock();
        state.pending.insert(offset, buf);
        if state.pending.bytes() > PENDING_BYTES { self.drain(&mut state) } else { Ok(()) }
    }

    fn flush(&self) -> Result<(), DeviceError> {
        let mut state = self.write_lock();
        self.drain(&mut state)?;
        self.inner.flush()?;
        state.writer.set_durable();
        Ok(())
    }

    fn zero(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        self.check_write(offset, len)?;
        let mut state = self.write_lock();
        self.drain(&mut state)?;
        let (mut at, end) = (offset, offset + len);
        while at < end {
            // Steps end on a granule, so that none is saved twice.
            let stop = end.min((at + ZERO_STEP) / GRANULE * GRANULE);
            self.save(&mut state, at / GRANULE..stop.div_ceil(GRANULE), &|start, buf| {
                let from = at.saturating_sub(start).min(buf.len() as u64) as usize;
                let to = stop.saturating_sub(start).min(buf.len() as u64) as usize;
                buf[from..to].fill(0);
            })?;
            state.writer.commit()?;
            self.inner.zero(at, stop - at)?;
            at = stop;
        }
        Ok(())
    }

    /// Discards nothing and says so: what a discarded device held would all have to be saved.
    fn discard(&self, offset: u64, len: u64) -> Result<bool, DeviceError> {
        self.check_write(offset, len)?;
        Ok(false)
    }

    fn map(&self, runs: &[Run]) -> Result<Mapping, DeviceError> {
        let mut state = self.write_lock();
        if runs.iter().any(|run| state.pending.touches(run.offset, run.len)) {
            self.drain(&mut state)?;
        }
        self.inner.map(runs)
    }
}
