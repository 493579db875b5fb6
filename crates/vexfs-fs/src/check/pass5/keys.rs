//! Keys: where they end, what they are made of, their hashes, and that no two rows have the same.

use vexfs_format::collection::{FLAG_KEYS, STREAM_KEY_ENDS, STREAM_KEY_HASHES, STREAM_KEYS};
use vexfs_format::dir_block::name_hash;

use super::super::context::{CollectionInfo, Context};
use super::super::table;
use super::ids::{CHUNK_BYTES, twins};
use super::numbers::{Deleted, Numbers};
use super::rows::key_text;
use super::streams::at;
use crate::error::Result;
use crate::source::BlockSource;

/// Longest key in bytes.
pub(super) const KEY_MAX: u64 = crate::collection::append::KEY_MAX as u64;

pub(super) fn check(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<()> {
    let rows = collection.desc.rows.get();
    if !collection.desc.has(FLAG_KEYS) {
        return Ok(());
    }
    let open =
        |ctx: &Context<'_>, name, width| Numbers::open(ctx, collection, name, rows.saturating_mul(width));
    let Some(text) = open(ctx, STREAM_KEYS, 0) else { return Ok(()) };
    let Some(mut ends) = open(ctx, STREAM_KEY_ENDS, 8) else { return Ok(()) };
    let hashes = open(ctx, STREAM_KEY_HASHES, 8);
    check_each(ctx, collection, &text, &ends, hashes.as_ref())?;
    let last = if rows == 0 { Some(0) } else { ends.u64(ctx, rows - 1) };
    if let Some(last) = last.filter(|&last| last < text.len()) {
        ctx.report(at(collection, table::KEYS_LENGTH).found(text.len()).expected(last))?;
    }
    let Some(hashes) = hashes else { return Ok(()) };
    let mut deleted = Deleted::open(ctx, collection);
    for twin in twins(ctx, &hashes, rows, &mut deleted)? {
        let mut key = |row: u64| {
            let start = if row == 0 { 0 } else { ends.u64(ctx, row - 1)? };
            key_text(ctx, &text, start, ends.u64(ctx, row)?)
        };
        // Two keys with one hash are allowed.
        if let Some(first) = key(twin.first)
            && key(twin.second).is_some_and(|second| second == first)
        {
            let problem = at(collection, table::KEY_TWICE).rows(twin.first, 1);
            ctx.report(problem.other(twin.second).name(first))?;
        }
    }
    Ok(())
}

/// Goes through the keys in order, as far as they are proven.
fn check_each(
    ctx: &mut Context<'_>,
    collection: &CollectionInfo,
    text: &Numbers,
    ends: &Numbers,
    hashes: Option<&Numbers>,
) -> Result<()> {
    let hash_key = ctx.volume.superblock().hash_key;
    let rows = collection.desc.rows.get();
    // Where the next key begins; unknown behind a damaged block.
    let mut start = Some(0);
    let mut window = Window::default();
    let mut row = 0;
    while row < rows {
        let end = rows.min(row + CHUNK_BYTES / 8);
        let Some(bytes) = ends.range(ctx, row * 8, end * 8) else {
            start = None;
            row = end;
            continue;
        };
        let stored = hashes.and_then(|hashes| hashes.range(ctx, row * 8, end * 8)).unwrap_or_default();
        for (n, bytes) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let (this, key_end) = (row + n as u64, u64::from_le_bytes(*bytes));
            let Some(key_start) = start.replace(key_end) else { continue };
            let most = key_start.saturating_add(KEY_MAX).min(text.len());
            if key_end <= key_start || key_end > most {
                let problem = at(collection, table::KEY_END).rows(this, 1).found(key_end);
                ctx.report(problem.expected(format_args!("from {} to {most}", key_start + 1)))?;
                // The next one is measured from here only if here may be right.
                start = Some(key_end).filter(|&end| end > key_start && end <= text.len());
                continue;
            }
            let Some(key) = window.get(ctx, text, key_start, key_end) else { continue };
            let key = key.to_vec();
            if key.contains(&0) || std::str::from_utf8(&key).is_err() {
                let found = format!("'{}'", String::from_utf8_lossy(&key).escape_debug());
                ctx.report(at(collection, table::KEY_TEXT).rows(this, 1).found(found))?;
            }
            let computed = name_hash(&hash_key, &key);
            if let Some(found) = stored.as_chunks::<8>().0.get(n).map(|bytes| u64::from_le_bytes(*bytes))
                && found != computed
            {
                let problem = at(collection, table::KEY_HASH).rows(this, 1);
                let problem = problem.found(format_args!("{found:#x}"));
                ctx.report(problem.expected(format_args!("{computed:#x}")))?;
            }
        }
        row = end;
        ctx.progress_again()?;
    }
    Ok(())
}

/// A part of the text of the keys that was read at once.
#[derive(Default)]
struct Window {
    first: u64,
    bytes: Option<Vec<u8>>,
}

impl Window {
    /// The bytes `start .. end`, if they are proven.
    fn get(&mut self, ctx: &Context<'_>, text: &Numbers, start: u64, end: u64) -> Option<&[u8]> {
        let len = self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if start < self.first || end > self.first + len {
            self.first = start;
            let whole = text.range(ctx, start, text.len().min(start + CHUNK_BYTES));
            // Past a damaged block the keys are read one by one.
            self.bytes = whole.or_else(|| text.range(ctx, start, end));
        }
        let from = (start - self.first) as usize;
        self.bytes.as_ref()?.get(from..from + (end - start) as usize)
    }
}
