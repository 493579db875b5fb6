//! Every kind of index in several parts: the images do not depend on threads, and together they find what one finds.

mod common;

use std::sync::Arc;

use common::{Silent, append, formatted, open_ro, open_rw};
use vexfs_ann::index::Kind;
use vexfs_device::Device;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::index::{self, BuildOptions, IndexRequest, Indexes};
use vexfs_fs::search::{Choice, Effort, Request, Searcher};
use vexfs_fs::{Result, Volume};

const DIM: usize = 8;
const ROWS: usize = 600;

/// A filesystem with rows around a few centres, elements from 0 to 100.
fn filled() -> Arc<dyn Device> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let centres: Vec<f32> = (0..30 * DIM).map(|_| next() * 80.0).collect();
    let mut bytes = Vec::new();
    for row in 0..ROWS {
        let centre = &centres[row % 30 * DIM..][..DIM];
        bytes.extend(centre.iter().flat_map(|value| (value + next() * 20.0).to_le_bytes()));
    }
    let device = formatted(24, 4096);
    let mut volume = open_rw(&device);
    append(&mut volume, "vectors", &bytes, RowIds::Auto).expect("append");
    volume.close().expect("close");
    device
}

fn build(volume: &mut Volume, kind: Kind, threads: usize, memory: u64, dry_run: bool) -> Result<usize> {
    let request: IndexRequest = kind.name().parse().expect("a request");
    let options = BuildOptions { threads, memory, progress: &Silent, dry_run };
    index::build(volume, "vectors", &request, &options).map(|built| built.parts.len())
}

/// Least memory by which the rows are covered by one part.
fn enough_memory(volume: &mut Volume, kind: Kind) -> u64 {
    let (mut little, mut enough) = (0, 1 << 32);
    while enough - little > 1 {
        let middle = (little + enough) / 2;
        let is_one = matches!(build(volume, kind, 1, middle, true), Ok(1));
        if is_one { enough = middle } else { little = middle }
    }
    enough
}

/// The images of an index and its calibration, as they lie on the device.
fn files(volume: &Volume, name: &str) -> Vec<Vec<u8>> {
    let collection = Collection::open(volume, "vectors").expect("the collection");
    let files = index::files::find(volume, &collection, name).expect("files");
    let all = files.parts.values().chain(&files.calibration);
    let read = |ino: &_| volume.view(&vexfs_fs::inode::read(volume, *ino).expect("inode")).expect("view");
    all.map(|ino| read(ino).all().expect("intact").to_vec()).collect()
}

/// Rows that are found for some rows as queries, with all effort.
fn found(volume: &Volume, choice: Choice) -> Vec<Vec<u64>> {
    let collection = Collection::open(volume, "vectors").expect("the collection");
    let searcher = Searcher::open(volume, &collection).expect("a searcher");
    let indexes = Indexes::open(volume, &collection, &choice);
    let effort = match choice {
        Choice::Exact => Effort::Default,
        _ => Effort::Given { effort: None, rerank: Some(ROWS as u32) },
    };
    let plan = searcher.plan(&indexes, &Request { choice, effort }, 10).expect("a plan");
    let values: Vec<f32> = (0..20 * DIM).map(|i| (i * 31 % 97) as f32).collect();
    let queries = searcher.queries(&values, DIM).expect("queries");
    let answer = plan.search(&queries, 2, &|| false).expect("an answer");
    assert!(answer.fallback.is_none(), "{:?}", answer.fallback);
    answer.hits.iter().map(|hits| hits.iter().map(|hit| hit.row).collect()).collect()
}

#[test]
fn parts_that_memory_forces_do_not_depend_on_threads_and_find_what_one_finds() {
    let device = filled();
    let truth = found(&open_ro(&device), Choice::Exact);
    for kind in Kind::ALL {
        let memory = enough_memory(&mut open_rw(&device), kind);
        let mut images = Vec::new();
        for (threads, memory, parts) in
            [(1, memory - 1, 2), (2, memory - 1, 2), (5, memory - 1, 2), (2, memory, 1)]
        {
            let mut volume = open_rw(&device);
            assert_eq!(build(&mut volume, kind, threads, memory, false).expect("built"), parts, "{kind}");
            let collection = Collection::open(&volume, "vectors").expect("the collection");
            index::verify(&volume, &collection, kind.name(), &|| false).expect("sound");
            let hits = found(&volume, Choice::Named(kind.name().to_owned()));
            let right =
                hits.iter().zip(&truth).flat_map(|(hits, truth)| truth.iter().map(|row| hits.contains(row)));
            let share = right.clone().filter(|right| *right).count() as f64 / right.count() as f64;
            assert!(share >= 0.9, "{kind}, {parts} parts: recall {share}");
            images.push(files(&volume, kind.name()));
            index::remove(&mut volume, "vectors", kind.name()).expect("removed");
            volume.close().expect("close");
        }
        assert!(images[0] == images[1] && images[0] == images[2], "{kind}: the bytes depend on threads");
        assert!(images[0] != images[3], "{kind}: one part is two");
    }
}
