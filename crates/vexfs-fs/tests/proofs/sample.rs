//! The filesystem that the proofs damage: small, and with something of everything.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use vexfs_ann::index::Progress;
use vexfs_device::{Device, MemDevice};
use vexfs_format::InodeNo;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::index::{self, BuildOptions};
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{OpenOptions, Volume};

use crate::check_support::{filled, pattern};
use crate::common::{append, open_rw, put_file, rows_f32};
use crate::fields::Places;
use crate::tree::Tree;

/// A sound filesystem, what it holds, and where its structures are.
pub struct Sample {
    pub name: &'static str,
    pub image: MemDevice,
    pub tree: Tree,
    pub places: Places,
    /// Inodes that the transactions in the log made or changed.
    pub logged: Vec<u64>,
}

/// The states of one filesystem in which it is damaged.
pub struct Samples {
    /// Some transactions before `clean`.
    pub older: MemDevice,
    /// Closed: everything is home.
    pub clean: Sample,
    /// As `clean`, and then transactions that are in the log only.
    pub unclean: Sample,
}

/// Made once for all proofs.
pub static SAMPLES: LazyLock<Samples> = LazyLock::new(|| {
    let device: Arc<MemDevice> = Arc::new(filled(300, 4096));
    let shared: Arc<dyn Device> = device.clone();
    let mut volume = open_rw(&shared);
    build(&mut volume, "/ids", "ivf,name=lists");
    build(&mut volume, "/keys", "flat");
    volume.close().expect("close");
    let older = device.fork();

    let mut volume = open_rw(&shared);
    let deep = resolve(&volume, "/models/deep", LastLink::Keep).expect("a directory").number();
    put_file(&mut volume, deep, b"later", &pattern(9_000)).expect("file");
    append(&mut volume, "/ids", &rows_f32(5, 30, 16), RowIds::Ids(&(9_000..9_030).collect::<Vec<_>>()))
        .expect("rows");
    delete(&mut volume, "/ids", &[11, 12, 400]);
    append(&mut volume, "/keys", &rows_f32(6, 1, 16), RowIds::Keys(&["later".to_owned()])).expect("rows");
    put_file(&mut volume, deep, b"large", &pattern(700_001)).expect("file");
    volume.close().expect("close");
    let clean = Sample::new("clean", device.fork(), None);

    let mut volume = open_rw(&shared);
    change(&mut volume, deep);
    // Not closed: what was committed is in the log.
    drop(volume);
    let unclean = Sample::new("unclean", device.fork(), Some(&clean.tree));
    assert!(unclean.places.all.iter().any(|place| place.name == "commit"), "the log holds something");
    Samples { older, clean, unclean }
});

/// Transactions of several kinds.
fn change(volume: &mut Volume, deep: InodeNo) {
    put_file(volume, deep, b"logged", &pattern(6_000)).expect("file");
    append(volume, "/vectors", &rows_f32(7, 40, 8), RowIds::Auto).expect("rows");
    let mut txn = volume.begin().expect("begin");
    txn.make_directory(InodeNo::ROOT, b"made").expect("directory");
    txn.remove(deep, b"f3").expect("removed");
    txn.commit().expect("commit");
    delete(volume, "/keys", &[7]);
}

/// Deletes rows in one transaction.
pub fn delete(volume: &mut Volume, path: &str, rows: &[u64]) {
    let ino = resolve(volume, path, LastLink::Follow).expect("a collection").number();
    let mut txn = volume.begin().expect("begin");
    txn.delete_rows(path, ino, rows).expect("delete");
    txn.commit().expect("commit");
}

struct Silent;

impl Progress for Silent {
    fn step(&self, _stage: &'static str, _done: u64, _total: u64) {}

    fn is_interrupted(&self) -> bool {
        false
    }
}

/// Builds an index.
pub fn build(volume: &mut Volume, path: &str, request: &str) {
    let options = BuildOptions { threads: 1, memory: 64 << 20, progress: &Silent, dry_run: false };
    index::build(volume, path, &request.parse().expect("a request"), &options).expect(request);
}

impl Sample {
    fn new(name: &'static str, image: MemDevice, before: Option<&Tree>) -> Self {
        let device: Arc<dyn Device> = Arc::new(image.fork());
        let tree = Tree::read(&device);
        let places = Places::of(&image);
        let logged = before.map(|before| before.differences(&tree)).unwrap_or_default();
        Self { name, image, tree, places, logged }
    }

    /// The index directory of a collection with all that is in it, and the collection, which holds its name.
    pub fn index_of(&self, path: &str) -> BTreeSet<u64> {
        let volume = Volume::open(Arc::new(self.image.fork()), &OpenOptions::default()).expect("sound");
        let directory =
            resolve(&volume, &format!("{path}/index"), LastLink::Keep).expect("an index").number().get();
        self.tree.entries(directory).map(|(_, ino)| ino).chain([directory]).collect()
    }

    /// What damage of a structure of `owner` may change: the object, and where it describes rows, what else describes them. Their
    /// vectors and the checksums of these are to be found again whatever becomes of the rest.
    pub fn reach(&self, owner: u64) -> Vec<u64> {
        match self.tree.collection_of(owner) {
            Some(collection) => {
                let streams = self.tree.entries(collection);
                // Rows that are lost have no checksums any more.
                let has_vectors =
                    self.tree.entries(collection).any(|(name, ino)| name == b"vectors" && ino == owner);
                let others =
                    streams.filter(|(name, _)| name != b"vectors" && (has_vectors || name != b"crc"));
                others.map(|(_, ino)| ino).chain([collection, owner]).collect()
            }
            None => vec![owner],
        }
    }
}
