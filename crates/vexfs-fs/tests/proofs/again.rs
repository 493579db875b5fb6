//! The oracle for a repair that did not come to its end: the next one does, and nothing is lost but what the damage took.

use std::collections::BTreeSet;
use std::sync::Arc;

use vexfs_device::{Device, MemDevice, Op, RecordDevice};
use vexfs_fs::Volume;
use vexfs_fs::check::Problem;
use vexfs_fs::check::repair::Mode;

use crate::check_support::check_full;
use crate::repair_support::{run as repair, touched};
use crate::tree::Tree;

/// A damaged filesystem, and what its repair does when nothing comes between.
pub struct Damaged<'a> {
    pub base: &'a MemDevice,
    before: &'a Tree,
    sound: &'a Volume,
    changed: BTreeSet<u64>,
    by_damage: String,
}

impl<'a> Damaged<'a> {
    /// `base` was `sound` and held `before` until it was damaged. Returns what its repair wrote, too.
    pub fn new(base: &'a MemDevice, before: &'a Tree, sound: &'a Volume) -> (Self, Vec<Op>) {
        let device = Arc::new(RecordDevice::new(base.fork()));
        let (_, told) = repair(device.clone(), Mode::Yes);
        let changed = touched(sound, &told.problems);
        let whole: Arc<dyn Device> = device.clone();
        let by_damage = before.losses(&Tree::read(&whole), &changed);
        (Self { base, before, sound, changed, by_damage }, device.take_log())
    }

    /// Repairs `device`, on which a repair that told of `told` came to no end, and says what is wrong then; nothing, if all is well.
    /// Losses are wrong unless there may be some.
    pub fn repair_again(&self, device: Arc<dyn Device>, told: &[Problem], may_lose: bool) -> String {
        let (report, again) = repair(device.clone(), Mode::Yes);
        match report {
            Err(error) => return format!("{error}\n"),
            Ok(report) if !report.is_clean() => return format!("left {:?}\n", report.left),
            Ok(_) => {}
        }
        let (second, problems) = check_full(device.clone());
        if !second.is_clean() {
            return format!("not silent: {}\n", problems[0]);
        }
        if may_lose {
            return String::new();
        }
        let mut changed = self.changed.clone();
        changed.extend(touched(self.sound, told));
        changed.extend(touched(self.sound, &again.problems));
        let losses = self.before.losses(&Tree::read(&device), &changed);
        losses.lines().filter(|line| !self.by_damage.contains(line)).map(|line| format!("{line}\n")).collect()
    }
}
