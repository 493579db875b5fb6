//! Files and streams in pieces are brought together: the contents stay, and a crash leaves each where it was or where it goes.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Silent, append, get_file, open_ro, open_rw, options, put_file, read_rows, rows_f32};
use vexfs_device::{CrashOptions, CrashStates, Device, MemDevice, RecordDevice};
use vexfs_format::InodeNo;
use vexfs_fs::check::{CheckOptions, DataLevel, Problem, check};
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::defrag::{Defragmented, Fragmented, fragmented, pieces};
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::index::Progress;
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{BlockSource, FsError, OpenOptions, Volume, mkfs};

const BYTES: u64 = 16 << 20;
const PARTS: u32 = 6;

/// Rows and a file that were written in turns, so that they lie between each other.
fn interleaved(device: &Arc<dyn Device>) {
    let mut mkfs_options = options(BYTES, 4096);
    mkfs_options.geometry.journal_blocks = Some(256);
    mkfs::format(device.clone(), &mkfs_options).expect("mkfs");
    let mut volume = open_rw(device);
    let mut txn = volume.begin().expect("a transaction");
    txn.create_collection(InodeNo::ROOT, b"other", &common::spec(8)).expect("a collection");
    txn.commit().expect("committed");
    for part in 0..PARTS {
        append(&mut volume, "vectors", &rows_f32(part, 500, 8), RowIds::Auto).expect("append");
        append(&mut volume, "other", &rows_f32(part + 50, 300, 8), RowIds::Auto).expect("append");
    }
    volume.close().expect("close");
}

fn rows(base: u32, count: usize) -> Vec<u8> {
    (0..PARTS).flat_map(|part| rows_f32(base + part, count, 8)).collect()
}

fn assert_whole(device: &Arc<dyn Device>, what: &str) {
    let mut found: Vec<Problem> = Vec::new();
    let options = CheckOptions { data: DataLevel::Full, ..CheckOptions::default() };
    check(device.clone(), &options, &mut found).expect("checked");
    assert_eq!(found, [], "{what}");
    let volume = open_ro(device);
    assert!(read_rows(&volume, "vectors").expect("rows") == rows(0, 500), "{what}");
    assert!(read_rows(&volume, "other").expect("rows") == rows(50, 300), "{what}");
}

fn names(objects: &[Fragmented]) -> Vec<&str> {
    objects.iter().map(|object| object.path.as_str()).collect()
}

fn new_device() -> Arc<dyn Device> {
    let device: Arc<dyn Device> = Arc::new(MemDevice::new(BYTES));
    interleaved(&device);
    device
}

#[test]
fn what_lies_in_pieces_lies_in_one_afterwards_and_nothing_else_changes() {
    let device = new_device();
    let mut volume = open_rw(&device);
    let stat = |volume: &Volume| resolve(volume, "/vectors/vectors", LastLink::Follow).expect("the stream");
    let (free, before) = (volume.superblock().free_blocks.get(), stat(&volume));
    let todo = fragmented(&volume).expect("found");
    assert_eq!(names(&todo)[..], ["/other/crc", "/other/vectors", "/vectors/crc", "/vectors/vectors"]);
    for object in &todo {
        let moved = volume.defragment(object, &Silent).expect("moved");
        assert_eq!(moved, Defragmented::Moved { pieces: 1 }, "{}", object.path);
    }
    assert_eq!(fragmented(&volume).expect("found"), []);
    let after = stat(&volume);
    assert_eq!(after.modified_ns, before.modified_ns);
    let map = ExtentMap::load(&volume, &after).expect("extents");
    assert_eq!(pieces(&map), 1);
    let zone = volume.geometry().zone;
    assert!((zone.start..zone.end()).contains(&map.runs()[0].start.get()), "rows lie in the zone");
    assert!(volume.superblock().free_blocks.get() >= free, "nothing was used up");
    volume.close().expect("close");
    assert_whole(&device, "afterwards");
}

