//! What the golden images hold: every kind of object, every element type, every structure of the format.

use std::num::NonZeroU64;
use std::sync::Arc;

use vexfs_device::MemDevice;
use vexfs_format::InodeNo;
use vexfs_format::codes::{DType, InodeKind, Metric};
use vexfs_fs::alloc::BlockUse;
use vexfs_fs::collection::append::{Appender, RowIds};
use vexfs_fs::collection::create::CollectionSpec;
use vexfs_fs::file::FileWriter;
use vexfs_fs::mkfs::{self, DefaultCollection, MkfsOptions};
use vexfs_fs::txn::transaction::Transaction;
use vexfs_fs::{FsError, OpenOptions, Result, Volume};

/// Bytes of the images.
pub const BYTES: u64 = 20 << 20;
const NOW: u64 = 1_750_000_000_000_000_000;

/// Both images: all at home and the journal empty; and three transactions later, which lie in the journal only.
///
/// # Errors
/// Those of the library.
pub fn make() -> Result<(MemDevice, MemDevice)> {
    let device = Arc::new(MemDevice::new(BYTES));
    mkfs::format(device.clone(), &options())?;
    let mut volume = open(&device, 1)?;
    commit_each(
        &mut volume,
        &[
            &collections,
            &files,
            &|txn| names(txn, 0..80),
            &|txn| txn.remove(root(), b"replaced"),
            &fragments,
            &|txn| txn.delete_rows("/vectors", find(txn, b"vectors")?, &[1, 7, 63, 64]).map(drop),
        ],
    )?;
    volume.close()?;
    let clean = device.fork();
    // Frees a directory and a tree, so that there are revoke blocks, and is not closed.
    let mut volume = open(&device, 2)?;
    commit_each(
        &mut volume,
        &[
            &|txn| append(txn, b"vectors", DType::F32, 8, 40, 9, &Ids::Given(2_000)),
            &|txn| {
                txn.remove(root(), b"fragments-b")?;
                (0..80).try_for_each(|n| txn.remove(find(txn, b"names")?, &name(n)))?;
                txn.remove(root(), b"names")
            },
            &|txn| {
                txn.rename(root(), b"card.md", find(txn, b"models")?, b"card.md")?;
                write(txn, b"after", &[3; 5_000])
            },
        ],
    )?;
    drop(volume);
    Ok((clean, device.fork()))
}

fn options() -> MkfsOptions {
    let mut options = MkfsOptions::new(BYTES, *b"golden image v1\0");
    options.label = "golden".to_owned();
    options.geometry.vector_zone = true;
    options.collection = Some(DefaultCollection::new("vectors", 8));
    options.now_ns = NOW;
    // Not the version of the tools: the images outlive it.
    options.creator = "golden recipe".to_owned();
    options
}

fn open(device: &Arc<MemDevice>, days: u64) -> Result<Volume> {
    let now_ns = NOW + days * 86_400_000_000_000;
    Volume::open(device.clone(), &OpenOptions { write: true, now_ns, ..Default::default() })
}

fn root() -> InodeNo {
    InodeNo::ROOT
}

