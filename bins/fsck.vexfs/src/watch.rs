//! The one who is told what a check finds: prints problems as they come, shows progress, and knows when to stop.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use vexfs_cli::size::format_size;
use vexfs_cli::{Output, Report, Unit, signals};
use vexfs_fs::check::{Observer, Preen, Problem, Progress};

use crate::args::Args;
use crate::json::Document;
use crate::meter::{Cost, CountingDevice, Meter};
use crate::print::{HEADINGS, STEPS};
use crate::progress_fd::ProgressFd;

/// Why a check was broken off.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A signal.
    Signal,
    /// A preening run met a problem that a person has to decide about.
    Preen,
    /// Standard output failed.
    Output(io::Error),
}

pub(crate) struct Watch<'a> {
    args: &'a Args,
    out: &'a mut Output,
    report: &'a Report,
    fd: Option<ProgressFd>,
    bar: Option<vexfs_cli::Progress>,
    pub(crate) meter: Meter,
    pub(crate) document: Document,
    pub(crate) stop: Option<Stop>,
}

impl<'a> Watch<'a> {
    pub(crate) fn new(
        args: &'a Args,
        out: &'a mut Output,
        report: &'a Report,
        fd: Option<ProgressFd>,
        device: Arc<CountingDevice>,
    ) -> Self {
        Self {
            args,
            out,
            report,
            fd,
            bar: None,
            meter: Meter::new(device),
            document: Document::default(),
            stop: None,
        }
    }

    /// The check is over: ends the last pass, and says what it cost.
    pub(crate) fn finish(&mut self) {
        self.bar = None;
        self.meter.finish();
        self.tell_cost();
    }

    fn begin_pass(&mut self, pass: u8, total: u64) -> io::Result<()> {
        self.bar = None;
        self.tell_cost();
        let args = self.args;
        let heading = HEADINGS.get(usize::from(pass)).copied().unwrap_or_default();
        let is_wanted = (args.verbose > 0 || args.force) && !args.preen && !args.json && !args.quiet;
        if is_wanted && pass > 0 {
            self.out.line(format_args!("{heading}"))?;
            self.show()?;
        }
        if pass > 0 && !args.preen && self.fd.is_none() {
            let unit = Unit::Count(STEPS.get(usize::from(pass)).copied().unwrap_or_default());
            self.bar = Some(self.report.progress(&format!("pass {pass}"), unit, Some(total)));
        }
        Ok(())
    }

    /// Lets a person see what was printed so far; others get it in larger pieces.
    fn show(&mut self) -> io::Result<()> {
        if self.out.terminal_width().is_some() { self.out.flush() } else { Ok(()) }
    }

    fn tell_cost(&self) {
        if let (Some(Cost { pass, time, bytes }), true) = (self.meter.costs.last(), self.args.timings > 0) {
            let read = match self.args.timings {
                1 => String::new(),
                _ => format!(", {} read", format_size(*bytes)),
            };
            self.report.message(format!("pass {pass}: {:.3} s{read}", time.as_secs_f64()));
        }
    }

    fn go_on(&mut self, result: io::Result<()>) -> ControlFlow<()> {
        if let Err(error) = result {
            self.stop = Some(Stop::Output(error));
        } else if signals::interrupted() {
            self.stop = Some(Stop::Signal);
        }
        if self.stop.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Observer for Watch<'_> {
    fn problem(&mut self, problem: Problem) -> ControlFlow<()> {
        let written = if self.args.json {
            self.document.problem(self.out, &problem)
        } else {
            self.out.line(format_args!("{problem}")).and_then(|()| self.show())
        };
        let is_damage = problem.kind.severity > vexfs_fs::check::Severity::Notice;
        if self.args.preen && is_damage && problem.kind.preen == Preen::Stop {
            self.stop = Some(Stop::Preen);
        }
        self.go_on(written)
    }

    fn progress(&mut self, progress: Progress) -> ControlFlow<()> {
        let begun = match self.meter.enter(progress.pass) {
            true => self.begin_pass(progress.pass, progress.total),
            false => Ok(()),
        };
        if let Some(fd) = &mut self.fd {
            fd.show(progress);
        }
        if let Some(bar) = &self.bar {
            bar.set(progress.done);
        }
        self.go_on(begun)
    }
}
