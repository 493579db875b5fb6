//! The superblock: geometry, features, identity, and where everything else begins.
//!
//! 1024 bytes at byte 1024 of block 0, and at byte 1024 of each block that holds a backup: the first block of group 1
//! and of the groups that are powers of 3, 5 and 7, and the first block of the metadata-only tail. Bytes 0 to 1023 of
//! those blocks and all bytes behind the structure are zero.
//!
//! Whatever changes after format time lies in the first 512 bytes, so that on a device which writes whole sectors the
//! primary copy is either old or new. Backups are written when the filesystem is made and when identity or features
//! change; their counters are those of that moment and may not be trusted.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::checksum::{Seed, crc32c_around};
use crate::error::{At, Corrupt, Damage, FormatError, Incompatible, Structure};
use crate::features::Features;
use crate::field::on_disk;
use crate::geometry::Geometry;
use crate::units::BlockNo;

/// First bytes of every superblock.
pub const MAGIC: [u8; 8] = *b"VexFS\x1a\x01\n";
/// Byte offset of the structure within its block.
pub const OFFSET: usize = 1024;
/// Format version these tools write and read.
pub const FORMAT_VERSION: u32 = 1;
/// Longest label in bytes of UTF-8.
pub const LABEL_MAX: usize = 64;
/// Smallest and largest block size in bytes.
pub const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 4096..=65536;
/// `hash_version`: directory hashes are SipHash-2-4 with `hash_key`.
pub const HASH_SIPHASH_2_4: u32 = 1;
/// `state` bit: a tool met damage; the next check must be a full one.
pub const STATE_ERRORS: u32 = 1;

on_disk! {
    /// The superblock as it lies on the device.
    ///
    /// The checksum covers all 1024 bytes with itself read as zero; it is not salted, because the seed is inside.
    pub struct Superblock [1024 bytes] {
        /// [`MAGIC`].
        magic: [u8; 8],
        /// CRC32C of the structure.
        checksum: U32,
        /// [`FORMAT_VERSION`].
        format_version: U32,
        /// Identity of the filesystem (RFC 9562), as the user sees it.
        uuid: [u8; 16],
        /// Label: UTF-8, padded with zero bytes; all zero means none.
        label: [u8; 64],
        /// Bytes per block: a power of two from 4096 to 65536.
        block_size: U32,
        /// [`STATE_ERRORS`] or 0.
        state: U32,
        /// Blocks of the filesystem. At most the device's length in blocks.
        blocks: U64,
        /// Blocks not in use, those of the vector zone included. Not to be trusted in a backup.
        free_blocks: U64,
        /// Free blocks that only checks, deletions and compaction may use.
        reserved_blocks: U64,
        /// Inodes of the filesystem: `groups * inodes_per_group`.
        inodes: U64,
        /// Inodes not in use. Not to be trusted in a backup.
        free_inodes: U64,
        /// Features that may be ignored when unknown.
        feature_compat: U64,
        /// Features that forbid writing when unknown.
        feature_ro_compat: U64,
        /// Features that forbid everything when unknown.
        feature_incompat: U64,
        /// Block this copy lies in.
        self_block: U64,
        /// Number of block groups.
        groups: U32,
        /// Blocks per group: 8 × `block_size`.
        blocks_per_group: U32,
        /// Inodes per group: a multiple of the inodes in a block, at most 8 × `block_size`.
        inodes_per_group: U32,
        /// Bytes per inode: a power of two from 256 to `block_size`.
        inode_size: U32,
        /// Groups whose bitmaps and inode tables lie together at format time: 2^this.
        flex_log2: U32,
        /// Blocks kept for the group descriptor table, here and behind each backup in a group.
        descriptor_blocks: U32,
        /// First block of the primary group descriptor table: 1.
        descriptor_table: U64,
        /// First block of the journal.
        journal_start: U64,
        /// Blocks of the journal.
        journal_blocks: U64,
        /// First block of the vector zone; 0 without one.
        zone_start: U64,
        /// Blocks of the vector zone; 0 without one.
        zone_blocks: U64,
        /// Inode of the root directory.
        root_inode: U64,
        /// Inode of lost+found.
        lost_found_inode: U64,
        /// Seed of all checksums: CRC32C of the UUID given at format time.
        checksum_seed: U32,
        /// [`HASH_SIPHASH_2_4`].
        hash_version: U32,
        /// Key of the directory hash.
        hash_key: [u8; 16],
        /// Seed of every random choice of index builds.
        random_seed: U64,
        /// Time of formatting, nanoseconds since 1970-01-01 UTC.
        created_ns: U64,
        /// Time of the last transaction, likewise.
        written_ns: U64,
        /// Time of the last complete check, likewise; 0 means never.
        checked_ns: U64,
        /// Sequence number of the last transaction that changed this copy.
        txn: U64,
        /// Blocks at the start of the device that hold no user bytes.
        head_blocks: U64,
        /// Blocks at the end of the filesystem that hold no user bytes; the first holds a backup superblock.
        tail_blocks: U64,
        /// Times a tool met damage since the last complete check.
        error_count: U64,
        /// Time of the latest of them.
        error_ns: U64,
        /// Block where the latest was met; 0 when it has no block.
        error_block: U64,
        /// Zero; reserved for fields that change.
        reserved_changing: [u8; 120],
        /// Tools and version that formatted the filesystem: ASCII, padded with zero bytes.
        creator: [u8; 32],
        /// Zero; kept as found by tools that do not know better.
        reserved: [u8; 512],
    }
}

