//! `mkfs.vexfs`: what it makes, of which options, and that it can be made again.

mod machine;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tool_tests::{Scratch, Tool};

use machine::{Loop, Mount, assert_nothing_recognised, skip};

const UUID: &str = "0a1b2c3d-1234-5678-9abc-0123456789ab";
/// 488,369,940 blocks of 4096 bytes: the disk whose layout the requirements state.
const CHECK_BYTES: u64 = 2_000_363_274_240;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect(text)
}

/// The superblock of an image as vexfs-dump shows it.
fn superblock(device: &Path) -> Value {
    json(Tool::DUMP.run().arg("--json").arg(device).arg("super").finish().expect(0).text())
}

/// Bytes that a file takes on disk.
fn allocated(path: &Path) -> u64 {
    fs::metadata(path).expect("the file").blocks() * 512
}

/// Asserts that `layout` is the one that the requirements state for a disk of 1.8 TB.
fn assert_check_value(layout: &Value) {
    let number = |name: &str| layout[name].as_u64().unwrap_or_else(|| panic!("{name} in {layout}"));
    assert_eq!(number("block_size"), 4096);
    assert_eq!(number("blocks"), 488_369_940);
    assert_eq!(number("groups"), 14_904);
    assert_eq!(number("blocks_per_group"), 32_768);
    assert_eq!(number("inodes_per_group"), 8_192);
    assert_eq!(number("journal_blocks"), 32_768);
    assert_eq!(number("vector_blocks"), 131_072);
    assert!((480_400_000..480_600_000).contains(&number("data_blocks")), "{layout}");
    let efficiency = layout["efficiency"].as_f64().expect("a number");
    assert!((0.9835..0.9845).contains(&efficiency), "{layout}");
    let backups = layout["backups"].as_array().expect("a list");
    assert_eq!((backups[0].as_u64(), backups.len()), (Some(32_768), 19));
}

#[test]
fn the_layout_of_a_disk_is_the_one_that_is_stated() {
    let scratch = Scratch::new();
    let disk = scratch.image("disk.img", CHECK_BYTES);
    let run = Tool::MKFS.run().args(["-n", "--json", "-V"]).arg(&disk).finish().expect(0);
    assert_check_value(&json(run.text()));
    assert_eq!((run.stderr.as_str(), allocated(&disk)), ("", 0), "a dry run writes nothing");
    let run = Tool::MKFS.run().args(["--json", "-V"]).arg(&disk).finish().expect(0);
    assert_check_value(&json(run.text()));
    assert!(allocated(&disk) < 32 << 20, "{} bytes were written", allocated(&disk));
    assert_eq!(superblock(&disk)["blocks"], 488_369_940);
}

#[test]
fn a_dry_run_needs_no_file_and_makes_none() {
    let scratch = Scratch::new();
    let missing = scratch.path("missing.img");
    let run = Tool::MKFS.run().args(["-n", "-V"]).arg(&missing).arg("1G").finish().expect(0);
    for part in ["would be made", "262144 blocks of 4096 bytes (1 GiB)", "32768, 98304", "Vector zone"] {
        assert!(run.text().contains(part), "{part} is missing in {}", run.text());
    }
    assert!(!missing.exists());
}

#[test]
fn a_dry_run_tells_the_backups_of_what_is_there_and_warns() {
    let scratch = Scratch::new();
    let image = scratch.image("x.img", 200 << 20);
    Tool::MKFS.run().args(["-q", "-L", "keep"]).arg(&image).finish().expect(0);
    let before = Scratch::hash(&image);
    let run = Tool::MKFS.run().arg("-n").arg(&image).finish().expect(0);
    assert!(run.text().contains("32768, 50944"), "{}", run.text());
    assert!(run.stderr.contains("already holds VexFS, LABEL=\"keep\""), "{}", run.stderr);
    assert_eq!(Scratch::hash(&image), before);
}

#[test]
fn the_lines_of_the_guides_make_a_filesystem() {
    let scratch = Scratch::new();
    let image = scratch.image("a.img", 64 << 20);
    Tool::MKFS.run().args(["-V", "-D", "768", "-L", "VectorDB"]).arg(&image).finish().expect(0);
    let sb = superblock(&image);
    assert_eq!((&sb["label"], &sb["block_size"]), (&"VectorDB".into(), &4096.into()));
    let image = scratch.image("b.img", 64 << 20);
    Tool::MKFS.run().args(["-b", "8192", "-i", "8192", "-V", "-D", "1024"]).arg(&image).finish().expect(0);
    let sb = superblock(&image);
    assert_eq!((&sb["inodes"], &sb["block_size"]), (&8192.into(), &8192.into()));
    let all = Tool::DUMP.run().arg("--json").arg(&image).arg("collections").finish().expect(0);
    assert_eq!(json(all.text())["collections"][0]["dim"], 1024);
}

