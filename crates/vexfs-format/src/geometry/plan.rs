//! The rule by which mkfs lays a filesystem out.

use super::{BlockRun, Geometry, HEAD_BYTES, TAIL_BYTES};
use crate::group_desc::GroupDesc;
use crate::units::GroupNo;

/// Default of [`GeometryParams::bytes_per_inode`]; that of ext4, which the check value of 8,192 inodes per group implies.
pub const DEFAULT_BYTES_PER_INODE: u64 = 16384;
/// Default inode size in bytes: room for five extents.
pub const DEFAULT_INODE_SIZE: u32 = 256;
/// Smallest filesystem in bytes.
pub const MIN_BYTES: u64 = 8 << 20;

/// Groups that share one run of bitmaps and tables, as a power of two: runs of data are then up to 16 groups long.
const DEFAULT_FLEX_LOG2: u32 = 4;
/// Smallest journal: the larger of 1 MiB and this many blocks, so that one import fits at any block size.
const MIN_JOURNAL_BLOCKS: u64 = 32;
const MIN_JOURNAL_BYTES: u64 = 1 << 20;
/// Largest journal that is chosen unasked: 128 MiB holds the bitmaps of 4 TiB at 4096-byte blocks.
const MAX_JOURNAL_BYTES: u64 = 128 << 20;
/// Share of the blocks that the journal takes unasked: 1 in 100.
const JOURNAL_SHARE: u64 = 100;
/// Share of the blocks that the vector zone takes: 1 in 20, at most 512 MiB.
const ZONE_SHARE: u64 = 20;
const MAX_ZONE_BYTES: u64 = 512 << 20;
/// The descriptor table has room to grow to this multiple of its size.
const DESCRIPTOR_GROWTH: u64 = 4;
/// Least number of inodes: the reserved ones and a few to use.
const MIN_INODES: u64 = 16;
/// A last group with fewer free blocks than this is not worth its metadata and is left off.
pub const MIN_LAST_GROUP_FREE: u64 = 16;

/// What mkfs is asked for.
#[derive(Clone, Debug)]
pub struct GeometryParams {
    /// Blocks of the device.
    pub device_blocks: u64,
    /// Bytes per block.
    pub block_size: u32,
    /// One inode for this many bytes, but at most one for each block: more could never hold anything.
    pub bytes_per_inode: u64,
    /// Number of inodes, instead of a ratio.
    pub inodes: Option<u64>,
    /// Bytes per inode record.
    pub inode_size: u32,
    /// Blocks of the journal, instead of the default share.
    pub journal_blocks: Option<u64>,
    /// Whether to reserve a vector zone.
    pub vector_zone: bool,
}

impl GeometryParams {
    /// The defaults for a device of `device_blocks` blocks of `block_size` bytes, without a vector zone.
    pub fn new(device_blocks: u64, block_size: u32) -> Self {
        Self {
            device_blocks,
            block_size,
            bytes_per_inode: DEFAULT_BYTES_PER_INODE,
            inodes: None,
            inode_size: DEFAULT_INODE_SIZE,
            journal_blocks: None,
            vector_zone: false,
        }
    }
}

/// Why a layout cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A parameter is outside its range.
    #[error("{name} {found} is not possible: it must be {expected}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// Its value.
        found: u64,
        /// The rule.
        expected: &'static str,
    },
    /// The device has too few bytes.
    #[error("the device is too small: {have} bytes, and at least {need} are needed with these options")]
    TooSmall {
        /// Bytes of the device.
        have: u64,
        /// Bytes needed.
        need: u64,
    },
    /// Inode tables or descriptors do not fit into their groups.
    #[error("{what} do not fit: {hint}")]
    DoesNotFit {
        /// What is too large.
        what: &'static str,
        /// What to change.
        hint: &'static str,
    },
}

impl Geometry {
    /// Lays out a filesystem.
    ///
    /// # Errors
    /// [`PlanError`] when a parameter is out of range, the device is too small, or tables do not fit.
    pub fn plan(params: &GeometryParams) -> Result<Self, PlanError> {
        check_params(params)?;
        let block_size = u64::from(params.block_size);
        let bytes = params.device_blocks.saturating_mul(block_size);
        if bytes < MIN_BYTES {
            return Err(PlanError::TooSmall { have: bytes, need: MIN_BYTES });
        }
        let mut blocks = params.device_blocks;
        loop {
            let mut geometry = Self::tables(params, blocks)?;
            let last = GroupNo(geometry.groups - 1);
            let used: u64 = geometry.group_runs(last).iter().map(|r| r.len).sum();
            if geometry.groups > 1 && geometry.group_blocks(last) < used + MIN_LAST_GROUP_FREE {
                blocks = last.get() * geometry.blocks_per_group();
                continue;
            }
            geometry.place_journal(params)?;
            if params.vector_zone {
                geometry.place_zone();
            }
            return Ok(geometry);
        }
    }

