//! A metadata image: all that a volume says about itself, without what users keep in it.
//!
//! For reports of bugs. The image has the length of the volume, its metadata lies in the same blocks, and every reading tool opens it; vectors, files
//! and payload read as nothing, with checksums that say the same. On a damaged volume, what is metadata by its place is
//! copied as it is, and what only damaged metadata would lead to is left out.
//!
//! `names` hides names, `directory` puts hidden ones in order, `contents` decides what streams read as, `journal` copies the log.

mod contents;
mod directory;
mod journal;
mod names;

use std::collections::HashMap;

use vexfs_device::Device;
use vexfs_format::block_header::BlockHeader;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::CollectionDesc;
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::inode::Inode;
use vexfs_format::superblock::{self, Superblock};
use vexfs_format::{BlockNo, GroupNo, InodeNo, TxnSeq};
use zerocopy::IntoBytes;

use self::contents::Role;
use self::names::Scrambler;
use crate::check::extent_walk::Extents;
use crate::error::{FsError, Result};
use crate::index::Progress;
use crate::inode::read_group;
use crate::layout::{OwnUse, own_runs};
use crate::source::BlockSource;
use crate::volume::Volume;

/// How an image is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImageOptions {
    /// Replaces names, keys, the label and names of models by others of the same length, which this key decides.
    pub scramble: Option<[u8; 16]>,
}

/// What an image holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageReport {
    /// Blocks that were written; all others are holes.
    pub blocks: u64,
    /// Objects whose metadata is in it.
    pub objects: u64,
    /// Blocks that could not be read, and holes therefore.
    pub unreadable: u64,
    /// Inodes, tree nodes and directories that are damaged; as they are in the image, or left out where names are hidden.
    pub damaged: u64,
}

/// Writes the metadata image of `volume` to `out`, which is as long as the volume and reads as zeros.
///
/// # Errors
/// Errors of `out`; [`FsError::Interrupted`] when `progress` says so. Damage of the volume and blocks that cannot be read are none: the report
/// counts them.
pub fn write(
    volume: &Volume,
    out: &dyn Device,
    options: &ImageOptions,
    progress: &dyn Progress,
) -> Result<ImageReport> {
    let names = options.scramble.map(Scrambler::new);
    let mut image =
        Image { volume, out, names, progress, roles: HashMap::new(), report: ImageReport::default() };
    image.find_roles()?;
    image.own_blocks()?;
    image.journal()?;
    out.flush()?;
    Ok(image.report)
}

/// An image under way.
struct Image<'a> {
    volume: &'a Volume,
    out: &'a dyn Device,
    names: Option<Scrambler>,
    progress: &'a dyn Progress,
    /// What streams are to their collections.
    roles: HashMap<InodeNo, Role>,
    report: ImageReport,
}

