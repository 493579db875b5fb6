//! [`Log`]: an undo file, read and verified to its end.

use std::collections::BTreeMap;

use zerocopy::FromBytes;

use super::UndoError;
use super::layout::{
    BATCH_ALIGN, GRANULE, HEADER_MAGIC, RECORD_BYTES, RECORD_MAGIC, UndoHeader, UndoKind, UndoRecord, VERSION,
};
use super::store::UndoStore;

/// What an undo file says.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) header: UndoHeader,
    /// By number of the granule. About 60 bytes of memory for each.
    pub(super) granules: BTreeMap<u64, Granule>,
    /// What the batch says that was not completed: its overwrites never reached the device.
    pub(super) torn: BTreeMap<u64, Granule>,
    /// Where in the file that batch begins, if there is one.
    pub(super) torn_at: Option<u64>,
    /// Number of the last record of a complete batch.
    pub(super) sequence: u64,
    /// Everything up to this record has reached the device.
    pub(super) durable: u64,
    /// Where in the file the last complete batch ends.
    pub(super) end: u64,
    /// The mark at the end of the file, if there is one.
    pub(super) mark: Option<UndoKind>,
}

/// What is known of a granule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granule {
    /// What it held before the first overwrite.
    pub(super) before: Before,
    /// Checksum of what it held after the last; `None` if that cannot be known.
    pub(super) after: Option<u32>,
    /// Number of the record of the last overwrite.
    pub(super) sequence: u64,
}

/// What a granule held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Before {
    /// The bytes at this place of the undo file.
    At(u64),
    Zeroes,
    Unreadable,
}

/// A record with its payload, verified.
struct Verified {
    record: UndoRecord,
    kind: UndoKind,
    payload: Vec<u8>,
    /// Where the payload is in the file.
    at: u64,
}

/// Why there is no record at a place.
#[derive(Clone, Copy)]
struct Flaw(&'static str);

impl Log {
    /// Reads and verifies the undo file in `store`.
    ///
    /// # Errors
    /// [`UndoError::NotUndo`], [`UndoError::Version`], [`UndoError::Damaged`]: the header, a record that is followed by a later
    /// batch, or a record whose checksum is right and whose fields cannot be; [`UndoError::Device`].
    pub(super) fn read(store: &dyn UndoStore) -> Result<Self, UndoError> {
        let len = store.len()?;
        let header = read_header(store, len)?;
        let mut log = Self {
            header,
            granules: BTreeMap::new(),
            torn: BTreeMap::new(),
            torn_at: None,
            sequence: 0,
            durable: 0,
            end: BATCH_ALIGN,
            mark: None,
        };
        let mut reader = Reader { store, len, header: &header };
        loop {
            let start = log.end.next_multiple_of(BATCH_ALIGN);
            if start >= len {
                return Ok(log);
            }
            if let Some((at, flaw)) = log.read_batch(&mut reader, start)? {
                return log.end_at(&mut reader, start, at, flaw);
            }
        }
    }

    /// Takes in the batch at `start`. `Some` says where and why it is not complete; what was read of it is in `torn` then.
    fn read_batch(&mut self, reader: &mut Reader<'_>, start: u64) -> Result<Option<(u64, Flaw)>, UndoError> {
        self.torn.clear();
        let (mut at, mut sequence, mut records) = (start, self.sequence, 0);
        loop {
            let verified = match reader.record(at, sequence + 1)? {
                Ok(verified) => verified,
                Err(flaw) => return Ok(Some((at, flaw))),
            };
            let Verified { record, kind, payload, at: payload_at } = verified;
            at = payload_at + payload.len() as u64;
            sequence += 1;
            if kind.covers() {
                records += 1;
                cover(&mut self.torn, &record, kind, &payload, payload_at);
                continue;
            }
            if records != record.len.get() {
                return Err(reader.damaged(payload_at, sequence, "it ends a batch of another length"));
            }
            self.mark = (kind != UndoKind::Commit).then_some(kind);
            self.durable = self.durable.max(record.durable.get());
            self.sequence = sequence;
            self.end = at;
            for (number, new) in std::mem::take(&mut self.torn) {
                let known = self.granules.entry(number).or_insert(new);
                (known.after, known.sequence) = (new.after, new.sequence);
            }
            return Ok(None);
        }
    }

    /// Decides what the incomplete batch at `start` is: the last one, cut off by a crash, or damage.
    fn end_at(mut self, reader: &mut Reader<'_>, start: u64, at: u64, flaw: Flaw) -> Result<Self, UndoError> {
        // A later batch is written when this one is durable.
        let mut place = at.next_multiple_of(BATCH_ALIGN).max(start + BATCH_ALIGN);
        while place < reader.len {
            if reader.begins_record(place, self.sequence + 1)? {
                return Err(reader.damaged(at, self.sequence + 1 + self.torn_records(), flaw.0));
            }
            place += BATCH_ALIGN;
        }
        self.torn_at = Some(start);
        Ok(self)
    }

    fn torn_records(&self) -> u64 {
        let last = self.torn.values().map(|granule| granule.sequence).max();
        last.map_or(0, |last| last - self.sequence)
    }

    /// Bytes that a granule has on a device of `device_len` bytes, which may have been cut off since.
    pub(super) fn granule_len(&self, number: u64, device_len: u64) -> u64 {
        GRANULE.min(device_len.min(self.header.device_len.get()).saturating_sub(number * GRANULE))
    }

    /// Whether a device of `device_len` bytes has all bytes of a granule.
    pub(super) fn is_whole(&self, number: u64, device_len: u64) -> bool {
        self.granule_len(number, device_len) == self.granule_len(number, u64::MAX)
    }
}

/// Enters the granules of a record.
fn cover(
    granules: &mut BTreeMap<u64, Granule>,
    record: &UndoRecord,
    kind: UndoKind,
    payload: &[u8],
    payload_at: u64,
) {
    let first = record.offset.get() / GRANULE;
    let (sums, _) = payload.as_chunks::<4>();
    let bytes_at = payload_at + record.granules() * 4;
    for (index, sum) in (0..record.granules()).zip(sums) {
        let before = match kind {
            UndoKind::Bytes => Before::At(bytes_at + index * GRANULE),
            UndoKind::Zeroes => Before::Zeroes,
            _ => Before::Unreadable,
        };
        let after = (kind != UndoKind::Unreadable).then(|| u32::from_le_bytes(*sum));
        let sequence = record.sequence.get();
        let known = granules.entry(first + index).or_insert(Granule { before, after, sequence });
        (known.after, known.sequence) = (after, sequence);
    }
}

fn read_header(store: &dyn UndoStore, len: u64) -> Result<UndoHeader, UndoError> {
    let file = || store.name().to_owned();
    let mut bytes = [0; size_of::<UndoHeader>()];
    if len < bytes.len() as u64 {
        return Err(UndoError::NotUndo { file: file() });
    }
    store.read_at(0, &mut bytes)?;
    let header = UndoHeader::read_from_bytes(&bytes).map_err(|_| UndoError::NotUndo { file: file() })?;
    if header.magic != HEADER_MAGIC {
        return Err(UndoError::NotUndo { file: file() });
    }
    if header.version.get() != VERSION {
        return Err(UndoError::Version { file: file(), found: header.version.get() });
    }
    let damaged = |what| UndoError::Damaged { file: file(), offset: 0, sequence: 0, what };
    if header.checksum.get() != header.computed_checksum() {
        return Err(damaged("its checksum is wrong"));
    }
    let is_possible = u64::from(header.granule.get()) == GRANULE
        && header.original_len <= header.device_len
        && i64::try_from(header.device_len.get()).is_ok();
    if is_possible { Ok(header) } else { Err(damaged("its fields cannot be")) }
}

struct Reader<'a> {
    store: &'a dyn UndoStore,
    len: u64,
    header: &'a UndoHeader,
}

