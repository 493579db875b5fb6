//! Devices that fail: the tool is told where, nothing is half done, and the device, once it works again, holds the old state or
//! the new one.
//!
//! A short session is run once to count its operations, then once for each of them, which fails.

mod common;
mod crash_model;

use std::sync::Arc;

use common::{append, formatted, open_ro, open_rw, options, put_file, rows_f32};
use crash_model::audit::audit;
use crash_model::session::Step;
use crash_model::session::{Session, open_options};
use crash_model::tree::{Tree, difference, read_tree};
use crash_model::workload::{short_story, story};
use vexfs_device::{Device, DeviceError, FaultDevice, IoOp, MemDevice};
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::extent::SUMS_BASE;
use vexfs_fs::alloc::BlockUse;
use vexfs_fs::check::{CheckOptions, Problem, check};
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::file::FileWriter;
use vexfs_fs::mkfs::{self, MkfsOptions};
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{BlockSource, FsError, OpenOptions, Volume};

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const NAME: &str = "/dev/flaky";

fn small() -> MkfsOptions {
    let mut options = options(8 << 20, 4096);
    options.geometry.journal_blocks = Some(256);
    options
}

/// A formatted device that can be told to fail.
fn device() -> Arc<FaultDevice<MemDevice>> {
    let device = Arc::new(MemDevice::new(8 << 20).with_name(NAME));
    mkfs::format(device.clone(), &small()).expect("mkfs");
    Arc::new(FaultDevice::new(device.fork()))
}

/// What a session on a failing device came to.
struct Outcome {
    error: Option<FsError>,
    /// The last acknowledged tree, and the one that the failing step would have made.
    allowed: [Tree; 2],
    failed_in_commit: bool,
}

/// What the sessions do: the long story where `make crash` asks for much.
fn steps() -> Vec<Step> {
    if std::env::var_os("VEXFS_CRASH_SAMPLES").is_some() { story() } else { short_story() }
}

/// Opens the device, takes the steps of the story, and closes; stops at the first error.
fn run(device: &Arc<FaultDevice<MemDevice>>) -> Outcome {
    let mut session = Session::new(device.clone(), |_| {});
    session.states = vec![crash_model::session::fresh(&small())];
    let mut next = session.states[0].clone();
    let mut result = session.open();
    for step in &steps() {
        if result.is_err() {
            break;
        }
        next = session.after(step);
        result = session.step(step);
    }
    if result.is_ok() {
        result = session.close();
    }
    if result.is_err() && session.failed_in_commit {
        let volume = session.volume.as_mut().expect("a commit needs an open volume");
        let written = matches!(
            &result,
            Err(FsError::Device(DeviceError::Io { op: IoOp::Write | IoOp::Flush | IoOp::Zero, .. }))
        );
        match volume.begin() {
            Err(FsError::Poisoned { device }) => assert_eq!(device, NAME),
            Ok(_) => assert!(!written, "after a failed commit nobody knows what is durable: {result:?}"),
            Err(e) => panic!("{e}"),
        }
    }
    Outcome {
        error: result.err(),
        allowed: [session.states.last().expect("states").clone(), next],
        failed_in_commit: session.failed_in_commit,
    }
}

/// The healed device holds one of the allowed trees, read only and replayed.
fn check_healed(device: &Arc<FaultDevice<MemDevice>>, outcome: &Outcome, what: &str) {
    device.heal();
    let image = Arc::new(device.inner().fork());
    for options in [OpenOptions::default(), open_options()] {
        let volume = Volume::open(image.clone(), &options).unwrap_or_else(|e| panic!("{what}: {e}"));
        let problems = audit(&volume);
        assert!(problems.is_empty(), "{what}: {}", problems.join("\n"));
        let mut found: Vec<Problem> = Vec::new();
        let report = check(image.clone(), &CheckOptions::default(), &mut found).expect(what);
        assert!(report.is_clean(), "{what}: {found:?}");
        let tree = read_tree(&volume).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert!(
            outcome.allowed.contains(&tree),
            "{what}: neither the old state nor the new one\n{}",
            difference(&tree, &outcome.allowed[0])
        );
    }
}

