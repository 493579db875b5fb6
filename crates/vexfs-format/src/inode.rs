//! Inodes: one fixed-size record per object.
//!
//! Inode n (from 1) is record (n − 1) % `inodes_per_group` of the table of group (n − 1) / `inodes_per_group`. A record is
//! `inode_size` bytes, of which this structure is the first 256; the rest is zero. Which records are in use is said by
//! the inode bitmap; a record that is not in use has magic 0 or was never written.

use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::checksum::Seed;
use crate::codes::InodeKind;
use crate::error::{At, Corrupt, Damage, Structure};
use crate::extent::{self, Extent, MAX_DEPTH, Run};
use crate::field::on_disk;
use crate::units::{BlockNo, InodeNo};

/// First bytes of an inode in use ("VXIN"); also the salt's kind.
pub const MAGIC: u32 = u32::from_le_bytes(*b"VXIN");
/// `flags`: the root area holds the target of a symbolic link instead of extents.
pub const FLAG_INLINE_TARGET: u32 = 1;
/// `flags`: contents were found to be lost, and kept as they are: blocks that disagree with their checksums are no news.
pub const FLAG_LOST: u32 = 2;
/// Bytes of the root area.
pub const ROOT_BYTES: usize = 120;
/// Extents or index entries in the root area.
pub const ROOT_ENTRIES: usize = ROOT_BYTES / Extent::SIZE;
/// Longest target of a symbolic link in bytes.
pub const TARGET_MAX: u64 = 4095;

on_disk! {
    /// One inode.
    ///
    /// The checksum covers the 256 bytes with itself read as zero, salted with [`MAGIC`], the inode number and the
    /// generation.
    pub struct Inode [256 bytes] {
        /// [`MAGIC`]; 0 in a record that is not in use.
        magic: U32,
        /// CRC32C of the record.
        checksum: U32,
        /// The inode's own number.
        number: U64,
        /// Sequence number of the transaction that created the object: with it, what an earlier object of this number left
        /// behind is recognised.
        generation: U64,
        /// Kind of object, see [`InodeKind`].
        kind: U16,
        /// POSIX file type and permission bits.
        mode: U16,
        /// [`FLAG_INLINE_TARGET`], [`FLAG_LOST`].
        flags: U32,
        /// POSIX owner.
        uid: U32,
        /// POSIX group.
        gid: U32,
        /// Number of directory entries that lead here; the root directory and streams of a collection count one each.
        links: U32,
        /// Entries in use in the root area.
        root_count: U16,
        /// Height of the extent tree: 0 when the root area holds the extents themselves.
        depth: U16,
        /// Length in bytes. For directories a multiple of the block size.
        size: U64,
        /// Blocks in use for data, checksum blocks, tree nodes and collection descriptor.
        blocks: U64,
        /// Directory that holds the entry, for directories, collections and streams; 0 for files and links, which may
        /// have several.
        parent: U64,
        /// Block of the collection descriptor; 0 for all other kinds.
        descriptor: U64,
        /// Transaction that last changed the record.
        txn: U64,
        /// Time of creation, nanoseconds since 1970-01-01 UTC.
        created_ns: U64,
        /// Time of the last change of content.
        modified_ns: U64,
        /// Time of the last change of the record.
        changed_ns: U64,
        /// Zero; kept as found.
        reserved: [u8; 24],
        /// Extents, index entries, or the target of a symbolic link.
        root: [u8; 120],
    }
}

const CHECKSUM_AT: usize = 4;

/// What the root area of an inode holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// All extents of the object.
    Extents(Vec<Run>),
    /// First logical block and block of each node below; the nodes are at level `depth - 1`.
    Index(Vec<(u64, BlockNo)>),
    /// Target of a symbolic link.
    Target(Vec<u8>),
}

impl Inode {
    /// An inode in use with all other fields zero, and mode bits of its kind.
    pub fn new(number: InodeNo, generation: u64, kind: InodeKind, permissions: u16) -> Self {
        let mut inode = Self::new_zeroed();
        inode.magic = U32::new(MAGIC);
        inode.number = U64::new(number.get());
        inode.generation = U64::new(generation);
        inode.kind = U16::new(kind.code());
        inode.mode = U16::new(kind.mode_type() | (permissions & 0o7777));
        inode
    }

