//! Inodes in their tables: find, read, and the group descriptors that lead there.

use std::sync::Arc;

use vexfs_format::error::{At, Corrupt, Damage, Structure};
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, GroupNo, InodeNo};

use crate::error::Result;
use crate::source::BlockSource;

/// The block of the descriptor table that holds the descriptor of `group`, and the byte offset within it.
pub fn descriptor_place(src: &(impl BlockSource + ?Sized), group: GroupNo) -> (BlockNo, usize) {
    let per_block = (src.block_size() / GroupDesc::SIZE) as u64;
    let block = src.superblock().descriptor_table.get() + group.get() / per_block;
    (BlockNo(block), (group.get() % per_block) as usize * GroupDesc::SIZE)
}

/// The descriptor of `group`.
///
/// # Errors
/// Device errors, and damage of the descriptor.
pub fn read_group(src: &(impl BlockSource + ?Sized), group: GroupNo) -> Result<GroupDesc> {
    let (block, offset) = descriptor_place(src, group);
    let bytes = src.read_block(block)?;
    Ok(GroupDesc::decode(&bytes[offset..], group, src.superblock())?)
}

/// Where the record of an inode lies.
#[derive(Clone, Copy, Debug)]
pub struct InodePlace {
    /// Its group.
    pub group: GroupNo,
    /// Its index in the table of the group.
    pub index: u64,
    /// Block of the table that holds it.
    pub block: BlockNo,
    /// Byte offset within that block.
    pub offset: usize,
}

/// Finds the record of inode `ino`.
///
/// # Errors
/// A number that no inode has, device errors, and damage of the group descriptor.
pub fn locate(src: &(impl BlockSource + ?Sized), ino: InodeNo) -> Result<InodePlace> {
    let sb = src.superblock();
    let Some((group, index)) = sb.geometry().locate_inode(ino) else {
        let damage =
            Damage::Field { name: "number", found: ino.get(), expected: "an inode of the filesystem" };
        return Err(Corrupt::new(Structure::Inode, At::Inode(ino.get()), damage).into());
    };
    let desc = read_group(src, group)?;
    let size = sb.inode_size.get() as usize;
    let byte = index as usize * size;
    let block = BlockNo(desc.inode_table.get() + (byte / src.block_size()) as u64);
    Ok(InodePlace { group, index, block, offset: byte % src.block_size() })
}

/// The inode `ino`.
///
/// # Errors
/// Device errors, and damage of the group descriptor or the record. An inode that is not in use is damage: only a damaged
/// structure leads to it.
pub fn read(src: &(impl BlockSource + ?Sized), ino: InodeNo) -> Result<Inode> {
    let place = locate(src, ino)?;
    let block: Arc<[u8]> = src.read_block(place.block)?;
    let size = src.superblock().inode_size.get() as usize;
    let record = &block[place.offset..place.offset + size];
    Ok(Inode::decode(record, ino, src.superblock().block_size.get(), src.blocks(), src.seed())?)
}
