//! A filesystem to be damaged: structures are changed by name and sealed again, so that only what is meant is wrong.

use std::sync::{Arc, OnceLock};

use vexfs_device::{Device, FaultDevice, MemDevice};
use vexfs_format::block_header::{BlockHeader, BlockKind};
use vexfs_format::collection::CollectionDesc;
use vexfs_format::dir_block::{self, DirEntries, Placement};
use vexfs_format::error::Structure;
use vexfs_format::extent::{NodeEntries, Run, SUMS_BASE};
use vexfs_format::group_desc::{GroupDesc, block_bitmap_checksum, inode_bitmap_checksum};
use vexfs_format::inode::Inode;
use vexfs_format::superblock::{self, Superblock};
use vexfs_format::{BlockNo, GroupNo, InodeNo, LogicalBlock, Seed, TxnSeq, sums};
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::index::{self, BuildOptions};
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{BlockSource, OpenOptions, Volume, inode};
use zerocopy::{FromBytes, IntoBytes};

use super::{copy, filled};
use crate::common::{Silent, open_rw};

/// Bytes per block of the image.
pub const BLOCK: usize = 4096;
const EIO: i32 = 5;

/// The filesystem of [`filled`] in three groups, the last of which is not initialised, on a device that can be told to fail.
pub struct Image {
    pub device: Arc<FaultDevice<MemDevice>>,
    volume: Volume,
    groups: Vec<GroupDesc>,
}

impl Image {
    pub fn new() -> Self {
        static BASE: OnceLock<MemDevice> = OnceLock::new();
        Self::of(BASE.get_or_init(|| filled(300, 4096)))
    }

    /// The same with indexes `lists` and `flat` of the collection `/described`.
    pub fn with_indexes() -> Self {
        static BASE: OnceLock<MemDevice> = OnceLock::new();
        Self::of(BASE.get_or_init(|| {
            let device: Arc<dyn Device> = Self::new().device;
            let mut volume = open_rw(&device);
            let options = BuildOptions { threads: 1, memory: 64 << 20, progress: &Silent, dry_run: false };
            for request in ["ivf,nlist=4,name=lists", "flat"] {
                let request = request.parse().expect("a request");
                index::build(&mut volume, "described", &request, &options).expect("an index");
            }
            volume.close().expect("close");
            copy(&*device)
        }))
    }

    fn of(base: &MemDevice) -> Self {
        let device = Arc::new(FaultDevice::new(base.fork()));
        let volume = Volume::open(device.clone(), &OpenOptions::default()).expect("a sound filesystem");
        let groups = (0..volume.geometry().groups).map(GroupNo);
        let groups = groups.map(|group| inode::read_group(&volume, group).expect("a descriptor")).collect();
        Self { device, volume, groups }
    }

