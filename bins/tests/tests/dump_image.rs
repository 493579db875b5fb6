//! `vexfs-dump image`: the metadata of a volume, for reports of bugs.

mod image;

use std::os::unix::fs::MetadataExt;

use image::{Image, Random};
use serde_json::Value;
use tool_tests::{Finished, Tool};

fn json(run: &Finished) -> Value {
    serde_json::from_str(run.text()).expect("JSON")
}

fn filled() -> Image {
    let image = Image::made_by(&["-D", "8", "-L", "wardrobe"], "32M");
    let rows = image.scratch.npy("rows.npy", 8, &Random(3).units(8 * 400));
    let keys = image.scratch.file("keys", (0..400).map(|n| format!("customer-{n}\n")).collect::<String>());
    let payload = (0..400).map(|n| format!("{{\"name\":\"person {n}\"}}\n")).collect::<String>();
    let payload = image.scratch.file("payload", payload);
    let import = image.import().args([
        "-q",
        "-c",
        "people",
        "--model",
        "secret-encoder@77",
        "--index",
        "flat",
        "--index",
        "hnsw",
    ]);
    import.arg(&rows).arg("--keys").arg(keys).arg("--payload").arg(payload).finish().expect(0);
    let note = image.scratch.file("note", "confidential contents");
    image.import().arg("-q").arg("--file").arg(note).arg("/private-note.txt").finish().expect(0);
    image
}

/// Every reading part of the dump works on the image, and a check finds it sound but for its indexes, which have no contents.
fn assert_readable(copy: &std::path::Path) {
    for what in ["super", "groups", "journal", "collections", "indexes", "map", "health", "udev"] {
        Tool::DUMP.run().arg(copy).arg(what).finish().expect(0);
    }
    Tool::DUMP.run().arg(copy).args(["ls", "-R", "/"]).finish().expect(0);
    Tool::FSCK.run().args(["-n", "-f", "--data=none"]).arg(copy).finish().expect(0);
}

#[test]
fn an_image_tells_all_but_the_contents() {
    let image = filled();
    let before = image.hash();
    let copy = image.scratch.path("copy.img");
    let run = image.dump().arg("--json").arg("image").arg(&copy).finish().expect(0);
    let written = json(&run);
    assert_eq!((&written["scrambled"], &written["damaged"]), (&false.into(), &0.into()));
    assert_eq!(image.hash(), before, "the volume is only read");
    let meta = std::fs::metadata(&copy).expect("the image");
    assert_eq!(meta.len(), 32 << 20);
    assert!(meta.blocks() * 512 < 2 << 20, "{} bytes on disk", meta.blocks() * 512);
    assert_readable(&copy);
    for what in [&["ls", "-R", "/", "--json"][..], &["map", "--json"], &["super", "--json"]] {
        let of = |path: &std::path::Path| {
            let mut found = json(&Tool::DUMP.run().arg(path).args(what).finish().expect(0));
            found.as_object_mut().map(|object| object.remove("device"));
            found
        };
        assert_eq!(of(&copy), of(&image.path), "{what:?}");
    }
    let bytes = std::fs::read(&copy).expect("the image");
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"private-note.txt") && holds(b"customer-17"));
    assert!(!holds(b"confidential") && !holds(b"person 1"));
    // It is not overwritten.
    let again = image.dump().arg("image").arg(&copy).finish().expect(1);
    assert!(again.stderr.contains("exists"), "{}", again.stderr);
}

#[test]
fn scrambled_names_are_in_no_image() {
    let image = filled();
    let copy = image.scratch.path("copy.img");
    image.dump().args(["-q", "--scramble", "image"]).arg(&copy).finish().expect(0);
    assert_readable(&copy);
    let bytes = std::fs::read(&copy).expect("the image");
    for secret in
        ["private-note", "people", "customer", "wardrobe", "confidential", "person", "secret-encoder"]
    {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
    let names = |path: &std::path::Path| {
        let listed = json(&Tool::DUMP.run().arg(path).args(["ls", "/", "--json"]).finish().expect(0));
        let entries = listed["entries"].as_array().expect("entries").clone();
        let mut lengths: Vec<usize> =
            entries.iter().map(|entry| entry["path"].as_str().expect("a path").len()).collect();
        lengths.sort_unstable();
        lengths
    };
    assert_eq!(names(&copy), names(&image.path));
}

#[test]
fn a_damaged_volume_has_an_image_too() {
    let image = filled();
    let mut bytes = std::fs::read(&image.path).expect("the image");
    // In the directory, and in the log that it went through.
    let is_name = |window: &[u8]| window == b"private-note.txt";
    let found: Vec<usize> = (0..bytes.len() - 16).filter(|&at| is_name(&bytes[at..at + 16])).collect();
    assert!(!found.is_empty());
    found.into_iter().for_each(|at| bytes[at] ^= 1);
    std::fs::write(&image.path, bytes).expect("damaged");
    let copy = image.scratch.path("copy.img");
    // The image is there, and the exit code says that damage was met.
    image.dump().arg("image").arg(&copy).finish();
    assert!(copy.exists());
    Tool::DUMP.run().arg(&copy).arg("super").finish().expect(0);
    let found = Tool::FSCK.run().args(["-n", "-f"]).arg(&copy).finish();
    assert_eq!(found.code, 4, "{}", found.stderr);
}
