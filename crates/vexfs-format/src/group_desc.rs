//! Group descriptors: where a group's bitmaps and inode table are, and how much of it is free.
//!
//! A table of 64-byte descriptors in group order, from block `descriptor_table` on; a copy follows each backup
//! superblock that lies at the start of a group. The bitmaps have no room to introduce themselves, so their checksums
//! are kept here.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::checksum::Seed;
use crate::error::{At, Corrupt, Damage, Structure};
use crate::field::on_disk;
use crate::superblock::Superblock;
use crate::units::GroupNo;

/// Salt kind of descriptors ("VXGD").
pub const KIND: u32 = u32::from_le_bytes(*b"VXGD");
/// Salt kind of block bitmaps ("VXBB").
pub const BLOCK_BITMAP_KIND: u32 = u32::from_le_bytes(*b"VXBB");
/// Salt kind of inode bitmaps ("VXIB").
pub const INODE_BITMAP_KIND: u32 = u32::from_le_bytes(*b"VXIB");

/// `flags`: the block bitmap was never written; in use is exactly what the geometry fixes.
pub const BLOCK_BITMAP_UNINIT: u32 = 1;
/// `flags`: the inode bitmap was never written; no inode of the group is in use.
pub const INODE_BITMAP_UNINIT: u32 = 2;

on_disk! {
    /// One group descriptor.
    ///
    /// The checksum covers the 64 bytes with itself read as zero, salted with [`KIND`] and the group number.
    pub struct GroupDesc [64 bytes] {
        /// Block of the block bitmap.
        block_bitmap: U64,
        /// Block of the inode bitmap.
        inode_bitmap: U64,
        /// First block of the inode table.
        inode_table: U64,
        /// Blocks not in use.
        free_blocks: U32,
        /// Inodes not in use.
        free_inodes: U32,
        /// Inodes in use that are directories or collections.
        directories: U32,
        /// Inodes at the end of the table whose bytes were never written: a multiple of the inodes in a block.
        unused_inodes: U32,
        /// [`BLOCK_BITMAP_UNINIT`], [`INODE_BITMAP_UNINIT`].
        flags: U32,
        /// Checksum of the block bitmap, salted with [`BLOCK_BITMAP_KIND`] and the group; 0 while it is uninitialised.
        block_bitmap_checksum: U32,
        /// Checksum of the inode bitmap, salted with [`INODE_BITMAP_KIND`] and the group; 0 while it is uninitialised.
        inode_bitmap_checksum: U32,
        /// Zero; kept as found.
        reserved: U64,
        /// CRC32C of the descriptor.
        checksum: U32,
    }
}

const CHECKSUM_AT: usize = 60;

impl GroupDesc {
    /// All fields zero.
    pub fn empty() -> Self {
        Self::new_zeroed()
    }

    /// Accepts the descriptor of `group` from its 64 bytes.
    ///
    /// # Errors
    /// Too few bytes, checksum, then each field against the superblock's geometry.
    pub fn decode(bytes: &[u8], group: GroupNo, sb: &Superblock) -> Result<Self, Corrupt> {
        let corrupt = |damage| Corrupt::new(Structure::GroupDescriptor, At::Group(group.get()), damage);
        let Ok((desc, _)) = Self::read_from_prefix(bytes) else {
            return Err(corrupt(Damage::Short { found: bytes.len(), expected: Self::SIZE }));
        };
        let (stored, computed) = (desc.checksum.get(), desc.computed_checksum(sb.seed(), group));
        if stored != computed {
            return Err(corrupt(Damage::Checksum { stored, computed }));
        }
        desc.check_fields(sb)
            .map_err(|(name, found, expected)| corrupt(Damage::Field { name, found, expected }))?;
        Ok(desc)
    }

    /// Brings the checksum up to date.
    pub fn seal(&mut self, seed: Seed, group: GroupNo) {
        self.checksum = U32::new(self.computed_checksum(seed, group));
    }

    /// Whether the block bitmap was never written.
    pub fn block_bitmap_uninit(&self) -> bool {
        self.flags.get() & BLOCK_BITMAP_UNINIT != 0
    }

    /// Whether the inode bitmap was never written.
    pub fn inode_bitmap_uninit(&self) -> bool {
        self.flags.get() & INODE_BITMAP_UNINIT != 0
    }

    fn computed_checksum(&self, seed: Seed, group: GroupNo) -> u32 {
        seed.sum_around(KIND, group.get(), 0, self.as_bytes(), CHECKSUM_AT)
    }

    fn check_fields(&self, sb: &Superblock) -> Result<(), (&'static str, u64, &'static str)> {
        let need =
            |ok: bool, name, found: u64, expected| if ok { Ok(()) } else { Err((name, found, expected)) };
        let blocks = sb.blocks.get();
        let table_blocks = u64::from(sb.inodes_per_group.get()) * u64::from(sb.inode_size.get())
            / u64::from(sb.block_size.get());
        let inside =
            |start: u64, len: u64| start > 0 && start.checked_add(len).is_some_and(|end| end <= blocks);
        need(
            inside(self.block_bitmap.get(), 1),
            "block_bitmap",
            self.block_bitmap.get(),
            "a block of the device",
        )?;
        need(
            inside(self.inode_bitmap.get(), 1),
            "inode_bitmap",
            self.inode_bitmap.get(),
            "a block of the device",
        )?;
        let table = self.inode_table.get();
        need(inside(table, table_blocks), "inode_table", table, "a run of blocks of the device")?;
        let (free_blocks, per_group) = (self.free_blocks.get(), sb.blocks_per_group.get());
        need(free_blocks <= per_group, "free_blocks", free_blocks.into(), "at most the blocks of a group")?;
        let (free_inodes, inodes) = (self.free_inodes.get(), sb.inodes_per_group.get());
        need(free_inodes <= inodes, "free_inodes", free_inodes.into(), "at most the inodes of a group")?;
        let used = inodes - free_inodes;
        need(
            self.directories.get() <= used,
            "directories",
            self.directories.get().into(),
            "at most the inodes in use",
        )?;
        let unused = self.unused_inodes.get();
        let per_block = sb.block_size.get() / sb.inode_size.get();
        need(
            unused <= free_inodes && unused.is_multiple_of(per_block),
            "unused_inodes",
            unused.into(),
            "at most the free inodes and a multiple of the inodes in a block",
        )?;
        need(self.flags.get() <= 3, "flags", self.flags.get().into(), "made of known bits")?;
        if self.inode_bitmap_uninit() {
            need(
                free_inodes == inodes,
                "free_inodes",
                free_inodes.into(),
                "all inodes while the bitmap is uninitialised",
            )?;
        }
        Ok(())
    }
}

/// Checksum of a block bitmap as its group's descriptor holds it.
pub fn block_bitmap_checksum(seed: Seed, group: GroupNo, bitmap: &[u8]) -> u32 {
    seed.sum(BLOCK_BITMAP_KIND, group.get(), 0, bitmap)
}

/// Checksum of an inode bitmap as its group's descriptor holds it.
pub fn inode_bitmap_checksum(seed: Seed, group: GroupNo, bitmap: &[u8]) -> u32 {
    seed.sum(INODE_BITMAP_KIND, group.get(), 0, bitmap)
}
