//! A metadata image opens like the volume, is sound by itself, and holds nothing of what users keep; with hidden names, none of them.

mod check_support;
mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use check_support::image::{BLOCK, Image};
use check_support::{MANY, check_full, filled, lines, many_name};
use common::{Silent, append, open_ro, open_rw, read_rows, rows_f32};
use vexfs_device::{Device, MemDevice};
use vexfs_format::InodeNo;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::image::{self, ImageOptions, ImageReport};
use vexfs_fs::index::{self, BuildOptions, Progress};
use vexfs_fs::{BlockSource, FsError, OpenOptions, Volume, dir, inode};

const HIDDEN: ImageOptions = ImageOptions { scramble: Some(*b"0123456789abcdef") };

fn image_of(device: &Arc<dyn Device>, options: &ImageOptions) -> (Arc<dyn Device>, ImageReport) {
    let volume = open_ro(device);
    let out = Arc::new(MemDevice::new(device.len()));
    let report = image::write(&volume, &*out, options, &Silent).expect("an image");
    (out, report)
}

fn sample(block_size: u32) -> Arc<dyn Device> {
    Arc::new(filled(64, block_size))
}

/// Parent and name of everything below the root directory, by inode; an object with several names has them all.
fn tree(device: &Arc<dyn Device>) -> BTreeMap<InodeNo, BTreeSet<(InodeNo, Vec<u8>)>> {
    let volume = open_ro(device);
    let mut found: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut todo = vec![InodeNo::ROOT];
    while let Some(directory) = todo.pop() {
        let inode = inode::read(&volume, directory).expect("an inode");
        for entry in dir::list(&volume, &inode).expect("entries") {
            assert_eq!(dir::lookup(&volume, &inode, &entry.name).expect("looked up"), Some(entry.clone()));
            if entry.kind.is_directory_like() {
                todo.push(entry.inode);
            }
            found.entry(entry.inode).or_default().insert((directory, entry.name));
        }
    }
    found
}

/// Whether the bytes lie anywhere on the device.
fn holds(device: &dyn Device, needle: &[u8]) -> bool {
    let mut bytes = vec![0; device.len() as usize];
    device.read_at(0, &mut bytes).expect("read");
    // Most of it is a hole. What reaches over two blocks is found, since both stay.
    let blocks = bytes.chunks(4096).filter(|block| block.iter().any(|&byte| byte != 0));
    blocks.collect::<Vec<_>>().concat().windows(needle.len()).any(|window| window == needle)
}

#[test]
fn an_image_opens_like_the_volume_and_holds_no_vector_no_file_and_no_payload() {
    for block_size in [4096, 65_536] {
        let device = sample(block_size);
        let (image, report) = image_of(&device, &ImageOptions::default());
        assert_eq!((report.damaged, report.unreadable), (0, 0));
        assert!(report.blocks < device.len() / u64::from(block_size) / 4, "{report:?}");
        assert_eq!(tree(&image), tree(&device));
        let (found, problems) = check_full(image.clone());
        assert!(problems.is_empty(), "{block_size}: {}", lines(&problems));
        assert_eq!(found.summary.vectors, check_full(device.clone()).0.summary.vectors);
        let rows = read_rows(&open_ro(&image), "vectors").expect("rows");
        assert!(rows.len() == 3000 * 32 && rows.iter().all(|&byte| byte == 0));
        // What is at home in the sample, and may not be in the image.
        for secret in [&rows_f32(1, 1, 8)[..24], b"hello", b"\"n\":1007", &check_support::pattern(40)] {
            assert!(holds(&*device, secret) && !holds(&*image, secret), "{secret:?}");
        }
        assert!(holds(&*image, b"card.md") && holds(&*image, "key-017-ä".as_bytes()));
    }
}

#[test]
fn hidden_names_are_nowhere_and_others_of_their_length_lead_to_the_same() {
    for block_size in [4096, 65_536] {
        let device = sample(block_size);
        let mut volume = open_rw(&device);
        let mut txn = volume.begin().expect("a transaction");
        txn.set_identity(Some("secret label"), None).expect("a label");
        txn.commit().expect("committed");
        // Its names wait in the journal.
        append(&mut volume, "keys", &rows_f32(9, 1, 16), RowIds::Keys(&["waiting".to_owned()]))
            .expect("a row");
        drop(volume);
        let (image, report) = image_of(&device, &HIDDEN);
        assert_eq!((report.damaged, report.unreadable), (0, 0));
        let (_, problems) = check_full(image.clone());
        assert!(problems.is_empty(), "{block_size}: {}", lines(&problems));
        let (before, after) = (tree(&device), tree(&image));
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        for (ino, names) in &before {
            let shape = |names: &BTreeSet<(InodeNo, Vec<u8>)>| {
                let mut shape: Vec<_> = names.iter().map(|(parent, name)| (*parent, name.len())).collect();
                shape.sort_unstable();
                shape
            };
            assert_eq!(shape(&after[ino]), shape(names), "{ino:?}");
        }
        let last = many_name(MANY - 1);
        let secrets: [&[u8]; 8] = [
            b"models",
            b"card",
            b"secret",
            b"waiting",
            "key-017-ä".as_bytes(),
            last.as_bytes(),
            b"a-name-of-some-length",
            b"xxxxxxxxxxxx",
        ];
        for secret in secrets {
            assert!(holds(&*device, secret), "{secret:?}");
            assert!(!holds(&*image, secret), "{}", String::from_utf8_lossy(secret));
        }
        let volume = open_ro(&image);
        assert_eq!(volume.superblock().label().len(), "secret label".len());
        assert!(!volume.is_unclean());
        // The way through a short link is another, and leads to the same file.
        let link = after.iter().find(|(ino, _)| {
            let inode = inode::read(&volume, **ino).expect("an inode");
            inode.has_inline_target()
        });
        let (_, name) = link.expect("the link").1.first().expect("its name");
        let name = format!("/{}", String::from_utf8(name.clone()).expect("UTF-8"));
        let reached = vexfs_fs::path::resolve(&volume, &name, vexfs_fs::path::LastLink::Follow);
        let file =
            vexfs_fs::path::resolve(&open_ro(&device), "/models/card.md", vexfs_fs::path::LastLink::Keep);
        assert_eq!(reached.expect("followed").number(), file.expect("the file").number());
    }
}

