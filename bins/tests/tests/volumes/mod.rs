//! Filesystems with something in them, made through the library.
#![allow(dead_code)] // each test file uses its part

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tool_tests::Scratch;
use vexfs_device::{Device, FileDevice, OpenOptions as DeviceOptions};
use vexfs_format::InodeNo;
use vexfs_format::codes::{DType, Metric};
use vexfs_fs::collection::append::{Appender, RowIds};
use vexfs_fs::collection::create::CollectionSpec;
use vexfs_fs::mkfs::{self, MkfsOptions};
use vexfs_fs::{OpenOptions, Volume};

/// Bytes of the images.
pub(crate) const BYTES: u64 = 32 << 20;
/// Time of all changes: 2023-11-14T22:13:20Z.
pub(crate) const NOW_NS: u64 = 1_700_000_000_000_000_000;

/// An empty filesystem in a file called `name`.
pub(crate) fn format(scratch: &Scratch, name: &str) -> PathBuf {
    let image = scratch.image(name, BYTES);
    let mut options = MkfsOptions::new(BYTES, *b"0123456789abcdef");
    options.label = "Sample".to_owned();
    options.now_ns = NOW_NS;
    mkfs::format(device(&image), &options).expect("mkfs");
    image
}

fn device(image: &Path) -> Arc<dyn Device> {
    Arc::new(FileDevice::open(image, DeviceOptions::read_write()).expect("open the image"))
}

/// The filesystem, open for changes.
pub(crate) fn writable(image: &Path) -> Volume {
    let options = OpenOptions { write: true, now_ns: NOW_NS, ..OpenOptions::default() };
    Volume::open(device(image), &options).expect("open the volume")
}

/// The filesystem, open for reading.
pub(crate) fn readable(image: &Path) -> Volume {
    let device = FileDevice::open(image, DeviceOptions::read_only()).expect("open the image");
    Volume::open(Arc::new(device), &OpenOptions::default()).expect("open the volume")
}

/// Makes a collection in the root directory and puts packed rows into it.
pub(crate) fn collection(
    volume: &mut Volume,
    name: &str,
    dtype: DType,
    dim: u32,
    rows: &[u8],
    ids: RowIds<'_>,
) {
    let metric = if dtype == DType::B1 { Metric::Hamming } else { Metric::L2 };
    let spec = CollectionSpec { dim, dtype, metric, normalized: false };
    let mut txn = volume.begin().expect("begin");
    let ino = txn.create_collection(InodeNo::ROOT, name.as_bytes(), &spec).expect("collection");
    txn.commit().expect("commit");
    let mut txn = volume.begin().expect("begin");
    let mut appender = Appender::open(&mut txn, name, ino).expect("appender");
    appender.push(&mut txn, rows, ids).expect("push");
    appender.finish(&mut txn).expect("finish");
    txn.commit().expect("commit");
}

/// Marks rows of a collection as deleted.
pub(crate) fn delete(volume: &mut Volume, name: &str, rows: &[u64]) {
    let ino =
        vexfs_fs::path::resolve(volume, name, vexfs_fs::path::LastLink::Follow).expect("found").number();
    let mut txn = volume.begin().expect("begin");
    txn.delete_rows(name, ino, rows).expect("delete");
    txn.commit().expect("commit");
}

/// Writes an ordinary file into a directory.
pub(crate) fn file(volume: &mut Volume, directory: InodeNo, name: &str, bytes: &[u8]) {
    let mut txn = volume.begin().expect("begin");
    let mut writer = txn.write_file(directory, name.as_bytes()).expect("file");
    writer.write(&mut txn, bytes).expect("write");
    writer.finish(&mut txn).expect("finish");
    txn.commit().expect("commit");
}

/// Bytes without a pattern that blocks repeat.
pub(crate) fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Packed rows of f32 that tell their row.
pub(crate) fn rows_f32(count: usize, dim: usize) -> Vec<u8> {
    (0..count * dim).flat_map(|i| (i as f32 / 8.0 - 3.0).to_le_bytes()).collect()
}

/// Changes one byte of a block.
pub(crate) fn damage(image: &Path, block: u64, offset: u64) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::File::options().read(true).write(true).open(image).expect("open");
    let mut byte = [0];
    file.read_exact_at(&mut byte, block * 4096 + offset).expect("read");
    byte[0] ^= 0xFF;
    file.write_all_at(&byte, block * 4096 + offset).expect("write");
}
