//! Every state that a power failure may leave: each opens, checks clean, and holds the old contents or the new ones, and
//! everything that was acknowledged.
//!
//! A session is recorded, and the recording is cut, reordered and torn by [`CrashStates`]. `VEXFS_CRASH_SAMPLES` sets how many
//! random states there are for each place where there are too many for all; `make crash` sets it high.

mod common;
mod crash_model;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::options;
use crash_model::action::{Action, Names};
use crash_model::audit::audit;
use crash_model::session::{Session, Step, fresh, open_options};
use crash_model::torn::torn_subsets;
use crash_model::tree::{Tree, difference, read_tree};
use crash_model::workload::{random_story, story};
use rayon::iter::{ParallelBridge, ParallelIterator};
use vexfs_device::{CrashOptions, CrashStates, Device, MemDevice, Op, RecordDevice};
use vexfs_fs::check::{CheckOptions, Code, Problem, check};
use vexfs_fs::mkfs::{self, MkfsOptions};
use vexfs_fs::{FsError, OpenOptions, Volume};

/// The problem of a backup superblock that is not there.
const BACKUP_DAMAGED: Code = Code { pass: 0, number: 4 };
/// Random states at each place, unless the environment asks for more.
const SAMPLES: usize = 4;

fn samples() -> usize {
    match std::env::var("VEXFS_CRASH_SAMPLES") {
        Ok(text) => text.parse().expect("VEXFS_CRASH_SAMPLES is a number"),
        Err(_) => SAMPLES,
    }
}

fn crash_options(samples: usize) -> CrashOptions {
    CrashOptions {
        subset_limit: if samples > SAMPLES { 256 } else { 32 },
        samples,
        ..CrashOptions::default()
    }
}

/// What was done to a device, and what it held after each acknowledged step.
struct Recording {
    base: MemDevice,
    log: Vec<Op>,
    states: Vec<Tree>,
    /// Number of the state that was acknowledged when it began.
    before: usize,
}

/// Formats a blank device and takes `steps`; the recording begins behind the first `unrecorded` of them, or with mkfs.
fn record(options: &MkfsOptions, steps: &[Step], unrecorded: Option<usize>) -> Recording {
    let blocks = options.geometry.device_blocks * u64::from(options.geometry.block_size);
    let device = Arc::new(RecordDevice::new(MemDevice::new(blocks)));
    let mut session = Session::new(device.clone(), |n| device.mark(n.to_string()));
    let (mut base, mut before) = (device.inner().fork(), 0);
    session.format(options).expect("mkfs");
    for (n, step) in steps.iter().enumerate() {
        if unrecorded == Some(n) {
            base = device.inner().fork();
            before = session.states.len() - 1;
            device.take_log();
        }
        session.step(step).unwrap_or_else(|e| panic!("{step:?}: {e}"));
    }
    session.close().expect("close");
    let states = std::mem::take(&mut session.states);
    drop(session);
    Recording { base, log: device.take_log(), states, before }
}

/// What a volume holds; it must be sound, as the audit and the check see it. `in_mkfs`: backups may be missing yet.
fn contents(volume: &Volume, state: &str, in_mkfs: bool) -> Tree {
    let problems = audit(volume);
    assert!(problems.is_empty(), "{state}:\n{}", problems.join("\n"));
    let mut found: Vec<Problem> = Vec::new();
    let report = check(volume.device().clone(), &CheckOptions::default(), &mut found);
    found.retain(|problem| !(in_mkfs && problem.kind.code == BACKUP_DAMAGED));
    assert!(report.is_ok() && found.is_empty(), "{state}: {found:?} {report:?}");
    read_tree(volume).unwrap_or_else(|e| panic!("{state}: {e}"))
}

