//! Input that cannot be imported, and devices that cannot take it: a message that names the place, exit code 1, and the state
//! before. Where the fault is seen before anything is written, not one byte of the image changes.

mod image;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use image::{Image, Random, f32_bytes, npy, npy_f32};
use tool_tests::{Scratch, Tool};

/// An image with 100 rows of 4 dimensions.
fn filled() -> Image {
    let image = Image::new(4);
    let file = image.scratch.npy("old.npy", 4, &Random(1).units(400));
    image.import().arg("-q").arg(file).finish().expect(0);
    image
}

#[test]
fn files_that_are_no_vectors_are_refused_before_a_byte_is_written() {
    let image = filled();
    let before = image.hash();
    let whole = npy_f32(4, &[0.5; 40]);
    let half = &whole[..whole.len() - 50];
    let trailing = [&whole[..], b"xyz"].concat();
    let objects = npy("|O", false, &[3], &[0; 24]);
    let huge = npy("<f4", false, &[1 << 40, 4], &[0; 64]);
    let deep = npy("<f4", false, &[2, 2, 2], &[0; 32]);
    let header = [b"\x93NUMPY\x01\x00\x10\x00".to_vec(), b"{'descr': 'oops\n".to_vec()].concat();
    for (name, bytes, problem) in [
        ("half.npy", half, "truncated: header promises 288 bytes, file has 238 (row 6 is the first"),
        ("long.npy", &trailing, "trailing data: header promises 288 bytes, file has 291"),
        ("objects.npy", &objects, "element type `|O`"),
        ("huge.npy", &huge, "truncated: header promises"),
        ("deep.npy", &deep, "shape (2, 2, 2)"),
        ("header.npy", &header, "malformed npy header"),
        ("magic.npy", &whole[..8], "header"),
        ("empty.npy", &[], "is empty; expected vectors"),
        ("model.pt", b"PK\x03\x04........", "cannot read the archive"),
        ("data.h5", b"\x89HDF\r\n\x1a\n....", "cannot open it: H5Fopen()"),
        ("noise", &[0xFE; 300], "binary data of no known format"),
        ("words.txt", b"hello world\n", "line 1, column 1: found `hello`"),
    ] {
        let file = image.scratch.file(name, bytes);
        for arguments in [&[][..], &["-c", "new"]] {
            let run = image.import().args(arguments).arg(&file).finish().expect(1);
            assert!(run.stderr.starts_with("vexfs-import: "), "{}", run.stderr);
            assert!(run.stderr.contains(name) && run.stderr.contains(problem), "{name}: {}", run.stderr);
            assert_eq!(run.text(), "");
            assert_eq!(image.hash(), before, "{name}");
        }
    }
    let folder = image.scratch.folder().display().to_string();
    for (path, problem) in [("/no/such/file.npy", "no such file"), (folder.as_str(), "is a directory")] {
        let run = image.import().arg(path).finish().expect(1);
        assert!(run.stderr.contains(path) && run.stderr.contains(problem), "{}", run.stderr);
        assert_eq!(image.hash(), before);
    }
}

#[test]
fn a_number_that_is_none_is_named_by_its_row_however_far_back() {
    let image = filled();
    let old = image.rows("vectors");
    let mut values = Random(2).units(300_000 * 4);
    for (bad, name) in [(f32::NAN, "NaN"), (f32::INFINITY, "infinity"), (f32::NEG_INFINITY, "-infinity")] {
        values[250_123 * 4 + 3] = bad;
        let file = image.scratch.npy("large.npy", 4, &values);
        let run = image.import().arg(file).finish().expect(1);
        let place = format!("large.npy: row 250123, column 3: {name}; vectors hold finite numbers only");
        assert!(run.stderr.contains(&place), "{}", run.stderr);
        assert!(image.rows("vectors") == old);
    }
    let text = "1 2 3 4\n".repeat(50_000) + "1 2 nan 4\n";
    let run = image.import().arg("-").input(text).finish().expect(1);
    assert!(run.stderr.contains("standard input: line 50001, column 5: NaN"), "{}", run.stderr);
    assert!(image.rows("vectors") == old);
    image.assert_sound();
}

#[test]
fn a_pipe_that_ends_early_leaves_nothing() {
    let image = filled();
    let old = image.rows("vectors");
    let whole = npy_f32(4, &Random(3).units(400_000));
    let run = image.import().arg("-").input(&whole[..whole.len() - 1]).finish().expect(1);
    assert!(run.stderr.contains("standard input: truncated"), "{}", run.stderr);
    let run = image.import().args(["-c", "new", "-"]).input(&whole[..200]).finish().expect(1);
    assert!(run.stderr.contains("standard input: truncated"), "{}", run.stderr);
    // A header may promise anything.
    let promise = npy("|u1", false, &[1 << 62, 1], &[0; 64]);
    let run = image.import().args(["-c", "new", "-"]).input(&promise[..]).finish().expect(1);
    assert!(run.stderr.contains("no space left"), "{}", run.stderr);
    assert!(image.rows("vectors") == old && !image.has("new"));
    image.assert_sound();
}

