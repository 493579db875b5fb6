//! `fsck.vexfs` as the system calls it: by the `fsck` front end, at boot, on loop devices; and each bit of its exit status.

mod image;
mod machine;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use image::{Image, Random};
use machine::Loop;
use serde_json::Value;
use tool_tests::{Finished, Tool};

const DIM: usize = 8;

/// An image with 500 rows in `vectors`.
fn filled() -> Image {
    let image = Image::new(DIM);
    let rows = image.scratch.npy("rows.npy", DIM, &Random(1).units(DIM * 500));
    image.import().arg("-q").arg(rows).finish().expect(0);
    image
}

fn fsck(image: &Image, flags: &[&str]) -> Finished {
    Tool::FSCK.run().args(flags).arg(&image.path).finish()
}

/// Overwrites blocks of 4096 bytes.
fn overwrite(image: &Image, blocks: impl IntoIterator<Item = u64>, byte: u8) {
    let mut bytes = fs::read(&image.path).expect("the image");
    for block in blocks {
        bytes[(block * 4096) as usize..][..4096].fill(byte);
    }
    fs::write(&image.path, bytes).expect("the image");
}

fn superblock(image: &Image) -> Value {
    let run = image.dump().args(["super", "--json"]).finish().expect(0);
    serde_json::from_str(run.text()).expect("JSON")
}

/// Blocks that hold a superblock: the primary, and the backups.
fn superblocks(image: &Image) -> Vec<u64> {
    let backups = superblock(image)["backups"].as_array().expect("backups").clone();
    std::iter::once(0).chain(backups.iter().map(|block| block.as_u64().expect("a block"))).collect()
}

/// Runs the front end of the system, which finds `fsck.vexfs` where PATH says; `None` where there is none.
fn front_end(image: &Image, table: &str, flags: &[&str]) -> Option<Output> {
    front_end_by(image, table, &["env"], flags)
}

/// The same by another program, which gets its path and its flags.
fn front_end_by(image: &Image, table: &str, by: &[&str], flags: &[&str]) -> Option<Output> {
    let folder = image.scratch.path("bin");
    fs::create_dir_all(&folder).expect("a folder");
    let _ = symlink(Tool::FSCK.program(), folder.join("fsck.vexfs"));
    let front: PathBuf = ["/usr/sbin/fsck", "/sbin/fsck"].iter().map(PathBuf::from).find(|f| f.exists())?;
    let table = image.scratch.file("fstab", table);
    let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display());
    let mut command = Command::new(by[0]);
    command.args(&by[1..]).arg(front).args(flags).env("FSTAB_FILE", table).env("PATH", path);
    Some(command.output().expect("fsck"))
}

#[test]
fn the_front_end_of_the_system_passes_status_and_flags_through() {
    let image = filled();
    let path = image.path.to_str().expect("UTF-8").to_owned();
    let said = |output: &Output| {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    };
    let Some(run) = front_end(&image, "", &["-t", "vexfs", &path, "--", "-n"]) else {
        println!("skipped: there is no fsck");
        return;
    };
    assert!(run.status.code() == Some(0) && said(&run).contains(": clean, "), "{}", said(&run));
    let Some(device) = Loop::attach(&image.path, &[]) else { return };
    let node = device.0.to_str().expect("UTF-8").to_owned();
    let table = format!("{node} /nowhere vexfs defaults 0 2\n");
    let run = front_end(&image, &table, &["-A", "-a", "-C0"]).expect("as before");
    assert!(run.status.code() == Some(0) && said(&run).contains(": clean, "), "{}", said(&run));
    let free = superblock(&image)["free_blocks"].as_u64();
    drop(device);

    // A backup that is out of date is put right at boot.
    overwrite(&image, [superblocks(&image)[1]], 0);
    let Some(device) = Loop::attach(&image.path, &[]) else { return };
    let table = format!("{} /nowhere vexfs defaults 0 2\n", device.0.display());
    let run = front_end(&image, &table, &["-A", "-a", "-f"]).expect("as before");
    assert_eq!(run.status.code(), Some(1), "{}", said(&run));
    let run = front_end(&image, &table, &["-A", "-a", "-f"]).expect("as before");
    assert_eq!(run.status.code(), Some(0), "{}", said(&run));
    drop(device);
    assert_eq!(superblock(&image)["free_blocks"].as_u64(), free);
}

