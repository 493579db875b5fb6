//! Pass 1: the extents of objects: nodes left out, holes, blocks too many, blocks with two owners.
//!
//! An object is mended as a whole: what can be read of its extents is taken, blocks that others own as well are copied, and a new tree
//! is laid out in fresh blocks. The old tree and what is no longer mapped is marked as free in pass 5, when everybody has been
//! asked. A block that introduces itself says whose it is; a data block is copied for whoever maps it.

use std::collections::{BTreeMap, BTreeSet};

use vexfs_format::codes::InodeKind;
use vexfs_format::dir_block;
use vexfs_format::extent::{self, NodeEntries, Run, SUMS_BASE};
use vexfs_format::geometry::BlockRun;
use vexfs_format::inode::{FLAG_INLINE_TARGET, FLAG_LOST, Inode, Root};
use vexfs_format::{BlockNo, InodeNo, LogicalBlock, sums};
use zerocopy::little_endian::{U16, U32, U64};

use super::super::context::Context;
use super::super::problem::{Fix, Problem};
use super::super::table;
use super::salvage::{Latest, Ring};
use super::{batch, directories, records};
use crate::alloc::BlockUse;
use crate::error::Result;
use crate::extents::ExtentMap;
use crate::inode;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;

/// Data blocks that are copied at a time.
const COPY_BLOCKS: u64 = 64;

/// What is to be done about the blocks of one object.
#[derive(Clone, Debug, Default)]
pub(super) struct Mend {
    /// Blocks of which it gets copies.
    pub(super) shared: Vec<BlockRun>,
    /// Data blocks, by logical number, whose bytes are taken as they lie, where they can be read.
    pub(super) accepted: BTreeSet<u64>,
    /// Bytes that are stored, by their place in the object.
    pub(super) patches: BTreeMap<u64, Vec<u8>>,
    /// Bytes behind the end of the object are cleared.
    pub(super) clear_tail: bool,
    /// Nothing can be allocated, because what is in use is not known as a whole: it is only cut to what belongs to it.
    pub(super) only_cut: bool,
    /// It has a new length in bytes: shorter, or within what is mapped.
    pub(super) size: Option<u64>,
}

/// Mends the extents that were decided.
pub(super) fn repair(ctx: &mut Context<'_>) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Mapping]);
    if accepted.is_empty() {
        return Ok(());
    }
    batch::settle(ctx, &accepted)?;
    let ring = Ring::read(&*ctx.volume.dev, &ctx.volume.sb).latest();
    let mut nodes: Vec<(BlockNo, Vec<u8>)> = Vec::new();
    let mut mends: BTreeMap<u64, Mend> = BTreeMap::new();
    for problem in &accepted {
        let Some(ino) = problem.place.inode else { continue };
        nodes.extend(node_image(ctx, &ring, problem));
        if problem.kind == table::BLOCKS_GIVEN_UP || problem.kind == table::BLOCKS_SHARED_FIRST {
            continue;
        }
        let mend = mends.entry(ino).or_default();
        mend.only_cut = ctx.shared.has_given_up();
        if problem.kind == table::BLOCKS_SHARED || problem.kind == table::BLOCKS_FIXED {
            let (start, len) = (problem.place.block.unwrap_or(0), problem.place.blocks.unwrap_or(1));
            mend.shared.push(BlockRun { start, len });
        }
    }
    batch::run(&mut ctx.volume, &mut ctx.reporter, &nodes, |txn, (block, image)| {
        txn.stage(*block, image.clone());
        Ok(())
    })?;
    let mends: Vec<(u64, Mend)> = mends.into_iter().collect();
    batch::run(&mut ctx.volume, &mut ctx.reporter, &mends, |txn, (ino, wanted)| {
        mend(txn, InodeNo(*ino), wanted)
    })
}

/// The image of a damaged node that the log still holds, if it fits.
fn node_image(ctx: &Context<'_>, ring: &Latest, problem: &Problem) -> Option<(BlockNo, Vec<u8>)> {
    let is_node = problem.kind == table::NODE_DAMAGED || problem.kind == table::NODE_UNREADABLE;
    let block = BlockNo(problem.place.block.filter(|_| is_node)?);
    let image = ring.of(&*ctx.volume.dev, &ctx.volume.sb, block)?;
    let ino = InodeNo(problem.place.inode?);
    let header = vexfs_format::block_header::BlockHeader::peek(&image)?;
    let (level, blocks, seed) = (header.level.get(), ctx.volume.blocks(), ctx.volume.seed());
    extent::decode_node(&image, block, ino, level, blocks, seed).ok()?;
    Some((block, image))
}

