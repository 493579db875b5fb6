//! The contents of one file: where its blocks lie, and what their checksums should be.

use std::collections::BTreeMap;
use std::ops::Range;

use vexfs_device::Device;
use vexfs_format::codes::InodeKind;
use vexfs_format::extent::SUMS_BASE;
use vexfs_format::inode::{FLAG_LOST, Inode};
use vexfs_format::sums;
use vexfs_format::{BlockNo, InodeNo, LogicalBlock, Seed};

use super::context::Context;
use super::extent_walk::Extents;
use crate::source::BlockSource;

/// A file, stream or stored link that is being read.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) ino: InodeNo,
    pub(super) size: u64,
    /// Data blocks.
    pub(super) blocks: u64,
    pub(super) block_size: usize,
    pub(super) extents: Extents,
    /// Whether a person knows that contents are lost.
    pub(super) is_known_lost: bool,
    /// Whether it belongs to an index: then nothing of it can be lost.
    pub(super) is_of_index: bool,
    generation: u64,
    seed: Seed,
}

/// The checksum blocks of some data blocks, by index: their checksums, or why there are none.
#[derive(Debug, Default)]
pub(super) struct Sums {
    per_block: u64,
    blocks: BTreeMap<u64, Result<Vec<u32>, NoSums>>,
}

/// Why a checksum block gives no checksums.
#[derive(Clone, Debug)]
pub(super) enum NoSums {
    /// It is not mapped: reported with the extents.
    NotMapped,
    /// It is damaged, as the words say.
    Damaged(u64, String),
    /// It cannot be read, as the words say.
    Unreadable(u64, String),
}

impl Content {
    /// The contents of an object; `None` for one that has no blocks of data, or cannot be read.
    pub(super) fn open(ctx: &Context<'_>, ino: u64) -> Option<Self> {
        Self::of(ctx, &ctx.read_inode(ino)?)
    }

    /// The contents of the object that a record describes, likewise.
    pub(super) fn of(ctx: &Context<'_>, inode: &Inode) -> Option<Self> {
        if inode.has_inline_target() || inode.kind().is_directory_like() {
            return None;
        }
        let block_size = ctx.volume.block_size();
        let extents = Extents::walk(&ctx.volume, inode);
        // More than there are: the same blocks over and over, which was reported.
        if extents.blocks() > ctx.volume.blocks() {
            return None;
        }
        Some(Self {
            ino: inode.number(),
            size: inode.size.get(),
            blocks: inode.size.get().div_ceil(block_size as u64),
            block_size,
            extents,
            is_known_lost: inode.flags.get() & FLAG_LOST != 0,
            is_of_index: is_of_index(ctx, inode),
            generation: inode.generation.get(),
            seed: ctx.volume.seed(),
        })
    }

    /// Whether every block that the size promises is mapped: a size alone may promise anything.
    pub(super) fn is_mapped(&self) -> bool {
        self.extents.range(0, self.blocks).map(|(_, _, len)| len).sum::<u64>() == self.blocks
    }

    /// Data blocks that one checksum block covers.
    pub(super) fn per_sums_block(&self) -> u64 {
        sums::capacity(self.block_size)
    }

    /// Reads checksum block `index`.
    pub(super) fn read_sums_block(&self, dev: &dyn Device, index: u64) -> Result<Vec<u32>, NoSums> {
        let place = self.extents.lookup(SUMS_BASE + index).ok_or(NoSums::NotMapped)?;
        let mut bytes = vec![0; self.block_size];
        if let Err(e) = dev.read_at(place.saturating_mul(self.block_size as u64), &mut bytes) {
            return Err(NoSums::Unreadable(place, super::context::reason(&e.into())));
        }
        let capacity = self.per_sums_block();
        let needed = self.blocks.saturating_sub(index * capacity).min(capacity);
        sums::decode(&bytes, BlockNo(place), self.ino, index, needed, self.seed)
            .map_err(|corrupt| NoSums::Damaged(place, corrupt.damage.to_string()))
    }

    /// Reads as many checksums as checksum block `index` holds, if it is sound.
    pub(super) fn read_any_sums(&self, ctx: &Context<'_>, index: u64) -> Option<Vec<u32>> {
        let place = self.extents.lookup(SUMS_BASE + index)?;
        let mut bytes = vec![0; self.block_size];
        ctx.volume.dev.read_at(ctx.volume.offset(BlockNo(place)), &mut bytes).ok()?;
        sums::decode(&bytes, BlockNo(place), self.ino, index, 0, self.seed).ok()
    }

