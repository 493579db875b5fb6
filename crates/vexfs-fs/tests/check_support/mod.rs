//! What the tests of the check share: a filesystem with something of everything, and short words for running the check.

#![allow(dead_code, unreachable_pub)] // each test file uses its own part

pub mod image;

use std::sync::Arc;

use vexfs_device::{Device, MemDevice};
use vexfs_format::InodeNo;
use vexfs_format::codes::{DType, InodeKind, Metric};
use vexfs_fs::check::{self, CheckOptions, CheckReport, DataLevel, Problem};
use vexfs_fs::collection::append::{Appender, RowIds};
use vexfs_fs::collection::create::CollectionSpec;
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{Volume, dir, mkfs};

use crate::common::{append, open_rw, options, put_file, rows_f32, spec};

/// Checks everything, contents included.
pub fn check_full(device: Arc<dyn Device>) -> (CheckReport, Vec<Problem>) {
    check_level(device, DataLevel::Full)
}

pub fn check_level(device: Arc<dyn Device>, data: DataLevel) -> (CheckReport, Vec<Problem>) {
    let mut problems = Vec::new();
    let options = CheckOptions { data, ..CheckOptions::default() };
    let report = check::check(device, &options, &mut problems).expect("the check comes to its end");
    (report, problems)
}

/// The codes that a check of everything finds.
pub fn codes(device: Arc<dyn Device>) -> Vec<String> {
    check_full(device).1.iter().map(|problem| problem.code().to_string()).collect()
}

/// All problems as lines, for messages of failing tests.
pub fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

/// A filesystem with something of everything: directories in a tree of several blocks, files of several extents and with an extent tree,
/// links, a collection with plain rows and deletions, one with ids, one with keys, one of bits.
pub fn filled(mib: u64, block_size: u32) -> MemDevice {
    let device = Arc::new(MemDevice::new(mib << 20).with_name("sample"));
    mkfs::format(device.clone(), &options(mib << 20, block_size)).expect("mkfs");
    let shared: Arc<dyn Device> = device.clone();
    let mut volume = open_rw(&shared);
    fill(&mut volume);
    volume.close().expect("close");
    device.fork()
}

/// The same bytes on a device of its own.
pub fn copy(device: &dyn Device) -> MemDevice {
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(0, &mut bytes).expect("read");
    MemDevice::from_bytes(bytes).with_name("sample")
}

/// Files in `/many`: more than one directory block holds them at every block size.
pub const MANY: u32 = 900;

fn fill(volume: &mut Volume) {
    let mut txn = volume.begin().expect("begin");
    let models = txn.make_directory(InodeNo::ROOT, b"models").expect("directory");
    let deep = txn.make_directory(models, b"deep").expect("directory");
    let many = txn.make_directory(InodeNo::ROOT, b"many").expect("directory");
    txn.make_symlink(InodeNo::ROOT, b"short", b"models/card.md").expect("link");
    txn.make_symlink(deep, b"long", &[b'x'; 300]).expect("link");
    let file = txn.create(InodeNo::ROOT, b"twice", InodeKind::File, 0o644).expect("file").number();
    for name in ["ids", "keys"] {
        txn.create_collection(InodeNo::ROOT, name.as_bytes(), &spec(16)).expect("collection");
    }
    let bits = CollectionSpec { dim: 100, dtype: DType::B1, metric: Metric::Hamming, normalized: false };
    txn.create_collection(models, b"bits", &bits).expect("collection");
    txn.commit().expect("commit");

    let mut txn = volume.begin().expect("begin");
    for n in 0..MANY {
        dir::insert(&mut txn, many, many_name(n).as_bytes(), file, InodeKind::File).expect("insert");
    }
    txn.commit().expect("commit");
    set_links(volume, file, MANY + 1);

    put_file(volume, models, b"card.md", b"hello").expect("file");
    put_file(volume, deep, b"large", &pattern(700_000)).expect("file");
    append(volume, "vectors", &rows_f32(1, 3000, 8), RowIds::Auto).expect("rows");
    let ids: Vec<u64> = (0..500).map(|n| (n * 7919) % 5003 + 10).collect();
    append(volume, "ids", &rows_f32(2, 500, 16), RowIds::Ids(&ids)).expect("rows");
    let keys: Vec<String> = (0..400).map(|n| format!("key-{n:03}-ä")).collect();
    append(volume, "keys", &rows_f32(3, 400, 16), RowIds::Keys(&keys)).expect("rows");
    append(volume, "models/bits", &[0x0F; 13 * 50], RowIds::Auto).expect("rows");
    describe(volume);
    let vectors = resolve(volume, "vectors", LastLink::Follow).expect("collection").number();
    let mut txn = volume.begin().expect("begin");
    txn.delete_rows("vectors", vectors, &[3, 99, 2999]).expect("delete");
    txn.commit().expect("commit");
    // Many small appends with something in between give a file with an extent tree.
    for n in 0..20 {
        append(volume, "models/bits", &[0xF0; 13 * 400], RowIds::Auto).expect("rows");
        put_file(volume, deep, format!("f{n}").as_bytes(), &pattern(5000 + n)).expect("file");
    }
}

/// A collection whose rows have a payload of 20 bytes, every tenth none.
fn describe(volume: &mut Volume) {
    let mut txn = volume.begin().expect("begin");
    let ino = txn.create_collection(InodeNo::ROOT, b"described", &spec(4)).expect("collection");
    let mut appender = Appender::open(&mut txn, "described", ino).expect("appender");
    appender.push(&mut txn, &rows_f32(4, 300, 4), RowIds::Auto).expect("rows");
    let payload =
        |n: u32| if n % 10 == 9 { String::new() } else { format!("{{\"n\":{},\"s\":\"äx\"}}", 1000 + n) };
    appender.push_payload(&mut txn, &(0..300).map(payload).collect::<Vec<_>>()).expect("payload");
    appender.finish(&mut txn).expect("finish");
    txn.commit().expect("commit");
}

pub fn many_name(n: u32) -> String {
    format!("a-name-of-some-length-so-that-blocks-fill-up-{n:05}")
}

pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|n| ((n * 31) >> 3) as u8).collect()
}

/// Makes the link count of a file agree with entries that were inserted one by one.
fn set_links(volume: &mut Volume, ino: InodeNo, links: u32) {
    use vexfs_fs::BlockSource;
    use zerocopy::IntoBytes;
    let mut inode = vexfs_fs::inode::read(volume, ino).expect("inode");
    inode.links = links.into();
    inode.seal(volume.seed());
    let place = vexfs_fs::inode::locate(volume, ino).expect("place");
    // What is at home must be what the volume sees.
    let device = volume.device().clone();
    let reopened = {
        let (fresh, dev) = (OPEN_RW, device.clone());
        Volume::open(dev, &fresh).expect("replay")
    };
    let offset = reopened.offset(place.block) + place.offset as u64;
    device.write_at(offset, inode.as_bytes()).expect("write");
    reopened.close().expect("close");
    *volume = open_rw(&device);
}

const OPEN_RW: vexfs_fs::OpenOptions =
    vexfs_fs::OpenOptions { write: true, superblock: None, block_size: None, now_ns: 1_000 };
