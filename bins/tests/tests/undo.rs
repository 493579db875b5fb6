//! Work that is taken back: `-z` of `mkfs.vexfs` and `fsck.vexfs`, and `--repair-to`, which leaves nothing to take back.

mod volumes;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tool_tests::{Scratch, Tool};
use vexfs_format::InodeNo;
use volumes::{BYTES, file, format, noise, writable};

/// Puts `undo` back onto `image`, and returns what is said about it.
fn put_back(undo: &Path, image: &Path) -> Value {
    let run = Tool::TUNE.run().args(["--json", "--undo"]).arg(undo).arg(image).finish().expect(0);
    serde_json::from_str(run.text()).expect("JSON")
}

#[test]
fn formatting_is_taken_back_byte_by_byte() {
    let scratch = Scratch::new();
    let (image, undo) = (scratch.file("image", noise(BYTES as usize)), scratch.path("undo"));
    let before = Scratch::hash(&image);
    let run = Tool::MKFS.run().args(["-D", "4", "-z"]).arg(&undo).arg(&image).finish().expect(0);
    assert!(run.stderr.contains("vexfs-tune --undo"), "{}", run.stderr);
    assert_ne!(Scratch::hash(&image), before);
    Tool::FSCK.run().args(["-n", "-f"]).arg(&image).finish().expect(0);
    let made = Scratch::hash(&image);
    let planned = Tool::TUNE.run().arg("-n").arg("--undo").arg(&undo).arg(&image).finish().expect(0);
    assert!(planned.stderr.contains("would put back"), "{}", planned.stderr);
    assert_eq!(Scratch::hash(&image), made);
    let said = put_back(&undo, &image);
    assert_eq!((&said["tool"], &said["finished"]), (&"mkfs.vexfs".into(), &true.into()), "{said}");
    assert!(said["restored"].as_u64() > Some(4 << 20), "{said}");
    assert_eq!(Scratch::hash(&image), before);
    assert_eq!(put_back(&undo, &image)["restored"], 0, "once more changes nothing");
    assert_eq!(Scratch::hash(&image), before);
}

#[test]
fn an_image_that_formatting_made_longer_is_cut_off() {
    let scratch = Scratch::new();
    let (image, undo) = (scratch.file("image", noise(3 << 20)), scratch.path("undo"));
    let before = fs::read(&image).expect("image");
    Tool::MKFS.run().arg("-z").arg(&undo).arg(&image).arg("32M").finish().expect(0);
    assert_eq!(put_back(&undo, &image)["shortened_to"], 3 << 20);
    assert!(fs::read(&image).expect("image") == before);
    assert_eq!(put_back(&undo, &image)["restored"], 0);
    assert!(fs::read(&image).expect("image") == before);
}

#[test]
fn formatting_that_is_killed_at_any_moment_is_taken_back() {
    let scratch = Scratch::new();
    let image = scratch.file("image", noise(BYTES as usize));
    let before = Scratch::hash(&image);
    for delay in [0, 2, 5, 9, 14, 20, 30] {
        let undo = scratch.path(&format!("undo-{delay}"));
        let mut child = Tool::MKFS.run().args(["-f", "-z"]).arg(&undo).arg(&image).start();
        sleep(Duration::from_millis(delay));
        child.kill().expect("kill");
        child.wait().expect("ended");
        if undo.metadata().is_ok_and(|meta| meta.len() >= 4096) {
            put_back(&undo, &image);
        }
        assert_eq!(Scratch::hash(&image), before, "after {delay} ms");
    }
}

#[test]
fn a_replay_and_a_mark_by_fsck_are_taken_back_together() {
    let scratch = Scratch::new();
    let image = format(&scratch, "image");
    let mut volume = writable(&image);
    file(&mut volume, InodeNo::ROOT, "card.md", b"# Items");
    drop(volume); // not closed: the changes are in the journal
    let (before, undo) = (Scratch::hash(&image), scratch.path("undo"));
    let run = Tool::FSCK.run().args(["-p", "-z"]).arg(&undo).arg(&image).finish().expect(0);
    assert!(run.stderr.contains("replayed ") && run.stderr.contains("--undo"), "{}", run.stderr);
    let replayed = Scratch::hash(&image);
    assert_ne!(replayed, before);
    // Damage that preening marks; the same file goes on.
    let device = File::options().write(true).open(&image).expect("image");
    let root = volumes::readable(&image).geometry().group_metadata(vexfs_format::GroupNo(0)).2;
    let byte = root.get() * 4096 + 40;
    let mut old = [0];
    File::open(&image).expect("image").read_exact_at(&mut old, byte).expect("read");
    device.write_all_at(&[old[0] ^ 1], byte).expect("write");
    let damaged = Scratch::hash(&image);
    let other = scratch.path("other");
    let stopped = Tool::FSCK.run().args(["-p", "-f", "-z"]).arg(&other).arg(&image).finish();
    put_back(&other, &image);
    assert_eq!(Scratch::hash(&image), damaged, "{}", stopped.stderr);
    device.write_all_at(&old, byte).expect("write");
    assert_eq!(Scratch::hash(&image), replayed);
    put_back(&undo, &image);
    assert_eq!(Scratch::hash(&image), before);
}

