//! Which way a query takes: the one that is expected to cost least, by what the calibrations counted.

mod common;

use std::sync::Arc;

use common::{append, open_rw, options};
use vexfs_ann::index::Progress;
use vexfs_device::{Device, MemDevice};
use vexfs_format::codes::DType;
use vexfs_fs::Volume;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::append::{Appender, RowIds};
use vexfs_fs::index::{self, BuildOptions, Indexes};
use vexfs_fs::mkfs::{self, DefaultCollection};
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::search::{Choice, Effort, Filter, Request, Searcher};

const DIM: usize = 64;
/// More bytes than those of a collection that is always searched row by row.
const ROWS: usize = 4200;

struct Silent;

impl Progress for Silent {
    fn step(&self, _stage: &'static str, _done: u64, _total: u64) {}

    fn is_interrupted(&self) -> bool {
        false
    }
}

/// An empty filesystem.
fn formatted() -> Volume {
    formatted_for(DType::F32)
}

fn formatted_for(dtype: DType) -> Volume {
    let device: Arc<dyn Device> = Arc::new(MemDevice::new(32 << 20));
    let mut options = options(32 << 20, 4096);
    let mut collection = DefaultCollection::new("vectors", DIM as u32);
    collection.spec.dtype = dtype;
    options.collection = Some(collection);
    mkfs::format(device.clone(), &options).expect("mkfs");
    open_rw(&device)
}

/// Rows around `centres` centres, or around none.
fn rows(count: usize, centres: usize, seed: u64) -> Vec<u8> {
    let mut state = seed << 32 | 0x9E37_79B9;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let places: Vec<f32> = (0..centres * DIM).map(|_| next() * 10.0).collect();
    let centre = |row: usize, at: usize| if centres == 0 { 0.0 } else { places[row % centres * DIM + at] };
    (0..count * DIM).flat_map(|at| (centre(at / DIM, at % DIM) + next()).to_le_bytes()).collect()
}

fn add(volume: &mut Volume, rows: &[u8]) {
    append(volume, "vectors", rows, RowIds::Auto).expect("append");
}

fn build(volume: &mut Volume, text: &str) {
    let options = BuildOptions { threads: 2, memory: 1 << 30, progress: &Silent, dry_run: false };
    index::build(volume, "vectors", &text.parse().expect("a request"), &options).expect(text);
}

/// Adds rows whose payload is their number, as `n`.
fn add_numbered(volume: &mut Volume, rows: &[u8]) {
    let ino = resolve(volume, "vectors", LastLink::Follow).expect("the collection").number();
    let mut txn = volume.begin().expect("begin");
    let mut appender = Appender::open(&mut txn, "vectors", ino).expect("an appender");
    appender.push(&mut txn, rows, RowIds::Auto).expect("rows");
    let numbers: Vec<String> = (0..rows.len() / (DIM * 4)).map(|n| format!("{{\"n\":{n}}}")).collect();
    appender.push_payload(&mut txn, &numbers).expect("payload");
    appender.finish(&mut txn).expect("finished");
    txn.commit().expect("commit");
}

/// The index that answers, if one does.
fn chosen(volume: &Volume, choice: Choice, effort: Effort) -> Option<String> {
    let (index, warnings) = planned(volume, choice, effort, None);
    assert!(warnings.is_empty(), "{warnings:?}");
    index
}

/// The index that answers where only rows that match are to be found.
fn chosen_among(volume: &Volume, choice: Choice, effort: Effort, filter: &str) -> Option<String> {
    let (index, warnings) = planned(volume, choice, effort, Some(filter));
    assert!(warnings.is_empty(), "{warnings:?}");
    index
}

/// The index that answers, and what the person who asked should know.
fn planned(
    volume: &Volume,
    choice: Choice,
    effort: Effort,
    filter: Option<&str>,
) -> (Option<String>, Vec<String>) {
    let collection = Collection::open(volume, "vectors").expect("the collection");
    let mut searcher = Searcher::open(volume, &collection).expect("a searcher");
    if let Some(filter) = filter {
        let filter: Filter = filter.parse().expect("a filter");
        let payloads = collection.payloads(volume).expect("payload").expect("there is some");
        let matches = filter.apply(&payloads, searcher.deletions(), 1, &|| false).expect("applied");
        searcher = searcher.only(matches);
    }
    let indexes = Indexes::open(volume, &collection, &choice);
    let plan = searcher.plan(&indexes, &Request { choice, effort }, 10).expect("a plan");
    (plan.index().map(str::to_owned), plan.warnings().to_vec())
}

fn auto(volume: &Volume) -> Option<String> {
    chosen(volume, Choice::Auto, Effort::Default)
}

#[test]
fn an_index_answers_where_it_looks_at_few_rows_and_none_where_it_would_look_at_many() {
    let mut clustered = formatted();
    add(&mut clustered, &rows(ROWS, 100, 1));
    build(&mut clustered, "ivf");
    let hard = Effort::Recall(0.99);
    assert_eq!(auto(&clustered).as_deref(), Some("ivf"));
    assert_eq!(chosen(&clustered, Choice::Auto, hard).as_deref(), Some("ivf"));
    // Where there is no structure, a graph is walked nearly whole, and walking is dearer than reading.
    let mut noise = formatted();
    add(&mut noise, &rows(ROWS, 0, 1));
    build(&mut noise, "hnsw");
    assert_eq!(chosen(&noise, Choice::Auto, hard), None);
    assert_eq!(chosen(&noise, Choice::Named("hnsw".to_owned()), hard).as_deref(), Some("hnsw"));
    let given = Effort::Given { effort: Some(("ef", 20)), rerank: None };
    assert_eq!(chosen(&noise, Choice::Auto, given).as_deref(), Some("hnsw"), "whoever says how, wants it");
    // Codes take a quarter of what rows take.
    build(&mut noise, "flat");
    assert_eq!(chosen(&noise, Choice::Auto, hard).as_deref(), Some("flat"));
}

#[test]
fn the_flat_kind_costs_what_the_rows_do_where_these_are_its_codes() {
    let mut volume = formatted_for(DType::U8);
    let numbers = rows(4 * ROWS, 100, 5);
    let byte = |value: &[u8; 4]| (f32::from_le_bytes(*value) * 20.0) as u8;
    add(&mut volume, &numbers.as_chunks().0.iter().map(byte).collect::<Vec<_>>());
    build(&mut volume, "flat");
    assert_eq!(auto(&volume), None);
}

#[test]
fn few_rows_and_rows_that_no_index_covers_are_compared() {
    let mut volume = formatted();
    let all = rows(ROWS, 50, 2);
    let (few, rest) = all.split_at(1000 * DIM * 4);
    add(&mut volume, few);
    build(&mut volume, "ivf");
    assert_eq!(auto(&volume), None, "few rows");
    assert_eq!(chosen(&volume, Choice::Auto, Effort::Recall(0.9)).as_deref(), Some("ivf"), "unless asked");
    add(&mut volume, rest);
    build(&mut volume, "ivf,name=whole");
    assert_eq!(auto(&volume).as_deref(), Some("whole"), "the other does not cover most of the rows");
}

#[test]
fn an_index_that_promises_too_little_leaves_the_answer_to_another() {
    let mut volume = formatted();
    let all = rows(ROWS, 50, 3);
    let (few, rest) = all.split_at(60 * DIM * 4);
    add(&mut volume, few);
    // Sixty queries prove no recall of 0.99.
    build(&mut volume, "ivf,name=a");
    assert_eq!(chosen(&volume, Choice::Auto, Effort::Recall(0.99)), None);
    let (index, warnings) = planned(&volume, Choice::Named("a".to_owned()), Effort::Recall(0.99), None);
    assert_eq!((index, warnings.len()), (None, 1));
    assert!(warnings[0].contains("no effort of index a is known to find so large a share"), "{warnings:?}");
    add(&mut volume, rest);
    build(&mut volume, "ivf,name=b");
    assert_eq!(chosen(&volume, Choice::Auto, Effort::Recall(0.99)).as_deref(), Some("b"));
}

#[test]
fn what_nobody_measured_is_chosen_by_name_alone() {
    let mut volume = formatted();
    add(&mut volume, &rows(ROWS, 100, 4));
    build(&mut volume, "ivf");
    assert_eq!(auto(&volume).as_deref(), Some("ivf"));
    let collection = Collection::open(&volume, "vectors").expect("the collection");
    let directory =
        vexfs_fs::dir::lookup(&volume, &collection.inode, b"index").expect("read").expect("there");
    let mut txn = volume.begin().expect("begin");
    txn.remove(directory.inode, b"ivf.calibration").expect("removed");
    txn.commit().expect("commit");
    assert_eq!(auto(&volume), None);
    assert_eq!(chosen(&volume, Choice::Named("ivf".to_owned()), Effort::Default).as_deref(), Some("ivf"));
}

#[test]
fn an_index_that_few_matching_rows_make_needless_is_not_said_to_be_missing() {
    let mut volume = formatted();
    add_numbered(&mut volume, &rows(ROWS, 100, 5));
    build(&mut volume, "ivf");
    let named = |filter| chosen_among(&volume, Choice::Named("ivf".to_owned()), Effort::Default, filter);
    assert_eq!(named("n >= 0").as_deref(), Some("ivf"));
    assert_eq!(named("n < 20"), None, "twenty rows are compared one by one, and nobody is warned");
}
