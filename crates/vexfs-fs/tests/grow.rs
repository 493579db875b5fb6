//! A filesystem grows: what was in it stays, all of the new space can be used, and every crash leaves the old size or the new one.

mod common;

use std::sync::Arc;

use common::{append, get_file, open_ro, open_rw, options, put_file, read_rows, rows_f32};
use vexfs_device::{CrashOptions, CrashStates, Device, MemDevice, RecordDevice};
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_fs::alloc::BlockUse;
use vexfs_fs::check::repair::{Mode, RepairOptions, repair};
use vexfs_fs::check::{CheckOptions, Problem, check};
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::grow::Growth;
use vexfs_fs::mkfs::{self, MkfsOptions};
use vexfs_fs::{BlockSource, FsError, OpenOptions, Volume};

const MIB: u64 = 1 << 20;
const FILE: &[u8] = &[7; 30_000];

/// A filesystem made by `options` at the start of a device of `bytes` bytes, with rows and a file.
fn filled(options: &MkfsOptions, bytes: u64) -> Arc<dyn Device> {
    let device = Arc::new(MemDevice::new(bytes));
    let extent = options.geometry.device_blocks * u64::from(options.geometry.block_size);
    mkfs::format(device.clone(), &MkfsOptions { extent: Some(extent), ..options.clone() }).expect("mkfs");
    let device: Arc<dyn Device> = device;
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows_f32(1, 300, 8), RowIds::Auto).expect("append");
    put_file(&mut volume, InodeNo::ROOT, b"file", FILE).expect("a file");
    volume.close().expect("close");
    device
}

fn problems(device: &Arc<dyn Device>) -> Vec<Problem> {
    let mut found = Vec::new();
    check(device.clone(), &CheckOptions::default(), &mut found).expect("checked");
    found
}

fn assert_whole(device: &Arc<dyn Device>, what: &str) {
    assert_eq!(problems(device), [], "{what}");
    let volume = open_ro(device);
    assert!(read_rows(&volume, "vectors").expect("rows") == rows_f32(1, 300, 8), "{what}");
    assert!(get_file(&volume, "/file").expect("the file") == FILE, "{what}");
}

/// Every block that is free can be allocated, and every inode that a group more brings.
fn assert_usable(device: &Arc<dyn Device>, what: &str) {
    let mut volume = open_rw(device);
    let free = volume.superblock().free_blocks.get();
    let mut txn = volume.begin().expect("a transaction");
    txn.use_reserve();
    let runs = txn.allocate(free, BlockUse::Vectors).expect("all that is free");
    assert_eq!(runs.iter().map(|run| run.len).sum::<u64>(), free, "{what}");
    drop(txn);
    let mut txn = volume.begin().expect("a transaction");
    // Near the last inode there is, one of the last group is free.
    let last = InodeNo(txn.superblock().inodes.get());
    let near = txn.allocate_inode(last, false).expect("an inode");
    assert!(near.get() + u64::from(txn.superblock().inodes_per_group.get()) > last.get(), "{what}: {near:?}");
    let made = txn.create(InodeNo::ROOT, b"new", InodeKind::File, 0o644);
    assert!(made.is_ok(), "{what}: {made:?}");
}

fn grow(device: &Arc<dyn Device>, bytes: u64) -> Option<Growth> {
    let mut volume = open_rw(device);
    let free = volume.superblock().free_blocks.get();
    let planned = Growth::plan(&volume, bytes).expect("planned");
    let growth = volume.grow(bytes).expect("grown");
    assert_eq!(planned.map(|growth| growth.after), growth.as_ref().map(|growth| growth.after.clone()));
    if let Some(growth) = &growth {
        assert_eq!(volume.geometry(), growth.after);
        assert_eq!(volume.superblock().free_blocks.get(), free + growth.gained_blocks());
    }
    volume.close().expect("close");
    growth
}

#[test]
fn all_of_a_longer_device_can_be_used_and_nothing_is_lost() {
    // Bytes per block, MiB before, and MiB after each growth.
    let cases: [(u32, u64, &[u64]); 9] = [
        (4096, 8, &[9]),               // less than the tail is long
        (4096, 8, &[20, 127, 128]),    // within the first group
        (4096, 100, &[300]),           // a partial last group, and a backup in group 1
        (4096, 128, &[129, 131, 256]), // a last group that is not worth it at first
        (4096, 300, &[1900]),          // the flex group of the old end
        (4096, 1900, &[2100, 2500]),   // a second flex group, partial, then longer
        (4096, 300, &[8192]),          // as far as the table goes
        (16384, 64, &[3000, 9000]),
        (65536, 64, &[40_000]),
    ];
    for (block_size, before, after) in cases {
        let last = after.last().expect("a size") * MIB;
        let device = filled(&options(before * MIB, block_size), last + 12_345);
        for &mib in after {
            let what = format!("blocks of {block_size}, {before} MiB to {mib} MiB of {after:?}");
            grow(&device, mib * MIB);
            assert_whole(&device, &what);
            assert_usable(&device, &what);
            assert!(grow(&device, mib * MIB).is_none(), "{what}: nothing is left to gain");
        }
    }
}

#[test]
fn groups_that_cannot_share_a_run_keep_their_metadata_to_themselves() {
    let mut options = options(128 * MIB, 4096);
    // Inode tables of half a group: two do not fit into one group, sixteen even less.
    options.geometry.inode_size = 4096;
    options.geometry.inodes = Some(16_000);
    let device = filled(&options, 768 * MIB);
    let growth = grow(&device, 768 * MIB).expect("grown");
    assert_eq!(growth.after.groups, 6);
    assert_whole(&device, "large tables");
    assert_usable(&device, "large tables");
}

