//! Where everything lies: group metadata, backups, the metadata-only ends, journal and vector zone.
//!
//! [`Geometry::plan`] is the rule by which mkfs lays a filesystem out; [`Geometry::fixed_runs`] repeats it for
//! everyone who needs to know which blocks a group bitmap marks in use before anything was allocated. Superblock and
//! descriptors remain authoritative for where things are.

mod plan;

pub use plan::{
    DEFAULT_BYTES_PER_INODE, DEFAULT_INODE_SIZE, GeometryParams, MIN_BYTES, MIN_LAST_GROUP_FREE, PlanError,
};

use zerocopy::little_endian::{U32, U64};

use crate::features::COMPAT_VECTOR_ZONE;
use crate::superblock::Superblock;
use crate::units::{BlockNo, GroupNo, InodeNo};

/// Bytes at the start of the device that hold no user bytes: libblkid looks for magics up to 2 MiB, and LUKS2 keeps a
/// secondary header at up to 4 MiB.
pub const HEAD_BYTES: u64 = (4 << 20) + (64 << 10);
/// Bytes at the end of the filesystem that hold no user bytes: ZFS and MD labels are looked for there.
pub const TAIL_BYTES: u64 = 1 << 20;

/// First block of the primary descriptor table: behind the superblock, as in each group that holds a backup.
pub const DESCRIPTOR_TABLE: u64 = 1;

/// A run of blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRun {
    /// First block.
    pub start: u64,
    /// Number of blocks.
    pub len: u64,
}

impl BlockRun {
    /// First block behind the run.
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }
}

/// What a fixed run is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FixedUse {
    /// Primary or backup superblock.
    Superblock,
    /// Primary or backup descriptor table, with its room to grow.
    Descriptors,
    /// Bitmaps and inode tables of the groups that share them.
    GroupMetadata,
    /// Metadata-only blocks at the start that hold nothing else.
    Head,
    /// Metadata-only blocks at the end.
    Tail,
    /// The journal.
    Journal,
}

/// The layout of a filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Blocks of the filesystem.
    pub blocks: u64,
    /// Bytes per block.
    pub block_size: u32,
    /// Number of block groups.
    pub groups: u64,
    /// Inodes per group.
    pub inodes_per_group: u64,
    /// Bytes per inode record.
    pub inode_size: u32,
    /// Groups that share one run of bitmaps and tables: 2^this.
    pub flex_log2: u32,
    /// Blocks kept for each copy of the descriptor table.
    pub descriptor_blocks: u64,
    /// Metadata-only blocks at the start.
    pub head_blocks: u64,
    /// Metadata-only blocks at the end.
    pub tail_blocks: u64,
    /// The journal.
    pub journal: BlockRun,
    /// The vector zone; empty without one.
    pub zone: BlockRun,
}

impl Geometry {
    /// The geometry a superblock describes.
    pub fn from_superblock(sb: &Superblock) -> Self {
        Self {
            blocks: sb.blocks.get(),
            block_size: sb.block_size.get(),
            groups: sb.groups.get().into(),
            inodes_per_group: sb.inodes_per_group.get().into(),
            inode_size: sb.inode_size.get(),
            flex_log2: sb.flex_log2.get(),
            descriptor_blocks: sb.descriptor_blocks.get().into(),
            head_blocks: sb.head_blocks.get(),
            tail_blocks: sb.tail_blocks.get(),
            journal: BlockRun { start: sb.journal_start.get(), len: sb.journal_blocks.get() },
            zone: BlockRun { start: sb.zone_start.get(), len: sb.zone_blocks.get() },
        }
    }

    /// Writes the geometry into the fields of a superblock; counters are those of an empty filesystem.
    pub fn store(&self, sb: &mut Superblock) {
        sb.blocks = U64::new(self.blocks);
        sb.block_size = U32::new(self.block_size);
        // `plan` bounds groups by half a group of descriptors, inodes by a bitmap block: both fit 32 bits.
        sb.groups = U32::new(self.groups as u32);
        sb.blocks_per_group = U32::new(self.blocks_per_group() as u32);
        sb.inodes_per_group = U32::new(self.inodes_per_group as u32);
        sb.inode_size = U32::new(self.inode_size);
        sb.flex_log2 = U32::new(self.flex_log2);
        sb.descriptor_blocks = U32::new(self.descriptor_blocks as u32);
        sb.descriptor_table = U64::new(DESCRIPTOR_TABLE);
        sb.head_blocks = U64::new(self.head_blocks);
        sb.tail_blocks = U64::new(self.tail_blocks);
        sb.journal_start = U64::new(self.journal.start);
        sb.journal_blocks = U64::new(self.journal.len);
        sb.zone_start = U64::new(self.zone.start);
        sb.zone_blocks = U64::new(self.zone.len);
        if self.zone.len > 0 {
            sb.feature_compat = U64::new(sb.feature_compat.get() | COMPAT_VECTOR_ZONE);
        }
        sb.inodes = U64::new(self.inodes());
        sb.free_inodes = U64::new(self.inodes());
        sb.free_blocks = U64::new(self.blocks - self.fixed_blocks());
        sb.root_inode = U64::new(InodeNo::ROOT.get());
        sb.lost_found_inode = U64::new(InodeNo::LOST_FOUND.get());
        sb.hash_version = U32::new(crate::superblock::HASH_SIPHASH_2_4);
    }

