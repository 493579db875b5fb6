//! Making a collection.

use vexfs_format::codes::{DType, InodeKind, Metric};
use vexfs_format::collection::{
    CollectionDesc, DIM_MAX, FLAG_NORMALIZED, STREAM_ROW_SUMS, STREAM_VECTORS, metric_fits,
};
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, InodeNo};
use zerocopy::little_endian::U64;

use crate::error::{FsError, Result};
use crate::txn::transaction::Transaction;

/// What a collection is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CollectionSpec {
    /// Dimension of the vectors, 1 to [`DIM_MAX`].
    pub dim: u32,
    /// Element type.
    pub dtype: DType,
    /// Metric: hamming for b1, one of the others for the rest.
    pub metric: Metric,
    /// Whether rows are scaled to unit length by whoever adds them.
    pub normalized: bool,
}

impl CollectionSpec {
    /// Refuses what no collection can be.
    pub(crate) fn check(&self) -> Result<()> {
        if !(1..=DIM_MAX).contains(&self.dim) {
            return Err(FsError::BadCollection(format!(
                "dimension {} is not between 1 and {DIM_MAX}",
                self.dim
            )));
        }
        if !metric_fits(self.metric, self.dtype) {
            return Err(FsError::BadCollection(format!(
                "metric {} does not fit element type {}: hamming is for b1, and b1 has no other",
                self.metric, self.dtype
            )));
        }
        Ok(())
    }
}

impl Transaction<'_> {
    /// Makes an empty collection named `name` in directory `parent`.
    ///
    /// # Errors
    /// [`FsError::BadCollection`]; those of [`Transaction::create`].
    pub fn create_collection(
        &mut self,
        parent: InodeNo,
        name: &[u8],
        spec: &CollectionSpec,
    ) -> Result<InodeNo> {
        spec.check()?;
        self.check_new_name(parent, name)?;
        let ino = self.allocate_inode(parent, true)?;
        let mut inode = self.new_inode(ino, parent, InodeKind::Collection, 0o755);
        inode.descriptor = U64::new(self.allocate_metadata()?.get());
        let mut desc = CollectionDesc::new(spec.dim, spec.dtype, spec.metric, self.now_ns());
        if spec.normalized {
            desc.set(FLAG_NORMALIZED);
        }
        self.write_collection_desc(&inode, &desc);
        self.enter(parent, name, inode)?;
        for stream in [STREAM_VECTORS, STREAM_ROW_SUMS] {
            self.create(ino, stream.as_bytes(), InodeKind::Stream, 0o644)?;
        }
        Ok(ino)
    }

    /// Stages the descriptor of a collection.
    pub(crate) fn write_collection_desc(&mut self, inode: &Inode, desc: &CollectionDesc) {
        use crate::source::BlockSource;
        let place = BlockNo(inode.descriptor.get());
        let block = desc.encode(place, inode.number(), self.seq(), self.block_size(), self.seed());
        self.stage(place, block);
    }
}
