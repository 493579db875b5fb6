//! Imports that meet other tools, signals and sudden death: the state before, or after, and nothing in between.

mod image;

use std::io::Write;
use std::process::{Child, ChildStdin, Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use image::{Image, Random, Watchdog, npy_f32};
use tool_tests::{Finished, Tool};
use vexfs_device::{BusyReason, busy_reason};

/// An image with 1000 rows of 16 dimensions.
fn filled() -> Image {
    let image = Image::new(16);
    let file = image.scratch.npy("old.npy", 16, &Random(1).units(16_000));
    image.import().arg("-q").arg(file).finish().expect(0);
    image
}

/// An import that has begun, and the end of the pipe from which it reads.
struct Begun {
    child: Child,
    feed: ChildStdin,
}

/// Starts an import with these arguments and waits until it holds the device.
fn begin(image: &Image, arguments: &[&str]) -> Begun {
    let mut child = image.import().args(arguments).input("").start();
    let feed = child.stdin.take().expect("a pipe");
    wait_for(image, BusyReason::VexfsWriter);
    Begun { child, feed }
}

/// Waits until the device is in use by such a tool. Looks only: a tool that asks would be in the way for a moment.
fn wait_for(image: &Image, holder: BusyReason) {
    let begun = Instant::now();
    while busy_reason(&image.path).as_ref() != Some(&holder) {
        assert!(begun.elapsed() < Duration::from_secs(60), "the tool does not begin");
        thread::sleep(Duration::from_millis(2));
    }
}

impl Begun {
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -s {name}");
    }

    /// Waits for the end without closing the pipe first.
    fn end(self) -> (Output, ChildStdin) {
        let _watchdog = Watchdog::of(&self.child);
        (self.child.wait_with_output().expect("the end of the import"), self.feed)
    }

    /// Waits for the end of an import that a signal has told to stop.
    fn stopped(self) -> Finished {
        let (output, feed) = self.end();
        drop(feed);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Finished { code: output.status.code().unwrap_or(-1), stdout: output.stdout, stderr }.expect(1)
    }
}

#[test]
fn two_writers_are_kept_apart_and_readers_are_told() {
    let image = filled();
    let mut first = begin(&image, &["-q", "-"]);
    let array = npy_f32(16, &Random(2).units(16 * 5000));
    first.feed.write_all(&array[..100_000]).expect("the import reads");

    let file = image.scratch.npy("x.npy", 16, &[0.5; 16]);
    for (tool, code, run) in [
        ("import", 1, image.import().arg(&file)),
        ("mkfs", 1, Tool::MKFS.run().arg("-f").arg(&image.path)),
        ("query", 1, image.query().args(["--id", "0"])),
    ] {
        let run = run.finish().expect(code);
        assert!(run.stderr.contains("another VexFS tool is writing to it"), "{tool}: {}", run.stderr);
    }
    first.feed.write_all(&array[100_000..]).expect("the import reads");
    let Begun { child, feed } = first;
    drop(feed);
    let output = child.wait_with_output().expect("the end of the import");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(image.kind("vectors"), "16 f32 l2 6000");
    image.assert_sound();
}

#[test]
fn readers_keep_writers_away_and_each_other_company() {
    let image = filled();
    let mut reader = image.query().args(["-o", "csv"]).input("").start();
    let mut feed = reader.stdin.take().expect("a pipe");
    let query = format!("{}\n", vec!["0.5"; 16].join(" "));
    feed.write_all(query.as_bytes()).expect("the query reads");
    let file = image.scratch.npy("x.npy", 16, &[0.5; 16]);
    wait_for(&image, BusyReason::VexfsReader);
    let run = image.import().arg(&file).finish().expect(1);
    assert!(run.stderr.contains("another VexFS tool is reading it"), "{}", run.stderr);
    image.query().args(["--id", "0", "-k", "1"]).finish().expect(0);
    drop(feed);
    assert!(reader.wait_with_output().expect("the end of the query").status.success());
    image.import().arg("-q").arg(&file).finish().expect(0);
}

