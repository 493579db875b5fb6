//! The course of a repair: rounds of checking, each up to the first part of a pass that finds something to mend.

use std::sync::Arc;

use vexfs_device::Device;

use super::super::context::Context;
use super::super::problem::{Fix, Problem};
use super::super::usage::{Occupied, Usage};
use super::super::{
    CheckOptions, CheckReport, DataLevel, Observer, pass1, pass2, pass3, pass4, pass5, record,
};
use super::{Ledger, Reindex, RepairOptions, RepairReport};
use super::{
    connect, contents, derived, directories, groups, indexes, layout, mapping, raw, records, streams,
};
use crate::error::{FsError, Result};
use crate::extents::ExtentMap;
use crate::volume::{OpenOptions, Volume};

/// Rounds after which what is left is left.
const MAX_ROUNDS: u32 = 40;

/// How a round ended.
enum Outcome {
    /// Something was mended, and the check begins anew.
    Again,
    /// The round came to its end.
    Done(Box<CheckReport>),
}

/// Checks the filesystem on `dev` and repairs what is found, as `options.mode` decides.
///
/// # Durability
/// Whatever was repaired when this returns is durable. After a crash at any point, the same repair comes to the same end.
///
/// # Errors
/// Those of [`super::super::check`]; device errors on writing, [`FsError::ReadOnly`]. [`FsError::Interrupted`] when the observer broke off:
/// what was repaired before stays repaired, and the filesystem is marked as damaged.
pub fn repair(
    dev: Arc<dyn Device>,
    options: &RepairOptions,
    observer: &mut dyn Observer,
) -> Result<RepairReport> {
    let mut ledger = Ledger::new(options.mode);
    let mut course = Course { options, check: options.check.clone(), replayed: 0, is_whole: false };
    let found = loop {
        if ledger.begin_round() == MAX_ROUNDS {
            ledger.freeze();
        }
        match course.round(dev.clone(), &mut ledger, observer) {
            Ok(Outcome::Again) => {}
            Ok(Outcome::Done(report)) => break *report,
            Err(FsError::Interrupted) if ledger.stopped().is_some() => break CheckReport::default(),
            Err(error) => return Err(error),
        }
    };
    let report = RepairReport {
        check: found,
        repaired: ledger.repaired(),
        left: ledger.left(),
        stopped: ledger.stopped(),
        replayed: course.replayed,
    };
    let is_clean = report.is_clean() && !ledger.is_full();
    course.write_down(dev, &report, is_clean, observer)?;
    Ok(report)
}

struct Course<'a> {
    options: &'a RepairOptions,
    /// How this round checks: from the second one on, by the primary superblock.
    check: CheckOptions,
    replayed: u64,
    /// Whether superblock and journal are such that transactions can be made.
    is_whole: bool,
}