/// An object that is being mended.
struct Object<'t, 'v> {
    txn: &'t mut Transaction<'v>,
    inode: Inode,
    map: ExtentMap,
    block_size: usize,
    /// Checksums that are known, by data block; those of damaged checksum blocks are made from the data.
    known: BTreeMap<u64, Vec<u32>>,
    /// Checksum blocks that are written anew.
    rewritten: BTreeSet<u64>,
    /// Data blocks that nothing is left of: zeros, with a checksum that does not agree.
    lost: BTreeSet<u64>,
}

/// Mends one object: see the module.
pub(super) fn mend(txn: &mut Transaction<'_>, ino: InodeNo, wanted: &Mend) -> Result<()> {
    let inode = inode::read(txn, ino)?;
    let map = all_extents(txn, &inode);
    let is_stored_link = inode.kind() == InodeKind::Symlink && !inode.has_inline_target();
    if is_stored_link && map.lookup(0).is_none() {
        return mend_link(txn, inode);
    }
    let block_size = txn.block_size();
    let mut object = Object {
        txn,
        inode,
        map,
        block_size,
        known: BTreeMap::new(),
        rewritten: BTreeSet::new(),
        lost: BTreeSet::new(),
    };
    object.resize(wanted.size);
    let mut is_whole = true;
    if !wanted.only_cut {
        object.copy_shared(&wanted.shared)?;
        is_whole = object.fill_holes()?;
    }
    if !wanted.only_cut && !object.inode.kind().is_directory_like() && !object.inode.has_inline_target() {
        object.take_as_they_lie(wanted)?;
        object.patch(&wanted.patches)?;
        object.write_sums()?;
    }
    let Object { txn, mut inode, mut map, lost, .. } = object;
    if !lost.is_empty() && inode.kind() != InodeKind::Stream {
        inode.flags = U32::new(inode.flags.get() | FLAG_LOST);
    }
    txn.store_extents(&mut inode, &mut map)?;
    txn.write_inode(&mut inode)?;
    if !is_whole {
        directories::rebuild(txn, ino, &directories::Changes::default())?;
    }
    Ok(())
}

/// A link without a block of its target: the target may lie in the record, else nothing is left of the link.
fn mend_link(txn: &mut Transaction<'_>, mut inode: Inode) -> Result<()> {
    let end = inode.size.get().min(inode.root.len() as u64) as usize;
    let (target, rest) = inode.root.split_at(end);
    let is_inline =
        inode.size.get() == end as u64 && !target.contains(&0) && rest.iter().all(|&byte| byte == 0);
    if is_inline && end > 0 {
        inode.flags = U32::new(FLAG_INLINE_TARGET);
        (inode.root_count, inode.depth, inode.blocks) = (U16::new(0), U16::new(0), U64::new(0));
        return txn.write_inode(&mut inode);
    }
    records::free(txn, inode.number())
}

/// The extents in all nodes of a tree that are sound and the object's own, whatever their parents say of where they begin.
fn all_extents(txn: &Transaction<'_>, inode: &Inode) -> ExtentMap {
    let (blocks, seed) = (txn.blocks(), txn.seed());
    let mut runs: Vec<Run> = Vec::new();
    let mut todo: Vec<(BlockNo, u16)> = Vec::new();
    let mut seen: BTreeSet<BlockNo> = BTreeSet::new();
    match inode.root(blocks) {
        Ok(Root::Extents(found)) => runs = found,
        Ok(Root::Index(children)) => {
            todo.extend(children.into_iter().rev().map(|(_, child)| (child, inode.depth.get() - 1)));
        }
        Ok(Root::Target(_)) | Err(_) => {}
    }
    while let Some((node, level)) = todo.pop() {
        if !seen.insert(node) {
            continue;
        }
        let Ok(bytes) = txn.read_block(node) else { continue };
        match extent::decode_node(&bytes, node, inode.number(), level, blocks, seed) {
            Ok(NodeEntries::Leaf(found)) => runs.extend(found),
            Ok(NodeEntries::Index(below)) if level > 0 => {
                todo.extend(below.into_iter().rev().map(|(_, child)| (child, level - 1)));
            }
            _ => {}
        }
    }
    let mut map = ExtentMap::default();
    for run in runs {
        // Where two extents claim a logical block, the first one has it.
        if map.range(run.logical.get(), run.logical_end()).next().is_none() {
            map.insert(run.logical.get(), run.start, run.len.into());
        }
    }
    map
}

