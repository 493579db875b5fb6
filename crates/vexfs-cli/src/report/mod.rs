//! Everything a tool says beside its result: messages, warnings, progress. All of it goes to standard error.

mod progress;

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, PoisonError};

use indicatif::ProgressBar;

use crate::args::OutputArgs;
use crate::output::printable_lines;
pub use progress::{Progress, Unit};

/// The voice of a tool.
///
/// With `-q` only warnings are heard. It may be shared by threads.
#[derive(Debug)]
pub struct Report {
    tool: &'static str,
    verbosity: Verbosity,
    style: Style,
    /// The bar on the screen, which messages must not be printed into.
    bar: Arc<Mutex<Option<ProgressBar>>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Verbosity {
    Quiet,
    Normal,
    Verbose,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Silent,
    Lines,
    Bar,
}

impl Report {
    /// The voice of `tool`, as loud as the flags say.
    pub fn new(tool: &'static str, flags: &OutputArgs) -> Self {
        let is_terminal =
            io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let (verbosity, style) = match (flags.quiet, flags.verbose, is_terminal) {
            (true, ..) => (Verbosity::Quiet, Style::Silent),
            (false, 0, true) => (Verbosity::Normal, Style::Bar),
            (false, 0, false) => (Verbosity::Normal, Style::Lines),
            (false, _, true) => (Verbosity::Verbose, Style::Bar),
            (false, _, false) => (Verbosity::Verbose, Style::Lines),
        };
        Self { tool, verbosity, style, bar: Arc::default() }
    }

    /// A voice that nobody hears but in warnings, for work that is done only to see whether it could be.
    pub fn silent(tool: &'static str) -> Self {
        Self { tool, verbosity: Verbosity::Quiet, style: Style::Silent, bar: Arc::default() }
    }

    /// Name of the tool.
    pub fn tool(&self) -> &'static str {
        self.tool
    }

    /// Whether `-v` was given, for callers whose details cost something to gather.
    pub fn is_verbose(&self) -> bool {
        self.verbosity >= Verbosity::Verbose
    }

    /// What the user should know when all is well; not heard with `-q`.
    pub fn message(&self, text: impl AsRef<str>) {
        if self.verbosity >= Verbosity::Normal {
            self.print(text.as_ref());
        }
    }

    /// What only `-v` makes heard.
    pub fn detail(&self, text: impl AsRef<str>) {
        if self.is_verbose() {
            self.print(text.as_ref());
        }
    }

    /// What the user should know even with `-q`: `TOOL: warning: …`.
    pub fn warning(&self, text: impl AsRef<str>) {
        self.print(&format!("{}: warning: {}", self.tool, text.as_ref()));
    }

    /// Begins to show progress of `what`: words like `writing vectors`.
    ///
    /// `total` is the amount of work in `unit`s if it is known. Progress ends when the returned value is dropped.
    /// One progress is shown at a time; a second one takes the screen over.
    pub fn progress(&self, what: &str, unit: Unit, total: Option<u64>) -> Progress {
        Progress::new(self, what, unit, total)
    }

    fn print(&self, text: &str) {
        print_beside(&self.bar, text);
    }
}

/// Prints a line to standard error, above the bar if one is shown. Nobody can be told when that fails.
fn print_beside(bar: &Mutex<Option<ProgressBar>>, text: &str) {
    let write = || drop(writeln!(io::stderr(), "{}", printable_lines(text)));
    match bar.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}
