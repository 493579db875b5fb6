//! `vexfs-dump diff`: what is different on another volume.

mod image;

use image::{Image, Random};
use serde_json::{Value, json};
use tool_tests::Finished;

fn parsed(run: &Finished) -> Value {
    serde_json::from_str(run.text()).expect("JSON")
}

#[test]
fn a_diff_tells_objects_rows_and_fields_and_is_silent_on_copies() {
    let image = Image::made_by(&["-D", "4"], "32M");
    let values = Random(1).units(4 * 20);
    let rows = image.scratch.npy("rows.npy", 4, &values);
    image.import().arg("-q").arg(&rows).finish().expect(0);
    let keys = image.scratch.file("keys", (0..20).map(|n| format!("key-{n}\n")).collect::<String>());
    image.import().args(["-q", "-c", "keyed", "--keys"]).arg(keys).arg(&rows).finish().expect(0);
    for (name, contents) in [("kept", "same"), ("edited", "first"), ("gone", "old")] {
        let file = image.scratch.file(name, contents);
        image.import().arg("-q").arg("--file").arg(file).arg(format!("/{name}")).finish().expect(0);
    }
    let copy = image.scratch.path("before.img");
    std::fs::copy(&image.path, &copy).expect("a copy");
    let diff = || image.dump().arg("diff").arg(&copy);
    assert_eq!(diff().finish().expect(0).text(), "no difference\n");

    // What the image becomes, seen from the copy.
    let changed = Image { scratch: tool_tests::Scratch::new(), path: image.path.clone() };
    changed.tune().args(["-q", "-L", "renamed"]).finish().expect(0);
    let file = image.scratch.file("edited", "other");
    changed.import().arg("-q").arg("--file").arg(file).arg("/edited").finish().expect(0);
    let file = image.scratch.file("new", "new");
    changed.import().arg("-q").arg("--file").arg(file).arg("/new").finish().expect(0);
    let gone = image.scratch.file("ids", "3\n5\n");
    changed.tune().arg("-q").arg("--delete-ids").arg(gone).finish().expect(0);
    let one = image.scratch.npy("one.npy", 4, &[9.0; 4]);
    let key = image.scratch.file("key", "key-7\n");
    changed
        .import()
        .args(["-q", "-c", "keyed", "--mode", "upsert", "--keys"])
        .arg(key)
        .arg(&one)
        .finish()
        .expect(0);
    changed.import().args(["-q", "-c", "fresh"]).arg(&one).finish().expect(0);

    let run =
        tool_tests::Tool::DUMP.run().arg("--json").arg(&copy).arg("diff").arg(&image.path).finish().expect(0);
    let found = parsed(&run);
    assert_eq!(found["added"], json!(["/fresh", "/new"]));
    assert_eq!(found["removed"], json!([]));
    assert_eq!(found["changed"], json!([{"path": "/edited", "what": ["contents"]}]));
    let keyed = json!({"path": "/keyed", "added": 0, "deleted": 0, "changed": 1});
    let vectors = json!({"path": "/vectors", "added": 0, "deleted": 2, "changed": 0});
    assert_eq!(found["collections"], json!([keyed, vectors]));
    let label = found["superblock"].as_array().expect("fields").iter().find(|field| field["name"] == "label");
    assert_eq!(label.expect("the label")["new"], "renamed");
    // The other way round.
    let text = diff().finish().expect(0);
    for line in
        ["- /fresh", "- /new", "! /edited: contents", "! /vectors: 2 rows added, 0 deleted, 0 changed"]
    {
        assert!(text.text().lines().any(|found| found == line), "{line}: {}", text.text());
    }
}