    /// Reads the checksums of the data blocks of some runs.
    pub(super) fn sums(&self, dev: &dyn Device, runs: impl Iterator<Item = Range<u64>>) -> Sums {
        let per_block = self.per_sums_block();
        let mut blocks = BTreeMap::new();
        for run in runs {
            for index in run.start / per_block..run.end.div_ceil(per_block) {
                blocks.entry(index).or_insert_with(|| self.read_sums_block(dev, index));
            }
        }
        Sums { per_block, blocks }
    }

    /// The checksum that data block `logical` should have, computed from its bytes.
    pub(super) fn checksum(&self, logical: u64, block: &[u8]) -> u32 {
        sums::data_checksum(self.seed, self.ino, self.generation, LogicalBlock(logical), block)
    }

    /// Whether the bytes of data block `logical` that lie behind the end of the file are zero.
    pub(super) fn ends_in_zeros(&self, logical: u64, block: &[u8]) -> bool {
        let used = self.size - logical * self.block_size as u64;
        block.get(used.min(block.len() as u64) as usize..).is_none_or(|tail| tail.iter().all(|&b| b == 0))
    }

    /// The bytes of `range`, which lies inside the file, as they lie on the device; `None` if some cannot be read.
    pub(super) fn raw(&self, dev: &dyn Device, range: Range<u64>) -> Option<Vec<u8>> {
        let size = self.block_size as u64;
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        let mut next = range.start / size;
        for (logical, place, len) in self.extents.range(range.start / size, range.end.div_ceil(size)) {
            if logical != next {
                return None;
            }
            next = logical + len;
            let from = range.start.max(logical * size);
            let to = range.end.min(next * size);
            let old = bytes.len();
            bytes.resize(old + (to - from) as usize, 0);
            let offset = place * size + (from - logical * size);
            dev.read_at(offset, &mut bytes[old..]).ok()?;
        }
        (bytes.len() as u64 == range.end - range.start).then_some(bytes)
    }

    /// The bytes of `range`, if every block they lie in agrees with its checksum.
    pub(super) fn verified(&self, dev: &dyn Device, range: Range<u64>) -> Option<Vec<u8>> {
        let size = self.block_size as u64;
        let end = range.end.min(self.size);
        let blocks = range.start / size..end.div_ceil(size);
        let mut whole = Vec::with_capacity(((blocks.end - blocks.start) * size) as usize);
        let sums = self.sums(dev, std::iter::once(blocks.clone()));
        for (logical, place, len) in self.extents.range(blocks.start, blocks.end) {
            let old = whole.len();
            whole.resize(old + (len * size) as usize, 0);
            dev.read_at(place * size, &mut whole[old..]).ok()?;
            for (logical, block) in (logical..).zip(whole[old..].chunks_exact(self.block_size)) {
                if sums.get(logical) != Some(self.checksum(logical, block)) {
                    return None;
                }
            }
        }
        if whole.len() as u64 != (blocks.end - blocks.start) * size {
            return None;
        }
        let first = (range.start - blocks.start * size) as usize;
        Some(whole[first..first + (end - range.start) as usize].to_vec())
    }
}

/// Whether an inode is in the directory of index images of a collection.
fn is_of_index(ctx: &Context<'_>, inode: &Inode) -> bool {
    let named = ctx.inodes.get(inode.number().get()).map_or(inode.parent.get(), |info| info.parent);
    let above = ctx.inodes.get(named).map_or(0, |directory| directory.parent);
    let collection = ctx.collections.binary_search_by_key(&above, |c| c.ino);
    inode.kind() == InodeKind::Stream && collection.is_ok_and(|index| ctx.collections[index].index == named)
}

impl Sums {
    /// The checksum of data block `logical`.
    pub(super) fn get(&self, logical: u64) -> Option<u32> {
        let sums = self.blocks.get(&(logical / self.per_block))?.as_ref().ok()?;
        sums.get((logical % self.per_block) as usize).copied()
    }

    /// The checksum blocks that give none, with their index.
    pub(super) fn faults(&self) -> impl Iterator<Item = (u64, &NoSums)> {
        self.blocks.iter().filter_map(|(&index, block)| block.as_ref().err().map(|e| (index, e)))
    }
}
