//! Adding rows to a collection, in batches, within one transaction.

use std::num::NonZeroU64;

use vexfs_format::InodeNo;
use vexfs_format::collection::{
    FLAG_IDS, FLAG_KEYS, STREAM_IDS, STREAM_KEY_ENDS, STREAM_KEY_HASHES, STREAM_KEYS, STREAM_ROW_SUMS,
    STREAM_VECTORS, row_checksum,
};
use vexfs_format::dir_block::name_hash;
use vexfs_format::inode::Inode;
use zerocopy::little_endian::U64;

use super::Collection;
use super::delete::mark_deleted;
use super::import::Step;
use super::payload::{PayloadWriter, open_stream};
use super::unique::{Clash, Met, ids_met, key_hashes_met};
use crate::error::{FsError, Result, TakenBy};
use crate::file::{FileWriter, read_staged};
use crate::inode;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;

/// Longest key in bytes.
pub const KEY_MAX: usize = 1024;
/// Rows whose ids are written at a time when a collection without explicit ids gets them.
const ID_BATCH: u64 = 64 << 10;

/// The identities of a batch of rows.
#[derive(Clone, Copy, Debug)]
pub enum RowIds<'a> {
    /// The next free ids.
    Auto,
    /// These ids, one for each row.
    Ids(&'a [u64]),
    /// These keys, one for each row; ids are assigned.
    Keys(&'a [String]),
}

/// What was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// First new row.
    pub first_row: u64,
    /// Number of new rows.
    pub rows: u64,
    /// How many of them replaced a row with the same id or key.
    pub replaced: u64,
}

/// Adds rows to one collection.
///
/// Rows must be finite and already of the collection's element type: the reader of the source checks that, because it can
/// name file, row and column. Nothing is visible before the transaction commits.
#[derive(Debug)]
pub struct Appender {
    collection: Collection,
    vectors: FileWriter,
    row_sums: FileWriter,
    ids: Option<IdWriter>,
    keys: Option<KeyWriter>,
    payload: Option<PayloadWriter>,
    added: u64,
    next_id: u64,
    replaces: bool,
    step: Option<Step>,
}

impl Appender {
    /// Opens collection `ino` for new rows; `path` is for messages.
    ///
    /// # Errors
    /// Those of [`Collection::from_inode`] and [`FileWriter::append`]; features of the collection that forbid writing;
    /// [`FsError::BadStream`] when its streams do not hold its rows; [`FsError::BadCollection`] while an import in steps is not
    /// finished.
    pub fn open(txn: &mut Transaction<'_>, path: &str, ino: InodeNo) -> Result<Self> {
        Self::open_for(txn, path, ino, None)
    }

    /// Opens collection `ino` for a step of the import of the files that have the fingerprint `source`: the first one, or one that goes on behind
    /// the last. The import is not finished before a step that [`ends_import`](Self::ends_import).
    ///
    /// # Errors
    /// Those of [`open`](Self::open), of which only an import of other files is in the way.
    pub fn open_step(
        txn: &mut Transaction<'_>,
        path: &str,
        ino: InodeNo,
        source: NonZeroU64,
    ) -> Result<Self> {
        Self::open_for(txn, path, ino, Some(Step { source, is_last: false }))
    }

    fn open_for(txn: &mut Transaction<'_>, path: &str, ino: InodeNo, step: Option<Step>) -> Result<Self> {
        let inode = inode::read(txn, ino)?;
        let collection = Collection::from_inode(txn, path, inode)?;
        collection.desc.features().check_collection_writable()?;
        collection.check_rows(txn)?;
        match &step {
            Some(step) => step.check(&collection)?,
            None => collection.check_no_import()?,
        }
        let vectors = open_stream(txn, &collection, STREAM_VECTORS)?;
        let row_sums = open_stream(txn, &collection, STREAM_ROW_SUMS)?;
        let next_id = collection.desc.next_id.get();
        Ok(Self {
            collection,
            vectors,
            row_sums,
            ids: None,
            keys: None,
            payload: None,
            added: 0,
            next_id,
            replaces: false,
            step,
        })
    }

