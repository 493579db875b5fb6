//! Block devices, on loop devices: exclusive use, read-only media, zeroing, discarding, real read errors.

mod common;

use std::fs;

use common::{Loop, Mount, busy, image, numbered, run, skip};
use vexfs_device::{
    BusyReason, Device, DeviceError, FileDevice, FileKind, IoOp, OpenOptions, ReadOnlyCause, Run,
    block_devices, busy_reason,
};

const MIB: usize = 1 << 20;

fn open(path: &std::path::Path, options: OpenOptions) -> FileDevice {
    FileDevice::open(path, options).expect("open")
}

#[test]
fn a_block_device_is_read_written_zeroed_discarded_and_mapped() {
    for sector in [512u32, 4096] {
        let (_folder, path) = image(4 * MIB);
        let sector_size = format!("--sector-size={sector}");
        let Some(device_node) = Loop::attach(&path, &[&sector_size]) else { return };
        let device = open(&device_node.0, OpenOptions::read_write());
        assert_eq!((device.len(), device.sector_size()), (4 << 20, sector));
        assert_eq!((device.kind(), device.is_read_only()), (FileKind::BlockDevice, false));

        let mut expected = numbered(4 * MIB);
        device.write_at(1001, b"unaligned").expect("write");
        expected[1001..1010].copy_from_slice(b"unaligned");
        // Whole sectors, parts of sectors at both ends, parts of one sector, nothing.
        for (start, end) in [(MIB, 2 * MIB), (100_000, 200_001), (8200, 8300), (50, 50)] {
            device.zero(start as u64, (end - start) as u64).expect("zero");
            expected[start..end].fill(0);
        }
        device.start_writeback(0, 1 << 20);
        device.flush().expect("flush");
        let mut bytes = vec![1; 4 * MIB];
        device.read_at(0, &mut bytes).expect("read");
        assert!(bytes == expected, "sector {sector}");

        let runs = [Run { offset: 12288, len: 4096 }, Run { offset: 0, len: 8192 }];
        let mapping = device.map(&runs).expect("map");
        mapping.populate(0..12288).expect("populate");
        assert!(mapping[..4096] == expected[12288..16384] && mapping[4096..] == expected[..8192]);
        drop(mapping);

        assert!(device.discard(3 << 20, 1 << 20).expect("discard"));
        assert!(device.discard((2 << 20) + 1, 5000).expect("whole sectors inside"));
        let mut outside = [0; 1];
        device.read_at(2 << 20, &mut outside).expect("read");
        assert_eq!(outside[0], expected[2 * MIB], "a part of a sector is not discarded");
        assert!(matches!(device.write_at(4 << 20, b"x"), Err(DeviceError::OutOfRange { .. })));
        drop(device);
        drop(device_node);
        assert!(fs::read(&path).expect("image")[..2 * MIB] == expected[..2 * MIB]);
    }
}

#[test]
fn readers_share_a_block_device_and_a_writer_is_alone() {
    let (_folder, path) = image(MIB);
    let Some(node) = Loop::attach(&path, &[]) else { return };
    let readers = [open(&node.0, OpenOptions::read_only()), open(&node.0, OpenOptions::read_only())];
    assert_eq!(busy(&node.0, OpenOptions::read_write()), BusyReason::VexfsReader);
    drop(readers);
    assert_eq!(busy_reason(&node.0), None);

    let writer = open(&node.0, OpenOptions::read_write());
    assert_eq!(busy(&node.0, OpenOptions::read_only()), BusyReason::VexfsWriter);
    assert_eq!(busy(&node.0, OpenOptions::read_write()), BusyReason::VexfsWriter);
    assert_eq!(busy(&node.0, OpenOptions::read_write().allow_busy(true)), BusyReason::VexfsWriter);
    drop(writer);
    open(&node.0, OpenOptions::read_write());
}

#[test]
fn a_device_that_another_program_claims_is_refused_unless_allowed() {
    use std::os::unix::fs::OpenOptionsExt;
    let (_folder, path) = image(MIB);
    let Some(node) = Loop::attach(&path, &[]) else { return };
    let claim = fs::File::options().read(true).custom_flags(libc::O_EXCL).open(&node.0).expect("claim");
    assert_eq!(busy(&node.0, OpenOptions::read_write()), BusyReason::OpenedExclusively);
    assert_eq!(busy_reason(&node.0), Some(BusyReason::OpenedExclusively));
    open(&node.0, OpenOptions::read_only());
    let forced = open(&node.0, OpenOptions::read_write().allow_busy(true));
    forced.write_at(0, b"forced").expect("write");
    forced.zero(4096, 4096).expect("zero");
    forced.discard(8192, 4096).expect("discard, or not");
    drop(claim);
}

