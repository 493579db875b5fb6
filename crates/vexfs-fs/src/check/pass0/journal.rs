//! The journal: its superblock, the committed transactions, and traces of one that was lost.

use vexfs_device::Device;
use vexfs_format::block_header::BlockHeader;
use vexfs_format::error::{At, Structure};
use vexfs_format::geometry::BlockRun;
use vexfs_format::journal::commit;
use vexfs_format::superblock::Superblock;
use vexfs_format::{BlockNo, InodeNo, TxnSeq};

use super::super::context::{Reporter, reason};
use super::super::problem::Problem;
use super::super::table;
use crate::error::{FsError, Result};
use crate::txn::replay::{self, Log};

/// Bytes of the log that are read at a time.
const CHUNK_BYTES: u64 = 1 << 20;

/// A log that holds nothing, where the journal is damaged: metadata is what lies home, and no transaction is too late.
pub(super) fn nothing() -> Log {
    Log { head: 1, tail: 1, next: TxnSeq(u64::MAX), ..Log::default() }
}

/// Reads the log; `None` when it is damaged.
pub(super) fn read(dev: &dyn Device, sb: &Superblock, reporter: &mut Reporter<'_>) -> Result<Option<Log>> {
    let run = sb.geometry().journal;
    match replay::scan(dev, sb) {
        Ok(log) => {
            look_for_lost(dev, sb, run, &log, reporter)?;
            Ok(Some(log))
        }
        Err(FsError::Corrupt(corrupt)) => {
            let kind = match corrupt.structure {
                Structure::JournalSuperblock => table::JOURNAL_SUPERBLOCK,
                _ => table::JOURNAL_TRANSACTION,
            };
            let block = if let At::Block(block) = corrupt.at { block } else { run.start };
            reporter.problem(Problem::new(kind).block(block).found(corrupt.damage))?;
            Ok(None)
        }
        Err(error) => {
            let problem = Problem::new(table::JOURNAL_UNREADABLE).blocks(run.start, run.len);
            reporter.problem(problem.found(reason(&error)))?;
            Ok(None)
        }
    }
}

/// Looks for a commit block of the transaction that the log ends before, or of a later one.
///
/// Everything of a transaction is durable before its commit block is written, so a log that ends before a committed transaction was
/// damaged, and the transaction, which was acknowledged, is lost.
fn look_for_lost(
    dev: &dyn Device,
    sb: &Superblock,
    run: BlockRun,
    log: &Log,
    reporter: &mut Reporter<'_>,
) -> Result<()> {
    let size = sb.block_size.get() as usize;
    let per_chunk = CHUNK_BYTES / size as u64;
    let mut first: Option<(u64, u64)> = None;
    let mut bytes = Vec::new();
    let mut index = 1;
    while index < run.len {
        let count = per_chunk.min(run.len - index);
        bytes.resize(count as usize * size, 0);
        let offset = (run.start + index).saturating_mul(size as u64);
        if dev.read_at(offset, &mut bytes).is_ok() {
            for (at, block) in (index..).zip(bytes.chunks_exact(size)) {
                let header = BlockHeader::decode(block, commit::KIND, BlockNo(at), InodeNo::NONE, sb.seed());
                if let Ok(header) = header
                    && header.txn.get() >= log.next.get()
                {
                    let found = (header.txn.get(), at);
                    first = Some(first.map_or(found, |first| first.min(found)));
                }
            }
        }
        index += count;
    }
    match first {
        Some((txn, at)) => {
            let problem = Problem::new(table::TRANSACTION_LOST).block(run.start + at);
            reporter.problem(problem.found(txn).expected(log.head))
        }
        None => Ok(()),
    }
}
