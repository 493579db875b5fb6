//! Connectivity and link counts.

use vexfs_format::codes::InodeKind;
use vexfs_format::dir_block::DirEntries;

use super::Entry;
use crate::check_support::image::Image;

/// Removes a name from a directory of one block.
fn forget(image: &Image, path: &str, name: &str) {
    image.edit_dir(path, 0, |entries, _| {
        let DirEntries::Leaf(names) = entries else { panic!("{path} has more than one block") };
        names.retain(|entry| entry.name != name.as_bytes());
    });
}

pub(super) const RECIPES: &[Entry] = &[
    ("the root directory is damaged", "VX1011 VX3001 VX3007 VX4001 VX5004 VX5010 VX5013", |i| {
        let (block, offset) = i.record(1);
        i.flip(block, offset + 100);
    }),
    ("the root directory is a collection", "VX1011 VX3001 VX3007 VX4001 VX5004 VX5010 VX5013", |i| {
        i.edit_ino(1, |inode| inode.kind = InodeKind::Collection.code().into());
    }),
    ("the root directory is a file", "VX1016 VX1026 VX3002 VX3007 VX4001 VX5012", |i| {
        i.edit_ino(1, |inode| (inode.kind, inode.mode) = (InodeKind::File.code().into(), 0o100_755.into()));
    }),
    ("the root directory names another parent", "VX3003", |i| i.edit_ino(1, |inode| inode.parent = 2.into())),
    ("lost+found is damaged", "VX1011 VX2012 VX3004 VX5004 VX5010 VX5013", |i| {
        let (block, offset) = i.record(2);
        i.flip(block, offset + 100);
    }),
    ("lost+found has lost its name", "VX3006", |i| forget(i, "/", "lost+found")),
    ("a file has lost its name", "VX3007", |i| forget(i, "/models/deep", "f3")),
    ("a directory has lost its name", "VX3007", |i| forget(i, "/", "models")),
    ("a collection has lost its name", "VX3007", |i| forget(i, "/", "keys")),
    ("two directories lie below each other", "VX2020 VX3008", |i| {
        // /models moves to /models/deep/f3, and the file of that name to the root directory.
        let models = vexfs_format::InodeNo(i.ino("/models"));
        let f3 = i.inode("/models/deep/f3");
        forget(i, "/", "models");
        i.edit_dir("/models/deep", 0, |entries, _| {
            let DirEntries::Leaf(names) = entries else { panic!("one block") };
            let name = names.iter_mut().find(|entry| entry.name == b"f3").expect("f3");
            (name.inode, name.kind) = (models, InodeKind::Directory);
        });
        i.edit_dir("/", 0, |entries, _| {
            let DirEntries::Leaf(names) = entries else { panic!("one block") };
            let mut name = names.iter().find(|entry| entry.name == b"twice").expect("twice").clone();
            (name.name, name.inode) = (b"f3".to_vec(), f3.number());
            name.hash = vexfs_format::dir_block::name_hash(&i.sb().hash_key, b"f3");
            names.push(name);
            names.sort_by(|a, b| (a.hash, &a.name).cmp(&(b.hash, &b.name)));
        });
    }),
    ("a file counts too many names", "VX4001", |i| i.edit("/models/deep/f3", |inode| inode.links = 5.into())),
    ("a directory counts too many names", "VX4001", |i| i.edit("/many", |inode| inode.links = 2.into())),
    ("the root directory counts too many names", "VX4001", |i| i.edit_ino(1, |inode| inode.links = 2.into())),
];
