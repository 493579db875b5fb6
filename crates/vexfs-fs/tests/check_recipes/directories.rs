//! Directories and their entries.

use vexfs_format::codes::InodeKind;
use vexfs_format::dir_block::{DirEntries, DirEntry, name_hash};
use vexfs_format::{InodeNo, LogicalBlock};

use super::Entry;
use crate::check_support::image::Image;

/// Changes the entries of the only block of a directory; they are put in order.
pub(super) fn names(image: &Image, path: &str, change: impl FnOnce(&mut Vec<DirEntry>)) {
    image.edit_dir(path, 0, |entries, _| {
        let DirEntries::Leaf(names) = entries else { panic!("{path} has more than one block") };
        change(names);
        names.sort_by(|a, b| (a.hash, &a.name).cmp(&(b.hash, &b.name)));
    });
}

fn entry(image: &Image, name: &str, inode: u64, kind: InodeKind) -> DirEntry {
    let hash = name_hash(&image.sb().hash_key, name.as_bytes());
    DirEntry { hash, inode: InodeNo(inode), kind, name: name.into() }
}

/// Adds a name to a directory.
fn add(image: &Image, path: &str, name: &str, inode: u64, kind: InodeKind) {
    let entry = entry(image, name, inode, kind);
    names(image, path, |names| names.push(entry));
}

/// Changes the children in the root of the tree of `/many`.
fn children(image: &Image, change: impl FnOnce(&mut Vec<(u64, LogicalBlock)>)) {
    image.edit_dir("/many", 0, |entries, _| {
        let DirEntries::Index(children) = entries else { panic!("/many is one block") };
        change(children);
    });
}

fn leaf(image: &Image, logical: u64, change: impl FnOnce(&mut Vec<DirEntry>)) {
    image.edit_dir("/many", logical, |entries, _| {
        let DirEntries::Leaf(names) = entries else { panic!("no leaf") };
        change(names);
    });
}

pub(super) const RECIPES: &[Entry] = &[
    ("a directory block cannot be read", "VX2001 VX4001", |i| i.lose(i.place("/many", 5), 1)),
    ("a directory block is damaged", "VX2002 VX4001", |i| i.flip(i.place("/many", 5), 200)),
    ("the root of a tree of names is damaged", "VX2002 VX2007", |i| i.flip(i.place("/many", 0), 200)),
    ("the only block of a directory is damaged", "VX2002 VX3007", |i| i.flip(i.place("/models", 0), 200)),
    ("a tree of names leads out of the directory", "VX2003 VX2007", |i| {
        children(i, |children| children[3].1 = LogicalBlock(500));
    }),
    ("a tree of names leads to one block twice", "VX2004 VX2007", |i| {
        children(i, |children| children[3].1 = children[4].1);
    }),
    ("a leaf says that it is above the leaves", "VX2002 VX4001", |i| {
        i.edit_block(i.place("/many", 5), |block| block[44] = 7);
    }),
    ("the root of a tree of names is at another level", "VX2005", |i| {
        i.edit_dir("/many", 0, |_, level| *level = 2)
    }),
    ("the first child of a tree of names has a hash", "VX2006", |i| {
        children(i, |children| children[0].0 = children[1].0 - 1);
    }),
    ("a tree of names has lost a child", "VX2007", |i| {
        children(i, |children| {
            children.remove(3);
        });
    }),
    ("two children of a tree of names have changed places", "VX2008", |i| {
        children(i, |children| {
            let (a, b) = (children[3].1, children[4].1);
            (children[3].1, children[4].1) = (b, a);
        });
    }),
    ("a name has the hash of another one", "VX2009", |i| {
        names(i, "/models/deep", |names| names[2].hash += 1);
    }),
    ("a name lies in the wrong leaf", "VX2008", |i| {
        let mut moved = None;
        leaf(i, 5, |names| moved = names.pop());
        let moved = moved.expect("a name");
        leaf(i, 6, |names| {
            names.pop();
            names.push(moved);
            names.sort_by(|a, b| (a.hash, &a.name).cmp(&(b.hash, &b.name)));
        });
        i.edit("/twice", |inode| inode.links = (inode.links.get() - 1).into());
    }),
    ("a name is there twice, once in the wrong leaf", "VX2008 VX2014", |i| {
        let mut copied = None;
        leaf(i, 5, |names| copied = names.last().cloned());
        leaf(i, 6, |names| {
            names.pop();
            names.push(copied.expect("a name"));
            names.sort_by(|a, b| (a.hash, &a.name).cmp(&(b.hash, &b.name)));
        });
    }),
    ("a name is there twice, once with a wrong hash", "VX2009 VX2014 VX4001", |i| {
        let file = i.ino("/twice");
        let mut copy = entry(i, "f3", file, InodeKind::File);
        copy.hash ^= 1 << 60;
        names(i, "/models/deep", |names| names.push(copy));
    }),
    ("a name leads to an inode that cannot be", "VX2010", |i| {
        add(i, "/models/deep", "nowhere", 1 << 40, InodeKind::File);
    }),
    ("a name leads to an inode that is not in use", "VX2011", |i| {
        add(i, "/models/deep", "nothing", 70, InodeKind::File);
    }),
    ("a name leads to an inode in a group without inodes", "VX2011", |i| {
        add(i, "/models/deep", "nothing", 15_000, InodeKind::File);
    }),
    ("a name says another kind than its inode", "VX2013", |i| {
        names(i, "/models/deep", |names| names[0].kind = InodeKind::Symlink);
    }),
    ("a directory has two names", "VX2015 VX4001", |i| {
        add(i, "/models/deep", "again", i.ino("/many"), InodeKind::Directory);
    }),
    ("a stream has two names", "VX2015 VX2018 VX4001", |i| {
        add(i, "/models/deep", "again", i.ino("/vectors/crc"), InodeKind::Stream);
    }),
    ("a name leads to the root directory", "VX2016", |i| {
        add(i, "/models/deep", "top", 1, InodeKind::Directory);
    }),
    ("a name leads to a reserved inode", "VX2017", |i| add(i, "/models/deep", "kept", 6, InodeKind::File)),
    ("a stream lies outside of its collection", "VX2018 VX2020 VX5020", |i| {
        let crc = i.ino("/keys/crc");
        names(i, "/keys", |names| names.retain(|entry| entry.name != b"crc"));
        add(i, "/models/deep", "crc", crc, InodeKind::Stream);
    }),
    ("a stream of a collection is a file", "VX1016 VX2013 VX2019", |i| {
        i.edit("/keys/crc", |inode| inode.kind = InodeKind::File.code().into());
    }),
    ("the index of a collection is a file", "VX2019 VX4001", |i| {
        add(i, "/keys", "index", i.ino("/twice"), InodeKind::File);
    }),
    ("a directory names another parent", "VX2020", |i| {
        i.edit("/models/deep", |inode| inode.parent = 1.into())
    }),
    ("a stream names another parent", "VX2020", |i| i.edit("/keys/crc", |inode| inode.parent = 1.into())),
];
