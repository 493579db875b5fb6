//! What the data of files and streams reads as in an image, and the checksums that say the same.

use std::ops::Range;

use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{
    STREAM_DELETED, STREAM_IDS, STREAM_KEY_ENDS, STREAM_KEY_HASHES, STREAM_KEYS, STREAM_PAYLOAD,
    STREAM_PAYLOAD_ENDS, STREAM_ROW_SUMS, row_checksum,
};
use vexfs_format::dir_block::name_hash;
use vexfs_format::extent::SUMS_BASE;
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, InodeNo, LogicalBlock, TxnSeq, sums};

use super::Image;
use crate::check::extent_walk::Extents;
use crate::collection::Collection;
use crate::collection::append::KEY_MAX;
use crate::error::Result;
use crate::index::files;
use crate::source::BlockSource;
use crate::view::FileView;
use crate::volume::Volume;
use crate::{dir, inode};

/// Bytes at the end of an index image that say what it is of.
const TRAILER_BYTES: u64 = 1024;

/// What a stream is to its collection, as far as it matters for what may be seen of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Vectors, files, and whatever is not known: reads as zeros.
    Blank,
    /// Ids, ends, deletions, descriptions of indexes: stays as it is.
    Kept,
    /// Checksums of rows: those of rows of zeros.
    RowSums {
        /// The checksum of such a row.
        zero: u32,
    },
    /// Payload: an empty object in place of each.
    Payload {
        /// The stream of where each ends.
        ends: InodeNo,
    },
    /// Keys: others of the same length where names are hidden.
    Keys {
        /// The stream of where each ends.
        ends: InodeNo,
    },
    /// Hashes of the keys.
    KeyHashes {
        /// The stream of keys.
        keys: InodeNo,
        /// The stream of where each ends.
        ends: InodeNo,
    },
    /// An index image: only its trailer stays.
    IndexImage,
}

