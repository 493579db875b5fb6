//! Making a filesystem: the parts that are not in the journal first, then one transaction that makes root directory,
//! lost+found, the default collection and the primary superblock, then the backups, then that transaction home.
//!
//! A crash before the first backup is written leaves a device without any superblock: not a VexFS. After that, whichever
//! superblock is found leads to the journal, and with it to the finished filesystem.

mod remnants;

use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::codes::{DType, InodeKind, Metric};
use vexfs_format::dir_block::is_valid_name;
use vexfs_format::geometry::{Geometry, GeometryParams};
use vexfs_format::group_desc::{BLOCK_BITMAP_UNINIT, GroupDesc, INODE_BITMAP_UNINIT};
use vexfs_format::superblock::{self, Superblock};
use vexfs_format::{GroupNo, InodeNo, Seed};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use crate::collection::create::CollectionSpec;
use crate::error::{FsError, Result};
use crate::tree;
use crate::volume::Volume;
use remnants::Remnants;

/// Default dimension of the collection that `-V` makes: that of BERT-base and of most sentence embeddings.
pub const DEFAULT_DIM: u32 = 768;
/// Share of the blocks kept for checks, deletions and compaction: 1 in 100, at most [`MAX_RESERVED_BYTES`].
const RESERVED_SHARE: u64 = 100;
/// Bytes discarded between two looks at whether to go on: a device that is slow at it takes about a second.
const DISCARD_STEP: u64 = 2 << 30;
/// What a deletion on a full volume may need: the bitmap of ten billion rows with its checksum blocks is far less.
pub(crate) const MAX_RESERVED_BYTES: u64 = 64 << 20;

/// The default collection.
#[derive(Clone, Debug)]
pub struct DefaultCollection {
    /// Its name in the root directory.
    pub name: String,
    /// What it is made of.
    pub spec: CollectionSpec,
}

impl DefaultCollection {
    /// A collection named `name` of `dim` dimensions, f32, l2.
    pub fn new(name: &str, dim: u32) -> Self {
        let spec = CollectionSpec { dim, dtype: DType::F32, metric: Metric::L2, normalized: false };
        Self { name: name.to_owned(), spec }
    }
}

/// What is asked of [`format()`].
#[derive(Clone, Debug)]
pub struct MkfsOptions {
    /// Sizes.
    pub geometry: GeometryParams,
    /// Identity of the filesystem; all seeds are derived from it.
    pub uuid: [u8; 16],
    /// Label, at most 64 bytes.
    pub label: String,
    /// Share of the blocks to keep for checks and deletions in percent; `None` for the default.
    pub reserved_percent: Option<f64>,
    /// The collection to make.
    pub collection: Option<DefaultCollection>,
    /// Bytes from the start of the device that the filesystem may use and clear; `None` for all. Nothing behind them is
    /// touched.
    pub extent: Option<u64>,
    /// Whether to tell the device that nothing in these bytes is needed.
    pub discard: bool,
    /// Time of formatting, nanoseconds since 1970-01-01 UTC.
    pub now_ns: u64,
    /// Name and version of the tool, at most 32 bytes.
    pub creator: String,
}

