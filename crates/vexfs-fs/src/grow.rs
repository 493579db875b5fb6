//! Growing a filesystem, after its partition or image file did.
//!
//! [`Growth::plan`] says what a larger device makes of it, [`Volume::grow`] does it. What lies behind the old end is written
//! directly, because nothing refers to it; one transaction then makes the new size true (`docs/format/journal.md`, rule R8).
//! What is in place stays where it is: a partial last group is filled up, and further groups follow.

mod plan;
mod write;

pub use plan::Growth;

use crate::error::{FsError, Result};
use crate::probe;
use crate::volume::Volume;

impl Volume {
    /// Makes the filesystem `bytes` bytes long, or as long as whole groups of use allow; `None` if it cannot become longer.
    ///
    /// # Durability
    /// A crash leaves the old filesystem or the new one. When it returns, the new one is durable and at home.
    ///
    /// # Errors
    /// Those of [`Growth::plan`]; [`FsError::DeviceTooShort`] where the device has fewer bytes; [`FsError::ReadOnly`];
    /// [`FsError::TransactionTooLarge`] for a very small journal, with the old filesystem in force; device errors.
    pub fn grow(&mut self, bytes: u64) -> Result<Option<Growth>> {
        let Some(growth) = Growth::plan(self, bytes)? else { return Ok(None) };
        let need = growth.after.blocks.saturating_mul(self.sb.block_size.get().into());
        if self.dev.len() < need {
            let (device, have) = (self.dev.name().to_owned(), self.dev.len());
            return Err(FsError::DeviceTooShort { device, need, have });
        }
        // With an empty log, no image that waits in it speaks of a block that is written directly.
        self.checkpoint_if_used()?;
        let mut txn = self.begin()?;
        txn.extend(&growth)?;
        txn.commit()?;
        // A replay knows the old length: nothing further may depend on the log.
        self.checkpoint()?;
        self.forget_backup(&growth)?;
        Ok(Some(growth))
    }

    /// Takes the copy of the superblock away that lay near the old end: it would speak of a filesystem that is no more.
    fn forget_backup(&self, growth: &Growth) -> Result<()> {
        let place = growth.before.tail_backup();
        let is_stale = probe::read_superblock(&*self.dev, place, self.sb.block_size.get())
            .is_ok_and(|copy| copy.blocks != self.sb.blocks);
        if is_stale && !growth.after.backups().contains(&place) {
            self.dev.zero(self.offset(place), self.sb.block_size.get().into())?;
            self.dev.flush()?;
        }
        Ok(())
    }
}
