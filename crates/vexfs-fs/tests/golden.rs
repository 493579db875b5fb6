//! The golden images pin format version 1: the library writes them byte by byte, and reads them word by word.
//!
//! testdata/golden/v1/README.md says what they are and when they may change.

mod common;
mod crash_model;
mod golden_image;

use std::sync::Arc;

use crash_model::audit::audit;
use crash_model::session::Session;
use crash_model::tree::read_tree;
use crash_model::workload::{random_story, story};
use golden_image::{folder, listing::listing, packed, recipe, stored};
use vexfs_device::{Device, MemDevice};
use vexfs_format::codes::{DType, Metric};
use vexfs_fs::check::{CheckOptions, DataLevel, Problem, check};
use vexfs_fs::collection::append::{Appender, RowIds};
use vexfs_fs::collection::create::CollectionSpec;
use vexfs_fs::{OpenOptions, Volume, mkfs};

fn listing_of(image: &MemDevice) -> String {
    let volume = Volume::open(Arc::new(image.fork()), &OpenOptions::default()).expect("open");
    assert_eq!(audit(&volume), Vec::<String>::new());
    let mut found: Vec<Problem> = Vec::new();
    let options = CheckOptions { data: DataLevel::Full, ..Default::default() };
    let report = check(Arc::new(image.fork()), &options, &mut found).expect("check");
    assert!(report.is_clean(), "{found:?}");
    listing(&volume).expect("listing")
}

/// Where two images differ first, in words.
fn first_difference(a: &[u8], b: &[u8]) -> String {
    let at = a.iter().zip(b).position(|(a, b)| a != b);
    let Some(at) = at else { return format!("their lengths differ: {} and {}", a.len(), b.len()) };
    let blocks = a.chunks(4096).zip(b.chunks(4096)).filter(|(a, b)| a != b).count();
    format!("{blocks} blocks differ, the first is {} from byte {} on", at / 4096, at % 4096)
}

#[test]
fn the_library_writes_and_reads_the_golden_images() {
    let (clean, unclean) = recipe::make().expect("the recipe");
    for (name, image) in [("clean", clean), ("unclean", unclean)] {
        let (bytes, text) = (image.snapshot(), listing_of(&image));
        if std::env::var_os("VEXFS_GOLDEN").is_some_and(|value| value == "write") {
            std::fs::create_dir_all(folder()).expect("folder");
            std::fs::write(folder().join(format!("{name}.packed")), packed::pack(&bytes)).expect("image");
            std::fs::write(folder().join(format!("{name}.txt")), &text).expect("listing");
        }
        let golden = stored(name);
        let expected = std::fs::read_to_string(folder().join(format!("{name}.txt"))).expect("listing");
        let found = listing_of(&golden);
        let differing = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
        assert!(found == expected, "{name} reads otherwise than it did: {differing:?}");
        let golden = golden.snapshot();
        assert!(bytes == golden, "{name}: {}", first_difference(&bytes, &golden));
    }
}

#[test]
fn the_unclean_image_differs_by_what_its_journal_holds() {
    let (clean, unclean) = (stored("clean"), stored("unclean"));
    let replayed = |image: &MemDevice| {
        let device = Arc::new(image.fork());
        let volume = Volume::open(device.clone(), &OpenOptions { write: true, ..Default::default() });
        let volume = volume.expect("open");
        let count = volume.report().replayed;
        volume.close().expect("close");
        (count, device)
    };
    let (none, same) = replayed(&clean);
    assert!(none == 0 && same.snapshot() == clean.snapshot(), "opening a clean volume writes nothing");
    let (count, device) = replayed(&unclean);
    assert_eq!(count, 3);
    let overlay = Volume::open(Arc::new(unclean.fork()), &OpenOptions::default()).expect("open");
    let home = Volume::open(device, &OpenOptions::default()).expect("open");
    assert!(overlay.is_unclean() && !home.is_unclean());
    assert!(read_tree(&overlay).expect("tree") == read_tree(&home).expect("tree"));
    let text =
        |volume: &Volume| listing(volume).expect("listing").split_once('\n').map(|(_, rest)| rest.to_owned());
    assert_eq!(text(&overlay), text(&home));
}

