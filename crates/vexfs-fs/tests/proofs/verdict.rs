//! The oracle of all proofs: damage is found, one repair mends it, a second check is silent, and what was not damaged is as it was.

use std::collections::BTreeSet;
use std::sync::Arc;

use vexfs_device::{Device, MemDevice, Op, RecordDevice};
use vexfs_fs::FsError;
use vexfs_fs::check::repair::Mode;
use vexfs_fs::check::{CheckOptions, DataLevel, Problem, Severity, check};

use crate::repair_support::run;
use crate::tree::Tree;

/// What became of a damaged filesystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The damage was found, and mended.
    Mended,
    /// The tools refuse the filesystem, and have written nothing.
    Refused,
    /// No check finds anything, and everything reads as before.
    Unseen,
    /// The proof has failed.
    Wrong(String),
}

fn lines(problems: &[Problem]) -> String {
    let worth = problems.iter().filter(|problem| problem.kind.severity > Severity::Notice);
    worth.take(12).map(|problem| format!("  {problem}\n")).collect()
}

/// As [`judge_it`]; a panic is a proof that failed.
pub fn judge(image: &MemDevice, before: &Tree, touched: &BTreeSet<u64>) -> Verdict {
    let work = std::panic::AssertUnwindSafe(|| judge_it(image, before, touched));
    std::panic::catch_unwind(work).unwrap_or_else(|_| Verdict::Wrong("it panicked".to_owned()))
}

/// Checks, repairs, and checks again. `before` was in the filesystem; of that, `touched` may have changed.
fn judge_it(image: &MemDevice, before: &Tree, touched: &BTreeSet<u64>) -> Verdict {
    let full = CheckOptions { data: DataLevel::Full, ..CheckOptions::default() };
    let mut found: Vec<Problem> = Vec::new();
    let first = check(Arc::new(image.fork()), &full, &mut found);
    if let Err(error) = first {
        return refused(image, &error);
    }
    if found.is_empty() {
        let device: Arc<dyn Device> = Arc::new(image.fork());
        let losses = before.losses(&Tree::read(&device), touched);
        return if losses.is_empty() {
            Verdict::Unseen
        } else {
            Verdict::Wrong(format!("nothing was found, and:\n{losses}"))
        };
    }
    let log = Arc::new(RecordDevice::new(image.fork()));
    let device: Arc<dyn Device> = log.clone();
    let (report, told) = run(device.clone(), Mode::Yes);
    let wrong = |text: String| {
        Verdict::Wrong(format!("{text}told:\n{}{}", lines(&told.problems), told.notes.join("\n")))
    };
    match report {
        Err(error) => return wrong(format!("found, and not mended: {error}\n{}", lines(&found))),
        Ok(_) if told.notes.iter().any(|note| note.contains("get a newer version")) => {
            return match log.log().iter().all(|op| *op == Op::Flush) {
                true => Verdict::Refused,
                false => wrong("refused, and yet written\n".to_owned()),
            };
        }
        Ok(report) if !report.is_clean() => {
            return wrong(format!("left: {:?}, repaired: {:?}\n", report.left, report.repaired));
        }
        Ok(_) => {}
    }
    let mut left: Vec<Problem> = Vec::new();
    match check(device.clone(), &full, &mut left) {
        Err(error) => return wrong(format!("the second check failed: {error}\n")),
        Ok(report) if !report.is_clean() || report.marked_damaged => {
            return wrong(format!("the second check is not silent:\n{}", lines(&left)));
        }
        Ok(_) => {}
    }
    let losses = before.losses(&Tree::read(&device), touched);
    if losses.is_empty() { Verdict::Mended } else { wrong(losses) }
}

/// A filesystem that a check refuses is refused by a repair, which leaves it as it is.
fn refused(image: &MemDevice, error: &FsError) -> Verdict {
    let device = Arc::new(RecordDevice::new(image.fork()));
    let (report, _) = run(device.clone(), Mode::Yes);
    let is_expected = matches!(error, FsError::Incompatible(_));
    match report {
        Err(_) if is_expected && device.log().iter().all(|op| *op == Op::Flush) => Verdict::Refused,
        Err(again) => Verdict::Wrong(format!("refused: {error}; by the repair: {again}\n")),
        Ok(_) => Verdict::Wrong(format!("refused by the check only: {error}\n")),
    }
}
