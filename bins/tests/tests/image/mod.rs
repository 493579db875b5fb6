//! An image with a VexFS, and arrays to put into it: what the tests of import and query share.

#![allow(dead_code, unreachable_pub)] // each test file uses its own part

use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use tool_tests::{Invocation, Scratch, Tool};
use vexfs_device::{FileDevice, OpenOptions as DeviceOptions};
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::ids::Identity;
use vexfs_fs::{OpenOptions, Volume};

/// A VexFS in an image file.
pub struct Image {
    pub scratch: Scratch,
    pub path: PathBuf,
}

impl Image {
    /// 24 MiB with an empty default collection of `dim` dimensions, f32, l2.
    pub fn new(dim: usize) -> Self {
        Self::made_by(&["-D", &dim.to_string()], "24M")
    }

    /// An image of `size` bytes, formatted with these flags.
    pub fn made_by(flags: &[&str], size: &str) -> Self {
        let scratch = Scratch::new();
        let path = scratch.path("vexfs.img");
        let mkfs = Tool::MKFS.run().arg("-q").args(flags).arg(&path).arg(size);
        mkfs.env("SOURCE_DATE_EPOCH", "1700000000").finish().expect(0);
        Self { scratch, path }
    }

    /// `vexfs-import -d IMAGE`
    pub fn import(&self) -> Invocation {
        Tool::IMPORT.run().arg("-d").arg(&self.path)
    }

    /// `vexfs-query -d IMAGE`
    pub fn query(&self) -> Invocation {
        Tool::QUERY.run().arg("-d").arg(&self.path)
    }

    /// `vexfs-tune -d IMAGE`
    pub fn tune(&self) -> Invocation {
        Tool::TUNE.run().arg("-d").arg(&self.path)
    }

    /// `vexfs-dump -d IMAGE`
    pub fn dump(&self) -> Invocation {
        Tool::DUMP.run().arg("-d").arg(&self.path)
    }

    /// A number that tells whether a byte of the image has changed.
    pub fn hash(&self) -> u64 {
        Scratch::hash(&self.path)
    }

    /// The volume, opened for reading by the library.
    pub fn volume(&self) -> Volume {
        let device = FileDevice::open(&self.path, DeviceOptions::read_only()).expect("the image");
        Volume::open(Arc::new(device), &OpenOptions::default()).expect("a volume")
    }

    /// The volume, opened for writing by the library.
    pub fn volume_for_writing(&self) -> Volume {
        let device = FileDevice::open(&self.path, DeviceOptions::read_write()).expect("the image");
        let options = OpenOptions { write: true, now_ns: 1, ..OpenOptions::default() };
        Volume::open(Arc::new(device), &options).expect("a volume")
    }

    /// The packed bytes of all rows of a collection.
    pub fn rows(&self, name: &str) -> Vec<u8> {
        let volume = self.volume();
        let collection = Collection::open(&volume, name).expect("the collection");
        let rows = collection.open_rows(&volume).expect("its rows");
        rows.bytes(0..rows.len()).expect("intact rows").to_vec()
    }

    /// Dimension, element type, metric and number of rows of a collection, as text.
    pub fn kind(&self, name: &str) -> String {
        let collection = Collection::open(&self.volume(), name).expect("the collection");
        let desc = collection.desc;
        format!("{} {} {} {}", desc.dim, desc.dtype(), desc.metric(), collection.rows())
    }

    /// Whether there is such a collection.
    pub fn has(&self, name: &str) -> bool {
        Collection::open(&self.volume(), name).is_ok()
    }

    /// How the rows of a collection are called.
    pub fn identities(&self, name: &str) -> Vec<Identity> {
        let volume = self.volume();
        let collection = Collection::open(&volume, name).expect("the collection");
        let identities = collection.identities(&volume).expect("identities");
        (0..collection.rows()).map(|row| identities.identity(row).expect("an identity")).collect()
    }

    /// The contents of an ordinary file.
    pub fn file(&self, path: &str) -> Vec<u8> {
        let volume = self.volume();
        let inode = vexfs_fs::path::resolve(&volume, path, vexfs_fs::path::LastLink::Follow).expect("a file");
        volume.view(&inode).expect("its contents").all().expect("intact contents").to_vec()
    }

    /// Whether a path leads anywhere.
    pub fn exists(&self, path: &str) -> bool {
        vexfs_fs::path::resolve(&self.volume(), path, vexfs_fs::path::LastLink::Follow).is_ok()
    }

    /// Deletes rows of a collection.
    pub fn delete(&self, name: &str, rows: &[u64]) {
        let mut volume = self.volume_for_writing();
        let ino = Collection::open(&volume, name).expect("the collection").inode.number();
        let mut txn = volume.begin().expect("a transaction");
        txn.delete_rows(name, ino, rows).expect("deleted");
        txn.commit().expect("committed");
        volume.close().expect("closed");
    }

    /// Expects that fsck finds nothing, in the structures and in every byte of data.
    #[track_caller]
    pub fn assert_sound(&self) {
        Tool::FSCK.run().args(["-f", "-n", "--data=full"]).arg(&self.path).finish().expect(0);
    }
}

/// The bytes of a `.npy` file.
pub fn npy(descr: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({axes}), }}");
    header.push_str(&" ".repeat(63 - (10 + header.len()) % 64));
    header.push('\n');
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

/// A C-ordered `.npy` array of f32 with `dim` columns.
pub fn npy_f32(dim: usize, values: &[f32]) -> Vec<u8> {
    npy("<f4", false, &[values.len() / dim, dim], &f32_bytes(values))
}

/// Little-endian bytes of f32.
pub fn f32_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

/// Shape, element type and elements of a `.npy` array.
pub fn read_npy(bytes: &[u8]) -> (String, Vec<i64>) {
    assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
    let len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = std::str::from_utf8(&bytes[10..10 + len]).expect("a header").trim_end().to_owned();
    let elements = bytes[10 + len..].chunks_exact(8);
    assert!(elements.remainder().is_empty());
    (header, elements.map(|e| i64::from_le_bytes(e.try_into().expect("8 bytes"))).collect())
}

/// Numbers that look random and are the same in each run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Between −1 and 1.
    pub fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    pub fn units(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.unit()).collect()
    }
}

/// Kills a program that hangs, so that its test fails instead of waiting for ever; until it is dropped.
pub struct Watchdog {
    _alive: Sender<()>,
}

impl Watchdog {
    pub fn of(child: &Child) -> Self {
        let (alive, done) = channel();
        let pid = child.id().to_string();
        std::thread::spawn(move || {
            if done.recv_timeout(Duration::from_secs(60)) == Err(RecvTimeoutError::Timeout) {
                println!("the program hangs and is killed");
                let _ = Command::new("kill").args(["-s", "KILL", &pid]).status();
            }
        });
        Self { _alive: alive }
    }
}
