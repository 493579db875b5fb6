//! Undo files: what is put back, when that is refused, and what a power failure leaves.

mod undo_common;

use std::sync::Arc;

use undo_common::{Part, Store, identity, put_back, random, scribble};
use vexfs_device::{
    CrashOptions, CrashStates, Device, DeviceError, FaultDevice, IoOp, MemDevice, OtherDevice, RecordDevice,
    Run, UndoApply, UndoDevice, UndoError, UndoIdentity, UndoStore, apply_undo,
};

const LEN: u64 = 100 * 4096 + 512;

/// A device of noise in its first half and zeros in its second, and what a tool leaves of it, with the undo file.
fn worked_on(rounds: u64) -> (Vec<u8>, MemDevice, Store) {
    let device = MemDevice::from_bytes(random(7, LEN as usize / 2)).snapshot();
    let before = [device, vec![0; (LEN - LEN / 2) as usize]].concat();
    let (device, store) = (MemDevice::from_bytes(before.clone()), Store::default());
    let undo = UndoDevice::new(&device, store.clone(), &identity()).expect("begun");
    scribble(&undo, 3, rounds);
    undo.finish().expect("finished");
    drop(undo);
    (before, device, store)
}

#[test]
fn everything_is_put_back_and_doing_it_again_changes_nothing() {
    let (before, device, store) = worked_on(60);
    assert_ne!(device.snapshot(), before);
    let dry = UndoApply { dry_run: true, ..UndoApply::default() };
    let (after, file) = (device.snapshot(), store.bytes());
    let planned = apply_undo(store.clone(), &device, &dry).expect("possible");
    assert!(device.snapshot() == after && store.bytes() == file, "a dry run writes nothing");

    let report = put_back(&store, &device).expect("put back");
    assert!(device.snapshot() == before);
    assert_eq!(report, planned);
    assert!(report.is_finished && report.restored > 0 && report.lost.is_empty() && report.torn_at.is_none());
    assert_eq!(report.tool, "test");
    let again = put_back(&store, &device).expect("again");
    assert_eq!(again.restored, 0);
    assert!(device.snapshot() == before);
}

#[test]
fn what_is_not_flushed_is_seen_by_readers_and_never_reaches_the_device() {
    let device = MemDevice::from_bytes(random(1, 65536));
    let before = device.snapshot();
    let store = Store::default();
    let undo = UndoDevice::new(&device, store.clone(), &identity()).expect("begun");
    undo.write_at(5000, b"held back").expect("write");
    let mut seen = [0; 11];
    undo.read_at(4999, &mut seen).expect("read");
    assert_eq!(&seen[1..10], b"held back");
    assert_eq!((seen[0], seen[10]), (before[4999], before[5009]));
    assert!(device.snapshot() == before);
    // A mapping is a view of the device: what it is to show has to be there.
    let mapping = undo.map(&[Run { offset: 4096, len: 4096 }]).expect("map");
    assert_eq!(&mapping[904..913], b"held back");
    drop(mapping);
    undo.write_at(0, b"lost").expect("write");
    drop(undo);
    assert_eq!(device.snapshot()[..4], before[..4]);
    put_back(&store, &device).expect("a file without its end");
    assert!(device.snapshot() == before);
}

#[test]
fn writes_that_are_not_flushed_for_long_are_let_through() {
    let (device, store) = (MemDevice::new(64 << 20), Store::default());
    let undo = UndoDevice::new(&device, store.clone(), &identity()).expect("begun");
    for at in 0..40 {
        undo.write_at(at << 20, &vec![1; 1 << 20]).expect("write");
    }
    let mut byte = [0];
    device.read_at(0, &mut byte).expect("read");
    assert_eq!(byte[0], 1, "memory is bounded");
    assert!(!undo.discard(0, 64 << 20).expect("refused"), "what is discarded would have to be saved");
    undo.finish().expect("finished");
    // Zeros are noted, not stored.
    assert!(store.bytes().len() < 1 << 20, "{}", store.bytes().len());
    let report = put_back(&store, &device).expect("put back");
    assert_eq!(report.restored, 40 << 20);
    assert!(device.snapshot().iter().all(|&byte| byte == 0));
}

