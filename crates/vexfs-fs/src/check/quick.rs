//! The look at a filesystem that claims to be clean, in milliseconds: enough to say that a full check is not needed.

use std::collections::HashSet;
use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::superblock::STATE_ERRORS;

use super::Summary;
use crate::collection::Collection;
use crate::error::Result;
use crate::index::{self, StoredIndex};
use crate::source::BlockSource;
use crate::volume::{OpenOptions, Volume};
use crate::{dir, inode, probe};

/// Directories that are listed to count collections: beyond them the tree is too large for a quick look.
const MAX_DIRECTORIES: usize = 256;
/// Blocks of directories, likewise.
const MAX_BLOCKS: u64 = 4096;

/// Bytes of index images that are compared with their checksums: a damaged index costs speed and is mended without a question, so
/// it is worth the milliseconds that these take.
const MAX_IMAGE_BYTES: u64 = 32 << 20;

/// What a quick look says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// Nothing speaks against it. The counts of collections and vectors are those found so far when `is_complete` is false: the
    /// tree is too large to be counted quickly.
    Clean {
        /// What the superblock says, and the collections that were counted.
        summary: Summary,
        /// Whether all collections were counted.
        is_complete: bool,
    },
    /// A full check is needed, for the reason in words.
    Doubtful(String),
}

/// Looks at the filesystem on `dev` as its superblock and journal present it.
///
/// # Errors
/// [`crate::FsError::NotVexfs`], [`crate::FsError::Incompatible`]. Everything else that is wrong makes it doubtful.
pub fn look(dev: Arc<dyn Device>) -> Result<Look> {
    let (_, found) = probe::find_superblock(&*dev, &OpenOptions::default())?;
    let doubt = |text: String| Ok(Look::Doubtful(text));
    if let Some((_, damage)) = found.backup {
        return doubt(format!("the primary superblock is damaged: {damage}"));
    }
    let volume = match Volume::open(dev, &OpenOptions::default()) {
        Ok(volume) => volume,
        Err(e) => return doubt(e.to_string()),
    };
    if let Some(damage) = &volume.report().journal_damage {
        return doubt(damage.clone());
    }
    if volume.is_unclean() {
        return doubt("the journal is not empty".to_owned());
    }
    let sb = volume.superblock();
    if sb.state.get() & STATE_ERRORS != 0 {
        return doubt("it is marked as damaged".to_owned());
    }
    if sb.txn.get() >= volume.next_txn().get() {
        return doubt("the journal is older than the superblock".to_owned());
    }
    let backups = volume.geometry().backups();
    for place in backups.first().into_iter().chain(backups.last()) {
        match probe::read_superblock(&**volume.device(), *place, sb.block_size.get()) {
            Ok(copy) if copy.same_filesystem(sb) => {}
            Ok(_) => return doubt(format!("the backup in block {place} is of another filesystem")),
            Err(e) => return doubt(format!("the backup in block {place}: {e}")),
        }
    }
    let mut summary = Summary {
        inodes: sb.inodes.get(),
        inodes_used: sb.inodes.get() - sb.free_inodes.get(),
        blocks: sb.blocks.get(),
        blocks_used: sb.blocks.get() - sb.free_blocks.get(),
        ..Summary::default()
    };
    match count_collections(&volume, &mut summary) {
        Ok(is_complete) => Ok(Look::Clean { summary, is_complete }),
        Err(e) => doubt(e.to_string()),
    }
}

/// Counts collections and their rows, and looks at their indexes; returns whether that are all.
fn count_collections(volume: &Volume, summary: &mut Summary) -> Result<bool> {
    let mut image_bytes = MAX_IMAGE_BYTES;
    let mut seen = HashSet::new();
    let mut todo = vec![InodeNo(volume.superblock().root_inode.get())];
    let mut blocks = 0;
    while let Some(ino) = todo.pop() {
        if !seen.insert(ino) {
            continue;
        }
        let inode = inode::read(volume, ino)?;
        blocks += inode.size.get() / volume.block_size() as u64;
        if seen.len() > MAX_DIRECTORIES || blocks > MAX_BLOCKS {
            return Ok(false);
        }
        if inode.kind() == InodeKind::Collection {
            let collection = Collection::from_inode(volume, &format!("inode {ino}"), inode)?;
            look_at_indexes(volume, &collection, &mut image_bytes)?;
            summary.collections += 1;
            summary.vectors = summary.vectors.saturating_add(collection.desc.live_rows.get());
            continue;
        }
        let entries = dir::list(volume, &inode)?;
        todo.extend(entries.iter().filter(|entry| entry.kind.is_directory_like()).map(|entry| entry.inode));
    }
    Ok(true)
}

/// Opens the indexes of a collection, and reads their images as far as `bytes` reach.
fn look_at_indexes(volume: &Volume, collection: &Collection, bytes: &mut u64) -> Result<()> {
    for files in index::list(volume, collection)? {
        if files.is_unbuilt() && files.spec.is_some() {
            continue;
        }
        let stored = StoredIndex::open(volume, collection, &files)?;
        stored.searchable()?;
        stored.calibration()?;
        for part in stored.parts() {
            let len = part.view().len().min(*bytes);
            part.view().bytes(0..len)?;
            *bytes -= len;
        }
    }
    Ok(())
}
