//! A crash while an index is built, extended, rebuilt or dropped leaves the indexes as they were before or as they are after; rows
//! are never touched.

mod common;

use std::ops::Range;
use std::sync::Arc;

use common::{Silent, append, open_ro, options, read_rows, rows_f32};
use vexfs_device::{CrashOptions, CrashStates, Device, MemDevice, RecordDevice};
use vexfs_fs::check::{CheckOptions, Problem, check};
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::index::{self, BuildOptions, StoredIndex};
use vexfs_fs::mkfs;
use vexfs_fs::{OpenOptions, Volume};

const DIM: usize = 8;

/// A change of the indexes.
type Step = fn(&mut Volume);

/// The indexes of the collection and the rows that each of their parts covers; each is sound.
type Indexes = Vec<(String, Vec<Range<u64>>)>;

fn indexes(volume: &Volume, state: &str) -> Indexes {
    let collection = Collection::open(volume, "vectors").expect("the collection");
    let all = index::list(volume, &collection).unwrap_or_else(|e| panic!("{state}: {e}"));
    let one = |files: index::IndexFiles| {
        index::verify(volume, &collection, &files.name, &|| false).unwrap_or_else(|e| panic!("{state}: {e}"));
        let stored = StoredIndex::open(volume, &collection, &files).expect("opened");
        (files.name, stored.parts().iter().map(|part| part.header().rows.clone()).collect())
    };
    all.into_iter().map(one).collect()
}

fn build(volume: &mut Volume, text: &str) {
    let request = text.parse().expect("a request");
    index::build(volume, "vectors", &request, &build_options()).expect(text);
}

fn build_options() -> BuildOptions<'static> {
    BuildOptions { threads: 1, memory: 64 << 20, progress: &Silent, dry_run: false }
}

/// Does `steps` one after the other and looks at every state that a crash can leave. Returns how many there are.
///
/// # Errors
/// The first state in which the indexes are neither as before a step nor as after it, or the rows or the filesystem are not what they
/// were.
fn sweep(steps: &[(&str, Step)]) -> Result<usize, String> {
    let mut mkfs_options = options(8 << 20, 4096);
    mkfs_options.geometry.journal_blocks = Some(256);
    let device = Arc::new(RecordDevice::new(MemDevice::new(8 << 20)));
    mkfs::format(device.clone(), &mkfs_options).expect("mkfs");
    let open = OpenOptions { write: true, now_ns: 1_000, ..OpenOptions::default() };
    let mut volume = Volume::open(device.clone(), &open).expect("open");
    append(&mut volume, "vectors", &rows_f32(1, 120, DIM), RowIds::Auto).expect("append");
    build(&mut volume, "ivf,name=old");
    append(&mut volume, "vectors", &rows_f32(2, 30, DIM), RowIds::Auto).expect("append");
    let rows = read_rows(&volume, "vectors").expect("rows");
    let base = device.inner().fork();
    device.take_log();
    let mut states = vec![indexes(&volume, "before")];
    for (name, step) in steps {
        step(&mut volume);
        states.push(indexes(&volume, name));
        device.mark((states.len() - 1).to_string());
    }
    assert!(states.windows(2).all(|pair| pair[0] != pair[1]), "each step changes something: {states:?}");
    volume.close().expect("close");
    let log = device.take_log();
    let crash = CrashOptions { subset_limit: 16, samples: 2, ..CrashOptions::default() };
    let mut count = 0;
    for state in CrashStates::new(&base, &log, crash) {
        count += 1;
        let text = format!("state {count}: {}", state.description);
        let acknowledged = state.durable_mark.map_or(0, |mark| mark.parse::<usize>().expect("a number"));
        let image: Arc<dyn Device> = Arc::new(state.image.fork());
        let volume = open_ro(&image);
        let found = indexes(&volume, &text);
        let allowed = &states[acknowledged..states.len().min(acknowledged + 2)];
        if !allowed.contains(&found) {
            return Err(format!("{text}: {found:?} is none of {allowed:?}"));
        }
        if read_rows(&volume, "vectors").expect("rows") != rows {
            return Err(format!("{text}: the rows changed"));
        }
        if count % 4 == 0 {
            let mut problems: Vec<Problem> = Vec::new();
            let report = check(image, &CheckOptions::default(), &mut problems);
            if report.is_err() || !problems.is_empty() {
                return Err(format!("{text}: {problems:?}"));
            }
        }
    }
    Ok(count)
}

#[test]
fn a_crash_leaves_the_old_indexes_or_the_new_ones() {
    let steps: [(&str, Step); 5] = [
        ("build", |volume| build(volume, "flat")),
        ("extend", |volume| {
            index::extend(volume, "vectors", "old", &build_options()).expect("extended").expect("something");
        }),
        ("rebuild", |volume| {
            index::rebuild(volume, "vectors", "old", &build_options()).expect("rebuilt");
        }),
        ("build a graph", |volume| build(volume, "hnsw")),
        ("drop", |volume| {
            index::remove(volume, "vectors", "flat").expect("dropped");
        }),
    ];
    let count = sweep(&steps).expect("every state is sound");
    assert!(count > 60, "only {count} states");
}

#[test]
fn a_change_in_two_steps_does_not_go_unnoticed() {
    let in_two: Step = |volume| {
        index::remove(volume, "vectors", "old").expect("dropped");
        build(volume, "ivf,name=old");
    };
    let problem = sweep(&[("rebuild", in_two)]).expect_err("between the steps there is no index");
    assert!(problem.contains("is none of"), "{problem}");
}
