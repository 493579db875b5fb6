//! The structures of an image with their fields, so that one can be changed and everything that vouches for it sealed again.

use vexfs_device::{Device, MemDevice};
use vexfs_format::block_header::BlockHeader;
use vexfs_format::checksum::crc32c_around;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{self, CollectionDesc};
use vexfs_format::dir_block::{self, DirEntryHeader, DirIndexEntry};
use vexfs_format::extent::{Extent, ExtentIndex, NODE, SUMS_BASE};
use vexfs_format::field::FieldLayout;
use vexfs_format::group_desc::{self, GroupDesc};
use vexfs_format::inode::Inode;
use vexfs_format::journal::commit::{self, Chain, JournalCommit};
use vexfs_format::journal::descriptor::{self, JournalTag};
use vexfs_format::journal::revoke;
use vexfs_format::journal::superblock::JournalSuperblock;
use vexfs_format::superblock::{OFFSET, Superblock};
use vexfs_format::{BlockNo, GroupNo, InodeNo, Seed, TxnSeq, sums};
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::{BlockSource, OpenOptions, Volume, dir, inode};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A structure on the device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) name: &'static str,
    /// First byte of the structure.
    pub(crate) at: u64,
    pub(crate) fields: &'static [FieldLayout],
    /// The object that it belongs to; 0 for what belongs to the filesystem.
    pub(crate) owner: u64,
    seal: Seal,
}

impl Place {
    /// Whether it is part of the journal.
    pub(crate) fn is_in_log(&self) -> bool {
        matches!(self.seal, Seal::Log(_) | Seal::LoggedSuperblock(..) | Seal::JournalSuperblock)
    }
}

/// What vouches for a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seal {
    /// Its own checksum.
    Superblock,
    JournalSuperblock,
    Group(u64),
    /// That of the inode record at this byte.
    Inode(u64),
    /// That in the header of the block at this byte.
    Block(u64),
    /// That in the header, and the chain of its transaction.
    Log(u64),
    /// Its own, and that of the block in the log that it is the image of block 0 in: byte of the image, of its tag, and of
    /// the descriptor block.
    LoggedSuperblock(u64, u64, u64),
    /// That in the descriptor of group 0.
    BlockBitmap,
    InodeBitmap,
}

/// One field set to a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    pub(crate) place: usize,
    pub(crate) field: usize,
    /// Little-endian; fields longer than eight bytes have their first eight set.
    pub(crate) value: u64,
    /// Whether checksums are brought up to date.
    pub(crate) sealed: bool,
}

/// The changes that bytes stand for: two bytes place, one byte field and flag, eight bytes value.
pub(crate) fn changes(data: &[u8]) -> impl Iterator<Item = Change> + '_ {
    data.as_chunks::<11>().0.iter().map(|record| {
        let value = u64::from_le_bytes(std::array::from_fn(|n| record[n + 3]));
        let place = usize::from(u16::from_le_bytes([record[0], record[1]]));
        Change { place, field: usize::from(record[2] >> 1), value, sealed: record[2] & 1 == 1 }
    })
}

/// The reverse of [`changes`].
pub(crate) fn encode(change: Change) -> [u8; 11] {
    let mut record = [0; 11];
    record[..2].copy_from_slice(&(change.place as u16).to_le_bytes());
    record[2] = (change.field as u8) << 1 | u8::from(change.sealed);
    record[3..].copy_from_slice(&change.value.to_le_bytes());
    record
}

/// All structures of an image.
pub(crate) struct Places {
    pub(crate) all: Vec<Place>,
    seed: Seed,
    block_size: u64,
    journal: (u64, u64),
    bitmaps: [u64; 2],
    first_group: u64,
    log: Vec<u64>,
    /// Whose structures are being added.
    owner: u64,
}

/// Bytes of a bitmap, or numbers of a revoke block, as fields.
const WORD: &[FieldLayout] = &[FieldLayout { name: "word", offset: 0, size: 8 }];