impl Image<'_> {
    /// Copies the filesystem's own blocks but for the journal, and with the inode tables what the inodes lead to.
    fn own_blocks(&mut self) -> Result<()> {
        let table_bytes = self.volume.geometry().groups.saturating_mul(GroupDesc::SIZE as u64);
        let table_blocks = table_bytes.div_ceil(self.volume.block_size() as u64);
        for (run, own) in own_runs(self.volume) {
            match own {
                OwnUse::Superblock => self.superblock(run.start)?,
                // What is kept for growing was never written.
                OwnUse::Descriptors => self.copy_run(run.start, run.len.min(table_blocks))?,
                OwnUse::BlockBitmap(group)
                    if !self.is_unwritten(group, |desc| desc.block_bitmap_uninit()) =>
                {
                    self.copy_run(run.start, run.len)?;
                }
                OwnUse::InodeBitmap(group)
                    if !self.is_unwritten(group, |desc| desc.inode_bitmap_uninit()) =>
                {
                    self.copy_run(run.start, run.len)?;
                }
                OwnUse::InodeTable(group) => self.inode_table(group, run.start, run.len)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn is_unwritten(&self, group: GroupNo, say: fn(&GroupDesc) -> bool) -> bool {
        read_group(self.volume, group).is_ok_and(|desc| say(&desc))
    }

    /// Copies a primary or backup superblock; the label is a name.
    fn superblock(&mut self, block: u64) -> Result<()> {
        let Some(mut bytes) = self.fetch(block) else { return Ok(()) };
        if let Some(names) = &self.names {
            let range = superblock::OFFSET..superblock::OFFSET + Superblock::SIZE;
            let Ok(mut sb) = Superblock::decode(&bytes[range.clone()], Some(BlockNo(block))) else {
                self.report.damaged += 1;
                return Ok(());
            };
            let end = sb.label.iter().position(|&byte| byte == 0).unwrap_or(sb.label.len());
            let label = names.name(&sb.label[..end]);
            sb.label[..end].copy_from_slice(&label);
            sb.seal();
            bytes.fill(0);
            bytes[range].copy_from_slice(sb.as_bytes());
        }
        self.put(block, &bytes)
    }

    /// Copies the written part of an inode table, and everything that its inodes lead to.
    fn inode_table(&mut self, group: GroupNo, start: u64, len: u64) -> Result<()> {
        let geometry = self.volume.geometry();
        self.progress.step("copying groups", group.get() + 1, geometry.groups);
        let (block_size, size) = (u64::from(geometry.block_size), geometry.inode_size as usize);
        let unused = read_group(self.volume, group).map_or(0, |desc| desc.unused_inodes.get().into());
        let written = geometry.inodes_per_group.saturating_sub(unused) * size as u64;
        let mut number = group.get() * geometry.inodes_per_group + 1;
        for block in start..start + len.min(written.div_ceil(block_size)) {
            let first = number;
            number += block_size / size as u64;
            let Some(mut bytes) = self.fetch(block) else { continue };
            for (at, record) in bytes.chunks_exact_mut(size).enumerate() {
                self.record(InodeNo(first + at as u64), record)?;
            }
            self.put(block, &bytes)?;
        }
        Ok(())
    }

    /// Follows an inode, and hides the name in its record.
    fn record(&mut self, ino: InodeNo, record: &mut [u8]) -> Result<()> {
        let inode = match self.decode(ino, record) {
            Some(inode) => inode,
            None => {
                if Inode::looks_used(record) {
                    self.report.damaged += 1;
                }
                if self.names.is_some() {
                    record.fill(0);
                }
                return Ok(());
            }
        };
        self.object(&inode)?;
        if let Some(names) = &self.names
            && let Ok(vexfs_format::inode::Root::Target(target)) = inode.root(self.volume.blocks())
        {
            let mut inode = inode;
            inode.set_inline_target(&names.path(&target));
            inode.seal(self.volume.seed());
            record[..Inode::SIZE].copy_from_slice(inode.as_bytes());
        }
        Ok(())
    }

    fn decode(&self, ino: InodeNo, record: &[u8]) -> Option<Inode> {
        let block_size = self.volume.superblock().block_size.get();
        Inode::decode(record, ino, block_size, self.volume.blocks(), self.volume.seed()).ok()
    }

    /// Copies the metadata of an object, and what its data reads as.
    fn object(&mut self, inode: &Inode) -> Result<()> {
        self.stop_if_asked()?;
        self.report.objects += 1;
        let extents = Extents::walk(self.volume, inode);
        for &node in &extents.nodes {
            self.copy_run(node, 1)?;
        }
        self.report.damaged += extents.problems.len() as u64;
        if self.names.is_none() {
            for block in extents.problems.iter().filter_map(|problem| problem.place.block) {
                self.copy_run(block, 1)?;
            }
        }
        if inode.descriptor.get() > 0 {
            self.descriptor(inode)?;
        }
        if inode.has_inline_target() {
            return Ok(());
        }
        match inode.kind() {
            InodeKind::Directory | InodeKind::Collection if self.names.is_some() => {
                self.hidden_directory(inode, &extents)
            }
            InodeKind::Directory | InodeKind::Collection => self.copy_all(&extents),
            InodeKind::Symlink if self.names.is_some() => self.target(inode, &extents),
            InodeKind::Symlink => self.copy_all(&extents),
            InodeKind::File => self.contents(inode, &extents, Role::Blank),
            InodeKind::Stream => {
                let role = self.roles.get(&inode.number()).copied().unwrap_or(Role::Blank);
                self.contents(inode, &extents, role)
            }
        }
    }

    /// Copies the descriptor of a collection; its model is a name.
    fn descriptor(&mut self, inode: &Inode) -> Result<()> {
        let place = BlockNo(inode.descriptor.get());
        let Some(mut bytes) = self.fetch(place.get()) else { return Ok(()) };
        if let Some(names) = &self.names {
            let seed = self.volume.seed();
            let desc = CollectionDesc::decode(&bytes, place, inode.number(), seed);
            let (Ok(mut desc), Some(header)) = (desc, BlockHeader::peek(&bytes)) else {
                self.report.damaged += 1;
                return Ok(());
            };
            let model = desc.model().map(|model| names.name(model.as_bytes()));
            if let Some(Ok(model)) = model.map(String::from_utf8) {
                desc.set_model(&model);
            }
            bytes = desc.encode(place, inode.number(), TxnSeq(header.txn.get()), bytes.len(), seed);
        }
        self.put(place.get(), &bytes)
    }

    /// Copies all blocks that the extents of an object map.
    fn copy_all(&mut self, extents: &Extents) -> Result<()> {
        extents.runs.iter().try_for_each(|run| self.copy_run(run.start.get(), run.len.into()))
    }

    fn copy_run(&mut self, start: u64, len: u64) -> Result<()> {
        for block in start..start.saturating_add(len) {
            if let Some(bytes) = self.fetch(block) {
                self.put(block, &bytes)?;
            }
        }
        Ok(())
    }

    /// A block as a replay would leave it; `None` if it cannot be read.
    fn fetch(&mut self, block: u64) -> Option<Vec<u8>> {
        let bytes = self.volume.read_block(BlockNo(block));
        // The image in a damaged log does not hide what lies at home.
        let bytes = match bytes {
            Err(FsError::Corrupt(_)) if block < self.volume.blocks() => {
                self.volume.read_device(BlockNo(block))
            }
            other => other,
        };
        self.report.unreadable += u64::from(bytes.is_err());
        bytes.ok().map(|bytes| bytes.to_vec())
    }

    /// Writes a block of the image; one of zeros is a hole.
    fn put(&mut self, block: u64, bytes: &[u8]) -> Result<()> {
        if bytes.iter().any(|&byte| byte != 0) {
            self.out.write_at(self.volume.offset(BlockNo(block)), bytes)?;
            self.report.blocks += 1;
        }
        Ok(())
    }

    fn stop_if_asked(&self) -> Result<()> {
        if self.progress.is_interrupted() { Err(FsError::Interrupted) } else { Ok(()) }
    }
}
