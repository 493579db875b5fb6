//! Reading runs of metadata blocks at once, as the journal leaves them, past blocks that cannot be read.

use vexfs_format::BlockNo;

use super::context::{Context, reason};
use crate::source::BlockSource;

/// Blocks that lie side by side.
pub(super) struct Blocks {
    pub(super) bytes: Vec<u8>,
    /// Blocks that could not be read, by their index, with the reason; their bytes are zero.
    pub(super) unreadable: Vec<(u64, String)>,
}

impl Context<'_> {
    /// Reads `count` blocks from `start` on. The caller keeps `count` small.
    pub(super) fn read_blocks(&self, start: u64, count: u64) -> Blocks {
        let size = self.volume.block_size();
        let mut blocks = Blocks { bytes: vec![0; count as usize * size], unreadable: Vec::new() };
        let pending = &self.volume.journal.pending;
        let is_whole = self.volume.dev.read_at(self.volume.offset(BlockNo(start)), &mut blocks.bytes).is_ok();
        if is_whole && pending.is_empty() {
            return blocks;
        }
        for (index, bytes) in (0..count).zip(blocks.bytes.chunks_exact_mut(size)) {
            let block = BlockNo(start.saturating_add(index));
            if is_whole && !pending.contains_key(&block) {
                continue;
            }
            match self.volume.read_block(block) {
                Ok(found) => bytes.copy_from_slice(&found),
                Err(e) => {
                    bytes.fill(0);
                    blocks.unreadable.push((index, reason(&e)));
                }
            }
        }
        blocks
    }
}
