//! The work of `fsck.vexfs`: replay, look, check and repair, say.

use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::thread;

use anyhow::{Context, anyhow};
use vexfs_cli::args::OutputArgs;
use vexfs_cli::{FsckStatus, Interrupted, Output, Report, Usage, WithHint, clock, signals};
use vexfs_device::Device;
use vexfs_format::BlockNo;
use vexfs_format::error::Incompatible;
use vexfs_fs::check::quick::{self, Look};
use vexfs_fs::check::repair::{self, Mode, RepairOptions};
use vexfs_fs::check::{self, CheckOptions, CheckReport, DataLevel, Summary};
use vexfs_fs::{FsError, OpenOptions, Volume};

use crate::args::{Args, Data};
use crate::json::{Document, JsonSummary, Outcome};
use crate::meter::CountingDevice;
use crate::place::Place;
use crate::print::{state, summary_line};
use crate::progress_fd::ProgressFd;
use crate::repair_to::LostRun;
use crate::watch::{Stop, Watch};

pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<FsckStatus> {
    signals::catch().context("cannot catch signals")?;
    if args.check && args.reindex().is_some() {
        return Err(Usage::new("-E reindex is for a check that may write, and -n is none").into());
    }
    let fd = progress_fd(args)?;
    let asks_nothing = args.check || args.preen || args.yes || args.journal_only();
    let is_terminal = io::stdin().is_terminal() && io::stdout().is_terminal();
    if !asks_nothing && !is_terminal {
        return Err(anyhow!("{}: a check that may ask questions needs a terminal", args.device))
            .hint("-p repairs what is safe without asking, -y repairs all, -n checks and writes nothing");
    }
    let flags = OutputArgs { quiet: args.quiet, verbose: args.verbose, json: args.json };
    let report = Report::new("fsck.vexfs", &flags);
    let located = args.device.locate()?;
    let place = Place::open(args, &located, &report)?;
    let device = Arc::new(CountingDevice::new(place.device()));
    let run = Run { args, report, device, lost: place.lost() };
    let outcome = run.run(out, fd);
    match (outcome, place.finish(&run.report)) {
        (Ok(status), finished) => finished.map(|()| status),
        // The error that ended the work is the one to tell.
        (Err(error), _) => Err(error),
    }
}

fn progress_fd(args: &Args) -> anyhow::Result<Option<ProgressFd>> {
    let Some(fd) = args.progress_fd.filter(|&fd| fd > 0) else { return Ok(None) };
    match ProgressFd::new(fd, args.device.to_string()) {
        Ok(fd) => Ok(Some(fd)),
        Err(error) => Err(Usage::new(format!("-C {fd}: {error}")).into()),
    }
}

struct Run<'a> {
    args: &'a Args,
    report: Report,
    device: Arc<CountingDevice>,
    /// Parts of the original that the device, a copy, does not have.
    lost: &'a [LostRun],
}

/// What became of the journal.
struct Replay {
    /// Transactions that were brought home.
    transactions: u64,
    /// Why the device cannot be written, if it cannot.
    refused: Option<FsError>,
}

