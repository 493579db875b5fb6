//! The streams of a collection: all that its descriptor promises are there, with the lengths its rows need.

use vexfs_format::collection::{FLAG_IDS, FLAG_KEYS, STREAM_DELETED};

use super::super::DataLevel;
use super::super::context::{CollectionInfo, Context, STREAMS};
use super::super::problem::{Kind, Problem};
use super::super::table;
use super::numbers::Numbers;
use super::{ids, keys, payload};
use crate::error::Result;

pub(super) fn check(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<()> {
    check_lengths(ctx, collection)?;
    check_deletions(ctx, collection)?;
    if ctx.data > DataLevel::None {
        ids::check(ctx, collection)?;
        keys::check(ctx, collection)?;
        payload::check(ctx, collection)?;
    }
    Ok(())
}

pub(super) fn at(collection: &CollectionInfo, kind: &'static Kind) -> Problem {
    Problem::new(kind).inode(collection.ino)
}

/// What the descriptor promises of a stream.
enum Promise {
    /// It is there with so many bytes.
    Length(u64),
    /// It is there; its length follows from its contents.
    Present,
    /// It may be there, with at most so many bytes.
    AtMost(u64),
    /// It is not there.
    Absent,
}

fn check_lengths(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<()> {
    let desc = &collection.desc;
    let rows = desc.rows.get();
    let with = |flag, promise| if desc.has(flag) { promise } else { Promise::Absent };
    let with_payload = |promise| if desc.has_payload() { promise } else { Promise::Absent };
    let numbers = |width: u64| Promise::Length(rows.saturating_mul(width));
    let promises: [Promise; STREAMS.len()] = [
        numbers(desc.row_bytes()),
        numbers(4),
        with(FLAG_IDS, numbers(8)),
        with(FLAG_KEYS, Promise::Present),
        with(FLAG_KEYS, numbers(8)),
        with(FLAG_KEYS, numbers(8)),
        Promise::AtMost(rows.div_ceil(8)),
        with_payload(Promise::Present),
        with_payload(numbers(8)),
    ];
    for ((name, promise), ino) in STREAMS.iter().zip(promises).zip(collection.streams) {
        let problem = |kind| at(collection, kind).name(*name);
        if ino == 0 {
            if matches!(promise, Promise::Length(_) | Promise::Present) {
                ctx.report(problem(table::STREAM_MISSING))?;
            }
            continue;
        }
        // A damaged inode was reported with its table.
        let Some(inode) = ctx.read_inode(ino) else { continue };
        let size = inode.size.get();
        match promise {
            Promise::Length(len) if size != len => {
                ctx.report(problem(table::STREAM_SIZE).found(size).expected(len))?;
            }
            Promise::AtMost(most) if size > most => {
                let expected = format!("at most {most}");
                ctx.report(problem(table::STREAM_SIZE).found(size).expected(expected))?;
            }
            Promise::Absent => ctx.report(problem(table::STREAM_EXTRA))?,
            _ => {}
        }
    }
    Ok(())
}

/// Counts the marks of deleted rows.
fn check_deletions(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<()> {
    let (rows, live) = (collection.desc.rows.get(), collection.desc.live_rows.get());
    let has_stream = STREAMS.iter().zip(collection.streams).any(|(n, ino)| *n == STREAM_DELETED && ino > 0);
    let mut deleted = 0;
    if has_stream {
        if ctx.data == DataLevel::None {
            return Ok(());
        }
        let Some(marks) = Numbers::open(ctx, collection, STREAM_DELETED, 0) else { return Ok(()) };
        let mut at_byte = 0;
        let mut beyond = None;
        while at_byte < marks.len() {
            let end = marks.len().min(at_byte + ids::CHUNK_BYTES);
            // A damaged block leaves the number unknown; it is reported with the data.
            let Some(bytes) = marks.range(ctx, at_byte, end) else { return Ok(()) };
            for (byte, first) in bytes.iter().zip((at_byte * 8..).step_by(8)) {
                let inside = rows.saturating_sub(first).min(8) as u32;
                let mask = if inside == 8 { 0xFF } else { (1_u8 << inside) - 1 };
                deleted += u64::from((byte & mask).count_ones());
                if byte & !mask != 0 && beyond.is_none() {
                    beyond = Some(first + u64::from((byte & !mask).trailing_zeros()));
                }
            }
            at_byte = end;
        }
        if let Some(row) = beyond {
            ctx.report(at(collection, table::DELETED_BEYOND).rows(row, 1).expected(rows))?;
        }
    }
    let expected = rows - deleted;
    if live != expected {
        ctx.report(at(collection, table::LIVE_ROWS).found(live).expected(expected))?;
    }
    Ok(())
}