/// The error names the device and the place.
fn check_message(error: &FsError, what: &str) {
    let text = error.to_string();
    // A superblock that cannot be read is a damaged one, where a backup can.
    assert!(matches!(error, FsError::Device(_) | FsError::PrimaryDamaged { .. }), "{what}: {text}");
    assert!(text.contains(NAME) && text.contains("byte offset"), "{what}: {text}");
}

#[test]
fn each_operation_may_fail_once() {
    let plain = device();
    let counts =
        [IoOp::Read, IoOp::Write, IoOp::Flush, IoOp::Zero, IoOp::Map].map(|op| (op, plain.count(op)));
    assert!(run(&plain).error.is_none(), "without a fault all goes well");
    let (mut failures, mut mended) = (0, 0);
    for (op, already) in counts {
        let total = plain.count(op) - already;
        for n in 1..=total {
            let device = device();
            device.fail_nth(op, n, EIO);
            let what = format!("{op} {n} of {total}");
            let outcome = run(&device);
            check_healed(&device, &outcome, &what);
            failures += 1;
            match &outcome.error {
                Some(error) => check_message(error, &what),
                // The primary superblock of an unclean volume: a backup leads to the journal, which holds the primary.
                None if op == IoOp::Read => mended += 1,
                None => panic!("{what}: nobody noticed"),
            }
        }
    }
    println!("{failures} failed operations");
    assert!(failures > 100 && mended > 0 && mended < 9, "{failures} operations, {mended} without an error");
}

#[test]
fn a_write_may_arrive_in_part() {
    let plain = device();
    let already = plain.count(IoOp::Write);
    run(&plain);
    let mut in_commit = 0;
    for n in 1..=plain.count(IoOp::Write) - already {
        for kept in [1, 512, 4096, 10_000] {
            let device = device();
            device.tear_nth_write(n, kept, EIO);
            let what = format!("{kept} bytes of write {n} arrived");
            let outcome = run(&device);
            in_commit += u32::from(outcome.failed_in_commit);
            check_message(outcome.error.as_ref().expect("noticed"), &what);
            check_healed(&device, &outcome, &what);
        }
    }
    assert!(in_commit > 20, "commits were hit");
}

#[test]
fn a_device_may_vanish_at_any_time() {
    for n in 0.. {
        let device = device();
        device.vanish_after(n);
        let outcome = run(&device);
        let what = format!("gone after {n} operations");
        match &outcome.error {
            Some(error) => check_message(error, &what),
            None => {
                assert!(n > 100, "the session has more operations than {n}");
                return;
            }
        }
        check_healed(&device, &outcome, &what);
    }
}

#[test]
fn an_image_file_may_run_out_of_room_below() {
    let mut is_done = false;
    for room in (0..).map(|n| n * 6_000) {
        let device = device();
        device.limit_space(room);
        let outcome = run(&device);
        let what = format!("{room} bytes of room");
        match &outcome.error {
            Some(FsError::Device(error)) => assert!(error.is_no_space(), "{what}: {error}"),
            Some(error) => panic!("{what}: {error}"),
            None => is_done = true,
        }
        check_healed(&device, &outcome, &what);
        if is_done {
            assert!(room > 100_000, "the session writes more than {room} bytes");
            return;
        }
    }
}

