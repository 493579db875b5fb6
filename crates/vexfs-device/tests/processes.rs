//! What needs a second process: locks between tools, and the end by a bus error.
//!
//! The child is this test program again, told by [`ROLE`] what to do instead of testing.

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{busy, image};
use vexfs_device::{BusyReason, Device, FileDevice, OpenOptions, Run, install_bus_error_handler};

const ROLE: &str = "VEXFS_DEVICE_TEST_ROLE";
const IMAGE: &str = "VEXFS_DEVICE_TEST_IMAGE";

/// Starts this program as `role`; it holds on after its first line until its standard input ends.
fn child(role: &str, image: &Path) -> Child {
    Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "in_a_child_process", "--nocapture"])
        .env(ROLE, role)
        .env(IMAGE, image)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("child")
}

#[test]
fn in_a_child_process() {
    let (Ok(role), Some(image)) = (std::env::var(ROLE), std::env::var_os(IMAGE)) else {
        return; // the parent's run
    };
    let options = if role == "writer" { OpenOptions::read_write() } else { OpenOptions::read_only() };
    let device = FileDevice::open(&image, options).expect("open");
    match role.as_str() {
        "reader" | "writer" => {
            println!("\nopened");
            std::io::stdin().read_to_end(&mut Vec::new()).expect("wait");
        }
        "faulting reader" | "faulting stranger" => {
            install_bus_error_handler(77).expect("handler");
            let runs = [Run { offset: 8192, len: 8192 }, Run { offset: 0, len: 4096 }];
            let mapping = device.map(&runs).expect("map");
            File::options().write(true).open(&image).expect("open").set_len(12288).expect("truncate");
            assert_eq!(mapping[0], 2, "still there");
            if role == "faulting stranger" {
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGBUS).expect("raise");
            }
            let byte = std::hint::black_box(mapping[4096 + 5]);
            unreachable!("read {byte} where nothing is");
        }
        other => panic!("unknown role {other}"),
    }
}

#[test]
fn a_writer_in_another_process_excludes_everybody_until_it_dies() {
    let (_folder, path) = image(8192);
    let mut writer = child("writer", &path);
    let mut lines = BufReader::new(writer.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("line") == "opened"));
    assert_eq!(busy(&path, OpenOptions::read_only()), BusyReason::VexfsWriter);
    assert_eq!(busy(&path, OpenOptions::read_write()), BusyReason::VexfsWriter);
    writer.kill().expect("kill");
    writer.wait().expect("wait");
    FileDevice::open(&path, OpenOptions::read_write()).expect("a dead writer holds nothing");
}

#[test]
fn readers_in_two_processes_read_together() {
    let (_folder, path) = image(8192);
    let mut reader = child("reader", &path);
    let mut lines = BufReader::new(reader.stdout.take().expect("piped")).lines();
    assert!(lines.any(|line| line.expect("line") == "opened"));
    let mine = FileDevice::open(&path, OpenOptions::read_only()).expect("beside a reader");
    drop(mine);
    assert_eq!(busy(&path, OpenOptions::read_write()), BusyReason::VexfsReader);
    drop(reader.stdin.take());
    assert!(reader.wait().expect("wait").success());
}

#[test]
fn a_fault_in_a_mapping_becomes_a_message_and_an_exit_code() {
    let (_folder, path) = image(64 << 10);
    let output = child("faulting reader", &path).wait_with_output().expect("child");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{stderr}");
    let program = std::env::current_exe().expect("this program");
    let program = program.file_name().expect("name").to_string_lossy();
    // The page of the faulting byte or the byte itself: the hardware decides.
    let place = |offset| {
        format!("{program}: {}: a mapped block cannot be read (byte offset {offset})\n", path.display())
    };
    assert!(stderr.contains(&place(12288 + 5)) || stderr.contains(&place(12288)), "{stderr}");
}

#[test]
fn any_other_bus_error_ends_the_process_as_ever() {
    let (_folder, path) = image(64 << 10);
    let output = child("faulting stranger", &path).wait_with_output().expect("child");
    assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", String::from_utf8_lossy(&output.stderr));
}