    /// The filesystem as it was before it was damaged, read through the device as it is.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    pub fn seed(&self) -> Seed {
        self.volume.seed()
    }

    pub fn sb(&self) -> &Superblock {
        self.volume.superblock()
    }

    pub fn inode(&self, path: &str) -> Inode {
        resolve(&self.volume, path, LastLink::Keep).expect(path)
    }

    pub fn ino(&self, path: &str) -> u64 {
        self.inode(path).number().get()
    }

    pub fn extents(&self, path: &str) -> ExtentMap {
        ExtentMap::load(&self.volume, &self.inode(path)).expect(path)
    }

    /// The block of logical block `logical` of an object.
    pub fn place(&self, path: &str, logical: u64) -> u64 {
        self.extents(path).lookup(logical).expect("mapped").get()
    }

    pub fn read(&self, block: u64) -> Vec<u8> {
        let mut bytes = vec![0; BLOCK];
        self.device.inner().read_at(block * BLOCK as u64, &mut bytes).expect("read");
        bytes
    }

    pub fn write(&self, block: u64, offset: usize, bytes: &[u8]) {
        self.device.write_at(block * BLOCK as u64 + offset as u64, bytes).expect("write");
    }

    /// Turns over one bit of a byte.
    pub fn flip(&self, block: u64, offset: usize) {
        let byte = self.read(block)[offset] ^ 0x10;
        self.write(block, offset, &[byte]);
    }

    /// Makes blocks unreadable.
    pub fn lose(&self, block: u64, count: u64) {
        let size = BLOCK as u64;
        self.device.fail_reads(block * size..(block + count) * size, EIO);
    }

    /// Changes the superblock in `block` and seals it.
    pub fn edit_super(&self, block: u64, change: impl FnOnce(&mut Superblock)) {
        let bytes = self.read(block);
        let (mut sb, _) = Superblock::read_from_prefix(&bytes[superblock::OFFSET..]).expect("1024 bytes");
        change(&mut sb);
        sb.seal();
        self.write(block, superblock::OFFSET, sb.as_bytes());
    }

    /// Block and byte offset of the record of an inode.
    pub fn record(&self, ino: u64) -> (u64, usize) {
        let (group, index) = self.volume.geometry().locate_inode(InodeNo(ino)).expect("an inode");
        let byte = index as usize * Inode::SIZE;
        (self.group(group.get()).inode_table.get() + (byte / BLOCK) as u64, byte % BLOCK)
    }

    /// Changes an inode and seals it.
    pub fn edit_ino(&self, ino: u64, change: impl FnOnce(&mut Inode)) {
        let (block, offset) = self.record(ino);
        let bytes = self.read(block);
        let (mut inode, _) = Inode::read_from_prefix(&bytes[offset..]).expect("256 bytes");
        change(&mut inode);
        inode.seal(self.seed());
        self.write(block, offset, inode.as_bytes());
    }

    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Inode)) {
        self.edit_ino(self.ino(path), change);
    }

    /// Gives an object these extents, as many as fit into its inode.
    pub fn remap(&self, path: &str, change: impl FnOnce(&mut Vec<Run>)) {
        let mut runs = self.extents(path).runs().to_vec();
        change(&mut runs);
        self.edit(path, |inode| inode.set_root(&NodeEntries::Leaf(runs), 0));
    }

    /// Changes the descriptor of a group and seals it.
    pub fn edit_group(&self, group: u64, change: impl FnOnce(&mut GroupDesc)) {
        let (block, offset) = inode::descriptor_place(&self.volume, GroupNo(group));
        let bytes = self.read(block.get());
        let (mut desc, _) = GroupDesc::read_from_prefix(&bytes[offset..]).expect("64 bytes");
        change(&mut desc);
        desc.seal(self.seed(), GroupNo(group));
        self.write(block.get(), offset, desc.as_bytes());
    }

    /// The descriptor of a group, as it was.
    pub fn group(&self, group: u64) -> GroupDesc {
        self.groups[group as usize]
    }

    /// Changes the block bitmap of a group, and its checksum.
    pub fn edit_block_bitmap(&self, group: u64, change: impl FnOnce(&mut [u8])) {
        let desc = self.group(group);
        let mut map = self.read(desc.block_bitmap.get());
        change(&mut map);
        self.write(desc.block_bitmap.get(), 0, &map);
        let sum = block_bitmap_checksum(self.seed(), GroupNo(group), &map);
        self.edit_group(group, |desc| desc.block_bitmap_checksum = sum.into());
    }

    /// Changes the inode bitmap of a group, and its checksum.
    pub fn edit_inode_bitmap(&self, group: u64, change: impl FnOnce(&mut [u8])) {
        let desc = self.group(group);
        let mut map = self.read(desc.inode_bitmap.get());
        change(&mut map);
        self.write(desc.inode_bitmap.get(), 0, &map);
        let sum = inode_bitmap_checksum(self.seed(), GroupNo(group), &map);
        self.edit_group(group, |desc| desc.inode_bitmap_checksum = sum.into());
    }

    /// Changes a block that introduces itself, and seals it.
    pub fn edit_block(&self, block: u64, change: impl FnOnce(&mut [u8])) {
        let mut bytes = self.read(block);
        change(&mut bytes);
        let header = BlockHeader::peek(&bytes).expect("a header");
        header.seal_into(&mut bytes, self.seed());
        self.write(block, 0, &bytes);
    }

    /// Stores other names in a block of a directory.
    pub fn edit_dir(&self, path: &str, logical: u64, change: impl FnOnce(&mut DirEntries, &mut u16)) {
        let (ino, place) = (InodeNo(self.ino(path)), BlockNo(self.place(path, logical)));
        let bytes = self.read(place.get());
        let logical = LogicalBlock(logical);
        let (mut entries, mut level) =
            dir_block::decode(&bytes, place, ino, logical, self.seed()).expect("sound");
        change(&mut entries, &mut level);
        let at = Placement { place, logical, owner: ino, txn: TxnSeq(1) };
        self.write(place.get(), 0, &dir_block::encode(&entries, level, at, BLOCK, self.seed()));
    }

    /// Changes the descriptor of a collection and seals it.
    pub fn edit_collection(&self, path: &str, change: impl FnOnce(&mut CollectionDesc)) {
        self.edit_block(self.inode(path).descriptor.get(), |bytes| {
            let (desc, _) =
                CollectionDesc::mut_from_prefix(&mut bytes[BlockHeader::SIZE..]).expect("464 bytes");
            change(desc);
        });
    }

    /// Writes bytes into a file and gives their blocks new checksums, as a writer would.
    pub fn edit_data(&self, path: &str, at: usize, bytes: &[u8]) {
        let inode = self.inode(path);
        let map = self.extents(path);
        for (n, byte) in bytes.iter().enumerate() {
            let (logical, offset) = (((at + n) / BLOCK) as u64, (at + n) % BLOCK);
            let place = map.lookup(logical).expect("mapped").get();
            self.write(place, offset, &[*byte]);
            let sum = sums::data_checksum(
                self.seed(),
                inode.number(),
                inode.generation.get(),
                LogicalBlock(logical),
                &self.read(place),
            );
            let per_block = sums::capacity(BLOCK);
            let sums_block = map.lookup(SUMS_BASE + logical / per_block).expect("mapped").get();
            let slot = BlockHeader::SIZE + (logical % per_block) as usize * 4;
            self.edit_block(sums_block, |block| block[slot..slot + 4].copy_from_slice(&sum.to_le_bytes()));
        }
    }

    /// The journal's block `index` on the device.
    pub fn log_block(&self, index: u64) -> u64 {
        self.sb().journal_start.get() + index
    }
}

/// A kind of block for [`BlockHeader::new`], by its magic.
pub fn kind(magic: &[u8; 4]) -> BlockKind {
    BlockKind { magic: u32::from_le_bytes(*magic), structure: Structure::Data }
}