#[test]
fn mkfs_on_a_failing_device_leaves_nothing_or_the_finished_filesystem() {
    let make = |device: &Arc<FaultDevice<MemDevice>>| mkfs::format(device.clone(), &small());
    let blank = || Arc::new(FaultDevice::new(MemDevice::new(8 << 20).with_name(NAME)));
    let plain = blank();
    make(&plain).expect("mkfs");
    for op in [IoOp::Write, IoOp::Flush, IoOp::Zero] {
        for n in 1..=plain.count(op) {
            for errno in [EIO, ENOSPC] {
                let device = blank();
                device.fail_nth(op, n, errno);
                let what = format!("{op} {n}");
                let error = make(&device).expect_err("noticed");
                check_message(&error, &what);
                device.heal();
                match Volume::open(device.clone(), &OpenOptions::default()) {
                    Err(FsError::NotVexfs { .. }) => {}
                    Err(e) => panic!("{what}: {e}"),
                    Ok(volume) => {
                        assert_eq!(audit(&volume), Vec::<String>::new(), "{what}");
                        assert!(read_tree(&volume).expect(&what) == crash_model::session::fresh(&small()));
                    }
                }
                make(&device).expect("a second attempt");
                let volume = Volume::open(device, &OpenOptions::default()).expect("open");
                assert_eq!(audit(&volume), Vec::<String>::new(), "{what}: second attempt");
            }
        }
    }
}

#[test]
fn a_full_volume_in_the_middle_of_an_import_keeps_the_state_before() {
    let device = formatted(8, 4096);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows_f32(1, 100, 8), RowIds::Auto).expect("append");
    put_file(&mut volume, InodeNo::ROOT, b"file", &[1; 50_000]).expect("file");
    let before = read_tree(&volume).expect("tree");
    let free = volume.superblock().free_blocks.get();
    for _ in 0..3 {
        let mut txn = volume.begin().expect("begin");
        let mut writer = txn.write_file(InodeNo::ROOT, b"file").expect("file");
        let full = (0..).find_map(|_| writer.write(&mut txn, &[2; 60_000]).err()).expect("it fills up");
        assert!(matches!(full, FsError::NoSpace { .. }), "{full}");
        drop(txn);
        let keys: Vec<String> = (0..300_000).map(|n| n.to_string()).collect();
        let ids = RowIds::Keys(&keys);
        assert!(append(&mut volume, "vectors", &vec![0; 300_000 * 32], ids).is_err());
        let full = append(&mut volume, "vectors", &vec![0; 300_000 * 32], RowIds::Auto).expect_err("full");
        assert!(matches!(full, FsError::NoSpace { .. }), "{full}");
    }
    assert_eq!(volume.superblock().free_blocks.get(), free, "everything was given back");
    assert!(read_tree(&volume).expect("tree") == before);
    put_file(&mut volume, InodeNo::ROOT, b"small", b"fits").expect("there is room for a small file");
    volume.close().expect("close");
    let volume = open_ro(&device);
    assert_eq!(audit(&volume), Vec::<String>::new());
    let mut after = read_tree(&volume).expect("tree");
    assert!(after.remove("/small").is_some());
    assert!(after == before);
}

#[test]
fn a_volume_that_is_filled_to_the_last_block_can_still_be_emptied() {
    let device = formatted(8, 4096);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows_f32(1, 100, 8), RowIds::Auto).expect("append");
    let mut count = 0;
    while put_file(&mut volume, InodeNo::ROOT, format!("{count}").as_bytes(), &[7; 4000]).is_ok() {
        count += 1;
    }
    let ino = resolve(&volume, "vectors", LastLink::Follow).expect("inode");
    let mut txn = volume.begin().expect("begin");
    txn.delete_rows("vectors", ino.number(), &[1, 2, 3]).expect("rows can be deleted");
    txn.commit().expect("commit");
    for n in 0..count {
        let mut txn = volume.begin().expect("begin");
        txn.remove(InodeNo::ROOT, format!("{n}").as_bytes()).expect("files can be removed");
        txn.commit().expect("commit");
    }
    volume.close().expect("close");
    assert_eq!(audit(&open_ro(&device)), Vec::<String>::new());
}

