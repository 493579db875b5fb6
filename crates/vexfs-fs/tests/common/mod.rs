//! What the integration tests share: small filesystems in memory, and rows to put in.

#![allow(dead_code, unreachable_pub)] // each test file uses its own part

use std::sync::Arc;

use vexfs_device::{Device, MemDevice};
use vexfs_format::InodeNo;
use vexfs_format::codes::{DType, Metric};
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::append::{Appended, Appender, RowIds};
use vexfs_fs::collection::create::CollectionSpec;
use vexfs_fs::index::Progress;
use vexfs_fs::mkfs::{self, DefaultCollection, MkfsOptions};
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{OpenOptions, Result, Volume};

pub const UUID: [u8; 16] = *b"0123456789abcdef";

/// Progress that nobody looks at.
pub struct Silent;

impl Progress for Silent {
    fn step(&self, _stage: &'static str, _done: u64, _total: u64) {}

    fn is_interrupted(&self) -> bool {
        false
    }
}

/// mkfs options for a device of `bytes` bytes in blocks of `block_size`, with a collection of 8 dimensions.
pub fn options(bytes: u64, block_size: u32) -> MkfsOptions {
    let mut options = MkfsOptions::new(bytes, UUID);
    options.geometry.block_size = block_size;
    options.geometry.device_blocks = bytes / u64::from(block_size);
    options.geometry.vector_zone = true;
    options.collection = Some(DefaultCollection::new("vectors", 8));
    options
}

/// A fresh filesystem of `mib` MiB in memory.
pub fn formatted(mib: u64, block_size: u32) -> Arc<dyn Device> {
    let device = Arc::new(MemDevice::new(mib << 20));
    mkfs::format(device.clone(), &options(mib << 20, block_size)).expect("mkfs");
    device
}

pub fn open_rw(device: &Arc<dyn Device>) -> Volume {
    Volume::open(device.clone(), &OpenOptions { write: true, now_ns: 1_000, ..Default::default() })
        .expect("open")
}

pub fn open_ro(device: &Arc<dyn Device>) -> Volume {
    Volume::open(device.clone(), &OpenOptions::default()).expect("open for reading")
}

/// `count` rows of `dim` f32 whose values tell row and seed.
pub fn rows_f32(seed: u32, count: usize, dim: usize) -> Vec<u8> {
    let value =
        |i: usize| ((i as u32).wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 8) as f32 / 65_536.0;
    (0..count * dim).flat_map(|i| value(i).to_le_bytes()).collect()
}

pub fn spec(dim: u32) -> CollectionSpec {
    CollectionSpec { dim, dtype: DType::F32, metric: Metric::L2, normalized: false }
}

/// Appends rows to the collection at `path` in one transaction.
pub fn append(volume: &mut Volume, path: &str, rows: &[u8], ids: RowIds<'_>) -> Result<Appended> {
    let ino = resolve(volume, path, LastLink::Follow)?.number();
    let mut txn = volume.begin()?;
    let mut appender = Appender::open(&mut txn, path, ino)?;
    appender.push(&mut txn, rows, ids)?;
    let appended = appender.finish(&mut txn)?;
    txn.commit()?;
    Ok(appended)
}

/// All rows of the collection at `path`.
pub fn read_rows(volume: &Volume, path: &str) -> Result<Vec<u8>> {
    let collection = Collection::open(volume, path)?;
    let rows = collection.open_rows(volume)?;
    Ok(rows.bytes(0..rows.len())?.to_vec())
}

/// Writes an ordinary file in one transaction.
pub fn put_file(volume: &mut Volume, dir: InodeNo, name: &[u8], bytes: &[u8]) -> Result<()> {
    let mut txn = volume.begin()?;
    let mut writer = txn.write_file(dir, name)?;
    writer.write(&mut txn, bytes)?;
    writer.finish(&mut txn)?;
    txn.commit()
}

/// Reads an ordinary file.
pub fn get_file(volume: &Volume, path: &str) -> Result<Vec<u8>> {
    let inode = resolve(volume, path, LastLink::Follow)?;
    Ok(volume.view(&inode)?.all()?.to_vec())
}
