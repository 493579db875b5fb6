//! Making a filesystem: what it leaves of earlier ones, and what a crash leaves of it.

mod common;

use std::sync::Arc;

use common::{append, formatted, open_ro, open_rw, options, read_rows, rows_f32};
use vexfs_device::{CrashOptions, CrashStates, Device, MemDevice, RecordDevice};
use vexfs_format::BlockNo;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::mkfs::{DefaultCollection, MkfsOptions, format, format_watched};
use vexfs_fs::{BlockSource, FsError, OpenOptions, Volume, probe};

const OTHER: [u8; 16] = *b"fedcba9876543210";

fn other_options(bytes: u64) -> MkfsOptions {
    MkfsOptions { uuid: OTHER, ..options(bytes, 4096) }
}

/// A filesystem with ten rows, closed.
fn filled(mib: u64) -> Arc<dyn Device> {
    let device = formatted(mib, 4096);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows_f32(1, 10, 8), RowIds::Auto).expect("append");
    volume.close().expect("close");
    device
}

fn copy(device: &dyn Device) -> MemDevice {
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(0, &mut bytes).expect("read");
    MemDevice::from_bytes(bytes)
}

#[test]
fn a_crash_leaves_the_old_filesystem_none_or_the_new_one_whole() {
    let base = copy(&*filled(16));
    for discard in [false, true] {
        let record = Arc::new(RecordDevice::new(base.fork()));
        let asked = MkfsOptions { discard, ..other_options(16 << 20) };
        format(record.clone(), &asked).expect("mkfs");
        let (mut old, mut none, mut new) = (0, 0, 0);
        for state in
            CrashStates::new(&base, &record.log(), CrashOptions { samples: 16, ..Default::default() })
        {
            match Volume::open(Arc::new(state.image), &OpenOptions::default()) {
                Err(FsError::NotVexfs { .. }) => none += 1,
                Err(e) => panic!("{}: {e}", state.description),
                Ok(volume) if volume.superblock().uuid == OTHER => {
                    assert_eq!(read_rows(&volume, "vectors").expect(&state.description), [0_u8; 0]);
                    new += 1;
                }
                Ok(volume) => {
                    let rows = read_rows(&volume, "vectors").expect(&state.description);
                    assert_eq!(rows, rows_f32(1, 10, 8), "{}", state.description);
                    old += 1;
                }
            }
        }
        assert!(old > 0 && none > 0 && new > 0, "{old} {none} {new}");
    }
}

#[test]
fn stopped_between_any_two_steps_no_superblock_is_left() {
    let old = filled(16);
    for steps in 1.. {
        let device = Arc::new(copy(&*old));
        let mut left = steps;
        let mut go_on = |_| {
            left -= 1;
            left > 0
        };
        let asked = MkfsOptions { discard: true, ..other_options(16 << 20) };
        match format_watched(device.clone(), &asked, &mut go_on) {
            Err(FsError::Interrupted) if steps == 1 => {
                assert_eq!(device.snapshot(), copy(&*old).snapshot(), "nothing had begun");
            }
            Err(FsError::Interrupted) => {
                let error = Volume::open(device, &OpenOptions::default()).expect_err("no VexFS");
                assert!(matches!(error, FsError::NotVexfs { .. }), "{error}");
            }
            Ok(_) => {
                assert!(steps > 3, "there is more than one step");
                return;
            }
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn nothing_of_another_size_is_found_again() {
    // Backups of a longer filesystem with larger blocks lie where those of the new one do not.
    let device = Arc::new(MemDevice::new(300 << 20));
    let long = options(300 << 20, 4096);
    format(device.clone(), &long).expect("mkfs");
    let mut short = other_options(64 << 20);
    short.geometry.block_size = 8192;
    short.geometry.device_blocks = (300 << 20) / 8192;
    format(device.clone(), &short).expect("mkfs");
    let first = BlockNo(short.plan().expect("plan").1.backups()[0].get());
    for block in long.plan().expect("plan").1.backups() {
        let found = probe::read_superblock(&device, block, 4096);
        assert!(found.is_err(), "backup in block {block} of 4096 bytes");
    }
    assert_eq!(probe::read_superblock(&device, first, 8192).expect("backup").uuid, OTHER);
}

#[test]
fn bytes_behind_the_extent_are_left_alone() {
    let device = Arc::new(MemDevice::from_bytes(vec![0xA5; 32 << 20]));
    let asked = MkfsOptions { extent: Some(16 << 20), discard: true, ..options(16 << 20, 4096) };
    format(device.clone(), &asked).expect("mkfs");
    assert!(device.snapshot()[16 << 20..].iter().all(|&b| b == 0xA5));
    let device: Arc<dyn Device> = device;
    assert_eq!(read_rows(&open_ro(&device), "vectors").expect("empty"), [0_u8; 0]);
}

#[test]
fn a_layout_that_does_not_fit_changes_nothing() {
    let device = Arc::new(MemDevice::from_bytes(vec![0xA5; 16 << 20]));
    let error = format(device.clone(), &options(32 << 20, 4096)).expect_err("too long");
    assert!(matches!(error, FsError::DeviceTooShort { .. }), "{error}");
    let asked = MkfsOptions { extent: Some(8 << 20), ..options(16 << 20, 4096) };
    format(device.clone(), &asked).expect_err("longer than its extent");
    for name in ["lost+found", "a/b", "..", ""] {
        let mut asked = options(16 << 20, 4096);
        asked.collection = Some(DefaultCollection::new(name, 8));
        let error = format(device.clone(), &asked).expect_err(name);
        assert!(matches!(error, FsError::InvalidName { .. }), "{name}: {error}");
    }
    assert!(device.snapshot().iter().all(|&b| b == 0xA5));
}

#[test]
fn a_log_of_the_same_filesystem_is_not_replayed_into_its_successor() {
    // All superblocks are lost, the journal is not, and the UUID is given again: the log would fit.
    let device = formatted(16, 4096);
    let mut volume = open_rw(&device);
    for n in 0..3 {
        append(&mut volume, "vectors", &rows_f32(n, 1, 8), RowIds::Auto).expect("append");
    }
    drop(volume); // unclean
    let geometry = options(16 << 20, 4096).plan().expect("plan").1;
    for block in geometry.backups().into_iter().chain([BlockNo(0)]) {
        device.zero(block.get() * 4096, 4096).expect("zero");
    }
    format(device.clone(), &options(16 << 20, 4096)).expect("mkfs");
    let volume = open_ro(&device);
    assert_eq!((volume.report().replayed, volume.is_unclean()), (0, false));
    assert_eq!(read_rows(&volume, "vectors").expect("empty"), [0_u8; 0]);
}