    /// Blocks per group: a bitmap block has a bit for each.
    pub fn blocks_per_group(&self) -> u64 {
        u64::from(self.block_size) * 8
    }

    /// Inodes of the filesystem.
    pub fn inodes(&self) -> u64 {
        self.groups * self.inodes_per_group
    }

    /// Blocks of one inode table.
    pub fn inode_table_blocks(&self) -> u64 {
        self.inodes_per_group * u64::from(self.inode_size) / u64::from(self.block_size)
    }

    /// Blocks of a group's bitmaps and inode table.
    pub fn group_metadata_blocks(&self) -> u64 {
        2 + self.inode_table_blocks()
    }

    /// First block of a group.
    pub fn group_start(&self, group: GroupNo) -> u64 {
        group.get().saturating_mul(self.blocks_per_group())
    }

    /// Blocks of a group; the last may have fewer than the others.
    pub fn group_blocks(&self, group: GroupNo) -> u64 {
        self.blocks.saturating_sub(self.group_start(group)).min(self.blocks_per_group())
    }

    /// The group a block lies in.
    pub fn group_of_block(&self, block: BlockNo) -> GroupNo {
        GroupNo(block.get() / self.blocks_per_group())
    }

    /// The group and the index within its table of an inode, or `None` for a number that no inode has.
    pub fn locate_inode(&self, ino: InodeNo) -> Option<(GroupNo, u64)> {
        let index = ino.get().checked_sub(1).filter(|_| ino.get() <= self.inodes())?;
        Some((GroupNo(index / self.inodes_per_group), index % self.inodes_per_group))
    }

    /// Whether a group begins with a backup superblock and descriptor table: group 1 and powers of 3, 5 and 7.
    pub fn has_backup(&self, group: GroupNo) -> bool {
        let is_power = |base: u64| {
            let mut n = base;
            while n < group.get() {
                n = n.saturating_mul(base);
            }
            n == group.get()
        };
        group.get() == 1 || (group.get() > 1 && (is_power(3) || is_power(5) || is_power(7)))
    }

    /// Blocks of all backup superblocks, in order; the last lies at the start of the tail.
    pub fn backups(&self) -> Vec<BlockNo> {
        let mut backups: Vec<u64> = Vec::new();
        for base in [3_u64, 5, 7] {
            let mut n = base;
            while n < self.groups {
                backups.push(n);
                n = n.saturating_mul(base);
            }
        }
        if self.groups > 1 {
            backups.push(1);
        }
        backups.sort_unstable();
        let mut blocks: Vec<BlockNo> =
            backups.into_iter().map(|g| BlockNo(self.group_start(GroupNo(g)))).collect();
        blocks.push(self.tail_backup());
        blocks
    }

    /// Block of the backup superblock near the end.
    pub fn tail_backup(&self) -> BlockNo {
        BlockNo(self.blocks.saturating_sub(self.tail_blocks))
    }

    /// Where mkfs puts the bitmaps and the inode table of `group`: block bitmap, inode bitmap, first table block.
    ///
    /// The groups of a flex group share one run at the start of its first group: all block bitmaps, all inode bitmaps,
    /// all tables. For a group that does not exist the numbers mean nothing.
    pub fn group_metadata(&self, group: GroupNo) -> (BlockNo, BlockNo, BlockNo) {
        let first = self.flex_first(group);
        let members = self.flex_members(first);
        let index = group.get() - first.get();
        let start = self.group_start(first).saturating_add(self.leading_blocks(first));
        let at = |offset: u64| BlockNo(start.saturating_add(offset));
        (at(index), at(members + index), at(2 * members + index * self.inode_table_blocks()))
    }

    /// First group of the flex group that `group` belongs to.
    pub fn flex_first(&self, group: GroupNo) -> GroupNo {
        GroupNo(group.get() >> self.flex_log2 << self.flex_log2)
    }

    /// Groups that share the metadata run of `first`, the first of them.
    pub fn flex_members(&self, first: GroupNo) -> u64 {
        self.groups.saturating_sub(first.get()).min(1 << self.flex_log2)
    }

