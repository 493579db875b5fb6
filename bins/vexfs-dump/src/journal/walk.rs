//! Reading the log transaction by transaction, as it lies on the device: what replay makes of it, and what it leaves aside.

use vexfs_device::Device;
use vexfs_format::journal::superblock::JournalSuperblock;
use vexfs_format::journal::{commit, descriptor, next_index, revoke};
use vexfs_format::superblock::Superblock;
use vexfs_format::{BlockNo, TxnSeq};
use vexfs_fs::FsError;

/// One transaction in the log.
#[derive(Debug)]
pub(super) struct LoggedTxn {
    pub(super) txn: TxnSeq,
    /// Index of its first log block within the journal.
    pub(super) index: u64,
    /// Log blocks, the commit block included.
    pub(super) log_blocks: u64,
    /// Time of the commit; `None` for a transaction without a commit block, which is not replayed.
    pub(super) committed_ns: Option<u64>,
    pub(super) images: Vec<LoggedImage>,
    pub(super) revoked: Vec<BlockNo>,
}

/// One image of a transaction.
#[derive(Debug)]
pub(super) struct LoggedImage {
    /// Block that receives it.
    pub(super) home: BlockNo,
    /// Block of the device it lies in.
    pub(super) at: BlockNo,
    /// Its bytes; `None` if they are not those that were logged.
    pub(super) bytes: Option<Vec<u8>>,
}

/// The journal superblock.
pub(super) fn superblock(dev: &dyn Device, sb: &Superblock) -> Result<JournalSuperblock, FsError> {
    let journal = sb.geometry().journal;
    let mut bytes = vec![0; JournalSuperblock::SIZE];
    dev.read_at(journal.start * u64::from(sb.block_size.get()), &mut bytes)?;
    Ok(JournalSuperblock::decode(&bytes, journal, sb.seed())?)
}

/// The transactions from the tail on; the last may be one that was never committed.
pub(super) fn transactions(
    dev: &dyn Device,
    sb: &Superblock,
    jsb: &JournalSuperblock,
) -> Result<Vec<LoggedTxn>, FsError> {
    let mut reader = Reader { dev, sb, index: jsb.tail.get(), room: sb.journal_blocks.get() - 1 };
    let mut next = TxnSeq(jsb.tail_txn.get());
    let mut found: Vec<LoggedTxn> = Vec::new();
    while let Some(logged) = reader.transaction(next)? {
        let is_committed = logged.committed_ns.is_some();
        found.push(logged);
        match next.checked_add(1) {
            Some(following) if is_committed => next = following,
            _ => break,
        }
    }
    Ok(found)
}

/// A place in the log that moves on with each block.
struct Reader<'a> {
    dev: &'a dyn Device,
    sb: &'a Superblock,
    index: u64,
    /// Log blocks not yet read: the ring is gone around once.
    room: u64,
}

impl Reader<'_> {
    fn device_block(&self) -> BlockNo {
        BlockNo(self.sb.journal_start.get() + self.index)
    }

    fn read(&self) -> Result<Vec<u8>, FsError> {
        let block_size = self.sb.block_size.get() as usize;
        let mut block = vec![0; block_size];
        self.dev.read_at(self.device_block().get() * block_size as u64, &mut block)?;
        Ok(block)
    }

    fn advance(&mut self) {
        self.index = next_index(self.index, self.sb.journal_blocks.get());
        self.room = self.room.saturating_sub(1);
    }

    /// The transaction `txn` at this place, or `None` if nothing of it is here.
    fn transaction(&mut self, txn: TxnSeq) -> Result<Option<LoggedTxn>, FsError> {
        let (seed, blocks) = (self.sb.seed(), self.sb.blocks.get());
        let (start, room) = (self.index, self.room);
        let mut found = LoggedTxn {
            txn,
            index: start,
            log_blocks: 0,
            committed_ns: None,
            images: Vec::new(),
            revoked: Vec::new(),
        };
        let mut chain = commit::Chain::default();
        while self.room > 0 {
            let block = self.read()?;
            if let Ok(tags) = descriptor::decode(&block, self.index, txn, blocks, seed) {
                chain.add(&block);
                self.advance();
                for tag in tags {
                    if self.room == 0 {
                        break;
                    }
                    let bytes = self.read()?;
                    let is_whole =
                        descriptor::image_checksum(seed, tag.home, txn, &bytes) == tag.image_checksum;
                    let (home, at) = (tag.home, self.device_block());
                    found.images.push(LoggedImage { home, at, bytes: is_whole.then_some(bytes) });
                    self.advance();
                }
            } else if let Ok(revoked) = revoke::decode(&block, self.index, txn, blocks, seed) {
                chain.add(&block);
                found.revoked.extend(revoked);
                self.advance();
            } else if let Ok(commit) = commit::decode(&block, self.index, txn, seed) {
                let is_whole = u64::from(commit.log_blocks.get()) == room - self.room
                    && commit.chain.get() == chain.value();
                found.committed_ns = is_whole.then_some(commit.time_ns.get());
                self.advance();
                break;
            } else {
                break;
            }
        }
        found.log_blocks = room - self.room;
        Ok((found.log_blocks > 0).then_some(found))
    }
}
