//! Superblock and backups.

use super::Entry;

/// First block of group 1, and of the tail.
const BACKUPS: [u64; 2] = [32_768, 76_544];

pub(super) const RECIPES: &[Entry] = &[
    ("a bit of the primary superblock has turned over", "VX0001", |i| i.flip(0, 1024 + 300)),
    ("the primary superblock was overwritten with zeros", "VX0001", |i| i.write(0, 1024, &[0; 1024])),
    ("the primary superblock cannot be read", "VX0001", |i| i.lose(0, 1)),
    ("a backup is damaged", "VX0004", |i| i.flip(BACKUPS[0], 1024 + 300)),
    ("the backup near the end cannot be read", "VX0004", |i| i.lose(BACKUPS[1], 1)),
    ("a backup is one of another place", "VX0004", |i| {
        i.edit_super(BACKUPS[0], |sb| sb.self_block = 98_304.into());
    }),
    ("a backup has another seed", "VX0005", |i| i.edit_super(BACKUPS[1], |sb| sb.checksum_seed = 1.into())),
    ("a backup has an older label", "VX0006", |i| {
        i.edit_super(BACKUPS[0], |sb| assert!(sb.set_label("old name")));
    }),
    ("the state has unknown bits", "VX0008", |i| i.edit_super(0, |sb| sb.state = 4.into())),
    ("the feature of the vector zone is lost", "VX0006 VX0009", |i| {
        i.edit_super(0, |sb| sb.feature_compat = 0.into());
    }),
    ("the superblock is newer than the journal", "VX0012", |i| {
        i.edit_super(0, |sb| sb.txn = 1_000_000.into());
    }),
    ("the vector zone lies over the journal", "VX0005 VX1004", |i| {
        i.edit_super(0, |sb| sb.zone_start = (sb.journal_start.get() + 10).into());
    }),
    ("the number of free blocks is wrong", "VX5013", |i| {
        i.edit_super(0, |sb| sb.free_blocks = (sb.free_blocks.get() - 7).into());
    }),
    ("the number of free inodes is wrong", "VX5014", |i| {
        i.edit_super(0, |sb| sb.free_inodes = (sb.free_inodes.get() + 1).into());
    }),
    ("the root directory is another inode", "VX0014", |i| {
        let other = i.ino("/twice");
        i.edit_super(0, |sb| sb.root_inode = other.into());
    }),
    ("lost+found is a file", "VX0006 VX3005", |i| {
        let other = i.ino("/twice");
        i.edit_super(0, |sb| sb.lost_found_inode = other.into());
    }),
    ("lost+found is an inode that is not in use", "VX0006 VX3004", |i| {
        i.edit_super(0, |sb| sb.lost_found_inode = 5000.into());
    }),
];