#[test]
fn what_came_after_is_not_taken_back_unless_forced() {
    let scratch = Scratch::new();
    let (image, undo) = (scratch.image("image", BYTES), scratch.path("undo"));
    Tool::MKFS.run().args(["-D", "2", "-z"]).arg(&undo).arg(&image).finish().expect(0);
    Tool::IMPORT.on(&image, &scratch).finish().expect(0);
    let before = Scratch::hash(&image);
    let refused = |words: &[&str], device: &Path, what: &str| {
        let run = Tool::TUNE.run().args(words).arg("--undo").arg(&undo).arg(device).finish().expect(1);
        assert!(run.stderr.contains(what), "{}", run.stderr);
    };
    refused(&[], &image, "was changed after");
    refused(&["-n"], &image, "was changed after");
    assert_eq!(Scratch::hash(&image), before);
    let other = format(&scratch, "other");
    refused(&["-f"], &other, "was written for the UUID");
    refused(&["-f"], &scratch.image("short", BYTES - 4096), "was written for a device of");
    let run = Tool::TUNE.run().arg("--undo").arg(&image).arg(&other).finish().expect(1);
    assert!(run.stderr.contains("is not an undo file"), "{}", run.stderr);
    assert_eq!(Scratch::hash(&image), before);
    Tool::TUNE.run().args(["-f", "--undo"]).arg(&undo).arg(&image).finish().expect(0);
    Tool::FSCK.run().args(["-n"]).arg(&image).finish().expect(8);
}

#[test]
fn an_undo_file_that_is_something_else_or_the_device_is_refused() {
    let scratch = Scratch::new();
    let image = format(&scratch, "image");
    let letter = scratch.file("letter", "Dear reader");
    let other = format(&scratch, "other");
    let (used, gone) = (scratch.path("used"), scratch.path("no/folder/undo"));
    Tool::FSCK.run().args(["-p", "-f", "-z"]).arg(&used).arg(&other).finish().expect(0);
    // Another filesystem, told by its UUID.
    let stranger = scratch.image("stranger", BYTES);
    Tool::MKFS.run().arg(&stranger).finish().expect(0);
    let hash = |paths: &[&Path]| paths.iter().map(|path| Scratch::hash(path)).collect::<Vec<_>>();
    let all = [image.as_path(), &letter, &used, &stranger];
    let before = hash(&all);
    for (tool, words, code) in [(Tool::FSCK, ["-p", "-f"], 8), (Tool::MKFS, ["-f", "-q"], 1)] {
        for (undo, device) in [(&image, &image), (&letter, &image), (&gone, &image), (&used, &stranger)] {
            let run = tool.run().args(words).arg("-z").arg(undo).arg(device).finish().expect(code);
            assert!(run.stderr.contains(&undo.display().to_string()), "{}", run.stderr);
            assert_eq!(hash(&all), before, "{} {}", tool.name, undo.display());
        }
    }
    Tool::FSCK.run().args(["-n", "-z"]).arg(scratch.path("x")).arg(&image).finish().expect(16);
    assert!(!scratch.path("x").exists());
}

#[test]
fn a_repair_to_a_copy_leaves_the_device_alone() {
    let scratch = Scratch::new();
    let image = format(&scratch, "image");
    let mut volume = writable(&image);
    file(&mut volume, InodeNo::ROOT, "card.md", b"# Items");
    drop(volume); // not closed: the changes are in the journal
    let (before, new) = (Scratch::hash(&image), scratch.path("new"));
    let run = Tool::FSCK.run().args(["-p", "--json", "--repair-to"]).arg(&new).arg(&image);
    let run = run.finish().expect(0);
    assert_eq!(Scratch::hash(&image), before);
    let said: Value = serde_json::from_str(run.text()).expect("JSON");
    assert_eq!(said["device"], new.display().to_string());
    assert_eq!(said["lost"], Value::Array(Vec::new()));
    assert!(said["replayed"].as_u64() > Some(0), "{said}");
    assert!(!volumes::readable(&new).is_unclean() && volumes::readable(&image).is_unclean());
    let meta = new.metadata().expect("the copy");
    assert_eq!(meta.len(), BYTES);
    assert!(meta.blocks() * 512 < BYTES / 2, "zeros take no room");
    Tool::FSCK.run().args(["-n", "-f"]).arg(&new).finish().expect(0);

    // What is there is not written over; an empty file is taken.
    let copied = Scratch::hash(&new);
    let run = Tool::FSCK.run().args(["-p", "--repair-to"]).arg(&new).arg(&image).finish().expect(8);
    assert!(run.stderr.contains("is not empty"), "{}", run.stderr);
    let run = Tool::FSCK.run().args(["-p", "--repair-to"]).arg(&image).arg(&image).finish().expect(8);
    assert!(run.stderr.contains("is not empty"), "{}", run.stderr);
    assert_eq!((Scratch::hash(&new), Scratch::hash(&image)), (copied, before));
    let empty = scratch.file("empty", b"");
    Tool::FSCK.run().args(["-p", "--repair-to"]).arg(&empty).arg(&image).finish().expect(0);
    assert_eq!(Scratch::hash(&empty), copied);
}
