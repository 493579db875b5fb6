//! Compaction: the streams are written anew without the deleted rows.
//!
//! Rows keep their order and get other numbers, so index images become invalid: they are dropped with the old rows. Their
//! descriptions stay, so that [`index::rebuild`] makes them anew, in this process or in a later one.

use std::ops::Range;

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{
    FLAG_IDS, FLAG_KEYS, STREAM_DELETED, STREAM_IDS, STREAM_KEY_ENDS, STREAM_KEY_HASHES, STREAM_KEYS,
    STREAM_PAYLOAD, STREAM_PAYLOAD_ENDS, STREAM_ROW_SUMS, STREAM_VECTORS,
};
use zerocopy::little_endian::U64;

use super::Collection;
use super::ids::number_at;
use super::rows::Deletions;
use crate::alloc::BlockUse;
use crate::error::{FsError, Result};
use crate::file::FileWriter;
use crate::index::{self, Progress};
use crate::inode;
use crate::txn::transaction::Transaction;
use crate::view::FileView;

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 4 << 20;
/// Ids, ends of keys and hashes.
const NUMBER_BYTES: u64 = 8;

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Rows that are left.
    pub rows: u64,
    /// Deleted rows whose space was reclaimed.
    pub removed: u64,
}

impl Transaction<'_> {
    /// Writes the streams of collection `ino` anew without its deleted rows; nothing is changed if it has none.
    ///
    /// # Durability
    /// Nothing is visible before the transaction commits; the old rows keep their blocks until then.
    ///
    /// # Complexity
    /// One pass over the rows that are left; a few MiB of memory, and a bit for each row.
    ///
    /// # Errors
    /// [`FsError::BadCollection`] while an import in steps is not finished; [`FsError::Interrupted`] when `progress` says so;
    /// [`FsError::Index`] for an index whose description is lost, so that it could not be built again; [`FsError::NoSpace`];
    /// device errors; damage of a row that is not deleted. The transaction must then be dropped.
    pub fn compact_rows(&mut self, path: &str, ino: InodeNo, progress: &dyn Progress) -> Result<Compacted> {
        self.use_reserve();
        let collection = Collection::from_inode(self, path, inode::read(self, ino)?)?;
        collection.desc.features().check_collection_writable()?;
        collection.check_rows(self)?;
        collection.check_no_import()?;
        let deleted = collection.deletions_as_of(self.volume, self)?;
        let old_rows = collection.rows();
        let removed = deleted.count(0..old_rows);
        let rows = old_rows - removed;
        if removed == 0 {
            return Ok(Compacted { rows, removed });
        }
        index::drop_images(self, &collection)?;
        let live = Live { collection: &collection, deleted: &deleted, rows, progress };
        let mut desc = collection.desc;
        live.copy_vectors(self)?;
        live.copy(self, STREAM_ROW_SUMS, 4)?;
        if desc.has(FLAG_IDS) {
            live.copy(self, STREAM_IDS, NUMBER_BYTES)?;
        } else if live.runs().any(|run| run.start > 0) {
            live.number(self)?;
            desc.set(FLAG_IDS);
        }
        if desc.has(FLAG_KEYS) {
            live.copy_texts(self, STREAM_KEYS, STREAM_KEY_ENDS)?;
            live.copy(self, STREAM_KEY_HASHES, NUMBER_BYTES)?;
        }
        if desc.has_payload() {
            live.copy_texts(self, STREAM_PAYLOAD, STREAM_PAYLOAD_ENDS)?;
        }
        self.remove_stream(ino, STREAM_DELETED)?;
        (desc.rows, desc.live_rows) = (U64::new(rows), U64::new(rows));
        desc.generation = U64::new(desc.generation.get().wrapping_add(1));
        let mut inode = inode::read(self, ino)?;
        inode.modified_ns = U64::new(self.now_ns());
        self.write_inode(&mut inode)?;
        self.write_collection_desc(&inode, &desc);
        Ok(Compacted { rows, removed })
    }
}

/// The rows that stay.
struct Live<'a> {
    collection: &'a Collection,
    deleted: &'a Deletions,
    rows: u64,
    progress: &'a dyn Progress,
}

