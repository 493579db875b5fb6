//! The last resort where neither the primary superblock nor a backup is left: a look at every block of the device.
//!
//! What can be found are backups of a device that had another length when it was formatted, and the images of the primary
//! superblock that transactions left in the journal. A file may hold the image of a whole other filesystem, so a superblock counts only
//! in a place that it names itself, and if other structures carry its seed where it says that they are.
//!
//! # Memory
//! One chunk of the device, and the best superblock so far.

use vexfs_device::Device;
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::journal::superblock::JournalSuperblock;
use vexfs_format::superblock::{self, BLOCK_SIZES, Superblock};
use vexfs_format::{BlockNo, GroupNo};

use super::super::context::Reporter;
use crate::error::Result;

/// Bytes that are read at a time.
const CHUNK_BYTES: u64 = 4 << 20;

/// Looks for the latest superblock that lies on the device: it, and the block it was found in.
///
/// # Errors
/// The wish of the observer to stop. What cannot be read is passed over.
pub(super) fn find(dev: &dyn Device, reporter: &mut Reporter<'_>) -> Result<Option<(Superblock, BlockNo)>> {
    let step = u64::from(*BLOCK_SIZES.start());
    let mut best: Option<(Superblock, BlockNo)> = None;
    let mut chunk = vec![0; CHUNK_BYTES as usize];
    for start in (0..dev.len()).step_by(CHUNK_BYTES as usize) {
        reporter.progress(0, start, dev.len())?;
        let chunk = &mut chunk[..CHUNK_BYTES.min(dev.len() - start) as usize];
        let is_whole = dev.read_at(start, chunk).is_ok();
        for (place, bytes) in (start..).step_by(step as usize).zip(chunk.chunks_exact_mut(step as usize)) {
            // Around a bad sector, block by block.
            if !is_whole && dev.read_at(place, bytes).is_err() {
                continue;
            }
            let Some((sb, block)) = candidate(&bytes[superblock::OFFSET..], place) else { continue };
            if best.as_ref().is_none_or(|(best, _)| best.txn.get() < sb.txn.get()) && is_at_home(dev, &sb) {
                best = Some((sb, block));
            }
        }
    }
    Ok(best)
}

/// The superblock at `bytes`, if it says itself that one lies in the block at byte `place`.
fn candidate(bytes: &[u8], place: u64) -> Option<(Superblock, BlockNo)> {
    if !bytes.starts_with(&superblock::MAGIC) {
        return None;
    }
    let sb = Superblock::decode(bytes, None).ok()?;
    let size = u64::from(sb.block_size.get());
    let (block, rest) = (place / size, place % size);
    let journal = sb.geometry().journal;
    let is_image = sb.self_block.get() == 0 && (journal.start..journal.end()).contains(&block);
    (rest == 0 && (is_image || block == sb.self_block.get())).then_some((sb, BlockNo(block)))
}

/// Whether the journal or the group descriptors, where `sb` says that they are, carry its seed.
fn is_at_home(dev: &dyn Device, sb: &Superblock) -> bool {
    let geometry = sb.geometry();
    let size = u64::from(sb.block_size.get());
    let mut block = vec![0; size as usize];
    let has_journal = dev.read_at(geometry.journal.start.saturating_mul(size), &mut block).is_ok()
        && JournalSuperblock::decode(&block, geometry.journal, sb.seed()).is_ok();
    has_journal || has_descriptor(dev, sb, &mut block)
}

/// Whether one of the first group descriptors is sound.
fn has_descriptor(dev: &dyn Device, sb: &Superblock, block: &mut [u8]) -> bool {
    let at = sb.descriptor_table.get().saturating_mul(block.len() as u64);
    dev.read_at(at, block).is_ok()
        && (0..sb.geometry().groups)
            .zip(block.chunks_exact(GroupDesc::SIZE))
            .any(|(group, bytes)| GroupDesc::decode(bytes, GroupNo(group), sb).is_ok())
}
