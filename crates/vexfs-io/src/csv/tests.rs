//! Tables, good and bad.

use std::io::Cursor;

use super::*;
use crate::beside::{NameKind, Names};
use crate::input::Bytes;

fn open(text: &[u8], part: Option<&str>, format: Option<Format>) -> Result<Box<dyn RowSource>, IoError> {
    let bytes = Bytes::Stream(Box::new(Cursor::new(text.to_vec())));
    let input = Input { name: "x".to_owned(), bytes, path: None, part: part.map(ToOwned::to_owned) };
    let options = OpenOptions { format, ..OpenOptions::default() };
    open_text(input, format.unwrap_or(Format::Text), &options)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn read(text: &str, part: Option<&str>) -> Result<(usize, Vec<f32>), String> {
    let mut source = open(text.as_bytes(), part, None).map_err(|error| error.to_string())?;
    let (mut slab, mut all) = (Vec::new(), Vec::new());
    while source.read_rows(&mut slab, 2).map_err(|error| error.to_string())? > 0 {
        all.extend(floats(&slab));
    }
    Ok((source.dim(), all))
}

#[test]
fn vectors_are_found_in_the_ways_people_write_them() {
    for (text, part) in [
        ("id,vector\n1,\"[1, 2]\"\n2,\"[3.0,4e0]\"\n", None),
        ("id;embedding;note\r\n1;1 2;a\r\n2;3 4;b\r\n", None),
        ("emb\tyear\n[1 2]\t1999\n\"[3\n4]\"\t2000\n", None),
        ("id,x0,x1,y1\na,1,2,9\nb,3,4,9\n", None),
        ("v_2,v_1\n2,1\n4,3\n", None),
        ("a,w,v\n1,\"[0]\",\"1,2\"\n1,\"[0]\",\"3,4\"\n", Some("v")),
        ("x1,x2,y1,y2\n0,0,1,2\n0,0,3,4\n", Some("y")),
        ("1,2\n3,4\n", None),
        ("\u{feff}\"vector\",\"a, b\"\n1 2,x\n3 4,y\n", None),
    ] {
        assert_eq!(read(text, part), Ok((2, vec![1., 2., 3., 4.])), "{text:?}");
    }
    let mut single = open(b"vector\n\"1,2\"\n", None, Some(Format::Csv)).unwrap();
    let mut slab = Vec::new();
    assert_eq!((single.read_rows(&mut slab, 9).unwrap(), floats(&slab)), (1, vec![1., 2.]));
    assert_eq!(read("{\"a\": [1, 2], \"v\": [3, 4]}\n", Some("v")), Ok((2, vec![3., 4.])));
}

#[test]
fn what_is_no_table_of_vectors_is_refused_at_its_place() {
    for (text, part, expected) in [
        ("a,b\n1,2\n", None, "x: name the column of the vectors, as FILE:COLUMN; a, b"),
        ("a,b\n\"[1]\",\"[2]\"\n", None, "FILE:COLUMN; a, b"),
        ("a,v1,v3\n1,2,3\n", None, "FILE:COLUMN"),
        ("a,vector\n1,\"[1]\"\n", Some("vec"), "FILE:COLUMN; a, vector"),
        ("a,vector\n", None, "is empty; expected a row behind the names"),
        (
            "a,vector\n1,\"[1,2]\"\n2,\"[3]\"\n",
            None,
            "x: line 3: vector has 1 components, those before have 2",
        ),
        ("a,vector\n1,\"[1,2]\"\n2\n", None, "x: line 3: has 1 cells where the first line names 2 columns"),
        ("a,vector\n1,\"[1,z]\"\n", None, "x: line 2: column `vector`: found `z`, expected a number"),
        ("a,vector\n\"x\ny\",\"[1,2]\"\n2,\"[1,NaN]\"\n", None, "x: line 4: column `vector[1]`: NaN"),
        ("x0,x1\n1,2\n3,\n", None, "x: line 3: column `x1`: found ``, expected a number"),
        ("x0,x1\n1,2\n3,inf\n", None, "x: line 3: column `x1`: infinity"),
        ("1 2\n", Some("v"), "x: has no part `v`"),
        ("a b\n", None, "x: line 1, column 1: found `a`"),
    ] {
        let error = read(text, part).unwrap_err();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let mut open_quote = b"a,vector\n\"".to_vec();
    open_quote.resize(MAX_RECORD_BYTES as usize + 100_000, b'x');
    let error = open(&open_quote, None, None).err().unwrap().to_string();
    assert!(error.contains("line 2: line is longer than 33554432 bytes"), "{error}");
    let error = open(b"a,vector\n\xff,1 2\n", None, None).map(|mut source| {
        source.beside().unwrap().keep_payload();
        source.read_rows(&mut Vec::new(), 1).unwrap_err().to_string()
    });
    assert!(error.unwrap().contains("line 2: column `a`: found bytes that are not UTF-8"));
}

/// Names and payload of the first slab.
fn beside(text: &str, column: &str, kind: NameKind) -> (Option<Names>, Vec<String>) {
    let mut source = open(text.as_bytes(), None, None).unwrap();
    assert!(source.other_columns().iter().any(|other| other == column));
    let beside = source.beside().unwrap();
    beside.name_by(column, kind);
    beside.keep_payload();
    source.read_rows(&mut Vec::new(), 100).unwrap();
    let beside = source.beside().unwrap();
    (beside.take_names(), beside.take_payload().unwrap_or_default())
}

#[test]
fn other_columns_are_names_and_payload() {
    let table = "id,title,x0,x1,year,ok,empty\n7,\"a, \"\"b\"\"\",1,2,1999,True,\n8,1984,3,4,,false,\n";
    let (names, payload) = beside(table, "id", NameKind::Id);
    assert_eq!(names, Some(Names::Ids(vec![7, 8])));
    assert_eq!(payload, [r#"{"title":"a, \"b\"","year":1999,"ok":true}"#, r#"{"title":"1984","ok":false}"#]);
    let (names, payload) = beside(table, "title", NameKind::Key);
    assert_eq!(names, Some(Names::Keys(vec!["a, \"b\"".into(), "1984".into()])));
    assert_eq!(payload[1], r#"{"id":8,"ok":false}"#);
    let lines = "{\"id\":7,\"vector\":[1,2],\"a\":{\"b\": 1.50}}\n{\"vector\":[3,4],\"id\":\"8\"}\n";
    let (names, payload) = beside(lines, "id", NameKind::Id);
    assert_eq!(
        (names, payload),
        (Some(Names::Ids(vec![7, 8])), vec![r#"{"a":{"b": 1.50}}"#.into(), "".into()])
    );
}

#[test]
fn payload_makes_slabs_shorter_and_is_complete() {
    let cell = "x".repeat(1 << 20);
    let table: String = (0..13).map(|row| format!("{row},{cell},1 2\n")).collect();
    let mut source = open(format!("n,text,vector\n{table}").as_bytes(), None, None).unwrap();
    source.beside().unwrap().keep_payload();
    let (mut slab, mut slabs, mut rows) = (Vec::new(), 0, 0);
    loop {
        let read = source.read_rows(&mut slab, 1000).unwrap();
        if read == 0 {
            break;
        }
        let payload = source.beside().unwrap().take_payload().unwrap();
        assert_eq!(payload.len(), read);
        for text in payload {
            assert!(text.starts_with(&format!("{{\"n\":{rows},\"text\":\"xxx")));
            rows += 1;
        }
        slabs += 1;
    }
    assert_eq!((rows, slabs), (13, 4));
}
