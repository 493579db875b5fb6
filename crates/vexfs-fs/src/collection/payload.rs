//! Payload: what is known of a row besides its vector, a JSON object for each row or nothing.

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{STREAM_PAYLOAD, STREAM_PAYLOAD_ENDS};

use super::Collection;
use super::ids::number_at;
use crate::alloc::BlockUse;
use crate::error::{FsError, Result};
use crate::file::FileWriter;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;
use crate::view::FileView;
use crate::volume::Volume;

/// Longest payload of a row in bytes: what one row can make a reader hold in memory.
pub const PAYLOAD_MAX: usize = 16 << 20;
/// Rows without payload whose ends are written at a time.
const PAD_ROWS: u64 = 64 << 10;

/// The payload of the rows of a collection.
#[derive(Debug)]
pub struct Payloads {
    path: String,
    rows: u64,
    text: FileView,
    ends: FileView,
}

impl Collection {
    /// The payload of the rows; `None` if no row ever had any.
    ///
    /// # Errors
    /// [`FsError::BadStream`] when a stream is missing or has another length than the rows need; device errors; damage.
    pub fn payloads(&self, volume: &Volume) -> Result<Option<Payloads>> {
        self.payloads_as_of(volume, volume)
    }

    /// As [`Self::payloads`], with metadata as `src` sees it.
    pub(super) fn payloads_as_of(
        &self,
        volume: &Volume,
        src: &(impl BlockSource + ?Sized),
    ) -> Result<Option<Payloads>> {
        if !self.desc.has_payload() {
            return Ok(None);
        }
        let rows = self.rows();
        let ends = self.view_exact_as_of(volume, src, STREAM_PAYLOAD_ENDS, rows * 8)?;
        let Some(inode) = self.stream(src, STREAM_PAYLOAD)? else {
            return Err(self.bad_stream(STREAM_PAYLOAD, "is missing".to_owned()));
        };
        let text = volume.view_as_of(src, &inode)?;
        Ok(Some(Payloads { path: self.path.clone(), rows, text, ends }))
    }
}

impl Payloads {
    /// Number of rows.
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// The payload of a row, a JSON object; empty if it has none.
    ///
    /// # Errors
    /// [`FsError::BadStream`] where the streams have none for the row; device errors; damage of a stream.
    pub fn get(&self, row: u64) -> Result<&str> {
        let end = number_at(&self.ends, row)?;
        let start = if row == 0 { 0 } else { number_at(&self.ends, row - 1)? };
        let is_payload = start <= end && end <= self.text.len() && end - start <= PAYLOAD_MAX as u64;
        let bytes = if is_payload { self.text.bytes(start..end)? } else { &[0xFF] };
        std::str::from_utf8(bytes).map_err(|_| FsError::BadStream {
            collection: self.path.clone(),
            stream: STREAM_PAYLOAD,
            problem: format!("has no payload for row {row}"),
        })
    }
}

/// Writes the payload of rows that are appended.
#[derive(Debug)]
pub(super) struct PayloadWriter {
    text: FileWriter,
    ends: FileWriter,
    /// Rows that have their payload, or none.
    rows: u64,
}

impl PayloadWriter {
    /// Goes on behind the rows of `collection`; where it has no payload, its rows get none.
    pub(super) fn open(txn: &mut Transaction<'_>, collection: &Collection) -> Result<Self> {
        let text = open_stream(txn, collection, STREAM_PAYLOAD)?;
        let ends = open_stream(txn, collection, STREAM_PAYLOAD_ENDS)?;
        if !collection.desc.has_payload() {
            let mut writer = Self { text, ends, rows: 0 };
            writer.pad(txn, collection.rows())?;
            return Ok(writer);
        }
        let last_end = match collection.rows() {
            0 => 0,
            rows => {
                let old = collection.view_exact_as_of(txn.volume, txn, STREAM_PAYLOAD_ENDS, rows * 8)?;
                number_at(&old, rows - 1)?
            }
        };
        if text.len(txn) != last_end {
            let problem = format!("has {} bytes where its rows have {last_end}", text.len(txn));
            return Err(collection.bad_stream(STREAM_PAYLOAD, problem));
        }
        Ok(Self { text, ends, rows: collection.rows() })
    }

    /// The payload of the next row.
    pub(super) fn push(&mut self, txn: &mut Transaction<'_>, payload: &str) -> Result<()> {
        if payload.len() > PAYLOAD_MAX {
            let len = payload.len();
            let problem = format!("a payload of {len} bytes is too long: at most {PAYLOAD_MAX} are possible");
            return Err(FsError::BadCollection(problem));
        }
        self.text.write(txn, payload.as_bytes())?;
        let end = self.text.len(txn);
        self.ends.write(txn, &end.to_le_bytes())?;
        self.rows += 1;
        Ok(())
    }

    /// Gives the rows before `rows` that have no payload none.
    pub(super) fn pad(&mut self, txn: &mut Transaction<'_>, rows: u64) -> Result<()> {
        let end = self.text.len(txn).to_le_bytes();
        while self.rows < rows {
            let count = (rows - self.rows).min(PAD_ROWS);
            self.ends.write(txn, &end.repeat(count as usize))?;
            self.rows += count;
        }
        Ok(())
    }

    /// Rows that have their payload, or none.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn finish(self, txn: &mut Transaction<'_>) -> Result<()> {
        self.text.finish(txn)?;
        self.ends.finish(txn)?;
        Ok(())
    }
}

/// A stream of a collection, for appending; made if it is not there.
pub(super) fn open_stream(
    txn: &mut Transaction<'_>,
    collection: &Collection,
    name: &str,
) -> Result<FileWriter> {
    let ino: InodeNo = match collection.stream(txn, name)? {
        Some(inode) => inode.number(),
        None => txn.create(collection.inode.number(), name.as_bytes(), InodeKind::Stream, 0o644)?.number(),
    };
    FileWriter::append(txn, ino, BlockUse::Vectors)
}
