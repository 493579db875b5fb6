//! Devices that fail in the middle of a repair: it says where, or goes on past what it cannot read; once the device works again, the
//! next repair comes to the same end.

use std::sync::{Arc, Mutex};

use vexfs_device::{Device, FaultDevice, IoOp, MemDevice};
use vexfs_fs::FsError;
use vexfs_fs::check::repair::Mode;

use crate::again::Damaged;
use crate::check_recipes::{Recipe, all};
use crate::repair_support::run as repair;
use crate::totals::{Totals, is_all, run, sample};
use crate::tree::Tree;

const EIO: i32 = 5;
/// Damages in the short form.
const FEW: usize = 5;
/// Operations of one repair that fail in each way, in the short form and in the long one.
const OPERATIONS: [u64; 2] = [3, 12];
/// Bytes of a write that arrive, where only a part does.
const KEPT: [u64; 3] = [1, 512, 6000];

/// How a device fails.
#[derive(Clone, Copy, Debug)]
enum Failure {
    /// The operation of this number, counted by its kind, fails.
    Once(IoOp, u64),
    /// Only so many bytes of the write of this number arrive.
    Torn(u64, u64),
    /// Nothing works after so many operations.
    Gone(u64),
}

impl Failure {
    fn row(self) -> String {
        match self {
            Self::Once(op, _) => format!("a {op} fails"),
            Self::Torn(..) => "a write arrives in part".to_owned(),
            Self::Gone(_) => "the device is gone".to_owned(),
        }
    }
}

/// Failures of a repair that takes so many operations of each kind, `most` of each kind.
fn failures(counts: &[(IoOp, u64)], most: u64) -> Vec<Failure> {
    let mut failures = Vec::new();
    for &(op, count) in counts {
        failures.extend(spread(count, most).map(|n| Failure::Once(op, n + 1)));
        if op == IoOp::Write {
            let torn = spread(count, most).zip(KEPT.into_iter().cycle());
            failures.extend(torn.map(|(n, kept)| Failure::Torn(n + 1, kept)));
        }
    }
    let all: u64 = counts.iter().map(|(_, count)| count).sum();
    failures.extend(spread(all, most).map(Failure::Gone));
    failures
}

/// Up to `most` numbers from 0 to `count`, the first and the last among them.
fn spread(count: u64, most: u64) -> impl Iterator<Item = u64> {
    let steps = most.min(count);
    (0..steps).map(move |n| n * (count - 1) / (steps - 1).max(1))
}

fn try_one(recipe: &Recipe, totals: &Mutex<Totals>) {
    let (image, sound) = (recipe.damaged(), (recipe.sound)());
    let before = Tree::read(&(sound.device.clone() as Arc<dyn Device>));
    // Sectors that cannot be read from the beginning are another test's.
    let base: MemDevice = image.device.inner().fork();
    let (damaged, _) = Damaged::new(&base, &before, sound.volume());
    let plain = Arc::new(FaultDevice::new(base.fork()));
    drop(repair(plain.clone(), Mode::Yes));
    let counts = [IoOp::Read, IoOp::Write, IoOp::Flush].map(|op| (op, plain.count(op)));
    let most = OPERATIONS[usize::from(is_all())];
    for failure in failures(&counts, most) {
        let wrong = fail(&damaged, failure);
        let mut totals = totals.lock().expect("no case panics");
        totals.count(&failure.row(), "failures");
        if wrong.is_empty() {
            totals.count(&failure.row(), "mended");
        } else {
            totals.wrong(format!("{}: {failure:?}: {wrong}", recipe.story));
        }
    }
}

/// Lets a repair fail, and repairs again what is left then; returns what is wrong.
fn fail(damaged: &Damaged<'_>, failure: Failure) -> String {
    let device = Arc::new(FaultDevice::new(damaged.base.fork()));
    match failure {
        Failure::Once(op, n) => device.fail_nth(op, n, EIO),
        Failure::Torn(n, kept) => device.tear_nth_write(n, kept, EIO),
        Failure::Gone(n) => device.vanish_after(n),
    }
    let (report, told) = repair(device.clone(), Mode::Yes);
    let is_read = matches!(failure, Failure::Once(IoOp::Read, _));
    match report {
        Err(FsError::Device(error)) if error.to_string().contains("byte offset") => {}
        // It says so itself where it could read nothing at all.
        Err(FsError::NotVexfs { .. } | FsError::PrimaryDamaged { .. }) => {}
        Err(error) => return format!("{error} does not say where\n"),
        Ok(_) if !is_read && !matches!(failure, Failure::Gone(_)) => return "nobody noticed\n".to_owned(),
        Ok(_) => {}
    }
    device.heal();
    let healed: Arc<dyn Device> = Arc::new(device.inner().fork());
    // What could not be read for a moment is taken for lost, if it is said to be.
    let may_lose = is_read && told.text().contains("os error 5");
    damaged.repair_again(healed, &told.problems, may_lose)
}

#[test]
fn a_repair_on_a_failing_device_is_made_again() {
    let recipes = sample(all(), FEW);
    run(&recipes, try_one).finish("failures in a repair", &["failures", "mended"]);
}
