//! Ids and keys of imported rows.

mod image;

use image::{Image, npy};
use vexfs_fs::collection::ids::Identity;

/// An image with a collection of one dimension, and `n.npy` of n rows in its folder.
fn image() -> Image {
    let image = Image::new(1);
    for rows in 1..=8_usize {
        let values: Vec<f32> = (0..rows).map(|row| row as f32).collect();
        image.scratch.npy(&format!("{rows}.npy"), 1, &values);
    }
    image
}

fn ids_of(image: &Image, collection: &str) -> Vec<u64> {
    let identities = image.identities(collection).into_iter();
    identities
        .map(|identity| if let Identity::Id(id) = identity { id } else { panic!("{identity}") })
        .collect()
}

fn keys_of(image: &Image, collection: &str) -> Vec<String> {
    image.identities(collection).iter().map(Identity::to_string).collect()
}

/// Imports `rows` rows into `collection` with ids or keys (`flag`) from a file of these bytes.
fn import(
    image: &Image,
    collection: &str,
    rows: usize,
    flag: &str,
    name: &str,
    bytes: impl AsRef<[u8]>,
) -> tool_tests::Finished {
    let beside = image.scratch.file(name, bytes);
    let vectors = image.scratch.path(&format!("{rows}.npy"));
    image.import().args(["-q", "-c", collection]).arg(vectors).arg(flag).arg(beside).finish()
}

#[test]
fn ids_come_from_a_text_or_from_an_array_of_any_integer_type() {
    let image = image();
    import(&image, "text", 3, "--ids", "ids", "7\n 3 \r\n18446744073709551614").expect(0);
    assert_eq!(ids_of(&image, "text"), [7, 3, u64::MAX - 1]);
    type Encode = fn(u8) -> Vec<u8>;
    let encode: [(&str, Encode); 6] = [
        ("|u1", |x| vec![x]),
        ("|i1", |x| vec![x]),
        (">u2", |x| u16::from(x).to_be_bytes().to_vec()),
        ("<i4", |x| u32::from(x).to_le_bytes().to_vec()),
        ("<i8", |x| u64::from(x).to_le_bytes().to_vec()),
        (">u8", |x| u64::from(x).to_be_bytes().to_vec()),
    ];
    for (n, (descr, encode)) in encode.into_iter().enumerate() {
        let data: Vec<u8> = [9, 100, 0].into_iter().flat_map(encode).collect();
        let name = format!("array{n}");
        import(&image, &name, 3, "--ids", "ids.npy", npy(descr, false, &[3], &data)).expect(0);
        assert_eq!(ids_of(&image, &name), [9, 100, 0], "{descr}");
    }
    image.assert_sound();
}

#[test]
fn rows_without_ids_go_on_from_the_highest_id() {
    let image = image();
    image.import().args(["-q", "-c", "mixed"]).arg(image.scratch.path("2.npy")).finish().expect(0);
    import(&image, "mixed", 2, "--ids", "ids", "50\n20\n").expect(0);
    image.import().args(["-q", "-c", "mixed"]).arg(image.scratch.path("2.npy")).finish().expect(0);
    import(&image, "mixed", 1, "--ids", "ids", "2\n").expect(0);
    assert_eq!(ids_of(&image, "mixed"), [0, 1, 50, 20, 51, 52, 2]);
    image.assert_sound();
}

#[test]
fn ids_that_do_not_fit_are_refused_and_named() {
    let image = image();
    import(&image, "old", 4, "--ids", "ids", "10\n11\n12\n13\n").expect(0);
    let before = image.hash();
    let array = |ids: &[u64]| {
        npy("<u8", false, &[ids.len()], &ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<u8>>())
    };
    for (rows, bytes, problem) in [
        (3, b"1\n2\n".to_vec(), "ids: has 2 ids, and there are more rows than that"),
        (3, b"1\n2\n3\n4\n".to_vec(), "ids: has more ids than there are rows (3)"),
        (3, b"1\n2\n1\n".to_vec(), "ids: line 3: id 1 is given twice, first in line 1"),
        (3, b"1\n12\n11\n".to_vec(), "ids: line 2: id 12 is taken by row 2"),
        (3, b"1\n\n2\n3\n".to_vec(), "ids: line 2: found an empty line"),
        (3, b"1\n-2\n3\n".to_vec(), "ids: line 2: -2 is negative"),
        (3, b"1\n2.5\n3\n".to_vec(), "ids: line 2: found `2.5`"),
        (1, b"18446744073709551615\n".to_vec(), "id 18446744073709551615 is too large"),
        (1, b"18446744073709551616\n".to_vec(), "ids: line 1: found `18446744073709551616`"),
        (3, array(&[5, 6, 5]), "ids: row 2: id 5 is given twice, first in row 0"),
        (3, array(&[5, 13, 6]), "ids: row 1: id 13 is taken by row 3"),
        (3, array(&[5, 6]), "ids: has 2 ids, and there are more rows than that"),
        (2, npy("<f4", false, &[2], &[0; 8]), "ids: elements are float32, expected an integer type"),
        (2, npy("<i8", false, &[2], &[0xFF; 16]), "ids: row 0: -1 is negative"),
        (2, npy("<u8", false, &[2, 1], &[0; 16]), "ids: shape (2, 1)"),
        (1, Vec::new(), "ids: has 0 ids, and there are more rows than that"),
    ] {
        let run = import(&image, "old", rows, "--ids", "ids", bytes).expect(1);
        assert!(run.stderr.contains(problem), "{problem}: {}", run.stderr);
        assert_eq!(ids_of(&image, "old"), [10, 11, 12, 13], "{problem}");
    }
    image.assert_sound();
    let missing = image.scratch.path("missing");
    let run = image.import().arg(image.scratch.path("1.npy")).arg("--ids").arg(missing).finish().expect(1);
    assert!(run.stderr.contains("missing: no such file"), "{}", run.stderr);
    assert_ne!(image.hash(), before, "data blocks were written, and nothing refers to them");
}

