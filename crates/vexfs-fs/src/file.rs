//! Writing file contents: to fresh blocks, with a checksum for each, visible when the transaction commits.
//!
//! Nothing is overwritten in place. A file whose last block is half full gets a new last block that begins with a copy
//! of the old one; so does its last checksum block.

use std::collections::VecDeque;
use std::ops::Range;

use vexfs_format::error::{At, Corrupt, Damage, Structure};
use vexfs_format::extent::SUMS_BASE;
use vexfs_format::geometry::BlockRun;
use vexfs_format::inode::{FLAG_LOST, Inode};
use vexfs_format::sums;
use vexfs_format::{BlockNo, InodeNo, LogicalBlock};
use zerocopy::little_endian::{U32, U64};

use crate::alloc::BlockUse;
use crate::error::Result;
use crate::extents::ExtentMap;
use crate::inode;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;

/// Most bytes allocated ahead for a file of unknown length; what is not used is given back.
const MAX_AHEAD_BYTES: u64 = 64 << 20;
/// Of the blocks that are free, at most one in this many is allocated ahead at a time.
const AHEAD_SHARE: u64 = 16;

/// Appends to one file within one transaction.
///
/// The methods take the transaction each time, so that several files can be written side by side.
#[derive(Debug)]
pub struct FileWriter {
    inode: Inode,
    map: ExtentMap,
    purpose: BlockUse,
    /// Logical block where `tail` begins: all before it is written.
    next_block: u64,
    /// Bytes of a block that is not full yet.
    tail: Vec<u8>,
    space: VecDeque<BlockRun>,
    sums: SumsWriter,
}

impl FileWriter {
    /// Continues file `ino` behind its last byte.
    ///
    /// # Errors
    /// Device errors; damage of the inode, its extents, its last block or its last checksum block.
    pub fn append(txn: &mut Transaction<'_>, ino: InodeNo, purpose: BlockUse) -> Result<Self> {
        let inode = inode::read(txn, ino)?;
        let mut map = ExtentMap::load(txn, &inode)?;
        let block_size = txn.block_size() as u64;
        let size = inode.size.get();
        let next_block = size / block_size;
        let blocks = size.div_ceil(block_size);
        if !map.maps_exactly(blocks, blocks.div_ceil(sums::capacity(txn.block_size()))) {
            let at = At::FileBlock { inode: ino.get(), logical: map.data_end() };
            let expected = "a mapping for each block of the file, and for no other";
            let damage = Damage::Field { name: "extents", found: map.data_end(), expected };
            return Err(Corrupt::new(Structure::Data, at, damage).into());
        }
        let sums = SumsWriter::resume(txn, &inode, &mut map, next_block)?;
        let mut tail = Vec::new();
        if size % block_size > 0 {
            let block = read_data_block(txn, &inode, &map, next_block, sums.replaced_sum)?;
            tail.extend_from_slice(&block[..(size % block_size) as usize]);
            free_runs(txn, &mut map, next_block, next_block + 1);
        }
        Ok(Self { inode, map, purpose, next_block, tail, space: VecDeque::new(), sums })
    }

    /// Begins file `ino` anew: its old contents are freed when the transaction commits.
    ///
    /// # Errors
    /// Device errors; damage of the inode or its extents.
    pub fn replace(txn: &mut Transaction<'_>, ino: InodeNo, purpose: BlockUse) -> Result<Self> {
        let mut inode = inode::read(txn, ino)?;
        let mut map = ExtentMap::load(txn, &inode)?;
        free_runs(txn, &mut map, 0, u64::MAX);
        // What was lost of the old contents is not lost of the new ones.
        inode.flags = U32::new(inode.flags.get() & !FLAG_LOST);
        Ok(Self {
            inode,
            map,
            purpose,
            next_block: 0,
            tail: Vec::new(),
            space: VecDeque::new(),
            sums: SumsWriter::default(),
        })
    }

    /// Length of the file with all that was written so far, in bytes.
    pub fn len(&self, txn: &Transaction<'_>) -> u64 {
        self.next_block * txn.block_size() as u64 + self.tail.len() as u64
    }

    /// Allocates room for `bytes` more bytes in as few runs as possible.
    ///
    /// # Errors
    /// [`crate::FsError::NoSpace`] with nothing allocated; device errors and damage of bitmaps.
    pub fn reserve(&mut self, txn: &mut Transaction<'_>, bytes: u64) -> Result<()> {
        let block_size = txn.block_size() as u64;
        let blocks = (self.tail.len() as u64 + bytes).div_ceil(block_size);
        let have: u64 = self.space.iter().map(|r| r.len).sum();
        if blocks > have {
            let logical = LogicalBlock(self.next_block + have);
            self.space.extend(txn.allocate_from(logical, blocks - have, self.purpose)?);
        }
        self.sums.reserve(txn, blocks, self.purpose)
    }