/// A checksum of a data block, as a field.
const SUM: &[FieldLayout] = &[FieldLayout { name: "sum", offset: 0, size: 4 }];

impl Places {
    /// Finds the structures of a sound image.
    pub(crate) fn of(image: &MemDevice) -> Self {
        let volume = Volume::open(std::sync::Arc::new(image.fork()), &OpenOptions::default()).expect("sound");
        let sb = *volume.superblock();
        let block_size = u64::from(sb.block_size.get());
        let desc = inode::read_group(&volume, GroupNo(0)).expect("sound");
        let bitmaps = [desc.block_bitmap.get() * block_size, desc.inode_bitmap.get() * block_size];
        let journal = (sb.journal_start.get() * block_size, sb.journal_blocks.get());
        let first_group = sb.descriptor_table.get() * block_size;
        let mut places = Self {
            all: Vec::new(),
            seed: sb.seed(),
            block_size,
            journal,
            bitmaps,
            first_group,
            log: Vec::new(),
            owner: 0,
        };
        places.add("superblock", OFFSET as u64, Superblock::FIELDS, Seal::Superblock);
        for backup in volume.geometry().backups() {
            let at = backup.get() * block_size + OFFSET as u64;
            places.add("backup", at, Superblock::FIELDS, Seal::Superblock);
        }
        for group in 0..volume.geometry().groups {
            let at = first_group + group * GroupDesc::SIZE as u64;
            places.add("group", at, GroupDesc::FIELDS, Seal::Group(group));
        }
        places.add("block bitmap", bitmaps[0] + 190, WORD, Seal::BlockBitmap);
        places.add("inode bitmap", bitmaps[1] + 8, WORD, Seal::InodeBitmap);
        places.add("journal superblock", journal.0, JournalSuperblock::FIELDS, Seal::JournalSuperblock);
        places.add_log(image);
        // What lies at home while the log holds newer images is nobody's structure.
        if !volume.is_unclean() {
            places.add_objects(&volume);
        }
        places
    }

    fn add(&mut self, name: &'static str, at: u64, fields: &'static [FieldLayout], seal: Seal) {
        self.all.push(Place { name, at, fields, owner: self.owner, seal });
    }

    fn add_log(&mut self, image: &MemDevice) {
        for at in self.log(image) {
            let header = BlockHeader::peek(&self.read(image, at)).expect("a header");
            let body = at + BlockHeader::SIZE as u64;
            let magic = header.magic.get();
            let (name, fields, size) = match magic {
                m if m == descriptor::KIND.magic => ("tag", JournalTag::FIELDS, JournalTag::SIZE as u64),
                m if m == revoke::KIND.magic => ("revoked", WORD, 8),
                m if m == commit::KIND.magic => ("commit", JournalCommit::FIELDS, 0),
                _ => continue,
            };
            self.add("log header", at, BlockHeader::FIELDS, Seal::Log(at));
            self.add(name, body, fields, Seal::Log(at));
            if magic == descriptor::KIND.magic {
                self.add_logged_superblock(image, at, header.count.get().into());
            }
            if size > 0 && header.count.get() > 1 {
                self.add(name, body + size * u64::from(header.count.get() - 1), fields, Seal::Log(at));
            }
        }
    }

    /// The image of block 0 among the `count` images behind the descriptor block at `at`.
    fn add_logged_superblock(&mut self, image: &MemDevice, at: u64, count: u64) {
        let block = self.read(image, at);
        for n in 0..count {
            let tag = BlockHeader::SIZE + n as usize * JournalTag::SIZE;
            if JournalTag::read_from_prefix(&block[tag..]).expect("a tag").0.home.get() == 0 {
                let logged = at + (n + 1) * self.block_size;
                let seal = Seal::LoggedSuperblock(logged, at + tag as u64, at);
                self.add("logged superblock", logged + OFFSET as u64, Superblock::FIELDS, seal);
            }
        }
    }