impl Object<'_, '_> {
    fn data_blocks(&self) -> u64 {
        if self.inode.has_inline_target() {
            0
        } else {
            self.inode.size.get().div_ceil(self.block_size as u64)
        }
    }

    /// Brings size and extents together: blocks behind the end that are proven to belong to the object are taken in, the others are left
    /// out; a size beyond everything that is mapped is cut.
    fn resize(&mut self, size: Option<u64>) {
        let is_directory = self.inode.kind().is_directory_like();
        if self.inode.has_inline_target() {
            self.map = ExtentMap::default();
            return;
        }
        if let Some(size) = size {
            self.inode.size = U64::new(size);
        } else {
            let mut end = self.data_blocks();
            while self.is_own(end) {
                end += 1;
            }
            if end > self.data_blocks() {
                self.inode.size = U64::new(end * self.block_size as u64);
            }
        }
        let mapped = self.map.range(0, SUMS_BASE).last().map_or(0, |run| run.logical_end());
        if mapped < self.data_blocks() {
            let least = u64::from(self.inode.kind() == InodeKind::Symlink);
            self.inode.size = U64::new((mapped * self.block_size as u64).max(least));
        }
        let data = self.data_blocks();
        self.map.remove(data, SUMS_BASE);
        let sums = if is_directory { 0 } else { data.div_ceil(sums::capacity(self.block_size)) };
        self.map.remove(SUMS_BASE + sums, u64::MAX);
    }

    /// Whether what is mapped as `logical` says or proves that it is a block of this object.
    fn is_own(&mut self, logical: u64) -> bool {
        let Some(place) = self.map.lookup(logical) else { return false };
        let Ok(bytes) = self.txn.volume.read_device(place) else { return false };
        let (ino, seed) = (self.inode.number(), self.txn.seed());
        if self.inode.kind().is_directory_like() {
            return dir_block::decode(&bytes, place, ino, LogicalBlock(logical), seed).is_ok();
        }
        let generation = self.inode.generation.get();
        let computed = sums::data_checksum(seed, ino, generation, LogicalBlock(logical), &bytes);
        self.known_sum(logical) == Some(computed)
    }

    /// The checksum that is stored for a data block.
    fn known_sum(&mut self, logical: u64) -> Option<u32> {
        let capacity = sums::capacity(self.block_size);
        let index = logical / capacity;
        if !self.known.contains_key(&index) {
            let (ino, seed) = (self.inode.number(), self.txn.seed());
            let place = self.map.lookup(SUMS_BASE + index);
            let bytes = place.and_then(|place| Some((place, self.txn.volume.read_device(place).ok()?)));
            let found =
                bytes.and_then(|(place, bytes)| sums::decode(&bytes, place, ino, index, 0, seed).ok());
            self.known.insert(index, found.unwrap_or_default());
        }
        self.known[&index].get((logical % capacity) as usize).copied()
    }

    /// Copies blocks that another object, or the filesystem itself, uses as well.
    fn copy_shared(&mut self, shared: &[BlockRun]) -> Result<()> {
        for run in self.map.runs().to_vec() {
            for other in shared {
                let (start, end) = (run.start.get().max(other.start), run.end().min(other.end()));
                if start < end {
                    let logical = run.logical.get() + (start - run.start.get());
                    self.copy(logical, start, end - start)?;
                }
            }
        }
        let place = self.inode.descriptor.get();
        if place > 0 && shared.iter().any(|run| (run.start..run.end()).contains(&place)) {
            let bytes =
                self.txn.volume.read_block(BlockNo(place)).map_or_else(|_| Vec::new(), |b| b.to_vec());
            let fresh = self.txn.allocate_metadata()?;
            let bytes = resealed(bytes, BlockNo(place), fresh, self.inode.number(), self.txn);
            self.txn.stage(fresh, bytes);
            self.inode.descriptor = U64::new(fresh.get());
        }
        Ok(())
    }