    /// As [`Self::reserve`], with all of the bytes in one run if there is one. Returns the number of runs.
    ///
    /// # Errors
    /// As [`Self::reserve`].
    pub(crate) fn reserve_together(&mut self, txn: &mut Transaction<'_>, bytes: u64) -> Result<u64> {
        let blocks = bytes.div_ceil(txn.block_size() as u64);
        self.space.extend(txn.allocate_together(blocks, self.purpose)?);
        let runs = self.space.len() as u64;
        self.sums.reserve(txn, blocks, self.purpose)?;
        Ok(runs)
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`crate::FsError::NoSpace`]; device errors. The transaction must then be dropped.
    pub fn write(&mut self, txn: &mut Transaction<'_>, mut bytes: &[u8]) -> Result<()> {
        let block_size = txn.block_size();
        if !self.tail.is_empty() {
            let take = bytes.len().min(block_size - self.tail.len());
            self.tail.extend_from_slice(&bytes[..take]);
            bytes = &bytes[take..];
            if self.tail.len() < block_size {
                return Ok(());
            }
            let full = std::mem::take(&mut self.tail);
            self.write_blocks(txn, &full)?;
        }
        let whole = bytes.len() / block_size * block_size;
        self.write_blocks(txn, &bytes[..whole])?;
        self.tail.extend_from_slice(&bytes[whole..]);
        Ok(())
    }

    /// Writes what is left and stores size and extents in the inode.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn finish(mut self, txn: &mut Transaction<'_>) -> Result<Inode> {
        let size = self.len(txn);
        if !self.tail.is_empty() {
            let mut last = std::mem::take(&mut self.tail);
            last.resize(txn.block_size(), 0);
            self.write_blocks(txn, &last)?;
        }
        self.sums.finish(txn, &self.inode, &mut self.map, self.purpose)?;
        for run in self.space.drain(..) {
            txn.give_back(run)?;
        }
        self.inode.size = U64::new(size);
        self.inode.modified_ns = U64::new(txn.now_ns());
        txn.store_extents(&mut self.inode, &mut self.map)?;
        txn.write_inode(&mut self.inode)?;
        Ok(self.inode)
    }

    /// Writes whole blocks.
    fn write_blocks(&mut self, txn: &mut Transaction<'_>, bytes: &[u8]) -> Result<()> {
        let block_size = txn.block_size();
        let mut rest = bytes;
        while !rest.is_empty() {
            let blocks = (rest.len() / block_size) as u64;
            if self.space.is_empty() {
                self.extend_space(txn, blocks)?;
            }
            let Some(run) = self.space.front_mut() else { break };
            let take = run.len.min(blocks);
            let (now, later) = rest.split_at(take as usize * block_size);
            let start = run.start;
            (run.start, run.len) = (run.start + take, run.len - take);
            if run.len == 0 {
                self.space.pop_front();
            }
            for (i, block) in now.chunks_exact(block_size).enumerate() {
                let logical = LogicalBlock(self.next_block + i as u64);
                let (ino, generation) = (self.inode.number(), self.inode.generation.get());
                let sum = sums::data_checksum(txn.seed(), ino, generation, logical, block);
                self.sums.push(txn, &self.inode, &mut self.map, self.purpose, sum)?;
            }
            txn.write_data(BlockNo(start), now)?;
            self.map.insert(self.next_block, BlockNo(start), take);
            self.next_block += take;
            rest = later;
        }
        Ok(())
    }

    /// Allocates at least `blocks`; more as the file grows, so that a file of unknown length gets few extents.
    fn extend_space(&mut self, txn: &mut Transaction<'_>, blocks: u64) -> Result<()> {
        let ahead = self.next_block.min(MAX_AHEAD_BYTES / txn.block_size() as u64);
        let blocks = blocks.max(within_plenty(txn, ahead));
        self.space.extend(txn.allocate_from(LogicalBlock(self.next_block), blocks, self.purpose)?);
        Ok(())
    }
}

/// The checksum blocks of a file that is being written.
#[derive(Debug, Default)]
struct SumsWriter {
    /// Index of the checksum block that is being filled.
    index: u64,
    sums: Vec<u32>,
    space: VecDeque<BlockRun>,
    /// Checksum of the half-full last block that is being replaced.
    replaced_sum: Option<u32>,
}

impl SumsWriter {
    /// Takes the checksums of a half-full checksum block over; its block is freed.
    fn resume(
        txn: &mut Transaction<'_>,
        inode: &Inode,
        map: &mut ExtentMap,
        next_block: u64,
    ) -> Result<Self> {
        let capacity = sums::capacity(txn.block_size());
        let index = next_block / capacity;
        let keep = (next_block % capacity) as usize;
        let Some(place) = map.lookup(SUMS_BASE + index) else {
            return Ok(Self { index, ..Self::default() });
        };
        let had_tail = !inode.size.get().is_multiple_of(txn.block_size() as u64);
        let needed = keep as u64 + u64::from(had_tail);
        let block = txn.read_block(place)?;
        let mut old = sums::decode(&block, place, inode.number(), index, needed, txn.seed())?;
        let replaced_sum = old.get(keep).copied().filter(|_| had_tail);
        old.truncate(keep);
        free_runs(txn, map, SUMS_BASE + index, SUMS_BASE + index + 1);
        Ok(Self { index, sums: old, space: VecDeque::new(), replaced_sum })
    }

