//! Pass 0: the superblock and the journal, without which nothing else is found.
//!
//! Verifies: the primary superblock, which is searched for if need be, every backup against it, the length of the device, the journal superblock, the committed
//! transactions, and that none was lost.
//!
//! Gathers: the superblock in force and the overlay, as a [`Volume`] that the other passes read through.

mod backups;
mod journal;
mod scan;

use std::sync::Arc;

use vexfs_device::Device;
use vexfs_format::features::{COMPAT_KNOWN, COMPAT_VECTOR_ZONE, RO_COMPAT_KNOWN};
use vexfs_format::superblock::{self, STATE_ERRORS, Superblock};
use vexfs_format::{BlockNo, FormatError, InodeNo};

use super::CheckOptions;
use super::context::{Reporter, reason};
use super::problem::Problem;
use super::table;
use crate::error::{FsError, Result};
use crate::probe;
use crate::txn::replay;
use crate::volume::{OpenOptions, OpenReport, Volume};

pub(super) fn run(
    dev: Arc<dyn Device>,
    options: &CheckOptions,
    reporter: &mut Reporter<'_>,
) -> Result<Volume> {
    reporter.progress(0, 0, 1)?;
    let open = OpenOptions {
        superblock: options.superblock,
        block_size: options.block_size,
        ..OpenOptions::default()
    };
    let (sb, found) = match probe::find_superblock(&*dev, &open) {
        Ok(found) => found,
        Err(error) => search(&*dev, options, reporter, error)?,
    };
    reporter.block_size = sb.block_size.get().into();
    let used = found.backup.as_ref().map_or(sb.self_block.get(), |(block, _)| block.get());
    reporter.report.backup = Some(BlockNo(used)).filter(|block| block.get() > 0);

    if !is_corrected(&dev, &sb) {
        check_length(&*dev, &sb, reporter)?;
    }
    let log = journal::read(&*dev, &sb, reporter)?;
    let has_journal = log.is_some();
    let mut volume = Volume::for_check(dev, sb, log.unwrap_or_else(journal::nothing));
    reporter.report.replayed = volume.report().replayed;
    let mut is_current = reporter.report.backup.is_none();
    is_current |= take_image(&mut volume, options, reporter)?;
    match (&found.backup, options.superblock) {
        // A replay restores the primary from the journal.
        (Some((block, damage)), _) if !is_current => {
            let problem = Problem::new(table::PRIMARY_DAMAGED).block(0).byte(superblock::OFFSET as u64);
            reporter.problem(problem.found(damage).other(block.get()))?;
        }
        (None, Some(block)) => backups::check_primary(&volume, block, reporter)?,
        _ => {}
    }
    if is_current && has_journal {
        let (txn, next) = (volume.sb.txn.get(), volume.next_txn().get());
        if txn >= next {
            reporter.problem(Problem::new(table::TXN_AHEAD).block(0).found(txn).expected(next))?;
        }
    }
    check_fields(&volume.sb, reporter)?;
    check_root(&mut volume.sb, reporter)?;
    backups::check(&volume, reporter)?;
    reporter.report.summary.blocks = volume.sb.blocks.get();
    reporter.report.summary.inodes = volume.sb.inodes.get();
    reporter.progress(0, 1, 1)?;
    Ok(volume)
}

/// Searches all of the device for a superblock, where that is wanted and `error` says that there is none in its place.
fn search(
    dev: &dyn Device,
    options: &CheckOptions,
    reporter: &mut Reporter<'_>,
    error: FsError,
) -> Result<(Superblock, OpenReport)> {
    let FsError::NotVexfs { reason: damage, .. } = &error else { return Err(error) };
    if !options.search || options.superblock.is_some() {
        return Err(error);
    }
    reporter.note("neither the superblock nor a backup is in its place: searching all of the device")?;
    match scan::find(dev, reporter)? {
        Some((sb, block)) => {
            Ok((sb, OpenReport { backup: Some((block, damage.clone())), ..OpenReport::default() }))
        }
        None => Err(error),
    }
}

