//! Allocation of blocks and inodes from the group bitmaps, inside a transaction.
//!
//! Large files get few extents: a request is met by the first run that holds all of it, else by the largest runs there
//! are. Long runs of streams begin large pages of memory where the stream does, so that its mapping is made of such. The
//! vector zone serves collections only; everything else stays out of it. What a transaction frees is free when it has
//! committed, not before: until then the old state refers to it.

use vexfs_device::LARGE_PAGE;
use vexfs_format::bitmap;
use vexfs_format::error::{At, Corrupt, Damage, Structure};
use vexfs_format::geometry::BlockRun;
use vexfs_format::group_desc::{
    BLOCK_BITMAP_UNINIT, GroupDesc, INODE_BITMAP_UNINIT, block_bitmap_checksum, inode_bitmap_checksum,
};
use vexfs_format::{BlockNo, GroupNo, InodeNo, LogicalBlock};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use crate::error::{FsError, Result};
use crate::inode::{descriptor_place, locate, read_group};
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;

/// What blocks are for; decides where they may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockUse {
    /// Directory blocks, tree nodes, collection descriptors.
    Metadata,
    /// Contents of ordinary files.
    Data,
    /// Streams of collections: the vector zone first, then anywhere.
    Vectors,
}

/// A group as a transaction sees it.
#[derive(Clone, Debug)]
pub(crate) struct GroupState {
    pub(crate) desc: GroupDesc,
    pub(crate) block_bitmap: Option<Vec<u8>>,
    pub(crate) inode_bitmap: Option<Vec<u8>>,
    pub(crate) changed: bool,
    blocks_changed: bool,
    inodes_changed: bool,
}

