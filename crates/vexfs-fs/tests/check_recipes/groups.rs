//! Group descriptors and inode tables.

use vexfs_format::bitmap;

use super::Entry;

pub(super) const RECIPES: &[Entry] = &[
    ("the descriptor of the group in use is damaged", "VX1001", |i| i.flip(1, 30)),
    ("the descriptor of a group without objects is damaged", "VX1001", |i| i.flip(1, 64 + 30)),
    ("the descriptors cannot be read", "VX1002", |i| i.lose(1, 1)),
    ("a copy of the descriptors is damaged", "VX1003", |i| i.flip(32_769, 30)),
    ("a copy of the descriptors cannot be read", "VX1003", |i| i.lose(32_769, 1)),
    ("two groups share a block bitmap", "VX1003 VX1004", |i| {
        let other = i.group(2).block_bitmap;
        i.edit_group(1, |desc| desc.block_bitmap = other);
    }),
    ("an inode table lies over the journal", "VX1003 VX1004 VX5004 VX5010 VX5013", |i| {
        let journal = i.sb().journal_start;
        i.edit_group(2, |desc| desc.inode_table = journal);
    }),
    ("an uninitialised group has its bitmap elsewhere", "VX1003 VX1005 VX5010 VX5013", |i| {
        i.edit_group(2, |desc| desc.inode_bitmap = 70_000.into());
    }),
    ("the inode bitmap is damaged", "VX1006", |i| {
        let block = i.group(0).inode_bitmap.get();
        i.flip(block, 3);
    }),
    ("the inode bitmap cannot be read", "VX1007", |i| i.lose(i.group(0).inode_bitmap.get(), 1)),
    ("a block of the inode table cannot be read", "VX1008 VX2012 VX5004 VX5010 VX5013", |i| {
        // It holds the inodes 33 to 48: keys.end, keys.hash and deleted among them.
        i.lose(i.record(33).0, 1);
    }),
    ("a reserved inode has a record", "VX1013", |i| {
        let record = i.inode("/twice");
        let (block, offset) = i.record(7);
        i.write(block, offset, zerocopy::IntoBytes::as_bytes(&record));
    }),
    (
        "an inode is in use in the part of the table that was never written",
        "VX1010 VX1012 VX5011 VX5014",
        |i| {
            i.edit_inode_bitmap(0, |map| bitmap::set(map, 6000));
        },
    ),
    ("the number of free blocks of a group is wrong", "VX5010", |i| {
        i.edit_group(0, |desc| desc.free_blocks = (desc.free_blocks.get() + 1).into());
    }),
    ("the number of free blocks of an uninitialised group is wrong", "VX5010", |i| {
        i.edit_group(2, |desc| desc.free_blocks = (desc.free_blocks.get() - 1).into());
    }),
    ("the number of free inodes of a group is wrong", "VX5011", |i| {
        i.edit_group(0, |desc| desc.free_inodes = (desc.free_inodes.get() - 1).into());
    }),
    ("the number of directories of a group is wrong", "VX5012", |i| {
        i.edit_group(0, |desc| desc.directories = (desc.directories.get() + 3).into());
    }),
];