    /// Everything but journal and zone for a filesystem of `blocks` blocks.
    fn tables(params: &GeometryParams, blocks: u64) -> Result<Self, PlanError> {
        let block_size = u64::from(params.block_size);
        let per_group = block_size * 8;
        let groups = blocks.div_ceil(per_group);
        let per_block = block_size / u64::from(params.inode_size);
        let by_ratio = blocks.saturating_mul(block_size) / params.bytes_per_inode.max(block_size);
        let wanted = params.inodes.unwrap_or(by_ratio).max(MIN_INODES).div_ceil(groups);
        let inodes_per_group = wanted.checked_next_multiple_of(per_block).unwrap_or(u64::MAX);
        if inodes_per_group > per_group {
            return Err(PlanError::DoesNotFit {
                what: "the inodes of a group",
                hint: "ask for fewer inodes (-N) or more bytes per inode (-i)",
            });
        }
        let needed = (groups * GroupDesc::SIZE as u64).div_ceil(block_size);
        let with_growth = (groups * DESCRIPTOR_GROWTH * GroupDesc::SIZE as u64).div_ceil(block_size);
        if needed > per_group / 2 {
            return Err(PlanError::DoesNotFit {
                what: "the group descriptors",
                hint: "choose a larger block size (-b)",
            });
        }
        let mut geometry = Self {
            blocks,
            block_size: params.block_size,
            groups,
            inodes_per_group,
            inode_size: params.inode_size,
            flex_log2: DEFAULT_FLEX_LOG2,
            descriptor_blocks: with_growth.min(per_group / 2),
            head_blocks: HEAD_BYTES.div_ceil(block_size),
            tail_blocks: TAIL_BYTES.div_ceil(block_size),
            journal: BlockRun { start: 0, len: 0 },
            zone: BlockRun { start: 0, len: 0 },
        };
        let room =
            (per_group.min(blocks) - 1 - geometry.descriptor_blocks).saturating_sub(geometry.tail_blocks);
        while geometry.group_metadata_blocks() * groups.min(1 << geometry.flex_log2) > room {
            if geometry.flex_log2 == 0 {
                return Err(PlanError::DoesNotFit {
                    what: "the inode tables",
                    hint: "ask for fewer inodes (-N, -i) or smaller ones (-I)",
                });
            }
            geometry.flex_log2 -= 1;
        }
        Ok(geometry)
    }

    fn place_journal(&mut self, params: &GeometryParams) -> Result<(), PlanError> {
        let block_size = u64::from(self.block_size);
        let least = MIN_JOURNAL_BLOCKS.max(MIN_JOURNAL_BYTES / block_size);
        let len = match params.journal_blocks {
            Some(n) if n < least => {
                return Err(PlanError::Parameter {
                    name: "journal size in blocks",
                    found: n,
                    expected: "at least 32 blocks and 1 MiB",
                });
            }
            Some(n) => n,
            None => (self.blocks / JOURNAL_SHARE).clamp(least, least.max(MAX_JOURNAL_BYTES / block_size)),
        };
        let run = self.first_gap(len);
        if run.len >= len || (params.journal_blocks.is_none() && run.len >= least) {
            self.journal = run;
            return Ok(());
        }
        if params.journal_blocks.is_some() {
            return Err(PlanError::DoesNotFit {
                what: "the blocks of the journal",
                hint: "ask for a smaller journal (-J)",
            });
        }
        let have = self.blocks.saturating_mul(block_size);
        Err(PlanError::TooSmall { have, need: self.blocks.saturating_add(len).saturating_mul(block_size) })
    }

    fn place_zone(&mut self) {
        let len = (self.blocks / ZONE_SHARE).min(MAX_ZONE_BYTES / u64::from(self.block_size)).max(1);
        self.zone = self.first_gap(len);
    }

    /// The first `len` blocks of the first gap that has so many; else the largest gap, which may be empty.
    fn first_gap(&self, len: u64) -> BlockRun {
        let mut largest = BlockRun { start: 0, len: 0 };
        for gap in self.gaps() {
            if gap.len > largest.len {
                largest = gap;
            }
            if gap.len >= len {
                break;
            }
        }
        BlockRun { start: largest.start, len: len.min(largest.len) }
    }

    /// The runs between fixed runs, in order. Runs of several groups are joined.
    fn gaps(&self) -> impl Iterator<Item = BlockRun> + '_ {
        let mut group = 0;
        let mut at = 0_u64;
        let mut pending: std::collections::VecDeque<BlockRun> = Default::default();
        std::iter::from_fn(move || {
            loop {
                if let Some(run) = pending.pop_front() {
                    let gap = BlockRun { start: at, len: run.start.saturating_sub(at) };
                    at = at.max(run.end());
                    if gap.len > 0 {
                        return Some(gap);
                    }
                } else if group < self.groups {
                    pending.extend(self.group_runs(GroupNo(group)));
                    group += 1;
                } else {
                    return None; // the tail is fixed, so nothing lies behind the last run
                }
            }
        })
    }
}

fn check_params(params: &GeometryParams) -> Result<(), PlanError> {
    let need = |ok: bool, name, found: u64, expected| {
        if ok { Ok(()) } else { Err(PlanError::Parameter { name, found, expected }) }
    };
    let size = params.block_size;
    let size_ok = size.is_power_of_two() && crate::superblock::BLOCK_SIZES.contains(&size);
    need(size_ok, "block size", size.into(), "a power of two from 4096 to 65536")?;
    let inode = params.inode_size;
    let inode_ok = inode.is_power_of_two() && (256..=size).contains(&inode);
    need(inode_ok, "inode size", inode.into(), "a power of two from 256 to the block size")?;
    let ratio_ok = (1024..=1 << 40).contains(&params.bytes_per_inode);
    need(ratio_ok, "bytes per inode", params.bytes_per_inode, "from 1024 to 1T")?;
    if let Some(inodes) = params.inodes {
        need(inodes >= MIN_INODES, "number of inodes", inodes, "at least 16")?;
    }
    let device_ok = params.device_blocks.checked_mul(size.into()).is_some_and(|b| b <= i64::MAX as u64);
    need(device_ok, "device size in blocks", params.device_blocks, "less than 2^63 bytes")
}
