//! Damaged blocks of vectors: which rows they cost, by number and id or key.
//!
//! A damaged block costs only the rows whose own checksum disagrees.

use std::collections::BTreeMap;

use vexfs_format::collection::{
    FLAG_IDS, FLAG_KEYS, STREAM_IDS, STREAM_KEY_ENDS, STREAM_KEYS, STREAM_ROW_SUMS, row_checksum,
};
use vexfs_format::{InodeNo, Seed};

use super::super::content::Content;
use super::super::context::{CollectionInfo, Context};
use super::super::data::{Fault, What};
use super::super::problem::Problem;
use super::super::table;
use super::numbers::{Deleted, Numbers};
use crate::error::Result;
use crate::source::BlockSource;

/// Rows that one problem names, where each has an id or key of its own.
const MAX_NAMED: u64 = 16;

/// Names the rows of one collection.
pub(in crate::check) struct Namer {
    ino: u64,
    rows: u64,
    row_bytes: u64,
    seed: Seed,
    sums: Option<Numbers>,
    deleted: Deleted,
    names: Names,
    /// First row that was not looked at yet.
    next: u64,
}

/// How the rows are called.
enum Names {
    /// By their number.
    Rows,
    Ids(Option<Numbers>),
    Keys(Option<(Numbers, Numbers)>),
}

/// How a row in a damaged block stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// Its own checksum agrees, or it is deleted.
    Intact,
    Lost,
    /// Its own checksum is not known.
    Unproven,
}

impl Namer {
    pub(in crate::check) fn new(ctx: &Context<'_>, collection: &CollectionInfo) -> Self {
        let desc = &collection.desc;
        let rows = desc.rows.get();
        let open = |name, width| Numbers::open(ctx, collection, name, rows.saturating_mul(width));
        let names = if desc.has(FLAG_KEYS) {
            Names::Keys(open(STREAM_KEY_ENDS, 8).zip(open(STREAM_KEYS, 0)))
        } else if desc.has(FLAG_IDS) {
            Names::Ids(open(STREAM_IDS, 8))
        } else {
            Names::Rows
        };
        Self {
            ino: collection.ino,
            rows,
            row_bytes: desc.row_bytes(),
            seed: ctx.volume.seed(),
            sums: open(STREAM_ROW_SUMS, 4),
            deleted: Deleted::open(ctx, collection),
            names,
            next: 0,
        }
    }

    /// Reports the rows that `faults` of the stream `vectors` cost. Faults come in logical order.
    pub(super) fn name(&mut self, ctx: &mut Context<'_>, vectors: &Content, faults: &[Fault]) -> Result<()> {
        let size = vectors.block_size as u64;
        for fault in faults.iter().filter(|fault| fault.what != What::Tail) {
            let first = (fault.logical * size / self.row_bytes).max(self.next);
            let end = ((fault.logical + fault.len) * size).div_ceil(self.row_bytes).min(self.rows);
            let mut open: Option<(u64, Verdict)> = None;
            for row in first..end {
                let verdict = self.judge(ctx, vectors, row);
                let longest = if matches!(self.names, Names::Rows) { u64::MAX } else { MAX_NAMED };
                if let Some((start, before)) = open
                    && (before != verdict || row - start >= longest)
                {
                    self.report(ctx, start, row, before)?;
                    open = None;
                }
                open = open.or(Some((row, verdict)));
            }
            if let Some((start, verdict)) = open {
                self.report(ctx, start, end, verdict)?;
            }
            self.next = self.next.max(end);
        }
        Ok(())
    }

    /// The rows in these blocks that are not intact.
    pub(in crate::check) fn lost(
        &mut self,
        ctx: &Context<'_>,
        vectors: &Content,
        blocks: impl Iterator<Item = u64>,
    ) -> BTreeMap<u64, u64> {
        let size = vectors.block_size as u64;
        let mut lost = BTreeMap::new();
        let mut next = 0;
        for logical in blocks {
            let first = (logical * size / self.row_bytes).max(next);
            let end = ((logical + 1) * size).div_ceil(self.row_bytes).min(self.rows);
            for row in first..end {
                if self.judge(ctx, vectors, row) != Verdict::Intact {
                    lost.insert(row, logical);
                }
            }
            next = next.max(end);
        }
        lost
    }

    fn judge(&mut self, ctx: &Context<'_>, vectors: &Content, row: u64) -> Verdict {
        if self.deleted.contains(ctx, row) {
            return Verdict::Intact;
        }
        let Some(bytes) = vectors.raw(&*ctx.volume.dev, row * self.row_bytes..(row + 1) * self.row_bytes)
        else {
            return Verdict::Lost;
        };
        let stored = self.sums.as_mut().and_then(|sums| sums.bytes(ctx, row * 4)).map(u32::from_le_bytes);
        match stored {
            None => Verdict::Unproven,
            Some(stored) if stored == row_checksum(self.seed, InodeNo(self.ino), &bytes) => Verdict::Intact,
            Some(_) => Verdict::Lost,
        }
    }

    fn report(&mut self, ctx: &mut Context<'_>, first: u64, end: u64, verdict: Verdict) -> Result<()> {
        let kind = match verdict {
            Verdict::Intact => return Ok(()),
            Verdict::Lost => table::ROWS_LOST,
            Verdict::Unproven => table::ROWS_UNPROVEN,
        };
        let names = self.names_of(ctx, first, end);
        ctx.report(Problem::new(kind).inode(self.ino).rows(first, end - first).name(names))
    }

    fn names_of(&mut self, ctx: &Context<'_>, first: u64, end: u64) -> String {
        let unknown = || "?".to_owned();
        let (word, names): (&str, Vec<String>) = match &mut self.names {
            Names::Rows if end - first == 1 => return format!("id {first}"),
            Names::Rows => return format!("ids {first} to {}", end - 1),
            Names::Ids(ids) => {
                let mut id = |row| ids.as_mut().and_then(|ids| ids.u64(ctx, row));
                ("id", (first..end).map(|row| id(row).map_or_else(unknown, |id| id.to_string())).collect())
            }
            Names::Keys(keys) => {
                let mut key = |row: u64| {
                    let (ends, text) = keys.as_mut()?;
                    let start = if row == 0 { 0 } else { ends.u64(ctx, row - 1)? };
                    key_text(ctx, text, start, ends.u64(ctx, row)?)
                };
                ("key", (first..end).map(|row| key(row).unwrap_or_else(unknown)).collect())
            }
        };
        format!("{word}{} {}", if names.len() == 1 { "" } else { "s" }, names.join(", "))
    }
}

/// The key from byte `start` to byte `end` of the stream of keys, if it is proven and there can be such a key.
pub(super) fn key_text(ctx: &Context<'_>, keys: &Numbers, start: u64, end: u64) -> Option<String> {
    let len = end.checked_sub(start)?;
    if len == 0 || len > super::keys::KEY_MAX || end > keys.len() {
        return None;
    }
    String::from_utf8(keys.range(ctx, start, end)?).ok()
}
