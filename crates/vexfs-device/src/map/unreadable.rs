//! [`Unreadable`]: what of a mapping could not be read.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Runs that are remembered; a device with more bad places than that is tried again and again at some of them.
const MAX_RUNS: usize = 1 << 16;

/// The parts of a mapping that could not be read, so that nobody tries again: a failing disk takes seconds for each try, and a
/// block with many rows would be tried for each of them.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    is_some: AtomicBool,
    /// By the first position of each run: the position behind it, and why.
    runs: Mutex<BTreeMap<usize, (usize, Reason)>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reason {
    /// The system's error number.
    Errno(i32),
    /// The device ends before.
    CutOff,
}

impl Unreadable {
    /// The first part of `range` that could not be read, and why.
    pub(super) fn first_in(&self, range: &Range<usize>) -> Option<(Range<usize>, io::Error)> {
        if !self.is_some.load(Ordering::Acquire) {
            return None;
        }
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let before = runs.range(..=range.start).next_back().filter(|(_, (end, _))| *end > range.start);
        let (start, (end, reason)) = before.or_else(|| runs.range(range.start..range.end).next())?;
        Some((range.start.max(*start)..range.end.min(*end), reason.error()))
    }

    /// Remembers that `run`, whole pages, could not be read.
    pub(super) fn remember(&self, run: Range<usize>, error: &io::Error) {
        let reason = match error.raw_os_error() {
            Some(errno) => Reason::Errno(errno),
            None => Reason::CutOff,
        };
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let before = runs.range(..=run.start).next_back().map(|(&start, &before)| (start, before));
        match before.filter(|(_, (end, other))| *end >= run.start && *other == reason) {
            Some((start, (end, _))) => _ = runs.insert(start, (run.end.max(end), reason)),
            None if runs.len() < MAX_RUNS => _ = runs.insert(run.start, (run.end, reason)),
            None => {}
        }
        self.is_some.store(true, Ordering::Release);
    }
}

impl Reason {
    fn error(self) -> io::Error {
        match self {
            Self::Errno(errno) => io::Error::from_raw_os_error(errno),
            Self::CutOff => cut_off(),
        }
    }
}

/// The error of reading behind the end.
pub(super) fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file has been truncated")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_side_by_side_become_one_and_the_first_of_a_range_is_found() {
        let unreadable = Unreadable::default();
        let first = |range: Range<usize>| {
            unreadable.first_in(&range).map(|(found, error)| (found, error.raw_os_error()))
        };
        assert_eq!(first(0..100), None);
        let bad = io::Error::from_raw_os_error(5);
        for run in [8..12, 12..16, 40..44, 8..12] {
            unreadable.remember(run, &bad);
        }
        unreadable.remember(44..48, &cut_off());
        assert_eq!(first(0..100), Some((8..16, Some(5))));
        assert_eq!(first(10..11), Some((10..11, Some(5))));
        assert_eq!(first(0..8), None);
        assert_eq!(first(16..40), None);
        assert_eq!(first(15..41), Some((15..16, Some(5))));
        assert_eq!(first(44..100), Some((44..48, None)), "for another reason");
        assert_eq!(unreadable.runs.lock().expect("runs").len(), 3);
    }
}
