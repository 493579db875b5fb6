//! How a filesystem is called: label and UUID, in the superblock and all its copies.

use vexfs_format::superblock::{self, Superblock};
use zerocopy::IntoBytes;

use crate::error::{FsError, Result};
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;

impl Transaction<'_> {
    /// Changes the label, the UUID, or both. Checksums do not change with it: their seed is kept apart.
    ///
    /// # Durability
    /// Superblock and backups change in this transaction; a damaged backup is mended by it.
    ///
    /// # Errors
    /// [`FsError::InvalidName`] for a label that is longer than 64 bytes or has a zero byte.
    pub fn set_identity(&mut self, label: Option<&str>, uuid: Option<[u8; 16]>) -> Result<()> {
        if let Some(label) = label
            && !self.sb.set_label(label)
        {
            return Err(FsError::InvalidName { name: label.to_owned() });
        }
        self.sb.uuid = uuid.unwrap_or(self.sb.uuid);
        for place in self.geometry.backups() {
            let mut block = vec![0; self.block_size()];
            let copy = self.sb.backup(place);
            block[superblock::OFFSET..superblock::OFFSET + Superblock::SIZE].copy_from_slice(copy.as_bytes());
            self.stage(place, block);
        }
        // Also where there is no backup: what is staged is what a commit writes.
        self.stage_superblock()
    }
}
