//! [`Writer`]: appends batches of records to an undo file.

use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::layout::{BATCH_ALIGN, UndoHeader, UndoKind, UndoRecord};
use super::store::UndoStore;
use crate::DeviceError;

/// Bytes that are gathered before they go to the file.
const BUFFER_BYTES: usize = 4 << 20;

/// The end of an undo file.
#[derive(Debug)]
pub(super) struct Writer {
    store: Box<dyn UndoStore>,
    /// Checksum of the header.
    seed: u32,
    /// Number of the last record.
    sequence: u64,
    /// What has reached the device durably: everything up to this record.
    durable: u64,
    /// Where in the file the buffer belongs.
    end: u64,
    buffer: Vec<u8>,
    /// Records of the batch that is under way.
    open: u64,
    /// The system's answer to what failed: nobody knows what the file holds since.
    failed: Option<(i32, u64)>,
}

impl Writer {
    /// Begins an empty file.
    ///
    /// # Durability
    /// The header is durable when this returns.
    pub(super) fn begin(store: Box<dyn UndoStore>, header: &UndoHeader) -> Result<Self, DeviceError> {
        let mut first = header.as_bytes().to_vec();
        first.resize(BATCH_ALIGN as usize, 0);
        store.write_at(0, &first)?;
        store.sync()?;
        Ok(Self::go_on(store, header.checksum.get(), 0, 0, BATCH_ALIGN))
    }

    /// Goes on behind `end`, where the last batch ends; what is there is cut off.
    pub(super) fn go_on(store: Box<dyn UndoStore>, seed: u32, sequence: u64, durable: u64, end: u64) -> Self {
        Self {
            store,
            seed,
            sequence,
            durable,
            end: end.next_multiple_of(BATCH_ALIGN),
            buffer: Vec::new(),
            open: 0,
            failed: None,
        }
    }

    /// The file.
    pub(super) fn store(&self) -> &dyn UndoStore {
        &*self.store
    }

    /// Everything written so far has reached the device durably.
    pub(super) fn set_durable(&mut self) {
        self.durable = self.sequence;
    }

    /// Appends a record that covers `bytes.len()` or, without bytes, `len` bytes from `offset` on, with the checksums of
    /// its granules.
    pub(super) fn cover(
        &mut self,
        kind: UndoKind,
        offset: u64,
        len: u64,
        sums: &[u32],
        bytes: &[u8],
    ) -> Result<(), DeviceError> {
        let mut record = UndoRecord::of(kind);
        record.offset = U64::new(offset);
        record.len = U64::new(len);
        let mut payload = Vec::with_capacity(sums.len() * 4 + bytes.len());
        payload.extend(sums.iter().flat_map(|sum| sum.to_le_bytes()));
        payload.extend_from_slice(bytes);
        record.payload_checksum = U32::new(crc32c::crc32c(&payload));
        self.append(record, &payload)?;
        self.open += 1;
        Ok(())
    }

    /// Ends the batch.
    ///
    /// # Durability
    /// The batch is durable when this returns: its overwrites may go to the device.
    pub(super) fn commit(&mut self) -> Result<(), DeviceError> {
        let mut record = UndoRecord::of(UndoKind::Commit);
        record.len = U64::new(self.open);
        self.append(record, &[])?;
        self.end_batch()
    }

    /// Appends a batch that is a mark of `kind`, durably.
    pub(super) fn mark(&mut self, kind: UndoKind) -> Result<(), DeviceError> {
        self.append(UndoRecord::of(kind), &[])?;
        self.end_batch()
    }

    fn append(&mut self, mut record: UndoRecord, payload: &[u8]) -> Result<(), DeviceError> {
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_out()?;
        }
        self.sequence += 1;
        record.sequence = U64::new(self.sequence);
        record.durable = U64::new(self.durable);
        record.seal(self.seed);
        self.buffer.extend_from_slice(record.as_bytes());
        self.buffer.extend_from_slice(payload);
        Ok(())
    }

    fn end_batch(&mut self) -> Result<(), DeviceError> {
        self.write_out()?;
        self.store.sync().map_err(|error| self.fail(error))?;
        self.end = self.end.next_multiple_of(BATCH_ALIGN);
        self.open = 0;
        Ok(())
    }

    fn write_out(&mut self) -> Result<(), DeviceError> {
        if let Some((errno, offset)) = self.failed {
            return Err(DeviceError::Io {
                op: crate::IoOp::Write,
                device: self.store.name().to_owned(),
                offset,
                len: self.buffer.len() as u64,
                source: std::io::Error::from_raw_os_error(errno),
            });
        }
        self.store.write_at(self.end, &self.buffer).map_err(|error| self.fail(error))?;
        self.end += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    fn fail(&mut self, error: DeviceError) -> DeviceError {
        self.failed = Some((error.errno().unwrap_or(libc::EIO), self.end));
        error
    }
}