/// Opens a crash state for reading, which must write nothing, and for writing; both must find the same.
///
/// Returns what was found, and the writes of the replay; `None` for a device that holds no VexFS.
fn open_both(image: &MemDevice, state: &str, in_mkfs: bool) -> Option<(Tree, Vec<Op>)> {
    let device = Arc::new(RecordDevice::new(image.fork()));
    let read_only = match Volume::open(device.clone(), &OpenOptions::default()) {
        Ok(volume) => volume,
        Err(FsError::NotVexfs { .. }) => {
            let for_writing = Volume::open(device, &open_options());
            assert!(matches!(for_writing, Err(FsError::NotVexfs { .. })), "{state}: {for_writing:?}");
            return None;
        }
        Err(e) => panic!("{state}: {e}"),
    };
    assert!(read_only.report().journal_damage.is_none(), "{state}: {:?}", read_only.report());
    let tree = contents(&read_only, state, in_mkfs);
    drop(read_only);
    assert_eq!(device.log(), [], "{state}: reading wrote something");
    let volume = Volume::open(device.clone(), &open_options()).unwrap_or_else(|e| panic!("{state}: {e}"));
    assert!(!volume.is_unclean(), "{state}: nothing waits in the journal after a replay");
    let replayed = contents(&volume, state, in_mkfs);
    assert!(replayed == tree, "{state}: replay differs from the overlay\n{}", difference(&replayed, &tree));
    drop(volume);
    Some((tree, device.take_log()))
}

/// Goes on working with a device after a crash: nothing that was there may suffer, also when the tools die again and again.
///
/// The steps are like those before the crash: what is left of the log must not fit behind them.
fn work_on(image: &MemDevice, tree: &Tree, state: &str, in_mkfs: bool) {
    let device: Arc<dyn Device> = Arc::new(image.fork());
    let mut session = Session::new(device.clone(), |_| {});
    session.states = vec![tree.clone()];
    session.open().unwrap_or_else(|e| panic!("{state}: {e}"));
    let append = |seed| Step::Commit(vec![Action::Append("/vectors".to_owned(), vec![5], Names::Auto, seed)]);
    let write = Step::Commit(vec![Action::Write("/after the crash".to_owned(), 30_000, 99)]);
    for step in &[append(98), Step::Replay, append(97), Step::Replay, write, Step::Replay] {
        session.step(step).unwrap_or_else(|e| panic!("{state}: {step:?}: {e}"));
        let volume = session.volume.as_ref().expect("open");
        let found = contents(volume, state, in_mkfs);
        let expected = session.states.last().expect("states");
        assert!(found == *expected, "{state}: after {step:?}\n{}", difference(&found, expected));
    }
}

/// Replays every crash state of a recording and returns how many there were.
fn check_all(recording: &Recording, samples: usize) -> usize {
    let states = CrashStates::new(&recording.base, &recording.log, crash_options(samples));
    let whole = states.map(|state| (state.image, state.durable_mark.map(str::to_owned), state.description));
    let torn = torn_subsets(&recording.base, &recording.log, samples.clamp(2, 8));
    let count = AtomicUsize::new(0);
    whole.chain(torn).enumerate().par_bridge().for_each(|(number, (image, mark, description))| {
        let text = format!("state {number}, {mark:?} acknowledged, {description}");
        let acknowledged = mark.map(|mark| mark.parse::<usize>().expect("a number"));
        count.fetch_add(
            check_state(recording, &image, acknowledged, number, samples, &text),
            Ordering::Relaxed,
        );
    });
    count.into_inner()
}

/// One state: opened for reading and for writing, compared, worked on, and its replay crashed in turn.
///
/// Returns the number of states, with those of the replay.
fn check_state(
    recording: &Recording,
    image: &MemDevice,
    acknowledged: Option<usize>,
    number: usize,
    samples: usize,
    text: &str,
) -> usize {
    let in_mkfs = acknowledged.is_none() && recording.before == 0;
    let first = acknowledged.unwrap_or(recording.before);
    let allowed = &recording.states[first..recording.states.len().min(first + 2)];
    let Some((tree, replay)) = open_both(image, text, in_mkfs) else {
        assert!(acknowledged.is_none(), "{text}: what was acknowledged is gone");
        return 1;
    };
    let differences: Vec<String> = allowed.iter().map(|expected| difference(&tree, expected)).collect();
    let is_known = allowed.contains(&tree);
    assert!(is_known, "{text}: neither the old state nor the next\n{}", differences.join("or\n"));
    if number.is_multiple_of(16) && tree.contains_key("/vectors") {
        work_on(image, &tree, text, in_mkfs);
    }
    if replay.is_empty() || !number.is_multiple_of(8) {
        return 1;
    }
    // A crash while this very state is replayed.
    let again = CrashStates::new(image, &replay, crash_options(samples.min(8)));
    let sampled = again.enumerate().filter(|(n, _)| samples > SAMPLES || n % 7 == number / 8 % 7);
    1 + sampled.fold(0, |count, (n, second)| {
        let text = format!("{text}; then replay state {n}, {}", second.description);
        let found = open_both(&second.image, &text, in_mkfs).expect("a VexFS stays one").0;
        assert!(found == tree, "{text}: the replay changed what is there\n{}", difference(&found, &tree));
        count + 1
    })
}

