//! Indexes on a device: what is built is found, what came later too, what is deleted or damaged never answers, and a crash
//! leaves the old indexes or the new ones.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{append, formatted, open_ro, open_rw};
use vexfs_ann::index::Progress;
use vexfs_device::Device;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::index::{self, BuildOptions, IndexRequest, Indexes};
use vexfs_fs::search::{Answer, Choice, Effort, Limit, Request, Searcher};
use vexfs_fs::{FsError, Volume};

const DIM: usize = 8;

/// Says nothing, and asks to stop after so many steps.
struct StopAfter {
    steps: AtomicU64,
    most: u64,
}

impl StopAfter {
    const fn new(most: u64) -> Self {
        Self { steps: AtomicU64::new(0), most }
    }
}

impl Progress for StopAfter {
    fn step(&self, _stage: &'static str, _done: u64, _total: u64) {
        self.steps.fetch_add(1, Ordering::Relaxed);
    }

    fn is_interrupted(&self) -> bool {
        self.steps.load(Ordering::Relaxed) >= self.most
    }
}

static NEVER: StopAfter = StopAfter::new(u64::MAX);

fn options() -> BuildOptions<'static> {
    BuildOptions { threads: 2, memory: 64 << 20, progress: &NEVER, dry_run: false }
}

fn request(text: &str) -> IndexRequest {
    text.parse().expect("a request")
}

fn build(volume: &mut Volume, text: &str) -> index::Built {
    index::build(volume, "vectors", &request(text), &options()).expect(text)
}

/// Rows without a pattern that lists or graphs could find, elements from 0 to 100.
fn noise(seed: u32, count: usize, dim: usize) -> Vec<u8> {
    let mut state = u64::from(seed) << 32 | 0x9E37_79B9;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32 * 100.0
    };
    (0..count * dim).flat_map(|_| next().to_le_bytes()).collect()
}

/// A filesystem with `count` rows.
fn filled(block_size: u32, count: usize) -> Arc<dyn Device> {
    let device = formatted(24, block_size);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &noise(1, count, DIM), RowIds::Auto).expect("append");
    volume.close().expect("close");
    device
}

fn named(name: &str) -> Request {
    Request { choice: Choice::Named(name.to_owned()), effort: Effort::Default }
}

fn exact() -> Request {
    Request { choice: Choice::Exact, effort: Effort::Default }
}

/// The answer to three queries, and the warnings.
fn ask(volume: &Volume, request: &Request, limit: impl Into<Limit>) -> (Answer, Vec<String>) {
    let collection = Collection::open(volume, "vectors").expect("the collection");
    let searcher = Searcher::open(volume, &collection).expect("a searcher");
    let indexes = Indexes::open(volume, &collection, &request.choice);
    let plan = searcher.plan(&indexes, request, limit).expect("a plan");
    let values: Vec<f32> = (0..3 * DIM).map(|i| (i * 31 % 97) as f32).collect();
    let queries = searcher.queries(&values, DIM).expect("queries");
    (plan.search(&queries, 2, &|| false).expect("an answer"), plan.warnings().to_vec())
}

fn names(volume: &Volume) -> Vec<String> {
    let collection = Collection::open(volume, "vectors").expect("the collection");
    index::list(volume, &collection).expect("a list").into_iter().map(|files| files.name).collect()
}

/// The rows that the parts of an index cover.
fn coverage(volume: &Volume, name: &str) -> Vec<std::ops::Range<u64>> {
    let collection = Collection::open(volume, "vectors").expect("the collection");
    let files = index::files::find(volume, &collection, name).expect("files");
    let stored = index::StoredIndex::open(volume, &collection, &files).expect("opened");
    stored.parts().iter().map(|part| part.header().rows.clone()).collect()
}

/// One part covers all `rows` rows.
#[track_caller]
fn assert_covers_all(volume: &Volume, name: &str, rows: u64) {
    let covered = coverage(volume, name);
    assert!(covered.len() == 1 && covered[0] == (0..rows), "{covered:?}");
}