#[test]
fn the_log_is_in_the_image_as_it_waits_on_the_volume() {
    let device = sample(4096);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &rows_f32(5, 10, 8), RowIds::Auto).expect("rows");
    drop(volume);
    let (image, _) = image_of(&device, &ImageOptions::default());
    let (before, after) = (open_ro(&device), open_ro(&image));
    assert!(after.is_unclean());
    assert_eq!(after.report().replayed, before.report().replayed);
    assert_eq!(after.next_txn(), before.next_txn());
    let rows = |volume: &Volume| Collection::open(volume, "vectors").expect("the collection").rows();
    assert_eq!((rows(&before), rows(&after)), (3010, 3010));
    let (_, problems) = check_full(image);
    assert!(problems.is_empty(), "{}", lines(&problems));
}

#[test]
fn indexes_say_what_they_are_of() {
    let device = sample(4096);
    let mut volume = open_rw(&device);
    let options = BuildOptions { threads: 1, memory: 64 << 20, progress: &Silent, dry_run: false };
    index::build(&mut volume, "vectors", &"ivf,name=one".parse().expect("a request"), &options)
        .expect("built");
    volume.close().expect("close");
    for options in [ImageOptions::default(), HIDDEN] {
        let (image, _) = image_of(&device, &options);
        let volume = open_ro(&image);
        let all = vexfs_fs::collection::list(&volume).expect("collections");
        let with_index: Vec<_> =
            all.iter().filter_map(|one| Some((one, index::list(&volume, one).ok()?.pop()?))).collect();
        let [(collection, files)] = &with_index[..] else { panic!("one index") };
        let stored = index::StoredIndex::open(&volume, collection, files).expect("opened");
        assert_eq!(stored.parts()[0].header().rows, 0..3000);
        assert!(files.read_spec(&volume, collection).expect("described").to_string().starts_with("ivf"));
    }
}

/// A damaged volume has an image all the same; what can be read of the volume can be read of the image.
#[test]
fn damage_is_copied_and_costs_nothing_else() {
    type Damage = fn(&Image);
    let cases: [(&str, Damage); 6] = [
        ("an inode", |image| {
            let (block, offset) = image.record(image.ino("/models/deep/large"));
            image.flip(block, offset + 30);
        }),
        ("a directory block", |image| image.flip(image.place("/many", 1), 100)),
        ("a tree node", |image| image.flip(image.extents("/models/bits/vectors").nodes()[0].get(), 60)),
        ("a descriptor", |image| image.flip(1, 70)),
        ("a checksum block", |image| image.flip(image.place("/vectors/vectors", 1 << 48), 60)),
        ("unreadable blocks", |image| image.lose(image.place("/models", 0), 1)),
    ];
    for (what, damage) in cases {
        let sample = Image::new();
        damage(&sample);
        let device: Arc<dyn Device> = sample.device.clone();
        let volume = open_ro(&device);
        for options in [ImageOptions::default(), HIDDEN] {
            let out: Arc<dyn Device> = Arc::new(MemDevice::new(device.len()));
            let report = image::write(&volume, &*out, &options, &Silent).expect(what);
            assert!(report.objects > 20, "{what}: {report:?}");
            let opened = Volume::open(out.clone(), &OpenOptions::default()).expect(what);
            let root = |volume: &Volume| {
                let root = inode::read(volume, InodeNo::ROOT)?;
                dir::list(volume, &root).map(|entries| entries.len())
            };
            assert_eq!(root(&opened).expect(what), root(&volume).expect(what), "{what}");
            if options.scramble.is_some() {
                assert!(!holds(&*out, b"a-name-of-some-length"), "{what}");
            }
        }
        if what == "a directory block" {
            let out = MemDevice::new(device.len());
            image::write(&volume, &out, &ImageOptions::default(), &Silent).expect(what);
            let mut copied = vec![0; BLOCK];
            let block = sample.place("/many", 1);
            out.read_at(block * BLOCK as u64, &mut copied).expect("read");
            assert!(copied == sample.read(block), "what is damaged is as it is");
        }
    }
}

/// Stops at once.
struct Stop;

impl Progress for Stop {
    fn step(&self, _stage: &'static str, _done: u64, _total: u64) {}

    fn is_interrupted(&self) -> bool {
        true
    }
}

#[test]
fn an_image_can_be_broken_off_and_the_volume_is_only_read() {
    let recorded = Arc::new(vexfs_device::RecordDevice::new(filled(64, 4096)));
    let volume = Volume::open(recorded.clone(), &OpenOptions::default()).expect("open");
    let out = MemDevice::new(recorded.len());
    let stopped = image::write(&volume, &out, &HIDDEN, &Stop);
    assert!(matches!(stopped, Err(FsError::Interrupted)), "{stopped:?}");
    image::write(&volume, &out, &HIDDEN, &Silent).expect("an image");
    assert_eq!(recorded.log(), []);
}