impl Live<'_> {
    /// The runs of rows that are not deleted, in order.
    fn runs(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        let (mut at, end) = (0, self.collection.rows());
        std::iter::from_fn(move || {
            let start = (at..end).find(|&row| !self.deleted.contains(row))?;
            at = (start..end).find(|&row| self.deleted.contains(row)).unwrap_or(end);
            Some(start..at)
        })
    }

    /// The rows, each of them intact.
    fn copy_vectors(&self, txn: &mut Transaction<'_>) -> Result<()> {
        let row_bytes = self.collection.desc.row_bytes();
        let rows = self.collection.open_rows_as_of(txn.volume, txn)?;
        rows.view().advise_sequential();
        let mut out = self.replace(txn, STREAM_VECTORS)?;
        out.writer.reserve(txn, self.rows * row_bytes)?;
        let slab = (BUFFER_BYTES as u64 / row_bytes).max(1);
        let mut done = 0;
        for run in self.runs() {
            let mut first = run.start;
            while first < run.end {
                let end = run.end.min(first + slab);
                match rows.bytes(first..end) {
                    Ok(bytes) => out.push(txn, bytes)?,
                    // A damaged block costs only the rows whose own checksum disagrees.
                    Err(_) => (first..end).try_for_each(|row| out.push(txn, rows.row(row)?))?,
                }
                done += end - first;
                self.progress.step("compacting", done, self.rows);
                if self.progress.is_interrupted() {
                    return Err(FsError::Interrupted);
                }
                first = end;
            }
        }
        out.finish(txn)
    }

    /// A stream of `width` bytes for each row.
    fn copy(&self, txn: &mut Transaction<'_>, stream: &'static str, width: u64) -> Result<()> {
        let len = self.collection.rows() * width;
        let old = self.collection.view_exact_as_of(txn.volume, txn, stream, len)?;
        let mut out = self.replace(txn, stream)?;
        for run in self.runs() {
            out.push_range(txn, &old, run.start * width..run.end * width)?;
        }
        out.finish(txn)
    }

    /// Texts, and the stream of where they end.
    fn copy_texts(&self, txn: &mut Transaction<'_>, text: &'static str, ends: &'static str) -> Result<()> {
        let len = self.collection.rows() * NUMBER_BYTES;
        let old_ends = self.collection.view_exact_as_of(txn.volume, txn, ends, len)?;
        let Some(inode) = self.collection.stream(txn, text)? else {
            return Err(self.collection.bad_stream(text, "is missing".to_owned()));
        };
        let old_text = txn.volume.view_as_of(txn, &inode)?;
        let (mut out, mut out_ends) = (self.replace(txn, text)?, self.replace(txn, ends)?);
        let bad =
            || self.collection.bad_stream(ends, "does not rise up to the length of the texts".to_owned());
        let mut written = 0;
        for run in self.runs() {
            let start = if run.start == 0 { 0 } else { number_at(&old_ends, run.start - 1)? };
            let mut last = start;
            for row in run {
                let end = number_at(&old_ends, row)?;
                if end < last || end > old_text.len() {
                    return Err(bad());
                }
                last = end;
                out_ends.push(txn, &(written + (end - start)).to_le_bytes())?;
            }
            out.push_range(txn, &old_text, start..last)?;
            written += last - start;
        }
        out.finish(txn)?;
        out_ends.finish(txn)
    }

    /// Row numbers become ids.
    fn number(&self, txn: &mut Transaction<'_>) -> Result<()> {
        let ino = match self.collection.stream(txn, STREAM_IDS)? {
            Some(inode) => inode.number(),
            None => {
                let (parent, name) = (self.collection.inode.number(), STREAM_IDS.as_bytes());
                txn.create(parent, name, InodeKind::Stream, 0o644)?.number()
            }
        };
        let mut out = Out::new(FileWriter::replace(txn, ino, BlockUse::Vectors)?);
        for row in self.runs().flatten() {
            out.push(txn, &row.to_le_bytes())?;
        }
        out.finish(txn)
    }

    fn replace(&self, txn: &mut Transaction<'_>, stream: &'static str) -> Result<Out> {
        let Some(inode) = self.collection.stream(txn, stream)? else {
            return Err(self.collection.bad_stream(stream, "is missing".to_owned()));
        };
        Ok(Out::new(FileWriter::replace(txn, inode.number(), BlockUse::Vectors)?))
    }
}

/// A stream that is written in long pieces, however short those are that it is made of.
struct Out {
    writer: FileWriter,
    buffer: Vec<u8>,
}

impl Out {
    fn new(writer: FileWriter) -> Self {
        Self { writer, buffer: Vec::new() }
    }

    fn push(&mut self, txn: &mut Transaction<'_>, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.writer.write(txn, &self.buffer)?;
            self.buffer.clear();
        }
        if bytes.len() < BUFFER_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.writer.write(txn, bytes)
    }

    fn push_range(&mut self, txn: &mut Transaction<'_>, old: &FileView, range: Range<u64>) -> Result<()> {
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min(at + BUFFER_BYTES as u64);
            self.push(txn, old.bytes(at..end)?)?;
            at = end;
        }
        Ok(())
    }

    fn finish(mut self, txn: &mut Transaction<'_>) -> Result<()> {
        self.writer.write(txn, &self.buffer)?;
        self.writer.finish(txn).map(drop)
    }
}
