//! Opening what a user may name: files of every kind, and what is no file.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Cursor;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use vexfs_io::{Format, IdReader, KeyReader, OpenOptions, Problem, TargetType, open, open_stream};

fn error(path: &Path) -> vexfs_io::IoError {
    open(path, &OpenOptions::default()).map(drop).expect_err("opened")
}

#[test]
fn each_way_not_to_be_a_vector_file_has_its_message() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    let missing = error(&path);
    assert_eq!(missing.to_string(), format!("{}: no such file", path.display()));
    assert_eq!(missing.system_kind(), Some(std::io::ErrorKind::NotFound));
    assert!(matches!(error(folder.path()).problem(), Problem::Directory));

    let cases: [(&[u8], &str); 9] = [
        (b"", "is empty; expected vectors"),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0", "cannot open it: H5Fopen()"),
        (b"PK\x03\x04\x2d\0", "cannot read the archive: "),
        (b"PAR1\x15\x04\x15", "is shorter than any Parquet file"),
        (b"\x1f\x8b\x08\0\0", "looks like a compressed file, expected vectors; decompress it first"),
        (b"\x80\x04\x95\x10\0", "looks like a Python pickle"),
        (b"\0\x01\x02", "looks like binary data of no known format"),
        (b"\x93NUMPY\x09\x00\0\0", "npy format version 9.0"),
        (b"# a comment\n", "line 1, column 1: found `#`, expected a number"),
    ];
    for (content, expected) in cases {
        fs::write(&path, content).unwrap();
        let found = error(&path).to_string();
        assert!(found.contains(expected), "{found}");
        assert!(found.starts_with(&path.display().to_string()), "{found}");
    }

    fs::write(&path, "1 2").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    match open(&path, &OpenOptions::default()) {
        Ok(_) => println!("skipped: this user may read everything, so no file is denied"),
        Err(error) => assert!(error.to_string().ends_with("permission denied"), "{error}"),
    }
}

#[test]
fn a_named_format_is_not_second_guessed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    fs::write(&path, "1 2\n").unwrap();
    let npy = OpenOptions { format: Some(Format::Npy), ..OpenOptions::default() };
    let error = open(&path, &npy).map(drop).unwrap_err().to_string();
    assert!(error.ends_with("looks like text, expected an npy array"), "{error}");
    let text = OpenOptions { format: Some("text".parse().unwrap()), ..OpenOptions::default() };
    let error = open_stream(&b"\x93NUMPY\x01\0"[..], "x", &text).map(drop).unwrap_err().to_string();
    assert!(error.contains("bytes that are not UTF-8"), "{error}");
    assert!("hdf6".parse::<Format>().is_err());
}

#[test]
fn a_stream_is_recognised_by_its_content() {
    let mut source = open_stream(Cursor::new("[1, 2]\n[3, 4]"), "x", &OpenOptions::default()).unwrap();
    let mut rows = Vec::new();
    assert_eq!((source.dim(), source.read_rows(&mut rows, 10).unwrap()), (2, 2));
    let error = open_stream(&b""[..], "standard input", &OpenOptions::default()).map(drop).unwrap_err();
    assert!(error.to_string().starts_with("standard input: is empty"), "{error}");
}

/// One byte per read: a slow pipe.
struct Drip(Cursor<Vec<u8>>);

impl std::io::Read for Drip {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let length = buffer.len().min(1);
        self.0.read(&mut buffer[..length])
    }
}

#[test]
fn a_stream_may_come_in_single_bytes() {
    let npy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/npy/types/f4_be_c.npy");
    for content in [fs::read(npy).unwrap(), b"1 2 3\n4 5 6\n".to_vec()] {
        let mut whole = Vec::new();
        let mut source = open_stream(Cursor::new(content.clone()), "x", &OpenOptions::default()).unwrap();
        source.read_rows(&mut whole, 100).unwrap();
        let mut dripped = Vec::new();
        let mut source = open_stream(Drip(Cursor::new(content)), "x", &OpenOptions::default()).unwrap();
        source.read_rows(&mut dripped, 100).unwrap();
        assert!(!whole.is_empty());
        assert_eq!(whole, dripped);
    }
}

#[test]
fn one_typed_line_is_answered_before_the_next() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"7\n").unwrap();
    let mut source = open_stream(reader, "x", &OpenOptions::default()).unwrap();
    let mut row = Vec::new();
    assert_eq!(source.read_rows(&mut row, 1).unwrap(), 1);
    writer.write_all(b"8\n").unwrap();
    assert_eq!(source.read_rows(&mut row, 1).unwrap(), 1);
    assert_eq!(row, 8f32.to_le_bytes());
}

#[test]
fn a_named_pipe_is_read_as_a_stream() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    for content in ["1 2\n3 4\n", "17\n18\n"] {
        let writer = {
            let path = path.clone();
            std::thread::spawn(move || fs::write(path, content).unwrap())
        };
        if content.starts_with("17") {
            assert_eq!(IdReader::open(&path).unwrap().map(Result::unwrap).collect::<Vec<_>>(), [17, 18]);
        } else {
            let options = OpenOptions { target: Some(TargetType::U8), ..OpenOptions::default() };
            let mut rows = Vec::new();
            open(&path, &options).unwrap().read_rows(&mut rows, 9).unwrap();
            assert_eq!(rows, [1, 2, 3, 4]);
        }
        writer.join().unwrap();
    }
}

#[test]
fn ids_and_keys_come_from_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("input");
    fs::write(&path, "1\n2\n").unwrap();
    let mut ids = IdReader::open(&path).unwrap();
    assert_eq!(ids.expected(), None);
    assert_eq!(ids.by_ref().map(Result::unwrap).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(ids.delivered(), 2);
    let keys: Vec<_> = KeyReader::open(&path).unwrap().map(Result::unwrap).collect();
    assert_eq!(keys, ["1", "2"]);
    assert!(
        IdReader::open(&folder.path().join("none"))
            .map(drop)
            .unwrap_err()
            .to_string()
            .contains("no such file")
    );
    assert!(matches!(KeyReader::open(folder.path()).map(drop).unwrap_err().problem(), Problem::Directory));
}
