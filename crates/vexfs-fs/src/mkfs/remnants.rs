//! What earlier filesystems left on the device, so that neither these tools nor others take the device for one of them.
//!
//! Looked for before anything is discarded: what a discarded block reads as is undefined, and may change.

use std::collections::BTreeSet;

use vexfs_device::Device;
use vexfs_format::BlockNo;
use vexfs_format::geometry::{Geometry, HEAD_BYTES, TAIL_BYTES};
use vexfs_format::journal::superblock as journal_superblock;
use vexfs_format::superblock::{self, BLOCK_SIZES};

use crate::error::Result;
use crate::probe;

/// Bytes zeroed at each place: the superblocks looked for are not longer.
const PLACE_BYTES: u64 = 4096;
/// Magic of ext2, ext3 and ext4 superblocks, 56 bytes into them.
const EXT_MAGIC: (&[u8], u64) = (&[0x53, 0xEF], 56);
/// Block sizes of ext filesystems with the first block of their group 0.
const EXT_SIZES: [(u64, u64); 4] = [(1024, 1), (2048, 0), (4096, 0), (65536, 0)];
/// Magic of btrfs superblocks, 64 bytes into them, and where their mirrors lie.
const BTRFS_MAGIC: (&[u8], u64) = (b"_BHRfS_M", 64);
const BTRFS_MIRRORS: [u64; 2] = [64 << 20, 256 << 30];

/// Superblocks outside the two ends of the device, which are zeroed anyway.
#[derive(Debug)]
pub(super) struct Remnants {
    extent: u64,
    places: BTreeSet<u64>,
    /// Whether the journal may hold transactions of an earlier filesystem.
    pub(super) has_journal: bool,
}

impl Remnants {
    /// Looks at the first `extent` bytes of `dev`, which are about to get `geometry`.
    pub(super) fn find(dev: &dyn Device, extent: u64, geometry: &Geometry) -> Self {
        let mut found = Self { extent, places: BTreeSet::new(), has_journal: false };
        found.find_vexfs(dev, geometry);
        found.find_ext(dev);
        for place in BTRFS_MIRRORS {
            found.add_if(dev, place, BTRFS_MAGIC);
        }
        found
    }

    fn find_vexfs(&mut self, dev: &dyn Device, geometry: &Geometry) {
        let primary = probe::read_superblock(dev, BlockNo(0), geometry.block_size).ok();
        for old in primary.into_iter().chain(probe::find_backup(dev)) {
            self.has_journal = true;
            let size = u64::from(old.block_size.get());
            for block in old.geometry().backups() {
                self.add(block.get().saturating_mul(size));
            }
        }
        let magic: (&[u8], u64) = (&superblock::MAGIC, superblock::OFFSET as u64);
        let mut size = *BLOCK_SIZES.start();
        while size <= *BLOCK_SIZES.end() {
            for len in [self.extent, dev.len()] {
                for block in probe::backup_places(len, size) {
                    self.has_journal |= self.add_if(dev, block.get() * u64::from(size), magic);
                }
            }
            size *= 2;
        }
        // The filesystem may have lost all its superblocks. If it had the same UUID, its log fits this one.
        let journal = geometry.journal.start.saturating_mul(geometry.block_size.into());
        self.has_journal |= has(dev, journal, &journal_superblock::MAGIC.to_le_bytes());
    }

    /// Backups of ext superblocks: fsck without a known type runs e2fsck, which would repair from them.
    fn find_ext(&mut self, dev: &dyn Device) {
        for (size, first) in EXT_SIZES {
            let group_blocks = size * 8;
            for base in [3_u64, 5, 7] {
                let mut group = 1_u64;
                while let Some(at) = group
                    .checked_mul(group_blocks)
                    .and_then(|block| (block + first).checked_mul(size))
                    .filter(|&at| at < self.extent)
                {
                    self.add_if(dev, at, EXT_MAGIC);
                    group = group.saturating_mul(base);
                }
            }
        }
    }

    fn add(&mut self, place: u64) {
        if place.checked_add(PLACE_BYTES).is_some_and(|end| end <= self.extent) {
            self.places.insert(place);
        }
    }

    fn add_if(&mut self, dev: &dyn Device, place: u64, (magic, offset): (&[u8], u64)) -> bool {
        let is_there = has(dev, place.saturating_add(offset), magic);
        if is_there {
            self.add(place);
        }
        is_there
    }

    /// Zeroes what was found, and both ends.
    ///
    /// # Durability
    /// Flushed. The copies go before the primary superblock and that goes before the rest: a crash leaves an old VexFS whole
    /// but for its backups, or no superblock of it.
    ///
    /// # Errors
    /// Device errors.
    pub(super) fn wipe(&self, dev: &dyn Device) -> Result<()> {
        let head = HEAD_BYTES.min(self.extent);
        let tail = TAIL_BYTES.min(self.extent - head);
        for &place in self.places.iter().filter(|&&place| place >= head) {
            dev.zero(place, PLACE_BYTES)?;
        }
        dev.flush()?;
        dev.zero(0, PLACE_BYTES.min(head))?;
        dev.flush()?;
        dev.zero(0, head)?;
        dev.zero(self.extent - tail, tail)?;
        Ok(dev.flush()?)
    }
}

/// Whether `magic` lies at `offset`. What cannot be read is nothing that anybody recognises.
fn has(dev: &dyn Device, offset: u64, magic: &[u8]) -> bool {
    let mut found = vec![0; magic.len()];
    let is_inside = offset.checked_add(magic.len() as u64).is_some_and(|end| end <= dev.len());
    is_inside && dev.read_at(offset, &mut found).is_ok() && found == magic
}
