//! Arbitrary bytes as a device: as they are, and as changes to a golden image whose checksums are brought up to date.
//!
//! Everything a tool can do with a device is tried on it. No bytes may make the library panic, hang, write while it reads, or
//! allocate more than the device is worth.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use vexfs_device::{MemDevice, RecordDevice};
use vexfs_format::codes::InodeKind;
use vexfs_format::{BlockNo, GroupNo, InodeNo};
use vexfs_fs::check::{self, CheckOptions, DataLevel, Problem, quick};
use vexfs_fs::collection::append::{Appender, RowIds};
use vexfs_fs::collection::{self, Collection};
use vexfs_fs::path::{LastLink, read_link, resolve};
use vexfs_fs::search::Searcher;
use vexfs_fs::txn::transaction::Transaction;
use vexfs_fs::{BlockSource, FsError, OpenOptions, Result, Volume, alloc, dir, inode};

#[path = "image_fields.rs"]
#[allow(dead_code)] // the tests name places and make seeds, the fuzzer does not
pub(crate) mod fields;
#[allow(dead_code, unreachable_pub)] // packing is for the recipe
#[path = "../../crates/vexfs-fs/tests/golden_image/packed.rs"]
mod packed;

use fields::Places;

/// Rows, names and objects that are looked at one by one.
const SOME: u64 = 100;
/// Bytes of one file that are read from each end.
const END: u64 = 256 << 10;

/// A golden image and its structures.
pub(crate) struct Golden {
    pub(crate) image: MemDevice,
    pub(crate) places: Places,
}

/// The golden images of format version 1: clean, unclean.
pub(crate) static GOLDEN: LazyLock<[Golden; 2]> = LazyLock::new(|| {
    let files = [
        include_bytes!("../../testdata/golden/v1/clean.packed").as_slice(),
        include_bytes!("../../testdata/golden/v1/unclean.packed").as_slice(),
    ];
    files.map(|bytes| {
        let image = MemDevice::from_bytes(packed::unpack(bytes).expect("a golden image"));
        Golden { places: Places::of(&image), image }
    })
});

/// Opens `data` as an image, and the golden images with the changes that `data` stands for ([`fields::changes`]).
///
/// # Panics
/// If the library breaks its contract.
pub(crate) fn run(data: &[u8]) {
    open_anything(&MemDevice::from_bytes(data.to_vec()));
    if let Some((&which, rest)) = data.split_first() {
        let golden = &GOLDEN[usize::from(which & 1)];
        let image = golden.image.fork();
        fields::changes(rest).take(16).for_each(|change| golden.places.change(&image, change));
        open_anything(&image);
    }
}

/// Does everything with a device, first reading, then writing to a copy of it.
///
/// # Panics
/// If reading writes something.
pub(crate) fn open_anything(device: &MemDevice) {
    let recorder = Arc::new(RecordDevice::new(device.fork()));
    let backup = OpenOptions { superblock: Some(BlockNo(1)), ..Default::default() };
    for options in [OpenOptions::default(), backup] {
        match Volume::open(recorder.clone(), &options) {
            Ok(volume) => read_everything(&volume),
            Err(e) => drop(e.to_string()),
        }
    }
    for data in [DataLevel::Meta, DataLevel::Full] {
        let options = CheckOptions { data, ..Default::default() };
        drop(check::check(recorder.clone(), &options, &mut Vec::<Problem>::new()));
    }
    drop(quick::look(recorder.clone()));
    assert_eq!(recorder.log(), [], "reading wrote something");
    let copy = Arc::new(device.fork());
    if let Ok(mut volume) = Volume::open(copy, &OpenOptions { write: true, ..Default::default() }) {
        change_everything(&mut volume);
        drop(volume.close());
    }
}

/// Reads all structures and, within bounds, all contents; errors are what is expected.
pub(crate) fn read_everything(volume: &Volume) {
    let sb = volume.superblock();
    drop((sb.label(), sb.features().names(), volume.report().warnings("fuzz")));
    let geometry = volume.geometry();
    drop((geometry.fixed_runs().take(1000).last(), geometry.backups()));
    for group in (0..geometry.groups.min(SOME)).map(GroupNo) {
        if let Ok(desc) = inode::read_group(volume, group) {
            drop(alloc::read_block_bitmap(volume, group, &desc));
            drop(alloc::read_inode_bitmap(volume, group, &desc));
        }
    }
    let mut seen = HashSet::new();
    let mut todo = vec![InodeNo(sb.root_inode.get())];
    while let Some(ino) = todo.pop() {
        if seen.insert(ino)
            && let Ok(more) = read_object(volume, ino)
        {
            todo.extend(more);
        }
    }
    for path in ["/", "/link", "/models/../models/./long link", "vectors/vectors", "/names/.."] {
        drop(resolve(volume, path, LastLink::Follow));
    }
    for collection in collection::list(volume).into_iter().flatten() {
        drop(read_collection(volume, &collection));
    }
}