#[test]
fn a_duplicate_may_lie_in_another_file_of_the_same_import() {
    let image = image();
    let ids = image.scratch.file("ids", "1\n2\n3\n2\n5\n");
    let (two, three) = (image.scratch.path("2.npy"), image.scratch.path("3.npy"));
    let run = image.import().args([&two, &three]).arg("--ids").arg(ids).finish().expect(1);
    assert!(run.stderr.contains("ids: line 4: id 2 is given twice, first in line 2"), "{}", run.stderr);
    let ids = image.scratch.file("ids", "1\n2\n3\n4\n5\n");
    image.import().arg("-q").args([&two, &three]).arg("--ids").arg(ids).finish().expect(0);
    assert_eq!(ids_of(&image, "vectors"), [1, 2, 3, 4, 5]);
}

#[test]
fn keys_are_lines_of_any_text() {
    let image = image();
    let longest = "k".repeat(1024);
    let text = format!("plain\nwith space \nüñí\n\"quoted\", too\n{longest}\n");
    import(&image, "keyed", 5, "--keys", "keys", &text).expect(0);
    assert_eq!(
        keys_of(&image, "keyed"),
        ["plain", "with space ", "üñí", "\"quoted\", too", longest.as_str()]
    );
    import(&image, "keyed", 2, "--keys", "keys", "more\nand more\r\n").expect(0);
    assert_eq!(keys_of(&image, "keyed")[5..], ["more", "and more"]);
    image.assert_sound();
}

#[test]
fn keys_that_do_not_fit_are_refused_and_named() {
    let image = image();
    import(&image, "keyed", 3, "--keys", "keys", "apple\npear\nfig\n").expect(0);
    let long = [b"a\n".to_vec(), vec![b'k'; 1025], b"\nb\n".to_vec()].concat();
    for (rows, bytes, problem) in [
        (2, b"kiwi\n".to_vec(), "keys: has 1 keys, and there are more rows than that"),
        (2, b"kiwi\nplum\nlime\n".to_vec(), "keys: has more keys than there are rows (2)"),
        (3, b"kiwi\nplum\nkiwi\n".to_vec(), "keys: line 3: key kiwi is given twice, first in line 1"),
        (3, b"kiwi\nplum\npear\n".to_vec(), "keys: line 3: key pear is taken by row 1"),
        (2, b"kiwi\n\n".to_vec(), "keys: line 2: found an empty line"),
        (3, long, "keys: line 2: line is longer than 1024 bytes"),
        (2, b"a\n\xFF\n".to_vec(), "keys: line 2: found bytes that are not UTF-8"),
        (2, b"a\nb\0\n".to_vec(), "keys: line 2: found a NUL"),
    ] {
        let run = import(&image, "keyed", rows, "--keys", "keys", bytes).expect(1);
        assert!(run.stderr.contains(problem), "{problem}: {}", run.stderr);
        assert_eq!(keys_of(&image, "keyed"), ["apple", "pear", "fig"], "{problem}");
    }
    // Keys are for all rows of a collection or for none.
    let one = image.scratch.path("1.npy");
    let run = image.import().args(["-c", "keyed"]).arg(&one).finish().expect(1);
    assert!(run.stderr.contains("its rows have keys, so new rows need them too"), "{}", run.stderr);
    assert!(!run.stderr.contains("make room"), "{}", run.stderr);
    image.import().args(["-q", "-c", "plain"]).arg(&one).finish().expect(0);
    let run = import(&image, "plain", 1, "--keys", "keys", "kiwi\n").expect(1);
    assert!(run.stderr.contains("its rows have no keys"), "{}", run.stderr);
    image.assert_sound();
}

#[test]
fn a_key_control_character_does_not_reach_the_terminal() {
    let image = image();
    let run = import(&image, "keyed", 2, "--keys", "keys", "a\x1b[2J\na\x1b[2J\n").expect(1);
    assert!(run.stderr.contains("key a\\u{1b}[2J is given twice"), "{}", run.stderr);
}

#[test]
fn the_key_of_a_deleted_row_may_be_given_again() {
    let image = image();
    import(&image, "keyed", 3, "--keys", "keys", "apple\npear\nfig\n").expect(0);
    image.delete("keyed", &[1]);
    import(&image, "keyed", 1, "--keys", "keys", "pear\n").expect(0);
    import(&image, "keyed", 1, "--keys", "keys", "pear\n").expect(1);
    let run =
        image.query().args(["-c", "keyed", "--id", "pear", "-k", "1", "-o", "jsonl"]).finish().expect(0);
    assert_eq!(run.text(), "{\"query\":0,\"hits\":[{\"id\":\"apple\",\"distance\":0.0}],\"exact\":true}\n");
    image.assert_sound();
}

#[test]
fn ids_and_keys_exclude_each_other() {
    let image = image();
    let keys = image.scratch.file("keys", "a\n");
    let one = image.scratch.path("1.npy");
    image.import().arg(one).arg("--ids").arg(&keys).arg("--keys").arg(&keys).finish().expect(2);
}
