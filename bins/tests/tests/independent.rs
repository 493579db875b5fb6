//! An independent reader agrees: `docs/format/checker.py`, written from the pages of the format, finds images of the tools
//! sound and reads the same rows.

use std::path::Path;
use std::process::{Command, Output};

use tool_tests::{Scratch, Tool};

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
                    import = import.arg("--keys").arg(&keys);
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