#[test]
fn a_full_device_keeps_what_it_has() {
    let image = Image::made_by(&["-D", "64"], "8M");
    let file = image.scratch.npy("old.npy", 64, &Random(1).units(64 * 1000));
    image.import().arg("-q").arg(file).finish().expect(0);
    let (old, before) = (image.rows("vectors"), image.hash());
    // A file says how much it needs.
    let large = image.scratch.npy("large.npy", 64, &Random(2).units(64 * 40_000));
    for collection in ["vectors", "new"] {
        let run = image.import().args(["-c", collection]).arg(&large).finish().expect(1);
        assert!(run.stderr.contains("no space left on the filesystem"), "{}", run.stderr);
        assert!(run.stderr.contains("hint: nothing was changed; make room"), "{}", run.stderr);
        assert_eq!(image.hash(), before);
    }
    let run = image.import().arg("--file").arg(&large).arg("/large").finish().expect(1);
    assert!(run.stderr.contains("no space left"), "{}", run.stderr);
    assert_eq!(image.hash(), before);
    // A stream of text does not.
    let line = format!("{}\n", vec!["0.125"; 64].join(" "));
    let run = image.import().arg("-").input(line.repeat(40_000)).finish().expect(1);
    assert!(
        run.stderr.contains("no space left") && run.stderr.contains("nothing was changed"),
        "{}",
        run.stderr
    );
    let run = image.import().args(["--file", "-", "/large"]).input(vec![7; 10 << 20]).finish().expect(1);
    assert!(
        run.stderr.contains("no space left") && run.stderr.contains("/large was not changed; make room"),
        "{}",
        run.stderr
    );
    assert!(image.rows("vectors") == old && !image.has("new") && !image.exists("/large"));
    image.assert_sound();
    // What fits is still taken.
    image.import().args(["-q", "-"]).input(line.repeat(1000)).finish().expect(0);
    assert_eq!(image.rows("vectors").len(), 2 * old.len());
    image.assert_sound();
}

#[test]
fn a_device_that_may_not_be_written_is_left_alone() {
    let image = filled();
    let file = image.scratch.npy("x.npy", 4, &[0.5; 4]);
    let before = image.hash();
    fs::set_permissions(&image.path, Permissions::from_mode(0o444)).expect("permissions");
    if fs::File::options().write(true).open(&image.path).is_ok() {
        println!("skipped: this user may write everything");
    } else {
        let run = image.import().arg(&file).finish().expect(1);
        assert!(run.stderr.contains("its permissions allow reading only"), "{}", run.stderr);
    }
    let attached = Command::new("losetup").args(["-r", "-f", "--show"]).arg(&image.path).output();
    match attached {
        Ok(output) if output.status.success() => {
            let device = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let import = Tool::IMPORT.run().args(["-d", &device]).arg(&file).finish();
            let query = Tool::QUERY.run().args(["-d", &device, "--id", "7", "-k", "1", "-o", "csv"]).finish();
            let detached = Command::new("losetup").args(["-d", &device]).status();
            assert!(detached.is_ok_and(|status| status.success()), "{device} stays attached");
            let import = import.expect(1);
            assert!(import.stderr.contains("the device is set read-only"), "{}", import.stderr);
            assert!(query.expect(0).text().contains("0,1,7,0\n"));
        }
        _ => println!("skipped: no loop device can be attached"),
    }
    assert_eq!(image.hash(), before);
}

#[test]
fn what_is_no_vexfs_is_said_to_be_none() {
    let scratch = Scratch::new();
    let file = scratch.npy("x.npy", 4, &[0.5; 4]);
    for (name, bytes, problem) in [
        ("empty", Vec::new(), "it has only 0 bytes"),
        ("zeros", vec![0; 1 << 20], "there is neither a superblock nor a backup of one"),
    ] {
        let device = scratch.file(name, bytes);
        let before = Scratch::hash(&device);
        for tool in [Tool::IMPORT, Tool::QUERY] {
            let run = tool.run().arg("-d").arg(&device).arg(&file).finish().expect(1);
            assert!(run.stderr.contains(name) && run.stderr.contains(problem), "{}", run.stderr);
        }
        assert_eq!(Scratch::hash(&device), before);
    }
}

#[test]
fn a_destroyed_primary_superblock_stops_the_writer_and_not_the_reader() {
    let image = filled();
    let mut bytes = fs::read(&image.path).expect("the image");
    bytes[1024..2048].fill(0);
    fs::write(&image.path, bytes).expect("the image");
    let before = image.hash();
    let file = image.scratch.npy("x.npy", 4, &[0.5; 4]);
    let run = image.import().arg(&file).finish().expect(1);
    assert!(run.stderr.contains("primary superblock is damaged"), "{}", run.stderr);
    assert!(run.stderr.contains("fsck.vexfs"), "{}", run.stderr);
    let run = image.query().args(["--id", "7", "-k", "1", "-o", "csv"]).finish().expect(0);
    assert!(run.text().contains("0,1,7,0\n"), "{}", run.text());
    assert!(run.stderr.contains("warning: ") && run.stderr.contains("using the backup"), "{}", run.stderr);
    assert_eq!(image.hash(), before);
}

#[test]
fn damage_of_what_an_import_builds_on_stops_it() {
    let image = filled();
    // The last block of the vectors is half full: the import would copy it.
    let volume = image.volume();
    let collection = vexfs_fs::collection::Collection::open(&volume, "vectors").expect("the collection");
    let rows = collection.open_rows(&volume).expect("rows");
    let at = volume.offset(rows.view().device_block(0).expect("a block"));
    drop((rows, volume));
    let mut bytes = fs::read(&image.path).expect("the image");
    bytes[at as usize + 5] ^= 0x10;
    fs::write(&image.path, bytes).expect("the image");
    let before = image.hash();
    let file = image.scratch.file("x.npy", npy("<f4", false, &[1, 4], &f32_bytes(&[0.5; 4])));
    let run = image.import().arg(&file).finish().expect(1);
    assert!(run.stderr.contains("checksum") && run.stderr.contains("fsck.vexfs"), "{}", run.stderr);
    assert_eq!(image.hash(), before);
}
