//! What is left in the ring of the log: every image of a committed transaction that was not overwritten yet, brought home or not.
//!
//! Metadata reaches its home by way of the log only. So the latest image of a block in the ring is what the block held when it was
//! last written, and a damaged block can be had from there while the ring still holds it.

use std::collections::{BTreeMap, HashMap};

use vexfs_device::Device;
use vexfs_format::block_header::BlockHeader;
use vexfs_format::journal::{commit, descriptor, next_index, revoke};
use vexfs_format::superblock::Superblock;
use vexfs_format::{BlockNo, TxnSeq};

/// An image in the ring.
#[derive(Clone, Copy, Debug)]
struct Image {
    home: BlockNo,
    /// Index of its block in the journal.
    index: u64,
    checksum: u32,
}

/// What was found of one transaction.
#[derive(Debug, Default)]
struct Found {
    images: Vec<Image>,
    revoked: Vec<BlockNo>,
    /// Log blocks that were found, without the commit block.
    blocks: u64,
    /// Log blocks that the commit block counts; `None` without a commit block.
    committed: Option<u64>,
}

impl Found {
    fn is_complete(&self) -> bool {
        self.committed == Some(self.blocks)
    }
}

/// The transactions of the ring.
#[derive(Debug, Default)]
pub(super) struct Ring {
    txns: BTreeMap<u64, Found>,
    /// The highest sequence number in any sound block.
    pub(super) highest: u64,
    /// Blocks of the journal, by index, with a sequence number that no writer comes to.
    pub(super) absurd: Vec<u64>,
}

/// Sequence numbers beyond this one are not those of a writer, who would need thousands of years to come to them. A log that went on
/// from one would come to the end of the numbers, which the journal superblock sets.
pub(super) const TXN_MAX: u64 = 1 << 48;

impl Ring {
    /// Reads the whole log of `sb`; blocks that cannot be read are left out.
    pub(super) fn read(dev: &dyn Device, sb: &Superblock) -> Self {
        let mut ring = Self::default();
        let run = sb.geometry().journal;
        let size = sb.block_size.get() as usize;
        let mut block = vec![0; size];
        let (seed, blocks) = (sb.seed(), sb.blocks.get());
        for index in 1..run.len {
            let Some(offset) = run.start.checked_add(index).and_then(|b| b.checked_mul(size as u64)) else {
                break;
            };
            if dev.read_at(offset, &mut block).is_err() {
                continue;
            }
            let Some(header) = BlockHeader::peek(&block) else { continue };
            let number = header.txn.get();
            let txn = TxnSeq(number);
            let mut found = Found::default();
            if let Ok(tags) = descriptor::decode(&block, index, txn, blocks, seed) {
                let mut at = index;
                for tag in &tags {
                    at = next_index(at, run.len);
                    found.images.push(Image { home: tag.home, index: at, checksum: tag.image_checksum });
                }
                found.blocks = 1 + tags.len() as u64;
            } else if let Ok(revoked) = revoke::decode(&block, index, txn, blocks, seed) {
                (found.revoked, found.blocks) = (revoked, 1);
            } else if let Ok(body) = commit::decode(&block, index, txn, seed) {
                found.committed = Some(body.log_blocks.get().into());
            } else {
                continue;
            }
            if number > TXN_MAX {
                ring.absurd.push(index);
                continue;
            }
            ring.highest = ring.highest.max(number);
            let entry = ring.txns.entry(number).or_default();
            entry.images.append(&mut found.images);
            entry.revoked.append(&mut found.revoked);
            entry.blocks += found.blocks;
            entry.committed = entry.committed.or(found.committed);
        }
        ring
    }

    /// The first of the committed transactions, one behind the other and complete, that end with the latest one.
    pub(super) fn unbroken_from(&self) -> u64 {
        let mut from = self.highest + 1;
        for (&txn, found) in self.txns.iter().rev().filter(|(_, found)| found.committed.is_some()) {
            if !found.is_complete() || (from <= self.highest && txn + 1 != from) {
                break;
            }
            from = txn;
        }
        from
    }

    /// What the committed transactions from `first` on leave in each block, as far as it is sound, unless it is home already.
    pub(super) fn images(&self, dev: &dyn Device, sb: &Superblock, first: u64) -> BTreeMap<BlockNo, Vec<u8>> {
        let size = u64::from(sb.block_size.get());
        let journal = sb.geometry().journal;
        let mut latest: BTreeMap<BlockNo, Vec<u8>> = BTreeMap::new();
        for (&txn, found) in self.txns.range(first..) {
            for image in &found.images {
                if (journal.start..journal.end()).contains(&image.home.get()) {
                    continue;
                }
                let is_committed = found.committed.is_some();
                if let Some(bytes) = sound(dev, sb, image, txn).filter(|_| is_committed) {
                    latest.insert(image.home, bytes);
                    continue;
                }
                // Damaged in the log, or its commit block is; it may have reached its home before.
                let mut home = vec![0; size as usize];
                let is_home = dev.read_at(image.home.get() * size, &mut home).is_ok()
                    && descriptor::image_checksum(sb.seed(), image.home, TxnSeq(txn), &home)
                        == image.checksum;
                if is_home {
                    latest.remove(&image.home);
                }
            }
            for block in found.revoked.iter().filter(|_| found.committed.is_some()) {
                latest.remove(block);
            }
        }
        latest
    }

    /// The latest image of each block, of complete and of incomplete transactions: whoever uses one proves that it fits.
    pub(super) fn latest(&self) -> Latest {
        let mut latest = Latest::default();
        for (&txn, found) in self.txns.iter().filter(|(_, found)| found.committed.is_some()) {
            for image in &found.images {
                latest.images.insert(image.home, (*image, txn));
            }
            for block in &found.revoked {
                latest.images.remove(block);
            }
        }
        latest
    }
}

/// Where the latest image of each block lies in the ring.
#[derive(Debug, Default)]
pub(super) struct Latest {
    images: HashMap<BlockNo, (Image, u64)>,
}

impl Latest {
    /// The blocks that the ring holds images of, the last written ones first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = BlockNo> + use<> {
        let mut homes: Vec<(u64, BlockNo)> =
            self.images.iter().map(|(home, (_, txn))| (*txn, *home)).collect();
        homes.sort_unstable_by_key(|(txn, home)| (u64::MAX - txn, home.get()));
        homes.into_iter().map(|(_, home)| home)
    }

    /// The latest image of block `home`, if the ring holds it whole.
    pub(super) fn of(&self, dev: &dyn Device, sb: &Superblock, home: BlockNo) -> Option<Vec<u8>> {
        let (image, txn) = self.images.get(&home)?;
        sound(dev, sb, image, *txn)
    }
}

fn sound(dev: &dyn Device, sb: &Superblock, image: &Image, txn: u64) -> Option<Vec<u8>> {
    let size = u64::from(sb.block_size.get());
    let mut bytes = vec![0; size as usize];
    dev.read_at((sb.journal_start.get() + image.index) * size, &mut bytes).ok()?;
    let computed = descriptor::image_checksum(sb.seed(), image.home, TxnSeq(txn), &bytes);
    (computed == image.checksum).then_some(bytes)
}
