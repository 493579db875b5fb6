//! Sound filesystems are found sound: every block size, every kind of content, closed or not.

mod check_support;
mod common;

use std::ops::ControlFlow;
use std::sync::Arc;

use check_support::{check_full, check_level, filled, lines};
use common::{append, formatted, open_rw, options, rows_f32};
use vexfs_device::{Device, MemDevice, RecordDevice};
use vexfs_fs::check::quick::{self, Look};
use vexfs_fs::check::{self, CheckOptions, DataLevel, Observer, Problem, Progress, record};
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::{BlockSource, FsError, OpenOptions, Volume, mkfs};

const BLOCK_SIZES: [u32; 5] = [4096, 8192, 16384, 32768, 65536];
const VECTORS: u64 = 2997 + 500 + 400 + 300 + 50 + 20 * 400;

#[test]
fn a_fresh_filesystem_is_clean_at_every_block_size() {
    for block_size in BLOCK_SIZES {
        for mib in [16, 300] {
            let (report, problems) = check_full(formatted(mib, block_size));
            assert!(report.is_clean() && problems.is_empty(), "{block_size}: {}", lines(&problems));
            assert_eq!((report.summary.collections, report.summary.vectors), (1, 0));
        }
    }
}

#[test]
fn a_filled_filesystem_is_clean_at_every_block_size_and_level() {
    for block_size in BLOCK_SIZES {
        let device = Arc::new(filled(64, block_size));
        let sb = *Volume::open(device.clone(), &OpenOptions::default()).expect("open").superblock();
        for level in [DataLevel::None, DataLevel::Meta, DataLevel::Full] {
            let (report, problems) = check_level(device.clone(), level);
            assert!(report.is_clean() && problems.is_empty(), "{block_size}: {}", lines(&problems));
            let summary = report.summary;
            assert_eq!((summary.collections, summary.vectors), (5, VECTORS));
            assert_eq!(summary.blocks - summary.blocks_used, sb.free_blocks.get());
            assert_eq!(summary.inodes - summary.inodes_used, sb.free_inodes.get());
        }
    }
}

#[test]
fn an_unclean_filesystem_is_checked_through_its_journal_and_nothing_is_written() {
    let device = formatted(16, 4096);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows_f32(1, 500, 8), RowIds::Auto).expect("append");
    drop(volume); // no close: the transaction is in the journal only
    let recorder = Arc::new(RecordDevice::new(check_support::copy(&*device)));
    let (report, problems) = check_full(recorder.clone());
    assert!(report.is_clean(), "{}", lines(&problems));
    assert_eq!((report.replayed, report.summary.vectors), (1, 500));
    assert_eq!(recorder.log(), [], "the check wrote something");
}

#[test]
fn a_primary_superblock_that_a_replay_restores_is_no_damage() {
    let device = formatted(16, 4096);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows_f32(1, 500, 8), RowIds::Auto).expect("append");
    drop(volume);
    device.write_at(1024, &[0; 1024]).expect("torn by a crash in the middle of a checkpoint");
    let (report, problems) = check_full(device);
    assert!(report.is_clean(), "{}", lines(&problems));
    assert_eq!((report.backup, report.summary.vectors), (None, 500));
}

#[test]
fn a_terabyte_that_is_mostly_holes_is_checked_by_what_was_written() {
    let bytes = 488_369_940 * 4096;
    let device = Arc::new(MemDevice::new(bytes));
    mkfs::format(device.clone(), &options(bytes, 4096)).expect("mkfs");
    let (report, problems) = check_full(device);
    assert!(report.is_clean(), "{}", lines(&problems));
    assert_eq!(report.summary.blocks - 488_369_940, 0);
}

