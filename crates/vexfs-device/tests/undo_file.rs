//! Undo files on real files and devices: where they may lie, and who may use them.

mod common;
mod undo_common;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use common::{Loop, image};
use undo_common::identity;
use vexfs_device::{
    Device, FileDevice, OpenOptions, UndoApply, UndoDevice, UndoError, UndoFile, UndoStore, apply_undo,
};

#[test]
fn work_on_an_image_file_is_taken_back() {
    let (folder, path) = image(1 << 20);
    let before = fs::read(&path).expect("image");
    let file = folder.path().join("undo");
    let device = FileDevice::open(&path, OpenOptions::read_write()).expect("open");
    let undo = UndoFile::create(&file, &path).expect("create");
    assert!(undo.is_empty().expect("length"));
    let undo = UndoDevice::new(device, undo, &identity()).expect("begun");
    undo.write_at(5000, b"new").expect("write");
    undo.finish().expect("finished");
    let busy = UndoFile::open(&file).expect_err("still in use");
    assert!(matches!(busy, UndoError::Busy { .. }), "{busy}");
    drop(undo);
    assert_ne!(fs::read(&path).expect("image"), before);
    assert_eq!(fs::metadata(&file).expect("file").permissions().mode() & 0o777, 0o600);

    let device = FileDevice::open(&path, OpenOptions::read_write()).expect("open");
    apply_undo(UndoFile::open(&file).expect("open"), &device, &UndoApply::default()).expect("put back");
    assert!(fs::read(&path).expect("image") == before);
}

#[test]
fn an_undo_file_is_never_the_device_nor_behind_it() {
    let (folder, path) = image(1 << 20);
    let before = fs::read(&path).expect("image");
    let link = folder.path().join("link");
    std::os::unix::fs::symlink(&path, &link).expect("link");
    let _device = FileDevice::open(&path, OpenOptions::read_write()).expect("open");
    for name in [&path, &link] {
        let error = UndoFile::create(name, &path).expect_err("the device itself");
        assert!(matches!(error, UndoError::OnDevice { .. }), "{error}");
    }
    drop(_device);
    if let Some(node) = Loop::attach(&path, &[]) {
        let error = UndoFile::create(&path, &node.0).expect_err("the file behind the device");
        assert!(matches!(error, UndoError::OnDevice { .. }), "{error}");
        let error = UndoFile::create(&node.0, &path).expect_err("a device");
        assert!(matches!(error, UndoError::NotUndo { .. }), "{error}");
    }
    assert!(fs::read(&path).expect("image") == before);
}

#[test]
fn a_file_that_is_something_else_stays_as_it_is() {
    let (folder, path) = image(1 << 20);
    let other = folder.path().join("letter");
    for text in ["x".repeat(5000), "short".to_owned()] {
        fs::write(&other, &text).expect("letter");
        let device = FileDevice::open(&path, OpenOptions::read_write()).expect("open");
        let error = UndoDevice::new(device, UndoFile::create(&other, &path).expect("a file"), &identity());
        let error = error.expect_err("not an undo file");
        assert!(matches!(error, UndoError::NotUndo { .. }), "{error}");
        let device = FileDevice::open(&path, OpenOptions::read_write()).expect("open");
        let error = apply_undo(UndoFile::open(&other).expect("a file"), &device, &UndoApply::default());
        assert!(matches!(error.expect_err("nor here"), UndoError::NotUndo { .. }));
        assert_eq!(fs::read_to_string(&other).expect("letter"), text);
    }
    assert!(matches!(UndoFile::create(folder.path(), &path), Err(UndoError::NotUndo { .. })));
    assert!(UndoFile::open(folder.path().join("missing")).is_err());
    assert!(UndoFile::create(folder.path().join("no/such/folder"), &path).is_err());
}
