//! The journal of an image: the log as far as it is the log of this volume, or an empty one where names are hidden.

use vexfs_format::block_header::BlockHeader;
use vexfs_format::journal::superblock::JournalSuperblock;
use vexfs_format::journal::{commit, descriptor, revoke};
use vexfs_format::{BlockNo, InodeNo, TxnSeq};
use zerocopy::IntoBytes;

use super::Image;
use crate::error::Result;
use crate::source::BlockSource;

impl Image<'_> {
    /// Copies the journal superblock and the blocks of transactions, old ones too. What else lies in the log was never written to it,
    /// and is of whatever was on the device before; only of a damaged journal all is copied.
    pub(super) fn journal(&mut self) -> Result<()> {
        let run = self.volume.geometry().journal;
        if self.names.is_some() {
            // The images in the log are full of names. What they say is at home in the image.
            let state = &self.volume.journal;
            let jsb = JournalSuperblock::empty(run, state.head, state.next, self.volume.seed());
            let mut block = vec![0; self.volume.block_size()];
            block[..JournalSuperblock::SIZE].copy_from_slice(jsb.as_bytes());
            return self.put(run.start, &block);
        }
        if self.volume.report().journal_damage.is_some() {
            return self.copy_run(run.start, run.len);
        }
        self.copy_run(run.start, 1)?;
        for index in 1..run.len {
            self.stop_if_asked()?;
            let Ok(block) = self.volume.read_device(BlockNo(run.start + index)) else {
                self.report.unreadable += 1;
                continue;
            };
            self.log_block(index, &block)?;
        }
        Ok(())
    }

    /// Copies a block of a transaction, and the images that it describes.
    fn log_block(&mut self, index: u64, block: &[u8]) -> Result<()> {
        let (run, seed) = (self.volume.geometry().journal, self.volume.seed());
        let is = |kind| BlockHeader::decode(block, kind, BlockNo(index), InodeNo::NONE, seed).ok();
        if is(revoke::KIND).or_else(|| is(commit::KIND)).is_some() {
            return self.put(run.start + index, block);
        }
        let Some(header) = is(descriptor::KIND) else { return Ok(()) };
        self.put(run.start + index, block)?;
        let txn = TxnSeq(header.txn.get());
        let tags = descriptor::decode(block, index, txn, self.volume.blocks(), seed).unwrap_or_default();
        let mut at = index;
        for tag in tags {
            at = vexfs_format::journal::next_index(at, run.len);
            let Ok(image) = self.volume.read_device(BlockNo(run.start + at)) else { continue };
            if descriptor::image_checksum(seed, tag.home, txn, &image) == tag.image_checksum {
                self.put(run.start + at, &image)?;
            }
        }
        Ok(())
    }
}