/// Reads one object and returns those that it names.
fn read_object(volume: &Volume, ino: InodeNo) -> Result<Vec<InodeNo>> {
    let inode = inode::read(volume, ino)?;
    match inode.kind() {
        InodeKind::Directory | InodeKind::Collection => {
            let entries = dir::list_sorted(volume, &inode)?;
            for entry in entries.iter().take(SOME as usize) {
                drop(dir::lookup(volume, &inode, &entry.name));
            }
            if inode.kind() == InodeKind::Collection {
                drop(Collection::from_inode(volume, "fuzz", inode).and_then(|c| read_collection(volume, &c)));
            }
            Ok(entries.into_iter().map(|entry| entry.inode).collect())
        }
        InodeKind::Symlink => read_link(volume, &inode).map(|_| Vec::new()),
        InodeKind::File | InodeKind::Stream => {
            let view = volume.view(&inode)?;
            let _ = view.bytes(0..END)?;
            let _ = view.bytes(view.len().saturating_sub(END)..u64::MAX)?;
            let _ = view.device_block(u64::MAX);
            Ok(Vec::new())
        }
    }
}

fn read_collection(volume: &Volume, collection: &Collection) -> Result<()> {
    let rows = collection.open_rows(volume)?;
    let count = rows.len();
    drop(rows.bytes(0..SOME));
    drop(rows.bytes(count.saturating_sub(SOME)..u64::MAX));
    rows.salvage(0..SOME.min(count), |_, _| {}, |_, e| drop(e.to_string()));
    let deletions = collection.deletions(volume)?;
    let _ = (deletions.contains(u64::MAX), deletions.words().map(<[u64]>::len));
    let identities = collection.identities(volume)?;
    for row in (0..count.min(SOME)).chain(count.checked_sub(1)) {
        if let Ok(name) = identities.identity(row) {
            drop(identities.find(&name.to_string(), &deletions));
        }
    }
    drop(identities.find("no such key", &deletions));
    let searcher = Searcher::open(volume, collection)?;
    let dim = collection.dim();
    let queries = if searcher.is_binary() {
        searcher.bit_queries(&vec![0x5A; dim.div_ceil(8)], dim)?
    } else {
        searcher.queries(&vec![0.5; dim], dim)?
    };
    drop(searcher.exact(&queries, 5, 1, &|| false));
    Ok(())
}

/// Makes every kind of change; those that are refused are dropped.
fn change_everything(volume: &mut Volume) {
    let root = InodeNo(volume.superblock().root_inode.get());
    let names: Vec<Vec<u8>> = match inode::read(volume, root).and_then(|root| dir::list(volume, &root)) {
        Ok(entries) => entries.into_iter().take(SOME as usize).map(|entry| entry.name).collect(),
        Err(_) => Vec::new(),
    };
    let paths: Vec<String> =
        collection::list(volume).into_iter().flatten().take(SOME as usize).map(|c| c.path).collect();
    commit(volume, |txn| {
        let mut writer = txn.write_file(root, b"fuzz")?;
        writer.write(txn, &[7; 20_000])?;
        writer.finish(txn).map(drop)
    });
    for path in &paths {
        let Ok(ino) = resolve(volume, path, LastLink::Follow).map(|inode| inode.number()) else { continue };
        let keys = ["a key".to_owned(), "another".to_owned()];
        for ids in [RowIds::Auto, RowIds::Ids(&[u64::MAX - 1, 7]), RowIds::Keys(&keys)] {
            commit(volume, |txn| {
                let mut appender = Appender::open(txn, path, ino)?;
                let row_bytes = appender.collection().desc.row_bytes() as usize;
                appender.reserve(txn, 2)?;
                appender.push(txn, &vec![0; 2 * row_bytes], ids)?;
                appender.finish(txn).map(drop)
            });
        }
        commit(volume, |txn| txn.delete_rows(path, ino, &[0, 5, u64::MAX]).map(drop));
    }
    commit(volume, |txn| txn.make_directory(root, b"fuzz directory").map(drop));
    for name in &names {
        commit(volume, |txn| txn.write_file(root, name)?.finish(txn).map(drop));
        commit(volume, |txn| {
            let to = inode::read(txn, root)?;
            let to = dir::lookup(txn, &to, b"fuzz directory")?.map_or(root, |entry| entry.inode);
            txn.rename(root, name, to, name)?;
            txn.remove(to, name)
        });
    }
}

fn commit(volume: &mut Volume, change: impl FnOnce(&mut Transaction<'_>) -> Result<()>) {
    let result = volume.begin().and_then(|mut txn| {
        change(&mut txn)?;
        txn.commit()
    });
    if let Err(e) = result {
        assert!(!matches!(e, FsError::Device(_)), "the device of a test does not fail: {e}");
    }
}
