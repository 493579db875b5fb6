//! Image files: what is opened and what is refused, locks, input and output, mappings.

mod common;

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use common::{busy, image, numbered, skip};
use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use vexfs_device::{
    BusyReason, Device, DeviceError, FileDevice, FileKind, IoOp, LARGE_PAGE, MAPPING_ALIGN, Mapping,
    OpenOptions, ReadOnlyCause, Run, busy_reason,
};

fn read_only(path: &Path) -> FileDevice {
    FileDevice::open(path, OpenOptions::read_only()).expect("open for reading")
}

fn read_write(path: &Path) -> FileDevice {
    FileDevice::open(path, OpenOptions::read_write()).expect("open for writing")
}

#[test]
fn what_is_written_is_read_and_the_file_keeps_its_length() {
    let (_folder, path) = image(40_000);
    let device = read_write(&path);
    assert_eq!((device.len(), device.sector_size(), device.kind()), (40_000, 512, FileKind::Image));
    assert_eq!(device.name(), path.display().to_string());
    device.write_at(39_995, b"right").expect("up to the end");
    device.flush().expect("flush");
    let mut bytes = [0; 6];
    device.read_at(39_994, &mut bytes).expect("read");
    assert_eq!(&bytes, b"\x09right");
    for (offset, len) in [(39_996u64, 5usize), (40_000, 1), (u64::MAX, 2)] {
        let error = device.write_at(offset, &vec![1; len]).expect_err("past the end");
        assert!(matches!(error, DeviceError::OutOfRange { size: 40_000, .. }), "{error}");
        assert!(matches!(device.read_at(offset, &mut vec![1; len]), Err(DeviceError::OutOfRange { .. })));
        assert!(matches!(device.zero(offset, len as u64), Err(DeviceError::OutOfRange { .. })));
        assert!(matches!(device.discard(offset, len as u64), Err(DeviceError::OutOfRange { .. })));
    }
    assert_eq!(fs::metadata(&path).expect("metadata").len(), 40_000);
}

#[test]
fn zeroed_bytes_read_zero_and_their_neighbours_stay() {
    let (_folder, path) = image(1 << 20);
    let device = read_write(&path);
    let mut expected = numbered(1 << 20);
    for (start, end) in [(5_000, 5_001), (100_001, 300_003), (4096 * 100, 4096 * 101), (1_000_000, 1 << 20)] {
        device.zero(start as u64, (end - start) as u64).expect("zero");
        expected[start..end].fill(0);
    }
    device.zero(77, 0).expect("nothing");
    let mut bytes = vec![1; 1 << 20];
    device.read_at(0, &mut bytes).expect("read");
    assert!(bytes == expected);
}

#[test]
fn a_discarded_image_gives_its_blocks_back() {
    let (_folder, path) = image(1 << 20);
    let device = read_write(&path);
    let before = fs::metadata(&path).expect("metadata").blocks();
    if !device.discard(0, 1 << 20).expect("discard") {
        return skip("the filesystem of the temporary folder cannot punch holes");
    }
    device.flush().expect("flush");
    let after = fs::metadata(&path).expect("metadata");
    assert!(after.blocks() < before, "{} blocks before, {} after", before, after.blocks());
    assert_eq!(after.len(), 1 << 20);
}

#[test]
fn a_window_is_a_device_of_its_own() {
    let (_folder, path) = image(64 << 10);
    let device = FileDevice::open(&path, OpenOptions::read_write().offset(8192)).expect("open");
    assert_eq!(device.len(), 56 << 10);
    assert_eq!(device.name(), format!("{}?offset=8192", path.display()));
    device.write_at(0, b"window").expect("write");
    assert!(matches!(device.write_at(56 << 10, b"x"), Err(DeviceError::OutOfRange { .. })));
    let mapping = device.map(&[Run { offset: 4096, len: 4096 }, Run { offset: 0, len: 4096 }]).expect("map");
    mapping.populate(0..8192).expect("populate");
    assert_eq!((mapping[0], &mapping[4096..4102]), (3, b"window".as_slice()));
    drop((mapping, device));
    assert_eq!(&fs::read(&path).expect("read")[8192..8198], b"window");
    let beyond = FileDevice::open(&path, OpenOptions::read_only().offset(65_537));
    assert!(matches!(beyond, Err(DeviceError::OutOfRange { size: 65_536, .. })));
    assert_eq!(FileDevice::open(&path, OpenOptions::read_only().offset(65_536)).expect("empty").len(), 0);
}

