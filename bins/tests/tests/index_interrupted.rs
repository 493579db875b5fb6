//! Builds that a signal stops: the index that was there is there, and nothing else has changed.

mod image;

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use image::{Image, Random, Watchdog};
use vexfs_device::{BusyReason, busy_reason};
use vexfs_fs::collection::Collection;
use vexfs_fs::index;

const DIM: usize = 64;

fn names(image: &Image) -> Vec<String> {
    let volume = image.volume();
    let collection = Collection::open(&volume, "vectors").expect("the collection");
    index::list(&volume, &collection).expect("a list").into_iter().map(|files| files.name).collect()
}

#[test]
fn a_signal_during_a_build_leaves_the_old_indexes() {
    let image = Image::made_by(&["-D", "64"], "96M");
    let file = image.scratch.npy("rows.npy", DIM, &Random(1).units(DIM * 60_000));
    image.import().arg("-q").arg(&file).finish().expect(0);
    let rows = image.rows("vectors");
    image.tune().args(["-q", "--index", "add", "flat"]).finish().expect(0);
    for (signal, action, what) in
        [("INT", "add", "ivf"), ("TERM", "add", "flat,name=other"), ("INT", "rebuild", "flat")]
    {
        let run = image.tune().args([
            "-q",
            "--index",
            action,
            what,
            "--threads",
            "1",
            "--index",
            "add",
            "ivf,name=late",
        ]);
        let child = run.start();
        let _watchdog = Watchdog::of(&child);
        let begun = Instant::now();
        while busy_reason(&image.path).as_ref() != Some(&BusyReason::VexfsWriter) {
            assert!(begun.elapsed() < Duration::from_secs(60), "the tool does not begin");
            thread::sleep(Duration::from_millis(1));
        }
        // Handlers are there before the device is opened.
        let killed = Command::new("kill").args(["-s", signal, &child.id().to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()), "kill");
        let output = child.wait_with_output().expect("the end of the tool");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains("interrupted; "), "{stderr}");
        assert!(!names(&image).contains(&"late".to_owned()), "{stderr}");
        assert!(names(&image).contains(&"flat".to_owned()), "{stderr}");
        assert!(image.rows("vectors") == rows, "{signal}");
        image.assert_sound();
    }
}
