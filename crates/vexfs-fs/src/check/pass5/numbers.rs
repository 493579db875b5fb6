//! Streams of numbers, one for each row: read in order or here and there, and only as far as they are proven.

use super::super::content::Content;
use super::super::context::{CollectionInfo, Context, STREAMS};

/// Numbers of a fixed length in bytes, which divides the block size.
pub(super) struct Numbers {
    content: Content,
    /// The block that was read last; `None` inside when it is not proven.
    cached: Option<(u64, Option<Vec<u8>>)>,
}

impl Numbers {
    /// The stream `name` of a collection, if it is there with at least `len` bytes, all of them mapped.
    pub(super) fn open(ctx: &Context<'_>, collection: &CollectionInfo, name: &str, len: u64) -> Option<Self> {
        let stream = STREAMS.iter().position(|stream| *stream == name)?;
        let content = Content::open(ctx, collection.streams[stream])?;
        (content.size >= len && content.is_mapped()).then_some(Self { content, cached: None })
    }

    /// Length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.content.size
    }

    /// The bytes `at .. at + N`, if they are proven; they lie in one block.
    pub(super) fn bytes<const N: usize>(&mut self, ctx: &Context<'_>, at: u64) -> Option<[u8; N]> {
        let size = self.content.block_size as u64;
        let block = at / size;
        if self.cached.as_ref().is_none_or(|(cached, _)| *cached != block) {
            let bytes = self.content.verified(&*ctx.volume.dev, block * size..(block + 1) * size);
            self.cached = Some((block, bytes));
        }
        let (_, bytes) = self.cached.as_ref()?;
        bytes.as_ref()?.get((at % size) as usize..)?.first_chunk::<N>().copied()
    }

    /// The number of `row` in a stream of eight bytes for each.
    pub(super) fn u64(&mut self, ctx: &Context<'_>, row: u64) -> Option<u64> {
        self.bytes(ctx, row * 8).map(u64::from_le_bytes)
    }

    /// The bytes of `range`, if they are proven.
    pub(super) fn range(&self, ctx: &Context<'_>, from: u64, to: u64) -> Option<Vec<u8>> {
        self.content.verified(&*ctx.volume.dev, from..to)
    }
}

/// Which rows are deleted.
pub(super) struct Deleted(Option<Numbers>);

impl Deleted {
    pub(super) fn open(ctx: &Context<'_>, collection: &CollectionInfo) -> Self {
        Self(Numbers::open(ctx, collection, vexfs_format::collection::STREAM_DELETED, 0))
    }

    /// Whether `row` is marked as deleted; a mark that is not proven counts as none.
    pub(super) fn contains(&mut self, ctx: &Context<'_>, row: u64) -> bool {
        let Some(bits) = &mut self.0 else { return false };
        row / 8 < bits.len() && bits.bytes::<1>(ctx, row / 8).is_some_and(|[byte]| byte >> (row % 8) & 1 == 1)
    }
}
