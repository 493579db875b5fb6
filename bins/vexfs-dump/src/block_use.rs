//! What a metadata block is: by its place where the geometry fixes that, else by how it introduces itself.

use vexfs_format::block_header::BlockHeader;
use vexfs_format::geometry::{FixedUse, Geometry};
use vexfs_format::{BlockNo, collection, dir_block, extent, sums};

/// Says what `block` is, given its bytes if they are known.
pub(crate) fn describe(geometry: &Geometry, block: BlockNo, bytes: Option<&[u8]>) -> String {
    fixed(geometry, block).or_else(|| introduced(bytes?)).unwrap_or_else(|| "unknown".to_owned())
}

fn fixed(geometry: &Geometry, block: BlockNo) -> Option<String> {
    let number = block.get();
    let (run, purpose) = geometry.fixed_runs().find(|(run, _)| (run.start..run.end()).contains(&number))?;
    let offset = number - run.start;
    Some(match purpose {
        FixedUse::Superblock if number == 0 => "superblock".to_owned(),
        FixedUse::Superblock => "backup of the superblock".to_owned(),
        FixedUse::Descriptors => {
            let per_block = u64::from(geometry.block_size) / vexfs_format::group_desc::GroupDesc::SIZE as u64;
            let first = offset * per_block;
            let last = (first + per_block).min(geometry.groups.max(first + 1)) - 1;
            format!("descriptors of groups {first}-{last}")
        }
        FixedUse::GroupMetadata => group_metadata(geometry, run.start, offset),
        FixedUse::Head | FixedUse::Tail => "metadata-only block".to_owned(),
        FixedUse::Journal => "journal".to_owned(),
    })
}

/// A block of the bitmaps and inode tables that a flex group keeps together.
fn group_metadata(geometry: &Geometry, start: u64, offset: u64) -> String {
    let first = geometry.group_of_block(BlockNo(start)).get();
    let members = (geometry.groups - first).min(1 << geometry.flex_log2);
    if offset < members {
        return format!("block bitmap of group {}", first + offset);
    }
    if offset < 2 * members {
        return format!("inode bitmap of group {}", first + offset - members);
    }
    let table = geometry.inode_table_blocks();
    let (group, index) = (first + (offset - 2 * members) / table, (offset - 2 * members) % table);
    let per_block = u64::from(geometry.block_size) / u64::from(geometry.inode_size);
    let inode = group * geometry.inodes_per_group + index * per_block + 1;
    format!("inodes {inode}-{} of group {group}", inode + per_block - 1)
}

fn introduced(bytes: &[u8]) -> Option<String> {
    let header = BlockHeader::peek(bytes)?;
    let kinds = [extent::NODE, dir_block::KIND, sums::KIND, collection::KIND];
    let kind = kinds.into_iter().find(|kind| kind.magic == header.magic.get())?;
    Some(format!("{} of inode {}", kind.structure, header.owner.get()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vexfs_format::GroupNo;
    use vexfs_format::geometry::GeometryParams;

    #[test]
    fn each_part_of_the_groups_is_told_by_its_place() {
        // 40 groups: two whole flex groups and a part of one.
        let geometry = Geometry::plan(&GeometryParams::new(40 * 32_768, 4096)).expect("planned");
        let what = |block: BlockNo| describe(&geometry, block, None);
        for group in [0, 1, 15, 16, 39] {
            let (blocks, inodes, table) = geometry.group_metadata(GroupNo(group));
            assert_eq!(what(blocks), format!("block bitmap of group {group}"));
            assert_eq!(what(inodes), format!("inode bitmap of group {group}"));
            let first = group * geometry.inodes_per_group + 17;
            assert_eq!(
                what(BlockNo(table.get() + 1)),
                format!("inodes {first}-{} of group {group}", first + 15)
            );
        }
        assert_eq!(what(BlockNo(0)), "superblock");
        assert_eq!(what(BlockNo(1)), "descriptors of groups 0-39");
        assert_eq!(what(BlockNo(32_768)), "backup of the superblock");
        assert_eq!(what(BlockNo(geometry.journal.start)), "journal");
    }
}
