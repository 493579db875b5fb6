//! Reading file contents: one contiguous slice over the extents, each block verified before its first use.

mod presence;
mod shelves;

use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use vexfs_device::{Mapping, Run as ByteRun};
use vexfs_format::error::{At, Corrupt, Damage, Structure};
use vexfs_format::extent::SUMS_BASE;
use vexfs_format::inode::Inode;
use vexfs_format::sums;
use vexfs_format::{BlockNo, InodeNo, LogicalBlock, Seed};

use crate::error::Result;
use crate::extents::ExtentMap;
use crate::source::BlockSource;
use crate::volume::Volume;
use presence::Presence;
use shelves::{Bits, Shelves};

/// The contents of one file.
///
/// The bytes are mapped, not read; a block is compared with its checksum when it is first asked for, and that is
/// remembered. Several threads may read.
#[derive(Debug)]
pub struct FileView {
    data: Mapping,
    size: u64,
    block_size: usize,
    /// Binary logarithm of `block_size`.
    block_shift: u32,
    ino: InodeNo,
    generation: u64,
    seed: Seed,
    map: ExtentMap,
    sums: SumsView,
    /// A bit for each data block that was verified.
    verified: Bits,
    /// How many of them are set.
    verified_blocks: AtomicU64,
    presence: Presence,
}

/// The checksum blocks of a file, decoded when first needed.
#[derive(Debug)]
struct SumsView {
    bytes: Mapping,
    decoded: Shelves<OnceLock<Vec<u32>>>,
}

impl Volume {
    /// The contents of a file, stream or symbolic link.
    ///
    /// # Errors
    /// Device errors; damage of the extents, or a block of the file that no extent maps.
    pub fn view(&self, inode: &Inode) -> Result<FileView> {
        self.view_as_of(self, inode)
    }

    /// As [`Self::view`], with metadata as `src` sees it: a file that was finished in a transaction can be read before it commits.
    ///
    /// # Errors
    /// As [`Self::view`].
    pub(crate) fn view_as_of(&self, src: &(impl BlockSource + ?Sized), inode: &Inode) -> Result<FileView> {
        let map = ExtentMap::load(src, inode)?;
        let block_size = self.block_size();
        let blocks = inode.size.get().div_ceil(block_size as u64);
        let sums_blocks = blocks.div_ceil(sums::capacity(block_size));
        let data = self.map_range(inode, &map, 0, blocks)?;
        let bytes = self.map_range(inode, &map, SUMS_BASE, SUMS_BASE + sums_blocks)?;
        Ok(FileView {
            presence: Presence::new(data.len() as u64),
            data,
            size: inode.size.get(),
            block_size,
            block_shift: block_size.trailing_zeros(),
            ino: inode.number(),
            generation: inode.generation.get(),
            seed: self.seed(),
            map,
            sums: SumsView { bytes, decoded: Shelves::new(sums_blocks) },
            verified: Bits::new(blocks),
            verified_blocks: AtomicU64::new(0),
        })
    }

    fn map_range(&self, inode: &Inode, map: &ExtentMap, from: u64, to: u64) -> Result<Mapping> {
        let mut expected = from;
        let mut runs = Vec::new();
        for run in map.range(from, to) {
            if run.logical.get() != expected {
                break;
            }
            expected = run.logical_end();
            runs.push(ByteRun {
                offset: self.offset(run.start),
                len: u64::from(run.len) * self.block_size() as u64,
            });
        }
        if expected != to {
            let at = At::FileBlock { inode: inode.number().get(), logical: expected };
            let damage = Damage::Field {
                name: "extents",
                found: expected,
                expected: "a mapping for each block of the file",
            };
            return Err(Corrupt::new(Structure::Data, at, damage).into());
        }
        Ok(self.dev.map(&runs)?)
    }
}