#[test]
fn the_front_end_of_util_linux_reaches_it() {
    let scratch = Scratch::new();
    let image = scratch.image("a.img", 64 << 20);
    let folder = scratch.path("bin");
    fs::create_dir(&folder).expect("a folder");
    std::os::unix::fs::symlink(Tool::MKFS.program(), folder.join("mkfs.vexfs")).expect("a link");
    let path = format!("{}:{}:/usr/sbin:/sbin", folder.display(), std::env::var("PATH").unwrap_or_default());
    let mkfs = std::process::Command::new("mkfs")
        .args(["-t", "vexfs", "-V", "-D", "768"])
        .arg(&image)
        .env("PATH", path)
        .output();
    match mkfs {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(superblock(&image)["features"][0], "vector_zone");
        }
        Err(error) => skip(&format!("mkfs does not run: {error}")),
    }
}

#[test]
fn two_runs_with_uuid_and_time_write_the_same_bytes() {
    let scratch = Scratch::new();
    let make = |name: &str, uuid: &str, epoch: &str| {
        let image = scratch.path(name);
        let run =
            Tool::MKFS.run().env("SOURCE_DATE_EPOCH", epoch).args(["-q", "-V", "-L", "same", "-U", uuid]);
        run.arg(&image).arg("300M").finish().expect(0);
        Scratch::hash(&image)
    };
    let first = make("a", UUID, "1700000000");
    assert_eq!(make("b", UUID, "1700000000"), first);
    assert_ne!(make("c", UUID, "1700000001"), first, "the time is not used");
    assert_ne!(make("d", "random", "1700000000"), first, "the UUID is not used");
    let sb = superblock(&scratch.path("a"));
    assert_eq!((&sb["uuid"], &sb["created_ns"]), (&UUID.into(), &1_700_000_000_000_000_000_u64.into()));
    let random = superblock(&scratch.path("d"))["uuid"].as_str().expect("text").to_owned();
    assert_eq!(random.as_bytes()[14], b'4', "{random} is no UUID of version 4");
    let wrong = Tool::MKFS.run().env("SOURCE_DATE_EPOCH", "soon").arg(scratch.path("e")).arg("16M");
    wrong.finish().expect(16);
    assert!(!scratch.path("e").exists());
}

#[test]
fn each_option_does_what_it_says() {
    let scratch = Scratch::new();
    let with = |options: &str| {
        let image = scratch.path("x.img");
        let _ = fs::remove_file(&image);
        let run = Tool::MKFS.run().arg("--json").args(options.split_whitespace()).arg(&image).arg("256M");
        let layout = json(run.finish().expect(0).text());
        let shown = superblock(&image);
        for name in
            ["block_size", "blocks", "groups", "inodes", "journal_blocks", "vector_blocks", "reserved_blocks"]
        {
            assert_eq!(layout[name], shown[name], "{options}: {name}");
        }
        layout
    };
    assert_eq!(with("-b 65536")["blocks"], 4096);
    assert_eq!(with("-i 64k")["inodes"], 4096);
    assert_eq!(with("-I 512")["inode_size"], 512);
    assert_eq!(with("-N 1000")["inodes"], 1024);
    assert_eq!(with("-J size=8")["journal_blocks"], 2048);
    assert_eq!(with("-J size:16M")["journal_blocks"], 4096);
    assert_eq!(with("-L Δ")["label"], "Δ");
    assert_eq!(with("-m 10")["reserved_blocks"], 6553);
    assert_eq!(with("-m 0")["reserved_blocks"], 0);
    assert_eq!(with("")["vector_blocks"], 0);
    assert_eq!(with("-O vector_zone")["collection"], Value::Null);
    assert_eq!(with("-V -O ^vector_zone")["vector_blocks"], 0);
    let collection = |options: &str| with(options)["collection"].clone();
    let expected = |name: &str, dim: u32, dtype: &str, metric: &str| serde_json::json!({"name": name, "dim": dim, "dtype": dtype, "metric": metric});
    assert_eq!(collection("-V"), expected("vectors", 768, "f32", "l2"));
    assert_eq!(collection("-D 4096 --dtype bf16"), expected("vectors", 4096, "bf16", "l2"));
    assert_eq!(collection("--metric cosine --collection items"), expected("items", 768, "f32", "cosine"));
    assert_eq!(collection("--dtype b1 -D 64"), expected("vectors", 64, "b1", "hamming"));
}

