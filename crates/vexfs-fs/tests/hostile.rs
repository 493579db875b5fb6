//! Images that nobody wrote: no bytes make the library panic, hang, write while it reads, or allocate more than the device is
//! worth.
//!
//! `VEXFS_HOSTILE_SAMPLES` sets how many mutations of each kind are tried; 0 means all fields with all values.

mod common;
mod counting;
mod crash_model;

use std::path::PathBuf;
use std::sync::Arc;

use counting::peak;
use crash_model::audit::audit;
use crash_model::tree::read_tree;
use crash_model::{Random, bytes};
use image::fields::{Change, encode};
use image::{GOLDEN, open_anything};
use vexfs_device::{Device, FileDevice, MemDevice, OpenOptions as DeviceOptions};
use vexfs_format::extent::{NodeEntries, Run, SUMS_BASE};
use vexfs_format::inode::Root;
use vexfs_format::{BlockNo, InodeNo, LogicalBlock, Seed, sums};
use vexfs_fs::check::{CheckOptions, DataLevel, Problem, check};
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{FsError, OpenOptions, Volume, inode, mkfs};
use zerocopy::IntoBytes;
use zerocopy::little_endian::U64;

#[path = "../../../fuzz/entries/image.rs"]
mod image;

/// Mutations of each kind, unless the environment asks for more.
const SAMPLES: usize = 100;

/// Opens an image, and measures.
fn open_measured(image: &MemDevice, what: &dyn Fn() -> String) {
    let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| peak(|| open_anything(image))));
    match done {
        // The copies of a device in memory, its files mapped one at a time, what is known of each block, and a cache.
        Ok(held) => assert!(held <= 8 * image.len() + (64 << 20), "{}: {held} bytes held", what()),
        Err(_) => panic!("{}", what()),
    }
}

fn samples() -> usize {
    match std::env::var("VEXFS_HOSTILE_SAMPLES") {
        Ok(text) => match text.parse().expect("VEXFS_HOSTILE_SAMPLES is a number") {
            0 => usize::MAX,
            number => number,
        },
        Err(_) => SAMPLES,
    }
}

#[test]
fn arbitrary_bytes_are_not_a_volume() {
    let mut random = Random::new(1);
    for seed in 0..samples().min(20_000) as u64 {
        let most = 1 << random.below(20);
        let len = random.below(most) as usize;
        let mut image = bytes(seed, len);
        if seed % 2 == 0 && len > 2048 {
            image[1024..1032].copy_from_slice(&vexfs_format::superblock::MAGIC);
        }
        open_measured(&MemDevice::from_bytes(image), &|| format!("{len} bytes of seed {seed}"));
    }
}

#[test]
fn flipped_bits_and_wild_bytes_are_survived() {
    let mut random = Random::new(2);
    for n in 0..samples().min(20_000) {
        let golden = &GOLDEN[n % 2];
        let image = golden.image.fork();
        let mut done = Vec::new();
        for _ in 0..=random.below(8) {
            // Most of a device is empty: aim at the structures, and at what lies near them.
            let place = golden.places.all[random.below(golden.places.all.len() as u64) as usize];
            let at = (place.at + random.below(256)).min(image.len() - 1);
            let mut byte = [0];
            image.read_at(at, &mut byte).expect("read");
            byte[0] = if random.below(2) == 0 { byte[0] ^ 1 << random.below(8) } else { random.next() as u8 };
            image.write_at(at, &byte).expect("write");
            done.push((at, byte[0]));
        }
        open_measured(&image, &|| format!("golden {} with {done:?}", n % 2));
    }
}

#[test]
fn sealing_what_is_sound_changes_nothing() {
    for golden in GOLDEN.iter() {
        let image = golden.image.fork();
        for (place, structure) in golden.places.all.iter().enumerate() {
            for field in 0..structure.fields.len() {
                let (value, _) = golden.places.value(&image, place, field);
                golden.places.change(&image, Change { place, field, value, sealed: true });
            }
        }
        let (now, before) = (image.snapshot(), golden.image.snapshot());
        let differing = now.iter().zip(&before).position(|(a, b)| a != b);
        assert_eq!(differing, None, "something is sealed otherwise than the library does");
    }
}

/// Values that a field of `size` bytes with `value` may not expect.
fn values(value: u64, size: usize, random: &mut Random) -> Vec<u64> {
    let ones = u64::MAX >> (64 - size * 8);
    let mut values = vec![0, ones, value.wrapping_add(1), value.wrapping_sub(1), value ^ 1];
    values.extend([value ^ (ones ^ ones >> 1), ones >> 1, ones / 4096, value << 12, random.next(), 1]);
    values.into_iter().map(|v| v & ones).filter(|v| *v != value).collect()
}