#[test]
fn a_filesystem_that_has_grown_is_found_by_its_backups() {
    let device = filled(&options(100 * MIB, 4096), 700 * MIB);
    let old_tail = open_ro(&device).geometry().tail_backup();
    let growth = grow(&device, 700 * MIB).expect("grown");
    let backups = growth.after.backups();
    assert_eq!(backups.len(), 4, "groups 1, 3, 5, and the tail: {backups:?}");
    for backup in backups {
        let open = OpenOptions { superblock: Some(backup), block_size: Some(4096), ..OpenOptions::default() };
        let volume = Volume::open(device.clone(), &open).expect("a volume");
        assert_eq!(volume.geometry(), growth.after, "{backup:?}");
    }
    assert!(vexfs_fs::probe::read_superblock(&*device, old_tail, 4096).is_err(), "the old copy is gone");
    // Without the primary and its table a repair goes by the copies, which know where the new groups keep their metadata.
    device.zero(0, 3 * 4096).expect("zeroed");
    let options = RepairOptions { mode: Mode::Yes, now_ns: 2_000, ..RepairOptions::default() };
    repair(device.clone(), &options, &mut Vec::new()).expect("repaired");
    assert_whole(&device, "after the repair");
    assert_eq!(open_ro(&device).geometry(), growth.after);
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let device = filled(&options(16 * MIB, 4096), 32 * MIB);
    let before = device_bytes(&device);
    let mut volume = open_rw(&device);
    let shrink = volume.grow(15 * MIB);
    assert!(
        matches!(shrink, Err(FsError::CannotShrink { have, wanted, .. }) if (have, wanted) == (16 * MIB, 15 * MIB))
    );
    // One block of descriptors: 64 groups of 128 MiB.
    let limit = volume.grow(8193 * MIB);
    assert!(matches!(limit, Err(FsError::GrowthLimit { limit, .. }) if limit == 8192 * MIB), "{limit:?}");
    let short = volume.grow(33 * MIB);
    assert!(matches!(short, Err(FsError::DeviceTooShort { need, .. }) if need == 33 * MIB), "{short:?}");
    assert!(volume.grow(16 * MIB + 4095).expect("nothing to do").is_none());
    drop(volume);
    assert!(device_bytes(&device) == before);
}

fn device_bytes(device: &Arc<dyn Device>) -> Vec<u8> {
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(0, &mut bytes).expect("read");
    bytes
}

/// Every crash state of a growth from `before` to `after` MiB: the old filesystem or the new one, sound. Returns how many there are of each.
fn sweep(before: u64, after: u64) -> (usize, usize) {
    let mut mkfs_options = options(before * MIB, 4096);
    mkfs_options.geometry.journal_blocks = Some(256);
    let filled = filled(&mkfs_options, after * MIB);
    let device = Arc::new(RecordDevice::new(filled));
    let open = OpenOptions { write: true, now_ns: 1_000, ..OpenOptions::default() };
    let mut volume = Volume::open(device.clone(), &open).expect("open");
    // Something waits in the journal.
    put_file(&mut volume, InodeNo::ROOT, b"late", &[1; 5000]).expect("a file");
    let base = MemDevice::new(after * MIB);
    copy(device.inner(), &base);
    device.take_log();
    let old = volume.geometry();
    volume.grow(after * MIB).expect("grown").expect("longer");
    device.mark("grown");
    let new = volume.geometry();
    put_file(&mut volume, InodeNo::ROOT, b"later", &[2; 5000]).expect("a file");
    drop(volume);
    let log = device.take_log();
    let options = CrashOptions { subset_limit: 64, samples: 8, ..CrashOptions::default() };
    let (mut olds, mut news) = (0, 0);
    for state in CrashStates::new(&base, &log, options) {
        let text = state.description.clone();
        let acknowledged = state.durable_mark.is_some();
        let image: Arc<dyn Device> = Arc::new(state.image.fork());
        assert_whole(&image, &text);
        let found = open_ro(&image).geometry();
        assert!(found == new || (found == old && !acknowledged), "{text}: {found:?}");
        *(if found == new { &mut news } else { &mut olds }) += 1;
        // Whatever it is, the same command makes it the new one.
        grow(&image, after * MIB);
        assert_whole(&image, &text);
        assert_eq!(open_ro(&image).geometry(), new, "{text}");
        assert_eq!(get_file(&open_ro(&image), "/late").expect("the file"), [1; 5000], "{text}");
    }
    (olds, news)
}

fn copy(from: &impl Device, to: &MemDevice) {
    let mut bytes = vec![0; 1 << 20];
    for at in (0..from.len()).step_by(bytes.len()) {
        from.read_at(at, &mut bytes).expect("read");
        if bytes.iter().any(|&byte| byte != 0) {
            to.write_at(at, &bytes).expect("write");
        }
    }
}

#[test]
fn a_crash_leaves_the_old_size_or_the_new_one() {
    for (before, after) in [(8, 24), (100, 420)] {
        let (olds, news) = sweep(before, after);
        assert!(olds > 20 && news > 20, "{before} to {after} MiB: {olds} old, {news} new");
    }
}

#[test]
fn the_old_end_is_not_taken_for_one() {
    // Data lies where the tail was, and the next growth does not mind.
    let device = filled(&options(8 * MIB, 4096), 64 * MIB);
    grow(&device, 32 * MIB);
    let mut volume = open_rw(&device);
    let contents: Vec<u8> = (0..20 * MIB).map(|at| (at / 4096) as u8).collect();
    put_file(&mut volume, InodeNo::ROOT, b"large", &contents).expect("a file");
    volume.close().expect("close");
    grow(&device, 64 * MIB);
    assert_whole(&device, "with data at the old end");
    assert!(get_file(&open_ro(&device), "/large").expect("the file") == contents);
}