impl Transaction<'_> {
    /// Blocks that this transaction may still allocate, the vector zone included.
    pub fn available_blocks(&self) -> u64 {
        if self.volume.occupied.is_some() {
            // Counters may be wrong before they are repaired; the bitmaps decide.
            return self.geometry.blocks;
        }
        let kept = if self.may_use_reserve { 0 } else { self.sb.reserved_blocks.get() };
        self.sb.free_blocks.get().saturating_sub(kept)
    }

    /// Allocates `want` blocks in as few runs as there are, in logical order.
    ///
    /// # Errors
    /// [`FsError::NoSpace`] with nothing allocated; device errors and damage of bitmaps and descriptors.
    pub fn allocate(&mut self, want: u64, purpose: BlockUse) -> Result<Vec<BlockRun>> {
        self.allocate_from(LogicalBlock(0), want, purpose)
    }

    /// As [`Self::allocate`], for the blocks of a file from `logical` on; those of a stream begin large pages where it does.
    ///
    /// # Errors
    /// As [`Self::allocate`].
    pub(crate) fn allocate_from(
        &mut self,
        logical: LogicalBlock,
        want: u64,
        purpose: BlockUse,
    ) -> Result<Vec<BlockRun>> {
        if want == 0 {
            return Ok(Vec::new());
        }
        if want > self.available_blocks() {
            return Err(FsError::NoSpace { needed: want, free: self.available_blocks() });
        }
        let zone = self.geometry.zone;
        let mut chosen = Vec::new();
        let mut left = want;
        if purpose == BlockUse::Vectors && zone.len > 0 {
            chosen = self.find_runs(&[zone], logical, left, purpose)?;
            left -= chosen.iter().map(|r| r.len).sum::<u64>();
        }
        if left > 0 {
            let before =
                BlockRun { start: 0, len: if zone.len > 0 { zone.start } else { self.geometry.blocks } };
            let after = BlockRun { start: zone.end(), len: self.geometry.blocks - zone.end() };
            let windows = match zone.len {
                0 => rotate(&[before], self.goal),
                _ => rotate(&[before, after], self.goal),
            };
            let logical = LogicalBlock(logical.get() + want - left);
            let found = self.find_runs(&windows, logical, left, purpose)?;
            let got = found.iter().map(|r| r.len).sum::<u64>();
            if got < left {
                return Err(FsError::NoSpace { needed: want, free: want - left + got });
            }
            if purpose != BlockUse::Metadata {
                self.goal = found.last().map_or(self.goal, BlockRun::end);
            }
            chosen.extend(found);
        }
        for run in &chosen {
            self.mark(*run, true)?;
        }
        Ok(chosen)
    }

    /// As [`Self::allocate`], but in one run wherever there is one, before the vector zone is used for a part.
    ///
    /// # Errors
    /// As [`Self::allocate`].
    pub(crate) fn allocate_together(&mut self, want: u64, purpose: BlockUse) -> Result<Vec<BlockRun>> {
        let zone = self.geometry.zone;
        let all = BlockRun { start: 0, len: self.geometry.blocks };
        let before = BlockRun { start: 0, len: zone.start };
        let after = BlockRun { start: zone.end(), len: self.geometry.blocks - zone.end() };
        let outside = if zone.len == 0 { vec![all] } else { vec![before, after] };
        let zone = vec![zone; usize::from(purpose == BlockUse::Vectors && zone.len > 0)];
        if want > 0 && want <= self.available_blocks() {
            for windows in [zone, outside] {
                let found = self.find_runs(&windows, LogicalBlock(0), want, purpose)?;
                if let [run] = found[..]
                    && run.len == want
                {
                    self.mark(run, true)?;
                    return Ok(found);
                }
            }
        }
        self.allocate(want, purpose)
    }

    /// Allocates one metadata block.
    ///
    /// # Errors
    /// As [`Self::allocate`].
    pub fn allocate_metadata(&mut self) -> Result<BlockNo> {
        let runs = self.allocate(1, BlockUse::Metadata)?;
        Ok(BlockNo(runs.first().map_or(0, |r| r.start)))
    }

    /// Frees data blocks when the transaction commits.
    pub fn free_data(&mut self, run: BlockRun) {
        if run.len > 0 {
            self.freed.push(run);
        }
    }

    /// Frees a metadata block when the transaction commits, and forbids replaying its earlier images.
    pub fn free_metadata(&mut self, block: BlockNo) {
        self.staged.remove(&block);
        self.revoked.insert(block);
        self.freed.push(BlockRun { start: block.get(), len: 1 });
    }

    /// Gives back blocks that this transaction allocated and does not need: they are free at once.
    ///
    /// # Errors
    /// Device errors and damage of bitmaps and descriptors.
    pub fn give_back(&mut self, run: BlockRun) -> Result<()> {
        if run.len > 0 { self.mark(run, false) } else { Ok(()) }
    }

    /// Allocates an inode, in the group of `near` if it has one; its record is not written.
    ///
    /// # Errors
    /// [`FsError::NoInodes`]; device errors and damage of bitmaps and descriptors.
    pub fn allocate_inode(&mut self, near: InodeNo, is_directory: bool) -> Result<InodeNo> {
        let is_repair = self.volume.occupied.is_some();
        if self.sb.free_inodes.get() == 0 && !is_repair {
            return Err(FsError::NoInodes { inodes: self.sb.inodes.get() });
        }
        let start = self.geometry.locate_inode(near).map_or(0, |(group, _)| group.get());
        for step in 0..self.geometry.groups {
            let group = GroupNo((start + step) % self.geometry.groups);
            if is_repair && self.load_inode_bitmap(group).is_err() {
                continue;
            }
            if !is_repair && self.group(group)?.desc.free_inodes.get() == 0 {
                continue;
            }
            let first = if group.get() == 0 { (InodeNo::FIRST_ORDINARY.get() - 1) as usize } else { 0 };
            let per_group = self.geometry.inodes_per_group as usize;
            self.load_inode_bitmap(group)?;
            let base = group.get() * self.geometry.inodes_per_group + 1;
            let kept: Vec<u64> = self.volume.occupied.as_ref().map_or(Vec::new(), |o| o.kept.clone());
            let state = self.group(group)?;
            let mut free =
                state.inode_bitmap.as_deref().and_then(|map| bitmap::first_clear(map, first, per_group));
            while let Some(index) = free.filter(|&index| kept.binary_search(&(base + index as u64)).is_ok()) {
                let map = state.inode_bitmap.as_deref().unwrap_or_default();
                free = bitmap::first_clear(map, index + 1, per_group);
            }
            if let Some(index) = free {
                let ino = InodeNo(group.get() * self.geometry.inodes_per_group + index as u64 + 1);
                self.take_inode(ino, is_directory)?;
                return Ok(ino);
            }
        }
        Err(FsError::NoInodes { inodes: self.sb.inodes.get() })
    }

    /// Marks inode `ino` in use; its record is zero bytes until it is written.
    pub(crate) fn take_inode(&mut self, ino: InodeNo, is_directory: bool) -> Result<()> {
        let place = locate(self, ino)?;
        self.load_inode_bitmap(place.group)?;
        let per_group = self.geometry.inodes_per_group;
        let per_block = u64::from(self.geometry.block_size / self.geometry.inode_size);
        let block_size = self.block_size();
        let state = self.group(place.group)?;
        if let Some(map) = &mut state.inode_bitmap {
            bitmap::set(map, place.index as usize);
        }
        let desc = &mut state.desc;
        desc.free_inodes = U32::new(desc.free_inodes.get().saturating_sub(1));
        if is_directory {
            desc.directories = U32::new(desc.directories.get() + 1);
        }
        // Table blocks are written for the first time when their first inode is taken.
        let written = per_group - u64::from(desc.unused_inodes.get());
        let needed = (place.index + 1).next_multiple_of(per_block);
        let table = desc.inode_table.get();
        if needed > written {
            desc.unused_inodes = U32::new((per_group - needed) as u32);
        }
        (state.changed, state.inodes_changed) = (true, true);
        for block in written / per_block..needed.max(written) / per_block {
            self.stage(BlockNo(table + block), vec![0; block_size]);
        }
        self.sb.free_inodes = U64::new(self.sb.free_inodes.get().saturating_sub(1));
        Ok(())
    }

    /// Frees an inode when the transaction commits; its record becomes zero bytes.
    ///
    /// # Errors
    /// Device errors and damage of bitmaps and descriptors.
    pub(crate) fn free_inode(&mut self, ino: InodeNo, is_directory: bool) -> Result<()> {
        let place = locate(self, ino)?;
        let size = self.geometry.inode_size as usize;
        let mut block = self.read_block(place.block)?.to_vec();
        block[place.offset..place.offset + size].fill(0);
        self.stage(place.block, block);
        if is_directory {
            let desc = &mut self.group(place.group)?.desc;
            desc.directories = U32::new(desc.directories.get().saturating_sub(1));
        }
        self.freed_inodes.push(ino);
        Ok(())
    }

    /// Applies the frees of the transaction to the bitmaps; the first step of the commit.
    pub(crate) fn settle_frees(&mut self) -> Result<()> {
        for run in std::mem::take(&mut self.freed) {
            self.mark(run, false)?;
        }
        for ino in std::mem::take(&mut self.freed_inodes) {
            let place = locate(self, ino)?;
            self.load_inode_bitmap(place.group)?;
            let state = self.group(place.group)?;
            if let Some(map) = &mut state.inode_bitmap {
                bitmap::clear(map, place.index as usize);
            }
            state.desc.free_inodes = U32::new(state.desc.free_inodes.get() + 1);
            (state.changed, state.inodes_changed) = (true, true);
            self.sb.free_inodes = U64::new(self.sb.free_inodes.get() + 1);
        }
        Ok(())
    }

    /// Stages the bitmaps and descriptors that changed.
    pub(crate) fn stage_groups(&mut self) -> Result<()> {
        let seed = self.seed();
        let mut changed: Vec<GroupNo> =
            self.groups.iter().filter(|(_, s)| s.changed).map(|(g, _)| *g).collect();
        changed.sort_unstable();
        for group in changed {
            let Some(mut state) = self.groups.remove(&group) else { continue };
            let desc = &mut state.desc;
            if let Some(map) = state.block_bitmap.filter(|_| state.blocks_changed) {
                desc.block_bitmap_checksum = U32::new(block_bitmap_checksum(seed, group, &map));
                desc.flags = U32::new(desc.flags.get() & !BLOCK_BITMAP_UNINIT);
                self.stage(BlockNo(desc.block_bitmap.get()), map);
            }
            if let Some(map) = state.inode_bitmap.filter(|_| state.inodes_changed) {
                desc.inode_bitmap_checksum = U32::new(inode_bitmap_checksum(seed, group, &map));
                desc.flags = U32::new(desc.flags.get() & !INODE_BITMAP_UNINIT);
                self.stage(BlockNo(desc.inode_bitmap.get()), map);
            }
            desc.seal(seed, group);
            let (place, offset) = descriptor_place(self, group);
            let mut block = self.read_block(place)?.to_vec();
            block[offset..offset + GroupDesc::SIZE].copy_from_slice(desc.as_bytes());
            self.stage(place, block);
        }
        Ok(())
    }

    /// Replaces the descriptor of a group, and the bitmaps that are given, whatever was there.
    pub(crate) fn replace_group(
        &mut self,
        group: GroupNo,
        desc: GroupDesc,
        block_bitmap: Option<Vec<u8>>,
        inode_bitmap: Option<Vec<u8>>,
    ) {
        let (blocks_changed, inodes_changed) = (block_bitmap.is_some(), inode_bitmap.is_some());
        let state =
            GroupState { desc, block_bitmap, inode_bitmap, changed: true, blocks_changed, inodes_changed };
        self.groups.insert(group, state);
    }

    pub(crate) fn group(&mut self, group: GroupNo) -> Result<&mut GroupState> {
        if !self.groups.contains_key(&group) {
            let desc = read_group(self, group)?;
            let state = GroupState {
                desc,
                block_bitmap: None,
                inode_bitmap: None,
                changed: false,
                blocks_changed: false,
                inodes_changed: false,
            };
            self.groups.insert(group, state);
        }
        self.groups.get_mut(&group).ok_or(FsError::Interrupted)
    }

    fn load_block_bitmap(&mut self, group: GroupNo) -> Result<()> {
        if self.group(group)?.block_bitmap.is_none() {
            let desc = self.group(group)?.desc;
            let stored = read_block_bitmap(self, group, &desc);
            let map = match &self.volume.occupied {
                None => stored?,
                Some(occupied) => {
                    let mut map = stored.unwrap_or_else(|_| vec![0; self.block_size()]);
                    let in_use = occupied.blocks.expected(group.get());
                    map.iter_mut().zip(in_use).for_each(|(byte, in_use)| *byte |= in_use);
                    map
                }
            };
            self.group(group)?.block_bitmap = Some(map);
        }
        Ok(())
    }

    fn load_inode_bitmap(&mut self, group: GroupNo) -> Result<()> {
        if self.group(group)?.inode_bitmap.is_none() {
            let desc = self.group(group)?.desc;
            let stored = read_inode_bitmap(self, group, &desc);
            let map = match &self.volume.occupied {
                None => stored?,
                Some(occupied) => {
                    let mut map = stored.unwrap_or_else(|_| vec![0; self.block_size()]);
                    occupied.mark_inodes(&self.geometry, group, &mut map);
                    map
                }
            };
            self.group(group)?.inode_bitmap = Some(map);
        }
        Ok(())
    }

    /// Sets or clears the bits of a run and brings the counters along.
    fn mark(&mut self, run: BlockRun, in_use: bool) -> Result<()> {
        let per_group = self.geometry.blocks_per_group();
        let mut at = run.start;
        while at < run.end() {
            let group = GroupNo(at / per_group);
            let (from, to) =
                ((at % per_group) as usize, (run.end() - group.get() * per_group).min(per_group) as usize);
            self.load_block_bitmap(group)?;
            let is_repair = self.volume.occupied.is_some();
            let state = self.group(group)?;
            let mut count = 0_u32;
            if let Some(map) = &mut state.block_bitmap {
                for bit in from..to {
                    if bitmap::get(map, bit) == in_use {
                        if is_repair {
                            continue;
                        }
                        let damage = Damage::Field {
                            name: "bit",
                            found: u64::from(in_use),
                            expected: "the opposite, by everything that refers to the block",
                        };
                        let block = group.get() * per_group + bit as u64;
                        return Err(Corrupt::new(Structure::BlockBitmap, At::Block(block), damage).into());
                    }
                    count += 1;
                    if in_use { bitmap::set(map, bit) } else { bitmap::clear(map, bit) }
                }
            }
            let free = state.desc.free_blocks.get();
            state.desc.free_blocks =
                U32::new(if in_use { free.saturating_sub(count) } else { free.saturating_add(count) });
            (state.changed, state.blocks_changed) = (true, true);
            let free = self.sb.free_blocks.get();
            let count = u64::from(count);
            self.sb.free_blocks =
                U64::new(if in_use { free.saturating_sub(count) } else { free.saturating_add(count) });
            at += (to - from) as u64;
        }
        Ok(())
    }

    /// Free runs within `windows` that together hold at most `want` blocks, in order of their place.
    ///
    /// The first run with room for all of it is taken; else the largest runs, so that there are as few as possible. What is
    /// skipped of a run, for the blocks of a stream from `logical` on to begin large pages where the stream does, is less than half
    /// of what is taken, and stays free for what is small.
    fn find_runs(
        &mut self,
        windows: &[BlockRun],
        logical: LogicalBlock,
        want: u64,
        purpose: BlockUse,
    ) -> Result<Vec<BlockRun>> {
        let large_page = LARGE_PAGE as u64 / u64::from(self.geometry.block_size);
        let is_mapped = purpose == BlockUse::Vectors && want >= 2 * large_page;
        let alignment = if is_mapped { large_page } else { 1 };
        let mut free: Vec<BlockRun> = Vec::new();
        'windows: for window in windows {
            let mut open: Option<BlockRun> = None;
            let per_group = self.geometry.blocks_per_group();
            let mut at = window.start;
            while at < window.end() {
                let group = GroupNo(at / per_group);
                let base = group.get() * per_group;
                let end = window.end().min(base + per_group);
                let is_repair = self.volume.occupied.is_some();
                if is_repair && self.load_block_bitmap(group).is_err() {
                    // What is free there is not known; it is not touched.
                    free.extend(open.take());
                    at = end;
                    continue;
                }
                if !is_repair && self.group(group)?.desc.free_blocks.get() == 0 {
                    at = end;
                    continue;
                }
                self.load_block_bitmap(group)?;
                let Some(map) = self.group(group)?.block_bitmap.clone() else { break };
                for (first, len) in bitmap::clear_runs(&map, (at - base) as usize, (end - base) as usize) {
                    let run = BlockRun { start: base + first as u64, len: len as u64 };
                    match &mut open {
                        Some(last) if last.end() == run.start => last.len += run.len,
                        _ => free.extend(open.replace(run)),
                    }
                    if free.last().is_some_and(|run| run.len >= want) {
                        break 'windows;
                    }
                    if let Some(run) = open {
                        let skipped = logical.get().wrapping_sub(run.start) % alignment;
                        if run.len >= skipped + want {
                            return Ok(vec![BlockRun { start: run.start + skipped, len: want }]);
                        }
                    }
                }
                at = end;
            }
            free.extend(open);
            if free.last().is_some_and(|run| run.len >= want) {
                break 'windows;
            }
        }
        free.sort_unstable_by_key(|r| (std::cmp::Reverse(r.len), r.start));
        let mut left = want;
        let mut chosen = Vec::new();
        for run in free {
            if left == 0 {
                break;
            }
            let len = run.len.min(left);
            chosen.push(BlockRun { start: run.start, len });
            left -= len;
        }
        chosen.sort_unstable_by_key(|r| r.start);
        Ok(chosen)
    }
}