    /// First bytes of the control blocks of transactions that are not home. The log of a golden image does not go round.
    fn log(&mut self, image: &MemDevice) -> Vec<u64> {
        let jsb = JournalSuperblock::read_from_prefix(&self.read(image, self.journal.0)).expect("its size").0;
        let magics = [descriptor::KIND, revoke::KIND, commit::KIND].map(|kind| kind.magic);
        let blocks = (1..self.journal.1).map(|index| self.journal.0 + index * self.block_size);
        self.log = blocks
            .filter(|at| {
                let header = BlockHeader::peek(&self.read(image, *at)).expect("a header");
                magics.contains(&header.magic.get()) && header.txn.get() >= jsb.tail_txn.get()
            })
            .collect();
        self.log.clone()
    }

    fn add_objects(&mut self, volume: &Volume) {
        let mut todo = vec![InodeNo::ROOT];
        // Files of many names are alike.
        let mut files = 0;
        while let Some(ino) = todo.pop() {
            let inode = inode::read(volume, ino).expect("sound");
            files += u32::from(inode.kind() == InodeKind::File);
            if inode.kind() == InodeKind::File && inode.size.get() == 0 && files > 3 {
                continue;
            }
            self.add_inode(volume, &inode);
            if inode.kind().is_directory_like() {
                todo.extend(dir::list(volume, &inode).expect("sound").into_iter().map(|entry| entry.inode));
            }
        }
    }

    fn add_inode(&mut self, volume: &Volume, inode: &Inode) {
        let place = inode::locate(volume, inode.number()).expect("sound");
        let at = place.block.get() * self.block_size + place.offset as u64;
        self.owner = inode.number().get();
        self.add("inode", at, Inode::FIELDS, Seal::Inode(at));
        let root = at + Inode::FIELDS.iter().find(|f| f.name == "root").expect("root").offset as u64;
        let is_leaf = inode.depth.get() == 0;
        for n in 0..u64::from(inode.root_count.get()) {
            let (name, fields) =
                if is_leaf { ("extent", Extent::FIELDS) } else { ("index entry", ExtentIndex::FIELDS) };
            self.add(name, root + n * Extent::SIZE as u64, fields, Seal::Inode(at));
        }
        let map = ExtentMap::load(volume, inode).expect("sound");
        for node in map.nodes() {
            self.add_block(volume, *node, NODE.magic);
        }
        if inode.descriptor.get() > 0 {
            self.add_block(volume, BlockNo(inode.descriptor.get()), collection::KIND.magic);
        }
        if inode.kind().is_directory_like() {
            for run in map.runs() {
                (run.start.get()..run.end())
                    .for_each(|b| self.add_block(volume, BlockNo(b), dir_block::KIND.magic));
            }
        } else {
            for run in map.range(SUMS_BASE, u64::MAX) {
                self.add_block(volume, run.start, sums::KIND.magic);
            }
        }
    }

    /// The header of a block and some of its entries.
    fn add_block(&mut self, volume: &Volume, block: BlockNo, magic: u32) {
        let at = block.get() * self.block_size;
        let bytes = volume.read_block(block).expect("sound");
        let header = BlockHeader::peek(&bytes).filter(|h| h.magic.get() == magic).expect("sound");
        let body = at + BlockHeader::SIZE as u64;
        let (level, count) = (header.level.get(), u64::from(header.count.get()));
        let kind = match magic {
            m if m == collection::KIND.magic => "header of a collection",
            m if m == dir_block::KIND.magic => "header of names",
            m if m == NODE.magic => "header of extents",
            _ => "header of checksums",
        };
        self.add(kind, at, BlockHeader::FIELDS, Seal::Block(at));
        if magic == collection::KIND.magic {
            return self.add("collection", body, CollectionDesc::FIELDS, Seal::Block(at));
        }
        let (name, fields, size) = match (magic == dir_block::KIND.magic, level) {
            (true, 0) => ("entry", DirEntryHeader::FIELDS, 0),
            (true, _) => ("directory index", DirIndexEntry::FIELDS, DirIndexEntry::SIZE),
            (false, 0) if magic == NODE.magic => ("extent", Extent::FIELDS, Extent::SIZE),
            (false, _) if magic == NODE.magic => ("index entry", ExtentIndex::FIELDS, ExtentIndex::SIZE),
            _ => ("checksum", SUM, 4),
        };
        if count > 0 {
            self.add(name, body, fields, Seal::Block(at));
        }
        if count > 1 && size > 0 {
            self.add(name, body + (count - 1) * size as u64, fields, Seal::Block(at));
        }
    }