#[test]
fn every_field_may_hold_anything_under_a_right_checksum() {
    let mut random = Random::new(3);
    let mut all = Vec::new();
    for (which, golden) in GOLDEN.iter().enumerate() {
        for (place, structure) in golden.places.all.iter().enumerate() {
            for field in 0..structure.fields.len() {
                let (value, size) = golden.places.value(&golden.image, place, field);
                let changes = values(value, size, &mut random).into_iter();
                all.extend(changes.map(|value| (which, Change { place, field, value, sealed: true })));
            }
        }
    }
    let total = all.len();
    // One of each kind of structure and field at least: the order is random, the share even.
    (0..total).for_each(|n| all.swap(n, n + random.below((total - n) as u64) as usize));
    let limit = samples().saturating_mul(8).min(total);
    for (which, change) in &all[..limit] {
        open_changed(*which, &[*change]);
    }
    println!("{limit} of {total} fields with wild values");
}

#[test]
fn several_fields_may_hold_anything_at_once() {
    let mut random = Random::new(4);
    for _ in 0..samples().min(20_000) {
        let which = random.below(2) as usize;
        let golden = &GOLDEN[which];
        let changes: Vec<Change> = (0..2 + random.below(5))
            .map(|_| {
                let place = random.below(golden.places.all.len() as u64) as usize;
                let field = random.below(golden.places.all[place].fields.len() as u64) as usize;
                let (value, size) = golden.places.value(&golden.image, place, field);
                let values = values(value, size, &mut random);
                let value = values[random.below(values.len() as u64) as usize];
                Change { place, field, value, sealed: random.below(8) > 0 }
            })
            .collect();
        open_changed(which, &changes);
    }
}

fn open_changed(which: usize, changes: &[Change]) {
    let golden = &GOLDEN[which];
    let image = golden.image.fork();
    changes.iter().for_each(|change| golden.places.change(&image, *change));
    let what = || {
        let text = |change: &Change| {
            let place = golden.places.all[change.place];
            let field = place.fields[change.field].name;
            format!("{} at {}: {field} = {:#x}, sealed {}", place.name, place.at, change.value, change.sealed)
        };
        let seed: Vec<u8> =
            std::iter::once(which as u8).chain(changes.iter().flat_map(|c| encode(*c))).collect();
        let texts: Vec<String> = changes.iter().map(text).collect();
        format!("golden {which} with {}; seed for the fuzzer {seed:?}", texts.join(", "))
    };
    open_measured(&image, &what);
    let options = CheckOptions { data: DataLevel::Full, ..Default::default() };
    let report = check(Arc::new(image.fork()), &options, &mut Vec::<Problem>::new());
    if report.is_ok_and(|report| report.is_clean()) {
        let volume = Volume::open(Arc::new(image), &OpenOptions::default());
        let volume = volume.unwrap_or_else(|e| panic!("{}: clean, but {e}", what()));
        assert_eq!(audit(&volume), Vec::<String>::new(), "{}: clean, but", what());
        match read_tree(&volume) {
            // A collection with a feature that only newer tools know is none the worse for it.
            Ok(_) | Err(FsError::Incompatible(_)) => {}
            Err(e) => panic!("{}: clean, but {e}", what()),
        }
    }
}

#[test]
fn an_image_may_be_cut_off_anywhere() {
    let mut random = Random::new(5);
    for golden in GOLDEN.iter() {
        let whole = golden.image.snapshot();
        let lengths = [0, 1, 1023, 1024, 2047, 2048, 4095, 4096, 8192, whole.len() - 1, whole.len() - 4096];
        let wild = (0..samples().min(500) / 10).map(|_| random.below(whole.len() as u64) as usize);
        for len in lengths.into_iter().chain(wild) {
            let image = MemDevice::from_bytes(whole[..len].to_vec());
            open_measured(&image, &|| format!("cut off at {len}"));
            let opened = Volume::open(Arc::new(image), &OpenOptions::default());
            assert!(opened.is_err(), "cut off at {len}, and nobody noticed");
        }
    }
}

#[test]
fn blocks_may_lie_elsewhere_twice_or_nowhere() {
    let mut random = Random::new(6);
    for n in 0..samples().min(20_000) {
        let golden = &GOLDEN[n % 2];
        let image = golden.image.fork();
        let mut block =
            || golden.places.all[random.below(golden.places.all.len() as u64) as usize].at / 4096 * 4096;
        let (a, b) = (block(), block());
        let (mut first, mut second) = (vec![0; 4096], vec![0; 4096]);
        image.read_at(a, &mut first).expect("read");
        image.read_at(b, &mut second).expect("read");
        image.write_at(b, &first).expect("write");
        match n % 3 {
            0 => image.write_at(a, &second).expect("write"),
            1 => image.zero(a, 4096).expect("zero"),
            _ => {}
        }
        open_measured(&image, &|| {
            format!("golden {}: blocks {} and {}, {}", n % 2, a / 4096, b / 4096, n % 3)
        });
    }
}

#[test]
fn the_seeds_of_the_fuzzer_are_survived() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz/image");
    let mut seeds: Vec<PathBuf> =
        std::fs::read_dir(folder).expect("seeds").map(|entry| entry.expect("entry").path()).collect();
    seeds.sort();
    assert!(!seeds.is_empty());
    for seed in seeds {
        let data = std::fs::read(&seed).expect("seed");
        let held = peak(|| image::run(&data));
        assert!(held < 256 << 20, "{}: {held} bytes held", seed.display());
    }
}