    fn copy(&mut self, logical: u64, start: u64, len: u64) -> Result<()> {
        let (mut logical, mut start, mut left) = (logical, start, len);
        let is_raw = logical < SUMS_BASE && !self.inode.kind().is_directory_like();
        let purpose = if is_raw { BlockUse::Data } else { BlockUse::Metadata };
        while left > 0 {
            for fresh in self.txn.allocate(left.min(COPY_BLOCKS), purpose)? {
                for n in 0..fresh.len {
                    let (from, to) = (BlockNo(start + n), BlockNo(fresh.start + n));
                    let read = match is_raw {
                        true => self.txn.volume.read_device(from),
                        false => self.txn.read_block(from),
                    };
                    let mut bytes = read.map_or_else(|_| vec![0; self.block_size], |bytes| bytes.to_vec());
                    if !is_raw {
                        bytes = resealed(bytes, from, to, self.inode.number(), self.txn);
                    }
                    self.txn.write_data(to, &bytes)?;
                }
                self.map.remove(logical, logical + fresh.len);
                self.map.insert(logical, BlockNo(fresh.start), fresh.len);
                (logical, start, left) = (logical + fresh.len, start + fresh.len, left - fresh.len);
            }
        }
        Ok(())
    }

    /// Maps blocks of zeros where an object has a hole; their checksums will say that they are lost. Returns whether a directory has
    /// all of its blocks: it is made anew from the others if not.
    fn fill_holes(&mut self) -> Result<bool> {
        let data = self.data_blocks();
        let mut holes: Vec<(u64, u64)> = Vec::new();
        let mut next = 0;
        for run in self.map.range(0, data) {
            if run.logical.get() > next {
                holes.push((next, run.logical.get()));
            }
            next = run.logical_end();
        }
        if self.inode.kind().is_directory_like() {
            return Ok(holes.is_empty() && next == data && data > 0);
        }
        for (from, to) in holes {
            let mut at = from;
            for fresh in self.txn.allocate(to - from, BlockUse::Data)? {
                for n in 0..fresh.len {
                    self.txn.write_data(BlockNo(fresh.start + n), &vec![0; self.block_size])?;
                    self.lost.insert(at + n);
                }
                self.map.insert(at, BlockNo(fresh.start), fresh.len);
                at += fresh.len;
            }
        }
        Ok(true)
    }

    /// Takes bytes that do not agree with their checksums as they lie; those that cannot be read become zeros in fresh blocks.
    fn take_as_they_lie(&mut self, wanted: &Mend) -> Result<()> {
        let capacity = sums::capacity(self.block_size);
        let data = self.data_blocks();
        for index in 0..data.div_ceil(capacity) {
            let needed = (data - index * capacity).min(capacity);
            self.known_sum(index * capacity);
            if (self.known[&index].len() as u64) < needed {
                self.rewritten.insert(index);
            }
        }
        let lost: Vec<u64> = self.lost.iter().map(|logical| logical / capacity).collect();
        self.rewritten.extend(lost);
        for &logical in wanted.accepted.iter().filter(|&&logical| logical < data) {
            let Some(place) = self.map.lookup(logical) else { continue };
            let sum = match self.txn.volume.read_device(place) {
                Ok(bytes) => self.sum(logical, &bytes),
                Err(_) => {
                    let zeros = vec![0; self.block_size];
                    self.replace(logical, &zeros)?;
                    self.sum(logical, &zeros)
                }
            };
            self.store_sum(logical, sum);
        }
        let used = self.inode.size.get() % self.block_size as u64;
        if wanted.clear_tail
            && used > 0
            && let Some(place) = self.map.lookup(data - 1)
        {
            let mut bytes = self.txn.volume.read_device(place)?.to_vec();
            bytes[used as usize..].fill(0);
            self.replace(data - 1, &bytes)?;
            let sum = self.sum(data - 1, &bytes);
            self.store_sum(data - 1, sum);
        }
        Ok(())
    }

