//! Where blocks are allocated: long runs of streams begin large pages where the stream does, at the price of no run more.

mod common;

use std::sync::Arc;

use common::{open_ro, open_rw, options};
use vexfs_device::{Device, LARGE_PAGE, MemDevice};
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::geometry::BlockRun;
use vexfs_fs::alloc::BlockUse;
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::file::FileWriter;
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{BlockSource, mkfs};

const BYTES: u64 = 512 << 20;
const BLOCK_SIZE: u32 = 4096;
const LARGE: u64 = LARGE_PAGE as u64 / BLOCK_SIZE as u64;

/// A filesystem without a vector zone, whose end would cut a run short.
fn formatted() -> Arc<dyn Device> {
    let device = Arc::new(MemDevice::new(BYTES));
    let mut options = options(BYTES, BLOCK_SIZE);
    options.geometry.vector_zone = false;
    mkfs::format(device.clone(), &options).expect("mkfs");
    device
}

#[test]
fn the_extents_of_a_growing_stream_begin_large_pages_where_it_does() {
    let device = formatted();
    let mut volume = open_rw(&device);
    let mut txn = volume.begin().expect("a transaction");
    let ino = txn.create(InodeNo::ROOT, b"stream", InodeKind::File, 0o644).expect("an inode").number();
    let mut writer = FileWriter::append(&mut txn, ino, BlockUse::Vectors).expect("a writer");
    let piece = vec![7; 2 * LARGE_PAGE];
    for _ in 0..20 {
        // What is allocated between them lies anywhere.
        txn.allocate(3, BlockUse::Vectors).expect("three blocks");
        writer.write(&mut txn, &piece).expect("written");
    }
    writer.finish(&mut txn).expect("finished");
    txn.commit().expect("committed");
    volume.close().expect("close");

    let volume = open_ro(&device);
    let stream = resolve(&volume, "/stream", LastLink::Follow).expect("the stream");
    let map = ExtentMap::load(&volume, &stream).expect("extents");
    let runs: Vec<_> = map.range(0, map.data_end()).collect();
    assert!(runs.len() > 2, "{runs:?}");
    for run in &runs {
        assert_eq!(run.start.get() % LARGE, run.logical.get() % LARGE, "{run:?}");
    }
}

#[test]
fn a_run_that_only_just_holds_a_request_is_taken_whole() {
    let device = formatted();
    let mut volume = open_rw(&device);
    let free = volume.superblock().free_blocks.get();
    let mut txn = volume.begin().expect("a transaction");
    txn.use_reserve();
    let all = txn.allocate(free, BlockUse::Vectors).expect("all that is free");
    let longest = all.iter().max_by_key(|run| run.len).expect("a run");
    let odd = longest.start.next_multiple_of(LARGE) + 5;
    // Two that are too short, and one that holds it only from its first block on.
    let spare = BlockRun { start: odd + 4 * LARGE, len: 2 * LARGE };
    for run in [BlockRun { start: odd, len: LARGE }, spare, BlockRun { start: odd + 8 * LARGE, len: LARGE }] {
        txn.give_back(run).expect("given back");
    }
    assert_eq!(txn.allocate(2 * LARGE, BlockUse::Vectors).expect("allocated"), [spare]);
}

#[test]
fn short_runs_are_packed() {
    let device = formatted();
    let mut volume = open_rw(&device);
    let mut txn = volume.begin().expect("a transaction");
    let mut end = None;
    for len in [1, 7, 2 * LARGE - 1, 3] {
        let runs = txn.allocate(len, BlockUse::Vectors).expect("allocated");
        assert_eq!(runs.len(), 1);
        assert!(end.is_none_or(|end| end == runs[0].start), "{runs:?} behind {end:?}");
        end = Some(runs[0].end());
    }
}
