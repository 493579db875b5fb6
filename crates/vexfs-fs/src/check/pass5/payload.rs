//! Payload: where it ends, and that it is JSON.

use serde::de::IgnoredAny;
use vexfs_format::collection::{STREAM_PAYLOAD, STREAM_PAYLOAD_ENDS};

use super::super::DataLevel;
use super::super::context::{CollectionInfo, Context};
use super::super::table;
use super::ids::CHUNK_BYTES;
use super::numbers::Numbers;
use super::streams::at;
use crate::collection::payload::PAYLOAD_MAX;
use crate::error::Result;

pub(super) fn check(ctx: &mut Context<'_>, collection: &CollectionInfo) -> Result<()> {
    let rows = collection.desc.rows.get();
    if !collection.desc.has_payload() {
        return Ok(());
    }
    let Some(text) = Numbers::open(ctx, collection, STREAM_PAYLOAD, 0) else { return Ok(()) };
    let ends = Numbers::open(ctx, collection, STREAM_PAYLOAD_ENDS, rows.saturating_mul(8));
    let Some(mut ends) = ends else { return Ok(()) };
    check_each(ctx, collection, &text, &ends)?;
    let last = if rows == 0 { Some(0) } else { ends.u64(ctx, rows - 1) };
    if let Some(last) = last.filter(|&last| last < text.len()) {
        ctx.report(at(collection, table::PAYLOAD_LENGTH).found(text.len()).expected(last))?;
    }
    Ok(())
}

/// Goes through the payload in order, as far as it is proven; the text itself only where all data is read.
fn check_each(
    ctx: &mut Context<'_>,
    collection: &CollectionInfo,
    text: &Numbers,
    ends: &Numbers,
) -> Result<()> {
    let rows = collection.desc.rows.get();
    // Where the next payload begins; unknown behind a damaged block.
    let mut start = Some(0);
    let mut row = 0;
    while row < rows {
        let end = rows.min(row + CHUNK_BYTES / 8);
        let Some(bytes) = ends.range(ctx, row * 8, end * 8) else {
            start = None;
            row = end;
            continue;
        };
        for (this, bytes) in (row..).zip(bytes.as_chunks::<8>().0) {
            let row_end = u64::from_le_bytes(*bytes);
            let Some(row_start) = start.replace(row_end) else { continue };
            let most = row_start.saturating_add(PAYLOAD_MAX as u64).min(text.len());
            if row_end < row_start || row_end > most {
                let problem = at(collection, table::PAYLOAD_END).rows(this, 1).found(row_end);
                ctx.report(problem.expected(format_args!("from {row_start} to {most}")))?;
                // The next one is measured from here only if here may be right.
                start = Some(row_end).filter(|&end| end >= row_start && end <= text.len());
                continue;
            }
            if ctx.data == DataLevel::Full
                && row_start < row_end
                && let Some(bytes) = text.range(ctx, row_start, row_end)
                && !is_object(&bytes)
            {
                let found: String = String::from_utf8_lossy(&bytes).escape_debug().take(40).collect();
                ctx.report(at(collection, table::PAYLOAD_TEXT).rows(this, 1).found(format!("'{found}'")))?;
            }
        }
        row = end;
        ctx.progress_again()?;
    }
    Ok(())
}

/// Whether these bytes are a JSON object in UTF-8.
pub(in crate::check) fn is_object(bytes: &[u8]) -> bool {
    bytes.first() == Some(&b'{')
        && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
        && std::str::from_utf8(bytes).is_ok()
}