#[test]
fn a_filesystem_may_begin_inside_a_file_and_end_before_it() {
    let scratch = Scratch::new();
    let disk = scratch.file("disk.img", vec![0xA5; 48 << 20]);
    let run = Tool::MKFS.run().args(["-q", "-E", "offset=1M"]).arg(&disk).arg("16M").finish().expect(0);
    assert_eq!((run.stdout.len(), run.stderr.as_str()), (0, ""));
    let bytes = fs::read(&disk).expect("the disk");
    assert_eq!(bytes.len(), 48 << 20);
    assert!(
        bytes[..1 << 20].iter().chain(&bytes[17 << 20..]).all(|&b| b == 0xA5),
        "bytes outside have changed"
    );
    let inner = format!("{}?offset=1M", disk.display());
    assert_eq!(superblock(Path::new(&inner))["blocks"], 4096);
    // And the other way to say it, for a file that is to be made.
    let inner = format!("{}?offset=1M", scratch.path("new.img").display());
    Tool::MKFS.run().arg("-q").arg(&inner).arg("16M").finish().expect(0);
    assert_eq!(fs::metadata(scratch.path("new.img")).expect("made").len(), 17 << 20);
    assert_eq!(superblock(Path::new(&inner))["blocks"], 4096);
}

#[test]
fn a_file_is_created_grown_or_left_as_long_as_it_is() {
    let scratch = Scratch::new();
    let image = scratch.path("x.img");
    let missing = Tool::MKFS.run().arg(&image).finish().expect(1);
    assert!(missing.stderr.contains("SIZE"), "{}", missing.stderr);
    Tool::MKFS.run().args(["-q", "-b", "8k"]).arg(&image).arg("2048").finish().expect(0);
    assert_eq!(fs::metadata(&image).expect("made").len(), 16 << 20, "SIZE counts blocks");
    Tool::MKFS.run().args(["-q", "-f"]).arg(&image).arg("32768").finish().expect(0);
    assert_eq!(fs::metadata(&image).expect("grown").len(), 32 << 20, "SIZE counts KiB");
    assert_eq!(superblock(&image)["blocks"], 8192);
    Tool::MKFS.run().args(["-q", "-f"]).arg(&image).arg("16M").finish().expect(0);
    assert_eq!(fs::metadata(&image).expect("kept").len(), 32 << 20);
    assert_eq!(superblock(&image)["blocks"], 4096);
    Tool::MKFS.run().args(["-q", "-f"]).arg(&image).finish().expect(0);
    assert_eq!(superblock(&image)["blocks"], 8192);
}

#[test]
fn what_fails_leaves_no_file_and_no_length_behind() {
    let scratch = Scratch::new();
    let image = scratch.path("small.img");
    let small = Tool::MKFS.run().arg(&image).arg("1M").finish().expect(1);
    assert!(small.stderr.contains("small.img") && small.stderr.contains("too small"), "{}", small.stderr);
    assert!(!image.exists());
    // A filesystem without room for what is written.
    let folder = scratch.path("full");
    fs::create_dir(&folder).expect("a folder");
    let options = ["-t", "tmpfs", "-o", "size=16k"];
    let Some(_mount) = Mount::new(&options, Path::new("none"), &folder) else { return };
    let image = folder.join("x.img");
    let full = Tool::MKFS.run().arg(&image).arg("64M").finish().expect(1);
    assert!(full.stderr.contains("formatting failed"), "{}", full.stderr);
    assert!(!image.exists(), "the file stays");
    fs::File::create(&image).and_then(|file| file.set_len(4096)).expect("a short file");
    Tool::MKFS.run().arg(&image).arg("64M").finish().expect(1);
    assert_eq!(fs::metadata(&image).expect("there").len(), 4096, "the file stays long");
}

#[test]
fn little_is_said_with_q_and_much_without() {
    let scratch = Scratch::new();
    let quiet = Tool::MKFS.run().args(["-q", "-V"]).arg(scratch.path("a")).arg("256M").finish().expect(0);
    assert_eq!((quiet.text(), quiet.stderr.as_str()), ("", ""));
    let run = Tool::MKFS.run().args(["-V", "-U", UUID, "-L", "L"]).arg(scratch.path("b")).arg("256M");
    let run = run.finish().expect(0);
    for part in [UUID, "Label:        L", "65536 blocks of 4096 bytes", "f32, l2", "32768, 65280"] {
        assert!(run.text().contains(part), "{part} is missing in {}", run.text());
    }
    let list = Tool::MKFS.run().args(["-O", "list"]).finish().expect(0);
    assert!(list.text().starts_with("vector_zone  "), "{}", list.text());
    let list = Tool::MKFS.run().args(["-O", "list", "--json"]).finish().expect(0);
    assert_eq!(json(list.text())["features"][0]["name"], "vector_zone");
}

