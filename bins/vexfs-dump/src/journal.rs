//! `journal`: the state of the journal, and the transactions in it.

mod walk;

use serde::Serialize;
use vexfs_cli::clock::format_time;
use vexfs_cli::output::json::Schema;
use vexfs_fs::BlockSource;

use crate::block_use::BlockUses;
use crate::dump::Dump;
use walk::LoggedTxn;

const SCHEMA: Schema = Schema::new("vexfs-dump-journal", 1);

#[derive(Debug, Serialize)]
struct JournalInfo {
    /// First block on the device.
    start: u64,
    blocks: u64,
    /// Nothing in it is waiting to go home.
    clean: bool,
    /// Index of the log block where the oldest transaction that is not home begins, and that transaction.
    tail: u64,
    tail_transaction: u64,
    /// Transaction that comes next.
    next_transaction: u64,
    /// Log blocks in use.
    used_blocks: u64,
    transactions: Vec<TxnInfo>,
}

#[derive(Debug, Serialize)]
struct TxnInfo {
    transaction: u64,
    /// Index of its first log block within the journal.
    index: u64,
    log_blocks: u64,
    /// Whether it counts; one that does not was cut off by a crash.
    committed: bool,
    committed_ns: Option<u64>,
    images: Vec<ImageInfo>,
    /// Blocks whose older images are not replayed.
    revoked: Vec<u64>,
}

#[derive(Debug, Serialize)]
struct ImageInfo {
    /// Block that receives the image.
    home: u64,
    /// Block of the journal it lies in.
    at: u64,
    /// What the block is.
    what: String,
    intact: bool,
}

/// Prints the journal.
pub(crate) fn show(dump: &mut Dump<'_>) -> anyhow::Result<()> {
    let dev = dump.volume.device().clone();
    let sb = *dump.volume.superblock();
    let run = dump.volume.geometry().journal;
    let jsb = walk::superblock(&*dev, &sb);
    let Some(jsb) = dump.intact("journal", jsb)? else { return Ok(()) };
    let logged = walk::transactions(&*dev, &sb, &jsb);
    let logged = dump.intact("journal", logged)?.unwrap_or_default();
    let mut info = JournalInfo {
        start: run.start,
        blocks: run.len,
        clean: !logged.iter().any(|txn| txn.committed_ns.is_some()),
        tail: jsb.tail.get(),
        tail_transaction: jsb.tail_txn.get(),
        next_transaction: dump.volume.next_txn().get(),
        used_blocks: logged.iter().filter(|t| t.committed_ns.is_some()).map(|t| t.log_blocks).sum(),
        transactions: Vec::new(),
    };
    let uses = BlockUses::of(&dump.volume);
    for txn in &logged {
        let txn = TxnInfo::of(dump, &uses, txn);
        info.transactions.push(txn);
    }
    if dump.json { dump.document(SCHEMA, &info) } else { info.write_text(dump) }
}

impl TxnInfo {
    fn of(dump: &mut Dump<'_>, uses: &BlockUses, logged: &LoggedTxn) -> Self {
        let mut images = Vec::new();
        for image in &logged.images {
            let intact = image.bytes.is_some();
            // A transaction that was cut off is expected to have lost some.
            if !intact && logged.committed_ns.is_some() {
                dump.damage(format!(
                    "transaction {}: the image of block {} in block {} is damaged",
                    logged.txn, image.home, image.at
                ));
            }
            let what = uses.describe(image.home, image.bytes.as_deref());
            images.push(ImageInfo { home: image.home.get(), at: image.at.get(), what, intact });
        }
        Self {
            transaction: logged.txn.get(),
            index: logged.index,
            log_blocks: logged.log_blocks,
            committed: logged.committed_ns.is_some(),
            committed_ns: logged.committed_ns,
            images,
            revoked: logged.revoked.iter().map(|block| block.get()).collect(),
        }
    }
}

impl JournalInfo {
    fn write_text(&self, dump: &mut Dump<'_>) -> anyhow::Result<()> {
        let state = if self.clean { "clean" } else { "transactions wait to go home" };
        dump.fields(&[
            ("Journal", format!("blocks {}-{} ({})", self.start, self.start + self.blocks - 1, self.blocks)),
            ("State", state.to_owned()),
            ("Tail", format!("log block {}, transaction {}", self.tail, self.tail_transaction)),
            ("Next transaction", self.next_transaction.to_string()),
            ("Log blocks in use", format!("{} of {}", self.used_blocks, self.blocks - 1)),
        ])?;
        for txn in &self.transactions {
            let state = match txn.committed_ns {
                Some(time) => format!("committed {}", format_time(time)),
                None => "not committed, not replayed".to_owned(),
            };
            dump.out.line(format_args!(
                "Transaction {} at log block {}, {} blocks, {state}",
                txn.transaction, txn.index, txn.log_blocks
            ))?;
            for image in &txn.images {
                let damaged = if image.intact { "" } else { ", damaged" };
                dump.out.line(format_args!(
                    "  block {} from {}: {}{damaged}",
                    image.home, image.at, image.what
                ))?;
            }
            for block in &txn.revoked {
                dump.out.line(format_args!("  block {block} revoked"))?;
            }
        }
        Ok(())
    }
}
