//! From mkfs to fsck with every block size, on an image file and on a block device: the same answers everywhere.

mod image;

use std::path::{Path, PathBuf};
use std::process::Command;

use image::{Random, npy_f32};
use tool_tests::{Scratch, Tool};

const DIM: usize = 24;
const ROWS: usize = 3000;

/// A loop device over a file, detached at the end.
struct Loop(PathBuf);

impl Loop {
    /// `None`, with a line that says so, where loop devices cannot be had.
    fn attach(file: &Path) -> Option<Self> {
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file).output();
        match output {
            Ok(output) if output.status.success() => {
                Some(Self(String::from_utf8_lossy(&output.stdout).trim().into()))
            }
            Ok(output) => {
                println!("skipped: no loop device: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(e) => {
                println!("skipped: losetup: {e}");
                None
            }
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let detached = Command::new("losetup").arg("--detach").arg(&self.0).status();
        assert!(detached.is_ok_and(|status| status.success()), "{} stays attached", self.0.display());
    }
}

/// What a user sees: answers, rows, keys and a file as they come back.
#[derive(Debug, PartialEq)]
struct Seen {
    answers: String,
    keyed: String,
    rows: Vec<u8>,
    ids: String,
    file: Vec<u8>,
}

fn fsck(device: &Path) {
    let run = Tool::FSCK.run().args(["-f", "-n", "--data=full"]).arg(device).finish().expect(0);
    assert!(!run.stderr.contains("warning"), "{}", run.stderr);
}

/// Formats `device` and does what a user does with it.
fn live(scratch: &Scratch, device: &Path, block_size: u32) -> Seen {
    let import = || Tool::IMPORT.run().arg("-q").arg("-d").arg(device);
    let query = || Tool::QUERY.run().args(["-o", "csv", "-d"]).arg(device);
    let mkfs = Tool::MKFS.run().args(["-q", "-f", "-b", &block_size.to_string(), "-D", &DIM.to_string()]);
    mkfs.args(["-L", "life"]).arg(device).finish().expect(0);
    fsck(device);

    let values = Random(41).units(ROWS * DIM);
    let (first, second) = values.split_at(1234 * DIM);
    let first = scratch.file("first.npy", npy_f32(DIM, first));
    let second = scratch.file("second.npy", npy_f32(DIM, second));
    let keys: String = (1234..ROWS).map(|n| format!("row {n}\n")).collect();
    let keys = scratch.file("keys", keys);
    import().arg(&first).finish().expect(0);
    fsck(device);
    import().arg(&second).finish().expect(0);
    import()
        .args(["-c", "keyed", "--dtype", "f16", "--metric", "cosine"])
        .arg(&second)
        .arg("--keys")
        .arg(&keys)
        .finish()
        .expect(0);
    import().args(["-p", "--file"]).arg(&keys).arg("/notes/keys").finish().expect(0);
    fsck(device);

    let queries = scratch.file("queries.npy", npy_f32(DIM, &values[..50 * DIM]));
    let answers = query().arg(&queries).finish().expect(0).text().to_owned();
    let keyed = query().args(["-c", "keyed"]).arg(&queries).finish().expect(0).text().to_owned();

    let dump = |what: &[&str]| Tool::DUMP.run().arg("-d").arg(device).args(what).finish().expect(0);
    let (rows, ids) = (scratch.path("rows.npy"), scratch.path("ids.txt"));
    let (rows_name, ids_name) = (rows.to_str().expect("UTF-8"), ids.to_str().expect("UTF-8"));
    dump(&["-q", "export", "-c", "vectors", "-o", rows_name, "--ids", ids_name]);
    let rows = std::fs::read(rows).expect("exported rows");
    assert!(rows[128..] == npy_f32(DIM, &values)[128..], "rows come back as they went in");
    let ids = std::fs::read_to_string(ids).expect("exported ids");
    let file = dump(&["cat", "/notes/keys"]).stdout;
    let listed = dump(&["ls", "/"]);
    for name in ["vectors", "keyed", "notes", "lost+found"] {
        assert!(listed.text().contains(name), "{}", listed.text());
    }
    // What was exported can be imported again, and is the same.
    import()
        .args(["-c", "again"])
        .arg(scratch.path("rows.npy"))
        .arg("--ids")
        .arg(scratch.path("ids.txt"))
        .finish()
        .expect(0);
    let again = query().args(["-c", "again"]).arg(&queries).finish().expect(0);
    assert_eq!(again.text(), answers);
    fsck(device);
    Seen { answers, keyed, rows, ids, file }
}

#[test]
fn every_block_size_gives_the_same_answers_on_images_and_block_devices() {
    let scratch = Scratch::new();
    let mut expected: Option<Seen> = None;
    let mut check = |what: String, seen: Seen| {
        let expected =
            expected.get_or_insert_with(|| live(&scratch, &scratch.image("first.img", 48 << 20), 4096));
        assert!(seen == *expected, "{what}: {seen:?} is not {expected:?}");
    };
    for block_size in [4096, 8192, 16384, 32768, 65536] {
        let image = scratch.image("image", 48 << 20);
        check(format!("an image with blocks of {block_size}"), live(&scratch, &image, block_size));
        let under = scratch.image("under", 48 << 20);
        if let Some(device) = Loop::attach(&under) {
            check(format!("a device with blocks of {block_size}"), live(&scratch, &device.0, block_size));
        }
    }
}