#[test]
fn files_that_grow_together_may_take_all_the_room_there_is() {
    // What is allocated ahead may be all that is free, or not, depending on how much there is.
    for taken in 0..6 {
        let device = formatted(8, 4096);
        let mut volume = open_rw(&device);
        put_file(&mut volume, InodeNo::ROOT, b"taken", &vec![1; taken * 4096]).expect("file");
        let mut txn = volume.begin().expect("begin");
        let make = |name| txn.create(InodeNo::ROOT, name, InodeKind::File, 0o644).expect("file").number();
        let files = [b"a", b"b"].map(|name| name.as_slice()).map(make);
        txn.commit().expect("commit");
        let grown = std::iter::from_fn(|| grow_together(&mut volume, files).ok()).count();
        // The empty vector zone is for collections; two blocks of data, two of checksums and two tree nodes fail together.
        let left = volume.superblock().free_blocks.get() - volume.geometry().zone.len;
        assert!(grown > 150 && left < 6, "{taken}: {left} blocks are left, and the files may not have them");
    }
}

/// Appends a block to each of two files in one transaction, as a collection does with its streams.
fn grow_together(volume: &mut Volume, files: [InodeNo; 2]) -> Result<(), FsError> {
    let mut txn = volume.begin()?;
    let mut writers = Vec::new();
    for file in files {
        let mut writer = FileWriter::append(&mut txn, file, BlockUse::Data)?;
        writer.write(&mut txn, &[9; 4096])?;
        writers.push(writer);
    }
    writers.into_iter().try_for_each(|writer| writer.finish(&mut txn).map(drop))?;
    txn.commit()
}

#[test]
fn rows_whose_checksum_block_cannot_be_read_are_verified_one_by_one() {
    const DIM: usize = 8;
    let device = device();
    let mut volume = open_rw(&(device.clone() as Arc<dyn Device>));
    let bytes = rows_f32(1, 300, DIM);
    append(&mut volume, "vectors", &bytes, RowIds::Auto).expect("append");
    volume.close().expect("close");
    let volume = open_ro(&(device.clone() as Arc<dyn Device>));
    let inode = resolve(&volume, "/vectors/vectors", LastLink::Follow).expect("the rows");
    let sums = volume.view(&inode).expect("view").device_block(SUMS_BASE).expect("a block of checksums");
    device.fail_reads(volume.offset(sums)..volume.offset(sums) + 1, EIO);
    let rows = Collection::open(&volume, "vectors").and_then(|c| c.open_rows(&volume)).expect("rows");
    assert!(rows.bytes(0..300).is_err(), "block by block");
    let mut found = Vec::new();
    rows.salvage(0..300, |_, row| found.extend_from_slice(row), |row, e| panic!("row {row}: {e}"));
    assert_eq!(found, bytes);
}

#[test]
fn unreadable_blocks_cost_what_lies_in_them_and_no_more() {
    let device = device();
    let mut session = Session::new(device.clone(), |_| {});
    session.states = vec![crash_model::session::fresh(&small())];
    session.open().expect("open");
    for step in &short_story()[..5] {
        session.step(step).expect("step");
    }
    session.close().expect("close");
    let whole = Volume::open(device.clone(), &OpenOptions::default()).expect("open");
    let expected = read_tree(&whole).expect("tree");
    let inode = resolve(&whole, "/models/card.md", LastLink::Follow).expect("file");
    let block = whole.view(&inode).expect("view").device_block(0).expect("mapped");
    let offset = whole.offset(block);
    device.fail_reads(offset + 100..offset + 101, EIO);
    let volume = Volume::open(device.clone(), &OpenOptions::default()).expect("open");
    let error = common::get_file(&volume, "/models/card.md").expect_err("its first block cannot be read");
    check_message(&error, "file");
    assert!(error.to_string().contains(&(offset + 100).to_string()), "{error}");
    let rows = common::read_rows(&volume, "vectors").expect("rows");
    assert!(matches!(&expected["/vectors"], crash_model::tree::Node::Rows(known) if known.rows == rows));
}