#[test]
fn what_is_built_answers_in_any_block_size_and_what_is_not_closed_too() {
    let mut answers = Vec::new();
    for block_size in [4096, 65_536] {
        let device = filled(block_size, 1200);
        let mut volume = open_rw(&device);
        assert_eq!(build(&mut volume, "flat").rows(), 1200);
        // Not closed: what is only in the journal is read from there.
        drop(volume);
        let volume = open_ro(&device);
        assert!(volume.is_unclean());
        let (answer, warnings) = ask(&volume, &named("flat"), 10);
        assert!(warnings.is_empty() && answer.is_exact && answer.fallback.is_none(), "{warnings:?}");
        assert!(answer.blocks_read > 0);
        assert_eq!(answer.hits, ask(&volume, &exact(), 10).0.hits);
        let collection = Collection::open(&volume, "vectors").expect("the collection");
        index::verify(&volume, &collection, "flat", &|| false).expect("sound");
        answers.push(answer.hits);
    }
    assert_eq!(answers[0], answers[1]);
}

#[test]
fn rows_that_came_later_are_found_at_once_and_deleted_ones_never() {
    let device = filled(4096, 1000);
    let mut volume = open_rw(&device);
    build(&mut volume, "flat");
    append(&mut volume, "vectors", &noise(5, 500, DIM), RowIds::Auto).expect("append");
    let (found, _) = ask(&volume, &named("flat"), 50);
    assert_eq!(found.hits, ask(&volume, &exact(), 50).0.hits);
    assert!(found.hits.iter().flatten().any(|hit| hit.row >= 1000), "none of the rows that came later");
    let gone: Vec<u64> = found.hits.iter().flatten().map(|hit| hit.row).collect();
    let ino = Collection::open(&volume, "vectors").expect("the collection").inode.number();
    let mut txn = volume.begin().expect("begin");
    txn.delete_rows("vectors", ino, &gone).expect("delete");
    txn.commit().expect("commit");
    for _ in 0..2 {
        let (found, warnings) = ask(&volume, &named("flat"), 50);
        assert!(warnings.is_empty() && found.fallback.is_none(), "{warnings:?}");
        assert!(found.hits.iter().flatten().all(|hit| !gone.contains(&hit.row)));
        assert_eq!(found.hits, ask(&volume, &exact(), 50).0.hits);
        index::extend(&mut volume, "vectors", "flat", &options()).expect("extended");
    }
}

#[test]
fn an_extension_covers_the_rest_in_few_parts() {
    let device = filled(4096, 1000);
    let mut volume = open_rw(&device);
    build(&mut volume, "ivf");
    assert_eq!(index::extend(&mut volume, "vectors", "ivf", &options()).expect("nothing to do"), None);
    let mut parts = Vec::new();
    for seed in 1..=12 {
        append(&mut volume, "vectors", &noise(seed, 100, DIM), RowIds::Auto).expect("append");
        index::extend(&mut volume, "vectors", "ivf", &options()).expect("extended").expect("something");
        let covered = coverage(&volume, "ivf");
        assert_eq!(covered.first().map(|rows| rows.start), Some(0));
        assert!(covered.windows(2).all(|pair| pair[0].end == pair[1].start), "{covered:?}");
        assert_eq!(covered.last().map(|rows| rows.end), Some(1000 + 100 * u64::from(seed)));
        parts.push(covered.len());
    }
    assert!(parts.iter().all(|&parts| parts <= 5), "{parts:?}");
    assert!(parts.contains(&4), "parts that were never merged or always: {parts:?}");
    index::rebuild(&mut volume, "vectors", "ivf", &options()).expect("rebuilt");
    assert_covers_all(&volume, "ivf", 2200);
}

#[test]
fn an_index_larger_than_memory_has_several_parts() {
    let device = filled(4096, 2000);
    let mut volume = open_rw(&device);
    let parts = |volume: &mut Volume, memory, dry_run| {
        let little = BuildOptions { memory, dry_run, ..options() };
        index::build(volume, "vectors", &request("flat"), &little).map(|built| built.parts.len())
    };
    // The most memory that is too little for one part.
    let (mut memory, mut enough) = (0, 1 << 30);
    while enough - memory > 1 {
        let middle = (memory + enough) / 2;
        let is_one = matches!(parts(&mut volume, middle, true), Ok(1));
        if is_one { enough = middle } else { memory = middle }
    }
    assert!(parts(&mut volume, memory, false).expect("built") > 1);
    // So little that there would be a part for each row is refused.
    let error = parts(&mut volume, 1, false).expect_err("too little").to_string();
    assert!(error.contains("allow more memory"), "{error}");
    assert_eq!(ask(&volume, &named("flat"), 10).0.hits, ask(&volume, &exact(), 10).0.hits);
}