impl Image<'_> {
    /// Finds out what the streams of all collections are.
    pub(super) fn find_roles(&mut self) -> Result<()> {
        let geometry = self.volume.geometry();
        for group in (0..geometry.groups).map(vexfs_format::GroupNo) {
            let Ok(desc) = inode::read_group(self.volume, group) else { continue };
            let used = geometry.inodes_per_group.saturating_sub(desc.unused_inodes.get().into());
            let first = group.get() * geometry.inodes_per_group + 1;
            for ino in (first..first + used).map(InodeNo) {
                let collection = inode::read(self.volume, ino)
                    .ok()
                    .filter(|inode| inode.kind() == InodeKind::Collection)
                    .and_then(|inode| Collection::from_inode(self.volume, "", inode).ok());
                if let Some(collection) = collection {
                    self.stream_roles(&collection);
                }
            }
            self.stop_if_asked()?;
        }
        Ok(())
    }

    fn stream_roles(&mut self, collection: &Collection) {
        let seed = self.volume.seed();
        let number = |name: &str| {
            let stream = collection.stream(self.volume, name).ok().flatten();
            stream.map(|inode| inode.number())
        };
        let row = vec![0; usize::try_from(collection.desc.row_bytes()).unwrap_or(0)];
        let zero = row_checksum(seed, collection.inode.number(), &row);
        let key_ends = number(STREAM_KEY_ENDS);
        let roles = [
            (STREAM_IDS, Some(Role::Kept)),
            (STREAM_KEY_ENDS, Some(Role::Kept)),
            (STREAM_PAYLOAD_ENDS, Some(Role::Kept)),
            (STREAM_DELETED, Some(Role::Kept)),
            (STREAM_ROW_SUMS, Some(Role::RowSums { zero })),
            (STREAM_PAYLOAD, number(STREAM_PAYLOAD_ENDS).map(|ends| Role::Payload { ends })),
            (STREAM_KEYS, key_ends.map(|ends| Role::Keys { ends })),
            (
                STREAM_KEY_HASHES,
                number(STREAM_KEYS).zip(key_ends).map(|(keys, ends)| Role::KeyHashes { keys, ends }),
            ),
        ];
        for (name, role) in roles {
            if let Some((ino, role)) = number(name).zip(role) {
                self.roles.insert(ino, role);
            }
        }
        let index = collection.index_directory.and_then(|ino| inode::read(self.volume, ino).ok());
        let entries = index.and_then(|index| dir::list(self.volume, &index).ok()).unwrap_or_default();
        for entry in entries {
            let role = match std::str::from_utf8(&entry.name).ok().and_then(files::parse_name) {
                Some((_, files::Role::Part(_))) => Role::IndexImage,
                Some(_) => Role::Kept,
                None => Role::Blank,
            };
            self.roles.insert(entry.inode, role);
        }
    }

    /// Writes what the data of a file or stream reads as.
    pub(super) fn contents(&mut self, inode: &Inode, extents: &Extents, role: Role) -> Result<()> {
        let (volume, size) = (self.volume, inode.size.get());
        let names = self.names.clone();
        match role {
            Role::Blank => self.rewrite(inode, extents, |_, _| {}),
            Role::Kept => self.copy_all(extents),
            Role::Keys { .. } | Role::KeyHashes { .. } if names.is_none() => self.copy_all(extents),
            Role::RowSums { zero } => self.rewrite(inode, extents, |at, block| {
                let bytes = (size.saturating_sub(at) as usize).min(block.len()) / 4 * 4;
                block[..bytes].chunks_exact_mut(4).for_each(|sum| sum.copy_from_slice(&zero.to_le_bytes()));
            }),
            Role::IndexImage => {
                let trailer = volume.view(inode).ok().and_then(|view| {
                    let start = size.saturating_sub(TRAILER_BYTES);
                    view.bytes(start..size).ok().map(<[u8]>::to_vec)
                });
                let trailer = trailer.unwrap_or_default();
                let start = size - trailer.len() as u64;
                self.rewrite(inode, extents, |at, block| overlay(block, at, start, &trailer))
            }
            Role::Payload { ends } => {
                let mut texts = Texts::open(volume, ends);
                self.rewrite(inode, extents, |at, block| {
                    let end = at + block.len() as u64;
                    texts.within(at, end, |text| {
                        for byte in text.start.max(at)..text.end.min(end) {
                            block[(byte - at) as usize] = match byte {
                                first if first == text.start => b'{',
                                last if last + 1 == text.end => b'}',
                                _ => b' ',
                            };
                        }
                    });
                })
            }
            Role::Keys { ends } => {
                let mut texts = Texts::open(volume, ends);
                let keys = volume.view(inode).ok();
                self.rewrite(inode, extents, |at, block| {
                    texts.within(at, at + block.len() as u64, |text| {
                        if let Some((key, names)) = key_at(keys.as_ref(), text).zip(names.as_ref()) {
                            overlay(block, at, text.start, &names.name(key));
                        }
                    });
                })
            }
            Role::KeyHashes { keys, ends } => {
                let mut texts = Texts::open(volume, ends);
                let keys = inode::read(volume, keys).and_then(|keys| volume.view(&keys)).ok();
                let hash_key = volume.superblock().hash_key;
                self.rewrite(inode, extents, |at, block| {
                    let len = (size.saturating_sub(at) as usize).min(block.len());
                    for slot in block[..len].chunks_exact_mut(8) {
                        let Some(text) = texts.next() else { return };
                        if let Some((key, names)) = key_at(keys.as_ref(), &text).zip(names.as_ref()) {
                            slot.copy_from_slice(&name_hash(&hash_key, &names.name(key)).to_le_bytes());
                        }
                    }
                })
            }
        }
    }

    /// Writes the target of a symbolic link that does not lie in its inode.
    pub(super) fn target(&mut self, inode: &Inode, extents: &Extents) -> Result<()> {
        let target = self.volume.view(inode).and_then(|view| view.all().map(<[u8]>::to_vec));
        let hidden = match (&self.names, target) {
            (Some(names), Ok(target)) => names.path(&target),
            // A target is text: something has to stand there.
            _ => vec![b'?'; inode.size.get() as usize],
        };
        self.rewrite(inode, extents, |at, block| overlay(block, at, 0, &hidden))
    }

    /// Writes data that `fill` makes, from the first block to the last, and its checksum blocks.
    ///
    /// `fill` is given the first byte of a block in the file, and zeros to write to.
    fn rewrite(
        &mut self,
        inode: &Inode,
        extents: &Extents,
        mut fill: impl FnMut(u64, &mut [u8]),
    ) -> Result<()> {
        let (block_size, seed) = (self.volume.block_size(), self.volume.seed());
        let (ino, generation) = (inode.number(), inode.generation.get());
        let blocks = inode.size.get().div_ceil(block_size as u64);
        let capacity = sums::capacity(block_size);
        let mut block = vec![0; block_size];
        for (logical, start, len) in extents.range(SUMS_BASE, SUMS_BASE * 2) {
            for (index, place) in (logical - SUMS_BASE..).zip(start..start + len) {
                self.stop_if_asked()?;
                let first = index.saturating_mul(capacity);
                let mut covered = Vec::new();
                for logical in first..first.saturating_add(capacity).min(blocks) {
                    block.fill(0);
                    fill(logical * block_size as u64, &mut block);
                    covered.push(sums::data_checksum(seed, ino, generation, LogicalBlock(logical), &block));
                    if let Some(place) = extents.lookup(logical) {
                        self.put(place, &block)?;
                    }
                }
                let txn = TxnSeq(inode.txn.get());
                let sums = sums::encode(&covered, BlockNo(place), ino, index, txn, block_size, seed);
                self.put(place, &sums)?;
            }
        }
        Ok(())
    }
}