    fn reserve(&mut self, txn: &mut Transaction<'_>, data_blocks: u64, purpose: BlockUse) -> Result<()> {
        let blocks = (self.sums.len() as u64 + data_blocks).div_ceil(sums::capacity(txn.block_size()));
        let have: u64 = self.space.iter().map(|r| r.len).sum();
        if blocks > have {
            self.space.extend(txn.allocate(blocks - have, purpose)?);
        }
        Ok(())
    }

    fn push(
        &mut self,
        txn: &mut Transaction<'_>,
        inode: &Inode,
        map: &mut ExtentMap,
        purpose: BlockUse,
        sum: u32,
    ) -> Result<()> {
        self.sums.push(sum);
        if self.sums.len() as u64 == sums::capacity(txn.block_size()) {
            self.write_out(txn, inode, map, purpose)?;
        }
        Ok(())
    }

    fn write_out(
        &mut self,
        txn: &mut Transaction<'_>,
        inode: &Inode,
        map: &mut ExtentMap,
        purpose: BlockUse,
    ) -> Result<()> {
        if self.space.is_empty() {
            // As many as were written so far, within reason: the blocks of one file then lie together.
            let blocks = within_plenty(txn, self.index.min(64)).max(1);
            self.space.extend(txn.allocate(blocks, purpose)?);
        }
        let Some(run) = self.space.front_mut() else { return Ok(()) };
        let place = BlockNo(run.start);
        (run.start, run.len) = (run.start + 1, run.len - 1);
        if run.len == 0 {
            self.space.pop_front();
        }
        let block = sums::encode(
            &self.sums,
            place,
            inode.number(),
            self.index,
            txn.seq(),
            txn.block_size(),
            txn.seed(),
        );
        txn.write_data(place, &block)?;
        map.insert(SUMS_BASE + self.index, place, 1);
        self.index += 1;
        self.sums.clear();
        Ok(())
    }

    fn finish(
        &mut self,
        txn: &mut Transaction<'_>,
        inode: &Inode,
        map: &mut ExtentMap,
        purpose: BlockUse,
    ) -> Result<()> {
        if !self.sums.is_empty() {
            self.write_out(txn, inode, map, purpose)?;
        }
        for run in self.space.drain(..) {
            txn.give_back(run)?;
        }
        Ok(())
    }
}

/// The blocks that may be allocated `ahead` of what is written, where the volume has plenty.
///
/// What is held ahead is not there for the checksum blocks and the other files of the transaction, so it is a small share of
/// what is free outside the vector zone: a volume can be filled to its last blocks.
fn within_plenty(txn: &Transaction<'_>, ahead: u64) -> u64 {
    ahead.min(txn.available_blocks().saturating_sub(txn.geometry.zone.len) / AHEAD_SHARE)
}

/// Unmaps logical blocks and frees what was behind them when the transaction commits.
pub(crate) fn free_runs(txn: &mut Transaction<'_>, map: &mut ExtentMap, from: u64, to: u64) {
    for run in map.remove(from, to) {
        txn.free_data(BlockRun { start: run.start.get(), len: run.len.into() });
    }
}

/// The bytes of `range` of a file that was written and finished in the running transaction; not compared with checksums.
///
/// # Errors
/// Device errors; damage of the extents, or a range beyond them.
pub(crate) fn read_staged(txn: &Transaction<'_>, inode: &Inode, range: Range<u64>) -> Result<Vec<u8>> {
    let map = ExtentMap::load(txn, inode)?;
    let size = txn.block_size() as u64;
    let mut bytes = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let logical = at / size;
        let Some(place) = map.lookup(logical) else {
            let at = At::FileBlock { inode: inode.number().get(), logical };
            let damage = Damage::Field { name: "extents", found: logical, expected: "a block of the file" };
            return Err(Corrupt::new(Structure::Data, at, damage).into());
        };
        let end = range.end.min((logical + 1) * size);
        // Not by way of the cache, which would keep it for the next transaction that gets this block.
        let block = txn.volume.read_device(place)?;
        bytes.extend_from_slice(&block[(at % size) as usize..(end - logical * size) as usize]);
        at = end;
    }
    Ok(bytes)
}

/// One data block, checked against `sum`.
fn read_data_block(
    txn: &Transaction<'_>,
    inode: &Inode,
    map: &ExtentMap,
    logical: u64,
    sum: Option<u32>,
) -> Result<std::sync::Arc<[u8]>> {
    let at = At::FileBlock { inode: inode.number().get(), logical };
    let missing =
        Damage::Field { name: "extents", found: logical, expected: "a mapping for each block of the file" };
    let (Some(place), Some(stored)) = (map.lookup(logical), sum) else {
        return Err(Corrupt::new(Structure::Data, at, missing).into());
    };
    let block = txn.read_block(place)?;
    let generation = inode.generation.get();
    let computed = sums::data_checksum(txn.seed(), inode.number(), generation, LogicalBlock(logical), &block);
    if stored != computed {
        return Err(Corrupt::new(Structure::Data, at, Damage::Checksum { stored, computed }).into());
    }
    Ok(block)
}
