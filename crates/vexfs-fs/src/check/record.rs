//! Writing down the outcome of a check in the superblock, by a transaction that changes nothing else.

use vexfs_format::superblock::STATE_ERRORS;
use zerocopy::little_endian::{U32, U64};

use super::CheckReport;
use crate::error::Result;
use crate::txn::transaction::Transaction;
use crate::volume::Volume;

/// Notes that a complete check found nothing: its time, and that no damage is known.
///
/// # Errors
/// Those of [`Volume::begin`] and [`Transaction::commit`].
pub fn clean(volume: &mut Volume) -> Result<()> {
    let mut txn = volume.begin()?;
    let state = txn.sb.state.get() & !STATE_ERRORS;
    txn.sb.state = U32::new(state);
    txn.sb.checked_ns = U64::new(txn.now_ns());
    txn.sb.error_count = U64::new(0);
    txn.sb.error_ns = U64::new(0);
    txn.sb.error_block = U64::new(0);
    commit(txn)
}

/// Takes back the mark of a repair that has come to its end, where nothing was met before it.
///
/// # Errors
/// Those of [`Volume::begin`] and [`Transaction::commit`].
pub(super) fn unmark(volume: &mut Volume) -> Result<()> {
    let mut txn = volume.begin()?;
    txn.sb.state = U32::new(txn.sb.state.get() & !STATE_ERRORS);
    commit(txn)
}

/// Marks the filesystem as damaged, so that no check takes it for clean before it is repaired.
///
/// # Errors
/// Those of [`Volume::begin`] and [`Transaction::commit`].
pub fn damaged(volume: &mut Volume, report: &CheckReport) -> Result<()> {
    let mut txn = volume.begin()?;
    let state = txn.sb.state.get() | STATE_ERRORS;
    txn.sb.state = U32::new(state);
    txn.sb.error_count = U64::new(txn.sb.error_count.get().saturating_add(1));
    txn.sb.error_ns = U64::new(txn.now_ns());
    txn.sb.error_block = U64::new(report.first_block.unwrap_or(0));
    commit(txn)
}

fn commit(mut txn: Transaction<'_>) -> Result<()> {
    txn.stage_superblock()?;
    txn.commit()
}
