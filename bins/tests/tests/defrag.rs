//! `vexfs-tune --defrag`: what lies in pieces is brought together.

mod image;

use image::{Image, Random};
use serde_json::Value;
use tool_tests::Finished;

fn json(run: &Finished) -> Value {
    serde_json::from_str(run.text()).expect("JSON")
}

/// Two collections and files that were written in turns.
fn in_pieces() -> Image {
    let image = Image::made_by(&["-D", "16"], "48M");
    for part in 0..5 {
        let rows = image.scratch.npy("rows.npy", 16, &Random(part).units(16 * 2000));
        for collection in ["vectors", "other"] {
            image.import().args(["-q", "-c", collection]).arg(&rows).finish().expect(0);
        }
    }
    image
}

fn fragmented(image: &Image) -> u64 {
    let health = json(&image.dump().args(["health", "--json"]).finish().expect(0));
    health["fragmented_objects"].as_u64().expect("a number")
}

#[test]
fn files_and_rows_in_pieces_are_moved_and_stay_what_they_are() {
    let image = in_pieces();
    let (rows, others) = (image.rows("vectors"), image.rows("other"));
    let count = fragmented(&image);
    assert!(count >= 3, "{count} in pieces");
    let before = image.hash();
    let plan = json(&image.tune().args(["-n", "--json", "--defrag"]).finish().expect(0))["defrag"].clone();
    assert_eq!(plan["fragmented"], count);
    assert_eq!(plan["moved"].as_array().map(Vec::len), Some(count as usize));
    assert_eq!(image.hash(), before, "a dry run writes nothing");
    let done = json(&image.tune().args(["--json", "--defrag"]).finish().expect(0))["defrag"].clone();
    let moved = done["moved"].as_array().expect("a list");
    assert_eq!((moved.len() as u64, done["left"].as_array().map(Vec::len)), (count, Some(0)));
    assert!(moved.iter().all(|one| one["pieces"] == 1 && one["pieces_before"].as_u64() > Some(1)), "{done}");
    assert_eq!(fragmented(&image), 0);
    assert!(image.rows("vectors") == rows && image.rows("other") == others);
    image.assert_sound();
    let again = image.tune().args(["--defrag"]).finish().expect(0);
    assert!(again.stderr.contains("nothing to defragment"), "{}", again.stderr);
}
