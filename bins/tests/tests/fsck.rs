//! What `fsck.vexfs` promises to those who call it: exit codes, the one line, progress, and that `-n` writes nothing.

mod volumes;

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tool_tests::{Finished, Scratch, Tool};
use vexfs_format::codes::DType;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::{BlockSource, Volume};
use volumes::{collection, file, format, readable, writable};

const ROWS: u64 = 2000;
/// Rows of 32 bytes in a block of 4096.
const PER_BLOCK: u64 = 128;

/// A closed filesystem with two thousand rows, ids in steps of ten, and a file.
fn filled(scratch: &Scratch) -> PathBuf {
    let image = format(scratch, "image");
    let mut volume = writable(&image);
    fill(&mut volume);
    volume.close().expect("close");
    image
}

fn fill(volume: &mut Volume) {
    let rows: Vec<u8> = (0..ROWS * 8).flat_map(|n| (n as f32).to_le_bytes()).collect();
    let ids: Vec<u64> = (0..ROWS).map(|n| n * 10).collect();
    collection(volume, "items", DType::F32, 8, &rows, RowIds::Ids(&ids));
    file(volume, vexfs_format::InodeNo::ROOT, "card.md", b"# Items");
}

fn fsck(image: &Path, arguments: &[&str]) -> Finished {
    Tool::FSCK.run().args(arguments).arg(image).finish()
}

/// Turns over one bit of the image.
fn flip(image: &Path, at: u64) {
    let device = File::options().read(true).write(true).open(image).expect("the image");
    let mut byte = [0];
    device.read_exact_at(&mut byte, at).expect("read");
    device.write_all_at(&[byte[0] ^ 0x10], at).expect("write");
}

/// Byte `at` of a file or stream, counted on the device.
fn place(image: &Path, path: &str, at: u64) -> u64 {
    let volume = readable(image);
    let inode = resolve(&volume, path, LastLink::Keep).expect(path);
    let view = volume.view(&inode).expect("its contents");
    let size = volume.block_size() as u64;
    volume.offset(view.device_block(at / size).expect("a block")) + at % size
}

const PRIMARY: u64 = 1024 + 300;

fn state(image: &Path) -> u32 {
    readable(image).superblock().state.get()
}

#[test]
fn a_clean_filesystem_takes_one_line_and_no_write() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let before = Scratch::hash(&image);
    for mode in ["-n", "-p", "-a"] {
        let run = fsck(&image, &[mode]).expect(0);
        let (line, name) = (run.text(), image.display());
        let inodes = "15/2048 inodes";
        assert!(line.starts_with(&format!("{name}: clean, {inodes}, ")), "{mode}: {line}");
        assert!(line.ends_with("blocks, 1 collections, 2000 vectors\n"), "{mode}: {line}");
        assert_eq!(line.lines().count(), 1, "{mode}");
        assert_eq!(run.stderr, "", "{mode}");
        assert_eq!(fsck(&image, &[mode, "-q"]).expect(0).text(), "", "{mode}");
    }
    assert_eq!(Scratch::hash(&image), before);
}

#[test]
fn a_full_check_has_headings_and_is_written_down_unless_nothing_may_be() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let before = Scratch::hash(&image);
    let run = fsck(&image, &["-n", "-f"]).expect(0);
    let headings = run.text().lines().filter(|line| line.starts_with("Pass ")).count();
    assert_eq!((headings, run.text().lines().count()), (5, 6), "{}", run.text());
    assert_eq!(Scratch::hash(&image), before, "-n wrote something");
    assert_eq!(fsck(&image, &["-p", "-f"]).expect(0).text().lines().count(), 1, "preening has no headings");
    let checked = readable(&image).superblock().checked_ns.get();
    assert!(checked > volumes::NOW_NS, "the time of the check is noted");
    assert_eq!(
        fsck(&image, &["-n", "--data=full"]).expect(0).text().lines().count(),
        1,
        "no -f, no headings"
    );
}

#[test]
fn damage_ends_with_exactly_4() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    flip(&image, PRIMARY);
    let before = Scratch::hash(&image);
    let run = fsck(&image, &["-n"]).expect(4);
    let name = image.display();
    let problem = run.text().lines().next().expect("a problem");
    assert!(problem.starts_with(&format!("{name}: VX0001: the primary superblock is damaged")), "{problem}");
    assert!(problem.ends_with("[block 0, byte 1024]"), "{problem}");
    assert!(run.text().contains(&format!("{name}: 1 problem left, ")), "{}", run.text());
    assert!(!run.stderr.contains("UNEXPECTED"), "{}", run.stderr);
    assert_eq!(Scratch::hash(&image), before);
    for mode in ["-p", "-a"] {
        let run = fsck(&image, &[mode]).expect(4);
        let line = "UNEXPECTED INCONSISTENCY; RUN fsck.vexfs MANUALLY (without -a or -p)";
        assert!(run.stderr.contains(line), "{}", run.stderr);
    }
    assert_eq!(Scratch::hash(&image), before, "a damaged primary superblock is not written");
}