#[test]
fn a_holder_that_is_gone_in_a_moment_does_not_count() {
    use std::os::unix::fs::OpenOptionsExt;
    let (_folder, path) = image(MIB);
    let Some(node) = Loop::attach(&path, &[]) else { return };
    let claim = fs::File::options().read(true).custom_flags(libc::O_EXCL).open(&node.0).expect("claim");
    let brief = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(10));
        drop(claim);
    });
    open(&node.0, OpenOptions::read_write());
    brief.join().expect("thread");
}

#[test]
fn an_image_behind_a_loop_device_is_busy_for_writers_only() {
    let (_folder, path) = image(MIB);
    let Some(node) = Loop::attach(&path, &[]) else { return };
    let expected = BusyReason::LoopBacking { loop_device: node.0.clone(), mounted_at: None };
    assert_eq!(busy(&path, OpenOptions::read_write()), expected);
    assert_eq!(busy_reason(&path), Some(expected));
    open(&path, OpenOptions::read_only());
    open(&path, OpenOptions::read_write().allow_busy(true));

    let writer = open(&node.0, OpenOptions::read_write());
    assert_eq!(busy(&path, OpenOptions::read_only()), BusyReason::VexfsWriter, "the same bytes");
    assert_eq!(busy(&path, OpenOptions::read_write().allow_busy(true)), BusyReason::VexfsWriter);
    drop(writer);
    let reader = open(&path, OpenOptions::read_only());
    assert_eq!(busy(&node.0, OpenOptions::read_write()), BusyReason::VexfsReader, "the same bytes");
    assert_eq!(busy_reason(&node.0), Some(BusyReason::VexfsReader));
    drop(reader);
    open(&node.0, OpenOptions::read_write());
}

#[test]
fn a_loop_device_stacked_on_a_loop_device_protects_the_lower_one() {
    let (_folder, path) = image(MIB);
    let Some(lower) = Loop::attach(&path, &[]) else { return };
    let Some(upper) = Loop::attach(&lower.0, &[]) else { return };
    let expected = BusyReason::LoopBacking { loop_device: upper.0.clone(), mounted_at: None };
    assert_eq!(busy(&lower.0, OpenOptions::read_write()), expected);
}

#[test]
fn a_partition_of_an_image_locks_its_bytes_and_no_others() {
    let (_folder, path) = image(4 * MIB);
    let Some(disk) = Loop::attach(&path, &["--partscan"]) else { return };
    // Start and length in sectors of 512 bytes.
    if !run("addpart", &[&disk.0, "1".as_ref(), "2048".as_ref(), "2048".as_ref()]) {
        return skip("partitions cannot be added to a loop device");
    }
    let partition = std::path::PathBuf::from(format!("{}p1", disk.0.display()));
    if !partition.exists() {
        return skip("nobody makes nodes for partitions");
    }
    let writer = open(&partition, OpenOptions::read_write());
    assert_eq!(writer.len(), 1 << 20);
    assert_eq!(busy(&path, OpenOptions::read_only().offset(1 << 20)), BusyReason::VexfsWriter);
    open(&path, OpenOptions::read_only().offset(2 << 20));
    assert_eq!(busy(&disk.0, OpenOptions::read_write()), BusyReason::VexfsWriter, "seen in the image");
    drop(writer);
    run("delpart", &[&disk.0, "1".as_ref()]);
}

#[test]
fn a_mounted_device_is_refused_by_its_mount_point() {
    let (folder, path) = image(16 * MIB);
    let Some(node) = Loop::attach(&path, &[]) else { return };
    let at = folder.path().join("mount point");
    fs::create_dir(&at).expect("folder");
    let mounted =
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), &node.0]).then(|| Mount::new(&node.0, &at));
    let Some(Some(mount)) = mounted else { return skip("no ext4 filesystem can be made and mounted") };
    let expected = BusyReason::Mounted { at: at.clone() };
    assert_eq!(busy(&node.0, OpenOptions::read_write()), expected);
    assert_eq!(busy_reason(&node.0), Some(expected));
    let expected = BusyReason::LoopBacking { loop_device: node.0.clone(), mounted_at: Some(at.clone()) };
    assert_eq!(busy(&path, OpenOptions::read_write()), expected);
    open(&node.0, OpenOptions::read_only());
    drop(mount);
    open(&node.0, OpenOptions::read_write());
}

