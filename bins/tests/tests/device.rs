//! Which device a tool takes: flags, environment, label, UUID, an offset in a larger file.

use std::path::{Path, PathBuf};
use std::process::Command;

use tool_tests::{Finished, Invocation, Scratch, Tool};

const OFFSET: &str = "1M";

/// A UUID that no other device of this machine has, not even one of the same test running beside this one.
fn uuid() -> String {
    format!("0a1b2c3d-1234-5678-9abc-{:012x}", std::process::id())
}

/// A filesystem with two vectors, 1 MiB into an image.
fn filled(scratch: &Scratch, label: &str) -> PathBuf {
    let device = scratch.image("disk.img", 17 << 20);
    Tool::MKFS
        .run()
        .args(["-q", "-D", "2", "-L", label, "-U", &uuid(), "-E", &format!("offset={OFFSET}")])
        .arg(&device)
        .finish()
        .expect(0);
    let vectors = scratch.npy("two.npy", 2, &[1.0, 2.0, 30.0, 40.0]);
    Tool::IMPORT
        .run()
        .args(["-q", "-d"])
        .arg(&device)
        .args(["--offset", OFFSET])
        .arg(vectors)
        .finish()
        .expect(0);
    device
}

/// A search that finds the second vector, once it knows the device.
fn search() -> Invocation {
    Tool::QUERY.run().args(["--vector", "30,41", "-k", "1", "-o", "csv"])
}

#[track_caller]
fn assert_found(run: Finished) {
    let run = run.expect(0);
    let hit = run.text().lines().nth(1).unwrap_or_default();
    assert!(hit.starts_with("0,") && hit.ends_with(",1"), "{}", run.text());
}

fn with_offset(device: &Path) -> String {
    format!("{}?offset={OFFSET}", device.display())
}

#[test]
fn a_filesystem_inside_a_larger_file_is_found_at_its_offset() {
    let scratch = Scratch::new();
    let device = filled(&scratch, "inner");
    assert_found(search().arg("-d").arg(&device).args(["--offset", OFFSET]).finish());
    assert_found(search().arg("-d").arg(with_offset(&device)).finish());
    search().arg("-d").arg(&device).finish().expect(1);
    let twice = search().arg("-d").arg(with_offset(&device)).args(["--offset", OFFSET]).finish().expect(2);
    assert!(twice.stderr.contains("twice"), "{}", twice.stderr);
    search().args(["--offset", OFFSET]).finish().expect(2);
}

#[test]
fn the_environment_names_the_device_unless_a_flag_does() {
    let scratch = Scratch::new();
    let device = filled(&scratch, "from-env");
    assert_found(search().env("VEXFS_DEVICE", with_offset(&device)).finish());
    assert_found(search().env("VEXFS_DEVICE", "/nowhere").arg("-d").arg(with_offset(&device)).finish());
    search().env("VEXFS_DEVICE", with_offset(&device)).args(["-d", "/nowhere"]).finish().expect(1);
    let empty = search().env("VEXFS_DEVICE", "").finish().expect(2);
    assert!(empty.stderr.contains("VEXFS_DEVICE"), "{}", empty.stderr);
}

#[test]
fn label_and_uuid_find_a_block_device() {
    let scratch = Scratch::new();
    let label = format!("test-{}", std::process::id());
    let device = filled(&scratch, &label);
    let Some(_attached) = Loop::attach(&device) else { return };
    assert_found(search().args(["-d", &format!("LABEL={label}")]).finish());
    assert_found(search().args(["-d", &format!("UUID={}", uuid().to_uppercase())]).finish());
    let unknown = search().args(["-d", "LABEL=no-such-label"]).finish().expect(1);
    assert!(unknown.stderr.contains(&label) && unknown.stderr.contains(&uuid()), "{}", unknown.stderr);
}

/// The filesystem of [`filled`] on a loop device, as long as the value lives.
struct Loop(String);

impl Loop {
    /// `None`, with a line that says so, where loop devices cannot be had.
    fn attach(image: &Path) -> Option<Self> {
        let offset = (1 << 20).to_string();
        let output =
            Command::new("losetup").args(["--find", "--show", "--offset", &offset]).arg(image).output();
        match output {
            Ok(output) if output.status.success() => {
                Some(Self(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
            }
            Ok(output) => {
                println!("skipped: no loop device: {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                println!("skipped: losetup: {error}");
                None
            }
        }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let detached = Command::new("losetup").args(["--detach", &self.0]).status();
        assert!(detached.is_ok_and(|status| status.success()), "{} stays attached", self.0);
    }
}