impl FileView {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.size
    }

    /// Whether the file has no bytes.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Bytes per block.
    pub fn block_size(&self) -> usize {
        self.block_size
    }

    /// How many blocks were read so far: each counts once, when it is verified.
    pub fn blocks_read(&self) -> u64 {
        self.verified_blocks.load(Ordering::Relaxed)
    }

    /// Tells the system that the file will be read here and there, so that it reads nothing ahead.
    pub fn advise_random(&self) {
        self.data.advise_random(0..self.data.len());
        self.sums.bytes.advise_random(0..self.sums.bytes.len());
    }

    /// Where byte `at` lies, for prefetching only: nobody may read through it.
    #[inline]
    pub fn address(&self, at: u64) -> *const u8 {
        self.data.as_ptr().wrapping_add(at as usize)
    }

    /// Tells the system that the file will be read from front to back.
    pub fn advise_sequential(&self) {
        self.data.advise_sequential(0..self.data.len());
        self.sums.bytes.advise_sequential(0..self.sums.bytes.len());
    }

    /// The bytes of `range`, verified.
    ///
    /// # Errors
    /// A device error for a block that cannot be read; [`Corrupt`] for the first block whose checksum does not agree, or
    /// whose checksum block is damaged. `range` is cut at the end of the file.
    #[inline]
    pub fn bytes(&self, range: Range<u64>) -> Result<&[u8]> {
        let end = range.end.min(self.size);
        let start = range.start.min(end);
        if start < end {
            // Most of what a search reads was verified before.
            let (first, last) = self.blocks(&(start..end));
            if !self.verified.are_set(first..last + 1) {
                self.verify_blocks(first..last + 1)?;
            }
            // Two pages are not worth a look.
            if last > first + 1 {
                let mapped = start as usize..end as usize;
                if self.presence.is_scarce(&self.data, mapped.clone()) {
                    // Without being asked for, each page that is gone would be a request of its own, one after the other.
                    self.data.advise_will_need(mapped);
                }
            }
        }
        Ok(&self.data[start as usize..end as usize])
    }

    /// All bytes, verified.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn all(&self) -> Result<&[u8]> {
        self.bytes(0..self.size)
    }

    /// Brings the window of 2 MiB that holds byte `at` into memory, for a reader that goes through all of it.
    ///
    /// A window that cannot be read whole is left alone: its blocks are then brought in, or fail, one by one.
    pub fn bring_in(&self, at: u64) {
        if at < self.size {
            self.presence.bring_around(&self.data, at as usize);
        }
    }

    /// Begins to read what [`bytes`](Self::bytes) of these ranges needs, all at once, and does not wait for it.
    pub(crate) fn expect(&self, ranges: impl Iterator<Item = Range<u64>>) {
        let (size, capacity) = (self.block_size as u64, sums::capacity(self.block_size));
        for range in self.far(ranges) {
            let (first, last) = self.blocks(&range);
            self.data.advise_will_need((first * size) as usize..((last + 1) * size) as usize);
            for index in first / capacity..last / capacity + 1 {
                if self.sums.decoded.get(index).is_some_and(|slot| slot.get().is_none()) {
                    self.sums.bytes.advise_will_need((index * size) as usize..((index + 1) * size) as usize);
                }
            }
        }
    }

    /// Those of `ranges`, cut at the end of the file, that may well be outside memory: they were not read so far, or what was read does
    /// not stay. None if the first is not: to ask of each would take longer than what is gained.
    fn far(&self, ranges: impl Iterator<Item = Range<u64>>) -> impl Iterator<Item = Range<u64>> {
        let cut = ranges.map(|range| range.start..range.end.min(self.size)).filter(|range| !range.is_empty());
        let mut ranges = cut.peekable();
        let is_scarce = ranges.peek().is_some_and(|first| {
            self.presence.is_scarce(&self.data, first.start as usize..first.end as usize)
        });
        let is_far = move |range: &Range<u64>| {
            let (first, last) = self.blocks(range);
            is_scarce || !(self.is_near(first) && self.is_near(last))
        };
        let is_first_far = ranges.peek().is_some_and(is_far);
        ranges.take_while(move |_| is_first_far).filter(is_far)
    }

    /// Whether a block was in memory at some time since the file was opened.
    fn is_near(&self, block: u64) -> bool {
        self.is_verified(block) || self.presence.is_present((block << self.block_shift) as usize)
    }

    /// The first and the last block of a range that is not empty.
    fn blocks(&self, range: &Range<u64>) -> (u64, u64) {
        (range.start >> self.block_shift, (range.end - 1) >> self.block_shift)
    }

    /// The device block of a logical block, for messages.
    pub fn device_block(&self, logical: u64) -> Option<BlockNo> {
        self.map.lookup(logical)
    }

    /// The bytes of `range` as they lie on the device, for the salvage of intact parts of damaged blocks; not verified.
    ///
    /// # Errors
    /// A device error for a block that cannot be read.
    pub(crate) fn unverified(&self, range: Range<u64>) -> Result<&[u8]> {
        let end = range.end.min(self.size);
        let start = range.start.min(end);
        let mapped = start as usize..end as usize;
        self.data.populate(mapped.clone())?;
        Ok(&self.data[mapped])
    }

    /// Verifies data blocks `blocks`.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn verify_blocks(&self, blocks: Range<u64>) -> Result<()> {
        let mut at = blocks.start;
        while at < blocks.end {
            if self.is_verified(at) {
                at += 1;
                continue;
            }
            let mut end = at + 1;
            while end < blocks.end && !self.is_verified(end) {
                end += 1;
            }
            self.verify_run(at..end)?;
            at = end;
        }
        Ok(())
    }

    #[inline]
    fn is_verified(&self, block: u64) -> bool {
        self.verified.is_set(block)
    }

    fn verify_run(&self, blocks: Range<u64>) -> Result<()> {
        let size = self.block_size;
        self.presence.bring(&self.data, blocks.start as usize * size..blocks.end as usize * size)?;
        let capacity = sums::capacity(size);
        let mut at = blocks.start;
        while at < blocks.end {
            let sums = self.sums(at / capacity)?;
            let end = blocks.end.min((at / capacity + 1) * capacity);
            for logical in at..end {
                let bytes = &self.data[logical as usize * size..(logical as usize + 1) * size];
                let computed =
                    sums::data_checksum(self.seed, self.ino, self.generation, LogicalBlock(logical), bytes);
                let stored = sums[(logical % capacity) as usize];
                if stored != computed {
                    let at = At::FileBlock { inode: self.ino.get(), logical };
                    return Err(
                        Corrupt::new(Structure::Data, at, Damage::Checksum { stored, computed }).into()
                    );
                }
                if self.verified.set(logical) {
                    self.verified_blocks.fetch_add(1, Ordering::Relaxed);
                }
            }
            at = end;
        }
        Ok(())
    }

    /// The checksums in checksum block `index`.
    fn sums(&self, index: u64) -> Result<&[u32]> {
        let missing = || {
            let at = At::FileBlock { inode: self.ino.get(), logical: SUMS_BASE + index };
            let expected = "a mapping for each checksum block";
            Corrupt::new(Structure::SumsBlock, at, Damage::Field { name: "extents", found: index, expected })
        };
        let slot = self.sums.decoded.get(index).ok_or_else(missing)?;
        if let Some(sums) = slot.get() {
            return Ok(sums);
        }
        let size = self.block_size;
        let range = index as usize * size..(index as usize + 1) * size;
        self.sums.bytes.populate(range.clone())?;
        let place = self.map.lookup(SUMS_BASE + index).ok_or_else(missing)?;
        let blocks = self.size.div_ceil(size as u64);
        let capacity = sums::capacity(size);
        let needed = (blocks - index * capacity).min(capacity);
        let decoded = sums::decode(&self.sums.bytes[range], place, self.ino, index, needed, self.seed)?;
        Ok(slot.get_or_init(|| decoded))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vexfs_device::{Device, FileDevice, OpenOptions as DeviceOptions};

    use super::*;
    use crate::mkfs::{self, MkfsOptions};
    use crate::volume::OpenOptions;

    #[test]
    fn far_is_what_was_not_read_or_did_not_stay() {
        const BYTES: u64 = 32 << 20;
        let file = tempfile::NamedTempFile::new().expect("a file");
        file.as_file().set_len(BYTES).expect("room");
        let device: Arc<dyn Device> =
            Arc::new(FileDevice::open(file.path(), DeviceOptions::read_write()).expect("a device"));
        mkfs::format(device.clone(), &MkfsOptions::new(BYTES, [7; 16])).expect("mkfs");
        let mut volume =
            Volume::open(device, &OpenOptions { write: true, ..Default::default() }).expect("a volume");
        let mut txn = volume.begin().expect("a transaction");
        let mut writer = txn.write_file(InodeNo::ROOT, b"long").expect("a writer");
        writer.write(&mut txn, &vec![5; (6 << 20) - 10]).expect("written");
        writer.finish(&mut txn).expect("finished");
        txn.commit().expect("committed");
        let inode = crate::path::resolve(&volume, "/long", crate::path::LastLink::Follow).expect("the file");
        let view = volume.view(&inode).expect("a view");

        let size = view.block_size() as u64;
        let block = |index: &u64| index * size..(index + 1) * size;
        let far = |blocks: &[u64]| {
            view.far(blocks.iter().map(block)).map(|range| range.start / size).collect::<Vec<_>>()
        };
        let last = (6 << 20) / size - 1;
        assert_eq!(far(&[3, 63, last, last + 1]), [3, 63, last], "nothing was read");
        view.bytes(block(&3)).expect("intact");
        view.bytes(block(&63)).expect("intact");
        assert_eq!(far(&[9, 3, 10]), [9, 10], "one was read");
        assert_eq!(far(&[3, 9, 10]), [0; 0], "the first tells of all");
        view.bring_in(3 << 20);
        assert_eq!(far(&[(3 << 20) / size]), [0; 0], "it came with its window");
        assert_eq!(far(&[63]), [0; 0]);
        file.as_file().set_len(0).expect("cut");
        file.as_file().set_len(BYTES).expect("a hole, of which nothing is in memory");
        assert_eq!(far(&[63, 3]), [63, 3], "it did not stay");
    }
}
