//! A volume against a plain model of what a person put in: random work, and after each step everything that is answered is what
//! the model answers.
//!
//! A life is a seed and a number of steps: rows are added, replaced, deleted and compacted, indexes built, extended and dropped,
//! the volume grows, is closed, left, crashed in the middle of what it does, checked and opened again. With `VEXFS_PROVE=all`
//! (`make prove`) there are thousands of steps; `VEXFS_MODEL=SEED,STEPS` lives one life, to look at a failure.

#![allow(unreachable_pub)] // shared by its parts

#[path = "model/ask.rs"]
mod ask;
#[path = "model/change.rs"]
mod change;
#[path = "model/choose.rs"]
mod choose;
#[path = "model/life.rs"]
mod life;
#[path = "model/payload.rs"]
mod payload;
#[path = "model/rows.rs"]
mod rows;
#[path = "model/world.rs"]
mod world;

mod common;
mod crash_model;

use std::sync::Mutex;
use std::thread;

use life::{Life, Lived};

/// Lives and steps of each in the short form.
const SHORT: (u64, usize) = (16, 60);
/// As long as the proofs are.
const LONG: (u64, usize) = (120, 150);

/// Share of the true neighbours that each kind of index must find, over all that was asked of it. Rows without structure are the
/// hardest there are, and most of these indexes have seen rows come and go since they were built.
const RECALL: f64 = 0.9;
/// Neighbours below which a share says nothing.
const ENOUGH: u64 = 300;

/// Lives one life for each of the seeds, in threads of their own: a thread of the pool that builds of indexes run in would, while it waits
/// for a part of one, begin another life on top of the first.
fn live(seeds: std::ops::Range<u64>, steps: usize) -> Lived {
    let (seeds, lived) = (Mutex::new(seeds), Mutex::new(Lived::default()));
    let work = || {
        loop {
            let Some(seed) = seeds.lock().expect("no panic").next() else { return };
            let one = Life::begin(seed).run(steps);
            let mut all = lived.lock().expect("no panic");
            *all = std::mem::take(&mut *all).merge(one);
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    lived.into_inner().expect("no panic")
}

#[test]
fn a_volume_answers_as_its_model_through_any_life() {
    let (first, lives, steps) = match (std::env::var("VEXFS_MODEL"), std::env::var("VEXFS_PROVE")) {
        (Ok(one), _) => {
            let (seed, steps) = one.split_once(',').expect("VEXFS_MODEL is SEED,STEPS");
            (seed.parse().expect("a seed"), 1, steps.parse().expect("a number of steps"))
        }
        (_, Ok(all)) if all == "all" => (0, LONG.0, LONG.1),
        _ => (0, SHORT.0, SHORT.1),
    };
    let lived = live(first..first + lives, steps);
    println!("{lives} lives of {steps} steps: {lived}");
    for (kind, found) in &lived.found {
        let share = found.share();
        assert!(found.wanted < ENOUGH || share >= RECALL, "{kind} finds {share:.3} of the true neighbours");
    }
    if lives > 1 {
        assert!(
            lived.crashes > lives && lived.answers > 1000 && lived.growths > lives / 4,
            "little was tried: {lived}"
        );
    }
}

#[test]
fn the_model_notices_what_it_is_not_told() {
    let mut life = Life::begin(3);
    life.take(20);
    life.delete_behind_its_back();
    let problem = life.compare().expect_err("a row was deleted behind the back of the model");
    assert!(problem.contains("rows"), "{problem}");
}