#[test]
fn a_crash_leaves_each_object_where_it_was_or_where_it_goes() {
    let base = MemDevice::new(BYTES);
    let device: Arc<dyn Device> = Arc::new(base.fork());
    interleaved(&device);
    for at in (0..BYTES).step_by(1 << 20) {
        let mut bytes = vec![0; 1 << 20];
        device.read_at(at, &mut bytes).expect("read");
        base.write_at(at, &bytes).expect("write");
    }
    let recorded = Arc::new(RecordDevice::new(base.fork()));
    let open = OpenOptions { write: true, now_ns: 1_000, ..OpenOptions::default() };
    let mut volume = Volume::open(recorded.clone(), &open).expect("open");
    let todo = fragmented(&volume).expect("found");
    for (done, object) in todo.iter().enumerate() {
        volume.defragment(object, &Silent).expect("moved");
        recorded.mark((done + 1).to_string());
    }
    drop(volume);
    let log = recorded.take_log();
    let options = CrashOptions { subset_limit: 16, samples: 4, ..CrashOptions::default() };
    let mut count = 0;
    for state in CrashStates::new(&base, &log, options) {
        count += 1;
        let text = state.description.clone();
        let acknowledged = state.durable_mark.map_or(0, |mark| mark.parse::<usize>().expect("a number"));
        let image: Arc<dyn Device> = Arc::new(state.image.fork());
        assert_whole(&image, &text);
        let mut volume = open_rw(&image);
        let left = fragmented(&volume).expect("found");
        let allowed = [acknowledged, acknowledged + 1].map(|done| names(&todo[done.min(todo.len())..]));
        assert!(allowed.contains(&names(&left)), "{text}: {left:?}");
        if count % 8 == 0 {
            for object in &left {
                volume.defragment(object, &Silent).expect("the same goes on");
            }
            volume.close().expect("close");
            assert_whole(&image, &text);
        }
    }
    assert!(count > 60, "only {count} states");
}

/// Stops at the given question.
struct StopAt(AtomicU64);

impl Progress for StopAt {
    fn step(&self, _stage: &'static str, _done: u64, _total: u64) {}

    fn is_interrupted(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

#[test]
fn an_interruption_no_room_and_damage_leave_an_object_as_it_is() {
    let device = new_device();
    let mut volume = open_rw(&device);
    let todo = fragmented(&volume).expect("found");
    let stopped = volume.defragment(&todo[3], &StopAt(AtomicU64::new(1)));
    assert!(matches!(stopped, Err(FsError::Interrupted)), "{stopped:?}");
    assert_eq!(fragmented(&volume).expect("found"), todo);
    // Filled up but for a few blocks.
    let blocks = volume.superblock().free_blocks.get() - volume.superblock().reserved_blocks.get();
    let zone = volume.geometry().zone.len;
    let file = vec![1; ((blocks - zone - 20) * 4096) as usize];
    put_file(&mut volume, InodeNo::ROOT, b"filler", &file).expect("a file");
    append(&mut volume, "other", &rows_f32(90, (zone * 4096 / 32) as usize - 4000, 8), RowIds::Auto)
        .expect("append");
    let large =
        fragmented(&volume).expect("found").into_iter().find(|object| object.path == "/other/vectors");
    let outcome = volume.defragment(&large.expect("in pieces"), &Silent).expect("tried");
    assert_eq!(outcome, Defragmented::NoRoom);
    assert!(get_file(&volume, "/filler").expect("the file") == file);
    // A damaged block stays where it is, with what says that it is damaged.
    let stream = resolve(&volume, "/vectors/vectors", LastLink::Follow).expect("the stream");
    let place = ExtentMap::load(&volume, &stream).expect("extents").runs()[0].start;
    let damaged = todo.iter().find(|object| object.path == "/vectors/vectors").expect("in pieces");
    volume.close().expect("close");
    device.write_at(place.get() * 4096 + 7, b"damage").expect("write");
    let mut volume = open_rw(&device);
    let outcome = volume.defragment(damaged, &Silent);
    assert!(matches!(outcome, Err(FsError::Corrupt(_)) | Ok(Defragmented::NoRoom)), "{outcome:?}");
}
