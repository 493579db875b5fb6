//! Many small repairs in few transactions.

use vexfs_device::{DeviceError, IoOp};
use vexfs_format::superblock::STATE_ERRORS;
use zerocopy::little_endian::U32;

use super::super::context::{Context, Reporter};
use super::super::problem::Problem;
use crate::error::{FsError, Result};
use crate::txn::transaction::Transaction;
use crate::volume::Volume;

/// Repairs that are tried together.
const BATCH: usize = 128;

/// Makes the repair of each of `accepted`, and notes that it was made.
///
/// # Errors
/// As [`run`].
pub(super) fn apply(
    ctx: &mut Context<'_>,
    accepted: &[Problem],
    repair: impl FnMut(&mut Transaction<'_>, &Problem) -> Result<()>,
) -> Result<()> {
    if accepted.is_empty() {
        return Ok(());
    }
    settle(ctx, accepted)?;
    run(&mut ctx.volume, &mut ctx.reporter, accepted, repair)
}

/// Notes that the repair of these problems is made from here on; the first one marks the filesystem as damaged until all is done.
///
/// # Errors
/// Device errors.
pub(super) fn settle(ctx: &mut Context<'_>, accepted: &[Problem]) -> Result<()> {
    if let Some(ledger) = ctx.reporter.ledger() {
        ledger.settle(accepted);
    }
    if accepted.is_empty() || ctx.volume.sb.state.get() & STATE_ERRORS != 0 {
        return Ok(());
    }
    let mut txn = ctx.volume.begin()?;
    txn.sb.state = U32::new(txn.sb.state.get() | STATE_ERRORS);
    txn.stage_superblock()?;
    txn.commit()
}

/// Makes the repairs `units`, several in one transaction; where one of them fails, those of its batch are made one by one. A repair
/// that cannot be made is said and left.
///
/// # Errors
/// Device errors on writing, and the wish of the observer to stop. Nothing of an unfinished transaction is visible.
pub(super) fn run<T>(
    volume: &mut Volume,
    reporter: &mut Reporter<'_>,
    units: &[T],
    mut repair: impl FnMut(&mut Transaction<'_>, &T) -> Result<()>,
) -> Result<()> {
    for batch in units.chunks(BATCH) {
        reporter.progress_again()?;
        if batch.len() > 1 {
            match commit(volume, batch, &mut repair) {
                Ok(()) => continue,
                Err(error) if is_fatal(volume, &error) => return Err(error),
                Err(_) => {}
            }
        }
        for unit in batch {
            match commit(volume, std::slice::from_ref(unit), &mut repair) {
                Ok(()) => {}
                Err(error) if is_fatal(volume, &error) => return Err(error),
                Err(error) => reporter.note(format!("a repair cannot be made: {error}"))?,
            }
        }
    }
    Ok(())
}

/// Whether the run ends with this error: when the device does not take what is written, nobody knows what is durable.
fn is_fatal(volume: &Volume, error: &FsError) -> bool {
    let is_write = |error: &DeviceError| !matches!(error, DeviceError::Io { op: IoOp::Read, .. });
    match error {
        FsError::Interrupted | FsError::ReadOnly { .. } => true,
        FsError::Device(error) => volume.poisoned || is_write(error),
        _ => volume.poisoned,
    }
}

fn commit<T>(
    volume: &mut Volume,
    units: &[T],
    repair: &mut impl FnMut(&mut Transaction<'_>, &T) -> Result<()>,
) -> Result<()> {
    let mut txn = volume.begin()?;
    txn.use_reserve();
    for unit in units {
        repair(&mut txn, unit)?;
    }
    txn.commit()
}
