//! The one who is told what a check finds: prints problems as they come, shows progress, and knows when to stop.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use vexfs_cli::size::format_size;
use vexfs_cli::{Output, Report, Unit, signals};
use vexfs_fs::check::{Observer, Problem, Progress};

use crate::args::Args;
use crate::ask::{Answer, ask};
use crate::json::Document;
use crate::meter::{Cost, CountingDevice, Meter};
use crate::print::{HEADINGS, STEPS};
use crate::progress_fd::ProgressFd;

/// Why a check was broken off.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A signal.
    Signal,
    /// Standard output failed.
    Output(io::Error),
}

pub(crate) struct Watch<'a> {
    args: &'a Args,
    out: &'a mut Output,
    report: &'a Report,
    fd: Option<ProgressFd>,
    name: String,
    bar: Option<vexfs_cli::Progress>,
    pub(crate) meter: Meter,
    pub(crate) document: Document,
    pub(crate) stop: Option<Stop>,
    /// A person answered once for all questions.
    is_yes_to_all: bool,
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
            name: vexfs_device::Device::name(&*device).to_owned(),
            bar: None,
            meter: Meter::new(device),
            document: Document::default(),
            stop: None,
            is_yes_to_all: false,
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
        self.go_on(written)
    }

    fn decide(&mut self, problem: &Problem) -> Option<bool> {
        if self.is_yes_to_all {
            return Some(true);
        }
        // A bar would be drawn over the question.
        self.bar = None;
        match ask(self.out, &problem.question()) {
            Ok(Answer::Yes) => Some(true),
            Ok(Answer::No) => Some(false),
            Ok(Answer::All) => {
                self.is_yes_to_all = true;
                Some(true)
            }
            Ok(Answer::None) => {
                self.stop = Some(Stop::Signal);
                None
            }
            Err(error) => {
                self.stop = Some(Stop::Output(error));
                None
            }
        }
    }

    fn note(&mut self, text: String) -> ControlFlow<()> {
        self.report.message(format!("{}: {text}", self.name));
        self.go_on(Ok(()))
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
