//! Errors that mean more to [`run_tool`](crate::run_tool) than "failed", and the hint that may follow any error.

use std::error::Error;
use std::fmt;

/// The command line asks for something impossible that the parser cannot see; ends with the usage exit code.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(String);

impl Usage {
    /// Wrong usage, in a sentence without a full stop.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// The work stopped because of a signal; ends with the exit code for that.
///
/// The text says what state the device is in, because only the caller knows:
///
/// ```
/// let error = vexfs_cli::Interrupted::new("nothing was changed");
/// assert_eq!(error.to_string(), "interrupted; nothing was changed");
/// ```
#[derive(Debug, thiserror::Error)]
#[error("interrupted; {0}")]
pub struct Interrupted(String);

impl Interrupted {
    /// An interruption that left things as `state` says.
    pub fn new(state: impl Into<String>) -> Self {
        Self(state.into())
    }
}

/// An error with advice on what to do about it, printed on a line of its own.
#[derive(Debug)]
struct Hinted {
    error: anyhow::Error,
    hint: String,
}

impl fmt::Display for Hinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Hinted {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.chain().nth(1)
    }
}

/// Adds a hint to an error.
pub trait WithHint<T> {
    /// On failure, `hint` is printed below the error: what the user can do, in a sentence without a full stop.
    ///
    /// # Errors
    /// The error of `self`; it can still be found by its type.
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> WithHint<T> for Result<T, E> {
    fn hint(self, hint: impl Into<String>) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::new(Hinted { error: error.into(), hint: hint.into() }))
    }
}

/// Whether an `E` is among the causes of `error`, hints included.
pub fn is_caused_by<E: Error + Send + Sync + 'static>(error: &anyhow::Error) -> bool {
    // `downcast_ref` sees what was added as context, the chain what lies below.
    error.downcast_ref::<E>().is_some()
        || error.chain().any(|cause| {
            cause.is::<E>()
                || cause.downcast_ref::<Hinted>().is_some_and(|hinted| is_caused_by::<E>(&hinted.error))
        })
}

/// The lines by which a tool reports `error`: the message, each cause that adds something, the hints.
pub(crate) fn lines(error: &anyhow::Error) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        match lines.last() {
            None => lines.push(text),
            // Many errors quote their cause already.
            Some(previous) if previous.contains(&text) => {}
            Some(_) => lines.push(format!("  caused by: {text}")),
        }
    }
    lines.extend(hints(error).into_iter().map(|hint| format!("  hint: {hint}")));
    lines
}

fn hints(error: &anyhow::Error) -> Vec<String> {
    let mut found = Vec::new();
    for hinted in error.chain().filter_map(|cause| cause.downcast_ref::<Hinted>()) {
        found.push(hinted.hint.clone());
        found.extend(hints(&hinted.error));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_cause_is_printed_once_even_if_the_error_quotes_it() {
        let quoted = std::io::Error::other("disk on fire");
        let error = anyhow::Error::new(quoted).context("cannot read: disk on fire").context("cannot check");
        assert_eq!(lines(&error), ["cannot check", "  caused by: cannot read: disk on fire"]);
    }

    #[test]
    fn a_hint_follows_the_causes_and_hides_no_type() {
        let result: Result<(), _> = Err(Usage::new("two modes"));
        let error = result.hint("give one of -p and -n").context("outer").expect_err("an error");
        assert_eq!(lines(&error), ["outer", "  caused by: two modes", "  hint: give one of -p and -n"]);
        assert!(is_caused_by::<Usage>(&error) && !is_caused_by::<Interrupted>(&error));
    }

    #[test]
    fn causes_below_a_hint_are_printed() {
        let result: anyhow::Result<()> = Err(anyhow::anyhow!("root")).context("middle");
        let error = result.hint("try again").expect_err("an error");
        assert_eq!(lines(&error), ["middle", "  caused by: root", "  hint: try again"]);
    }

    #[test]
    fn an_interruption_is_recognised_as_context_too() {
        let error = anyhow::anyhow!("reading stopped").context(Interrupted::new("nothing was changed"));
        assert!(is_caused_by::<Interrupted>(&error));
    }
}
