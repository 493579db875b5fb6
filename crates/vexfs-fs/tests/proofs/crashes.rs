//! Crashes in the middle of a repair, and of what other tools do: the next repair comes to the same end.

use std::sync::{Arc, Mutex};

use vexfs_device::{CrashOptions, CrashStates, Device, MemDevice, Op, RecordDevice};
use vexfs_fs::check::repair::Mode;
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{BlockSource, OpenOptions, Volume};

use crate::again::Damaged;
use crate::check_recipes::{Recipe, all};
use crate::check_support::check_full;
use crate::common::{Silent, open_rw};
use crate::repair_support::run as repair;
use crate::sample::{SAMPLES, build, delete};
use crate::totals::{Totals, run, sample};
use crate::tree::Tree;

/// Damages in the short form, and crashes of one repair that are looked at.
const FEW: usize = 14;
const STATES: usize = 24;
/// Epochs of up to four changes in every order; of longer ones a few.
const CRASH: CrashOptions = CrashOptions { subset_limit: 16, samples: 2, seed: 1, sector: 512 };

/// About [`STATES`] states from all over a log, with their place in it; all of them where everything is tried.
fn states(base: &MemDevice, log: &[Op]) -> Vec<(MemDevice, Option<String>, String)> {
    let keep = |state: vexfs_device::CrashState<'_>| {
        (state.image, state.durable_mark.map(str::to_owned), state.description)
    };
    sample(CrashStates::new(base, log, CRASH).map(keep).collect(), STATES)
}

fn try_one(recipe: &Recipe, totals: &Mutex<Totals>) {
    let sound = (recipe.sound)();
    let before = Tree::read(&(sound.device.clone() as Arc<dyn Device>));
    let image = recipe.damaged();
    // Sectors that cannot be read are another test's.
    interrupt(recipe.story, &image.device.inner().fork(), &before, sound.volume(), totals);
}

/// Interrupts the repair of `base`, which was `sound` and held `before` until it was damaged.
fn interrupt(story: &str, base: &MemDevice, before: &Tree, sound: &Volume, totals: &Mutex<Totals>) {
    let (damaged, log) = Damaged::new(base, before, sound);
    for (state, _, description) in states(base, &log) {
        let wrong = damaged.repair_again(Arc::new(state), &[], false);
        let mut totals = totals.lock().expect("no case panics");
        totals.count("fsck.vexfs -y", "crashes");
        if wrong.is_empty() {
            totals.count("fsck.vexfs -y", "mended");
        } else {
            totals.wrong(format!("{story}: {description}: {wrong}"));
        }
    }
}

#[test]
fn a_repair_that_was_interrupted_is_made_again() {
    let recipes = sample(all(), FEW);
    let mut totals = run(&recipes, try_one);
    // What was committed is only in the log, and the log is what is damaged.
    let sample = &SAMPLES.unclean;
    let sound = Volume::open(Arc::new(sample.image.fork()), &OpenOptions::default()).expect("sound");
    let base = sample.image.fork();
    let head = sound.superblock().journal_start.get() * 4096;
    base.write_at(head, &[0; 512]).expect("inside the image");
    let with_log = run(&[()], |(), totals| {
        interrupt("the head of a log with transactions is lost", &base, &sample.tree, &sound, totals);
    });
    totals.add(with_log);
    totals.finish("crashes of a repair", &["crashes", "mended"]);
}

/// What tools do to a filesystem, each in transactions of its own.
type Step = (&'static str, fn(&mut Volume));

const STEPS: [Step; 7] = [
    ("delete rows", |volume| delete(volume, "/ids", &[1, 2, 77])),
    ("build an index", |volume| build(volume, "/vectors", "ivf,name=more")),
    ("delete rows with keys", |volume| delete(volume, "/keys", &[0, 399])),
    ("compact a collection", |volume| {
        let ino = resolve(volume, "/keys", LastLink::Follow).expect("a collection").number();
        let mut txn = volume.begin().expect("begin");
        txn.compact_rows("/keys", ino, &Silent).expect("compacted");
        txn.commit().expect("commit");
    }),
    ("change the label", |volume| {
        let mut txn = volume.begin().expect("begin");
        txn.set_identity(Some("crashed"), Some([9; 16])).expect("identity");
        txn.commit().expect("commit");
    }),
    ("rebuild an index", |volume| rebuild(volume, "/ids", "lists")),
    ("drop an index", |volume| {
        vexfs_fs::index::remove(volume, "/keys", "flat").expect("dropped");
    }),
];

fn rebuild(volume: &mut Volume, path: &str, name: &str) {
    vexfs_fs::index::remove(volume, path, name).expect("dropped");
    build(volume, path, &format!("ivf,name={name}"));
}

#[test]
fn a_crash_of_a_tool_leaves_what_it_acknowledged() {
    let base = SAMPLES.clean.image.fork();
    let device = Arc::new(RecordDevice::new(base.fork()));
    let shared: Arc<dyn Device> = device.clone();
    let mut volume = open_rw(&shared);
    let mut trees = vec![SAMPLES.clean.tree.clone()];
    for (_, step) in STEPS {
        step(&mut volume);
        trees.push(Tree::read(&(Arc::new(device.inner().fork()) as Arc<dyn Device>)));
        device.mark((trees.len() - 1).to_string());
    }
    volume.close().expect("close");
    let log = device.take_log();
    let states = states(&base, &log);
    assert!(states.len() >= STATES);
    let totals = run(&states, |(state, mark, description), totals| {
        let done = mark.as_ref().map_or(0, |mark| mark.parse::<usize>().expect("a number"));
        let device: Arc<dyn Device> = Arc::new(state.fork());
        let (report, told) = repair(device.clone(), Mode::Preen);
        let (second, problems) = check_full(device.clone());
        let after = Tree::read(&device);
        let row = STEPS.get(done).map_or("close", |(name, _)| name);
        let mut totals = totals.lock().expect("no case panics");
        totals.count(row, "crashes");
        // A step of several transactions may have come to one of them.
        let is_known =
            trees[done..trees.len().min(done + 2)].iter().any(|tree| tree.differences(&after).is_empty());
        let is_between = row == "rebuild an index"
            && trees[done].losses(&after, &SAMPLES.clean.index_of("/ids")).is_empty();
        match report {
            Err(error) => totals.wrong(format!("{row}: {description}: {error}\n")),
            Ok(report) if !report.is_clean() => {
                totals.wrong(format!("{row}: {description}: left: {}\n", told.text()));
            }
            Ok(_) if !second.is_clean() => {
                totals.wrong(format!("{row}: {description}: not silent: {}\n", problems[0]));
            }
            Ok(_) if !is_known && !is_between => {
                totals.wrong(format!("{row}: {description}: neither as before nor as after\n"));
            }
            Ok(_) => totals.count(row, "mended"),
        }
    });
    totals.finish("crashes of tools", &["crashes", "mended"]);
}
