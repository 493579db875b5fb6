//! Real block devices: sectors of both sizes, bad sectors, writes that are lost, a device that is gone, memory that is no longer
//! backed. Each ends in a message that says where, an exit code, and a consistent state.

mod machine;
mod volumes;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use machine::{Loop, Mount, succeed};
use serde_json::Value;
use tool_tests::{Finished, Scratch, Tool};
use vexfs_fs::BlockSource;
use vexfs_fs::path::{LastLink, resolve};
use volumes::{BYTES, readable};

const ROWS: usize = 57_000;
/// The first row that is lost where some are.
const LOST_ROW: usize = 56_000;
const DIM: usize = 16;

/// Bytes of an image that has to be read where it cannot be: each try takes its time.
const SMALL: u64 = 10 << 20;

/// A filesystem with rows that count up, made by the tools on `device`.
fn fill(scratch: &Scratch, device: &Path) {
    let values: Vec<f32> = (0..ROWS * DIM).map(|n| (n / DIM) as f32).collect();
    let rows = scratch.npy("rows.npy", DIM, &values);
    Tool::MKFS.run().args(["-f", "-q", "-J", "size=1"]).arg(device).finish().expect(0);
    Tool::IMPORT.run().args(["-q", "-c", "items", "-d"]).arg(device).arg(rows).finish().expect(0);
}

/// An image with the rows, and the first byte on the device of the block with row [`LOST_ROW`].
fn image_with_rows(scratch: &Scratch) -> (PathBuf, u64) {
    let image = scratch.image("image", SMALL);
    fill(scratch, &image);
    let volume = readable(&image);
    let inode = resolve(&volume, "/items/vectors", LastLink::Keep).expect("the rows");
    let view = volume.view(&inode).expect("their blocks");
    let block = (LOST_ROW * DIM * 4) as u64 / volume.block_size() as u64;
    let place = volume.offset(view.device_block(block).expect("a block"));
    (image, place)
}

fn nearest_to(device: &Path, row: usize) -> Finished {
    let query = vec![row.to_string(); DIM].join(",");
    Tool::QUERY
        .run()
        .args(["-c", "items", "-k", "1", "-o", "jsonl", "--vector", &query, "-d"])
        .arg(device)
        .finish()
}

fn cut_off(image: &Path, len: u64) {
    File::options().write(true).open(image).and_then(|file| file.set_len(len)).expect("cut off");
}