fn small() -> MkfsOptions {
    let mut options = options(8 << 20, 4096);
    options.geometry.journal_blocks = Some(256);
    options
}

fn report(what: &str, count: usize, at_least: usize) {
    println!("{what}: {count} crash states");
    assert!(count >= at_least, "{what}: only {count} crash states");
}

#[test]
fn a_crash_during_mkfs_leaves_nothing_or_the_finished_filesystem() {
    report("mkfs on a blank device", check_all(&record(&small(), &[], None), samples()), 100);
}

#[test]
fn a_crash_during_mkfs_over_a_filesystem_leaves_the_old_one_nothing_or_the_new_one() {
    let before = record(&small(), &story()[..6], None);
    let old = before.base.fork();
    before.log.iter().for_each(|op| op.apply(&old).expect("apply"));
    let mut other = small();
    other.collection = None;
    other.geometry.vector_zone = false;
    for (uuid, discard) in [(*b"another identity", false), (common::UUID, false), (common::UUID, true)] {
        let options = MkfsOptions { uuid, discard, ..other.clone() };
        let device = Arc::new(RecordDevice::new(old.fork()));
        mkfs::format(device.clone(), &options).expect("mkfs");
        let log = device.take_log();
        let mut count = 0;
        for state in CrashStates::new(&old, &log, crash_options(samples())) {
            count += 1;
            let text = format!("discard {discard}: {}", state.description);
            match Volume::open(Arc::new(state.image.fork()), &OpenOptions::default()) {
                Err(FsError::NotVexfs { .. }) => {}
                Err(e) => panic!("{text}: {e}"),
                Ok(volume) => {
                    let tree = contents(&volume, &text, true);
                    let last = before.states.last().expect("states");
                    assert!(tree == fresh(&options) || tree == *last, "{text}: a mixture");
                }
            }
        }
        report("mkfs over an old filesystem", count, 100);
    }
}

#[test]
fn a_crash_during_everyday_work_loses_nothing_that_was_acknowledged() {
    report("everyday work", check_all(&record(&small(), &story(), None), samples()), 1000);
}

#[test]
fn a_crash_while_the_log_goes_round_replays_nothing_that_is_home_already() {
    // Small transactions fill the log; the last one is large, and overwrites several of them at once.
    let mut steps: Vec<Step> = (0..31)
        .map(|n| Step::Commit(vec![Action::Append("/vectors".to_owned(), vec![5], Names::Auto, n)]))
        .collect();
    steps.push(Step::Commit(vec![Action::ManyNames(String::new(), 0..300)]));
    steps.push(Step::Commit(vec![Action::RemoveNames(String::new(), (0..300).collect())]));
    let recording = record(&small(), &steps, Some(29));
    let long_epochs = samples().min(16).div_ceil(SAMPLES);
    report("the log goes round", check_all(&recording, long_epochs), 200);
}

#[test]
fn a_crash_on_a_volume_of_two_groups_with_large_blocks_or_few_inodes_does_no_more() {
    let mut two_groups = options(160 << 20, 4096);
    two_groups.geometry.inodes = Some(64);
    let recording = record(&two_groups, &story()[..7], None);
    report("two groups", check_all(&recording, samples().min(16)), 100);
    let recording = record(&options(24 << 20, 65_536), &story()[..7], None);
    report("blocks of 65536 bytes", check_all(&recording, samples().min(8)), 100);
}

#[test]
fn a_crash_during_random_work_loses_nothing_that_was_acknowledged() {
    let stories = if samples() > SAMPLES { 20 } else { 1 };
    for seed in 0..stories {
        let recording = record(&small(), &random_story(seed, 25), None);
        report(&format!("random story {seed}"), check_all(&recording, samples().min(16)), 100);
    }
}
