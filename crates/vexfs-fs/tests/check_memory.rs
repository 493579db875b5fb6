//! A check holds no more than `fsck.vexfs --help` says of `-m`: on a device of many groups, and with many rows.
//!
//! `VEXFS_PROVE=all` (`make prove`) takes 16 TiB and ten million rows.

mod common;
mod counting;

use std::sync::Arc;

use vexfs_device::{Device, MemDevice};
use vexfs_fs::check::{CheckOptions, DataLevel, Problem, check};
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::mkfs;

use common::{append, open_rw, options, rows_f32};

/// Bytes for each block group.
const PER_GROUP: u64 = 256;
/// Blocks of metadata and buffers.
const BUFFERS: u64 = 20 << 20;
/// Where there are few blocks of metadata.
const FEW_BUFFERS: u64 = 1 << 20;

fn is_long() -> bool {
    std::env::var("VEXFS_PROVE").is_ok_and(|value| value == "all")
}

/// The most that a check which finds nothing holds.
fn held(device: &Arc<dyn Device>, data: DataLevel, memory: u64) -> u64 {
    let options = CheckOptions { data, memory, ..CheckOptions::default() };
    let mut problems: Vec<Problem> = Vec::new();
    let held = counting::peak(|| {
        let report = check(device.clone(), &options, &mut problems).expect("the check comes to its end");
        assert!(report.is_clean(), "{problems:?}");
    });
    println!("{held} bytes held");
    held
}

#[test]
fn each_group_takes_256_bytes() {
    let bytes: u64 = if is_long() { 16 << 40 } else { 1 << 40 };
    let device = Arc::new(MemDevice::new(bytes));
    mkfs::format(device.clone(), &options(bytes, 4096)).expect("mkfs");
    let groups = bytes / (32_768 * 4096);
    let device: Arc<dyn Device> = device;
    let held = held(&device, DataLevel::Full, 0);
    assert!(held <= groups * PER_GROUP + BUFFERS, "{held} bytes for {groups} groups");
}

#[test]
fn rows_take_none_however_many_there_are() {
    const PART: usize = 500_000;
    let (rows, mib) = if is_long() { (10_000_000, 512_u64) } else { (1_000_000, 64) };
    let device: Arc<dyn Device> = Arc::new(MemDevice::new(mib << 20));
    let mut layout = options(mib << 20, 4096);
    layout.collection = Some(mkfs::DefaultCollection::new("vectors", 2));
    mkfs::format(device.clone(), &layout).expect("mkfs");
    let mut volume = open_rw(&device);
    // Ids that fall: whether one occurs twice takes a comparison of all.
    let ids: Vec<u64> = (0..rows as u64).rev().collect();
    for ids in ids.chunks(PART) {
        append(&mut volume, "vectors", &rows_f32(1, ids.len(), 2), RowIds::Ids(ids)).expect("rows");
    }
    volume.close().expect("close");
    drop(ids);
    let memory = 8 << 20;
    let held = held(&device, DataLevel::Full, memory);
    assert!(held <= memory / 4 + FEW_BUFFERS, "{held} bytes for {rows} rows");
}