#[test]
fn all_rows_within_a_radius_are_found() {
    let device = filled(4096, 1200);
    let mut volume = open_rw(&device);
    build(&mut volume, "flat");
    let nearest = ask(&volume, &exact(), 700).0.hits;
    for count in [1, 60, 70, 300, 650] {
        let radius = nearest[1][count - 1].distance;
        let expected: Vec<_> = nearest[1].iter().filter(|hit| hit.distance <= radius).copied().collect();
        for request in [named("flat"), exact()] {
            let (answer, _) = ask(&volume, &request, Limit::within(radius, None));
            assert_eq!(answer.hits[1], expected, "{count} {request:?}");
            let (answer, _) = ask(&volume, &request, Limit::within(radius, Some(5)));
            assert_eq!(answer.hits[1], expected[..expected.len().min(5)], "{count} {request:?}");
        }
    }
}

#[test]
fn a_recall_is_kept_or_refused() {
    let device = filled(4096, 1200);
    let mut volume = open_rw(&device);
    build(&mut volume, "ivf");
    let truth = ask(&volume, &exact(), 10).0;
    let recall = |wanted| Request { choice: Choice::Named("ivf".to_owned()), effort: Effort::Recall(wanted) };
    let (little, _) = ask(&volume, &recall(0.5), 10);
    let (much, _) = ask(&volume, &recall(0.97), 10);
    assert!(little.distance_computations < much.distance_computations);
    assert!(!little.is_exact && little.hits != truth.hits);
    // No index promises all: the exact search does.
    assert!(ask(&volume, &recall(1.0), 10).0.is_exact);
    // Without the calibration nobody knows.
    let collection = Collection::open(&volume, "vectors").expect("the collection");
    let directory =
        vexfs_fs::dir::lookup(&volume, &collection.inode, b"index").expect("read").expect("there");
    let mut txn = volume.begin().expect("begin");
    txn.remove(directory.inode, b"ivf.calibration").expect("removed");
    txn.commit().expect("commit");
    let plan = |volume: &Volume| {
        let collection = Collection::open(volume, "vectors").expect("the collection");
        let searcher = Searcher::open(volume, &collection).expect("a searcher");
        let request = recall(0.9);
        let indexes = Indexes::open(volume, &collection, &request.choice);
        searcher.plan(&indexes, &request, 10).map(drop)
    };
    let error = plan(&volume).expect_err("not calibrated").to_string();
    assert!(error.contains("ivf is not calibrated") && error.contains("--calibrate"), "{error}");
    assert!(index::calibrate(&mut volume, "vectors", "ivf", &options()).expect("calibrated"));
    plan(&volume).expect("calibrated");
}

#[test]
fn an_effort_is_that_of_the_kind() {
    let device = filled(4096, 1200);
    let mut volume = open_rw(&device);
    build(&mut volume, "ivf");
    let with = |name: &str, number| Request {
        choice: Choice::Named(name.to_owned()),
        // All candidates are decided: how many otherwise are depends on how near they are.
        effort: Effort::Given { effort: Some(("nprobe", number)), rerank: Some(1200) },
    };
    let cost = |number| ask(&volume, &with("ivf", number), 10).0.distance_computations;
    assert!(cost(1) < cost(16));
    let collection = Collection::open(&volume, "vectors").expect("the collection");
    let searcher = Searcher::open(&volume, &collection).expect("a searcher");
    let request = Request {
        choice: Choice::Named("ivf".to_owned()),
        effort: Effort::Given { effort: Some(("ef", 9)), rerank: None },
    };
    let indexes = Indexes::open(&volume, &collection, &request.choice);
    let error = searcher.plan(&indexes, &request, 10).map(drop).expect_err("ef is of hnsw").to_string();
    assert!(error.contains("has no ef; it has nprobe"), "{error}");
}