/// Runs `work` on a device and an undo file that share one log, and hands each crash state's two halves to `judge`.
fn each_crash(
    device: &[u8],
    file: &[u8],
    work: impl FnOnce(Part, Part),
    mut judge: impl FnMut(MemDevice, Store, &str),
) {
    let room = 512 << 10;
    let mut image = device.to_vec();
    image.extend(file);
    image.resize(device.len() + room, 0);
    let base = MemDevice::from_bytes(image);
    let record = Arc::new(RecordDevice::new(base.fork()));
    let split = device.len() as u64;
    work(
        Part::new(record.clone(), 0, split, split),
        Part::new(record.clone(), split, room as u64, file.len() as u64),
    );
    let log = record.take_log();
    let options = CrashOptions { samples: 6, ..CrashOptions::default() };
    let mut states = 0;
    for state in CrashStates::new(&base, &log, options) {
        let mut halves = state.image.snapshot();
        let file = halves.split_off(device.len());
        judge(MemDevice::from_bytes(halves), Store::of(file), &state.description);
        states += 1;
    }
    assert!(states > 50, "{states} states");
}

#[test]
fn whenever_the_power_fails_everything_can_be_put_back() {
    let before = random(9, 24 * 4096 + 1024);
    let mut empty = 0;
    let work = |device: Part, file: Part| {
        let undo = UndoDevice::new(device, file, &identity()).expect("begun");
        scribble(&undo, 5, 7);
        undo.finish().expect("finished");
    };
    each_crash(&before, &[], work, |device, store, what| match put_back(&store, &device) {
        Ok(_) => assert!(device.snapshot() == before, "{what}"),
        // The header had not arrived.
        Err(UndoError::NotUndo { .. } | UndoError::Damaged { sequence: 0, .. }) => {
            empty += 1;
            assert!(device.snapshot() == before, "{what}");
        }
        Err(error) => panic!("{what}: {error}"),
    });
    assert!(empty > 0, "some state is before the header");
}

#[test]
fn a_replay_that_is_cut_off_is_completed_by_the_next() {
    let (before, device, store) = worked_on(8);
    let work = |device: Part, file: Part| {
        apply_undo(file, &device, &UndoApply::default()).expect("put back");
    };
    each_crash(&device.snapshot(), &store.bytes(), work, |device, store, what| {
        put_back(&store, &device).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert!(device.snapshot() == before, "{what}");
    });
}

#[test]
fn a_file_is_gone_on_with_and_takes_back_all_of_it() {
    let (before, device, store) = worked_on(5);
    for round in 0..3 {
        let undo = UndoDevice::new(&device, store.clone(), &identity()).expect("it describes this device");
        scribble(&undo, 100 + round, 5);
        if round < 2 {
            // The last one is cut off by a crash, with half a batch behind it.
            undo.finish().expect("finished");
        } else {
            undo.flush().expect("flushed");
            store.append(&random(2, 5000));
        }
    }
    assert!(put_back(&store, &device).expect("put back").torn_at.is_some());
    assert!(device.snapshot() == before);
    let used = UndoDevice::new(&device, store, &identity()).expect_err("used");
    assert!(matches!(used, UndoError::Used { .. }), "{used}");
}

