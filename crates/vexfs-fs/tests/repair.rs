//! Each recipe of damage is repaired in one run: a second check finds nothing, and what was not damaged is as it was.

mod check_recipes;
mod check_support;
mod common;
mod repair_support;

use std::sync::Arc;

use check_recipes::all;
use check_support::image::Image;
use repair_support::{contents, faults, run, touched};
use vexfs_device::Device;
use vexfs_fs::check::repair::Mode;
use vexfs_fs::check::{Problem, Severity};

/// Whether there was nothing to repair.
fn is_notice(problems: &[Problem]) -> bool {
    problems.iter().all(|problem| problem.kind.severity == Severity::Notice)
}

#[test]
fn each_damage_is_repaired_in_one_run() {
    let sound = Image::new();
    let before = contents(&(sound.device.clone() as Arc<dyn Device>));
    let mut wrong = String::new();
    for recipe in all() {
        if let Ok(only) = std::env::var("ONLY")
            && !recipe.story.contains(&only)
        {
            continue;
        }
        let image = Image::new();
        (recipe.damage)(&image);
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
