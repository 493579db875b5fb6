//! Standard output: where results go, and nothing else.
//!
//! [`Output`] is the writer each tool is handed; [`json`] and [`table`] give results their shape. Diagnostics
//! belong to [`Report`](crate::Report).

pub mod json;
pub mod table;

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

use crate::exit::Family;

/// Enough for tens of thousands of results per second not to be a system call each.
const BUFFER_BYTES: usize = 64 << 10;

/// Buffered standard output that knows what a closed pipe means.
///
/// When the reader of the pipe goes away (`vexfs-query … | head -1`), tools whose result is all they are for
/// ([`Family::Ordinary`]) get an error from their next write, return it, and end successfully. For mkfs and fsck the rest
/// of the output is dropped and the work goes on: a filesystem is not left half made because nobody reads about it.
///
/// [`run_tool`](crate::run_tool) flushes at the end. A tool that answers while its input is still coming flushes after
/// each answer.
pub struct Output {
    buffer: BufWriter<Sink>,
    terminal_width: Option<u16>,
}

struct Sink {
    to: Box<dyn Write + Send>,
    ends_with_its_reader: bool,
    reader_is_gone: bool,
}

impl Output {
    /// The standard output of this process.
    pub(crate) fn stdout(family: Family) -> io::Result<Self> {
        let stdout = io::stdout();
        // Not `Stdout` itself: it would write each line by itself.
        let file = File::from(stdout.as_fd().try_clone_to_owned()?);
        let terminal_width = stdout.is_terminal().then(table::terminal_width);
        Ok(Self::new(Box::new(file), family, terminal_width))
    }

    /// An output to anything that takes bytes, as if it were no terminal: for tests of what a tool prints.
    pub fn to_writer(to: impl Write + Send + 'static) -> Self {
        Self::new(Box::new(to), Family::Ordinary, None)
    }

    fn new(to: Box<dyn Write + Send>, family: Family, terminal_width: Option<u16>) -> Self {
        let sink = Sink { to, ends_with_its_reader: family.ends_with_its_reader(), reader_is_gone: false };
        Self { buffer: BufWriter::with_capacity(BUFFER_BYTES, sink), terminal_width }
    }

    /// Columns of the terminal; `None` when the output goes elsewhere.
    pub fn terminal_width(&self) -> Option<u16> {
        self.terminal_width
    }

    /// Writes one line of text. Control characters are escaped, so that a name stored on a device cannot command the terminal.
    ///
    /// # Errors
    /// The system's answer; a closed pipe as the type describes.
    pub fn line(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        let text = text.to_string();
        writeln!(self, "{}", printable_lines(&text))
    }

    /// Whether the tool may end, successfully, because nobody reads its output.
    pub(crate) fn reader_is_gone(&self) -> bool {
        let sink = self.buffer.get_ref();
        sink.reader_is_gone && sink.ends_with_its_reader
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("terminal_width", &self.terminal_width).finish_non_exhaustive()
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.buffer.flush()
    }
}

impl Sink {
    fn judge<T>(&mut self, result: io::Result<T>, instead: T) -> io::Result<T> {
        match result {
            Err(source) if source.kind() == io::ErrorKind::BrokenPipe => {
                self.reader_is_gone = true;
                if self.ends_with_its_reader { Err(source) } else { Ok(instead) }
            }
            Err(source) if source.kind() == io::ErrorKind::Interrupted => Err(source),
            other => other.map_err(|source| stdout_error(&source)),
        }
    }
}

/// `source`, with what it stopped: tools write in many places, and say what failed in none of them.
pub(crate) fn stdout_error(source: &io::Error) -> io::Error {
    io::Error::new(source.kind(), format!("cannot write to standard output: {source}"))
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.to.write(bytes);
        self.judge(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.to.flush();
        self.judge(result, ())
    }
}

/// `text` on one line with its control characters escaped.
///
/// For whatever comes from a device, a file or the command line and goes to a terminal.
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c.is_control())
}

/// [`printable`] that keeps line ends and tabs.
pub fn printable_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c.is_control() && c != '\n' && c != '\t')
}

fn escaped(text: &str, is_bad: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_bad) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if is_bad(c) { safe.extend(c.escape_default()) } else { safe.push(c) }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe whose reader went away.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_ends_only_the_tools_that_live_for_their_output() {
        let mut query = Output::new(Box::new(Closed), Family::Ordinary, None);
        query.line(format_args!("17")).expect("buffered");
        assert!(query.flush().is_err() && query.reader_is_gone());

        let mut fsck = Output::new(Box::new(Closed), Family::Fsck, None);
        fsck.line(format_args!("clean")).expect("buffered");
        assert!(fsck.flush().is_ok() && !fsck.reader_is_gone());
    }

    #[test]
    fn names_from_a_device_cannot_command_the_terminal() {
        assert_eq!(printable("plain Δ"), "plain Δ");
        assert_eq!(printable("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable_lines("a\x07\nb"), "a\\u{7}\nb");
    }
}