/// One change of the recipe.
type Change<'a> = &'a dyn Fn(&mut Transaction<'_>) -> Result<()>;

/// Makes each change in a transaction of its own.
fn commit_each(volume: &mut Volume, changes: &[Change<'_>]) -> Result<()> {
    changes.iter().try_for_each(|change| {
        let mut txn = volume.begin()?;
        change(&mut txn)?;
        txn.commit()
    })
}

/// The inode of a name in the root directory.
fn find(txn: &Transaction<'_>, name: &[u8]) -> Result<InodeNo> {
    let root = vexfs_fs::inode::read(txn, root())?;
    let entry = vexfs_fs::dir::lookup(txn, &root, name)?;
    Ok(entry.expect("the recipe makes it first").inode)
}

fn write(txn: &mut Transaction<'_>, name: &[u8], bytes: &[u8]) -> Result<()> {
    let mut writer = txn.write_file(root(), name)?;
    writer.write(txn, bytes)?;
    writer.finish(txn).map(drop)
}

enum Ids {
    Auto,
    Given(u64),
    Keys,
}

/// One collection of each element type; automatic ids, given ids, keys; an empty one.
fn collections(txn: &mut Transaction<'_>) -> Result<()> {
    append(txn, b"vectors", DType::F32, 8, 600, 1, &Ids::Auto)?;
    let mut make = |name: &[u8], dim, dtype, metric, normalized| {
        txn.create_collection(root(), name, &CollectionSpec { dim, dtype, metric, normalized }).map(drop)
    };
    make(b"halves", 5, DType::F16, Metric::InnerProduct, false)?;
    make(b"brains", 4, DType::BF16, Metric::Cosine, true)?;
    make(b"signed", 16, DType::I8, Metric::L2, false)?;
    make(b"unsigned", 3, DType::U8, Metric::L2, false)?;
    make(b"bits", 12, DType::B1, Metric::Hamming, false)?;
    make(b"empty", 4096, DType::F32, Metric::L2, false)?;
    append(txn, b"halves", DType::F16, 5, 33, 2, &Ids::Given(10))?;
    append(txn, b"brains", DType::BF16, 4, 20, 3, &Ids::Keys)?;
    append(txn, b"signed", DType::I8, 16, 50, 4, &Ids::Auto)?;
    append(txn, b"unsigned", DType::U8, 3, 9, 5, &Ids::Keys)?;
    append(txn, b"bits", DType::B1, 12, 100, 6, &Ids::Auto)?;
    // A model, and an import that was interrupted behind its first step.
    let model = "encoder@5f3c".parse().map_err(FsError::BadCollection)?;
    let ino = find(txn, b"brains")?;
    txn.describe_vectors("golden", ino, Some(&model), false)?;
    let ino = find(txn, b"signed")?;
    let mut step = Appender::open_step(txn, "golden", ino, NonZeroU64::MIN.saturating_add(6))?;
    step.push(txn, &[9; 7 * 16], RowIds::Auto)?;
    step.finish(txn).map(drop)
}

/// Rows of small whole numbers, as every element type has them; the order of given ids is mixed.
fn append(
    txn: &mut Transaction<'_>,
    name: &[u8],
    dtype: DType,
    dim: usize,
    rows: usize,
    seed: u8,
    ids: &Ids,
) -> Result<()> {
    let ino = find(txn, name)?;
    let mut appender = Appender::open(txn, "golden", ino)?;
    let values = (0..rows * dim).map(|i| (i.wrapping_mul(37) as u8).wrapping_add(seed) & 63);
    let bytes: Vec<u8> = match dtype {
        DType::F32 => values.flat_map(|v| f32::from(v).to_le_bytes()).collect(),
        // Powers of two: sign 0, exponent from the number, mantissa 0.
        DType::F16 => values.flat_map(|v| ((u16::from(v) % 30 + 1) << 10).to_le_bytes()).collect(),
        DType::BF16 => values.flat_map(|v| ((u16::from(v) + 96) << 7).to_le_bytes()).collect(),
        DType::I8 | DType::U8 => values.collect(),
        DType::B1 => (0..rows).flat_map(|row| [row as u8, seed & 0x0F]).collect(),
    };
    let given: Vec<u64> =
        (0..rows as u64).map(|n| if let Ids::Given(first) = ids { first + (n ^ 1) } else { n }).collect();
    let keys: Vec<String> =
        given.iter().map(|n| format!("key {n} of {}", String::from_utf8_lossy(name))).collect();
    let ids = match ids {
        Ids::Auto => RowIds::Auto,
        Ids::Given(_) => RowIds::Ids(&given),
        Ids::Keys => RowIds::Keys(&keys),
    };
    appender.push(txn, &bytes, ids)?;
    appender.finish(txn).map(drop)
}

/// Files with nothing, one block, and more blocks than one checksum block covers; directories; links of both kinds.
fn files(txn: &mut Transaction<'_>) -> Result<()> {
    write(txn, b"none", b"")?;
    write(txn, b"card.md", b"# A model card\n\nIt lies next to its vectors.\n")?;
    write(txn, b"zeroes", &vec![0; 1_100 * 4096 - 1])?;
    write(txn, b"replaced", &[1; 10_000])?;
    write(txn, b"replaced", &[2; 9_000])?;
    let models = txn.make_directory(root(), b"models")?;
    let deeper = txn.make_directory(models, "größer".as_bytes())?;
    let spec = CollectionSpec { dim: 2, dtype: DType::F32, metric: Metric::L2, normalized: false };
    txn.create_collection(deeper, b"far away", &spec)?;
    txn.make_symlink(root(), b"link", b"models/gr\xc3\xb6\xc3\x9fer")?;
    txn.make_symlink(models, b"long link", &[b"../".as_slice(), &[b'x'; 400]].concat())?;
    txn.make_directory(root(), b"names").map(drop)
}

fn name(n: u32) -> Vec<u8> {
    format!("a name among others, long enough to fill blocks: {n:04}").into_bytes()
}

/// Enough names for a directory of two levels.
fn names(txn: &mut Transaction<'_>, numbers: std::ops::Range<u32>) -> Result<()> {
    let dir = find(txn, b"names")?;
    numbers.into_iter().try_for_each(|n| txn.create(dir, &name(n), InodeKind::File, 0o600).map(drop))
}

/// Two files that grow in turn, block by block: the extents of each fill a tree of two levels.
fn fragments(txn: &mut Transaction<'_>) -> Result<()> {
    let mut make = |name: &[u8]| {
        let ino = txn.create(root(), name, InodeKind::File, 0o640)?.number();
        FileWriter::append(txn, ino, BlockUse::Data)
    };
    let mut writers = [make(b"fragments-a")?, make(b"fragments-b")?];
    for n in 0..860_u32 {
        for writer in &mut writers {
            let mut block = vec![0; 4096];
            block[..4].copy_from_slice(&n.to_le_bytes());
            writer.reserve(txn, 4096)?;
            writer.write(txn, &block)?;
        }
    }
    writers.into_iter().try_for_each(|writer| writer.finish(txn).map(drop))
}
