//! Pass 5: the rows of one collection: their number, their ids and keys, and those that are lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{
    FLAG_IDS, FLAG_KEYS, STREAM_IDS, STREAM_KEY_ENDS, STREAM_KEY_HASHES, STREAM_KEYS, STREAM_ROW_SUMS,
    row_checksum,
};
use vexfs_format::dir_block::name_hash;
use zerocopy::little_endian::U64;

use super::super::content::Content;
use super::super::context::{CollectionInfo, Context, STREAMS};
use super::mapping::{self, Mend};
use super::payload::Payload;
use super::streams::{edit, parts, saved_name, write_stream};
use super::{batch, connect};
use crate::alloc::BlockUse;
use crate::collection::append::KEY_MAX;
use crate::error::Result;
use crate::file::FileWriter;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;
use crate::{dir, inode};

/// A stream that is read while a transaction writes.
pub(super) struct Source {
    dev: Arc<dyn Device>,
    content: Option<Content>,
}

impl Source {
    pub(super) fn open(ctx: &Context<'_>, collection: &CollectionInfo, name: &str) -> Self {
        let stream = STREAMS.iter().position(|stream| *stream == name).unwrap_or(0);
        Self { dev: ctx.volume.dev.clone(), content: Content::open(ctx, collection.streams[stream]) }
    }

    pub(super) fn size(&self) -> u64 {
        self.content.as_ref().map_or(0, |content| content.size)
    }

    /// Bytes that agree with their checksums.
    pub(super) fn proven(&self, from: u64, to: u64) -> Option<Vec<u8>> {
        let content = self.content.as_ref().filter(|content| to <= content.size)?;
        content.verified(&*self.dev, from..to)
    }

    /// Bytes as they lie.
    pub(super) fn raw(&self, from: u64, to: u64) -> Option<Vec<u8>> {
        let content = self.content.as_ref().filter(|content| to <= content.size)?;
        content.raw(&*self.dev, from..to)
    }

    pub(super) fn number(&self, row: u64) -> Option<(u64, bool)> {
        let parse = |bytes: Vec<u8>| bytes.first_chunk::<8>().map(|bytes| u64::from_le_bytes(*bytes));
        if let Some(number) = self.proven(row * 8, row * 8 + 8).and_then(parse) {
            return Some((number, true));
        }
        self.raw(row * 8, row * 8 + 8).and_then(parse).map(|number| (number, false))
    }
}