#[test]
fn a_file_of_another_device_is_refused_by_length_and_uuid() {
    let (_, device, store) = worked_on(5);
    let after = device.snapshot();
    let longer = MemDevice::from_bytes([after.as_slice(), &[0; 4096]].concat());
    let what = |error| match error {
        UndoError::OtherDevice { what, .. } => what,
        other => panic!("refused for another reason: {other}"),
    };
    let found = what(put_back(&store, &longer).expect_err("longer"));
    assert_eq!(found, OtherDevice::Len { found: LEN + 4096, expected: LEN });
    let stranger = UndoApply { uuid: Some([9; 16]), ..UndoApply::default() };
    let found = what(apply_undo(store.clone(), &device, &stranger).expect_err("another UUID"));
    assert_eq!(found, OtherDevice::Uuid { found: [9; 16], expected: [1; 16] });
    assert!(found.to_string().contains("01010101-0101-0101-0101-010101010101"), "{found}");
    let other = UndoIdentity { uuid_before: Some([9; 16]), ..identity() };
    what(UndoDevice::new(&longer, store.clone(), &identity()).expect_err("longer"));
    what(UndoDevice::new(&device, store.clone(), &other).expect_err("another UUID"));
    assert!(device.snapshot() == after);
    let known = UndoApply { uuid: identity().uuid, ..UndoApply::default() };
    apply_undo(store, &device, &known).expect("its own UUID");
}

#[test]
fn a_device_that_was_changed_since_is_refused_unless_forced() {
    let (before, device, store) = worked_on(5);
    let file = store.bytes();
    let at =
        (0..LEN as usize).find(|&at| before[at] != device.snapshot()[at]).expect("something was changed");
    device.write_at(at as u64 / 4096 * 4096, b"later").expect("write");
    let error = put_back(&store, &device).expect_err("changed");
    assert!(
        matches!(error, UndoError::Changed { offset, bytes: 4096, .. } if offset == at as u64 / 4096 * 4096)
    );
    assert!(UndoDevice::new(&device, store.clone(), &identity()).is_err());
    assert!(store.bytes() == file);
    let force = UndoApply { force: true, ..UndoApply::default() };
    apply_undo(store, &device, &force).expect("forced");
    assert!(device.snapshot() == before);
}

#[test]
fn any_damage_to_the_file_is_named_or_harmless() {
    let (before, device, store) = worked_on(4);
    let (after, file) = (device.snapshot(), store.bytes());
    let (mut named, mut harmless) = (0, 0);
    for at in (0..file.len()).step_by(37).chain(0..600) {
        let mut bytes = file.clone();
        bytes[at] ^= 0x10;
        let (device, store) = (MemDevice::from_bytes(after.clone()), Store::of(bytes));
        match put_back(&store, &device) {
            Ok(_) => {
                harmless += 1;
                assert!(device.snapshot() == before, "byte {at}");
            }
            Err(UndoError::Device(error)) => panic!("byte {at}: {error}"),
            Err(error) => {
                named += 1;
                assert!(device.snapshot() == after, "byte {at}: {error}");
            }
        }
    }
    assert!(named > harmless, "{named} {harmless}");
    // Cut off anywhere: what is left of it is not put back in part.
    for len in (0..file.len()).step_by(911) {
        let (device, store) = (MemDevice::from_bytes(after.clone()), Store::of(file[..len].to_vec()));
        let is_whole = put_back(&store, &device).is_ok() && device.snapshot() == before;
        assert!(is_whole || device.snapshot() == after || len < file.len() - 4096, "{len} bytes");
    }
}

#[test]
fn a_full_or_failing_undo_file_stops_the_work_before_the_device_is_touched() {
    let before = random(4, 64 * 4096);
    for n in 0.. {
        let (device, store) = (MemDevice::from_bytes(before.clone()), Store::default());
        store.fail_after(n);
        let outcome = UndoDevice::new(&device, store.clone(), &identity()).map_err(|error| match error {
            UndoError::Device(error) => error,
            other => panic!("{other}"),
        });
        let outcome = outcome.and_then(|undo| {
            for at in 0..6 {
                undo.write_at(at * 8192, &[at as u8; 4096])?;
                let flushed = undo.flush();
                if flushed.is_err() {
                    assert!(undo.flush().is_err(), "what failed once is not trusted again");
                    flushed?;
                }
            }
            undo.finish()
        });
        store.fail_after(u64::MAX);
        match outcome {
            Err(error @ DeviceError::Io { .. }) => {
                assert!(error.to_string().starts_with("undo file: "), "{error}")
            }
            Err(other) => panic!("{other}"),
            Ok(()) => {
                assert!(n > 12, "each batch is written and flushed: {n}");
                return;
            }
        }
        if put_back(&store, &device).is_err() {
            assert!(n < 2, "{n}");
        }
        assert!(device.snapshot() == before, "{n}");
    }
}

