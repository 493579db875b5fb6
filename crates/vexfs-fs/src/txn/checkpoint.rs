//! Checkpoint: copy committed images to their home blocks and empty the journal.

use vexfs_format::BlockNo;
use vexfs_format::journal::superblock::JournalSuperblock;
use zerocopy::IntoBytes;

use crate::error::Result;
use crate::source::BlockSource;
use crate::volume::{Pending, Volume};

impl Volume {
    /// Copies all pending images home, then moves the tail of the journal behind them.
    ///
    /// # Durability
    /// Images are durable in the log before. A crash while they are copied leaves the tail where it was, and the replay
    /// copies them again. The tail moves only after the copies are durable, and is durable itself before any log block
    /// behind it is used again.
    ///
    /// # Errors
    /// Device errors; damage when an image in the log cannot be read back.
    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        let mut homes: Vec<BlockNo> = self.journal.pending.keys().copied().collect();
        homes.sort_unstable();
        let result = self.copy_home(&homes);
        if result.is_err() {
            self.poisoned = true;
        }
        result
    }

    /// Copies home what waits for it, if anything does.
    pub(crate) fn checkpoint_if_used(&mut self) -> Result<()> {
        if self.writable && !self.poisoned && self.journal.used { self.checkpoint() } else { Ok(()) }
    }

    fn copy_home(&mut self, homes: &[BlockNo]) -> Result<()> {
        for &home in homes {
            let bytes = self.read_block(home)?;
            self.dev.write_at(self.offset(home), &bytes)?;
            if matches!(self.journal.pending.get(&home), Some(Pending::Bytes(_))) {
                self.cache_put(home, bytes);
            }
        }
        self.dev.flush()?;
        self.write_journal_superblock()?;
        self.dev.flush()?;
        self.journal.pending.clear();
        self.journal.tail = self.journal.head;
        self.journal.used = false;
        Ok(())
    }

    /// Writes a journal superblock that says: the log is empty, and the next transaction begins at the head.
    pub(crate) fn write_journal_superblock(&self) -> Result<()> {
        let run = self.geometry().journal;
        let jsb = JournalSuperblock::empty(run, self.journal.head, self.journal.next, self.sb.seed());
        self.dev.write_at(self.offset(BlockNo(run.start)), jsb.as_bytes())?;
        Ok(())
    }
}
