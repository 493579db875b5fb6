//! What a filesystem becomes on a longer device: how long, which groups are added, and where their metadata lies.

use vexfs_format::bitmap;
use vexfs_format::geometry::{BlockRun, Geometry, MIN_LAST_GROUP_FREE};
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::{BlockNo, GroupNo};

use crate::error::{FsError, Result};
use crate::volume::Volume;

/// A filesystem before and after it has grown.
#[derive(Clone, Debug)]
pub struct Growth {
    /// The layout as it is.
    pub before: Geometry,
    /// The layout as it will be.
    pub after: Geometry,
    /// The groups that are added, in order.
    pub(super) groups: Vec<NewGroup>,
}

/// A group that is added.
#[derive(Clone, Debug)]
pub(super) struct NewGroup {
    pub(super) group: GroupNo,
    pub(super) block_bitmap: BlockNo,
    pub(super) inode_bitmap: BlockNo,
    pub(super) inode_table: BlockNo,
    /// Bitmaps and table lie where the geometry rule says, so that the block bitmap need not be written.
    pub(super) is_by_rule: bool,
}

impl Growth {
    /// What the filesystem of `volume` becomes on `bytes` bytes; `None` if that gains nothing.
    ///
    /// A last group that would hold next to nothing is left off, as mkfs does it.
    ///
    /// # Errors
    /// [`FsError::CannotShrink`] for fewer bytes than it has; [`FsError::GrowthLimit`] for more groups than the descriptor
    /// table has room for.
    pub fn plan(volume: &Volume, bytes: u64) -> Result<Option<Self>> {
        let before = volume.geometry();
        let block_size = u64::from(before.block_size);
        let device = || volume.device().name().to_owned();
        if bytes < before.blocks.saturating_mul(block_size) {
            let have = before.blocks.saturating_mul(block_size);
            return Err(FsError::CannotShrink { device: device(), have, wanted: bytes });
        }
        let limit = most_blocks(&before);
        let mut blocks = bytes / block_size;
        if blocks > limit {
            let limit = limit.saturating_mul(block_size);
            return Err(FsError::GrowthLimit { device: device(), wanted: bytes, limit });
        }
        while blocks > before.blocks {
            let groups = blocks.div_ceil(before.blocks_per_group());
            let after = Geometry { blocks, groups, ..before.clone() };
            let last = GroupNo(groups - 1);
            if groups == before.groups || is_worth_it(&before, &after, last) {
                let added = (before.groups..groups).map(|group| place(&before, &after, GroupNo(group)));
                let groups = added.collect();
                return Ok(Some(Self { before, after, groups }));
            }
            blocks = last.get() * before.blocks_per_group();
        }
        Ok(None)
    }

    /// Blocks that can be used and could not before.
    pub fn gained_blocks(&self) -> u64 {
        // The tail takes as many blocks as before.
        let own =
            |group: &NewGroup| self.after.leading_blocks(group.group) + self.after.group_metadata_blocks();
        let taken: u64 = self.groups.iter().map(own).sum();
        (self.after.blocks - self.before.blocks).saturating_sub(taken)
    }

    /// Inodes that are added.
    pub fn gained_inodes(&self) -> u64 {
        self.after.inodes() - self.before.inodes()
    }
}

impl NewGroup {
    /// The bits of the block bitmap before anything is allocated.
    pub(super) fn bits(&self, after: &Geometry) -> Vec<u8> {
        let mut bits = vec![0; after.block_size as usize];
        let base = after.group_start(self.group);
        for run in self.runs(after) {
            bitmap::set_range(&mut bits, (run.start - base) as usize, (run.end() - base) as usize);
        }
        let (len, all) = (after.group_blocks(self.group), after.blocks_per_group());
        bitmap::set_range(&mut bits, len as usize, all as usize);
        bits
    }

    /// Blocks that are not in use before anything is allocated; none where the metadata does not fit.
    pub(super) fn free(&self, after: &Geometry) -> u64 {
        let used: u64 = self.runs(after).iter().map(|run| run.len).sum();
        after.group_blocks(self.group).saturating_sub(used)
    }

    /// What is in use from the start, within the group and without overlap.
    fn runs(&self, after: &Geometry) -> Vec<BlockRun> {
        if self.is_by_rule {
            return after.group_runs(self.group);
        }
        let start = after.group_start(self.group);
        let end = start + after.group_blocks(self.group);
        let own = after.leading_blocks(self.group) + after.group_metadata_blocks();
        let own = BlockRun { start, len: own.min(end - start) };
        let tail = after.tail_backup().get().clamp(own.end(), end);
        let is_last = self.group.get() + 1 == after.groups;
        let tail = BlockRun { start: tail, len: if is_last { end - tail } else { 0 } };
        [own, tail].into_iter().filter(|run| run.len > 0).collect()
    }
}

/// Blocks that the descriptor table has room for, at most as many as a filesystem may have.
fn most_blocks(geometry: &Geometry) -> u64 {
    let block_size = u64::from(geometry.block_size);
    let descriptors = geometry.descriptor_blocks.saturating_mul(block_size / GroupDesc::SIZE as u64);
    let groups = descriptors.min(u32::MAX.into());
    groups.saturating_mul(geometry.blocks_per_group()).min(i64::MAX as u64 / block_size)
}

/// Whether the last group holds enough beside its metadata, and all of the tail.
fn is_worth_it(before: &Geometry, after: &Geometry, last: GroupNo) -> bool {
    after.tail_blocks < after.group_blocks(last)
        && place(before, after, last).free(after) >= MIN_LAST_GROUP_FREE
}

/// Where the metadata of the new group `group` lies: with its flex group if all of that is new and fits, else in the group itself.
///
/// The flex group that was the last one keeps its run as it is, with no room for more.
fn place(before: &Geometry, after: &Geometry, group: GroupNo) -> NewGroup {
    let first = after.flex_first(group);
    let start = after.group_start(first).saturating_add(after.leading_blocks(first));
    let len = after.flex_members(first) * after.group_metadata_blocks();
    let end = (after.group_start(first) + after.group_blocks(first)).min(after.tail_backup().get());
    let is_by_rule = first.get() >= before.groups && start.saturating_add(len) <= end;
    let (block_bitmap, inode_bitmap, inode_table) = if is_by_rule {
        after.group_metadata(group)
    } else {
        let own = after.group_start(group) + after.leading_blocks(group);
        (BlockNo(own), BlockNo(own + 1), BlockNo(own + 2))
    };
    NewGroup { group, block_bitmap, inode_bitmap, inode_table, is_by_rule }
}