    /// Stores bytes, each patch within one block.
    fn patch(&mut self, patches: &BTreeMap<u64, Vec<u8>>) -> Result<()> {
        let size = self.block_size as u64;
        let mut block: Option<(u64, Vec<u8>)> = None;
        for (&at, bytes) in patches.range(..self.inode.size.get()) {
            let logical = at / size;
            if block.as_ref().is_none_or(|(open, _)| *open != logical) {
                self.write_back(block.take())?;
                let Some(place) = self.map.lookup(logical) else { continue };
                let old = self.txn.volume.read_device(place);
                block =
                    Some((logical, old.map_or_else(|_| vec![0; self.block_size], |bytes| bytes.to_vec())));
            }
            let from = (at % size) as usize;
            if let Some(slot) = block.as_mut().and_then(|(_, old)| old.get_mut(from..from + bytes.len())) {
                slot.copy_from_slice(bytes);
            }
        }
        self.write_back(block)
    }

    fn write_back(&mut self, block: Option<(u64, Vec<u8>)>) -> Result<()> {
        let Some((logical, bytes)) = block else { return Ok(()) };
        self.replace(logical, &bytes)?;
        let sum = self.sum(logical, &bytes);
        self.store_sum(logical, sum);
        Ok(())
    }

    fn sum(&self, logical: u64, bytes: &[u8]) -> u32 {
        let generation = self.inode.generation.get();
        sums::data_checksum(self.txn.seed(), self.inode.number(), generation, LogicalBlock(logical), bytes)
    }

    fn store_sum(&mut self, logical: u64, sum: u32) {
        let capacity = sums::capacity(self.block_size);
        let index = logical / capacity;
        self.known_sum(logical);
        if let Some(slot) =
            self.known.get_mut(&index).and_then(|sums| sums.get_mut((logical % capacity) as usize))
        {
            *slot = sum;
        }
        self.rewritten.insert(index);
    }

    /// Puts other bytes in the place of a data block, in a fresh block.
    fn replace(&mut self, logical: u64, bytes: &[u8]) -> Result<()> {
        for fresh in self.txn.allocate(1, BlockUse::Data)? {
            self.txn.write_data(BlockNo(fresh.start), bytes)?;
            self.map.remove(logical, logical + 1);
            self.map.insert(logical, BlockNo(fresh.start), 1);
        }
        Ok(())
    }

    /// Writes checksum blocks that are missing or changed; checksums that are not known are made from the data.
    fn write_sums(&mut self) -> Result<()> {
        let capacity = sums::capacity(self.block_size);
        let data = self.data_blocks();
        for index in std::mem::take(&mut self.rewritten) {
            let mut list = self.known.remove(&index).unwrap_or_default();
            let needed = data.saturating_sub(index * capacity).min(capacity);
            list.truncate(needed as usize);
            while (list.len() as u64) < needed {
                let logical = index * capacity + list.len() as u64;
                let place = self.map.lookup(logical);
                let bytes = place.and_then(|place| self.txn.volume.read_device(place).ok());
                list.push(bytes.map_or(0, |bytes| self.sum(logical, &bytes)));
            }
            for &lost in self.lost.range(index * capacity..(index + 1) * capacity) {
                // Zeros that must not be taken for contents.
                let sum = self.sum(lost, &vec![0; self.block_size]);
                list[(lost - index * capacity) as usize] = !sum;
            }
            for fresh in self.txn.allocate(1, BlockUse::Metadata)? {
                let place = BlockNo(fresh.start);
                let (seq, seed) = (self.txn.seq(), self.txn.seed());
                let block =
                    sums::encode(&list, place, self.inode.number(), index, seq, self.block_size, seed);
                self.txn.write_data(place, &block)?;
                self.map.remove(SUMS_BASE + index, SUMS_BASE + index + 1);
                self.map.insert(SUMS_BASE + index, place, 1);
            }
        }
        Ok(())
    }
}

/// A block that introduces itself, for another place, if it is sound and the object's own; else as it is.
fn resealed(
    mut bytes: Vec<u8>,
    from: BlockNo,
    to: BlockNo,
    owner: InodeNo,
    txn: &Transaction<'_>,
) -> Vec<u8> {
    use vexfs_format::block_header::{BlockHeader, BlockKind};
    bytes.resize(txn.block_size(), 0);
    let kinds: [BlockKind; 3] = [dir_block::KIND, sums::KIND, vexfs_format::collection::KIND];
    let header =
        kinds.into_iter().find_map(|kind| BlockHeader::decode(&bytes, kind, from, owner, txn.seed()).ok());
    if let Some(mut header) = header {
        header.place = U64::new(to.get());
        header.seal_into(&mut bytes, txn.seed());
    }
    bytes
}