const CHECKSUM_AT: usize = 8;

impl Superblock {
    /// All fields zero but the magic and the version.
    pub fn empty() -> Self {
        let mut sb = Self::new_zeroed();
        sb.magic = MAGIC;
        sb.format_version = U32::new(FORMAT_VERSION);
        sb
    }

    /// Accepts a superblock from the 1024 bytes of the structure.
    ///
    /// `at` is the block it was read from, or `None` while the block size is not known: the place is then taken from
    /// the structure.
    ///
    /// # Errors
    /// In the order of the checks: too few bytes, magic, checksum, format version, incompatible features, place,
    /// and each field against its range.
    pub fn decode(bytes: &[u8], at: Option<BlockNo>) -> Result<Self, FormatError> {
        let here = At::Block(at.map_or(0, BlockNo::get));
        let corrupt = |damage| FormatError::from(Corrupt::new(Structure::Superblock, here, damage));
        let Ok((sb, _)) = Self::read_from_prefix(bytes) else {
            return Err(corrupt(Damage::Short { found: bytes.len(), expected: Self::SIZE }));
        };
        if sb.magic != MAGIC {
            return Err(corrupt(Damage::Magic { found: u64::from_le_bytes(sb.magic) }));
        }
        let (stored, computed) = (sb.checksum.get(), sb.computed_checksum());
        if stored != computed {
            return Err(corrupt(Damage::Checksum { stored, computed }));
        }
        if sb.format_version.get() != FORMAT_VERSION {
            let found = sb.format_version.get();
            return Err(Incompatible::Version { found, known: FORMAT_VERSION }.into());
        }
        sb.features().check_readable()?;
        if let Some(at) = at
            && sb.self_block.get() != at.get()
        {
            return Err(corrupt(Damage::Place { found: sb.self_block.get(), expected: at.get() }));
        }
        sb.check_fields()
            .map_err(|(name, found, expected)| corrupt(Damage::Field { name, found, expected }))?;
        Ok(sb)
    }

    /// Brings the checksum up to date; the last step before the structure is written.
    pub fn seal(&mut self) {
        self.checksum = U32::new(self.computed_checksum());
    }

    /// A copy for the backup in block `at`, sealed.
    pub fn backup(&self, at: BlockNo) -> Self {
        let mut copy = *self;
        copy.self_block = U64::new(at.get());
        copy.seal();
        copy
    }

    /// Whether two copies describe the same filesystem: all that is fixed at format time agrees.
    pub fn same_filesystem(&self, other: &Self) -> bool {
        self.geometry_fields() == other.geometry_fields()
            && self.checksum_seed == other.checksum_seed
            && self.hash_key == other.hash_key
    }

    /// The three feature sets.
    pub fn features(&self) -> Features {
        Features {
            compat: self.feature_compat.get(),
            ro_compat: self.feature_ro_compat.get(),
            incompat: self.feature_incompat.get(),
        }
    }

    /// The seed of all checksums.
    pub fn seed(&self) -> Seed {
        Seed(self.checksum_seed.get())
    }

    /// The label, without padding; bytes that are not UTF-8 are replaced.
    pub fn label(&self) -> String {
        let end = self.label.iter().position(|&b| b == 0).unwrap_or(self.label.len());
        String::from_utf8_lossy(&self.label[..end]).into_owned()
    }

