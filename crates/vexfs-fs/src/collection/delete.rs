//! Deleting rows: a bit for each; the space is reclaimed by compaction.

use vexfs_format::InodeNo;
use vexfs_format::bitmap;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{CollectionDesc, STREAM_DELETED};
use zerocopy::little_endian::U64;

use super::Collection;
use crate::alloc::BlockUse;
use crate::error::Result;
use crate::file::FileWriter;
use crate::inode;
use crate::txn::transaction::Transaction;

impl Transaction<'_> {
    /// Deletes `rows` of collection `ino`; rows that are deleted already, or not there, are passed over.
    ///
    /// Returns how many rows were deleted. May use the blocks kept for such changes, so that a full volume can be emptied.
    ///
    /// # Errors
    /// [`FsError::BadStream`](crate::FsError::BadStream) when the streams do not hold the rows; those of
    /// [`Collection::from_inode`] and [`FileWriter`].
    pub fn delete_rows(&mut self, path: &str, ino: InodeNo, rows: &[u64]) -> Result<u64> {
        self.use_reserve();
        let inode = inode::read(self, ino)?;
        let collection = Collection::from_inode(self, path, inode)?;
        collection.desc.features().check_collection_writable()?;
        collection.check_rows(self)?;
        let deleted = mark_deleted(self, &collection, rows.iter().copied())?;
        self.count_deleted(ino, collection.desc, deleted)?;
        Ok(deleted)
    }

    /// Stages the descriptor of collection `ino`, which is `desc` but for `deleted` rows that are marked since.
    pub(super) fn count_deleted(
        &mut self,
        ino: InodeNo,
        mut desc: CollectionDesc,
        deleted: u64,
    ) -> Result<()> {
        desc.live_rows = U64::new(desc.live_rows.get().saturating_sub(deleted));
        desc.generation = U64::new(desc.generation.get().wrapping_add(1));
        let mut inode = inode::read(self, ino)?;
        inode.modified_ns = U64::new(self.now_ns());
        self.write_inode(&mut inode)?;
        self.write_collection_desc(&inode, &desc);
        Ok(())
    }
}

/// Stages the marks of `rows` of `collection`, whose streams hold its rows. Returns how many of them were not deleted.
pub(super) fn mark_deleted(
    txn: &mut Transaction<'_>,
    collection: &Collection,
    rows: impl Iterator<Item = u64>,
) -> Result<u64> {
    let mut bits = vec![0_u8; collection.rows().div_ceil(8) as usize];
    let stream = match collection.stream(txn, STREAM_DELETED)? {
        Some(stream) => {
            let view = txn.volume.view_as_of(txn, &stream)?;
            let old = view.all()?;
            let len = old.len().min(bits.len());
            bits[..len].copy_from_slice(&old[..len]);
            stream.number()
        }
        None => {
            let (parent, name) = (collection.inode.number(), STREAM_DELETED.as_bytes());
            txn.create(parent, name, InodeKind::Stream, 0o644)?.number()
        }
    };
    let mut deleted = 0;
    for row in rows.filter(|&row| row < collection.rows()) {
        if !bitmap::get(&bits, row as usize) {
            bitmap::set(&mut bits, row as usize);
            deleted += 1;
        }
    }
    let mut writer = FileWriter::replace(txn, stream, BlockUse::Vectors)?;
    writer.write(txn, &bits)?;
    writer.finish(txn)?;
    Ok(deleted)
}