fn check_length(dev: &dyn Device, sb: &Superblock, reporter: &mut Reporter<'_>) -> Result<()> {
    let need = sb.blocks.get().saturating_mul(sb.block_size.get().into());
    if dev.len() < need {
        reporter.problem(Problem::new(table::DEVICE_SHORT).found(dev.len()).expected(need))?;
    }
    Ok(())
}

/// Whether the journal holds a superblock that does not go beyond the device, as the one at home does.
fn is_corrected(dev: &Arc<dyn Device>, sb: &Superblock) -> bool {
    let is_short = |sb: &Superblock| probe::check_length(&**dev, sb).is_err();
    if !is_short(sb) {
        return false;
    }
    let log = replay::scan(&**dev, sb).ok();
    let image = log.map(|log| Volume::for_check(dev.clone(), *sb, log).superblock_in_log());
    matches!(image, Some(Ok(Some(image))) if !is_short(&image))
}

/// Takes the superblock that the journal holds, the one in force. Returns whether there is one, and it is sound.
fn take_image(volume: &mut Volume, options: &CheckOptions, reporter: &mut Reporter<'_>) -> Result<bool> {
    match volume.superblock_in_log() {
        Ok(None) => Ok(false),
        Ok(Some(sb)) => {
            let (before, now) = (volume.sb.blocks.get(), sb.blocks.get());
            volume.sb = sb;
            if before != now {
                check_length(&*volume.dev.clone(), &sb, reporter)?;
            }
            if options.superblock.is_none() {
                reporter.report.backup = None;
            }
            Ok(true)
        }
        Err(e @ FsError::Incompatible(_)) => Err(e),
        Err(e) => {
            reporter.problem(Problem::new(table::SUPERBLOCK_IMAGE).block(0).found(reason(&e)))?;
            Ok(false)
        }
    }
}

/// What [`Superblock::decode`] accepts and no writer stores.
fn check_fields(sb: &Superblock, reporter: &mut Reporter<'_>) -> Result<()> {
    let primary = |kind| Problem::new(kind).block(0).byte(superblock::OFFSET as u64);
    let state = sb.state.get();
    if state & !STATE_ERRORS != 0 {
        reporter.problem(primary(table::STATE_BITS).found(state))?;
    }
    if state & STATE_ERRORS != 0 {
        reporter.report.marked_damaged = true;
        // A repair marks the filesystem itself.
        if !reporter.is_again() {
            reporter.problem(primary(table::MARKED_DAMAGED).found(sb.error_count.get()))?;
        }
    }
    let is_set = sb.feature_compat.get() & COMPAT_VECTOR_ZONE != 0;
    if is_set != (sb.zone_blocks.get() > 0) {
        let text = if is_set { "set" } else { "not set" };
        reporter.problem(primary(table::ZONE_FEATURE).found(text).expected(sb.zone_blocks.get()))?;
    }
    let features = sb.features();
    if features.compat & !COMPAT_KNOWN != 0 || features.ro_compat & !RO_COMPAT_KNOWN != 0 {
        reporter.problem(primary(table::UNKNOWN_FEATURES).found(features.names().join(", ")))?;
    }
    Ok(())
}

/// The inode of the root directory, which every formatter stores; the check goes on with that.
fn check_root(sb: &mut Superblock, reporter: &mut Reporter<'_>) -> Result<()> {
    let at = |kind| Problem::new(kind).block(0).byte(superblock::OFFSET as u64);
    let (found, expected) = (sb.root_inode.get(), InodeNo::ROOT.get());
    if found != expected {
        reporter.problem(at(table::ROOT_NUMBER).found(found).expected(expected))?;
        sb.root_inode = expected.into();
    }
    Ok(())
}

/// What is wrong with the bytes of a superblock, in words; a format that is too new is an error.
fn damage(error: FsError) -> Result<String> {
    match error {
        FsError::Incompatible(e) => Err(FormatError::Incompatible(e).into()),
        other => Ok(reason(&other)),
    }
}