#[test]
fn a_signal_stops_an_import_whose_input_does_not_come() {
    let image = filled();
    let (old, before) = (image.rows("vectors"), image.hash());
    let array = npy_f32(16, &Random(2).units(16 * 100_000));
    // Before the first byte, within the header, among the rows.
    for (signal, sent) in [("INT", 0), ("TERM", 20), ("INT", 3_000_000)] {
        for arguments in [&["-q", "-"][..], &["-q", "-c", "new", "-"]] {
            let mut import = begin(&image, arguments);
            import.feed.write_all(&array[..sent]).expect("the import reads");
            import.signal(signal);
            let run = import.stopped();
            assert_eq!(run.stderr, "vexfs-import: interrupted; nothing was changed\n");
            assert!(sent > 20 || image.hash() == before, "{sent}");
            assert!(image.rows("vectors") == old && !image.has("new"));
        }
    }
    image.assert_sound();
}

#[test]
fn a_signal_stops_the_copy_of_a_file_and_keeps_the_rows_before_it() {
    let image = filled();
    let file = image.scratch.npy("x.npy", 16, &[0.5; 16]);
    let file = file.to_str().expect("UTF-8");
    image.import().args(["-q", "--file", "-", "/note"]).input("old").finish().expect(0);
    let mut import = begin(&image, &["-q", file, "--file", "-", "/note"]);
    import.feed.write_all(b"new").expect("the import reads");
    // The rows are stored before the file is asked for; the signal comes when it waits for the rest of that.
    thread::sleep(Duration::from_millis(300));
    import.signal("INT");
    let run = import.stopped();
    if run.stderr.contains("nothing was changed") {
        // A very slow machine: the rows were under way.
        assert_eq!(image.kind("vectors"), "16 f32 l2 1000");
    } else {
        assert!(run.stderr.contains("interrupted; /note was not changed"), "{}", run.stderr);
        assert!(run.stderr.contains("hint: stored before that: 1 row"), "{}", run.stderr);
        assert_eq!(image.kind("vectors"), "16 f32 l2 1001");
    }
    assert_eq!(image.file("/note"), b"old");
    image.assert_sound();
}

#[test]
fn sudden_death_leaves_the_state_before_or_after() {
    let image = filled();
    let old = image.rows("vectors");
    let array = npy_f32(16, &Random(2).units(16 * 60_000));
    let mut import = begin(&image, &["-q", "-"]);
    import.feed.write_all(&array[..array.len() - 64]).expect("the import reads");
    import.signal("KILL");
    let (output, _feed) = import.end();
    assert!(!output.status.success());
    assert!(image.rows("vectors") == old);
    image.assert_sound();

    // Some time later, many times: also while the transaction commits.
    let new = [&old[..], &array[128..]].concat();
    let file = image.scratch.file("x.npy", &array);
    let fresh = std::fs::read(&image.path).expect("the image");
    let (mut died, mut lived) = (0, 0);
    for delay in (0..12).map(|n| Duration::from_micros(1000 + n * 2500)) {
        std::fs::write(&image.path, &fresh).expect("the image");
        let mut child = image.import().arg("-q").arg(&file).start();
        thread::sleep(delay);
        // It may have ended already.
        let _ = child.kill();
        let output = child.wait_with_output().expect("its end");
        let rows = image.rows("vectors");
        assert!(rows == old || rows == new, "after {delay:?}");
        assert!(!output.status.success() || rows == new, "done is durable");
        image.assert_sound();
        if rows == new {
            lived += 1
        } else {
            died += 1
        }
        // The next writer takes the device as it is.
        image.import().args(["-q", "-c", "later"]).arg(image.scratch.path("old.npy")).finish().expect(0);
        assert!(image.rows("vectors") == rows && image.rows("later") == old);
    }
    println!("{died} imports died before their commit, {lived} after");
    image.assert_sound();
}

#[test]
fn progress_is_lines_where_there_is_no_terminal_and_none_with_quiet() {
    let image = filled();
    let run = |arguments: &[&str]| {
        let mut import = begin(&image, arguments);
        let line = format!("{}\n", vec!["1.5"; 16].join(","));
        for _ in 0..2 {
            import.feed.write_all(line.repeat(50_000).as_bytes()).expect("the import reads");
            thread::sleep(Duration::from_millis(if arguments.contains(&"-q") { 0 } else { 5200 }));
        }
        let Begun { child, feed } = import;
        drop(feed);
        let output = child.wait_with_output().expect("the end of the import");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = run(&["-"]);
    let progress =
        said.lines().find(|line| line.starts_with("importing: ")).unwrap_or_else(|| panic!("{said}"));
    assert!(progress.contains(" rows, ") && progress.ends_with(" rows/s"), "{progress}");
    assert!(!said.contains('\r') && !said.contains('\x1b'), "{said}");
    assert_eq!(run(&["-q", "-"]), "");
}
