//! Indexes of a collection.

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::extent::SUMS_BASE;
use vexfs_fs::txn::transaction::Transaction;

use super::Entry;
use super::directories::names;
use crate::check_support::image::Image;
use crate::common::open_rw;

/// Changes the directory of the indexes in a transaction, as a program would.
fn change(image: &Image, change: impl FnOnce(&mut Transaction<'_>, InodeNo)) {
    let directory = InodeNo(image.ino("/described/index"));
    let mut volume = open_rw(&(image.device.clone() as _));
    let mut txn = volume.begin().expect("a transaction");
    change(&mut txn, directory);
    txn.commit().expect("committed");
    volume.close().expect("closed");
}

fn remove(image: &Image, files: &[&str]) {
    change(image, |txn, directory| {
        files.iter().for_each(|file| txn.remove(directory, file.as_bytes()).expect("removed"));
    });
}

pub(super) const RECIPES: &[Entry] = &[
    ("a stream among the indexes is that of none", "VX5060", |i| {
        change(i, |txn, directory| {
            txn.create(directory, b"who.knows", InodeKind::Stream, 0o644).expect("made");
        });
    }),
    ("the name of a calibration is damaged", "VX5060", |i| {
        names(i, "/described/index", |names| {
            let entry = names.iter_mut().find(|entry| entry.name == b"lists.calibration").expect("a name");
            let name = b"lists.calibratiom";
            entry.hash = vexfs_format::dir_block::name_hash(&i.sb().hash_key, name);
            entry.name = name.to_vec();
        });
    }),
    ("the description of an index is lost", "VX5061", |i| remove(i, &["lists.spec"])),
    ("nothing but its calibration is left of an index", "VX5061", |i| remove(i, &["lists.0", "lists.spec"])),
    ("the description of an index is of another kind of index than there is", "VX5061", |i| {
        i.edit_data("/described/index/lists.spec", 0, b"xyz");
    }),
    ("an index ends with something else", "VX5062", |i| {
        let size = i.inode("/described/index/lists.0").size.get() as usize;
        i.edit_data("/described/index/lists.0", size - 1024, &[b'?'; 1024]);
    }),
    ("an index is cut off", "VX1025 VX5062", |i| {
        i.edit("/described/index/flat.0", |inode| inode.size = 4096.into());
    }),
    ("the measured recall of an index is nonsense", "VX5063", |i| {
        i.edit_data("/described/index/lists.calibration", 0, &[0xFF; 8]);
    }),
    ("what an index holds was written over", "VX5064", |i| {
        i.edit_data("/described/index/lists.0", 4096 + 77, &[0xFF; 9]);
    }),
    ("a block of an index is damaged", "VX5065", |i| i.flip(i.place("/described/index/flat.0", 0), 99)),
    ("a block of a description is damaged", "VX5065", |i| {
        i.flip(i.place("/described/index/lists.spec", 0), 1);
    }),
    ("a block of an index cannot be read", "VX5066", |i| i.lose(i.place("/described/index/flat.0", 0), 1)),
    ("a checksum block of an index is damaged", "VX5067", |i| {
        i.flip(i.place("/described/index/lists.0", SUMS_BASE), 200);
    }),
];