    /// Accepts the record of inode `number`; `blocks` is the number of blocks of the device.
    ///
    /// # Errors
    /// In the order of the checks: too few bytes, magic, number, checksum, then each field, then the root area.
    pub fn decode(
        record: &[u8],
        number: InodeNo,
        block_size: u32,
        blocks: u64,
        seed: Seed,
    ) -> Result<Self, Corrupt> {
        let corrupt = |damage| Corrupt::new(Structure::Inode, At::Inode(number.get()), damage);
        let Ok((inode, _)) = Self::read_from_prefix(record) else {
            return Err(corrupt(Damage::Short { found: record.len(), expected: Self::SIZE }));
        };
        if inode.magic.get() != MAGIC {
            return Err(corrupt(Damage::Magic { found: inode.magic.get().into() }));
        }
        if inode.number.get() != number.get() {
            let found = inode.number.get();
            return Err(corrupt(Damage::Field {
                name: "number",
                found,
                expected: "the number of the record",
            }));
        }
        let (stored, computed) = (inode.checksum.get(), inode.computed_checksum(seed));
        if stored != computed {
            return Err(corrupt(Damage::Checksum { stored, computed }));
        }
        inode
            .check_fields(block_size, blocks)
            .map_err(|(name, found, expected)| corrupt(Damage::Field { name, found, expected }))?;
        Ok(inode)
    }

    /// Whether a record bears the magic of an inode in use, sound or not.
    pub fn looks_used(record: &[u8]) -> bool {
        record.get(..4) == Some(&MAGIC.to_le_bytes())
    }

    /// Brings the checksum up to date.
    pub fn seal(&mut self, seed: Seed) {
        self.checksum = U32::new(self.computed_checksum(seed));
    }

    /// The kind of object. [`Self::decode`] guarantees that it is defined.
    pub fn kind(&self) -> InodeKind {
        InodeKind::from_code(self.kind.get()).unwrap_or(InodeKind::File)
    }

    /// The inode's own number.
    pub fn number(&self) -> InodeNo {
        InodeNo(self.number.get())
    }

    /// Whether the root area holds the target of a symbolic link.
    pub fn has_inline_target(&self) -> bool {
        self.flags.get() & FLAG_INLINE_TARGET != 0
    }

    /// What the root area holds. [`Self::decode`] guarantees that it is sound for a device of `blocks` blocks.
    ///
    /// # Errors
    /// The first entry that breaks a rule, in a record that has not been through [`Self::decode`].
    pub fn root(&self, blocks: u64) -> Result<Root, extent::EntryFault> {
        let count = usize::from(self.root_count.get());
        if self.has_inline_target() {
            let len = (self.size.get() as usize).min(ROOT_BYTES);
            return Ok(Root::Target(self.root[..len].to_vec()));
        }
        if self.depth.get() == 0 {
            extent::decode_extents(&self.root, count, blocks).map(Root::Extents)
        } else {
            extent::decode_index(&self.root, count, blocks).map(Root::Index)
        }
    }

    /// Stores extents or index entries in the root area. The caller guarantees at most [`ROOT_ENTRIES`].
    pub fn set_root(&mut self, entries: &extent::NodeEntries, depth: u16) {
        let (count, bytes) = match entries {
            extent::NodeEntries::Leaf(runs) => (runs.len(), extent::encode_extents(runs)),
            extent::NodeEntries::Index(children) => (children.len(), extent::encode_index(children)),
        };
        self.root = [0; ROOT_BYTES];
        self.root[..bytes.len()].copy_from_slice(&bytes);
        self.root_count = U16::new(count as u16);
        self.depth = U16::new(depth);
    }

    /// Stores the target of a symbolic link in the root area; `false` when it is longer than [`ROOT_BYTES`].
    pub fn set_inline_target(&mut self, target: &[u8]) -> bool {
        if target.len() > ROOT_BYTES {
            return false;
        }
        self.root = [0; ROOT_BYTES];
        self.root[..target.len()].copy_from_slice(target);
        self.flags = U32::new(self.flags.get() | FLAG_INLINE_TARGET);
        self.size = U64::new(target.len() as u64);
        true
    }

    fn computed_checksum(&self, seed: Seed) -> u32 {
        seed.sum_around(MAGIC, self.number.get(), self.generation.get(), self.as_bytes(), CHECKSUM_AT)
    }