#[test]
fn a_missing_or_damaged_index_is_a_warning() {
    let device = filled(4096, 1200);
    let mut volume = open_rw(&device);
    let truth = ask(&volume, &exact(), 10).0.hits;
    let (answer, warnings) = ask(&volume, &named("hnsw"), 10);
    assert!(answer.is_exact && answer.hits == truth);
    assert!(warnings.len() == 1 && warnings[0].contains("there is no index hnsw"), "{warnings:?}");
    build(&mut volume, "flat,name=a");
    volume.close().expect("close");
    let volume = open_ro(&device);
    let collection = Collection::open(&volume, "vectors").expect("the collection");
    let files = index::files::find(&volume, &collection, "a").expect("files");
    let view = volume.view(&vexfs_fs::inode::read(&volume, files.parts[&0]).expect("inode")).expect("view");
    let blocks = view.len().div_ceil(4096);
    let offsets: Vec<u64> =
        (0..blocks).map(|block| volume.offset(view.device_block(block).expect("a block")) + 100).collect();
    drop((volume, view));
    for (block, offset) in offsets.iter().enumerate() {
        let mut byte = [0];
        device.read_at(*offset, &mut byte).expect("read");
        device.write_at(*offset, &[byte[0] ^ 1]).expect("write");
        let volume = open_ro(&device);
        let (answer, warnings) = ask(&volume, &named("a"), 10);
        let told = answer.fallback.iter().chain(&warnings).count();
        assert!(answer.is_exact && answer.hits == truth, "block {block}");
        assert!(told == 1 || answer.fallback.is_none() && told == 0, "block {block}: {warnings:?}");
        if told == 1 {
            let text = answer.fallback.iter().chain(&warnings).next().expect("told");
            assert!(
                text.contains("index a of vectors") && text.contains("every vector is compared"),
                "{text}"
            );
        }
        let collection = Collection::open(&volume, "vectors").expect("the collection");
        let sound = index::verify(&volume, &collection, "a", &|| false);
        assert!(told == 0 || sound.is_err(), "block {block}");
        device.write_at(*offset, &byte).expect("write");
    }
    assert!(ask(&open_ro(&device), &named("a"), 10).1.is_empty(), "all was put right again");
}

#[test]
fn an_interrupted_build_leaves_everything_as_it_was() {
    let device = filled(4096, 500);
    let mut volume = open_rw(&device);
    let count = StopAfter::new(u64::MAX);
    index::build(
        &mut volume,
        "vectors",
        &request("ivf"),
        &BuildOptions { threads: 1, progress: &count, ..options() },
    )
    .expect("built");
    let steps = count.steps.into_inner();
    assert!(steps > 4, "{steps} steps to stop at");
    for most in [0, 1, steps / 2, steps - 1] {
        let stop = StopAfter::new(most);
        let stopped = BuildOptions { threads: 1, progress: &stop, ..options() };
        let outcome = index::build(&mut volume, "vectors", &request("ivf,name=other"), &stopped);
        assert!(matches!(outcome, Err(FsError::Interrupted)), "{most}: {outcome:?}");
        let stop = StopAfter::new(most);
        let stopped = BuildOptions { threads: 1, progress: &stop, ..options() };
        let outcome = index::rebuild(&mut volume, "vectors", "ivf", &stopped);
        assert!(matches!(outcome, Err(FsError::Interrupted)), "{most}: {outcome:?}");
        assert_eq!(names(&volume), ["ivf"]);
        assert_covers_all(&volume, "ivf", 500);
    }
}

#[test]
fn indexes_are_called_by_their_kind_or_as_asked_and_go_when_told() {
    let device = filled(4096, 100);
    let mut volume = open_rw(&device);
    assert_eq!(build(&mut volume, "flat").name, "flat");
    assert_eq!(build(&mut volume, "flat").name, "flat-2");
    assert_eq!(build(&mut volume, "ivf,name=x").name, "x");
    let again = index::build(&mut volume, "vectors", &request("ivf,name=x"), &options());
    assert!(again.expect_err("taken").to_string().contains("exists already"));
    let unknown = index::build(&mut volume, "vectors", &request("ivf,colour=red"), &options());
    assert!(matches!(unknown, Err(FsError::BadIndex(_))), "{unknown:?}");
    let free = vexfs_fs::BlockSource::superblock(&volume).free_blocks.get();
    assert!(index::remove(&mut volume, "vectors", "flat").expect("removed") > 0);
    assert!(vexfs_fs::BlockSource::superblock(&volume).free_blocks.get() > free);
    assert_eq!(names(&volume), ["flat-2", "x"]);
    let missing = index::remove(&mut volume, "vectors", "flat").expect_err("gone").to_string();
    assert!(missing.contains("there are: flat-2, x"), "{missing}");
}

#[test]
fn an_index_over_no_rows_is_extended_when_there_are_some() {
    let device = formatted(24, 4096);
    let mut volume = open_rw(&device);
    build(&mut volume, "flat");
    build(&mut volume, "ivf");
    assert_covers_all(&volume, "ivf", 0);
    append(&mut volume, "vectors", &noise(1, 1200, DIM), RowIds::Auto).expect("append");
    index::extend(&mut volume, "vectors", "ivf", &options()).expect("extended").expect("something");
    assert_covers_all(&volume, "ivf", 1200);
    assert_eq!(ask(&volume, &named("flat"), 10).0.hits, ask(&volume, &exact(), 10).0.hits);
}