#[test]
fn a_device_that_fails_can_be_put_back_when_it_works_again() {
    let before = random(8, 64 * 4096);
    for n in 1..30 {
        let device = FaultDevice::new(MemDevice::from_bytes(before.clone()));
        let store = Store::default();
        device.tear_nth_write(n, 1000, libc_eio());
        let undo = UndoDevice::new(&device, store.clone(), &identity()).expect("begun");
        let mut failed = 0;
        for at in 0..24 {
            failed += u32::from(undo.write_at(at * 8192, &[at as u8; 3000]).is_err());
            failed += u32::from(at % 3 == 2 && undo.flush().is_err());
        }
        assert_eq!(failed, u32::from(n <= 24), "write {n}");
        drop(undo);
        put_back(&store, device.inner()).expect("put back");
        assert!(device.inner().snapshot() == before, "write {n}");
    }
}

fn libc_eio() -> i32 {
    5
}

#[test]
fn what_cannot_be_read_is_overwritten_and_named() {
    let before = random(6, 32 * 4096);
    let device = FaultDevice::new(MemDevice::from_bytes(before.clone()));
    device.fail_reads(10 * 4096 + 512..10 * 4096 + 1024, 5);
    let store = Store::default();
    let undo = UndoDevice::new(&device, store.clone(), &identity()).expect("begun");
    undo.write_at(8 * 4096, &[1; 5 * 4096]).expect("held");
    undo.finish().expect("a repair may be for that sector");
    device.heal();
    assert_eq!(device.count(IoOp::Write), 1);
    let report = put_back(&store, &device).expect("the rest");
    assert_eq!(report.lost, [Run { offset: 10 * 4096, len: 4096 }]);
    let mut expected = before;
    expected[10 * 4096..11 * 4096].fill(1);
    assert!(device.inner().snapshot() == expected);
}

#[test]
fn an_image_that_was_made_longer_has_its_length_named() {
    let (store, device) =
        (Store::default(), MemDevice::from_bytes([random(3, 40960), vec![0; 81920]].concat()));
    let grown = UndoIdentity { original_len: Some(40960), uuid_before: None, ..identity() };
    let undo = UndoDevice::new(&device, store.clone(), &grown).expect("begun");
    undo.write_at(36864, &[5; 20000]).expect("write");
    undo.finish().expect("finished");
    let report = put_back(&store, &device).expect("put back");
    assert_eq!(report.original_len, Some(40960));
    let cut_off = MemDevice::from_bytes(device.snapshot()[..40960].to_vec());
    assert!(cut_off.snapshot() == random(3, 40960));
    assert_eq!(put_back(&store, &cut_off).expect("again, after the caller has cut it off").restored, 0);
    assert!(store.len().expect("length") > 0);
}

#[test]
fn an_image_that_was_cut_off_after_failed_work_is_put_back_as_far_as_it_goes() {
    let before = random(3, 40000);
    let store = Store::default();
    let device = MemDevice::from_bytes([before.as_slice(), &[0; 80000]].concat());
    let grown = UndoIdentity { original_len: Some(40000), ..identity() };
    let undo = UndoDevice::new(&device, store.clone(), &grown).expect("begun");
    undo.write_at(30000, &[5; 20000]).expect("write");
    undo.flush().expect("flush");
    drop(undo);
    // In the middle of a granule.
    let cut_off = MemDevice::from_bytes(device.snapshot()[..40000].to_vec());
    put_back(&store, &cut_off).expect("put back");
    assert!(cut_off.snapshot() == before);
}
