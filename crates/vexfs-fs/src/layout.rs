//! Where the filesystem's own blocks lie: by the group descriptors, which are authoritative, and by the geometry for the rest.
//!
//! A filesystem that has grown keeps bitmaps and inode tables in places that the geometry rule alone does not give.

use vexfs_format::GroupNo;
use vexfs_format::geometry::{BlockRun, FixedUse, Geometry};

use crate::inode::read_group;
use crate::source::BlockSource;

/// What a run of the filesystem's own blocks holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnUse {
    /// A primary or backup superblock.
    Superblock,
    /// A primary or backup descriptor table, with its room to grow.
    Descriptors,
    /// The block bitmap of a group.
    BlockBitmap(GroupNo),
    /// The inode bitmap of a group.
    InodeBitmap(GroupNo),
    /// The inode table of a group.
    InodeTable(GroupNo),
    /// Blocks at the start that hold nothing else.
    Head,
    /// Blocks at the end.
    Tail,
    /// The journal.
    Journal,
}

impl std::fmt::Display for OwnUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Superblock => f.write_str("a superblock"),
            Self::Descriptors => f.write_str("a table of group descriptors"),
            Self::BlockBitmap(group) => write!(f, "the block bitmap of group {group}"),
            Self::InodeBitmap(group) => write!(f, "the inode bitmap of group {group}"),
            Self::InodeTable(group) => write!(f, "the inode table of group {group}"),
            Self::Head => f.write_str("the head of the filesystem"),
            Self::Tail => f.write_str("the tail of the filesystem"),
            Self::Journal => f.write_str("the journal"),
        }
    }
}

/// The filesystem's own runs, in order of their first blocks. For a group whose descriptor is damaged the geometry rule is taken.
pub fn own_runs(src: &(impl BlockSource + ?Sized)) -> Vec<(BlockRun, OwnUse)> {
    let geometry = src.superblock().geometry();
    let places = (0..geometry.groups).map(GroupNo).map(|group| match read_group(src, group) {
        Ok(desc) => [desc.block_bitmap.get(), desc.inode_bitmap.get(), desc.inode_table.get()],
        Err(_) => {
            let (block_bitmap, inode_bitmap, inode_table) = geometry.group_metadata(group);
            [block_bitmap.get(), inode_bitmap.get(), inode_table.get()]
        }
    });
    runs_of(&geometry, places)
}

/// The own runs of a filesystem of `geometry` whose groups keep block bitmap, inode bitmap and inode table at `places`.
pub(crate) fn runs_of(
    geometry: &Geometry,
    places: impl IntoIterator<Item = [u64; 3]>,
) -> Vec<(BlockRun, OwnUse)> {
    let fixed = geometry.fixed_runs().filter_map(|(run, what)| {
        let own = match what {
            FixedUse::Superblock => OwnUse::Superblock,
            FixedUse::Descriptors => OwnUse::Descriptors,
            FixedUse::Tail => OwnUse::Tail,
            FixedUse::Journal => OwnUse::Journal,
            FixedUse::GroupMetadata | FixedUse::Head => return None,
        };
        Some((run, own))
    });
    let mut runs: Vec<(BlockRun, OwnUse)> = fixed.collect();
    let table_blocks = geometry.inode_table_blocks();
    for (group, [block_bitmap, inode_bitmap, inode_table]) in (0..).map(GroupNo).zip(places) {
        runs.push((BlockRun { start: block_bitmap, len: 1 }, OwnUse::BlockBitmap(group)));
        runs.push((BlockRun { start: inode_bitmap, len: 1 }, OwnUse::InodeBitmap(group)));
        runs.push((BlockRun { start: inode_table, len: table_blocks }, OwnUse::InodeTable(group)));
    }
    let in_head = runs.iter().filter(|(run, _)| run.start < geometry.head_blocks);
    let start = in_head.map(|(run, _)| run.end()).max().unwrap_or(0);
    let len = geometry.head_blocks.saturating_sub(start);
    runs.push((BlockRun { start, len }, OwnUse::Head));
    runs.retain(|(run, _)| run.len > 0);
    runs.sort_unstable_by_key(|(run, _)| (run.start, run.len));
    runs
}
