//! Replay: read the log from its tail and say which images are committed and not revoked.
//!
//! Nothing is written here. A volume opened for reading keeps the result as an overlay and reads images from the log;
//! one opened for writing copies them home first ([`super::checkpoint`]).

use std::collections::HashMap;

use vexfs_device::Device;
use vexfs_format::error::{At, Corrupt, Damage, Structure};
use vexfs_format::journal::{commit, descriptor, next_index, revoke, superblock::JournalSuperblock};
use vexfs_format::superblock::Superblock;
use vexfs_format::{BlockNo, TxnSeq};

use crate::error::Result;

/// A committed image in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogImage {
    /// Block of the device that holds the image.
    pub at: BlockNo,
    /// Its checksum ([`descriptor::image_checksum`]).
    pub checksum: u32,
    /// The transaction it belongs to.
    pub txn: TxnSeq,
}

/// What the log holds.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// Latest image of each block that has to go home.
    pub images: HashMap<BlockNo, LogImage>,
    /// Number of committed transactions from the tail on.
    pub transactions: u64,
    /// Index where the next transaction is written.
    pub head: u64,
    /// Sequence number of the next transaction.
    pub next: TxnSeq,
    /// Index of the oldest log block still needed.
    pub tail: u64,
}

/// One transaction as it lies in the log.
struct Scanned {
    images: Vec<(BlockNo, LogImage)>,
    revoked: Vec<BlockNo>,
    next_index: u64,
}

/// Reads the log of a journal.
///
/// # Errors
/// Device errors; [`Corrupt`] when the journal superblock, or a block of a transaction whose commit block is sound, is
/// damaged: a crash cannot do that, because everything before the commit block was durable before it was written.
pub fn scan(dev: &dyn Device, sb: &Superblock) -> Result<Log> {
    let geometry = sb.geometry();
    let block_size = u64::from(sb.block_size.get());
    let mut head = vec![0; JournalSuperblock::SIZE];
    dev.read_at(geometry.journal.start * block_size, &mut head)?;
    let jsb = JournalSuperblock::decode(&head, geometry.journal, sb.seed())?;
    let reader = LogReader { dev, sb };
    let mut log = Log {
        head: jsb.tail.get(),
        tail: jsb.tail.get(),
        next: TxnSeq(jsb.tail_txn.get()),
        ..Log::default()
    };
    let mut used = 0;
    while let Some(txn) = reader.read_transaction(log.head, log.next, geometry.journal.len - 1 - used)? {
        for (home, image) in txn.images {
            log.images.insert(home, image);
        }
        for block in txn.revoked {
            log.images.remove(&block);
        }
        used += ring_distance(log.head, txn.next_index, geometry.journal.len);
        log.head = txn.next_index;
        log.next = TxnSeq(log.next.get().saturating_add(1));
        log.transactions += 1;
    }
    Ok(log)
}

/// Log blocks from index `from` to index `to`; a full ring when they are equal.
pub(crate) fn ring_distance(from: u64, to: u64, journal_blocks: u64) -> u64 {
    let ring = journal_blocks - 1;
    match (to + ring - from) % ring {
        0 => ring,
        n => n,
    }
}

struct LogReader<'a> {
    dev: &'a dyn Device,
    sb: &'a Superblock,
}

impl LogReader<'_> {
    fn read(&self, index: u64) -> Result<Vec<u8>> {
        let block_size = self.sb.block_size.get() as usize;
        let mut block = vec![0; block_size];
        self.dev.read_at((self.sb.journal_start.get() + index) * block_size as u64, &mut block)?;
        Ok(block)
    }

    /// The transaction `txn` that begins at `index`, or `None` when there is no committed one; `room` bounds its length.
    fn read_transaction(&self, index: u64, txn: TxnSeq, room: u64) -> Result<Option<Scanned>> {
        let (seed, blocks) = (self.sb.seed(), self.sb.blocks.get());
        let journal = self.sb.geometry().journal;
        let mut at = index;
        let mut read = 0;
        let mut chain = commit::Chain::default();
        let mut found = Scanned { images: Vec::new(), revoked: Vec::new(), next_index: 0 };
        while read < room {
            let block = self.read(at)?;
            if let Ok(tags) = descriptor::decode(&block, at, txn, blocks, seed) {
                chain.add(&block);
                at = next_index(at, journal.len);
                for tag in tags {
                    let image =
                        LogImage { at: BlockNo(journal.start + at), checksum: tag.image_checksum, txn };
                    found.images.push((tag.home, image));
                    at = next_index(at, journal.len);
                    read += 1;
                }
            } else if let Ok(revoked) = revoke::decode(&block, at, txn, blocks, seed) {
                chain.add(&block);
                found.revoked.extend(revoked);
                at = next_index(at, journal.len);
            } else if let Ok(commit) = commit::decode(&block, at, txn, seed) {
                if u64::from(commit.log_blocks.get()) != read || commit.chain.get() != chain.value() {
                    let damage = Damage::Field {
                        name: "chain",
                        found: commit.chain.get().into(),
                        expected: "that of the blocks of the transaction",
                    };
                    return Err(self.corrupt(Structure::JournalCommit, at, damage));
                }
                found.next_index = next_index(at, journal.len);
                self.check_images(&found)?;
                return Ok(Some(found));
            } else {
                return Ok(None);
            }
            read += 1;
        }
        Ok(None)
    }

    fn check_images(&self, txn: &Scanned) -> Result<()> {
        for (home, image) in &txn.images {
            let index = image.at.get() - self.sb.journal_start.get();
            let computed = descriptor::image_checksum(self.sb.seed(), *home, image.txn, &self.read(index)?);
            if computed != image.checksum {
                let damage = Damage::Checksum { stored: image.checksum, computed };
                return Err(self.corrupt(Structure::JournalData, index, damage));
            }
        }
        Ok(())
    }

    fn corrupt(&self, structure: Structure, index: u64, damage: Damage) -> crate::FsError {
        Corrupt::new(structure, At::Block(self.sb.journal_start.get() + index), damage).into()
    }
}
