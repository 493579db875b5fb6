//! What `mkfs.vexfs` does not touch without being told twice: filesystems and partition tables of all kinds, older and
//! damaged VexFS filesystems, devices in use. And that with `-f` nothing of them is left.

mod machine;
mod signatures;

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tool_tests::{Finished, Scratch, Tool};

use machine::{Loop, Mount, assert_nothing_recognised, run, succeed};

fn refuse(device: &Path) -> Finished {
    Tool::MKFS.run().arg("-q").arg(device).finish().expect(1)
}

/// Asserts that mkfs refuses the image without a change, says each of `parts`, and overwrites it with -f.
#[track_caller]
fn assert_kept(image: &Path, parts: &[&str]) {
    let before = Scratch::hash(image);
    let run = refuse(image);
    for part in parts.iter().chain(&["nothing was changed", "hint: -f"]) {
        assert!(run.stderr.contains(part), "{part} is missing in {}", run.stderr);
    }
    // Whoever asks for a dry run is told and not stopped.
    let dry = Tool::MKFS.run().arg("-n").arg(image).finish().expect(0);
    assert!(dry.stderr.contains(parts[0]), "{}", dry.stderr);
    assert_eq!(Scratch::hash(image), before, "{parts:?}: the image has changed");
}

#[track_caller]
fn assert_overwritten(image: &Path, context: &str) {
    Tool::MKFS.run().args(["-q", "-f"]).arg(image).finish().expect(0);
    assert_nothing_recognised(image, context);
    Tool::DUMP.run().arg(image).finish().expect(0);
}

#[test]
fn what_libblkid_knows_is_kept_and_with_f_nothing_is_left_of_it() {
    for signature in signatures::ALL {
        let scratch = Scratch::new();
        let mut bytes = vec![0; 64 << 20];
        (signature.write)(&mut bytes);
        let image = scratch.file("x.img", &bytes);
        assert_kept(&image, &[&[signature.kind], signature.says].concat());
        assert_overwritten(&image, signature.kind);
    }
}

#[test]
fn several_signatures_are_all_named() {
    let scratch = Scratch::new();
    let mut bytes = vec![0; 64 << 20];
    signatures::xfs(&mut bytes);
    signatures::ext4(&mut bytes);
    let image = scratch.file("x.img", &bytes);
    assert_kept(&image, &["xfs", "ext4"]);
    assert_overwritten(&image, "xfs and ext4");
}

#[test]
fn a_signature_behind_the_filesystem_goes_too() {
    let scratch = Scratch::new();
    let mut bytes = vec![0; 64 << 20];
    signatures::gpt(&mut bytes);
    let image = scratch.file("x.img", &bytes);
    // The second header of the table lies 32 MiB behind what is formatted.
    Tool::MKFS.run().args(["-q"]).arg(&image).arg("32M").finish().expect(1);
    Tool::MKFS.run().args(["-q", "-f"]).arg(&image).arg("32M").finish().expect(0);
    assert_nothing_recognised(&image, "gpt behind the end");
}

#[test]
fn no_backup_of_ext4_is_left_to_repair_from() {
    let scratch = Scratch::new();
    let image = scratch.image("x.img", 300 << 20);
    if succeed("mkfs.ext4", ["-q".as_ref(), "-F".as_ref(), "-Lold".as_ref(), image.as_os_str()]).is_none() {
        return;
    }
    assert_kept(&image, &["ext4", "LABEL=\"old\""]);
    assert_overwritten(&image, "mkfs.ext4");
    for block in ["32768", "65536", "98304"] {
        let arguments = ["-n", "-b", block, "-B", "4096"].map(std::ffi::OsStr::new);
        if let Some(output) = run("e2fsck", arguments.into_iter().chain([image.as_os_str()])) {
            assert_ne!(output.status.code().unwrap_or(8) & 8, 0, "e2fsck finds a backup in block {block}");
        }
    }
}