#[test]
fn a_read_only_device_is_not_opened_for_writing() {
    let (_folder, path) = image(MIB);
    let Some(node) = Loop::attach(&path, &["--read-only"]) else { return };
    match FileDevice::open(&node.0, OpenOptions::read_write()) {
        Err(DeviceError::ReadOnly { cause: ReadOnlyCause::Medium, .. }) => {}
        other => panic!("{other:?}"),
    }
    open(&node.0, OpenOptions::read_only()).read_at(0, &mut [0; 512]).expect("read");
}

#[test]
fn a_bad_spot_is_named_by_reads_and_mappings() {
    let (_folder, path) = image(8 * MIB);
    let Some(node) = Loop::attach(&path, &[]) else { return };
    // What the backing file no longer has, the loop device cannot read: EIO.
    fs::File::options().write(true).open(&path).expect("open").set_len(4 << 20).expect("truncate");
    let device = open(&node.0, OpenOptions::read_only());
    device.read_at(1 << 20, &mut [0; 4096]).expect("good spot");
    match device.read_at(6 << 20, &mut [0; 4096]) {
        Err(error @ DeviceError::Io { op: IoOp::Read, offset, .. }) => {
            assert_eq!((offset, error.errno()), (6 << 20, Some(libc::EIO)));
        }
        other => panic!("{other:?}"),
    }
    let runs = [Run { offset: 5 << 20, len: 4096 }, Run { offset: 0, len: 1 << 20 }];
    let mapping = device.map(&runs).expect("map");
    mapping.populate(4096..mapping.len()).expect("good spot");
    match mapping.populate(0..mapping.len()) {
        Err(error @ DeviceError::Io { op: IoOp::Read, offset, .. }) => {
            assert_eq!((offset, error.errno()), (5 << 20, Some(libc::EIO)));
            assert!(error.to_string().starts_with(&node.0.display().to_string()), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_block_is_read_although_a_mapping_has_met_a_bad_one_beside_it() {
    let (_folder, path) = image(8 * MIB);
    let Some(node) = Loop::attach(&path, &[]) else { return };
    // In the middle of the larger pages that the system reads ahead into.
    let end = (6 << 20) + 12 * 4096;
    fs::File::options().write(true).open(&path).expect("open").set_len(end).expect("truncate");
    let device = open(&node.0, OpenOptions::read_only());
    let mapping = device.map(&[Run { offset: 0, len: 8 << 20 }]).expect("map");
    assert!(mapping.populate(0..mapping.len()).is_err());
    for block in 1520..end / 4096 {
        let mut bytes = [0; 4096];
        device.read_at(block * 4096, &mut bytes).unwrap_or_else(|error| panic!("block {block}: {error}"));
        assert!(bytes.iter().all(|&byte| byte == block as u8), "block {block}");
    }
    assert!(device.read_at(end, &mut [0; 4096]).is_err());
}

#[test]
fn writes_that_are_lost_fail_every_flush_from_then_on() {
    let Some((folder, _mount)) = Mount::in_memory("1m") else {
        return skip("a small filesystem cannot be mounted without root");
    };
    let path = folder.path().join("image");
    fs::File::create(&path).expect("image").set_len(4 << 20).expect("sparse");
    let Some(node) = Loop::attach(&path, &[]) else { return };
    let device = open(&node.0, OpenOptions::read_write());
    device.write_at(0, &vec![7; 2 * MIB]).expect("the page cache takes it");
    for attempt in ["first", "second", "third"] {
        match device.flush() {
            Err(DeviceError::Io { op: IoOp::Flush, .. }) => {}
            other => panic!("{attempt} flush: {other:?}"),
        }
    }
}

#[test]
fn an_empty_drive_has_no_medium() {
    // A loop device that nobody has attached yet; others may attach it meanwhile.
    let is_empty = |name: &str| {
        fs::read_to_string(format!("/sys/block/{name}/size")).is_ok_and(|sectors| sectors.trim() == "0")
    };
    for number in (0..256).rev() {
        let (name, node) = (format!("loop{number}"), format!("/dev/loop{number}"));
        if !is_empty(&name) {
            continue;
        }
        let answer = FileDevice::open(&node, OpenOptions::read_only());
        if matches!(answer, Err(DeviceError::PermissionDenied { .. } | DeviceError::NotFound { .. })) {
            continue;
        }
        if is_empty(&name) {
            assert!(matches!(answer, Err(DeviceError::NoMedium { .. })), "{node}: {answer:?}");
            return;
        }
    }
    skip("no empty loop device may be opened");
}

#[test]
fn an_attached_loop_device_is_discovered() {
    let (_folder, path) = image(MIB);
    let Some(node) = Loop::attach(&path, &[]) else { return };
    let found = block_devices().expect("list");
    assert!(found.contains(&node.0), "{} is not among {found:?}", node.0.display());
}