#[test]
fn what_is_in_memory_is_known_before_it_is_brought_in() {
    let (_folder, path) = image(8 << 20);
    let file = File::open(&path).expect("open");
    file.sync_all().expect("sync");
    posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).expect("advice");
    let device = FileDevice::open(&path, OpenOptions::read_only()).expect("open");
    let mapping = device.map(&[Run { offset: 0, len: 8 << 20 }]).expect("map");
    if mapping.is_resident(4 << 20..5 << 20) {
        return skip("the filesystem of the temporary folder is memory");
    }
    // The system reads around what is populated, as far as the whole file, unless it is told not to.
    mapping.advise_random(0..mapping.len());
    mapping.populate(4 << 20..5 << 20).expect("populate");
    assert!(mapping.is_resident(4 << 20..5 << 20) && mapping.is_resident((4 << 20) + 1..(4 << 20) + 2));
    assert!(!mapping.is_resident(0..8 << 20) && mapping.is_absent(0..8 << 20), "the rest is not");
    assert!(!mapping.is_absent(4 << 20..5 << 20) && !mapping.is_absent(8 << 20..9 << 20));
    mapping.populate(0..mapping.len()).expect("populate");
    assert!(mapping.is_resident(0..usize::MAX), "more than one call tells, and no more than there is");
}

#[test]
fn what_is_no_device_is_refused_by_its_kind() {
    let folder = tempfile::tempdir().expect("folder");
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("pipe");
    let socket = folder.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("socket");
    let cases = [
        (folder.path(), "directory"),
        (Path::new("/dev/null"), "character device"),
        (&pipe, "pipe"),
        (&socket, "socket"),
    ];
    for (path, expected) in cases {
        for options in [OpenOptions::read_only(), OpenOptions::read_write()] {
            match FileDevice::open(path, options) {
                Err(DeviceError::NotADevice { kind, device }) => {
                    assert_eq!((kind, device), (expected, path.display().to_string()));
                }
                other => panic!("{}: {other:?}", path.display()),
            }
        }
    }
    let missing = FileDevice::open(folder.path().join("missing"), OpenOptions::read_write());
    assert!(matches!(missing, Err(DeviceError::NotFound { .. })));
}

#[test]
fn permissions_tell_read_only_from_denied() {
    let (_folder, path) = image(4096);
    fs::set_permissions(&path, Permissions::from_mode(0o444)).expect("chmod");
    if File::options().write(true).open(&path).is_ok() {
        return skip("permissions do not bind root");
    }
    match FileDevice::open(&path, OpenOptions::read_write()) {
        Err(DeviceError::ReadOnly { cause: ReadOnlyCause::Permission, .. }) => {}
        other => panic!("{other:?}"),
    }
    read_only(&path);
    fs::set_permissions(&path, Permissions::from_mode(0o000)).expect("chmod");
    for options in [OpenOptions::read_only(), OpenOptions::read_write()] {
        assert!(matches!(FileDevice::open(&path, options), Err(DeviceError::PermissionDenied { .. })));
    }
}