#[test]
fn a_quick_look_believes_a_clean_filesystem_and_counts_it() {
    let device = Arc::new(filled(64, 4096));
    let sb = *Volume::open(device.clone(), &OpenOptions::default()).expect("open").superblock();
    match quick::look(device.clone()).expect("look") {
        Look::Clean { summary, is_complete } => {
            assert!(is_complete);
            assert_eq!((summary.collections, summary.vectors), (5, VECTORS));
            assert_eq!(summary.inodes_used, sb.inodes.get() - sb.free_inodes.get());
        }
        Look::Doubtful(reason) => panic!("{reason}"),
    }
    let backup = sb.geometry().tail_backup().get() * 4096 + 1024;
    for (what, at) in [("primary", 1024), ("backup", backup), ("journal", sb.journal_start.get() * 4096)] {
        let damaged = device.fork();
        damaged.write_at(at, &[7; 64]).expect("damage");
        let look = quick::look(Arc::new(damaged)).expect("look");
        assert!(matches!(look, Look::Doubtful(_)), "{what}: {look:?}");
    }
}

#[test]
fn what_a_check_came_to_is_written_down() {
    let device: Arc<dyn Device> = Arc::new(filled(64, 4096));
    let options = OpenOptions { write: true, now_ns: 5_000, ..OpenOptions::default() };
    let mut volume = Volume::open(device.clone(), &options).expect("open");
    let report = check::CheckReport { first_block: Some(77), ..Default::default() };
    record::damaged(&mut volume, &report).expect("mark");
    record::damaged(&mut volume, &report).expect("mark");
    volume.close().expect("close");
    let sb = *Volume::open(device.clone(), &OpenOptions::default()).expect("open").superblock();
    assert_eq!((sb.state.get(), sb.error_count.get(), sb.error_block.get()), (1, 2, 77));
    assert!(matches!(quick::look(device.clone()).expect("look"), Look::Doubtful(_)));
    let (report, problems) = check_full(device.clone());
    assert!(report.is_clean() && report.marked_damaged, "a mark alone is no damage: {}", lines(&problems));
    assert_eq!(problems.len(), 1, "but it is told");
    let mut volume = Volume::open(device.clone(), &options).expect("open");
    record::clean(&mut volume).expect("clean");
    volume.close().expect("close");
    let sb = *Volume::open(device.clone(), &OpenOptions::default()).expect("open").superblock();
    assert_eq!((sb.state.get(), sb.error_count.get(), sb.checked_ns.get()), (0, 0, 5_000));
    assert!(matches!(quick::look(device.clone()).expect("look"), Look::Clean { .. }));
    assert!(check_full(device).1.is_empty());
}

/// Breaks off after some calls, and remembers how far each pass came.
#[derive(Default)]
struct Impatient {
    calls: u64,
    at_most: u64,
    seen: Vec<Progress>,
}

impl Observer for Impatient {
    fn problem(&mut self, problem: Problem) -> ControlFlow<()> {
        panic!("{problem}")
    }

    fn progress(&mut self, progress: Progress) -> ControlFlow<()> {
        self.calls += 1;
        self.seen.push(progress);
        if self.calls > self.at_most { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

#[test]
fn every_pass_says_how_far_it_is_and_can_be_broken_off_there() {
    let device = Arc::new(filled(64, 4096));
    let options = CheckOptions { data: DataLevel::Full, ..CheckOptions::default() };
    let mut patient = Impatient { at_most: u64::MAX, ..Impatient::default() };
    check::check(device.clone(), &options, &mut patient).expect("complete");
    for pass in 0..=5 {
        let steps: Vec<_> = patient.seen.iter().filter(|p| p.pass == pass).collect();
        let (first, last) = (steps.first().expect("a step"), steps.last().expect("a step"));
        assert_eq!((first.done, last.done), (0, last.total), "pass {pass}");
        assert!(steps.is_sorted_by_key(|p| p.done) && last.total > 0, "pass {pass}");
    }
    assert!(patient.seen.is_sorted_by_key(|p| p.pass));
    for at_most in (0..patient.calls).step_by(7) {
        let mut observer = Impatient { at_most, ..Impatient::default() };
        let ended = check::check(device.clone(), &options, &mut observer);
        assert!(matches!(ended, Err(FsError::Interrupted)), "after {at_most} calls");
        assert_eq!(observer.calls, at_most + 1);
    }
}