#[test]
fn lost_rows_are_named_and_the_filesystem_stays_marked() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    flip(&image, place(&image, "/items/vectors", (PER_BLOCK + 5) * 32));
    fsck(&image, &["-n"]).expect(0);
    fsck(&image, &["-n", "-f"]).expect(0);
    let before = Scratch::hash(&image);
    let run = fsck(&image, &["-n", "--data=full"]).expect(4);
    assert!(run.text().contains("(/items): row 133 damaged (id 1330)"), "{}", run.text());
    assert_eq!(Scratch::hash(&image), before);
    assert_eq!(state(&image), 0);
    fsck(&image, &["-p", "--data=full"]).expect(4);
    assert_eq!(state(&image), 1, "marked as damaged");
    // A check that does not read rows has nothing to say against the mark.
    let run = fsck(&image, &["-p"]).expect(0);
    assert!(run.stderr.contains("marked as damaged; checking all of it"), "{}", run.stderr);
    assert_eq!(state(&image), 1);
    flip(&image, place(&image, "/items/vectors", (PER_BLOCK + 5) * 32));
    fsck(&image, &["-p", "--data=full"]).expect(0);
    assert_eq!(state(&image), 0, "a complete check clears the mark");
}

#[test]
fn a_replay_alone_is_no_correction() {
    let scratch = Scratch::new();
    let image = format(&scratch, "image");
    let mut volume = writable(&image);
    fill(&mut volume);
    drop(volume); // not closed: the changes are in the journal
    let before = Scratch::hash(&image);
    let run = fsck(&image, &["-n"]).expect(0);
    assert!(run.text().contains("clean, ") && run.text().contains("2000 vectors"), "{}", run.text());
    assert_eq!(Scratch::hash(&image), before, "-n replays in memory");
    let run = fsck(&image, &["-n", "-E", "journal_only"]).expect(0);
    assert!(run.text().contains("transactions to be replayed"), "{}", run.text());
    let run = fsck(&image, &["-p"]).expect(0);
    assert!(run.stderr.contains("replayed ") && run.text().contains("clean, "), "{}", run.stderr);
    assert_ne!(Scratch::hash(&image), before);
    assert!(!readable(&image).is_unclean());
    let run = fsck(&image, &["-E", "journal_only"]).expect(0);
    assert!(run.text().contains(": 0 transactions replayed"), "{}", run.text());
}

#[test]
fn a_backup_superblock_is_used_when_named_and_nothing_is_written() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    flip(&image, PRIMARY);
    let tail = (volumes::BYTES / 4096 - 256).to_string();
    let before = Scratch::hash(&image);
    for arguments in [["-p", "-b", &tail], ["-n", "-b", &tail]] {
        let run = fsck(&image, &arguments).expect(4);
        assert!(run.text().contains("VX0001"), "{}", run.text());
    }
    fsck(&image, &["-n", "-b", &tail, "-B", "4096"]).expect(4);
    fsck(&image, &["-n", "-b", &tail, "-B", "8192"]).expect(8);
    fsck(&image, &["-n", "-b", "77"]).expect(8);
    assert_eq!(Scratch::hash(&image), before);
}

#[test]
fn questions_need_a_terminal_and_modes_exclude_each_other() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let before = Scratch::hash(&image);
    let run = fsck(&image, &[]).expect(8);
    assert!(run.stderr.contains("needs a terminal") && run.stderr.contains("hint: "), "{}", run.stderr);
    fsck(&image, &["-f"]).expect(8);
    fsck(&image, &["-p", "-n"]).expect(16);
    fsck(&image, &["-a", "-n"]).expect(16);
    fsck(&image, &["-n", "-C", "77"]).expect(16);
    fsck(&image, &["-n", "-B", "4096"]).expect(16);
    assert_eq!(Scratch::hash(&image), before);
    match Tool::FSCK.run().args(["-f"]).arg(&image).on_terminal(100) {
        Some(run) => {
            let run = run.finish().expect(0);
            assert!(run.text().contains("Pass 5: ") && run.text().contains(": clean, "), "{}", run.text());
        }
        None => println!("skipped: script(1) is missing"),
    }
}

#[test]
fn closed_descriptors_harm_nothing() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let before = Scratch::hash(&image);
    for closed in ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"] {
        let run = Tool::FSCK.run().args(["-p"]).arg(&image).redirected(closed);
        run.finish().expect(0);
        let run = Tool::FSCK.run().args(["-n", "-f"]).arg(&image).redirected(closed);
        run.finish().expect(0);
        assert_eq!(Scratch::hash(&image), before, "{closed}");
    }
    // Nobody reads: the check goes on, and its exit code counts.
    flip(&image, PRIMARY);
    Tool::FSCK.run().args(["-n", "-f"]).arg(&image).output_to_nobody().finish().expect(4);
}