    fn check_fields(&self, block_size: u32, blocks: u64) -> Result<(), extent::EntryFault> {
        let need =
            |ok: bool, name, found: u64, expected| if ok { Ok(()) } else { Err((name, found, expected)) };
        let Some(kind) = InodeKind::from_code(self.kind.get()) else {
            return Err(("kind", self.kind.get().into(), "a kind that is defined"));
        };
        let mode = self.mode.get();
        need(mode & 0o170_000 == kind.mode_type(), "mode", mode.into(), "of the file type of its kind")?;
        let flags = self.flags.get();
        let flags_ok = match flags {
            0 => true,
            FLAG_INLINE_TARGET => kind == InodeKind::Symlink,
            FLAG_LOST => !kind.is_directory_like(),
            _ => false,
        };
        need(flags_ok, "flags", flags.into(), "0, 1 for a symbolic link, or 2 for what has contents")?;
        need(self.links.get() > 0, "links", 0, "at least 1")?;
        let size = self.size.get();
        match kind {
            InodeKind::Directory | InodeKind::Collection => {
                need(
                    size.is_multiple_of(u64::from(block_size)),
                    "size",
                    size,
                    "a multiple of the block size",
                )?;
                need(self.parent.get() > 0, "parent", 0, "an inode")?;
            }
            InodeKind::Stream => need(self.parent.get() > 0, "parent", 0, "an inode")?,
            InodeKind::Symlink => {
                need((1..=TARGET_MAX).contains(&size), "size", size, "from 1 to 4095 bytes")?;
                let inline = self.has_inline_target();
                need(
                    !inline || size <= ROOT_BYTES as u64,
                    "size",
                    size,
                    "at most 120 bytes for an inline target",
                )?;
            }
            InodeKind::File => {}
        }
        need(size.div_ceil(block_size.into()) < extent::SUMS_BASE, "size", size, "below 2^48 blocks")?;
        need(self.blocks.get() <= blocks, "blocks", self.blocks.get(), "at most the blocks of the device")?;
        let descriptor = self.descriptor.get();
        let descriptor_ok = if kind == InodeKind::Collection {
            descriptor > 0 && descriptor < blocks
        } else {
            descriptor == 0
        };
        need(descriptor_ok, "descriptor", descriptor, "a block of the device for a collection, else 0")?;
        let (count, depth) = (self.root_count.get(), self.depth.get());
        if self.has_inline_target() {
            need(count == 0, "root_count", count.into(), "0 with an inline target")?;
            return need(depth == 0, "depth", depth.into(), "0 with an inline target");
        }
        need(usize::from(count) <= ROOT_ENTRIES, "root_count", count.into(), "at most 5")?;
        need(depth <= MAX_DEPTH, "depth", depth.into(), "at most 5")?;
        need(depth == 0 || count > 0, "root_count", 0, "at least 1 above a tree")?;
        self.root(blocks).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extent::NodeEntries;
    use crate::units::LogicalBlock;

    fn sealed(mut inode: Inode) -> Inode {
        inode.seal(Seed(5));
        inode
    }

    fn file() -> Inode {
        let mut inode = Inode::new(InodeNo(12), 1, InodeKind::File, 0o644);
        inode.links = U32::new(1);
        let run = Run { logical: LogicalBlock(0), start: BlockNo(40), len: 3 };
        inode.set_root(&NodeEntries::Leaf(vec![run]), 0);
        inode
    }

    fn decode(inode: &Inode, number: u64) -> Result<Inode, Corrupt> {
        Inode::decode(inode.as_bytes(), InodeNo(number), 4096, 1000, Seed(5))
    }

    #[test]
    fn what_is_sealed_is_accepted_in_its_own_place_only() {
        let inode = sealed(file());
        assert_eq!(decode(&inode, 12), Ok(inode));
        assert!(decode(&inode, 13).is_err());
        assert!(Inode::decode(inode.as_bytes(), InodeNo(12), 4096, 1000, Seed(6)).is_err());
    }

    #[test]
    fn fields_out_of_range_are_named() {
        let name_of = |change: fn(&mut Inode)| {
            let mut inode = file();
            change(&mut inode);
            match decode(&sealed(inode), 12).map_err(|c| c.damage) {
                Err(Damage::Field { name, .. }) => name,
                other => panic!("accepted or other damage: {other:?}"),
            }
        };
        assert_eq!(name_of(|i| i.kind = U16::new(99)), "kind");
        assert_eq!(name_of(|i| i.mode = U16::new(0o040_755)), "mode");
        assert_eq!(name_of(|i| i.flags = U32::new(1)), "flags");
        assert_eq!(name_of(|i| i.links = U32::new(0)), "links");
        assert_eq!(name_of(|i| i.blocks = U64::new(1001)), "blocks");
        assert_eq!(name_of(|i| i.descriptor = U64::new(1)), "descriptor");
        assert_eq!(name_of(|i| i.root_count = U16::new(6)), "root_count");
        assert_eq!(name_of(|i| i.depth = U16::new(6)), "depth");
        assert_eq!(name_of(|i| i.root_count = U16::new(2)), "len");
        assert_eq!(name_of(|i| i.size = U64::new(u64::MAX)), "size");
    }

    #[test]
    fn short_targets_lie_in_the_inode() {
        let mut link = Inode::new(InodeNo(12), 1, InodeKind::Symlink, 0o777);
        link.links = U32::new(1);
        assert!(!link.set_inline_target(&[b'x'; ROOT_BYTES + 1]));
        assert!(link.set_inline_target(b"models/card.md"));
        let link = decode(&sealed(link), 12).expect("sound");
        assert_eq!(link.root(1000), Ok(Root::Target(b"models/card.md".to_vec())));
    }
}