impl Course<'_> {
    fn round(
        &mut self,
        dev: Arc<dyn Device>,
        ledger: &mut Ledger,
        observer: &mut dyn Observer,
    ) -> Result<Outcome> {
        self.is_whole = false;
        let mut ctx = Context::open(dev, &self.check, observer, Some(ledger))?;
        if raw::repair(&mut ctx, self.options.now_ns)? || layout::repair(&mut ctx)? {
            self.check = CheckOptions { superblock: None, block_size: None, ..self.check.clone() };
            return Ok(Outcome::Again);
        }
        self.open_for_writing(&mut ctx)?;
        if self.is_whole && self.check.superblock.take().is_some() {
            // The primary superblock is sound, and of the same filesystem: from here on it is the one in force.
            return Ok(Outcome::Again);
        }
        layout::repair_fields(&mut ctx)?;
        self.passes(&mut ctx)
    }

    fn passes(&self, ctx: &mut Context<'_>) -> Result<Outcome> {
        let total = ctx.group_count();
        ctx.progress(1, 0, total)?;
        pass1::read_groups(ctx)?;
        if groups::repair_places(ctx)? {
            return again(ctx);
        }
        pass1::read_tables(ctx)?;
        if wants(ctx, &[Fix::Group, Fix::Record, Fix::Mapping, Fix::Descriptor]) {
            occupy(ctx);
            groups::repair(ctx)?;
            records::repair(ctx)?;
            mapping::repair(ctx)?;
            streams::repair_descriptors(ctx)?;
            return again(ctx);
        }
        pass2::run(ctx)?;
        if wants(ctx, &[Fix::Record, Fix::Mapping, Fix::Descriptor, Fix::Directory, Fix::Parent]) {
            occupy(ctx);
            records::repair(ctx)?;
            mapping::repair(ctx)?;
            streams::repair_descriptors(ctx)?;
            directories::repair(ctx)?;
            return again(ctx);
        }
        pass3::run(ctx)?;
        if wants(ctx, &[Fix::Tree]) {
            occupy(ctx);
            connect::repair(ctx)?;
            return again(ctx);
        }
        pass4::run(ctx)?;
        connect::repair_links(ctx)?;
        let mut steps = pass5::check_groups(ctx)?;
        derived::repair(ctx)?;
        if wants(ctx, &[Fix::Record]) {
            occupy(ctx);
            records::repair(ctx)?;
            return again(ctx);
        }
        pass5::check_streams(ctx)?;
        if wants(ctx, &[Fix::Rows]) {
            occupy(ctx);
            streams::repair(ctx)?;
            return again(ctx);
        }
        pass5::check_contents(ctx, &mut steps)?;
        if wants(ctx, &[Fix::Rows, Fix::Contents]) {
            occupy(ctx);
            contents::repair(ctx)?;
            return again(ctx);
        }
        // Last of all: an index is built from rows that are as they will stay.
        pass5::check_indexes(ctx)?;
        if self.options.reindex == Reindex::All {
            indexes::ask_for_all(ctx)?;
        }
        if wants(ctx, &[Fix::Index]) {
            // Bitmaps that were found to be right need no help, and learn what one index after the other sets free.
            if ctx.reporter.has_left() {
                occupy(ctx);
            }
            indexes::repair(ctx, self.options)?;
            return again(ctx);
        }
        ctx.volume.checkpoint_if_used()?;
        Ok(Outcome::Done(Box::new(ctx.take_report())))
    }

    /// Makes the volume writable, if superblock and journal are sound.
    fn open_for_writing(&mut self, ctx: &mut Context<'_>) -> Result<()> {
        self.replayed = self.replayed.max(ctx.volume.report().replayed);
        self.is_whole = !raw::is_blocked(ctx, |_| false);
        if self.is_whole {
            match ctx.volume.begin_repair(self.options.now_ns) {
                Ok(()) => return Ok(()),
                Err(error @ (FsError::Incompatible(_) | FsError::DeviceTooShort { .. })) => {
                    ctx.reporter.note(format!("nothing is repaired: {error}"))?;
                    self.is_whole = false;
                }
                Err(error) => return Err(error),
            }
        }
        ctx.reporter.drop_accepted();
        if let Some(ledger) = ctx.reporter.ledger() {
            ledger.freeze();
        }
        Ok(())
    }

    /// Writes the outcome into the superblock.
    fn write_down(
        &self,
        dev: Arc<dyn Device>,
        report: &RepairReport,
        is_clean: bool,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        if !self.is_whole {
            return Ok(());
        }
        let open = OpenOptions { write: true, now_ns: self.options.now_ns, ..OpenOptions::default() };
        let mut volume = Volume::open(dev, &open)?;
        if !is_clean {
            record::damaged(&mut volume, &report.check)?;
            return volume.close();
        }
        // The damage that was met before may be in what was not read.
        let has_met = volume.sb.error_count.get() > 0;
        let is_complete = match self.options.check.data {
            DataLevel::None => false,
            DataLevel::Meta => !has_met,
            DataLevel::Full => true,
        };
        if is_complete {
            record::clean(&mut volume)?;
        } else if has_met {
            let text = "it stays marked as damaged: only reading all data finds out whether that is mended";
            let _ = observer.note(text.to_owned());
        } else {
            record::unmark(&mut volume)?;
        }
        volume.close()
    }
}

/// Whether something is to be repaired in one of these ways.
fn wants(ctx: &Context<'_>, fixes: &[Fix]) -> bool {
    ctx.reporter.accepted().iter().any(|problem: &Problem| fixes.contains(&problem.kind.fix))
}

fn again(ctx: &mut Context<'_>) -> Result<Outcome> {
    ctx.volume.checkpoint_if_used()?;
    Ok(Outcome::Again)
}

/// From here on nothing that was found to be in use is given to anybody else.
fn occupy(ctx: &mut Context<'_>) {
    let empty = Usage::new(&ctx.geometry);
    let mut blocks = std::mem::replace(&mut ctx.usage, empty);
    let (mut inodes, mut kept) = (Vec::with_capacity(ctx.inodes.len()), Vec::new());
    for index in 0..ctx.inodes.len() {
        let info = *ctx.inodes.at(index);
        if info.is_used() {
            inodes.push(info.number);
            continue;
        }
        kept.push(info.number);
        if let Some(inode) = ctx.read_inode(info.number)
            && let Ok(map) = ExtentMap::load(&ctx.volume, &inode)
        {
            for run in map.runs() {
                blocks
                    .claim(vexfs_format::geometry::BlockRun { start: run.start.get(), len: run.len.into() });
            }
        }
    }
    if ctx.shared.has_given_up() {
        blocks.claim_everything();
    }
    ctx.volume.occupied = Some(Occupied { blocks, inodes, kept });
}