/// The windows with the one that holds `goal` first, beginning there.
fn rotate(windows: &[BlockRun], goal: u64) -> Vec<BlockRun> {
    let Some(hit) = windows.iter().position(|w| (w.start..w.end()).contains(&goal)) else {
        return windows.to_vec();
    };
    let window = windows[hit];
    let mut order = vec![BlockRun { start: goal, len: window.end() - goal }];
    order.extend_from_slice(&windows[hit + 1..]);
    order.extend_from_slice(&windows[..hit]);
    order.push(BlockRun { start: window.start, len: goal - window.start });
    order
}

/// The block bitmap of a group: read and verified, or made from the geometry while it is uninitialised.
///
/// # Errors
/// Device errors, and damage when the checksum is not the descriptor's.
pub fn read_block_bitmap(
    src: &(impl BlockSource + ?Sized),
    group: GroupNo,
    desc: &GroupDesc,
) -> Result<Vec<u8>> {
    if desc.block_bitmap_uninit() {
        let mut map = vec![0; src.block_size()];
        src.superblock().geometry().fill_block_bitmap(group, &mut map);
        return Ok(map);
    }
    let map = src.read_block(BlockNo(desc.block_bitmap.get()))?;
    let (stored, computed) =
        (desc.block_bitmap_checksum.get(), block_bitmap_checksum(src.seed(), group, &map));
    if stored != computed {
        let damage = Damage::Checksum { stored, computed };
        return Err(Corrupt::new(Structure::BlockBitmap, At::Group(group.get()), damage).into());
    }
    Ok(map.to_vec())
}

/// The inode bitmap of a group, likewise.
///
/// # Errors
/// Device errors, and damage when the checksum is not the descriptor's.
pub fn read_inode_bitmap(
    src: &(impl BlockSource + ?Sized),
    group: GroupNo,
    desc: &GroupDesc,
) -> Result<Vec<u8>> {
    if desc.inode_bitmap_uninit() {
        let mut map = vec![0; src.block_size()];
        src.superblock().geometry().fill_inode_bitmap(&mut map);
        return Ok(map);
    }
    let map = src.read_block(BlockNo(desc.inode_bitmap.get()))?;
    let (stored, computed) =
        (desc.inode_bitmap_checksum.get(), inode_bitmap_checksum(src.seed(), group, &map));
    if stored != computed {
        let damage = Damage::Checksum { stored, computed };
        return Err(Corrupt::new(Structure::InodeBitmap, At::Group(group.get()), damage).into());
    }
    Ok(map.to_vec())
}