    /// Makes a row with an id or key that a live row has replace that row: an upsert. Without this it is an error.
    #[must_use]
    pub fn replacing(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// Says of a step that it is the last one of its import.
    pub fn ends_import(&mut self) {
        if let Some(step) = &mut self.step {
            step.is_last = true;
        }
    }

    /// The collection as it was before.
    pub fn collection(&self) -> &Collection {
        &self.collection
    }

    /// Allocates room for `rows` more rows, so that they lie in long runs.
    ///
    /// # Errors
    /// [`FsError::NoSpace`] with nothing allocated; device errors and damage of bitmaps.
    pub fn reserve(&mut self, txn: &mut Transaction<'_>, rows: u64) -> Result<()> {
        let needed = |per_row| rows.checked_mul(per_row).filter(|&bytes| bytes <= i64::MAX as u64);
        let (Some(bytes), Some(sums)) = (needed(self.collection.desc.row_bytes()), needed(4)) else {
            return Err(FsError::NoSpace { needed: u64::MAX, free: txn.available_blocks() });
        };
        self.vectors.reserve(txn, bytes)?;
        self.row_sums.reserve(txn, sums)
    }

    /// Adds a batch of packed rows.
    ///
    /// # Shape
    /// `rows`: n × `row_bytes`; `ids`: n entries where they are given.
    ///
    /// # Errors
    /// [`FsError::BadCollection`] when ids or keys do not fit the rows or the collection; [`FsError::NoSpace`]; device
    /// errors. The transaction must then be dropped.
    pub fn push(&mut self, txn: &mut Transaction<'_>, rows: &[u8], ids: RowIds<'_>) -> Result<()> {
        let row_bytes = self.collection.desc.row_bytes() as usize;
        let count = rows.len() / row_bytes;
        if !rows.len().is_multiple_of(row_bytes) {
            return Err(FsError::BadCollection(format!(
                "{} bytes are no whole rows of {row_bytes} bytes",
                rows.len()
            )));
        }
        self.push_ids(txn, ids, count)?;
        let (seed, ino) = (txn.seed(), self.collection.inode.number());
        let sums: Vec<u8> =
            rows.chunks_exact(row_bytes).flat_map(|row| row_checksum(seed, ino, row).to_le_bytes()).collect();
        self.vectors.write(txn, rows)?;
        self.row_sums.write(txn, &sums)?;
        self.added += count as u64;
        Ok(())
    }

    /// Gives the last rows that were pushed their payload: for each a JSON object, or nothing.
    ///
    /// The text is stored as it is; its reader makes sure that it is JSON. Rows that are given none have none, but where a row
    /// replaces another one and no row of the whole append is given any, it keeps that of the row before it.
    ///
    /// # Errors
    /// [`FsError::BadCollection`] when there are more texts than rows without payload, or one is longer than
    /// [`PAYLOAD_MAX`](super::payload::PAYLOAD_MAX); [`FsError::NoSpace`]; device errors. The transaction must then be dropped.
    pub fn push_payload(&mut self, txn: &mut Transaction<'_>, texts: &[String]) -> Result<()> {
        if self.payload.is_none() {
            self.payload = Some(PayloadWriter::open(txn, &self.collection)?);
        }
        let rows = self.collection.rows() + self.added;
        if let Some(writer) = &mut self.payload {
            writer.pad(txn, rows.saturating_sub(texts.len() as u64))?;
            texts.iter().try_for_each(|text| writer.push(txn, text))?;
            if writer.rows() != rows {
                let problem = format!("payload is given for {} rows, and there are {rows}", writer.rows());
                return Err(FsError::BadCollection(problem));
            }
        }
        Ok(())
    }

    /// Finishes the streams, deletes the rows that are replaced, and stages the descriptor.
    ///
    /// # Errors
    /// [`FsError::Duplicate`] when an id or key was given twice, or exists already and is not to be replaced;
    /// [`FsError::NoSpace`]; device errors.
    pub fn finish(self, txn: &mut Transaction<'_>) -> Result<Appended> {
        let Self { collection, vectors, row_sums, ids, keys, payload, added, next_id, replaces, step } = self;
        let first_row = collection.rows();
        let mut desc = collection.desc;
        vectors.finish(txn)?;
        row_sums.finish(txn)?;
        let mut replaced = Vec::new();
        if let Some(writer) = ids {
            desc.set(FLAG_IDS);
            replaced = writer.finish(txn, &collection, replaces)?;
        }
        if let Some(writer) = keys {
            desc.set(FLAG_KEYS);
            replaced = writer.finish(txn, &collection, replaces)?;
        }
        desc.rows = U64::new(first_row + added);
        let payload = match payload {
            None if collection.desc.has_payload() => Some(kept_payload(txn, &collection, &replaced)?),
            other => other,
        };
        if let Some(mut writer) = payload {
            desc.set_payload(true);
            writer.pad(txn, first_row + added)?;
            writer.finish(txn)?;
        }
        // Marks stand for rows that are there already, so the stream need not be as long as the new number of rows.
        let rows: Vec<u64> = replaced.iter().map(|&(_, row)| row).collect();
        let deleted = if rows.is_empty() { 0 } else { mark_deleted(txn, &collection, rows.into_iter())? };
        desc.live_rows = U64::new((desc.live_rows.get() + added).saturating_sub(deleted));
        desc.next_id = U64::new(next_id);
        if let Some(step) = step {
            step.note(&mut desc, first_row);
        }
        desc.generation = U64::new(desc.generation.get().wrapping_add(1));
        // The streams were written since; the directory may have changed with them.
        let mut inode = inode::read(txn, collection.inode.number())?;
        inode.modified_ns = U64::new(txn.now_ns());
        txn.write_inode(&mut inode)?;
        txn.write_collection_desc(&inode, &desc);
        Ok(Appended { first_row, rows: added, replaced: deleted })
    }

    fn push_ids(&mut self, txn: &mut Transaction<'_>, ids: RowIds<'_>, count: usize) -> Result<()> {
        let rows_before = self.collection.rows() + self.added;
        let has_keys = self.collection.desc.has(FLAG_KEYS) || self.keys.is_some();
        let given = match ids {
            RowIds::Auto => count,
            RowIds::Ids(ids) => ids.len(),
            RowIds::Keys(keys) => keys.len(),
        };
        if given != count {
            return Err(FsError::BadCollection(format!("{given} ids or keys for {count} rows")));
        }
        if let RowIds::Keys(keys) = ids {
            if !has_keys && rows_before > 0 {
                return Err(FsError::BadCollection(format!(
                    "{}: its rows have no keys, so new rows cannot have any; use another collection",
                    self.collection.path
                )));
            }
            if self.keys.is_none() {
                self.keys = Some(KeyWriter::open(txn, &self.collection)?);
            }
            if let Some(writer) = &mut self.keys {
                writer.push(txn, keys)?;
            }
        } else if has_keys {
            return Err(FsError::BadCollection(format!(
                "{}: its rows have keys, so new rows need them too",
                self.collection.path
            )));
        }
        // Where the last rows were compacted away, row numbers have fallen behind the ids.
        let explicit = matches!(ids, RowIds::Ids(_))
            || self.collection.desc.has(FLAG_IDS)
            || self.next_id != rows_before;
        if explicit && self.ids.is_none() {
            self.ids = Some(IdWriter::open(txn, &self.collection, self.added)?);
        }
        let auto: Vec<u64>;
        let ids = match ids {
            RowIds::Ids(ids) => ids,
            _ => {
                let next = self.next_id.checked_add(count as u64).ok_or_else(|| {
                    FsError::BadCollection(format!(
                        "{}: there are not {count} ids left behind {}",
                        self.collection.path, self.next_id
                    ))
                })?;
                if self.ids.is_none() {
                    self.next_id = next;
                    return Ok(());
                }
                auto = (self.next_id..next).collect();
                &auto
            }
        };
        if let Some(&most) = ids.iter().max() {
            let next = most.checked_add(1).ok_or_else(|| {
                FsError::BadCollection(format!("id {most} is too large: the largest is {}", u64::MAX - 1))
            })?;
            self.next_id = self.next_id.max(next);
        }
        match &mut self.ids {
            Some(writer) => writer.push(txn, ids),
            None => Ok(()),
        }
    }
}

/// A writer that has given the rows which replace others the payload of those.
fn kept_payload(
    txn: &mut Transaction<'_>,
    collection: &Collection,
    replaced: &[(u64, u64)],
) -> Result<PayloadWriter> {
    let old = collection.payloads_as_of(txn.volume, txn)?;
    let mut writer = PayloadWriter::open(txn, collection)?;
    let mut replaced = replaced.to_vec();
    replaced.sort_unstable();
    for (given, row) in replaced {
        writer.pad(txn, collection.rows() + given)?;
        writer.push(txn, old.as_ref().map_or(Ok(""), |old| old.get(row))?)?;
    }
    Ok(writer)
}

/// Writes explicit ids and finds those given twice.
#[derive(Debug)]
struct IdWriter {
    stream: FileWriter,
    /// All ids given in this transaction: eight bytes for each new row, the price of finding duplicates.
    given: Vec<u64>,
    first_row: u64,
}

impl IdWriter {
    /// `added` rows of this transaction have their row number as id already.
    fn open(txn: &mut Transaction<'_>, collection: &Collection, added: u64) -> Result<Self> {
        let mut stream = open_stream(txn, collection, STREAM_IDS)?;
        let first_row = collection.rows() + added;
        if !collection.desc.has(FLAG_IDS) {
            let mut row = 0;
            while row < first_row {
                let end = first_row.min(row + ID_BATCH);
                let bytes: Vec<u8> = (row..end).flat_map(u64::to_le_bytes).collect();
                stream.write(txn, &bytes)?;
                row = end;
            }
        }
        Ok(Self { stream, given: Vec::new(), first_row })
    }

