//! Pass 5: the payload of the rows of one collection. What is not proven is saved in lost+found, and its rows have none.

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{STREAM_PAYLOAD, STREAM_PAYLOAD_ENDS};

use super::super::context::{CollectionInfo, Context};
use super::super::pass5::is_object;
use super::batch;
use super::rows::{Source, save};
use crate::alloc::BlockUse;
use crate::collection::payload::PAYLOAD_MAX;
use crate::error::Result;
use crate::file::FileWriter;
use crate::txn::transaction::Transaction;
use crate::{dir, inode};

/// Bytes of what is not proven that are saved at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// The payload of a collection while it is written anew.
pub(super) struct Payload {
    text: Source,
    ends: Source,
}

impl Payload {
    pub(super) fn open(ctx: &Context<'_>, collection: &CollectionInfo) -> Self {
        Self {
            text: Source::open(ctx, collection, STREAM_PAYLOAD),
            ends: Source::open(ctx, collection, STREAM_PAYLOAD_ENDS),
        }
    }

    /// Where the payload of a row lies, if both ends are proven.
    fn place(&self, row: u64) -> Option<std::ops::Range<u64>> {
        let end = |row: u64| self.ends.number(row).filter(|(_, is_proven)| *is_proven).map(|(end, _)| end);
        let (start, end) = (if row == 0 { 0 } else { end(row - 1)? }, end(row)?);
        let is_place = start <= end && end <= self.text.size() && end - start <= PAYLOAD_MAX as u64;
        is_place.then_some(start..end)
    }

    /// Writes the two streams for `rows` anew; what no row has any more goes to a file in lost+found.
    pub(super) fn rewrite(
        &self,
        txn: &mut Transaction<'_>,
        collection: &CollectionInfo,
        rows: u64,
    ) -> Result<()> {
        let ino = InodeNo(collection.ino);
        let mut writers = Vec::new();
        for name in [STREAM_PAYLOAD, STREAM_PAYLOAD_ENDS] {
            let directory = inode::read(txn, ino)?;
            let stream = match dir::lookup(txn, &directory, name.as_bytes())? {
                Some(entry) => entry.inode,
                None => txn.create(ino, name.as_bytes(), InodeKind::Stream, 0o644)?.number(),
            };
            writers.push(FileWriter::replace(txn, stream, BlockUse::Vectors)?);
        }
        let (mut kept, mut lost) = (0_u64, Vec::new());
        let mut next = 0;
        for row in 0..rows {
            if let Some(place) = self.place(row)
                && let Some(text) = self.text.proven(place.start, place.end)
                && (text.is_empty() || is_object(&text))
            {
                if !text.is_empty() {
                    if place.start > next {
                        lost.push(next..place.start);
                    }
                    next = next.max(place.end);
                }
                kept += text.len() as u64;
                writers[0].write(txn, &text)?;
            }
            writers[1].write(txn, &kept.to_le_bytes())?;
        }
        if next < self.text.size() {
            lost.push(next..self.text.size());
        }
        for writer in writers {
            writer.finish(txn)?;
        }
        if lost.is_empty() {
            return Ok(());
        }
        let pieces = lost.into_iter().flat_map(|range| {
            let starts = range.clone().step_by(CHUNK_BYTES as usize);
            starts.map(move |start| start..range.end.min(start + CHUNK_BYTES))
        });
        let bytes = pieces.filter_map(|piece| self.text.raw(piece.start, piece.end));
        save(txn, collection, "damaged-payload", bytes)
    }
}

/// Writes the payload of a collection anew, without what is damaged.
pub(super) fn rewrite(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<()> {
    let payload = Payload::open(ctx, collection);
    let rows = collection.desc.rows.get();
    let text = format!(
        "inode {}: rows whose payload is damaged have none; what was there is kept in lost+found",
        collection.ino
    );
    ctx.reporter.note(text)?;
    batch::run(&mut ctx.volume, &mut ctx.reporter, &[()], |txn, ()| payload.rewrite(txn, collection, rows))
}
