//! Where metadata blocks are read from: a volume, or a transaction that sees its own changes.

use std::sync::Arc;

use vexfs_format::superblock::Superblock;
use vexfs_format::{BlockNo, Seed};

use crate::error::Result;

/// Reads metadata blocks. Everything that walks the tree is written against this, so it works inside and outside a
/// transaction.
pub trait BlockSource {
    /// The bytes of block `block`, unverified.
    ///
    /// # Errors
    /// A block outside the device, or a device error.
    fn read_block(&self, block: BlockNo) -> Result<Arc<[u8]>>;

    /// The superblock in force.
    fn superblock(&self) -> &Superblock;

    /// The seed of all checksums.
    fn seed(&self) -> Seed {
        self.superblock().seed()
    }

    /// Bytes per block.
    fn block_size(&self) -> usize {
        self.superblock().block_size.get() as usize
    }

    /// Blocks of the filesystem.
    fn blocks(&self) -> u64 {
        self.superblock().blocks.get()
    }
}