    fn push(&mut self, txn: &mut Transaction<'_>, ids: &[u64]) -> Result<()> {
        self.given.extend_from_slice(ids);
        let bytes: Vec<u8> = ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        self.stream.write(txn, &bytes)
    }

    /// Completes the stream. Returns which of the ids given live rows have, with these rows.
    fn finish(
        self,
        txn: &mut Transaction<'_>,
        collection: &Collection,
        replaces: bool,
    ) -> Result<Vec<(u64, u64)>> {
        let next_id = collection.desc.next_id.get();
        let fresh = self.given.first().is_none_or(|&id| id >= next_id.max(self.first_row));
        let met = if fresh && self.given.is_sorted_by(|a, b| a < b) {
            Met::default()
        } else {
            ids_met(txn, collection, self.first_row, &self.given)?
        };
        // A row of this very transaction got the id on the way; it is no older row to be replaced.
        let is_new = |&&(_, row): &&(u64, u64)| row >= collection.rows();
        let own = met.taken.iter().find(is_new);
        let own = own.map(|&(given, row)| Clash { given, taken: TakenBy::Row(row) });
        if let Some(Clash { given, taken }) = if replaces { met.twice.or(own) } else { met.first() } {
            let value = self.given[given as usize].to_string();
            return Err(FsError::Duplicate { what: "id", value, given, taken });
        }
        self.stream.finish(txn)?;
        Ok(met.taken)
    }
}

/// Writes keys, their ends and their hashes, and finds those given twice.
#[derive(Debug)]
struct KeyWriter {
    text: FileWriter,
    ends: FileWriter,
    hashes: FileWriter,
    given: Vec<u64>,
}

impl KeyWriter {
    fn open(txn: &mut Transaction<'_>, collection: &Collection) -> Result<Self> {
        let text = open_stream(txn, collection, STREAM_KEYS)?;
        // A key begins where the one before it ends.
        let last_end = match (collection.stream(txn, STREAM_KEY_ENDS)?, collection.rows()) {
            (Some(ends), rows @ 1..) => number_at(txn, &ends, rows - 1)?,
            _ => 0,
        };
        if text.len(txn) != last_end {
            let problem = format!("has {} bytes where its keys have {last_end}", text.len(txn));
            return Err(collection.bad_stream(STREAM_KEYS, problem));
        }
        Ok(Self {
            text,
            ends: open_stream(txn, collection, STREAM_KEY_ENDS)?,
            hashes: open_stream(txn, collection, STREAM_KEY_HASHES)?,
            given: Vec::new(),
        })
    }