impl MkfsOptions {
    /// Defaults for a device of `bytes` bytes: blocks of 4096 bytes, no vectors, no label, time 0.
    pub fn new(bytes: u64, uuid: [u8; 16]) -> Self {
        Self {
            geometry: GeometryParams::new(bytes / 4096, 4096),
            uuid,
            label: String::new(),
            reserved_percent: None,
            collection: None,
            extent: None,
            discard: false,
            now_ns: 0,
            creator: concat!("vexfs-tools ", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }

    /// The superblock and the geometry that [`format()`] would write.
    ///
    /// # Errors
    /// [`FsError::BadCollection`] and [`FsError::InvalidName`] for a collection that cannot be; [`FsError::Plan`];
    /// [`FsError::InvalidName`] for a label that does not fit.
    pub fn plan(&self) -> Result<(Superblock, Geometry)> {
        if let Some(DefaultCollection { name, spec }) = &self.collection {
            spec.check()?;
            if !is_valid_name(name.as_bytes()) || name.as_bytes() == tree::LOST_FOUND_NAME {
                return Err(FsError::InvalidName { name: name.clone() });
            }
        }
        let geometry = Geometry::plan(&self.geometry)?;
        let mut sb = Superblock::empty();
        geometry.store(&mut sb);
        sb.uuid = self.uuid;
        if !sb.set_label(&self.label) {
            return Err(FsError::InvalidName { name: self.label.clone() });
        }
        let seed = Seed::of_uuid(&self.uuid);
        sb.checksum_seed = U32::new(seed.0);
        // Each seed is derived from the UUID, so that two runs with the same UUID make the same bytes.
        let derived = |n: u64| u64::from(seed.salt(0, n, 0)) << 32 | u64::from(seed.salt(0, n, 1));
        sb.hash_key[..8].copy_from_slice(&derived(1).to_le_bytes());
        sb.hash_key[8..].copy_from_slice(&derived(2).to_le_bytes());
        sb.random_seed = U64::new(derived(3));
        let most = MAX_RESERVED_BYTES / u64::from(geometry.block_size);
        let reserved = match self.reserved_percent {
            Some(percent) => (geometry.blocks as f64 * percent / 100.0) as u64,
            None => (geometry.blocks / RESERVED_SHARE).min(most),
        };
        sb.reserved_blocks = U64::new(reserved.min(sb.free_blocks.get()));
        let now = U64::new(self.now_ns);
        (sb.created_ns, sb.written_ns, sb.checked_ns) = (now, now, now);
        let creator = self.creator.as_bytes();
        let len = creator.len().min(sb.creator.len());
        sb.creator[..len].copy_from_slice(&creator[..len]);
        Ok((sb, geometry))
    }
}

/// Makes a filesystem on `dev`.
///
/// # Durability
/// Before it returns `Ok` everything is flushed. A crash leaves a device that is not a VexFS, or the finished one: the
/// first superblock is written when everything is in the journal.
///
/// # Errors
/// Those of [`MkfsOptions::plan`], and [`FsError::DeviceTooShort`], with nothing written; device errors.
pub fn format(dev: Arc<dyn Device>, options: &MkfsOptions) -> Result<Superblock> {
    format_watched(dev, options, &mut |_| true)
}

/// [`format()`] for callers that show progress and can be interrupted.
///
/// `go_on` is called between steps with the number of bytes discarded so far. When it returns `false`, the device is left
/// without any superblock.
///
/// # Errors
/// Those of [`format()`]; [`FsError::Interrupted`].
pub fn format_watched(
    dev: Arc<dyn Device>,
    options: &MkfsOptions,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Superblock> {
    let (sb, geometry) = options.plan()?;
    let extent = options.extent.unwrap_or(dev.len()).min(dev.len());
    let need = geometry.blocks * u64::from(geometry.block_size);
    if extent < need {
        return Err(FsError::DeviceTooShort { device: dev.name().to_owned(), need, have: extent });
    }
    let remnants = Remnants::find(&*dev, extent, &geometry);
    let mut discarded = 0;
    let mut check = |discarded| if go_on(discarded) { Ok(()) } else { Err(FsError::Interrupted) };
    check(discarded)?;
    remnants.wipe(&*dev)?;
    while options.discard && discarded < extent {
        let step = DISCARD_STEP.min(extent - discarded);
        if !dev.discard(discarded, step)? {
            break;
        }
        discarded += step;
        check(discarded)?;
    }
    if discarded > 0 {
        // What is discarded may read as it did before.
        remnants.wipe(&*dev)?;
    }
    write_descriptors(&*dev, &sb, &geometry)?;
    let mut volume = Volume::for_format(dev, sb, options.now_ns);
    clear_journal(&volume, remnants.has_journal)?;
    volume.write_journal_superblock()?;
    volume.dev.flush()?;
    check(discarded)?;
    make_tree(&mut volume, options)?;
    // The finished filesystem is in the journal: from here on a backup is enough to open it.
    write_backups(&volume)?;
    volume.dev.flush()?;
    volume.checkpoint()?;
    Ok(volume.sb)
}

/// Writes the descriptor table and its copies, each behind the place of its backup superblock.
fn write_descriptors(dev: &dyn Device, sb: &Superblock, geometry: &Geometry) -> Result<()> {
    let seed = sb.seed();
    let mut table = Vec::with_capacity(geometry.groups as usize * GroupDesc::SIZE);
    for group in (0..geometry.groups).map(GroupNo) {
        let (block_bitmap, inode_bitmap, inode_table) = geometry.group_metadata(group);
        let in_use: u64 = geometry.group_runs(group).iter().map(|r| r.len).sum();
        let mut desc = GroupDesc::empty();
        desc.block_bitmap = U64::new(block_bitmap.get());
        desc.inode_bitmap = U64::new(inode_bitmap.get());
        desc.inode_table = U64::new(inode_table.get());
        desc.free_blocks = U32::new((geometry.group_blocks(group) - in_use) as u32);
        desc.free_inodes = U32::new(geometry.inodes_per_group as u32);
        desc.unused_inodes = U32::new(geometry.inodes_per_group as u32);
        desc.flags = U32::new(BLOCK_BITMAP_UNINIT | INODE_BITMAP_UNINIT);
        desc.seal(seed, group);
        table.extend_from_slice(desc.as_bytes());
    }
    let block_size = u64::from(geometry.block_size);
    table.resize(table.len().next_multiple_of(block_size as usize), 0);
    dev.write_at(sb.descriptor_table.get() * block_size, &table)?;
    for backup in geometry.backups() {
        if backup != geometry.tail_backup() {
            dev.write_at((backup.get() + 1) * block_size, &table)?;
        }
    }
    Ok(())
}

/// Writes the backups of the superblock.
fn write_backups(volume: &Volume) -> Result<()> {
    for backup in volume.geometry().backups() {
        let mut block = vec![0; volume.sb.block_size.get() as usize];
        let copy = volume.sb.backup(backup);
        block[superblock::OFFSET..superblock::OFFSET + Superblock::SIZE].copy_from_slice(copy.as_bytes());
        volume.dev.write_at(volume.offset(backup), &block)?;
    }
    Ok(())
}

/// Makes sure that no transaction of an earlier life can be replayed.
///
/// Log blocks are bound to seed, place and sequence number. Only a filesystem with the same UUID could have left blocks that
/// fit, so without a trace of an older VexFS the first block of the log is enough.
fn clear_journal(volume: &Volume, is_used: bool) -> Result<()> {
    let run = volume.geometry().journal;
    let block_size = u64::from(volume.sb.block_size.get());
    let blocks = if is_used { run.len } else { 2 };
    volume.dev.zero(run.start * block_size, blocks * block_size)?;
    Ok(())
}

fn make_tree(volume: &mut Volume, options: &MkfsOptions) -> Result<()> {
    let mut txn = volume.begin()?;
    for ino in 1..InodeNo::FIRST_ORDINARY.get() {
        let is_directory = ino <= InodeNo::LOST_FOUND.get();
        txn.take_inode(InodeNo(ino), is_directory)?;
    }
    let root = txn.new_inode(InodeNo::ROOT, InodeNo::ROOT, InodeKind::Directory, 0o755);
    crate::dir::initialise(&mut txn, root)?;
    let lost_found = txn.new_inode(InodeNo::LOST_FOUND, InodeNo::ROOT, InodeKind::Directory, 0o700);
    txn.enter(InodeNo::ROOT, tree::LOST_FOUND_NAME, lost_found)?;
    if let Some(collection) = &options.collection {
        txn.create_collection(InodeNo::ROOT, collection.name.as_bytes(), &collection.spec)?;
    }
    txn.commit()
}