/// As systemd-fsck(8) calls it: by the front end, with a descriptor for progress and the device alone.
#[test]
fn progress_comes_through_the_front_end_as_systemd_reads_it() {
    let image = filled();
    overwrite(&image, [superblocks(&image)[1]], 0);
    let Some(device) = Loop::attach(&image.path, &[]) else { return };
    let node = device.0.display().to_string();
    let lines = image.scratch.path("lines");
    let script = format!("exec 3>'{}'; exec \"$0\" \"$@\"", lines.display());
    // The front end hands a -C of its own on to the checkers of ext4 and its kin only.
    let words = ["-a", "-T", "-l", "-C3", &node, "--", "-f", "-C3"];
    let table = format!("{node} /nowhere vexfs defaults 0 2\n");
    let Some(run) = front_end_by(&image, &table, &["sh", "-c", &script], &words) else {
        println!("skipped: there is no fsck");
        return;
    };
    assert_eq!(run.status.code(), Some(1), "{}", String::from_utf8_lossy(&run.stderr));
    let text = fs::read_to_string(&lines).expect("lines");
    for pass in 1..=5 {
        // PASS CUR MAX DEVICE; systemd takes what share of the pass is done from the numbers.
        let is_end = |line: &&str| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.len() == 4 && words[0] == pass.to_string() && words[1] == words[2] && words[3] == node
        };
        assert!(text.lines().any(|line| is_end(&line)), "pass {pass} comes to its end: {text}");
    }
}

/// As an initramfs has it: the program and its libraries, /dev/null, no /proc or /sys, and no descriptor open.
#[test]
fn nothing_but_its_libraries_is_needed() {
    let image = filled();
    overwrite(&image, [superblocks(&image)[1]], 0);
    let root = image.scratch.path("root");
    let take = |path: &Path, to: &Path| {
        let to = root.join(to.strip_prefix("/").unwrap_or(to));
        fs::create_dir_all(to.parent().expect("a folder")).expect("folders");
        fs::copy(path, to).expect("a copy");
    };
    take(&Tool::FSCK.program(), Path::new("sbin/fsck.vexfs"));
    take(&image.path, Path::new("image"));
    let Some(libraries) = machine::succeed("ldd", [Tool::FSCK.program()]) else { return };
    for path in libraries.split_whitespace().filter(|word| word.starts_with('/')) {
        take(Path::new(path), Path::new(path));
    }
    let null = root.join("dev/null");
    fs::create_dir_all(root.join("dev")).expect("a folder");
    let node = [null.as_os_str(), "c".as_ref(), "1".as_ref(), "3".as_ref()];
    if machine::succeed("mknod", node).is_none() {
        return;
    }
    let run = |flags: &[&str]| {
        let words = [root.to_str().expect("UTF-8"), "/sbin/fsck.vexfs"].into_iter();
        let words: Vec<&str> = words.chain(flags.iter().copied()).chain(["/image"]).collect();
        let line = format!(
            "PATH=$PATH:/usr/sbin; exec env -i $(command -v chroot) {} <&- >&- 2>&-",
            words.join(" ")
        );
        Command::new("sh").args(["-c", &line]).status().expect("sh").code()
    };
    if machine::succeed("chroot", [root.as_os_str(), "/sbin/fsck.vexfs".as_ref(), "--version".as_ref()])
        .is_none()
    {
        return;
    }
    assert_eq!(run(&["-n", "-f"]), Some(4));
    // With no descriptor open, messages must not end up in the image.
    assert_eq!(run(&["-y", "-f"]), Some(1));
    assert_eq!(run(&["-p", "-f"]), Some(0));
    fs::copy(root.join("image"), &image.path).expect("a copy");
    image.assert_sound();
}