#[test]
fn what_other_programs_make_is_kept_and_overwritten() {
    let makers: &[(&str, &[&str], &str)] = &[
        ("mkfs.ext2", &["-q", "-F", "-b", "1024"], "ext2"),
        ("mkfs.xfs", &["-q", "-f"], "xfs"),
        ("mkfs.btrfs", &["-q", "-f"], "btrfs"),
        ("mkfs.vfat", &[], "vfat"),
        ("mkswap", &[], "swap"),
        ("sgdisk", &["-n", "1:0:0"], "gpt partition table"),
        ("pvcreate", &["-f", "-y"], "LVM2_member"),
    ];
    for (program, arguments, kind) in makers {
        let scratch = Scratch::new();
        let image = scratch.image("x.img", 400 << 20);
        let arguments = arguments.iter().map(std::ffi::OsStr::new).chain([image.as_os_str()]);
        if succeed(program, arguments).is_some() {
            assert_kept(&image, &[kind]);
            assert_overwritten(&image, program);
        }
    }
}

/// A VexFS of three groups.
fn vexfs(scratch: &Scratch) -> std::path::PathBuf {
    let image = scratch.image("x.img", 300 << 20);
    Tool::MKFS
        .run()
        .args(["-q", "-L", "mine", "-U", "0a1b2c3d-1234-5678-9abc-0123456789ab"])
        .arg(&image)
        .finish()
        .expect(0);
    image
}

fn clear_block(image: &Path, block: u64) {
    let file = OpenOptions::new().write(true).open(image).expect("open");
    file.write_all_at(&[0; 4096], block * 4096).expect("write");
}

#[test]
fn a_vexfs_is_kept_as_long_as_one_of_its_superblocks_is_whole() {
    const NAMED: &[&str] =
        &["VexFS, LABEL=\"mine\", UUID=0a1b2c3d-1234-5678-9abc-0123456789ab, last written 20"];
    const BACKUPS: [u64; 2] = [32_768, 76_800 - 256];
    for survivor in BACKUPS {
        let scratch = Scratch::new();
        let image = vexfs(&scratch);
        assert_kept(&image, NAMED);
        clear_block(&image, 0);
        let parts = [NAMED, &["its backup in block 32768 is whole"]].concat();
        assert_kept(&image, &parts);
        for backup in BACKUPS.into_iter().filter(|&backup| backup != survivor) {
            clear_block(&image, backup);
        }
        assert_kept(&image, &[NAMED, &[&*format!("its backup in block {survivor} is whole")]].concat());
        clear_block(&image, survivor);
        // Nothing tells any more that it was one.
        Tool::MKFS.run().arg("-q").arg(&image).finish().expect(0);
    }
}

#[test]
fn damaged_newer_and_older_superblocks_are_kept() {
    let scratch = Scratch::new();
    let image = scratch.image("x.img", 16 << 20);
    Tool::MKFS.run().arg("-q").arg(&image).finish().expect(0);
    for block in [0, 4096 - 256] {
        let file = OpenOptions::new().write(true).open(&image).expect("open");
        file.write_all_at(b"garbage", block * 4096 + 1100).expect("write");
    }
    assert_kept(&image, &["VexFS superblock that cannot be used", "checksum"]);
    assert_overwritten(&image, "damaged VexFS");
    for (magic, at) in [(&b"FXEV"[..], 0), (b"2XEV", 0), (b"VEXFS001", 1024)] {
        let image = scratch.image("old.img", 16 << 20);
        let file = OpenOptions::new().write(true).open(&image).expect("open");
        file.write_all_at(magic, at).expect("write");
        assert_kept(&image, &["vexfs", "image"]);
        assert_overwritten(&image, "older VexFS");
        fs::remove_file(image).expect("remove");
    }
}

