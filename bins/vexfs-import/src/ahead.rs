//! Reading on a thread of its own, so that a signal stops a tool whose input does not come.
//!
//! A read from a pipe or a terminal cannot be called back. The thread that sits in it is left behind when the tool ends; it
//! owns nothing but its input.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use anyhow::Context;
use vexfs_cli::{Interrupted, signals};

/// Longest time between a signal and the end of the wait.
const POLL: Duration = Duration::from_millis(50);

/// What a thread produces, in order.
pub(crate) struct Ahead<T> {
    receiver: Receiver<T>,
    thread: Option<JoinHandle<()>>,
    /// What a signal leaves, for the message.
    untouched: String,
}

impl<T: Send + 'static> Ahead<T> {
    /// Starts `produce`, which hands its products over one by one. At most `waiting` of them wait to be taken.
    ///
    /// `untouched` says what state things are in when a signal comes: `nothing was changed`.
    pub(crate) fn start(
        untouched: impl Into<String>,
        waiting: usize,
        produce: impl FnOnce(SyncSender<T>) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (sender, receiver) = sync_channel(waiting);
        let thread = Builder::new().name("reader".to_owned()).spawn(move || produce(sender));
        let thread = Some(thread.context("cannot start a thread")?);
        Ok(Self { receiver, thread, untouched: untouched.into() })
    }

    /// The next product, `None` after the last.
    ///
    /// # Errors
    /// [`Interrupted`] as soon as a signal has come.
    ///
    /// # Panics
    /// If the thread did: what it produced before is then no whole.
    pub(crate) fn next(&mut self) -> Result<Option<T>, Interrupted> {
        loop {
            if signals::interrupted() {
                return Err(Interrupted::new(self.untouched.clone()));
            }
            match self.receiver.recv_timeout(POLL) {
                Ok(product) => return Ok(Some(product)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    if let Some(Err(panic)) = self.thread.take().map(JoinHandle::join) {
                        resume_unwind(panic);
                    }
                    return Ok(None);
                }
            }
        }
    }
}

/// The result of `work`, which may wait for input.
///
/// # Errors
/// As [`Ahead::next`].
pub(crate) fn wait_for<T: Send + 'static>(
    untouched: impl Into<String>,
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    let mut ahead = Ahead::start(untouched, 1, move |sender| {
        // Nobody waits any more after a signal.
        let _ = sender.send(work());
    })?;
    ahead.next()?.context("the reading thread ended early")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn products_come_in_order_and_end() {
        let mut ahead =
            Ahead::start("", 1, |sender| assert!((0..5).all(|i| sender.send(i).is_ok()))).expect("a thread");
        let mut seen = Vec::new();
        while let Some(i) = ahead.next().expect("no signal") {
            seen.push(i);
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        assert!(ahead.next().expect("no signal").is_none());
    }

    #[test]
    fn a_panic_of_the_reader_is_no_end_of_the_input() {
        let mut ahead = Ahead::start("", 1, |sender| {
            let _ = sender.send(1);
            panic!("the reader has a bug");
        })
        .expect("a thread");
        assert_eq!(ahead.next().expect("no signal"), Some(1));
        assert!(catch_unwind(AssertUnwindSafe(|| ahead.next())).is_err());
    }
}
