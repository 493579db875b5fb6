//! What `fsck.vexfs` promises beyond single damages: any bit that turns over is named, an interrupted repair is gone on with, memory is
//! bounded.

mod image;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use image::{Image, Random, Watchdog};
use nix::fcntl::{FcntlArg, fcntl};
use serde_json::Value;
use tool_tests::{Finished, Tool};
use vexfs_fs::BlockSource;
use vexfs_fs::path::{LastLink, resolve};

const DIM: usize = 8;
const ROWS: usize = 3000;

fn filled() -> Image {
    let image = Image::new(DIM);
    let rows = image.scratch.npy("rows.npy", DIM, &Random(1).units(DIM * ROWS));
    image.import().args(["-q", "--index", "ivf"]).arg(rows).finish().expect(0);
    image
}

fn fsck(image: &Path, flags: &[&str]) -> Finished {
    Tool::FSCK.run().args(flags).arg(image).finish()
}

fn vectors(image: &Path) -> Value {
    let run = fsck(image, &["-fn", "--data=full", "--json"]).expect(0);
    let said: Value = serde_json::from_str(run.text()).expect("JSON");
    said["summary"]["vectors"].clone()
}

/// The blocks on the device of a stream.
fn blocks(image: &Image, path: &str) -> Vec<u64> {
    let volume = image.volume();
    let view = volume.view(&resolve(&volume, path, LastLink::Keep).expect(path)).expect("mapped");
    let count = view.len().div_ceil(volume.block_size() as u64);
    (0..count).map(|logical| view.device_block(logical).expect("a block").get()).collect()
}

/// All bits of a megabyte are turned over in the library; here a few by the tool.
#[test]
fn any_bit_of_rows_and_images_that_turns_over_is_named() {
    let image = filled();
    let mut bytes = fs::read(&image.path).expect("the image");
    let mut random = Random(7);
    for path in ["/vectors/vectors", "/vectors/index/ivf.0"] {
        let blocks = blocks(&image, path);
        for _ in 0..8 {
            let block = blocks[(random.next() % blocks.len() as u64) as usize];
            let bit = (random.next() % (4096 * 8)) as usize;
            let at = block as usize * 4096 + bit / 8;
            bytes[at] ^= 1 << (bit % 8);
            fs::write(&image.path, &bytes).expect("the image");
            let run = fsck(&image.path, &["-n", "--data=full"]).expect(4);
            let named = format!("[block {block}, byte {}]", block * 4096);
            assert!(run.text().contains(&named), "bit {bit} of {named}, {path}: {}", run.text());
            bytes[at] ^= 1 << (bit % 8);
        }
    }
    fs::write(&image.path, &bytes).expect("the image");
    image.assert_sound();
}

/// A pipe with a name that holds a few lines: who writes waits until they are read.
fn short_pipe(path: &Path) -> File {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
    // O_NONBLOCK, on the systems these tests run on.
    let pipe = OpenOptions::new().read(true).write(true).custom_flags(0o4000).open(path).expect("open");
    fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(4096)).expect("a pipe of one page");
    pipe
}

/// Reads lines of progress until the check begins anew, which it does when something was repaired.
fn wait_for_second_round(pipe: &mut File, child: &mut Child) {
    let mut text = Vec::new();
    let mut buffer = [0; 256];
    loop {
        match pipe.read(&mut buffer) {
            Ok(len) => text.extend(&buffer[..len]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                assert!(child.try_wait().expect("ours").is_none(), "it has ended: the repair took one round");
                sleep(Duration::from_millis(1));
            }
            Err(e) => panic!("{e}"),
        }
        let lines = String::from_utf8_lossy(&text);
        let passes: Vec<&str> = lines.lines().filter_map(|line| line.split(' ').next()).collect();
        if !passes.is_sorted() {
            return;
        }
    }
}

#[test]
fn a_signal_in_the_middle_of_a_repair_keeps_what_was_repaired() {
    let image = filled();
    // A name so long that a page of the pipe holds few lines.
    let folder = (0..4).fold(image.scratch.path("deep"), |path, _| path.join("x".repeat(200)));
    fs::create_dir_all(&folder).expect("folders");
    let damaged = folder.join("image");
    let mut bytes = fs::read(&image.path).expect("the image");
    let extents = image.dump().args(["extents", "/", "--json"]).finish().expect(0);
    let extents: Value = serde_json::from_str(extents.text()).expect("JSON");
    let names = extents["extents"][0]["start"].as_u64().expect("a block of names") as usize;
    bytes[names * 4096..][..4096].fill(0);
    fs::write(&damaged, &bytes).expect("the image");
    let path = image.scratch.path("pipe");
    let mut pipe = short_pipe(&path);
    let redirection = format!("3>'{}'", path.display());
    let mut child = Tool::FSCK.run().args(["-y", "-C", "3"]).arg(&damaged).redirected(&redirection).start();
    let _watchdog = Watchdog::of(&child);
    wait_for_second_round(&mut pipe, &mut child);
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.expect("kill").success());
    while child.try_wait().expect("ours").is_none() {
        let _ = pipe.read(&mut [0; 4096]);
    }
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(32), "{said}");
    assert!(said.contains("keeps what was repaired so far"), "{said}");
    assert!(fs::read(&damaged).expect("the image") != bytes, "something was repaired");
    let run = fsck(&damaged, &["-n"]).expect(4);
    assert!(run.stderr.contains("marked as damaged; checking all of it"), "{}", run.stderr);
    fsck(&damaged, &["-y"]).expect(1);
    assert_eq!(vectors(&damaged), ROWS);
}

#[test]
fn memory_is_bounded_however_large_the_device_is_and_however_many_rows_there_are() {
    // 2 TiB of groups, of which next to nothing is stored.
    let image = Image::made_by(&["-D", "1", "--dtype", "u8"], "2T");
    let rows = 400_000_usize;
    let file = image.scratch.file("rows.npy", image::npy("|u1", false, &[rows, 1], &vec![7; rows]));
    // Ids that fall: whether one occurs twice takes a comparison of all.
    let ids: Vec<u8> = (0..rows as u64).rev().flat_map(u64::to_le_bytes).collect();
    let ids = image.scratch.file("ids.npy", image::npy("<u8", false, &[rows], &ids));
    image.import().args(["-q", "--ids"]).arg(ids).arg(file).finish().expect(0);
    let run = Tool::FSCK.run().args(["-fn", "-m", "8M", "--data=full"]).arg(&image.path);
    let run = run.within(DATA_KIB).finish().expect(0);
    assert!(run.text().contains(&format!("{rows} vectors")), "{}", run.text());
}

/// Memory of its own that the program may take: 20 MiB, 256 bytes for each of 16,384 groups, a quarter of 8 MiB, and what any program
/// takes for itself.
const DATA_KIB: u64 = (20 + 4 + 2 + 10) << 10;