#[test]
fn packing_loses_nothing() {
    let noise = crash_model::bytes(1, 5_000);
    for image in
        [vec![], vec![0; 100], vec![1], noise.clone(), [&noise[..], &[0; 70_000], &noise[7..], &[9]].concat()]
    {
        assert!(packed::unpack(&packed::pack(&image)) == Ok(image));
    }
    let whole = packed::pack(&[&noise[..], &noise].concat());
    assert!(whole.len() < 5_100);
    assert!(packed::unpack(b"something else").is_err());
    for len in 0..whole.len() {
        assert!(packed::unpack(&whole[..len]).is_err(), "{len}");
    }
}

#[test]
fn the_same_session_makes_the_same_bytes() {
    let run = |steps: &[crash_model::session::Step]| {
        let device = Arc::new(MemDevice::new(8 << 20));
        let mut session = Session::new(device.clone(), |_| {});
        session.format(&common::options(8 << 20, 4096)).expect("mkfs");
        steps.iter().for_each(|step| session.step(step).expect("step"));
        session.close().expect("close");
        device.snapshot()
    };
    for steps in [story(), random_story(77, 40)] {
        let (first, second) = (run(&steps), run(&steps));
        assert!(first == second, "{}", first_difference(&first, &second));
    }
}

/// An image with `rows` rows of 24 bytes imported in batches of `batch` rows.
fn imported(rows: usize, batch: usize, reserve: bool, keys: bool) -> Vec<u8> {
    let device: Arc<dyn Device> = Arc::new(MemDevice::new(16 << 20));
    mkfs::format(device.clone(), &common::options(16 << 20, 4096)).expect("mkfs");
    let mut volume = common::open_rw(&device);
    let mut txn = volume.begin().expect("begin");
    let spec = CollectionSpec { dim: 6, dtype: DType::F32, metric: Metric::L2, normalized: false };
    let ino = txn.create_collection(vexfs_format::InodeNo::ROOT, b"imported", &spec).expect("collection");
    let mut appender = Appender::open(&mut txn, "imported", ino).expect("appender");
    if reserve {
        appender.reserve(&mut txn, rows as u64).expect("reserve");
    }
    let (bytes, mut done) = (common::rows_f32(3, rows, 6), 0);
    for part in bytes.chunks(batch * 24) {
        let names: Vec<String> = (done..done + part.len() / 24).map(|n| format!("key {n}")).collect();
        let ids = if keys { RowIds::Keys(&names) } else { RowIds::Auto };
        appender.push(&mut txn, part, ids).expect("push");
        done += part.len() / 24;
    }
    appender.finish(&mut txn).expect("finish");
    txn.commit().expect("commit");
    volume.close().expect("close");
    let mut image = vec![0; device.len() as usize];
    device.read_at(0, &mut image).expect("read");
    image
}

#[test]
fn batches_do_not_show_where_room_is_reserved() {
    let whole = imported(20_000, 20_000, true, false);
    for batch in [1, 999, 4096, 19_999] {
        let other = imported(20_000, batch, true, false);
        assert!(whole == other, "batches of {batch}: {}", first_difference(&whole, &other));
    }
}

#[test]
fn batches_decide_at_most_where_blocks_lie() {
    // Streams whose length nobody knows beforehand take room as they grow, so batches decide who comes first.
    let tree = |image: Vec<u8>| {
        let volume =
            Volume::open(Arc::new(MemDevice::from_bytes(image)), &OpenOptions::default()).expect("open");
        assert_eq!(audit(&volume), Vec::<String>::new());
        read_tree(&volume).expect("tree")
    };
    let whole = tree(imported(20_000, 20_000, false, true));
    for batch in [1, 999, 4096, 19_999] {
        assert!(tree(imported(20_000, batch, false, true)) == whole, "batches of {batch}");
    }
}
