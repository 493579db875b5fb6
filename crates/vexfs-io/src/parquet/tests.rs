//! Files, built by hand where no writer makes them: those of pyarrow are read by the tests of the tools.

use super::emit::Emit;
use super::*;
use crate::beside::{NameKind, Names};

/// A page of values that are plain, and not compressed.
fn page(count: usize, levels: &[&[u8]], values: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for levels in levels {
        body.extend((levels.len() as u32).to_le_bytes());
        body.extend(*levels);
    }
    body.extend(values);
    let mut header = Emit::default();
    header.element(|page| {
        page.int(1, 0).int(2, body.len() as i32).int(3, body.len() as i32);
        page.within(5, |data| {
            data.int(1, count as i32).int(2, 0).int(3, 3).int(4, 3);
        });
    });
    [header.bytes, body].concat()
}

/// A file of one group: a list of two i32 with small numbers called `v`, and i64 called `id`.
fn file(vectors: &[u8], ids: &[u8], rows: usize) -> Vec<u8> {
    let mut bytes = b"PAR1".to_vec();
    let places: Vec<(usize, usize)> = [vectors, ids]
        .into_iter()
        .map(|pages| {
            bytes.extend(pages);
            (bytes.len() - pages.len(), pages.len())
        })
        .collect();
    let mut footer = Emit::default();
    footer.element(|file| {
        file.int(1, 1).structures(2, 4);
        file.element(|root| {
            root.text(4, "schema").int(5, 2);
        });
        file.element(|list| {
            list.int(3, 1).text(4, "v").int(5, 1);
        });
        file.element(|leaf| {
            leaf.int(1, 1).int(3, 2).text(4, "element").int(6, 15);
        });
        file.element(|leaf| {
            leaf.int(1, 2).int(3, 0).text(4, "id");
        });
        file.long(3, rows as u64).structures(4, 1);
        file.element(|group| {
            group.structures(1, 2);
            for (start, length) in &places {
                group.element(|chunk| {
                    chunk.within(3, |data| {
                        data.int(4, 0).long(7, *length as u64).long(9, *start as u64);
                    });
                });
            }
            group.long(3, rows as u64);
        });
    });
    bytes.extend(&footer.bytes);
    bytes.extend((footer.bytes.len() as u32).to_le_bytes());
    bytes.extend(b"PAR1");
    bytes
}

fn numbers(values: &[i32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn ids(values: &[i64]) -> Vec<u8> {
    page(values.len(), &[], &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

/// Runs of levels: how often, and which.
fn runs(runs: &[(u8, u8)]) -> Vec<u8> {
    runs.iter().flat_map(|(count, level)| [count << 1, *level]).collect()
}

/// Two pages of two rows, with the row between them in both.
fn vectors() -> Vec<u8> {
    let first = page(
        5,
        &[&runs(&[(1, 0), (1, 1), (1, 0), (1, 1), (1, 0)]), &runs(&[(5, 2)])],
        &numbers(&[1, -2, 3, 4, 5]),
    );
    let second = page(3, &[&runs(&[(1, 1), (1, 0), (1, 1)]), &runs(&[(3, 2)])], &numbers(&[6, 127, -128]));
    [first, second].concat()
}

fn open(bytes: Vec<u8>) -> Result<ParquetRows, IoError> {
    let bytes = Bytes::File(Box::new(bytes));
    ParquetRows::open(
        Input { name: "x".to_owned(), bytes, path: None, part: None },
        Axes::Rows { single: false },
        0,
    )
}

fn read(bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut rows = open(bytes).map_err(|error| error.to_string())?;
    rows.beside().unwrap().name_by("id", NameKind::Id);
    let mut out = vec![0; 4 * rows.row_bytes()];
    let count = rows.fill(&mut out).map_err(|error| error.to_string())?;
    out.truncate(count * rows.row_bytes());
    let (is_named, names) =
        (rows.other_columns().contains(&"id".to_owned()), rows.beside().unwrap().take_names());
    assert!(!is_named || matches!(names, Some(Names::Ids(ids)) if ids.len() == count));
    Ok(out)
}

#[test]
fn rows_go_on_over_pages_and_small_numbers_get_their_own_width() {
    let bytes = file(&vectors(), &[ids(&[7, 8]), ids(&[9, 10])].concat(), 4);
    assert_eq!(read(bytes.clone()).unwrap(), [1, 254, 3, 4, 5, 6, 127, 128]);
    let mut rows = open(bytes).unwrap();
    assert_eq!((rows.columns(), rows.rows(), rows.element()), (2, Some(4), ElementType::I8));
    let others = rows.other_columns();
    assert!(others.contains(&"id".to_owned()) && !others.contains(&"v".to_owned()));
    rows.beside().unwrap().keep_payload();
    let mut out = [0; 6];
    assert_eq!(rows.fill(&mut out).unwrap(), 3);
    assert_eq!(rows.beside().unwrap().take_payload().unwrap()[2], "{\"id\":9}");
}

#[test]
fn lists_that_are_no_vectors_are_named_by_row() {
    let two_ids = ids(&[1, 2]);
    let of = |reps: &[(u8, u8)], defs: &[(u8, u8)], values: &[i32]| {
        let count = reps.iter().map(|(count, _)| usize::from(*count)).sum();
        read(file(&page(count, &[&runs(reps), &runs(defs)], &numbers(values)), &two_ids, 2)).unwrap_err()
    };
    let pair = [(1, 0), (1, 1)];
    for (error, expected) in [
        (
            of(&[pair, pair].concat(), &[(2, 2), (1, 1), (1, 2)], &[1, 2, 3]),
            "x: row 1: column `v`: found a null",
        ),
        (of(&[(1, 0), (1, 1), (1, 0)], &[(2, 2), (1, 0)], &[1, 2]), "row 1: column `v`: found a null"),
        (of(&[(2, 0)], &[(1, 0), (1, 2)], &[1]), "row 0: column `v`: found a null"),
        (of(&[&pair[..], &[(1, 0), (2, 1)]].concat(), &[(5, 2)], &[1, 2, 3, 4, 5]), "it has more rows"),
        (
            of(&[&pair[..], &[(2, 0)]].concat(), &[(4, 2)], &[1, 2, 3, 4]),
            "row 1: column `v`: found a list of another",
        ),
        (of(&[(1, 0), (1, 1), (1, 0)], &[(3, 2)], &[1, 2, 3]), "row 1: column `v`: found a list of another"),
        (
            of(&[pair, pair].concat(), &[(4, 2)], &[1, 2, 3, 128]),
            "row 1: column `v`: found a number that its type",
        ),
        (of(&[pair, pair].concat(), &[(4, 2)], &[1, 2, 3]), "a page is cut short"),
        (of(&[pair, pair].concat(), &[(4, 3)], &[1, 2, 3, 4]), "a level is higher"),
    ] {
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(
        read(file(&vectors(), &two_ids, 4)).unwrap_err().contains("column `id`: a column has fewer rows")
    );
}

#[test]
fn no_damaged_byte_makes_it_panic() {
    let sound = file(&vectors(), &ids(&[7, 8, 9, 10]), 4);
    for length in 0..sound.len() {
        assert!(read(sound[..length].to_vec()).is_err(), "{length}");
    }
    for at in 0..sound.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, sound[at] ^ 1, sound[at] ^ 0x10] {
            let mut damaged = sound.clone();
            damaged[at] = value;
            let _ = read(damaged);
        }
    }
}