    fn read(&self, image: &MemDevice, at: u64) -> Vec<u8> {
        let mut bytes = vec![0; self.block_size as usize];
        image.read_at(at, &mut bytes).expect("inside the image");
        bytes
    }

    /// The seed of the checksums.
    pub(crate) fn seed(&self) -> Seed {
        self.seed
    }

    /// The value of a field, and its size in bytes; of long fields the first eight.
    pub(crate) fn value(&self, image: &MemDevice, place: usize, field: usize) -> (u64, usize) {
        let place = &self.all[place];
        let field = &place.fields[field];
        let size = field.size.min(8);
        let mut bytes = [0; 8];
        image.read_at(place.at + field.offset as u64, &mut bytes[..size]).expect("inside the image");
        (u64::from_le_bytes(bytes), size)
    }

    /// Makes a change; one that names no field is passed over.
    pub(crate) fn change(&self, image: &MemDevice, change: Change) {
        let Some(place) = self.all.get(change.place) else { return };
        let Some(field) = place.fields.get(change.field) else { return };
        let size = field.size.min(8);
        self.set(image, place, field, &change.value.to_le_bytes()[..size], change.sealed);
    }

    /// Sets the first bytes of a field, and brings the checksums up to date if `sealed`.
    pub(crate) fn set(
        &self,
        image: &MemDevice,
        place: &Place,
        field: &FieldLayout,
        bytes: &[u8],
        sealed: bool,
    ) {
        image.write_at(place.at + field.offset as u64, bytes).expect("inside the image");
        // A checksum that is itself the field stays as it was set.
        if sealed && field.name != "checksum" {
            self.seal(image, place, field.name);
        }
    }

    /// Whether a structure belongs to the last transaction of the log.
    pub(crate) fn is_in_last_transaction(&self, image: &MemDevice, place: &Place) -> bool {
        let txn = |at: &u64| BlockHeader::peek(&self.read(image, *at)).expect("a header").txn.get();
        let last = self.log.iter().map(txn).max();
        match place.seal {
            Seal::Log(at) | Seal::LoggedSuperblock(_, _, at) => Some(txn(&at)) == last,
            _ => false,
        }
    }

    /// Whether the log holds a newer image of the block that a structure lies in.
    pub(crate) fn is_superseded(&self, image: &MemDevice, place: &Place) -> bool {
        match place.seal {
            Seal::LoggedSuperblock(..) => !self.is_in_last_transaction(image, place),
            Seal::Log(_) | Seal::JournalSuperblock => false,
            _ => self.logged_blocks(image).contains(&(place.at / self.block_size)),
        }
    }

    /// Blocks that the log holds images of.
    fn logged_blocks(&self, image: &MemDevice) -> Vec<u64> {
        let mut homes = Vec::new();
        for at in &self.log {
            let block = self.read(image, *at);
            let header = BlockHeader::peek(&block).expect("a header");
            if header.magic.get() == descriptor::KIND.magic {
                let tags = block[BlockHeader::SIZE..].chunks_exact(JournalTag::SIZE);
                let tags = tags.take(header.count.get() as usize);
                homes.extend(tags.map(|tag| JournalTag::read_from_bytes(tag).expect("a tag").home.get()));
            }
        }
        homes
    }

