//! HDF5 files: the rows, ids and keys in them, and those that would have the reader do what it should not.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use hdf5::File;
use hdf5::types::VarLenUnicode;
use ndarray::{Array1, Array2};
use tempfile::TempDir;
use vexfs_io::{IdReader, KeyReader, OpenOptions, TargetType, open, read_matrix_u64};

const ROWS: usize = 1000;
const DIM: usize = 24;

/// A file that `fill` has made, in a folder that goes with it.
fn made(fill: impl FnOnce(&File) -> hdf5::Result<()>) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.h5");
    let file = File::create(&path).expect("a file");
    fill(&file).expect("contents");
    file.close().expect("closed");
    (folder, path)
}

fn part(path: &Path, part: &str) -> PathBuf {
    PathBuf::from(format!("{}:{part}", path.display()))
}

fn number(row: usize, column: usize) -> f32 {
    ((row * 31 + column * 7) % 509) as f32
}

fn rows() -> Array2<f32> {
    Array2::from_shape_fn((ROWS, DIM), |(row, column)| number(row, column))
}

/// All rows at `path` as f32, asked for in slabs of an odd size.
fn read(path: &Path, memory: usize) -> Result<Vec<f32>, String> {
    let options = OpenOptions { target: Some(TargetType::F32), memory, ..OpenOptions::default() };
    let mut source = open(path, &options).map_err(|error| error.to_string())?;
    let (mut all, mut slab) = (Vec::new(), Vec::new());
    while source.read_rows(&mut slab, 77).map_err(|error| error.to_string())? > 0 {
        all.extend(slab.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)));
    }
    Ok(all)
}

#[test]
fn rows_are_the_same_in_whatever_way_they_are_stored() {
    let expected: Vec<f32> = rows().into_iter().collect();
    let (_folder, path) = made(|file| {
        file.new_dataset_builder().with_data(&rows()).create("plain")?;
        file.new_dataset_builder().with_data(&rows()).chunk((64, 5)).deflate(4).create("gzip")?;
        file.new_dataset_builder().with_data(&rows()).chunk((300, DIM)).shuffle().lzf().create("lzf")?;
        file.new_dataset_builder().with_data(&rows().mapv(half::f16::from_f32)).create("half")?;
        let halves = rows().mapv(half::f16::from_f32);
        file.new_dataset_builder().with_data(&halves).chunk((7, DIM)).create("half_chunks")?;
        file.new_dataset_builder().with_data(&rows().mapv(f64::from)).chunk((1, DIM)).create("double")?;
        file.new_dataset_builder().with_data(&rows().mapv(|x| x as i16)).create("i16")?;
        file.new_dataset_builder().with_data(&rows().mapv(|x| x as u64)).chunk((ROWS, 1)).create("u64")?;
        file.create_group("a")?.create_group("b")?.link_soft("/gzip", "soft")
    });
    for dataset in
        ["plain", "/gzip", "lzf", "half", "half_chunks", "double", "i16", "u64", "a/b/soft", "//a/b//soft"]
    {
        // In one go, in chunks, and with less memory than a layer of chunks.
        for memory in [64 << 20, 4096] {
            assert!(read(&part(&path, dataset), memory).as_ref() == Ok(&expected), "{dataset}, {memory}");
        }
    }
}

#[test]
fn the_only_dataset_need_not_be_named() {
    let (_folder, path) = made(|file| {
        file.new_dataset_builder().with_data(&Array1::from_iter(0..1000u32)).create("ids")?;
        let names =
            Array1::from_iter((0..1000).map(|n| VarLenUnicode::from_str(&format!("ü{n}")).expect("text")));
        file.new_dataset_builder().with_data(&names).create("names")?;
        let group = file.create_group("deep")?;
        group.link_hard("/", "root")?;
        group.new_dataset_builder().with_data(&rows()).create("rows").map(drop)
    });
    assert_eq!(read(&path, 1 << 20).expect("one of two axes").len(), ROWS * DIM);
    let ids: Vec<u64> =
        IdReader::open(&path).expect("one of integers").map(|id| id.expect("an id")).collect();
    assert_eq!(ids, (0..1000).collect::<Vec<u64>>());
    let keys: Vec<String> =
        KeyReader::open(&path).expect("one of text").map(|key| key.expect("a key")).collect();
    assert_eq!((keys.len(), &*keys[999]), (1000, "ü999"));
    let truth = read_matrix_u64(&part(&path, "ids"), &OpenOptions::default()).expect("a row of integers");
    assert_eq!((truth.rows, truth.columns), (1, 1000));

    let (_folder, path) = made(|file| {
        file.new_dataset_builder().with_data(&rows()).create("test")?;
        file.new_dataset_builder().with_data(&rows()).create("train").map(drop)
    });
    let error = read(&path, 1 << 20).expect_err("two");
    assert!(error.contains("name one dataset, as FILE:/NAME; /test, /train"), "{error}");
}

