//! An independent reader agrees: `docs/format/checker.py`, written from the pages of the format, finds images of the tools
//! sound and reads the same rows.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use tool_tests::{Scratch, Tool};
use vexfs_device::{FileDevice, OpenOptions as DeviceOptions};
use vexfs_format::codes::InodeKind;
use vexfs_fs::path::{self, LastLink};
use vexfs_fs::{OpenOptions, Volume};

/// Runs a script of docs/format; `None`, with a printed line, where there is no Python.
fn python(script: &str, args: &[&str]) -> Option<Output> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format").join(script);
    match Command::new("python3").arg(path).args(args).output() {
        Ok(output) => Some(output),
        Err(e) => {
            println!("skipped: python3 cannot be run: {e}");
            None
        }
    }
}

fn assert_sound(image: &Path) {
    let Some(output) = python("checker.py", &[image.to_str().expect("UTF-8")]) else { return };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn images_of_the_tools_are_sound_to_a_reader_written_from_the_pages() {
    let scratch = Scratch::new();
    let rows: Vec<f32> = (0..3000).map(|n| n as f32 / 7.0).collect();
    let vectors = scratch.npy("rows.npy", 3, &rows);
    let keys: String = (0..1000).map(|n| format!("key-{n}\n")).collect();
    let keys = scratch.file("keys", keys);
    let payload =
        (0..1000).map(|n| if n % 3 == 0 { "null\n".to_owned() } else { format!("{{\"n\":[{n},\"ä\"]}}\n") });
    let payload = scratch.file("payload", payload.collect::<String>());
    for block_size in ["4096", "16384", "65536"] {
        let image = scratch.path(&format!("{block_size}.img"));
        Tool::MKFS
            .run()
            .args(["-q", "-b", block_size, "-V", "-D", "3"])
            .arg(&image)
            .arg("32M")
            .finish()
            .expect(0);
        assert_sound(&image);
        for collection in ["vectors", "keyed"] {
            for _ in 0..2 {
                let mut import =
                    Tool::IMPORT.run().args(["-q", "-c", collection, "-d"]).arg(&image).arg(&vectors);
                if collection == "keyed" {
                    import = import.arg("--keys").arg(&keys).arg("--payload").arg(&payload);
                }
                let finished = import.finish();
                // The keys are taken the second time.
                assert!([0, 1].contains(&finished.code), "{}", finished.stderr);
            }
        }
        let copy = ["-p", "--file", "Cargo.toml", "/a/b/manifest"];
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        Tool::IMPORT.run().folder(folder).args(["-q", "-d"]).arg(&image).args(copy).finish().expect(0);
        assert_sound(&image);
        let Some(output) = python("reader.py", &[image.to_str().expect("UTF-8"), "cat", "/a/b/manifest"])
        else {
            return;
        };
        let manifest = std::fs::read(folder.join("Cargo.toml")).expect("own manifest");
        assert!(output.stdout == manifest, "the file comes back as it went");
    }
}

#[test]
fn indexes_are_sound_to_the_independent_reader() {
    let scratch = Scratch::new();
    let rows: Vec<f32> = (0..300 * 8).map(|n| ((n * 7919) % 1000) as f32).collect();
    let vectors = scratch.npy("rows.npy", 8, &rows);
    let image = scratch.path("x.img");
    Tool::MKFS.run().args(["-q", "-V", "-D", "8"]).arg(&image).arg("32M").finish().expect(0);
    let kinds = ["flat", "hnsw", "ivf", "pq", "ivf-pq", "lsh"];
    let flags = kinds.iter().flat_map(|kind| ["--index", kind]);
    Tool::IMPORT.run().arg("-q").args(flags).arg("-d").arg(&image).arg(&vectors).finish().expect(0);
    Tool::IMPORT.run().arg("-q").arg("-d").arg(&image).arg(&vectors).finish().expect(0);
    Tool::TUNE.run().args(["-q", "--index", "extend", "ivf", "-d"]).arg(&image).finish().expect(0);
    assert_sound(&image);
    let Some(output) = python("images.py", &[image.to_str().expect("UTF-8"), "/vectors"]) else { return };
    let said = String::from_utf8_lossy(&output.stdout);
    for kind in kinds {
        assert!(said.contains(&format!("{kind} {kind}\n  0 {kind} 0..")), "{said}");
    }
    // A stream that belongs to no index breaks the rules of entries.
    let device = FileDevice::open(&image, DeviceOptions::read_write()).expect("the image");
    let options = OpenOptions { write: true, now_ns: 1, ..OpenOptions::default() };
    let mut volume = Volume::open(Arc::new(device), &options).expect("a volume");
    let directory = path::resolve(&volume, "/vectors/index", LastLink::Follow).expect("a directory").number();
    let mut txn = volume.begin().expect("a transaction");
    txn.create(directory, b"ivf.x", InodeKind::Stream, 0o644).expect("made");
    txn.commit().expect("committed");
    volume.close().expect("closed");
    let output = python("checker.py", &[image.to_str().expect("UTF-8")]).expect("python");
    assert!(String::from_utf8_lossy(&output.stderr).contains("index entry ivf.x"), "{output:?}");
}

#[test]
fn the_independent_reader_notices_a_flipped_bit() {
    let scratch = Scratch::new();
    let image = scratch.path("x.img");
    Tool::MKFS.run().args(["-q", "-V", "-D", "3"]).arg(&image).arg("16M").finish().expect(0);
    let mut bytes = std::fs::read(&image).expect("image");
    bytes[1024 + 200] ^= 1;
    std::fs::write(&image, bytes).expect("damage");
    let Some(output) = python("checker.py", &[image.to_str().expect("UTF-8")]) else { return };
    assert!(!output.status.success());
}