impl Run<'_> {
    fn name(&self) -> &str {
        self.device.name()
    }

    fn outcome<'b>(&self, result: &'b str, checked: bool) -> Outcome<'b> {
        let mut outcome = Outcome::new(result, checked);
        outcome.lost = self.lost.iter().map(Into::into).collect();
        outcome
    }

    fn run(&self, out: &mut Output, fd: Option<ProgressFd>) -> anyhow::Result<FsckStatus> {
        let replay = self.replay()?;
        if self.args.journal_only() {
            return self.end_after_replay(out, &replay);
        }
        if !self.args.is_forced() && self.lost.is_empty() {
            match quick::look(self.device.clone()) {
                Err(FsError::NotVexfs { .. }) if self.searches() => {}
                Err(error) => return Err(error.into()),
                Ok(Look::Clean { summary, is_complete }) => {
                    self.say_clean(out, &summary, is_complete, &replay)?;
                    return Ok(FsckStatus::CLEAN);
                }
                Ok(Look::Doubtful(reason)) => {
                    self.report.message(format!("{}: {reason}; checking all of it", self.name()));
                }
            }
        }
        let options = CheckOptions {
            superblock: self.args.superblock.map(BlockNo),
            block_size: self.args.block_size,
            search: self.searches(),
            data: match self.args.data {
                Data::None => DataLevel::None,
                Data::Meta => DataLevel::Meta,
                Data::Full => DataLevel::Full,
            },
            memory: self.args.memory,
        };
        if self.args.check { self.check(out, fd, &options) } else { self.repair(out, fd, options, &replay) }
    }

    /// Checks and writes nothing.
    fn check(
        &self,
        out: &mut Output,
        fd: Option<ProgressFd>,
        options: &CheckOptions,
    ) -> anyhow::Result<FsckStatus> {
        let mut watch = Watch::new(self.args, out, &self.report, fd, self.device.clone());
        let checked = check::check(self.device.clone(), options, &mut watch);
        watch.finish();
        let (stop, document, costs) = (watch.stop.take(), watch.document, watch.meter.costs);
        let found = match checked {
            Ok(found) => found,
            Err(error) => return self.broken_off(out, document, error, stop, "is as it was"),
        };
        let mut outcome = self.outcome(if found.is_clean() { "clean" } else { "damaged" }, true).of(&found);
        outcome.replayed = found.replayed;
        outcome.passes = costs.iter().map(Into::into).collect();
        self.say(out, document, &outcome, &found)?;
        Ok(if found.is_clean() { FsckStatus::CLEAN } else { FsckStatus::UNCORRECTED })
    }

    /// Checks and repairs what the mode, or a person, decides.
    fn repair(
        &self,
        out: &mut Output,
        fd: Option<ProgressFd>,
        check: CheckOptions,
        replay: &Replay,
    ) -> anyhow::Result<FsckStatus> {
        let mode = match (self.args.preen, self.args.yes) {
            (true, _) => Mode::Preen,
            (_, true) => Mode::Yes,
            _ => Mode::Ask,
        };
        let options = RepairOptions {
            check,
            mode,
            now_ns: clock::now_ns().unwrap_or_default(),
            reindex: self.args.reindex().unwrap_or_default(),
            threads: thread::available_parallelism().map_or(1, usize::from),
        };
        let mut watch = Watch::new(self.args, out, &self.report, fd, self.device.clone());
        let repaired = repair::repair(self.device.clone(), &options, &mut watch);
        watch.finish();
        let (stop, document, costs) = (watch.stop.take(), watch.document, watch.meter.costs);
        let report = match repaired {
            Ok(report) => report,
            Err(error) => {
                return self.broken_off(out, document, error, stop, "keeps what was repaired so far");
            }
        };
        let result = match () {
            () if report.stopped.is_some() => "stopped",
            () if !report.is_clean() => "damaged",
            () if report.is_changed() => "repaired",
            () => "clean",
        };
        let mut outcome = self.outcome(result, true).of_repair(&report);
        outcome.replayed += replay.transactions;
        outcome.passes = costs.iter().map(Into::into).collect();
        if report.stopped.is_some() {
            // What is behind the problem was not looked at, so there is nothing to sum up.
            outcome.summary = None;
            if self.args.json {
                document.end(out, self.name(), &outcome)?;
            }
        } else {
            self.say(out, document, &outcome, &report.check)?;
        }
        let mut status = if report.is_changed() { FsckStatus::CORRECTED } else { FsckStatus::CLEAN };
        if !report.is_clean() {
            status |= FsckStatus::UNCORRECTED;
        }
        if self.args.preen && status.contains(FsckStatus::UNCORRECTED) {
            // Whoever calls this at boot looks for 4 alone.
            status = FsckStatus::UNCORRECTED;
            self.say_manually();
        }
        Ok(status)
    }

    /// Ends a check that did not come to its end.
    fn broken_off(
        &self,
        out: &mut Output,
        document: Document,
        error: FsError,
        stop: Option<Stop>,
        what_is_left: &str,
    ) -> anyhow::Result<FsckStatus> {
        match (error, stop) {
            (FsError::Interrupted, Some(Stop::Output(error))) => Err(error.into()),
            (FsError::Interrupted, _) => {
                self.close(out, document, "interrupted")?;
                Err(Interrupted::new(format!("{} {what_is_left}", self.name())).into())
            }
            (error, _) => {
                if document.is_begun() {
                    self.close(out, document, "failed")?;
                }
                Err(error.into())
            }
        }
    }

    /// Brings home what is in the journal, where anything may be written.
    fn replay(&self) -> anyhow::Result<Replay> {
        if !self.args.writes() || self.args.superblock.is_some() {
            return Ok(Replay { transactions: 0, refused: None });
        }
        let volume = match self.open_for_writing() {
            Ok(volume) => volume,
            // What stands against writing is what the check is for.
            Err(
                error @ (FsError::PrimaryDamaged { .. }
                | FsError::JournalDamaged { .. }
                | FsError::DeviceTooShort { .. }
                | FsError::Corrupt(_)
                | FsError::Incompatible(Incompatible::RoCompat(_))),
            ) => return Ok(Replay { transactions: 0, refused: Some(error) }),
            Err(error @ FsError::NotVexfs { .. }) if self.searches() => {
                return Ok(Replay { transactions: 0, refused: Some(error) });
            }
            Err(error) => return Err(error.into()),
        };
        let transactions = volume.report().replayed;
        volume.close()?;
        if transactions > 0 {
            let name = self.name();
            self.report.message(format!("{name}: replayed {transactions} transactions of the journal"));
        }
        Ok(Replay { transactions, refused: None })
    }

    /// Whether all of the device is searched for a superblock if there is none in its place. At boot nobody waits for that.
    fn searches(&self) -> bool {
        !self.args.preen && !self.args.journal_only()
    }

    fn open_for_writing(&self) -> Result<Volume, FsError> {
        let now_ns = clock::now_ns().unwrap_or_default();
        let options = OpenOptions { write: true, now_ns, ..OpenOptions::default() };
        Volume::open(self.device.clone(), &options)
    }

    fn end_after_replay(&self, out: &mut Output, replay: &Replay) -> anyhow::Result<FsckStatus> {
        let (transactions, damage) = match &replay.refused {
            Some(error) => (0, Some(error.to_string())),
            None if self.args.writes() => (replay.transactions, None),
            None => {
                let volume = Volume::open(self.device.clone(), &OpenOptions::default())?;
                (volume.report().replayed, volume.report().journal_damage.clone())
            }
        };
        let status = if damage.is_some() { FsckStatus::UNCORRECTED } else { FsckStatus::CLEAN };
        if let Some(damage) = &damage {
            self.report.warning(damage);
        }
        if self.args.json {
            let mut outcome = self.outcome(if damage.is_some() { "damaged" } else { "clean" }, false);
            outcome.replayed = transactions;
            Document::default().end(out, self.name(), &outcome)?;
        } else if !self.args.quiet && damage.is_none() {
            let verb = if self.args.writes() { "replayed" } else { "to be replayed" };
            out.line(format_args!("{}: {transactions} transactions {verb}", self.name()))?;
        }
        Ok(status)
    }

    fn say_clean(
        &self,
        out: &mut Output,
        summary: &Summary,
        is_complete: bool,
        replay: &Replay,
    ) -> anyhow::Result<()> {
        if self.args.json {
            let mut outcome = self.outcome("clean", false);
            outcome.summary = Some(JsonSummary::new(summary, is_complete));
            outcome.replayed = replay.transactions;
            Document::default().end(out, self.name(), &outcome)?;
        } else if !self.args.quiet {
            out.line(format_args!("{}", summary_line(self.name(), "clean", summary, is_complete)))?;
        }
        Ok(())
    }

    /// Says how a check ended.
    fn say(
        &self,
        out: &mut Output,
        document: Document,
        outcome: &Outcome<'_>,
        found: &CheckReport,
    ) -> anyhow::Result<()> {
        if self.args.json {
            document.end(out, self.name(), outcome)?;
            return Ok(());
        }
        for (code, count) in outcome.counts.iter().filter(|(_, count)| **count > check::MAX_TOLD) {
            out.line(format_args!("{}: {code}: {count} in all, not all of them shown", self.name()))?;
        }
        if !self.args.quiet {
            let state = state(outcome.problems_repaired, outcome.problems_left);
            out.line(format_args!("{}", summary_line(self.name(), &state, &found.summary, true)))?;
        }
        Ok(())
    }

    /// Ends a JSON document that cannot be completed.
    fn close(&self, out: &mut Output, document: Document, result: &str) -> anyhow::Result<()> {
        if self.args.json {
            document.end(out, self.name(), &self.outcome(result, true))?;
        }
        Ok(())
    }

    /// The line that the callers of a preening run look for.
    fn say_manually(&self) {
        let name = self.name();
        eprintln!("{name}: UNEXPECTED INCONSISTENCY; RUN fsck.vexfs MANUALLY (without -a or -p)");
    }
}
