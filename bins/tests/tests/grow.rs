//! `vexfs-tune --grow`: a filesystem follows its device.

mod image;

use std::path::Path;
use std::process::Command;

use image::{Image, Random};
use serde_json::Value;
use tool_tests::{Finished, Tool};

const MIB: u64 = 1 << 20;

fn json(run: &Finished) -> Value {
    serde_json::from_str(run.text()).expect("JSON")
}

fn len(image: &Image) -> u64 {
    std::fs::metadata(&image.path).expect("the image").len()
}

/// The script that was written from the pages of the format finds the image sound, where there is a Python.
fn assert_sound_to_the_pages(image: &Image) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format/checker.py");
    match Command::new("python3").arg(script).arg(&image.path).output() {
        Ok(output) => assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(e) => println!("skipped: python3 cannot be run: {e}"),
    }
}

fn filled(size: &str) -> Image {
    let image = Image::made_by(&["-D", "8"], size);
    let rows = image.scratch.npy("rows.npy", 8, &Random(1).units(8 * 500));
    image.import().args(["-q", "--index", "flat"]).arg(rows).finish().expect(0);
    image
}

#[test]
fn an_image_grows_with_its_file_and_the_new_space_takes_rows() {
    let image = filled("100M");
    let rows = image.rows("vectors");
    std::fs::File::options().write(true).open(&image.path).expect("open").set_len(300 * MIB).expect("longer");
    let before = image.hash();
    let run = image.tune().args(["-n", "--json", "--grow"]).finish().expect(0);
    assert_eq!(json(&run)["grown"]["bytes"], 300 * MIB);
    assert_eq!(image.hash(), before, "a dry run writes nothing");
    let grown = json(&image.tune().args(["--json", "--grow"]).finish().expect(0))["grown"].clone();
    assert_eq!(
        (&grown["changed"], &grown["bytes_before"], &grown["bytes"]),
        (&true.into(), &(100 * MIB).into(), &(300 * MIB).into())
    );
    assert_eq!((&grown["groups_before"], &grown["groups"]), (&1.into(), &3.into()));
    assert!(grown["gained"].as_u64() > Some(190 * MIB), "{grown}");
    image.assert_sound();
    assert_sound_to_the_pages(&image);
    assert!(image.rows("vectors") == rows);
    // More than fitted before.
    let many = image.scratch.npy("many.npy", 8, &Random(2).units(8 * 3_500_000));
    image.import().arg("-q").arg(many).finish().expect(0);
    image.assert_sound();
    let again = json(&image.tune().args(["--json", "--grow"]).finish().expect(0))["grown"].clone();
    assert_eq!((&again["changed"], &again["gained"]), (&false.into(), &0.into()));
}

#[test]
fn an_image_file_is_made_as_long_as_it_is_told() {
    let image = filled("16M");
    image.tune().args(["-q", "-n", "--grow", "2G"]).finish().expect(0);
    assert_eq!(len(&image), 16 * MIB);
    let run = image.tune().args(["--grow", "2G"]).finish().expect(0);
    assert!(run.stderr.contains("has grown from 16 MiB to 2 GiB"), "{}", run.stderr);
    assert_eq!(len(&image), 2048 * MIB);
    image.assert_sound();
    assert_sound_to_the_pages(&image);
}

#[test]
fn what_cannot_grow_stays_as_it_is() {
    let image = filled("16M");
    let before = image.hash();
    for (size, reason) in
        [("15M", "cannot become smaller"), ("9G", "is as far as it goes"), ("4T", "room for")]
    {
        let run = image.tune().args(["--grow", size]).finish().expect(1);
        assert!(run.stderr.contains(reason), "{size}: {}", run.stderr);
        assert_eq!((image.hash(), len(&image)), (before, 16 * MIB), "{size}");
    }
    let missing = image.scratch.path("missing");
    Tool::TUNE.run().arg("--grow").arg(&missing).finish().expect(1);
    Tool::TUNE.run().args(["--grow", "1G"]).arg(&missing).finish().expect(1);
    assert!(!missing.exists());
    let noise = image.scratch.file("noise", vec![1; 1 << 20]);
    Tool::TUNE.run().args(["--grow", "1G"]).arg(&noise).finish().expect(1);
    assert_eq!(std::fs::metadata(&noise).expect("the file").len(), 1 << 20);
}

#[test]
fn an_image_inside_a_larger_file_grows_to_a_size_only() {
    let image = filled("16M");
    let mut bytes = vec![0; 4096];
    bytes.extend(std::fs::read(&image.path).expect("the image"));
    let inner = image.scratch.file("disk", &bytes);
    std::fs::File::options().write(true).open(&inner).expect("open").set_len(64 * MIB).expect("longer");
    let run = Tool::TUNE.run().args(["--offset", "4096", "--grow", "-d"]).arg(&inner).finish().expect(2);
    assert!(run.stderr.contains("needs a SIZE"), "{}", run.stderr);
    Tool::TUNE.run().args(["-q", "--offset", "4096", "--grow", "32M"]).arg(&inner).finish().expect(0);
    let spec = format!("{}?offset=4096", inner.display());
    let run = Tool::DUMP.run().args([&spec, "super", "--json"]).finish().expect(0);
    assert_eq!(json(&run)["blocks"], 32 * MIB / 4096);
}