/// Brings the lengths of all streams in line with each other: see [`super::streams`].
pub(super) fn restore_lengths(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<()> {
    let desc = &collection.desc;
    let sizes: Vec<Option<u64>> = collection
        .streams
        .iter()
        .map(|&ino| if ino == 0 { None } else { ctx.read_inode(ino).map(|inode| inode.size.get()) })
        .collect();
    let Some(vectors) = sizes[0] else { return lose_all(ctx, collection) };
    let row_bytes = desc.row_bytes();
    let there = vectors / row_bytes;
    let mut votes: BTreeMap<u64, u32> = BTreeMap::new();
    let with = |flag, size: Option<u64>, width: u64| size.filter(|_| desc.has(flag)).map(|size| size / width);
    for rows in [
        Some(there),
        Some(desc.rows.get()),
        sizes[1].map(|size| size / 4),
        with(FLAG_IDS, sizes[2], 8),
        with(FLAG_KEYS, sizes[4], 8),
        with(FLAG_KEYS, sizes[5], 8),
        sizes[8].filter(|_| desc.has_payload()).map(|size| size / 8),
    ]
    .into_iter()
    .flatten()
    {
        *votes.entry(rows).or_default() += 1;
    }
    let most = votes.iter().max_by_key(|&(&rows, &count)| (count, rows)).map_or(0, |(&rows, _)| rows);
    let rows = most.min(there);
    let text = format!("inode {}: {rows} rows have all of their bytes and are kept", collection.ino);
    ctx.reporter.note(text)?;
    let surplus = Source::open(ctx, collection, STREAMS[0]);
    let sums = RowSums::open(ctx, collection);
    let ids = Source::open(ctx, collection, STREAM_IDS);
    let keys = Keys::open(ctx, collection);
    let payload = Payload::open(ctx, collection);
    let is_whole = |stream: usize, len: u64| sizes[stream] == Some(len);
    let new_ids = rows.saturating_sub(ids.size() / 8);
    batch::run(&mut ctx.volume, &mut ctx.reporter, &[()], |txn, ()| {
        if there > rows {
            let bytes = parts(there * row_bytes).filter(|part| part.end > rows * row_bytes);
            let bytes = bytes.filter_map(|part| surplus.raw(part.start.max(rows * row_bytes), part.end));
            save(txn, collection, &format!("vectors-from-row-{rows}"), bytes)?;
        }
        let cut = |txn: &mut Transaction<'_>, stream: usize, len: u64| {
            if sizes[stream].is_none_or(|size| size <= len) {
                return Ok(());
            }
            let mend = Mend { size: Some(len), clear_tail: true, ..Mend::default() };
            mapping::mend(txn, InodeNo(collection.streams[stream]), &mend)
        };
        cut(txn, 0, rows * row_bytes)?;
        cut(txn, 6, rows.div_ceil(8))?;
        if !is_whole(1, rows * 4) {
            write_stream(txn, collection, STREAM_ROW_SUMS, |at| sums.part(at, rows))?;
        }
        let next_id = desc.next_id.get();
        if desc.has(FLAG_IDS) && !is_whole(2, rows * 8) {
            write_stream(txn, collection, STREAM_IDS, |at| {
                let end = (rows * 8).min(at + (1 << 16));
                let numbers = (at / 8..end / 8).map(|row| {
                    let old = ids.number(row).map(|(id, _)| id);
                    old.unwrap_or_else(|| next_id.saturating_add(row - (rows - new_ids)))
                });
                (at < end).then(|| numbers.flat_map(u64::to_le_bytes).collect())
            })?;
        }
        if desc.has(FLAG_KEYS) && !(is_whole(4, rows * 8) && is_whole(5, rows * 8) && sizes[3].is_some()) {
            keys.rewrite(txn, collection, rows, &BTreeSet::new())?;
        }
        if desc.has_payload() && !(is_whole(8, rows * 8) && sizes[7].is_some()) {
            payload.rewrite(txn, collection, rows)?;
        }
        edit(txn, collection, |desc| {
            desc.rows = U64::new(rows);
            desc.live_rows = U64::new(desc.live_rows.get().min(rows));
            desc.next_id = U64::new(next_id.saturating_add(new_ids));
            desc.generation = U64::new(desc.generation.get().wrapping_add(1));
        })
    })
}