    /// Blocks of superblock and descriptor copies at the start of a group.
    pub fn leading_blocks(&self, group: GroupNo) -> u64 {
        if group.get() == 0 || self.has_backup(group) { 1 + self.descriptor_blocks } else { 0 }
    }

    /// The runs of one group that are in use from the start, in order and without overlap; journal and tail included.
    /// None for a group that does not exist.
    pub fn group_runs(&self, group: GroupNo) -> Vec<BlockRun> {
        let (start, len) = (self.group_start(group), self.group_blocks(group));
        let end = start + len;
        let mut runs: Vec<BlockRun> = Vec::new();
        for (run, _) in self.runs_touching(group) {
            let (from, to) = (run.start.max(start), run.end().min(end));
            if from < to {
                runs.push(BlockRun { start: from, len: to - from });
            }
        }
        runs.sort_unstable_by_key(|r| r.start);
        merge(runs)
    }

    fn runs_touching(&self, group: GroupNo) -> Vec<(BlockRun, FixedUse)> {
        let mut runs = Vec::new();
        if group.get() >= self.groups {
            return runs;
        }
        let start = self.group_start(group);
        let mut free_from = start;
        if self.leading_blocks(group) > 0 {
            runs.push((BlockRun { start, len: 1 }, FixedUse::Superblock));
            runs.push((BlockRun { start: start + 1, len: self.descriptor_blocks }, FixedUse::Descriptors));
            free_from += self.leading_blocks(group);
        }
        if group.get().trailing_zeros() >= self.flex_log2 {
            let len = self.flex_members(group) * self.group_metadata_blocks();
            runs.push((BlockRun { start: free_from, len }, FixedUse::GroupMetadata));
            free_from += len;
        }
        if start < self.head_blocks && free_from < self.head_blocks {
            runs.push((BlockRun { start: free_from, len: self.head_blocks - free_from }, FixedUse::Head));
        }
        let tail = self.tail_backup().get();
        if tail < start + self.blocks_per_group() {
            runs.push((BlockRun { start: tail, len: 1 }, FixedUse::Superblock));
            runs.push((BlockRun { start: tail + 1, len: self.tail_blocks - 1 }, FixedUse::Tail));
        }
        if self.journal.len > 0
            && self.journal.start < start + self.blocks_per_group()
            && self.journal.end() > start
        {
            runs.push((self.journal, FixedUse::Journal));
        }
        runs
    }

    /// All runs that are in use from the start, with their use, in order of their first group.
    pub fn fixed_runs(&self) -> impl Iterator<Item = (BlockRun, FixedUse)> + '_ {
        (0..self.groups).flat_map(move |g| {
            let start = self.group_start(GroupNo(g));
            let end = start + self.blocks_per_group();
            // A run that reaches over several groups is reported once, by the group it begins in.
            self.runs_touching(GroupNo(g))
                .into_iter()
                .filter(move |(run, _)| (start..end).contains(&run.start))
        })
    }

    /// Blocks in use from the start, journal included.
    pub fn fixed_blocks(&self) -> u64 {
        (0..self.groups).map(|g| self.group_runs(GroupNo(g)).iter().map(|r| r.len).sum::<u64>()).sum()
    }

    /// Blocks for files and collections outside the vector zone.
    pub fn data_blocks(&self) -> u64 {
        // A planned zone lies in a gap; one that a damaged superblock describes may not.
        (self.blocks - self.fixed_blocks()).saturating_sub(self.zone.len)
    }

    /// Share of the blocks that can hold files, 0 to 1, as the 98.4 % of the check value counts it: the zone is overhead.
    pub fn efficiency(&self) -> f64 {
        self.data_blocks() as f64 / self.blocks as f64
    }

    /// Sets the bits of a group's block bitmap that are in use from the start, and those past the end of the device.
    pub fn fill_block_bitmap(&self, group: GroupNo, bitmap: &mut [u8]) {
        let start = self.group_start(group);
        for run in self.group_runs(group) {
            crate::bitmap::set_range(bitmap, (run.start - start) as usize, (run.end() - start) as usize);
        }
        crate::bitmap::set_range(bitmap, self.group_blocks(group) as usize, self.blocks_per_group() as usize);
    }

    /// Sets the bits of a group's inode bitmap past the inodes of the group.
    pub fn fill_inode_bitmap(&self, bitmap: &mut [u8]) {
        crate::bitmap::set_range(bitmap, self.inodes_per_group as usize, self.blocks_per_group() as usize);
    }
}

fn merge(runs: Vec<BlockRun>) -> Vec<BlockRun> {
    let mut merged: Vec<BlockRun> = Vec::with_capacity(runs.len());
    for run in runs {
        match merged.last_mut() {
            Some(last) if run.start <= last.end() => last.len = last.len.max(run.end() - last.start),
            _ => merged.push(run),
        }
    }
    merged
}
