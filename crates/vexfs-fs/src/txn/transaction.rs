//! A transaction: block images, allocations and frees that are staged in memory until they are committed.
//!
//! Dropping a transaction without [`Transaction::commit`] leaves the volume as it was; the data blocks it wrote lie in
//! blocks that nothing refers to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use vexfs_format::geometry::{BlockRun, Geometry};
use vexfs_format::inode::Inode;
use vexfs_format::superblock::Superblock;
use vexfs_format::{BlockNo, GroupNo, InodeNo, TxnSeq};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

use crate::alloc::GroupState;
use crate::error::{FsError, Result};
use crate::inode;
use crate::source::BlockSource;
use crate::volume::Volume;

/// Writes from this length on are sent to the device at once, so that the flush finds little to do; shorter ones wait and
/// are joined with their neighbours.
const WRITEBACK_BYTES: usize = 256 << 10;

/// Changes that will happen together.
#[derive(Debug)]
pub struct Transaction<'v> {
    pub(crate) volume: &'v mut Volume,
    pub(crate) sb: Superblock,
    pub(crate) geometry: Geometry,
    /// Images of metadata blocks, by home block.
    pub(crate) staged: BTreeMap<BlockNo, Arc<[u8]>>,
    /// Groups whose bitmaps or counters were looked at or changed.
    pub(crate) groups: HashMap<GroupNo, GroupState>,
    /// Runs that become free when the transaction commits, not before: until then the old state refers to them.
    pub(crate) freed: Vec<BlockRun>,
    /// Inodes that become free likewise.
    pub(crate) freed_inodes: Vec<InodeNo>,
    /// Metadata blocks among the freed: their images in the log may not be replayed any more.
    pub(crate) revoked: BTreeSet<BlockNo>,
    /// Where the next search for data blocks begins.
    pub(crate) goal: u64,
    /// Whether the blocks kept for repairs and deletions may be used.
    pub(crate) may_use_reserve: bool,
}

impl Volume {
    /// Begins a transaction.
    ///
    /// # Errors
    /// [`FsError::ReadOnly`] on a volume opened for reading, [`FsError::Poisoned`] after a failed commit.
    pub fn begin(&mut self) -> Result<Transaction<'_>> {
        let device = || self.dev.name().to_owned();
        if !self.writable {
            return Err(FsError::ReadOnly { device: device() });
        }
        if self.poisoned {
            return Err(FsError::Poisoned { device: device() });
        }
        Ok(Transaction {
            sb: self.sb,
            geometry: self.geometry(),
            volume: self,
            staged: BTreeMap::new(),
            groups: HashMap::new(),
            freed: Vec::new(),
            freed_inodes: Vec::new(),
            revoked: BTreeSet::new(),
            goal: 0,
            may_use_reserve: false,
        })
    }
}

impl Transaction<'_> {
    /// Sequence number of this transaction.
    pub fn seq(&self) -> TxnSeq {
        self.volume.journal.next
    }

    /// The time stamped on what is written.
    pub fn now_ns(&self) -> u64 {
        self.volume.now_ns
    }

    /// Lets this transaction use the blocks that are kept for repairs, deletions and compaction.
    pub fn use_reserve(&mut self) {
        self.may_use_reserve = true;
    }

    /// Stages the image of a metadata block.
    pub(crate) fn stage(&mut self, block: BlockNo, image: Vec<u8>) {
        self.staged.insert(block, image.into());
    }

    /// Writes bytes of data to blocks allocated in this transaction; they become visible when it commits.
    ///
    /// # Durability
    /// The commit flushes them before its commit block is written.
    pub(crate) fn write_data(&self, block: BlockNo, bytes: &[u8]) -> Result<()> {
        let offset = self.volume.offset(block);
        self.volume.dev.write_at(offset, bytes)?;
        if bytes.len() >= WRITEBACK_BYTES {
            self.volume.dev.start_writeback(offset, bytes.len() as u64);
        }
        Ok(())
    }

    /// Seals an inode and stages its table block.
    pub(crate) fn write_inode(&mut self, inode: &mut Inode) -> Result<()> {
        let ino = inode.number();
        let place = inode::locate(self, ino)?;
        inode.txn = U64::new(self.seq().get());
        inode.changed_ns = U64::new(self.now_ns());
        inode.seal(self.seed());
        let mut block = self.read_block(place.block)?.to_vec();
        block[place.offset..place.offset + Inode::SIZE].copy_from_slice(inode.as_bytes());
        self.stage(place.block, block);
        Ok(())
    }
}

impl BlockSource for Transaction<'_> {
    fn read_block(&self, block: BlockNo) -> Result<Arc<[u8]>> {
        match self.staged.get(&block) {
            Some(image) => Ok(image.clone()),
            None => self.volume.read_block(block),
        }
    }

    fn superblock(&self) -> &Superblock {
        &self.sb
    }
}
