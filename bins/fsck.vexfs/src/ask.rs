//! Questions to a person at a terminal.

use std::io::{self, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use vexfs_cli::{Output, signals};

/// How often somebody who is asked is looked after.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a person says to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Yes,
    No,
    /// Yes, and to all that come.
    All,
    /// Nothing: the input has ended, or a signal came.
    None,
}

/// Asks until there is an answer.
///
/// # Errors
/// Those of output and input.
pub(crate) fn ask(out: &mut Output, question: &str) -> io::Result<Answer> {
    loop {
        write!(out, "{question} (y, n, a = yes to all) ")?;
        out.flush()?;
        let Some(line) = read_line()? else { return Ok(Answer::None) };
        if let Some(answer) = meaning(&line) {
            return Ok(answer);
        }
    }
}

/// Reads a line; `None` at the end of the input, or when a signal asks to stop.
///
/// A read that waits is not broken off by a signal, so another thread waits. It is left alone when a signal came: the tool ends then.
fn read_line() -> io::Result<Option<String>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line);
        // Nobody listens any more when a signal came.
        let _ = sender.send(read.map(|bytes| (bytes > 0).then_some(line)));
    });
    loop {
        match receiver.recv_timeout(LOOK_AGAIN) {
            Ok(line) => return line,
            Err(RecvTimeoutError::Timeout) if signals::interrupted() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

fn meaning(line: &str) -> Option<Answer> {
    match line.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Some(Answer::Yes),
        "n" | "no" => Some(Answer::No),
        "a" | "all" => Some(Answer::All),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_words_or_letters_and_nothing_is_taken_for_yes() {
        assert_eq!(meaning("y\n"), Some(Answer::Yes));
        assert_eq!(meaning(" NO "), Some(Answer::No));
        assert_eq!(meaning("a"), Some(Answer::All));
        for line in ["", "\n", "x", "yn"] {
            assert_eq!(meaning(line), None, "{line:?}");
        }
    }
}