/// Without vectors there are no rows: what is left of the streams is kept in lost+found.
fn lose_all(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<()> {
    let ino = InodeNo(collection.ino);
    batch::run(&mut ctx.volume, &mut ctx.reporter, &[()], |txn, ()| {
        let directory = inode::read(txn, ino)?;
        for entry in dir::list(txn, &directory)? {
            if entry.kind == InodeKind::Stream {
                dir::remove(txn, ino, &entry.name)?;
                connect::keep(txn, entry.inode)?;
            }
        }
        for name in [STREAMS[0], STREAM_ROW_SUMS] {
            write_stream(txn, collection, name, |_| None)?;
        }
        edit(txn, collection, |desc| {
            (desc.rows, desc.live_rows) = (U64::new(0), U64::new(0));
            desc.flags = (desc.flags.get() & !(FLAG_IDS | FLAG_KEYS)).into();
            desc.set_payload(false);
            desc.generation = U64::new(desc.generation.get().wrapping_add(1));
        })
    })
}

/// The checksums of rows, made anew where they are missing.
pub(super) struct RowSums {
    vectors: Source,
    old: Source,
    ino: InodeNo,
    row_bytes: u64,
    seed: vexfs_format::Seed,
}

impl RowSums {
    pub(super) fn open(ctx: &Context<'_>, collection: &CollectionInfo) -> Self {
        Self {
            vectors: Source::open(ctx, collection, STREAMS[0]),
            old: Source::open(ctx, collection, STREAM_ROW_SUMS),
            ino: InodeNo(collection.ino),
            row_bytes: collection.desc.row_bytes(),
            seed: ctx.volume.seed(),
        }
    }

    /// A part of the stream from byte `at` on, for a collection of `rows`.
    pub(super) fn part(&self, at: u64, rows: u64) -> Option<Vec<u8>> {
        let first = at / 4;
        let end = rows.min(first + ((1 << 20) / self.row_bytes).clamp(1, 4096));
        if first >= end {
            return None;
        }
        let whole = self.vectors.proven(first * self.row_bytes, end * self.row_bytes);
        let mut bytes = Vec::new();
        for row in first..end {
            let sum = match self.old.proven(row * 4, row * 4 + 4) {
                Some(sum) => sum,
                None => {
                    let from = ((row - first) * self.row_bytes) as usize;
                    let row = match &whole {
                        Some(whole) => Some(whole[from..from + self.row_bytes as usize].to_vec()),
                        None => self.vectors.proven(row * self.row_bytes, (row + 1) * self.row_bytes),
                    };
                    // A row that nothing proves must not be proven by its own bytes.
                    let computed = |row: Vec<u8>| row_checksum(self.seed, self.ino, &row);
                    row.map_or(0, computed).to_le_bytes().to_vec()
                }
            };
            bytes.extend_from_slice(&sum);
        }
        Some(bytes)
    }
}

/// The keys of a collection while they are written anew.
pub(super) struct Keys {
    text: Source,
    ends: Source,
    hashes: Source,
    hash_key: [u8; 16],
}

impl Keys {
    pub(super) fn open(ctx: &Context<'_>, collection: &CollectionInfo) -> Self {
        Self {
            text: Source::open(ctx, collection, STREAM_KEYS),
            ends: Source::open(ctx, collection, STREAM_KEY_ENDS),
            hashes: Source::open(ctx, collection, STREAM_KEY_HASHES),
            hash_key: ctx.volume.superblock().hash_key,
        }
    }

    /// The key of a row, if it is proven by its checksum or by its hash.
    fn key(&self, row: u64) -> Option<Vec<u8>> {
        let (start, end) =
            (if row == 0 { 0 } else { self.ends.number(row - 1)?.0 }, self.ends.number(row)?.0);
        let len = end.checked_sub(start).filter(|len| (1..=KEY_MAX as u64).contains(len))?;
        let hash = self.hashes.number(row);
        let is_hash = |key: &[u8]| hash.is_some_and(|(hash, _)| hash == name_hash(&self.hash_key, key));
        let are_ends = row == 0 || self.ends.number(row - 1).is_some_and(|(_, is_proven)| is_proven);
        let are_ends = are_ends && self.ends.number(row).is_some_and(|(_, is_proven)| is_proven);
        let proven = self.text.proven(start, start + len).filter(|key| are_ends || is_hash(key));
        let key = proven.or_else(|| self.text.raw(start, start + len).filter(|key| is_hash(key)))?;
        (!key.contains(&0) && std::str::from_utf8(&key).is_ok()).then_some(key)
    }

    /// Writes the three streams of the keys of `rows` anew; rows in `lost` and those whose key is not known get another one.
    pub(super) fn rewrite(
        &self,
        txn: &mut Transaction<'_>,
        collection: &CollectionInfo,
        rows: u64,
        lost: &BTreeSet<u64>,
    ) -> Result<()> {
        let ino = InodeNo(collection.ino);
        let mut writers = Vec::new();
        for name in [STREAM_KEYS, STREAM_KEY_ENDS, STREAM_KEY_HASHES] {
            let directory = inode::read(txn, ino)?;
            let stream = match dir::lookup(txn, &directory, name.as_bytes())? {
                Some(entry) => entry.inode,
                None => txn.create(ino, name.as_bytes(), InodeKind::Stream, 0o644)?.number(),
            };
            writers.push(FileWriter::replace(txn, stream, BlockUse::Vectors)?);
        }
        let mut end = 0_u64;
        for row in 0..rows {
            let known = if lost.contains(&row) { None } else { self.key(row) };
            let key = known.unwrap_or_else(|| format!("lost-key-of-row-{row}").into_bytes());
            end += key.len() as u64;
            let hash = name_hash(&self.hash_key, &key);
            writers[0].write(txn, &key)?;
            writers[1].write(txn, &end.to_le_bytes())?;
            writers[2].write(txn, &hash.to_le_bytes())?;
        }
        for writer in writers {
            writer.finish(txn)?;
        }
        Ok(())
    }
}

/// Writes the keys of a collection anew, those of `lost` as lost.
pub(super) fn rewrite_keys(ctx: &mut Context<'_>, collection: &CollectionInfo, lost: &[u64]) -> Result<()> {
    let keys = Keys::open(ctx, collection);
    let lost: BTreeSet<u64> = lost.iter().copied().collect();
    let rows = collection.desc.rows.get();
    let text = format!("inode {}: rows without a key of their own get 'lost-key-of-row-…'", collection.ino);
    ctx.reporter.note(text)?;
    batch::run(&mut ctx.volume, &mut ctx.reporter, &[()], |txn, ()| {
        keys.rewrite(txn, collection, rows, &lost)
    })
}

/// Gives rows ids that no row has had.
pub(super) fn give_new_ids(ctx: &mut Context<'_>, collection: &CollectionInfo, rows: &[u64]) -> Result<()> {
    let ids = Source::open(ctx, collection, STREAM_IDS);
    let rows: BTreeSet<u64> = rows.iter().copied().filter(|&row| row < ids.size() / 8).collect();
    let mut next = collection.desc.next_id.get();
    // Below the ids of rows that are intact nothing is free for certain.
    for row in 0..collection.desc.rows.get() {
        if let Some((id, true)) = ids.number(row)
            && id < u64::MAX
        {
            next = next.max(id + 1);
        }
    }
    let mut patches = BTreeMap::new();
    let mut text = format!("inode {}: new ids:", collection.ino);
    let last = next.checked_add(rows.len() as u64);
    let mut taken: BTreeSet<u64> = BTreeSet::new();
    if last.is_none() {
        // The numbers are used up: any that no row has is free.
        taken.extend((0..ids.size() / 8).filter_map(|row| ids.number(row)).map(|(id, _)| id));
        next = 0;
    }
    let free = (next..u64::MAX).filter(|id| !taken.contains(id));
    for (&row, id) in rows.iter().zip(free) {
        patches.insert(row * 8, id.to_le_bytes().to_vec());
        let _ = write!(text, " row {row} has {id};");
    }
    ctx.reporter.note(text.trim_end_matches(';'))?;
    let next = last.unwrap_or(u64::MAX);
    let size = 4096.max(ids.content.as_ref().map_or(4096, |content| content.block_size as u64));
    let accepted = rows.iter().map(|row| row * 8 / size).collect();
    let mend = Mend { patches, accepted, ..Mend::default() };
    let stream = InodeNo(collection.streams[2]);
    batch::run(&mut ctx.volume, &mut ctx.reporter, &[mend], |txn, mend| {
        mapping::mend(txn, stream, mend)?;
        edit(txn, collection, |desc| desc.next_id = U64::new(next))
    })
}

/// Rows that are lost: their bytes go to a file in lost+found, a line each, and they are deleted.
pub(super) fn quarantine(
    txn: &mut Transaction<'_>,
    collection: &CollectionInfo,
    dev: &dyn Device,
    vectors: &Content,
    rows: &BTreeSet<u64>,
    words: &[String],
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let row_bytes = collection.desc.row_bytes();
    let head = words.iter().map(|line| format!("# {line}\n").into_bytes());
    let lines = rows.iter().map(|&row| {
        let bytes = vectors.raw(dev, row * row_bytes..(row + 1) * row_bytes);
        let mut line = format!("{row}\t");
        match bytes {
            Some(bytes) => bytes.iter().for_each(|byte| {
                let _ = write!(line, "{byte:02x}");
            }),
            None => line.push_str("unreadable"),
        }
        line.push('\n');
        line.into_bytes()
    });
    save(txn, collection, "damaged-rows", head.chain(lines))?;
    let rows: Vec<u64> = rows.iter().copied().collect();
    let path = format!("inode {}", collection.ino);
    txn.delete_rows(&path, InodeNo(collection.ino), &rows).map(drop)
}

/// Writes a file into lost+found.
pub(super) fn save(
    txn: &mut Transaction<'_>,
    collection: &CollectionInfo,
    what: &str,
    parts: impl Iterator<Item = Vec<u8>>,
) -> Result<()> {
    let lost_found = connect::lost_found(txn)?;
    let name = connect::free_name(txn, lost_found, &saved_name(collection, what))?;
    let mut writer = txn.write_file(lost_found, &name)?;
    for part in parts {
        writer.write(txn, &part)?;
    }
    writer.finish(txn).map(drop)
}
