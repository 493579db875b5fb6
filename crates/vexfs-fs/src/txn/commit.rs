//! Commit: from staged images to a durable transaction in the journal.

use std::collections::BTreeMap;
use std::sync::Arc;

use vexfs_format::journal::{commit, descriptor, next_index, revoke};
use vexfs_format::superblock;
use vexfs_format::{BlockNo, TxnSeq};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::replay::ring_distance;
use super::transaction::Transaction;
use crate::error::{FsError, Result};
use crate::source::BlockSource;
use crate::volume::{Pending, Volume};

/// Committed bytes that may wait in memory for their checkpoint.
const PENDING_BYTES: usize = 16 << 20;

impl Transaction<'_> {
    /// Makes the transaction durable.
    ///
    /// # Durability
    /// When it returns `Ok`, the new state survives any crash. Before that, a crash leaves the old state; while the commit
    /// block is on its way, one of the two.
    ///
    /// # Errors
    /// [`FsError::TransactionTooLarge`] with nothing written; device errors, after which the volume refuses further
    /// transactions because nobody knows whether this one is durable.
    pub fn commit(mut self) -> Result<()> {
        self.settle_frees()?;
        self.stage_groups()?;
        if self.staged.is_empty() {
            return Ok(());
        }
        self.stage_superblock()?;
        let Self { volume, sb, staged, revoked, .. } = self;
        let revoked: Vec<BlockNo> = revoked.into_iter().collect();
        let needed = log_blocks_needed(staged.len(), revoked.len(), volume.block_size());
        let capacity = sb.journal_blocks.get() - 1;
        if needed > capacity {
            return Err(FsError::TransactionTooLarge { needed, capacity });
        }
        if needed > capacity - volume.log_used() {
            volume.checkpoint()?;
        }
        let written = volume.write_log(&staged, &revoked, needed);
        if written.is_err() {
            volume.poisoned = true;
            return written;
        }
        for block in revoked {
            volume.journal.pending.remove(&block);
        }
        let images = staged.into_iter().map(|(home, bytes)| (home, Pending::Bytes(bytes)));
        volume.journal.pending.extend(images);
        volume.cache_clear();
        volume.sb = sb;
        if volume.journal.pending.len() * volume.block_size() > PENDING_BYTES {
            volume.checkpoint()?;
        }
        Ok(())
    }

    /// Stages the superblock with its counters, and everything else that a transaction changes in it.
    pub(crate) fn stage_superblock(&mut self) -> Result<()> {
        self.sb.txn = U64::new(self.seq().get());
        self.sb.written_ns = U64::new(self.now_ns());
        self.sb.seal();
        let mut block = vec![0; self.block_size()];
        block[superblock::OFFSET..superblock::OFFSET + self.sb.as_bytes().len()]
            .copy_from_slice(self.sb.as_bytes());
        self.stage(BlockNo(0), block);
        Ok(())
    }
}

/// Log blocks of a transaction, commit block included.
fn log_blocks_needed(images: usize, revoked: usize, block_size: usize) -> u64 {
    let descriptors = images.div_ceil(descriptor::capacity(block_size));
    let revokes = revoked.div_ceil(revoke::capacity(block_size));
    (revokes + descriptors + images + 1) as u64
}

impl Volume {
    fn log_used(&self) -> u64 {
        let blocks = self.sb.journal_blocks.get();
        if self.journal.used { ring_distance(self.journal.tail, self.journal.head, blocks) } else { 0 }
    }

    fn write_log(
        &mut self,
        staged: &BTreeMap<BlockNo, Arc<[u8]>>,
        revoked: &[BlockNo],
        needed: u64,
    ) -> Result<()> {
        let (txn, seed, block_size) = (self.journal.next, self.sb.seed(), self.block_size());
        let mut log = LogWriter::new(self);
        let mut chain = commit::Chain::default();
        for part in revoked.chunks(revoke::capacity(block_size)) {
            let block = revoke::encode(part, log.index, txn, block_size, seed);
            chain.add(&block);
            log.push(&block)?;
        }
        let images: Vec<(&BlockNo, &Arc<[u8]>)> = staged.iter().collect();
        for part in images.chunks(descriptor::capacity(block_size)) {
            let tags: Vec<descriptor::Tag> = part
                .iter()
                .map(|(home, image)| descriptor::Tag {
                    home: **home,
                    image_checksum: descriptor::image_checksum(seed, **home, txn, image),
                })
                .collect();
            let block = descriptor::encode(&tags, log.index, txn, block_size, seed);
            chain.add(&block);
            log.push(&block)?;
            for (_, image) in part {
                log.push(image)?;
            }
        }
        log.write_out()?;
        let index = log.index;
        self.dev.flush()?;
        let body = commit::JournalCommit {
            log_blocks: U32::new((needed - 1) as u32),
            chain: U32::new(chain.value()),
            time_ns: U64::new(self.now_ns),
        };
        let block = commit::encode(&body, index, txn, block_size, seed);
        self.dev.write_at(self.offset(BlockNo(self.sb.journal_start.get() + index)), &block)?;
        self.dev.flush()?;
        self.journal.head = next_index(index, self.sb.journal_blocks.get());
        self.journal.next = TxnSeq(txn.get() + 1);
        self.journal.used = true;
        Ok(())
    }
}

/// Gathers neighbouring log blocks into large writes.
struct LogWriter<'a> {
    volume: &'a Volume,
    /// Index of the next log block.
    index: u64,
    /// Index of the first block in `buffer`.
    first: u64,
    buffer: Vec<u8>,
}

/// Bytes that are gathered before they are written.
const LOG_WRITE_BYTES: usize = 1 << 20;

impl<'a> LogWriter<'a> {
    fn new(volume: &'a Volume) -> Self {
        Self { volume, index: volume.journal.head, first: volume.journal.head, buffer: Vec::new() }
    }

    fn push(&mut self, block: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(block);
        let next = next_index(self.index, self.volume.sb.journal_blocks.get());
        let wraps = next != self.index + 1;
        self.index = next;
        if wraps || self.buffer.len() >= LOG_WRITE_BYTES {
            self.write_out()?;
        }
        Ok(())
    }

    fn write_out(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            let start = BlockNo(self.volume.sb.journal_start.get() + self.first);
            self.volume.dev.write_at(self.volume.offset(start), &self.buffer)?;
            self.buffer.clear();
        }
        self.first = self.index;
        Ok(())
    }
}
