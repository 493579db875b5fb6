//! Pass 0: the primary superblock and the journal, which no transaction can mend.
//!
//! # Durability
//! First what is sound in the log goes home, then the superblock, then the journal superblock, each durable before the next. A crash in
//! between leaves a journal that is damaged as before, or empty; the same repair brings the same images home again, which changes
//! nothing.

use vexfs_format::journal::superblock::JournalSuperblock;
use vexfs_format::superblock::{self, STATE_ERRORS, Superblock};
use vexfs_format::{BlockNo, TxnSeq};
use zerocopy::IntoBytes;
use zerocopy::little_endian::{U32, U64};

use super::super::context::Context;
use super::super::problem::{Fix, Kind, Preen};
use super::super::table;
use super::salvage::{Ring, TXN_MAX};
use crate::error::{FsError, Result};
use crate::probe;
use crate::volume::Volume;

/// Repairs what was decided of superblock and journal. Returns whether anything was.
pub(super) fn repair(ctx: &mut Context<'_>, now_ns: u64) -> Result<bool> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Superblock, Fix::Journal]);
    if accepted.is_empty() {
        return Ok(false);
    }
    if ctx.volume.dev.is_read_only() {
        return Err(FsError::ReadOnly { device: ctx.volume.dev.name().to_owned() });
    }
    // A device that was cut off, or a format that may only be read, is not written.
    if probe::check_length(&*ctx.volume.dev, &ctx.volume.sb).is_err()
        || ctx.volume.sb.features().check_writable().is_err()
    {
        return Ok(false);
    }
    let is_journal = accepted.iter().any(|problem| problem.kind.fix == Fix::Journal);
    if is_journal {
        // The transactions of an older log are not brought home: the superblock has seen later ones.
        let is_older = accepted.iter().any(|problem| problem.kind == table::TXN_AHEAD);
        begin_log(ctx, None, is_older, now_ns)?;
    } else {
        let last = ctx.volume.next_txn().get().saturating_sub(1);
        let sb = ctx.volume.sb;
        write_primary(&ctx.volume, sb, sb.txn.get().min(last), now_ns)?;
    }
    if let Some(ledger) = ctx.reporter.ledger() {
        ledger.settle(&accepted);
    }
    Ok(true)
}

/// Whether something was found, and not repaired, with which no transaction can be made; kinds that `passes` are passed over.
pub(super) fn is_blocked(ctx: &Context<'_>, passes: impl Fn(&Kind) -> bool) -> bool {
    let accepted = ctx.reporter.accepted();
    ctx.reporter.report.counts.keys().any(|&code| {
        let kind = table::ALL.iter().find(|kind| kind.code == code);
        let blocks = |kind: &&Kind| {
            kind.code.pass == 0
                && kind.preen == Preen::Stop
                && !matches!(kind.fix, Fix::Layout)
                && !passes(kind)
        };
        kind.is_some_and(blocks) && accepted.iter().all(|problem| problem.code() != code)
    })
}

/// Brings home what is sound in the log, and begins a new one behind all that was ever written. The superblock is the `right` one, or
/// else the last one in the log.
pub(super) fn begin_log(
    ctx: &mut Context<'_>,
    right: Option<Superblock>,
    is_older: bool,
    now_ns: u64,
) -> Result<()> {
    let dev = ctx.volume.dev.clone();
    let mut sb = right.unwrap_or(ctx.volume.sb);
    let (run, size) = (sb.geometry().journal, u64::from(sb.block_size.get()));
    let ring = Ring::read(&*dev, &sb);
    let mut head = vec![0; JournalSuperblock::SIZE];
    let jsb = dev.read_at(run.start * size, &mut head).ok();
    let jsb = jsb.and_then(|()| JournalSuperblock::decode(&head, run, sb.seed()).ok());
    let first = match &jsb {
        _ if is_older => u64::MAX,
        Some(jsb) => jsb.tail_txn.get(),
        // Without the place where the log begins, the transactions that end with the latest: to bring them home again changes nothing.
        None => ring.unbroken_from(),
    };
    let images = ring.images(&*dev, &sb, first);
    let mut last = ring.highest.max(jsb.map_or(0, |jsb| jsb.tail_txn.get()));
    if sb.txn.get() < TXN_MAX {
        last = last.max(sb.txn.get());
    }
    last = last.min(TXN_MAX - 1);
    let mut brought = 0_u64;
    for (home, bytes) in &images {
        if home.get() == 0 {
            let found = Superblock::decode(&bytes[superblock::OFFSET..], Some(BlockNo(0)));
            let is_wanted = |found: &Superblock| right.is_none() && found.same_filesystem(&sb);
            sb = found.ok().filter(is_wanted).unwrap_or(sb);
        } else if home.get() < sb.blocks.get() {
            dev.write_at(home.get() * size, bytes)?;
            brought += 1;
        }
    }
    dev.flush()?;
    write_primary(&ctx.volume, sb, last, now_ns)?;
    for index in ring.absurd {
        dev.zero((run.start + index) * size, size)?;
    }
    let jsb = JournalSuperblock::empty(run, 1, TxnSeq(last + 1), sb.seed());
    let mut block = vec![0; size as usize];
    block[..JournalSuperblock::SIZE].copy_from_slice(jsb.as_bytes());
    dev.write_at(run.start * size, &block)?;
    dev.flush()?;
    ctx.volume.cache_clear();
    if brought > 0 {
        let which = if right.is_some() { "" } else { "damaged " };
        ctx.reporter.note(format!("{brought} sound blocks of the {which}journal were brought home"))?;
    }
    Ok(())
}

/// Writes `sb` as the primary superblock, marked as damaged: its counters may be those of another day.
pub(super) fn write_primary(volume: &Volume, mut sb: Superblock, txn: u64, now_ns: u64) -> Result<()> {
    sb.self_block = U64::new(0);
    sb.txn = U64::new(txn);
    sb.state = U32::new(sb.state.get() | STATE_ERRORS);
    sb.written_ns = U64::new(now_ns);
    sb.seal();
    let mut block = vec![0; sb.block_size.get() as usize];
    block[superblock::OFFSET..superblock::OFFSET + Superblock::SIZE].copy_from_slice(sb.as_bytes());
    volume.dev.write_at(0, &block)?;
    volume.dev.flush()?;
    Ok(())
}
