//! Bitmaps.

use vexfs_format::bitmap;

use super::Entry;

pub(super) const RECIPES: &[Entry] = &[
    ("the block bitmap is damaged", "VX5001", |i| i.flip(i.group(0).block_bitmap.get(), 9)),
    ("the block bitmap cannot be read", "VX5002", |i| i.lose(i.group(0).block_bitmap.get(), 1)),
    ("blocks of a file are marked as free", "VX5003", |i| {
        let start = i.extents("/models/deep/large").runs()[0].start.get() as usize;
        i.edit_block_bitmap(0, |map| (start + 3..start + 7).for_each(|bit| bitmap::clear(map, bit)));
    }),
    ("the journal is marked as free", "VX5003", |i| {
        let start = i.log_block(0) as usize;
        i.edit_block_bitmap(0, |map| (start..start + 768).for_each(|bit| bitmap::clear(map, bit)));
    }),
    ("free blocks are marked as in use", "VX5004", |i| {
        i.edit_block_bitmap(0, |map| bitmap::set_range(map, 20_000, 20_500));
    }),
    ("an initialised bitmap of a group without objects marks one block", "VX5004", |i| {
        let mut map = vec![0; 4096];
        i.sb().geometry().fill_block_bitmap(vexfs_format::GroupNo(1), &mut map);
        i.write(i.group(1).block_bitmap.get(), 0, &map);
        i.edit_group(1, |desc| desc.flags = 2.into());
        i.edit_block_bitmap(1, |map| bitmap::set(map, 100));
    }),
    ("blocks behind the end of the device are marked as free", "VX5005", |i| {
        let mut map = vec![0; 4096];
        i.sb().geometry().fill_block_bitmap(vexfs_format::GroupNo(2), &mut map);
        i.write(i.group(2).block_bitmap.get(), 0, &map);
        i.edit_group(2, |desc| desc.flags = 2.into());
        i.edit_block_bitmap(2, |map| bitmap::clear(map, 32_767));
    }),
    ("inodes behind the last are marked as free", "VX5007", |i| {
        i.edit_inode_bitmap(0, |map| bitmap::clear(map, 6_400));
    }),
    ("a group with objects is marked as uninitialised", "VX5003 VX5006", |i| {
        let inodes = i.sb().inodes_per_group.get();
        i.edit_group(0, |desc| {
            desc.flags = 1.into();
            desc.free_inodes = (inodes - 60).into();
        });
        i.edit_inode_bitmap(0, |map| bitmap::clear(map, 3));
    }),
];
