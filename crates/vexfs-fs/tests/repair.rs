//! Each recipe of damage is repaired in one run: a second check finds nothing, and what was not damaged is as it was.

mod check_recipes;
mod check_support;
mod common;
mod repair_support;

use std::ops::ControlFlow;
use std::sync::Arc;

use check_recipes::{Recipe, all};
use check_support::image::Image;
use repair_support::{contents, faults, run, touched};
use vexfs_device::Device;
use vexfs_fs::FsError;
use vexfs_fs::check::repair::{Mode, RepairOptions, repair};
use vexfs_fs::check::{Observer, Problem, Progress, Severity};

/// Whether there was nothing to repair.
fn is_notice(problems: &[Problem]) -> bool {
    problems.iter().all(|problem| problem.kind.severity == Severity::Notice)
}

#[test]
fn each_damage_is_repaired_in_one_run() {
    let mut wrong = String::new();
    for recipe in all() {
        let sound = (recipe.sound)();
        let before = contents(&(sound.device.clone() as Arc<dyn Device>));
        let image = recipe.damaged();
        image.device.remap_on_write();
        let device: Arc<dyn Device> = image.device.clone();
        let (report, told) = run(device.clone(), Mode::Yes);
        let text = match report {
            Ok(report) if report.is_clean() && (report.is_changed() || is_notice(&told.problems)) => {
                faults(&device, &before, &touched(sound.volume(), &told.problems))
            }
            Ok(report) => format!("left: {:?}, repaired: {:?}\n", report.left, report.repaired),
            Err(error) => format!("{error}\n"),
        };
        if !text.is_empty() {
            wrong += &format!(
                "{} ({})\n{}\n{}\n",
                recipe.story,
                recipe.codes,
                told.text().lines().take(25).collect::<Vec<_>>().join("\n"),
                text
            );
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Breaks off when it has been asked so many times whether to go on.
struct Stopper {
    left: u32,
    problems: Vec<Problem>,
}

impl Observer for Stopper {
    fn problem(&mut self, problem: Problem) -> ControlFlow<()> {
        self.problems.push(problem);
        ControlFlow::Continue(())
    }

    fn progress(&mut self, _progress: Progress) -> ControlFlow<()> {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => return ControlFlow::Break(()),
        }
        ControlFlow::Continue(())
    }
}

/// Repairs until it has been asked `times` times whether to go on.
fn repair_until(image: &Image, times: u32) -> (vexfs_fs::Result<bool>, Stopper) {
    let options = RepairOptions { mode: Mode::Yes, now_ns: 2_000, ..RepairOptions::default() };
    let mut stopper = Stopper { left: times, problems: Vec::new() };
    let report = repair(image.device.clone(), &options, &mut stopper);
    (report.map(|report| report.is_clean()), stopper)
}

#[test]
fn a_repair_that_is_stopped_is_gone_on_with() {
    const MOMENTS: u32 = 6;
    let damaged = |recipe: &Recipe| {
        let image = recipe.damaged();
        image.device.remap_on_write();
        image
    };
    let mut stopped = 0;
    for recipe in all().into_iter().step_by(11) {
        let sound = (recipe.sound)();
        let before = contents(&(sound.device.clone() as Arc<dyn Device>));
        let image = damaged(&recipe);
        let asked = u32::MAX - repair_until(&image, u32::MAX).1.left;
        for moment in (0..MOMENTS).map(|n| n * asked / MOMENTS) {
            let image = damaged(&recipe);
            let (report, stopper) = repair_until(&image, moment);
            assert!(matches!(report, Err(FsError::Interrupted)), "{}: {report:?}", recipe.story);
            let device: Arc<dyn Device> = image.device.clone();
            let (report, told) = run(device.clone(), Mode::Yes);
            let report = report.unwrap_or_else(|error| panic!("{}: {moment}: {error}", recipe.story));
            assert!(report.is_clean(), "{}: {moment} of {asked}: left {:?}", recipe.story, report.left);
            let mut touched_by = touched(sound.volume(), &told.problems);
            touched_by.extend(touched(sound.volume(), &stopper.problems));
            let faults = faults(&device, &before, &touched_by);
            assert!(faults.is_empty(), "{}: {moment} of {asked}: {faults}", recipe.story);
            stopped += 1;
        }
    }
    assert!(stopped > 40, "{stopped}");
}