#[test]
fn a_device_opened_for_reading_refuses_changes() {
    let (_folder, path) = image(4096);
    let device = read_only(&path);
    assert!(device.is_read_only());
    for refused in [device.write_at(0, b"x"), device.zero(0, 1), device.discard(0, 1).map(drop)] {
        match refused {
            Err(DeviceError::ReadOnly { cause: ReadOnlyCause::OpenedReadOnly, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    device.flush().expect("nothing to make durable");
    assert_eq!(fs::read(&path).expect("read"), numbered(4096));
}

#[test]
fn readers_share_an_image_and_a_writer_is_alone() {
    let (_folder, path) = image(8192);
    let readers = [read_only(&path), read_only(&path)];
    assert_eq!(busy(&path, OpenOptions::read_write()), BusyReason::VexfsReader);
    assert_eq!(busy_reason(&path), Some(BusyReason::VexfsReader));
    drop(readers);
    assert_eq!(busy_reason(&path), None);

    let writer = read_write(&path);
    for options in
        [OpenOptions::read_only(), OpenOptions::read_write(), OpenOptions::read_write().allow_busy(true)]
    {
        assert_eq!(busy(&path, options), BusyReason::VexfsWriter, "{options:?}");
    }
    assert_eq!(busy_reason(&path), Some(BusyReason::VexfsWriter));
    let mapping = writer.map(&[Run { offset: 0, len: 4096 }]).expect("map");
    drop(writer);
    assert_eq!(busy(&path, OpenOptions::read_only()), BusyReason::VexfsWriter, "the mapping still reads");
    drop(mapping);
    read_only(&path);
}

#[test]
fn of_many_threads_that_want_to_write_one_does() {
    let (_folder, path) = image(8192);
    let start = std::sync::Barrier::new(8);
    let opened: Vec<_> = std::thread::scope(|scope| {
        let open = || {
            start.wait();
            FileDevice::open(&path, OpenOptions::read_write())
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().expect("thread")).collect()
    });
    assert_eq!(opened.iter().filter(|device| device.is_ok()).count(), 1);
    let refused = opened.iter().filter(|device| matches!(device, Err(DeviceError::Busy { .. }))).count();
    assert_eq!(refused, 7);
}

#[test]
fn an_image_locked_by_another_program_is_busy_for_writers() {
    let (_folder, path) = image(8192);
    let other = File::options().read(true).write(true).open(&path).expect("open");
    // As a virtual machine locks its disk.
    let lock = libc::flock {
        l_type: libc::F_RDLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 100,
        l_len: 1,
        l_pid: 0,
    };
    nix::fcntl::fcntl(&other, nix::fcntl::FcntlArg::F_OFD_SETLK(&lock)).expect("lock");
    assert_eq!(busy(&path, OpenOptions::read_write()), BusyReason::LockedByProgram);
    assert_eq!(busy_reason(&path), Some(BusyReason::LockedByProgram));
    read_only(&path);
    FileDevice::open(&path, OpenOptions::read_write().allow_busy(true)).expect("overridden");
}

#[test]
fn an_image_is_created_sparse_once_and_removed_only_by_its_maker() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("disk.img");
    let device = FileDevice::create(&path, 1 << 40).expect("create");
    assert_eq!((device.len(), device.is_read_only()), (1 << 40, false));
    let meta = fs::metadata(&path).expect("metadata");
    assert_eq!(meta.len(), 1 << 40);
    assert!(meta.blocks() < 1024, "{} blocks", meta.blocks());
    assert_eq!(meta.permissions().mode() & 0o133, 0, "at most 0644");
    assert_eq!(busy(&path, OpenOptions::read_only()), BusyReason::VexfsWriter);
    match FileDevice::create(&path, 1) {
        Err(DeviceError::AlreadyExists { .. }) => {}
        other => panic!("{other:?}"),
    }
    device.remove_created().expect("remove");
    assert!(!path.exists());

    let device = FileDevice::create(&path, 4096).expect("create");
    fs::rename(&path, folder.path().join("moved")).expect("rename");
    fs::write(&path, "somebody else's").expect("another file");
    device.remove_created().expect("nothing to remove");
    assert!(path.exists());
    read_write(&folder.path().join("moved")).remove_created().expect("opened, not created");
    assert!(folder.path().join("moved").exists());
    assert!(matches!(
        FileDevice::create(folder.path().join("no/folder"), 1),
        Err(DeviceError::NotFound { .. })
    ));
}

#[test]
fn an_image_too_large_for_its_filesystem_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("disk.img");
    match FileDevice::create(&path, u64::MAX) {
        Err(DeviceError::Open { action: "create", .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(!path.exists());
}

fn check_mapping(mapping: &Mapping, blocks: &[u8]) {
    mapping.advise_random(0..mapping.len());
    mapping.advise_sequential(4096..usize::MAX);
    mapping.advise_will_need(1..2);
    mapping.populate(0..mapping.len()).expect("populate");
    assert_eq!(mapping.as_ptr().addr() % MAPPING_ALIGN, 0);
    assert_eq!(mapping.len(), blocks.len() * 4096);
    for (bytes, block) in mapping.chunks(4096).zip(blocks) {
        assert!(bytes.iter().all(|byte| byte == block), "block {block}: {:?}", &bytes[..8]);
    }
}

#[test]
fn scattered_runs_lie_side_by_side_in_the_order_given() {
    let (_folder, path) = image(64 << 10);
    let block = |first: u64, count: u64| Run { offset: first * 4096, len: count * 4096 };
    let device = read_only(&path);
    let runs = [block(9, 2), block(11, 1), block(0, 1), block(15, 1), block(3, 0), block(9, 1)];
    check_mapping(&device.map(&runs).expect("map"), &[9, 10, 11, 0, 15, 9]);
    check_mapping(&device.map(&[]).expect("map"), &[]);
    assert!(matches!(device.map(&[block(15, 2)]), Err(DeviceError::OutOfRange { .. })));
    let overflow = [Run { offset: u64::MAX, len: 4096 }];
    assert!(matches!(device.map(&overflow), Err(DeviceError::OutOfRange { .. })));
}

#[test]
fn a_window_off_the_page_is_read_instead_of_mapped() {
    let (_folder, path) = image(64 << 10);
    let device = FileDevice::open(&path, OpenOptions::read_only().offset(512)).expect("open");
    let runs = [Run { offset: 8192 - 512, len: 4096 }, Run { offset: 4096 - 512, len: 4096 }];
    check_mapping(&device.map(&runs).expect("map"), &[2, 1]);
    // On the page of the window, not of the file.
    let mapping = device.map(&[Run { offset: 4096, len: 4096 }]).expect("map");
    assert_eq!((mapping[0], mapping[4096 - 513], mapping[4096 - 512]), (1, 1, 2));
    let odd = device.map(&[Run { offset: 4095 - 512, len: 3 }, Run { offset: 0, len: 1 }]).expect("map");
    assert_eq!(*odd, [0, 1, 1, 0]);
}

#[test]
fn the_longest_run_begins_large_pages_where_the_file_does() {
    let (_folder, path) = image(4096);
    File::options().write(true).open(&path).expect("open").set_len(32 << 20).expect("length");
    let device = read_only(&path);
    for offset in [0, 4096, 5 * 4096, 3 << 20] {
        let runs = [Run { offset: 12 << 20, len: 3 * 4096 }, Run { offset, len: 5 << 20 }];
        let mapping = device.map(&runs).expect("map");
        let longest = mapping.as_ptr().addr() + 3 * 4096;
        assert_eq!(longest % LARGE_PAGE, offset as usize % LARGE_PAGE, "offset {offset}");
        assert_eq!(mapping.len(), (5 << 20) + 3 * 4096);
    }
}

#[test]
fn more_runs_than_the_system_maps_are_read() {
    let (_folder, path) = image(12288);
    let device = read_only(&path);
    let limit: usize =
        fs::read_to_string("/proc/sys/vm/max_map_count").expect("limit").trim().parse().expect("number");
    if limit > 200_000 {
        return skip("the system allows too many mappings for a quick test");
    }
    // Never one that begins where another ends: those need one mapping only.
    let runs: Vec<Run> = (0..limit as u64 + 10).map(|i| Run { offset: i % 2 * 8192, len: 4096 }).collect();
    let mapping = device.map(&runs).expect("map");
    assert_eq!((mapping.len(), mapping[4095], mapping[4096]), (runs.len() * 4096, 0, 2));
}

#[test]
fn an_image_that_ends_inside_a_page_is_mapped_to_its_end() {
    let (_folder, path) = image(10_000);
    let device = read_only(&path);
    let mapping = device.map(&[Run { offset: 4096, len: 5904 }]).expect("map");
    mapping.populate(0..mapping.len()).expect("populate");
    assert_eq!((mapping.len(), mapping[0], mapping[5903]), (5904, 1, 2));
}

#[test]
fn a_mapping_of_a_truncated_image_reports_the_first_missing_byte() {
    let (_folder, path) = image(64 << 10);
    let device = read_only(&path);
    let runs = [Run { offset: 32 << 10, len: 32 << 10 }, Run { offset: 0, len: 4096 }];
    let mapping = device.map(&runs).expect("map");
    File::options().write(true).open(&path).expect("open").set_len(40 << 10).expect("truncate");
    mapping.populate(0..8192).expect("what is left");
    mapping.populate(32 << 10..36 << 10).expect("what is left");
    let missing = || match mapping.populate(100..mapping.len()) {
        Err(DeviceError::Io { op: IoOp::Read, device: name, offset, .. }) => {
            assert_eq!((name, offset), (path.display().to_string(), 40 << 10));
        }
        other => panic!("{other:?}"),
    };
    missing();
    match device.read_at(39 << 10, &mut [0; 4096]) {
        Err(DeviceError::Io { op: IoOp::Read, offset, len, .. }) => {
            assert_eq!((offset, len), (40 << 10, 3072))
        }
        other => panic!("{other:?}"),
    }
    File::options().write(true).open(&path).expect("open").set_len(64 << 10).expect("grow");
    missing();
    mapping.populate(0..8192).expect("what could be read");
    device.map(&runs).expect("map").populate(0..mapping.len()).expect("a new mapping tries again");
}

#[test]
fn a_full_filesystem_is_told_from_other_failures() {
    let Some((folder, _mount)) = common::Mount::in_memory("64k") else {
        return skip("a small filesystem cannot be mounted without root");
    };
    let device = FileDevice::create(folder.path().join("image"), 1 << 20).expect("create");
    let error = device.write_at(0, &vec![1; 1 << 20]).expect_err("16 blocks of 256");
    assert!(error.is_no_space(), "{error}");
    match &error {
        DeviceError::Io { op: IoOp::Write, offset, .. } => {
            assert!(*offset > 0 && *offset <= 64 << 10, "{error}")
        }
        other => panic!("{other}"),
    }
    // Zeroing needs no room where nothing is.
    device.zero(512 << 10, 512 << 10).expect("zero");
    device.remove_created().expect("remove");
}

#[test]
fn an_image_becomes_longer_and_is_zero_behind_its_old_end() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("image");
    let device = FileDevice::create(&path, 4096).expect("create");
    device.write_at(0, &[7; 4096]).expect("write");
    let device = device.extend(1 << 20).expect("extend");
    assert_eq!(device.len(), 1 << 20);
    let mut found = [1; 8192];
    device.read_at(0, &mut found).expect("read");
    assert!(found[..4096] == [7; 4096] && found[4096..] == [0; 4096]);
    device.write_at((1 << 20) - 1, b"x").expect("the last byte");
    let device = device.extend(5).expect("nothing to do");
    assert_eq!((device.len(), fs::metadata(&path).expect("metadata").len()), (1 << 20, 1 << 20));
    drop(device);
    let window = FileDevice::open(&path, OpenOptions::read_write().offset(4096)).expect("open");
    assert_eq!(window.extend(2 << 20).expect("extend").len(), 2 << 20);
    assert_eq!(fs::metadata(&path).expect("metadata").len(), (2 << 20) + 4096);
    let reader = FileDevice::open(&path, OpenOptions::read_only()).expect("open");
    assert!(matches!(reader.extend(3 << 20), Err(DeviceError::ReadOnly { .. })));
    assert_eq!(fs::metadata(&path).expect("metadata").len(), (2 << 20) + 4096);
}
