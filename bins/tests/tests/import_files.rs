//! Ordinary files into the tree: `vexfs-import --file`.

mod image;

use image::{Image, Random};

/// Bytes that look random.
fn noise(len: usize) -> Vec<u8> {
    let mut random = Random(9);
    (0..len).map(|_| random.next() as u8).collect()
}

#[test]
fn files_of_any_length_come_to_the_place_that_is_named() {
    let image = Image::new(2);
    for len in [0, 1, 4095, 4096, 4097, 3_000_000] {
        let bytes = noise(len);
        let source = image.scratch.file("source", &bytes);
        let destination = format!("/file-{len}");
        image.import().arg("-q").arg("--file").arg(&source).arg(&destination).finish().expect(0);
        assert!(image.file(&destination) == bytes, "{len}");
        // The same through a pipe, where the length is not known.
        image.import().args(["-q", "--file", "-", "piped"]).input(bytes.clone()).finish().expect(0);
        assert!(image.file("/piped") == bytes, "{len} piped");
    }
    image.assert_sound();
}

#[test]
fn a_file_keeps_its_name_in_a_directory_and_gets_its_directories() {
    let image = Image::new(2);
    let note = image.scratch.file("note.md", "one");
    let copy = |arguments: &[&str], destination: &str| {
        image.import().arg("-q").args(arguments).arg("--file").arg(&note).arg(destination).finish()
    };
    copy(&[], "/").expect(0);
    assert_eq!(image.file("/note.md"), b"one");
    let before = image.hash();
    for missing in ["/a/b/c", "/a/"] {
        let run = copy(&[], missing).expect(1);
        assert!(run.stderr.contains(missing) && run.stderr.contains("hint: -p makes"), "{}", run.stderr);
        assert_eq!(image.hash(), before);
    }
    copy(&["-p"], "/a/b/c").expect(0);
    copy(&["-p"], "/a/b").expect(0);
    copy(&["-p"], "/x/y/").expect(0);
    assert_eq!(image.file("/a/b/c"), b"one");
    assert_eq!(image.file("/a/b/note.md"), b"one");
    assert_eq!(image.file("/x/y/note.md"), b"one");
    let run = copy(&["-p"], "/note.md/below").expect(1);
    assert!(run.stderr.contains("/note.md") && run.stderr.contains("directory"), "{}", run.stderr);
    let run = copy(&[], "/vectors").expect(1);
    assert!(run.stderr.contains("collection"), "{}", run.stderr);
    let run = image.import().args(["--file", "-", "/a"]).input("x").finish().expect(1);
    assert!(run.stderr.contains("/a: is a directory"), "{}", run.stderr);
    copy(&[], &format!("/{}", "n".repeat(256))).expect(1);
    image.assert_sound();
}

#[test]
fn a_file_is_replaced_as_a_whole_or_not_at_all() {
    let image = Image::new(2);
    let (old, new) = (noise(100_000), noise(50_000));
    let source = image.scratch.file("source", &old);
    image.import().arg("-q").arg("--file").arg(&source).arg("/model").finish().expect(0);
    let source = image.scratch.file("source", &new);
    image.import().arg("-q").arg("--file").arg(&source).arg("/model").finish().expect(0);
    assert!(image.file("/model") == new);
    for _ in 0..200 {
        // Space of what is replaced comes back.
        image.import().arg("-q").arg("--file").arg(&source).arg("/model").finish().expect(0);
    }
    let before = image.hash();
    let run = image.import().args(["--file", "/no/such/file", "/model"]).finish().expect(1);
    assert!(run.stderr.contains("/no/such/file: cannot be opened"), "{}", run.stderr);
    let folder = image.scratch.folder();
    let run = image.import().arg("--file").arg(folder).arg("/model").finish().expect(1);
    assert!(run.stderr.contains("is a directory, not an ordinary file"), "{}", run.stderr);
    assert_eq!(image.hash(), before);
    assert!(image.file("/model") == new);
    image.assert_sound();
}

#[test]
fn several_files_and_vectors_go_together() {
    let image = Image::new(2);
    let vectors = image.scratch.npy("x.npy", 2, &[1.0, 2.0]);
    let (a, b) = (image.scratch.file("a", "first"), image.scratch.file("b", "second"));
    let run = image.import().arg("--json").arg(&vectors);
    let run = run.arg("--file").arg(&a).arg("/a").arg("--file").arg(&b).arg("/b").finish().expect(0);
    let document: serde_json::Value = serde_json::from_str(run.text()).expect("one document");
    assert_eq!((&document["rows"], &document["files"]), (&1.into(), &2.into()));
    assert_eq!(document["bytes"], 8 + 5 + 6);
    assert_eq!((image.file("/a"), image.file("/b")), (b"first".to_vec(), b"second".to_vec()));

    // A source that is not there is seen before anything is done.
    let before = image.hash();
    let run = image.import().arg(&vectors).arg("--file").arg(&a).arg("/a2");
    run.args(["--file", "/no/such", "/c"]).finish().expect(1);
    assert_eq!(image.hash(), before);
    // One whose place is not there is not; what was stored before is said.
    let run = image.import().arg(&vectors).arg("--file").arg(&a).arg("/no/such/place").finish().expect(1);
    assert!(run.stderr.contains("hint: stored before that: 1 row"), "{}", run.stderr);
    assert_eq!(image.kind("vectors"), "2 f32 l2 2");
    image.assert_sound();
}