#[test]
fn progress_lines_are_those_that_systemd_reads() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let lines = scratch.path("lines");
    let redirection = format!("3>'{}'", lines.display());
    let run = Tool::FSCK.run().args(["-a", "-f", "-C", "3"]).arg(&image).redirected(&redirection);
    run.finish().expect(0);
    let text = fs::read_to_string(&lines).expect("lines");
    let mut passes = Vec::new();
    for line in text.lines() {
        let (numbers, device) = line.split_at(line.match_indices(' ').nth(2).expect("four words").0);
        assert_eq!(device.trim_start(), image.display().to_string());
        let numbers: Vec<u64> = numbers.split(' ').map(|word| word.parse().expect("a number")).collect();
        assert!(numbers[1] <= numbers[2] && numbers[2] > 0, "{line}");
        passes.push((numbers[0], numbers[1] == numbers[2]));
    }
    assert!(passes.is_sorted(), "{text}");
    for pass in 1..=5 {
        assert!(passes.contains(&(pass, true)), "pass {pass} comes to its end: {text}");
    }
}

#[test]
fn the_result_is_one_json_document() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let document = |arguments: &[&str], code: u8| -> Value {
        let run = fsck(&image, &[&["--json"], arguments].concat()).expect(code);
        serde_json::from_slice(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}", run.text()))
    };
    let clean = document(&["-n"], 0);
    assert_eq!(clean["schema"]["name"], "fsck.vexfs");
    assert_eq!((&clean["result"], &clean["checked"]), (&"clean".into(), &false.into()));
    assert_eq!(clean["summary"]["vectors"], 2000);
    let checked = document(&["-n", "-f"], 0);
    assert_eq!((&checked["checked"], &checked["problems"]), (&true.into(), &Value::Array(vec![])));
    assert_eq!(checked["passes"].as_array().expect("passes").len(), 6);
    assert_eq!(checked["summary"]["collections"], 1);
    flip(&image, place(&image, "/items/vectors", 5 * 32));
    flip(&image, place(&image, "/card.md", 2));
    let damaged = document(&["-n", "--data=full"], 4);
    let problems = damaged["problems"].as_array().expect("problems");
    assert_eq!(damaged["result"], "damaged");
    assert_eq!(damaged["problems_found"], problems.len());
    assert_eq!(damaged["counts"]["VX5042"], 2);
    let row = problems.iter().find(|problem| problem["code"] == "VX5044").expect("a row");
    assert_eq!((&row["row"], &row["path"], &row["severity"]), (&5.into(), &"/items".into(), &"loss".into()));
    let block = problems.iter().find(|problem| problem["path"] == "/card.md").expect("a file");
    assert_eq!(block["byte"].as_u64().expect("a byte") % 4096, 0);
    assert_eq!(document(&["-p", "--data=full"], 4)["result"], "stopped");
}

/// A pipe with a name that is full: whoever writes to it waits.
struct FullPipe {
    path: PathBuf,
    end: File,
}

impl FullPipe {
    fn new(path: PathBuf) -> Self {
        assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo").success());
        // O_NONBLOCK, on the systems these tests run on.
        let end = OpenOptions::new().read(true).write(true).custom_flags(0o4000).open(&path).expect("open");
        while (&end).write(&[b'\n'; 1024]).is_ok() {}
        while (&end).write(b"\n").is_ok() {}
        Self { path, end }
    }

    fn drain(&self) {
        loop {
            match (&self.end).read(&mut [0; 4096]) {
                Ok(_) => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(e) => panic!("{e}"),
            }
        }
    }
}

/// Whether a process handles SIGINT and SIGTERM, and waits for something.
fn is_ready(child: &Child) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let field =
        |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let caught = u64::from_str_radix(field("SigCgt:"), 16).unwrap_or(0);
    let both = 1 << (2 - 1) | 1 << (15 - 1);
    caught & both == both && field("State:").starts_with('S')
}

#[test]
fn a_signal_ends_with_32() {
    let scratch = Scratch::new();
    let image = filled(&scratch);
    let before = Scratch::hash(&image);
    for signal in ["INT", "TERM"] {
        let pipe = FullPipe::new(scratch.path(signal));
        let redirection = format!("3>'{}'", pipe.path.display());
        let run = Tool::FSCK.run().args(["-p", "-f", "-C", "3"]).arg(&image).redirected(&redirection);
        let mut child = run.start();
        while !is_ready(&child) {
            assert!(child.try_wait().expect("ours").is_none(), "the check waits for the pipe");
            sleep(Duration::from_millis(2));
        }
        let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
        assert!(sent.expect("kill").success());
        // The signal is there before the check can go on.
        pipe.drain();
        let output = child.wait_with_output().expect("an end");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(32), "{signal}: {stderr}");
        assert!(stderr.contains("interrupted; "), "{stderr}");
        assert_eq!(Scratch::hash(&image), before);
    }
}
