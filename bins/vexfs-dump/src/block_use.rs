//! What a metadata block is: by its place where the geometry fixes that, else by how it introduces itself.

use vexfs_format::block_header::BlockHeader;
use vexfs_format::geometry::{BlockRun, Geometry};
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::{BlockNo, GroupNo, collection, dir_block, extent, sums};
use vexfs_fs::BlockSource;
use vexfs_fs::layout::{OwnUse, own_runs};

/// What the blocks of a filesystem are used for.
#[derive(Debug)]
pub(crate) struct BlockUses {
    geometry: Geometry,
    /// The filesystem's own runs, in order.
    own: Vec<(BlockRun, OwnUse)>,
}

impl BlockUses {
    /// Those of the filesystem behind `src`.
    pub(crate) fn of(src: &impl BlockSource) -> Self {
        Self { geometry: src.superblock().geometry(), own: own_runs(src) }
    }

    /// Says what `block` is, given its bytes if they are known.
    pub(crate) fn describe(&self, block: BlockNo, bytes: Option<&[u8]>) -> String {
        self.own_use(block.get()).or_else(|| introduced(bytes?)).unwrap_or_else(|| "unknown".to_owned())
    }

    fn own_use(&self, block: u64) -> Option<String> {
        let geometry = &self.geometry;
        let before = self.own.partition_point(|(run, _)| run.start <= block);
        let (run, own) = self.own[..before].last().filter(|(run, _)| block < run.end())?;
        let offset = block - run.start;
        let per_block = |size: u64| u64::from(geometry.block_size) / size;
        Some(match own {
            OwnUse::Superblock if block == 0 => "superblock".to_owned(),
            OwnUse::Superblock => "backup of the superblock".to_owned(),
            OwnUse::Descriptors => {
                let per_block = per_block(GroupDesc::SIZE as u64);
                let first = offset * per_block;
                let last = (first + per_block).min(geometry.groups.max(first + 1)) - 1;
                format!("descriptors of groups {first}-{last}")
            }
            OwnUse::BlockBitmap(group) => format!("block bitmap of group {group}"),
            OwnUse::InodeBitmap(group) => format!("inode bitmap of group {group}"),
            OwnUse::InodeTable(group) => {
                let per_block = per_block(geometry.inode_size.into());
                let inode = first_inode(geometry, *group) + offset * per_block;
                format!("inodes {inode}-{} of group {group}", inode + per_block - 1)
            }
            OwnUse::Head | OwnUse::Tail => "metadata-only block".to_owned(),
            OwnUse::Journal => "journal".to_owned(),
        })
    }
}

fn first_inode(geometry: &Geometry, group: GroupNo) -> u64 {
    group.get() * geometry.inodes_per_group + 1
}

fn introduced(bytes: &[u8]) -> Option<String> {
    let header = BlockHeader::peek(bytes)?;
    let kinds = [extent::NODE, dir_block::KIND, sums::KIND, collection::KIND];
    let kind = kinds.into_iter().find(|kind| kind.magic == header.magic.get())?;
    Some(format!("{} of inode {}", kind.structure, header.owner.get()))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use vexfs_device::MemDevice;
    use vexfs_fs::mkfs::{self, MkfsOptions};
    use vexfs_fs::{OpenOptions, Volume};

    /// Bitmaps and tables lie where the descriptors say, also those that a growth has put elsewhere.
    #[test]
    fn each_part_of_the_groups_is_told_by_its_place() {
        // 30 groups at first: a whole flex group and a part of one; then 50.
        let (before, after) = (30 * 32_768 * 4096, 50 * 32_768 * 4096);
        let device = Arc::new(MemDevice::new(after));
        mkfs::format(device.clone(), &MkfsOptions::new(before, [1; 16])).expect("mkfs");
        let open = OpenOptions { write: true, ..OpenOptions::default() };
        let mut volume = Volume::open(device, &open).expect("open");
        volume.grow(after).expect("grown");
        let geometry = volume.geometry();
        let uses = BlockUses::of(&volume);
        let what = |block: u64| uses.describe(BlockNo(block), None);
        for group in [0, 1, 15, 16, 29, 30, 31, 32, 47, 48, 49] {
            let desc = vexfs_fs::inode::read_group(&volume, GroupNo(group)).expect("a descriptor");
            assert_eq!(what(desc.block_bitmap.get()), format!("block bitmap of group {group}"));
            assert_eq!(what(desc.inode_bitmap.get()), format!("inode bitmap of group {group}"));
            let first = group * geometry.inodes_per_group + 17;
            let found = what(desc.inode_table.get() + 1);
            assert_eq!(found, format!("inodes {first}-{} of group {group}", first + 15));
        }
        assert_eq!(what(0), "superblock");
        assert_eq!(what(1), "descriptors of groups 0-49");
        assert_eq!(what(32_768), "backup of the superblock");
        assert_eq!(what(geometry.journal.start), "journal");
        assert_eq!(what(geometry.tail_backup().get() + 1), "metadata-only block");
    }
}