#[test]
fn a_terminal_makes_no_difference() {
    let scratch = Scratch::new();
    let image = vexfs(&scratch);
    let before = Scratch::hash(&image);
    // script(1) gives the program a terminal and answers yes to whatever it may ask.
    let line = format!("{} -q {}", Tool::MKFS.program().display(), image.display());
    let output = run("script", ["-qec", &line, "/dev/null"]);
    if let Some(output) = output {
        assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stdout));
        assert_eq!(Scratch::hash(&image), before);
    }
}

#[test]
fn a_mounted_device_is_kept_even_with_f() {
    let scratch = Scratch::new();
    let image = scratch.image("x.img", 64 << 20);
    if succeed("mkfs.ext4", ["-q".as_ref(), "-F".as_ref(), image.as_os_str()]).is_none() {
        return;
    }
    let Some(device) = Loop::attach(&image, &[]) else { return };
    let at = scratch.path("mnt");
    fs::create_dir(&at).expect("a folder");
    let Some(mount) = Mount::new(&["-t", "ext4", "-o", "ro"], &device.0, &at) else { return };
    let before = Scratch::hash(&image);
    for force in [&[][..], &["-f"]] {
        let run = Tool::MKFS.run().arg("-q").args(force).arg(&device.0).finish().expect(1);
        for part in ["in use", "mounted at", "hint: -f -f"] {
            assert!(run.stderr.contains(part), "{part} is missing in {}", run.stderr);
        }
        // The file behind the device is no way around.
        let run = Tool::MKFS.run().arg("-q").args(force).arg(&image).finish().expect(1);
        assert!(run.stderr.contains(&*device.0.to_string_lossy()), "{}", run.stderr);
    }
    assert_eq!(Scratch::hash(&image), before);
    drop(mount);
    // Attached and no more: the device is free, the file is not.
    Tool::MKFS.run().args(["-q", "-f"]).arg(&image).finish().expect(1);
    Tool::MKFS.run().args(["-q", "-f", "-f"]).arg(&image).finish().expect(0);
    Tool::MKFS.run().args(["-q", "-f"]).arg(&device.0).finish().expect(0);
}

#[test]
fn an_active_swap_area_is_kept_even_with_f() {
    let scratch = Scratch::new();
    let image = scratch.file("x.img", vec![0; 64 << 20]);
    let Some(device) = Loop::attach(&image, &[]) else { return };
    if succeed("mkswap", [&device.0]).is_none() || succeed("swapon", [&device.0]).is_none() {
        return;
    }
    let run = Tool::MKFS.run().args(["-q", "-f"]).arg(&device.0).finish();
    succeed("swapoff", [&device.0]);
    assert!(run.expect(1).stderr.contains("swap"));
}

#[test]
fn a_device_that_cannot_be_written_is_an_error() {
    let scratch = Scratch::new();
    let image = scratch.image("x.img", 64 << 20);
    if let Some(device) = Loop::attach(&image, &["--read-only"]) {
        let run = Tool::MKFS.run().args(["-f", "-f"]).arg(&device.0).finish().expect(1);
        assert!(run.stderr.contains("read-only"), "{}", run.stderr);
    }
    let mut permissions = fs::metadata(&image).expect("there").permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&image, permissions).expect("permissions");
    if File::options().write(true).open(&image).is_err() {
        let run = Tool::MKFS.run().args(["-f", "-f"]).arg(&image).finish().expect(1);
        assert!(run.stderr.contains("permissions"), "{}", run.stderr);
    }
}

#[test]
fn a_volume_that_another_tool_uses_is_kept_whatever_is_said() {
    let scratch = Scratch::new();
    let image = vexfs(&scratch);
    let options = vexfs_device::OpenOptions::read_only();
    let reader = vexfs_device::FileDevice::open(&image, options).expect("open");
    let run = Tool::MKFS.run().args(["-q", "-f", "-f"]).arg(&image).finish().expect(1);
    assert!(run.stderr.contains("another VexFS tool is reading it"), "{}", run.stderr);
    drop(reader);
    Tool::MKFS.run().args(["-q", "-f"]).arg(&image).finish().expect(0);
}