impl Reader<'_> {
    fn damaged(&self, offset: u64, sequence: u64, what: &'static str) -> UndoError {
        UndoError::Damaged { file: self.store.name().to_owned(), offset, sequence, what }
    }

    /// The record at `at`, which is to have the number `sequence`.
    fn record(&mut self, at: u64, sequence: u64) -> Result<Result<Verified, Flaw>, UndoError> {
        let Some(record) = self.record_header(at)? else { return Ok(Err(Flaw("there is no record"))) };
        if record.sequence.get() != sequence {
            return Ok(Err(Flaw("its number is wrong")));
        }
        let Some(kind) = UndoKind::from_number(record.kind.get()) else {
            return Err(self.damaged(at, sequence, "its kind is unknown"));
        };
        let payload_at = at + UndoRecord::SIZE;
        let mut payload_len = 0;
        if kind.covers() {
            if !self.is_range(&record) {
                return Err(self.damaged(at, sequence, "it covers bytes that the device does not have"));
            }
            let bytes = if kind == UndoKind::Bytes { record.len.get() } else { 0 };
            payload_len = record.granules() * 4 + bytes;
        }
        if self.len - payload_at < payload_len {
            return Ok(Err(Flaw("the file ends inside it")));
        }
        // At most 1 MiB and 1 KiB: the length was checked.
        let mut payload = vec![0; payload_len as usize];
        self.store.read_at(payload_at, &mut payload)?;
        if crc32c::crc32c(&payload) != record.payload_checksum.get() {
            return Ok(Err(Flaw("the checksum of its contents is wrong")));
        }
        Ok(Ok(Verified { record, kind, payload, at: payload_at }))
    }

    /// The fields at `at`, if they begin a record of this file.
    fn record_header(&self, at: u64) -> Result<Option<UndoRecord>, UndoError> {
        let mut bytes = [0; size_of::<UndoRecord>()];
        if self.len.saturating_sub(at) < UndoRecord::SIZE {
            return Ok(None);
        }
        self.store.read_at(at, &mut bytes)?;
        let record = UndoRecord::read_from_bytes(&bytes).ok().filter(|record| record.magic == RECORD_MAGIC);
        let seed = self.header.checksum.get();
        Ok(record.filter(|record| record.checksum.get() == record.computed_checksum(seed)))
    }

    /// Whether a record with a number of at least `sequence` begins at `at`.
    fn begins_record(&self, at: u64, sequence: u64) -> Result<bool, UndoError> {
        Ok(self.record_header(at)?.is_some_and(|record| record.sequence.get() >= sequence))
    }

    /// Whether a record covers whole granules of the device, and not too many.
    fn is_range(&self, record: &UndoRecord) -> bool {
        let (offset, len) = (record.offset.get(), record.len.get());
        let device_len = self.header.device_len.get();
        let Some(end) = offset.checked_add(len).filter(|&end| end <= device_len) else { return false };
        let is_whole = offset.is_multiple_of(GRANULE) && (len.is_multiple_of(GRANULE) || end == device_len);
        is_whole && (1..=RECORD_BYTES).contains(&len)
    }
}