    fn seal(&self, image: &MemDevice, place: &Place, field: &str) {
        match place.seal {
            Seal::Superblock => self.seal_superblock(image, place.at),
            Seal::LoggedSuperblock(logged, tag, at) => {
                self.seal_superblock(image, place.at);
                let txn = BlockHeader::peek(&self.read(image, at)).expect("a header").txn.get();
                let bytes = self.read(image, logged);
                let sum = descriptor::image_checksum(self.seed, BlockNo(0), TxnSeq(txn), &bytes);
                self.edit::<JournalTag>(image, tag, |tag| tag.image_checksum = sum.into());
                self.seal_block(image, at);
                self.seal_chains(image);
            }
            Seal::JournalSuperblock => {
                let mut bytes = [0; JournalSuperblock::SIZE];
                image.read_at(place.at, &mut bytes).expect("inside the image");
                let jsb = JournalSuperblock::read_from_bytes(&bytes).expect("its size");
                let magic = vexfs_format::journal::superblock::MAGIC;
                let sum = self.seed.sum_around(magic, jsb.self_block.get(), 0, &bytes, 4);
                image.write_at(place.at + 4, &sum.to_le_bytes()).expect("inside the image");
            }
            Seal::Group(group) => self.edit::<GroupDesc>(image, self.group_at(group), |desc| {
                desc.seal(self.seed, GroupNo(group));
            }),
            Seal::Inode(at) => self.edit::<Inode>(image, at, |inode| inode.seal(self.seed)),
            Seal::Block(at) => self.seal_block(image, at),
            Seal::Log(at) => {
                self.seal_block(image, at);
                if field != "chain" {
                    self.seal_chains(image);
                }
            }
            Seal::BlockBitmap | Seal::InodeBitmap => {
                self.edit::<GroupDesc>(image, self.first_group, |desc| {
                    let group = GroupNo(0);
                    let [blocks, inodes] = self.bitmaps.map(|at| self.read(image, at));
                    desc.block_bitmap_checksum =
                        group_desc::block_bitmap_checksum(self.seed, group, &blocks).into();
                    desc.inode_bitmap_checksum =
                        group_desc::inode_bitmap_checksum(self.seed, group, &inodes).into();
                    desc.seal(self.seed, group);
                })
            }
        }
    }

    fn seal_superblock(&self, image: &MemDevice, at: u64) {
        let mut bytes = [0; Superblock::SIZE];
        image.read_at(at, &mut bytes).expect("inside the image");
        image.write_at(at + 8, &crc32c_around(&bytes, 8).to_le_bytes()).expect("inside the image");
    }

    fn group_at(&self, group: u64) -> u64 {
        self.first_group + group * GroupDesc::SIZE as u64
    }

    fn edit<T: FromBytes + IntoBytes + Immutable>(
        &self,
        image: &MemDevice,
        at: u64,
        change: impl FnOnce(&mut T),
    ) {
        let mut bytes = vec![0; size_of::<T>()];
        image.read_at(at, &mut bytes).expect("inside the image");
        let mut value = T::read_from_bytes(&bytes).expect("its size");
        change(&mut value);
        image.write_at(at, value.as_bytes()).expect("inside the image");
    }

    /// Computes the checksum of a block from the header it has.
    fn seal_block(&self, image: &MemDevice, at: u64) {
        let mut bytes = self.read(image, at);
        let header = BlockHeader::peek(&bytes).expect("room for a header");
        header.seal_into(&mut bytes, self.seed);
        image.write_at(at, &bytes).expect("inside the image");
    }

    /// Computes the chain of each transaction in the log anew.
    fn seal_chains(&self, image: &MemDevice) {
        let mut chain = Chain::default();
        for at in self.log.clone() {
            let bytes = self.read(image, at);
            let header = BlockHeader::peek(&bytes).expect("a header");
            if header.magic.get() == descriptor::KIND.magic || header.magic.get() == revoke::KIND.magic {
                chain.add(&bytes);
            } else if header.magic.get() == commit::KIND.magic {
                let body = at + BlockHeader::SIZE as u64;
                self.edit::<JournalCommit>(image, body, |commit| commit.chain = chain.value().into());
                self.seal_block(image, at);
                chain = Chain::default();
            }
        }
    }
}