#[test]
fn wrong_usage_is_16_and_touches_nothing() {
    let scratch = Scratch::new();
    let image = scratch.image("x.img", 64 << 20);
    for line in [
        "-b 5000",
        "-b 2048",
        "-i 0x",
        "-I 100",
        "-D 0",
        "-D 65537",
        "-J 8",
        "-m 99",
        "-U nothing",
        "-L \u{7}",
        "--dtype f64",
        "--metric hamming",
        "--dtype b1 --metric l2",
        "-E stripe=4",
        "-O raid",
        "-K -E discard",
        "--collection a/b",
        "--collection lost+found",
        "-N 0",
        "--no-such-option",
        "-q -v",
    ] {
        let run = Tool::MKFS.run().args(line.split(' ')).arg(&image).finish();
        assert_eq!(run.code, 16, "{line}: {}", run.stderr);
        assert_eq!(allocated(&image), 0, "{line}");
    }
    Tool::MKFS.run().finish().expect(16);
    Tool::MKFS.run().arg(&image).arg("many").finish().expect(16);
    Tool::MKFS.run().arg(&image).arg("64M").arg("more").finish().expect(16);
    // Possible options that make no layout are refusals.
    for line in ["-N 100000000", "-J size=60", "-I 4096 -N 60000"] {
        Tool::MKFS.run().args(line.split(' ')).arg(&image).finish().expect(1);
        assert_eq!(allocated(&image), 0, "{line}");
    }
}

#[test]
fn an_interrupted_run_leaves_a_filesystem_or_none() {
    let scratch = Scratch::new();
    let mut interrupted = 0;
    for delay in 0..40 {
        let image = scratch.image("disk.img", CHECK_BYTES);
        let mut child = Tool::MKFS.run().args(["-q", "-V", "-f"]).arg(&image).start();
        std::thread::sleep(Duration::from_micros(delay * 1500));
        let pid = child.id().to_string();
        let _ = std::process::Command::new("kill").args(["-INT", &pid]).status().expect("kill");
        let status = child.wait().expect("the child is ours");
        let dump = Tool::DUMP.run().arg(&image).arg("collections").finish();
        match status.code() {
            Some(0) => assert_eq!(dump.code, 0, "{}", dump.stderr),
            Some(1) => {
                assert!(dump.stderr.contains("holds no VexFS"), "{}", dump.stderr);
                interrupted += 1;
            }
            Some(code) => panic!("exit code {code}"),
            // Before the handler was there.
            None => assert_eq!(allocated(&image), 0),
        }
        fs::remove_file(&image).expect("remove");
    }
    println!("{interrupted} of 40 runs were interrupted at work");
}

#[test]
fn a_block_device_is_formatted_like_a_file() {
    let scratch = Scratch::new();
    let image = scratch.file("disk.img", vec![0xA5; 64 << 20]);
    let Some(device) = Loop::attach(&image, &[]) else { return };
    let run = Tool::MKFS.run().args(["-V", "-D", "768", "-L", "VectorDB"]).arg(&device.0).finish().expect(0);
    assert!(run.text().contains("16384 blocks"), "{}", run.text());
    assert_nothing_recognised(&device.0, "a new VexFS");
    assert_eq!(superblock(&device.0)["label"], "VectorDB");
    // Discarding gave the blocks of the file back; with -K they stay.
    assert!(allocated(&image) < 8 << 20, "{} bytes stay", allocated(&image));
    for options in [["-q", "-K"], ["-q", "-Enodiscard"]] {
        fs::write(&image, vec![0xA5; 64 << 20]).expect("fill");
        Tool::MKFS.run().args(options).arg(&device.0).finish().expect(0);
        assert!(allocated(&image) > 48 << 20, "{} bytes are left", allocated(&image));
        assert_eq!(superblock(&device.0)["blocks"], 16_384);
    }
    let long = Tool::MKFS.run().arg("-f").arg(&device.0).arg("65M").finish().expect(1);
    assert!(long.stderr.contains("SIZE"), "{}", long.stderr);
    Tool::MKFS.run().args(["-q", "-f"]).arg(&device.0).arg("32M").finish().expect(0);
    assert_eq!(superblock(&device.0)["blocks"], 8192);
    Tool::MKFS
        .run()
        .args(["-q", "-f", "-b", "8192", "-i", "8192", "-V", "-D", "1024"])
        .arg(&device.0)
        .finish()
        .expect(0);
    assert_eq!(superblock(&device.0)["block_size"], 8192);
}