/// A key, unless it is damaged: no key is longer than a writer makes them.
fn key_at<'v>(keys: Option<&'v FileView>, text: &Range<u64>) -> Option<&'v [u8]> {
    keys.filter(|_| text.end - text.start <= KEY_MAX as u64)?.bytes(text.clone()).ok()
}

/// Puts the part of `bytes`, which begin at byte `start` of a file, into the block of it that begins at `at`.
fn overlay(block: &mut [u8], at: u64, start: u64, bytes: &[u8]) {
    let end = start.saturating_add(bytes.len() as u64).min(at + block.len() as u64);
    let from = start.max(at);
    if from < end {
        let part = &bytes[(from - start) as usize..(end - start) as usize];
        block[(from - at) as usize..(end - at) as usize].copy_from_slice(part);
    }
}

/// Texts one behind the other, as their stream of ends tells. One that falls is the last.
struct Texts {
    ends: Option<FileView>,
    next_row: u64,
    /// The text that is being looked at.
    current: Option<Range<u64>>,
}

impl Texts {
    fn open(volume: &Volume, ends: InodeNo) -> Self {
        let ends = inode::read(volume, ends).and_then(|inode| volume.view(&inode)).ok();
        Self { ends, next_row: 0, current: None }
    }

    /// The next text.
    fn next(&mut self) -> Option<Range<u64>> {
        let start = self.current.as_ref().map_or(0, |text| text.end);
        let at = self.next_row.checked_mul(8)?;
        let bytes = self.ends.as_ref()?.bytes(at..at.checked_add(8)?).ok()?;
        let end = u64::from_le_bytes(*bytes.first_chunk()?);
        if end < start {
            self.ends = None;
            return None;
        }
        self.next_row += 1;
        self.current = Some(start..end);
        self.current.clone()
    }

    /// Visits the texts that have bytes from `at` to `end`; `at` rises from call to call.
    fn within(&mut self, at: u64, end: u64, mut visit: impl FnMut(&Range<u64>)) {
        if self.current.is_none() {
            self.next();
        }
        while let Some(text) = self.current.clone().filter(|text| text.start < end) {
            if text.end > at {
                visit(&text);
            }
            if text.end > end || self.next().is_none() {
                return;
            }
        }
    }
}
