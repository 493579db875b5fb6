//! Laying out the extents of an inode: in its root area, or as a tree whose blocks are reused where they can be.

use vexfs_format::BlockNo;
use vexfs_format::extent::{self, NodeEntries};
use vexfs_format::inode::Inode;
use zerocopy::little_endian::U64;

use super::transaction::Transaction;
use crate::error::Result;
use crate::extents::ExtentMap;
use crate::source::BlockSource;

impl Transaction<'_> {
    /// Stores `map` as the extents of `inode` and brings its block count along; the inode itself is not written.
    ///
    /// Nodes whose entries stay the same are not staged, so an append to a long file changes a handful of blocks.
    ///
    /// # Errors
    /// [`crate::FsError::NoSpace`] when the tree needs blocks that are not there; device errors.
    pub fn store_extents(&mut self, inode: &mut Inode, map: &mut ExtentMap) -> Result<()> {
        let shape = map.tree_shape(self.block_size());
        let total: usize = shape.iter().sum();
        let old: Vec<BlockNo> = map.nodes().to_vec();
        let mut nodes: Vec<BlockNo> = old.iter().copied().take(total).collect();
        for &surplus in old.iter().skip(total) {
            self.free_metadata(surplus);
        }
        while nodes.len() < total {
            nodes.push(self.allocate_metadata()?);
        }
        let mut rest = nodes.as_slice();
        let mut entries = NodeEntries::Leaf(map.runs().to_vec());
        for (level, &count) in shape.iter().enumerate() {
            let (blocks, above) = rest.split_at(count);
            rest = above;
            entries = self.store_level(inode, &entries, level as u16, blocks, &old)?;
        }
        inode.set_root(&entries, shape.len() as u16);
        map.set_nodes(nodes);
        let descriptor = u64::from(inode.descriptor.get() > 0);
        inode.blocks = U64::new(map.blocks() + descriptor);
        Ok(())
    }

    /// Stores one level in `blocks` and returns the entries of the level above.
    fn store_level(
        &mut self,
        inode: &Inode,
        entries: &NodeEntries,
        level: u16,
        blocks: &[BlockNo],
        old: &[BlockNo],
    ) -> Result<NodeEntries> {
        let capacity = extent::node_capacity(self.block_size());
        let parts: Vec<(u64, NodeEntries)> = match entries {
            NodeEntries::Leaf(runs) => runs
                .chunks(capacity)
                .map(|part| (part[0].logical.get(), NodeEntries::Leaf(part.to_vec())))
                .collect(),
            NodeEntries::Index(children) => {
                children.chunks(capacity).map(|part| (part[0].0, NodeEntries::Index(part.to_vec()))).collect()
            }
        };
        let mut above = Vec::with_capacity(parts.len());
        for ((first, part), &place) in parts.into_iter().zip(blocks) {
            above.push((first, place));
            let (ino, seed) = (inode.number(), self.seed());
            if old.contains(&place) {
                let block = self.read_block(place)?;
                if extent::decode_node(&block, place, ino, level, self.blocks(), seed)
                    .is_ok_and(|had| had == part)
                {
                    continue;
                }
            }
            let block = extent::encode_node(&part, level, place, ino, self.seq(), self.block_size(), seed);
            self.stage(place, block);
        }
        Ok(NodeEntries::Index(above))
    }
}