    /// Stores a label of at most [`LABEL_MAX`] bytes; `false` when it is longer or contains a zero byte.
    pub fn set_label(&mut self, label: &str) -> bool {
        let bytes = label.as_bytes();
        if bytes.len() > LABEL_MAX || bytes.contains(&0) {
            return false;
        }
        self.label = [0; LABEL_MAX];
        self.label[..bytes.len()].copy_from_slice(bytes);
        true
    }

    /// Where things are.
    pub fn geometry(&self) -> Geometry {
        Geometry::from_superblock(self)
    }

    fn computed_checksum(&self) -> u32 {
        crc32c_around(self.as_bytes(), CHECKSUM_AT)
    }

    fn geometry_fields(&self) -> [u64; 9] {
        [
            self.block_size.get().into(),
            self.blocks_per_group.get().into(),
            self.inodes_per_group.get().into(),
            self.inode_size.get().into(),
            self.descriptor_table.get(),
            self.journal_start.get(),
            self.journal_blocks.get(),
            self.zone_start.get(),
            self.head_blocks.get(),
        ]
    }

    fn check_fields(&self) -> Result<(), (&'static str, u64, &'static str)> {
        let need =
            |ok: bool, name, found: u64, expected| if ok { Ok(()) } else { Err((name, found, expected)) };
        let block_size = self.block_size.get();
        need(
            block_size.is_power_of_two() && BLOCK_SIZES.contains(&block_size),
            "block_size",
            block_size.into(),
            "a power of two from 4096 to 65536",
        )?;
        let per_group = u64::from(self.blocks_per_group.get());
        need(
            per_group == u64::from(block_size) * 8,
            "blocks_per_group",
            per_group,
            "8 times the block size",
        )?;
        let blocks = self.blocks.get();
        let fits_bytes = blocks.checked_mul(block_size.into()).is_some_and(|b| b <= i64::MAX as u64);
        need(fits_bytes && blocks >= 16, "blocks", blocks, "at least 16 and within 2^63 bytes")?;
        let groups = u64::from(self.groups.get());
        need(
            groups == blocks.div_ceil(per_group),
            "groups",
            groups,
            "blocks / blocks_per_group, rounded up",
        )?;
        let inode_size = self.inode_size.get();
        need(
            inode_size.is_power_of_two() && (256..=block_size).contains(&inode_size),
            "inode_size",
            inode_size.into(),
            "a power of two from 256 to the block size",
        )?;
        let inodes_per_group = self.inodes_per_group.get();
        let per_block = block_size / inode_size;
        need(
            inodes_per_group > 0
                && inodes_per_group <= block_size * 8
                && inodes_per_group.is_multiple_of(per_block),
            "inodes_per_group",
            inodes_per_group.into(),
            "a multiple of the inodes in a block and at most 8 times the block size",
        )?;
        let inodes = self.inodes.get();
        need(
            inodes == groups * u64::from(inodes_per_group),
            "inodes",
            inodes,
            "groups times inodes_per_group",
        )?;
        need(self.free_blocks.get() <= blocks, "free_blocks", self.free_blocks.get(), "at most blocks")?;
        need(
            self.reserved_blocks.get() <= blocks,
            "reserved_blocks",
            self.reserved_blocks.get(),
            "at most blocks",
        )?;
        need(self.free_inodes.get() <= inodes, "free_inodes", self.free_inodes.get(), "at most inodes")?;
        need(self.flex_log2.get() <= 16, "flex_log2", self.flex_log2.get().into(), "at most 16")?;
        let run = |start: u64, len: u64| start.checked_add(len).is_some_and(|end| end <= blocks);
        let table = self.descriptor_table.get();
        let table_blocks = u64::from(self.descriptor_blocks.get());
        let needed = (groups * crate::group_desc::GroupDesc::SIZE as u64).div_ceil(block_size.into());
        need(
            table == crate::geometry::DESCRIPTOR_TABLE && run(table, table_blocks),
            "descriptor_table",
            table,
            "1, and a run of blocks of the device",
        )?;
        need(table_blocks >= needed, "descriptor_blocks", table_blocks, "room for a descriptor per group")?;
        let (journal, journal_blocks) = (self.journal_start.get(), self.journal_blocks.get());
        need(
            journal > 0 && run(journal, journal_blocks),
            "journal_start",
            journal,
            "a run of blocks of the device",
        )?;
        need(journal_blocks >= 8, "journal_blocks", journal_blocks, "at least 8")?;
        let (zone, zone_blocks) = (self.zone_start.get(), self.zone_blocks.get());
        need(run(zone, zone_blocks), "zone_start", zone, "a run of blocks of the device")?;
        need(
            (zone == 0) == (zone_blocks == 0),
            "zone_blocks",
            zone_blocks,
            "0 without a vector zone, else more",
        )?;
        let root = self.root_inode.get();
        need(root > 0 && root <= inodes, "root_inode", root, "an inode of the filesystem")?;
        let lost_found = self.lost_found_inode.get();
        need(lost_found <= inodes, "lost_found_inode", lost_found, "an inode of the filesystem, or 0")?;
        let hash = self.hash_version.get();
        need(hash == HASH_SIPHASH_2_4, "hash_version", hash.into(), "1 (SipHash-2-4)")?;
        need(self.head_blocks.get() <= blocks, "head_blocks", self.head_blocks.get(), "at most blocks")?;
        let tail = self.tail_blocks.get();
        need(tail > 0 && tail < blocks, "tail_blocks", tail, "from 1 to blocks - 1")?;
        Ok(())
    }
}