#[test]
fn a_filesystem_lives_on_sectors_of_both_sizes() {
    let scratch = Scratch::new();
    for sector in ["512", "4096"] {
        let image = scratch.image(sector, BYTES);
        let Some(node) = Loop::attach(&image, &["--sector-size", sector]) else { return };
        let device = node.0.as_path();
        fill(&scratch, device);
        Tool::FSCK.run().args(["-p", "--data=full"]).arg(device).finish().expect(0);
        let answer = nearest_to(device, 12_345).expect(0);
        assert!(answer.text().contains(r#""id":12345,"distance":0"#), "{sector}: {}", answer.text());
        let before = Scratch::hash(&image);
        let undo = scratch.path(&format!("undo-{sector}"));
        Tool::MKFS.run().args(["-f", "-q", "-b", "8k", "-z"]).arg(&undo).arg(device).finish().expect(0);
        assert_ne!(Scratch::hash(&image), before);
        let run = Tool::MKFS.run().args(["-f", "-z"]).arg(&image).arg(device).finish().expect(1);
        assert!(run.stderr.contains("whose contents it is to save"), "{}", run.stderr);
        Tool::TUNE.run().arg("--undo").arg(&undo).arg(device).finish().expect(0);
        assert_eq!(Scratch::hash(&image), before, "{sector}");
        Tool::FSCK.run().args(["-n", "-f"]).arg(device).finish().expect(0);
    }
}

#[test]
fn bad_sectors_are_all_listed_and_cost_what_lies_in_them() {
    let scratch = Scratch::new();
    let (image, place) = image_with_rows(&scratch);
    let Some(node) = Loop::attach(&image, &[]) else { return };
    cut_off(&image, place);
    let device = node.0.as_path();
    let run = Tool::FSCK.run().args(["-n", "--json", "--data=full"]).arg(device).finish().expect(4);
    let said: Value = serde_json::from_str(run.text()).expect("JSON");
    let problems = said["problems"].as_array().expect("a list");
    let unreadable =
        |problem: &&Value| problem["message"].as_str().is_some_and(|text| text.contains("Input/output"));
    let blocks: u64 =
        problems.iter().filter(unreadable).filter_map(|problem| problem["blocks"].as_u64()).sum();
    let rows = ((ROWS - LOST_ROW) * DIM * 4 / 4096) as u64;
    // And the checksums of rows, which lie behind them.
    assert!((rows..rows + 90).contains(&blocks), "{blocks} of {rows} blocks are named: {}", run.text());
    assert_eq!(said["summary"]["collections"], 1, "it goes on behind them");

    // Rows that can be read are found, and what cannot be is no crash: 135 would be a death by SIGBUS.
    let run = nearest_to(device, ROWS - 1).expect(1);
    assert!(run.stderr.contains("byte offset"), "{}", run.stderr);

    let new = scratch.path("new");
    let before = Scratch::hash(&image);
    let run = Tool::FSCK.run().args(["-p", "--json", "--repair-to"]).arg(&new).arg(device).finish();
    assert!(matches!(run.code, 0 | 1 | 4), "{} {}", run.code, run.stderr);
    assert!(
        run.stderr.contains(&format!("bytes at byte offset {place} cannot be read")),
        "{place}: {}",
        run.stderr
    );
    let said: Value = serde_json::from_str(run.text()).expect("JSON");
    assert_eq!(said["lost"], serde_json::json!([{ "byte": place, "bytes": SMALL - place }]), "{said}");
    assert_eq!(said["checked"], true, "a copy with holes is checked");
    assert_eq!(Scratch::hash(&image), before, "the original is only read");
    assert_eq!(new.metadata().expect("the copy").len(), SMALL);
}

#[test]
fn a_device_that_is_gone_is_an_error_that_says_where() {
    let scratch = Scratch::new();
    let (image, _) = image_with_rows(&scratch);
    let Some(node) = Loop::attach(&image, &["--read-only"]) else { return };
    cut_off(&image, 0);
    let device = node.0.as_path();
    // Others look in many places for backups first, and each try takes its time.
    for (tool, code) in [(Tool::FSCK, 8), (Tool::QUERY, 1)] {
        let run = tool.on(device, &scratch).finish().expect(code);
        assert!(run.stderr.contains("byte offset"), "{}: {}", tool.name, run.stderr);
    }
}

/// A filesystem in memory with little room, for image files that promise more.
fn cramped(scratch: &Scratch, room: &str) -> Option<(PathBuf, Mount)> {
    let folder = scratch.path("cramped");
    fs::create_dir(&folder).expect("a folder");
    let mount = Mount::new(&["-t", "tmpfs", "-o", &format!("size={room}")], Path::new("tmpfs"), &folder)?;
    Some((folder, mount))
}

#[test]
fn writes_that_are_lost_keep_the_old_state() {
    let scratch = Scratch::new();
    let Some((folder, _mount)) = cramped(&scratch, "7m") else { return };
    let image = folder.join("image");
    File::create(&image).and_then(|file| file.set_len(BYTES)).expect("an image");
    let Some(node) = Loop::attach(&image, &[]) else { return };
    let device = node.0.as_path();
    let run = |tool: Tool, words: &[&str]| tool.run().args(words).arg(device).finish();
    run(Tool::MKFS, &["-q", "-K", "-J", "size=1"]).expect(0);
    let few = scratch.npy("few.npy", 1, &[1.0, 2.0, 3.0]);
    let many = scratch.npy("many.npy", 64, &vec![0.5; 64 * 20_000]);
    let import = |rows: &Path, name: &str| {
        Tool::IMPORT.run().args(["-q", "-c", name, "-d"]).arg(device).arg(rows).finish()
    };
    import(&few, "few").expect(0);
    let failed = import(&many, "many").expect(1);
    assert!(failed.stderr.contains(&device.display().to_string()), "{}", failed.stderr);
    assert!(failed.stderr.contains("byte offset") && failed.stderr.contains("rror"), "{}", failed.stderr);
    drop(node);
    if succeed("mount", ["-o", "remount,size=80m", &folder.display().to_string()]).is_none() {
        return;
    }
    let Some(node) = Loop::attach(&image, &[]) else { return };
    let device = node.0.as_path();
    let healed = Tool::FSCK.run().args(["-p", "-f"]).arg(device).finish();
    assert!(matches!(healed.code, 0 | 1), "{} {}", healed.text(), healed.stderr);
    let run = Tool::FSCK.run().args(["-n", "--json", "--data=full"]).arg(device).finish().expect(0);
    let said: Value = serde_json::from_str(run.text()).expect("JSON");
    assert_eq!(said["summary"]["vectors"], 3, "what was acknowledged is there, what failed is not");
}

#[test]
fn a_full_undo_file_leaves_the_device_alone() {
    let scratch = Scratch::new();
    let Some((folder, _mount)) = cramped(&scratch, "3m") else { return };
    let image = scratch.file("image", volumes::noise(BYTES as usize));
    let before = Scratch::hash(&image);
    let undo = folder.join("undo");
    // More than fits is overwritten.
    let run = Tool::MKFS.run().args(["-f", "-z"]).arg(&undo).arg(&image);
    let run = run.finish().expect(1);
    assert!(run.stderr.contains(&undo.display().to_string()), "{}", run.stderr);
    assert!(run.stderr.contains("No space left"), "{}", run.stderr);
    // What was overwritten before that is saved.
    Tool::TUNE.run().arg("--undo").arg(&undo).arg(&image).finish().expect(0);
    assert_eq!(Scratch::hash(&image), before);
}

#[test]
fn memory_that_is_no_longer_backed_ends_in_a_message() {
    let scratch = Scratch::new();
    let (image, place) = image_with_rows(&scratch);
    // A search of few dimensions at a time, so that the mapping is there before its file is not.
    let query = format!("[{}]\n", vec!["56999"; DIM].join(","));
    let run = Tool::QUERY.run().args(["-c", "items", "-k", "1", "-o", "jsonl", "-d"]);
    let mut child = run.arg(&image).arg("-").piped().start();
    let mut input = child.stdin.take().expect("its input");
    let mut output = BufReader::new(child.stdout.take().expect("its output"));
    input.write_all(query.as_bytes()).expect("a query");
    let mut line = String::new();
    output.read_line(&mut line).expect("an answer");
    assert!(line.contains("56999"), "{line}");
    cut_off(&image, place);
    input.write_all(query.as_bytes()).expect("another query");
    drop(input);
    let ended = child.wait_with_output().expect("ended");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(said.contains("byte offset"), "{said}");
}