#[test]
fn the_exit_status_is_that_of_fsck_8_on_an_image_and_on_a_device() {
    let image = filled();
    let backup = superblocks(&image)[1];
    let sound = fs::read(&image.path).expect("the image");
    // A directory that is lost needs a person: the root has a block of names.
    let root = image.dump().args(["extents", "/", "--json"]).finish().expect(0);
    let root: Value = serde_json::from_str(root.text()).expect("JSON");
    let names = find(&root, "block").or_else(|| find(&root, "start")).expect("a block of names");
    let cases: [(&[u64], &[&str], i32); 8] = [
        (&[], &["-f", "-p"], 0),
        (&[backup], &["-f", "-n"], 4),
        (&[backup], &["-f", "-p"], 1),
        (&[backup], &["-f", "-y"], 1),
        (&[names], &["-f", "-p"], 4),
        (&[names, backup], &["-f", "-a"], 4),
        (&[names], &["-f", "-y"], 1),
        (&[], &["-f", "-C", "99"], 16),
    ];
    for (blocks, flags, status) in cases {
        fs::write(&image.path, &sound).expect("the image");
        overwrite(&image, blocks.iter().copied(), 0);
        let damaged = fs::read(&image.path).expect("the image");
        fsck(&image, flags).expect(status);
        let repaired = fs::read(&image.path).expect("the image");
        fs::write(&image.path, &damaged).expect("the image");
        let Some(device) = Loop::attach(&image.path, &[]) else { continue };
        Tool::FSCK.run().args(flags).arg(&device.0).finish().expect(status);
        drop(device);
        let on_device = fs::read(&image.path).expect("the image");
        assert_eq!(repaired == damaged, on_device == damaged, "{flags:?} writes on both or on neither");
    }
    Tool::FSCK.run().arg("-p").arg(image.scratch.path("nothing")).finish().expect(8);
    Tool::FSCK.run().arg("-p").arg(Path::new("/dev/null")).finish().expect(8);
}

/// The first number that is called `name` in a document.
fn find(document: &Value, name: &str) -> Option<u64> {
    match document {
        Value::Object(fields) => {
            let own = fields.get(name).and_then(Value::as_u64);
            own.or_else(|| fields.values().find_map(|value| find(value, name)))
        }
        Value::Array(values) => values.iter().find_map(|value| find(value, name)),
        _ => None,
    }
}

#[test]
fn a_superblock_without_any_copy_in_place_is_searched_for() {
    let image = filled();
    let rows = image.rows("vectors");
    let before = superblock(&image);
    overwrite(&image, superblocks(&image), 0xA5);
    // Nobody waits for a search at boot.
    let run = fsck(&image, &["-p"]).expect(8);
    assert!(!run.stderr.contains("searching"), "{}", run.stderr);
    let damaged = image.hash();
    let run = fsck(&image, &["-n"]).expect(4);
    assert!(run.stderr.contains("searching all of the device"), "{}", run.stderr);
    assert!(run.text().contains("VX0001") && run.text().contains("VX0004"), "{}", run.text());
    assert_eq!(image.hash(), damaged);
    fsck(&image, &["-y"]).expect(1);
    fsck(&image, &["-fn", "--data=full"]).expect(0);
    assert!(image.rows("vectors") == rows, "rows are as they were");
    for field in ["uuid", "label", "blocks", "free_blocks", "free_inodes"] {
        assert_eq!(superblock(&image)[field], before[field], "{field}");
    }
}

#[test]
fn a_superblock_of_an_image_in_a_file_is_none_of_the_device() {
    let inner = filled();
    let outer = Image::made_by(&["-D", "8"], "64M");
    outer.import().args(["-q", "--file"]).arg(&inner.path).arg("/inner").finish().expect(0);
    let uuid = superblock(&outer)["uuid"].clone();
    overwrite(&outer, superblocks(&outer), 0);
    fsck(&outer, &["-y"]).expect(1);
    assert_eq!(superblock(&outer)["uuid"], uuid);
    assert!(outer.file("/inner") == fs::read(&inner.path).expect("the image"));
    // One that holds nothing of its own is searched in vain.
    let mut bytes = vec![0; 1 << 20];
    bytes.extend(fs::read(&inner.path).expect("the image"));
    let shifted = inner.scratch.file("shifted", bytes);
    let run = Tool::FSCK.run().arg("-y").arg(shifted).finish().expect(8);
    assert!(run.stderr.contains("searching all of the device"), "{}", run.stderr);
}