/// What another superblock of the same name looks like: the formats that bore the name VexFS before.
///
/// `start` is the first 4096 bytes of the device. None of these stored a vector durably, so there is nothing to
/// convert; the names let mkfs say what it is about to overwrite.
pub fn recognise_ancestor(start: &[u8]) -> Option<&'static str> {
    let u64_at_0 = u64::from_le_bytes(start.get(..8)?.try_into().ok()?);
    match u64_at_0 {
        0x5645_5846_5300_0001 => return Some("vexfs image of the W family (magic VEXFS, revision 1)"),
        0x0000_0056_4558_4653 => return Some("vexfs 0.x image (64-bit magic VEXFS)"),
        _ => {}
    }
    match u64_at_0 as u32 {
        0x5645_5846 => return Some("vexfs 1.x image (magic VEXF)"),
        0x5645_5832 => return Some("vexfs 2.x image (magic VEX2)"),
        _ => {}
    }
    (start.get(1024..1032)? == b"VEXFS001").then_some("vexfs image (magic VEXFS001)")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geometry::GeometryParams;

    fn sample() -> Superblock {
        let geometry = Geometry::plan(&GeometryParams::new(4096, 4096)).expect("16 MiB can be planned");
        let mut sb = Superblock::empty();
        geometry.store(&mut sb);
        sb.seal();
        sb
    }

    #[test]
    fn what_is_sealed_is_accepted() {
        let sb = sample();
        assert_eq!(Superblock::decode(sb.as_bytes(), Some(BlockNo(0))), Ok(sb));
    }

    #[test]
    fn each_flipped_bit_is_noticed() {
        let sb = sample();
        for bit in (0..Superblock::SIZE * 8).step_by(37) {
            let mut bytes = sb.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Superblock::decode(&bytes, Some(BlockNo(0))).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_backup_is_not_taken_for_the_primary() {
        let backup = sample().backup(BlockNo(32768));
        assert!(Superblock::decode(backup.as_bytes(), Some(BlockNo(32768))).is_ok());
        let err = Superblock::decode(backup.as_bytes(), Some(BlockNo(0)));
        assert!(matches!(err, Err(FormatError::Corrupt(Corrupt { damage: Damage::Place { .. }, .. }))));
    }

    #[test]
    fn what_may_change_lies_in_the_first_sector() {
        for name in [
            "free_blocks",
            "free_inodes",
            "state",
            "label",
            "uuid",
            "txn",
            "written_ns",
            "checked_ns",
            "error_block",
        ] {
            let field = Superblock::FIELDS.iter().find(|f| f.name == name).expect(name);
            assert!(field.offset + field.size <= 512, "{name}");
        }
    }

    #[test]
    fn labels_keep_to_their_room() {
        let mut sb = sample();
        assert!(sb.set_label("Vektoren-Δ"));
        assert_eq!(sb.label(), "Vektoren-Δ");
        assert!(!sb.set_label(&"x".repeat(65)));
        assert!(!sb.set_label("a\0b"));
    }

    #[test]
    fn older_formats_of_the_name_are_recognised() {
        let mut start = [0_u8; 4096];
        assert_eq!(recognise_ancestor(&start), None);
        start[..4].copy_from_slice(&0x5645_5846_u32.to_le_bytes());
        assert!(recognise_ancestor(&start).is_some());
        start[..8].fill(0);
        start[1024..1032].copy_from_slice(b"VEXFS001");
        assert!(recognise_ancestor(&start).is_some());
    }
}