    fn push(&mut self, txn: &mut Transaction<'_>, keys: &[String]) -> Result<()> {
        let hash_key = txn.superblock().hash_key;
        let mut end = self.text.len(txn);
        let (mut ends, mut hashes) = (Vec::new(), Vec::new());
        for key in keys {
            if key.is_empty() || key.len() > KEY_MAX || key.contains('\0') {
                return Err(FsError::BadCollection(format!(
                    "key {:?} is not possible: 1 to {KEY_MAX} bytes without zero bytes",
                    key.chars().take(40).collect::<String>()
                )));
            }
            end += key.len() as u64;
            ends.extend_from_slice(&end.to_le_bytes());
            let hash = name_hash(&hash_key, key.as_bytes());
            hashes.extend_from_slice(&hash.to_le_bytes());
            self.given.push(hash);
        }
        self.text.write(txn, keys.concat().as_bytes())?;
        self.ends.write(txn, &ends)?;
        self.hashes.write(txn, &hashes)
    }

    /// Completes the streams. Returns which of the keys given live rows have, with these rows.
    fn finish(
        self,
        txn: &mut Transaction<'_>,
        collection: &Collection,
        replaces: bool,
    ) -> Result<Vec<(u64, u64)>> {
        let (text, ends) = (self.text.finish(txn)?, self.ends.finish(txn)?);
        let met = key_hashes_met(txn, collection, &self.given)?;
        let key = |row| staged_key(txn, &text, &ends, row);
        let mut clash = if replaces { met.twice } else { met.first() };
        if replaces && clash.is_none() {
            // Another key may have the same hash; that row is not the one that is replaced.
            for &(given, row) in &met.taken {
                if key(row)? != key(collection.rows() + given)? {
                    clash = Some(Clash { given, taken: TakenBy::Row(row) });
                    break;
                }
            }
        }
        if let Some(Clash { given, taken }) = clash {
            return Err(FsError::Duplicate {
                what: "key",
                value: key(collection.rows() + given)?,
                given,
                taken,
            });
        }
        self.hashes.finish(txn)?;
        Ok(met.taken)
    }
}

/// Number `row` of a stream of eight bytes for each row.
fn number_at(txn: &Transaction<'_>, stream: &Inode, row: u64) -> Result<u64> {
    let bytes = read_staged(txn, stream, row * 8..row * 8 + 8)?;
    Ok(bytes.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b)))
}

/// The key of `row`, from streams that are finished and not committed.
fn staged_key(txn: &Transaction<'_>, text: &Inode, ends: &Inode, row: u64) -> Result<String> {
    let start = if row == 0 { 0 } else { number_at(txn, ends, row - 1)? };
    let end = number_at(txn, ends, row)?;
    // The end of the key before may be a damaged one of a committed row.
    let bytes = read_staged(txn, text, start.max(end.saturating_sub(KEY_MAX as u64))..end)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