#[test]
fn what_lies_elsewhere_or_nowhere_is_not_read() {
    let (folder, other) = made(|file| file.new_dataset_builder().with_data(&rows()).create("rows").map(drop));
    let path = folder.path().join("y.h5");
    let file = File::create(&path).expect("a file");
    file.link_external(other.to_str().expect("UTF-8"), "/rows", "external").expect("a link");
    file.link_external(other.to_str().expect("UTF-8"), "/", "group").expect("a link");
    file.link_soft("/external", "by_soft").expect("a link");
    file.link_soft("/round", "round").expect("a link");
    file.new_dataset::<f32>().shape((10, 4)).chunk((5, 4)).create("never").expect("a dataset");
    file.new_dataset::<f32>().shape((10.., 4)).chunk((100_000, 4)).create("huge").expect("a dataset");
    let huge = Array2::<f32>::zeros((10, 4));
    file.dataset("huge").expect("the dataset").write(&huge).expect("written");
    file.new_dataset_builder()
        .with_data(&Array2::from_elem((3, 3), false))
        .create("bools")
        .expect("a dataset");
    file.new_dataset_builder().with_data(&Array2::<f32>::zeros((3, 0))).create("empty").expect("a dataset");
    file.new_dataset_builder().with_data(&ndarray::arr3(&[[[1f32]]])).create("cube").expect("a dataset");
    file.create_group("folder").expect("a group");
    file.close().expect("closed");
    for (dataset, expected) in [
        ("external", "`external` is a link into another file"),
        ("group/rows", "`group` is a link into another file"),
        ("by_soft", "the dataset is a link into another file; copy it"),
        ("round", "y.h5:round: cannot open the dataset"),
        ("none", "there is no `none`"),
        ("folder", "cannot open the dataset"),
        ("/", "names no dataset"),
        ("never", "nothing was ever written"),
        ("huge", "chunks of shape (100000, 4) take more memory than is allowed"),
        ("bools", "element type bool (HDF5) holds no vectors"),
        ("empty", "shape (3, 0): vectors without components"),
        ("cube", "shape (1, 1, 1): too many axes"),
    ] {
        let error = read(&part(&path, dataset), 1 << 20).expect_err(dataset);
        assert!(error.contains(expected), "{dataset}: {error}");
    }
    assert!(read(&part(&path, "huge"), 2 << 20).is_ok(), "with memory for a chunk");
}

#[test]
fn a_damaged_file_is_refused_and_a_changed_byte_does_no_harm() {
    let (folder, path) = made(|file| {
        file.new_dataset_builder()
            .with_data(&rows())
            .chunk((64, DIM))
            .deflate(1)
            .fletcher32()
            .create("rows")?;
        file.new_dataset_builder().with_data(&rows()).create("plain").map(drop)
    });
    let bytes = std::fs::read(&path).expect("the file");
    let damaged = folder.path().join("damaged.h5");
    for length in [0, 7, 8, 100, 2000, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&damaged, &bytes[..length]).expect("written");
        for name in ["rows", "plain"] {
            let error = read(&part(&damaged, name), 1 << 20).expect_err("cut");
            assert!(error.contains("damaged.h5"), "{error}");
        }
    }
    let mut refused = 0;
    for at in (8..bytes.len()).step_by(bytes.len() / 300) {
        let mut changed = bytes.clone();
        changed[at] ^= 0x55;
        std::fs::write(&damaged, &changed).expect("written");
        refused += usize::from(read(&part(&damaged, "rows"), 1 << 20).is_err());
    }
    assert!(refused > 50, "the checksums of chunks find damage: {refused}");
}