#[test]
fn a_damaged_transaction_is_not_replayed_and_not_overwritten() {
    let golden = &GOLDEN[1];
    let in_log = golden.places.all.iter().filter(|place| matches!(place.name, "tag" | "revoked"));
    let mut noticed = 0;
    for place in in_log {
        let image = Arc::new(golden.image.fork());
        let mut byte = [0];
        image.read_at(place.at, &mut byte).expect("read");
        image.write_at(place.at, &[byte[0] ^ 1]).expect("write");
        // An image behind a descriptor, not the descriptor: the transaction is whole but for its contents.
        let image = if place.name == "tag" {
            let image = Arc::new(golden.image.fork());
            let at = place.at / 4096 * 4096 + 4096 + 100;
            image.read_at(at, &mut byte).expect("read");
            image.write_at(at, &[byte[0] ^ 1]).expect("write");
            image
        } else {
            image
        };
        let reading = Volume::open(image.clone(), &OpenOptions::default()).expect("reading goes on");
        let before = image.snapshot();
        let writing = Volume::open(image.clone(), &OpenOptions { write: true, ..Default::default() });
        if reading.report().journal_damage.is_some() {
            noticed += 1;
            assert!(matches!(writing, Err(FsError::JournalDamaged { .. })), "{writing:?}");
            assert!(image.snapshot() == before, "a damaged journal was touched");
        }
    }
    assert!(noticed > 0, "no damage was noticed");
}

#[test]
fn a_superblock_in_the_log_may_hold_anything() {
    let golden = &GOLDEN[1];
    let mut random = Random::new(7);
    let logged = golden.places.all.iter().enumerate().filter(|(_, place)| place.name == "logged superblock");
    let mut count = 0;
    for (place, structure) in logged {
        for field in 0..structure.fields.len() {
            let (value, size) = golden.places.value(&golden.image, place, field);
            let mut all = values(value, size, &mut random);
            // The smallest journal there is: what was read of the log lies outside.
            all.extend((structure.fields[field].name == "journal_blocks").then_some(8));
            for value in all {
                open_changed(1, &[Change { place, field, value, sealed: true }]);
                count += 1;
            }
        }
    }
    assert!(count > 1000, "{count}");
}

#[test]
fn a_file_that_is_said_to_be_huge_costs_what_is_read_of_it() {
    const BYTES: u64 = 512 << 30;
    let file = tempfile::NamedTempFile::new().expect("a file");
    if let Err(e) = file.as_file().set_len(BYTES) {
        return println!("skipped: no sparse file of {BYTES} bytes can be made here: {e}");
    }
    let open = || -> Arc<dyn Device> {
        Arc::new(FileDevice::open(file.path(), DeviceOptions::read_write()).expect("device"))
    };
    let mut options = common::options(BYTES, 4096);
    options.geometry.inodes = Some(1 << 16);
    mkfs::format(open(), &options).expect("mkfs");
    let device = open();
    let mut volume = common::open_rw(&device);
    common::put_file(&mut volume, InodeNo::ROOT, b"huge", &[1; 4096]).expect("file");
    let mut huge = resolve(&volume, "huge", LastLink::Keep).expect("inode");
    let place = inode::locate(&volume, huge.number()).expect("place");
    volume.close().expect("close");
    // 384 GiB behind the block that is there, and checksum blocks in empty space.
    let first = match huge.root(BYTES / 4096).expect("root") {
        Root::Extents(runs) => runs[0].start,
        other => panic!("{other:?}"),
    };
    let (len, sums) = (3_u32 << 25, (3_u64 << 25).div_ceil(sums::capacity(4096)) as u32);
    let data = Run { logical: LogicalBlock(0), start: first, len };
    let of_sums =
        Run { logical: LogicalBlock(SUMS_BASE), start: BlockNo(first.get() + u64::from(len)), len: sums };
    huge.set_root(&NodeEntries::Leaf(vec![data, of_sums]), 0);
    huge.size = U64::new(u64::from(len) * 4096);
    huge.seal(Seed::of_uuid(&common::UUID));
    device.write_at(place.block.get() * 4096 + place.offset as u64, huge.as_bytes()).expect("write");
    drop(device);
    let device: Arc<dyn Device> =
        Arc::new(FileDevice::open(file.path(), DeviceOptions::read_only()).expect("device"));
    let held = peak(|| {
        let volume = common::open_ro(&device);
        let view = volume.view(&huge).expect("mapped");
        assert_eq!(view.len(), 3 << 37);
        for at in [0, 1 << 38, view.len() - 1] {
            view.bytes(at..at + 10).expect_err("its checksums are not there");
        }
    });
    assert!(held < 8 << 20, "{held} bytes held for a file of which nothing was read");
    let held = peak(|| {
        let mut found: Vec<Problem> = Vec::new();
        let report = check(device.clone(), &CheckOptions::default(), &mut found).expect("check");
        assert!(!report.is_clean());
    });
    // A bit for each block of the device, and what the check holds at a time.
    assert!(held < BYTES / 4096 / 8 + (160 << 20), "{held} bytes held by the check");
}
