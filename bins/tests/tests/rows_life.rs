//! Rows that come, are replaced, go, and leave no trace: upserts, deletions and compaction, with every kind of index.

mod image;

use std::collections::BTreeSet;

use image::{Image, Random};
use serde_json::Value;
use tool_tests::Finished;
use vexfs_fs::collection::Collection;
use vexfs_fs::index;

const DIM: usize = 8;
const ROWS: usize = 600;
const KINDS: [&str; 6] = ["flat", "hnsw", "ivf", "pq", "ivf-pq", "lsh"];

fn json(run: &Finished) -> Value {
    serde_json::from_str(run.text()).expect("JSON")
}

/// The names of the hits of each query, through `index`.
fn names(image: &Image, index: &str, queries: &str, k: usize) -> Vec<Vec<String>> {
    let run = image.query().args(["-q", "-o", "jsonl", "--index", index, "-k", &k.to_string()]);
    let run = run.arg(image.scratch.path(queries)).finish().expect(0);
    let hits = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let hits = line["hits"].as_array().expect("hits").clone();
        hits.iter().map(|hit| hit["id"].to_string()).collect()
    };
    run.text().lines().map(hits).collect()
}

/// Each vector finds itself at distance 0 under one of `names`, and no query finds what is not there.
fn assert_found(image: &Image, queries: &str, ids: &[u64], gone: &BTreeSet<String>) {
    for kind in KINDS {
        let found = names(image, kind, queries, 20);
        assert_eq!(found.len(), ids.len(), "{kind}");
        for (hits, id) in found.iter().zip(ids) {
            assert_eq!(hits.first(), Some(&id.to_string()), "{kind}");
            assert_eq!(hits.len(), 20, "{kind}");
            assert!(hits.iter().all(|hit| !gone.contains(hit)), "{kind}: {hits:?} has one of {gone:?}");
        }
    }
}

fn lines(ids: &[u64]) -> String {
    ids.iter().map(|id| format!("{id}\n")).collect()
}

#[test]
fn rows_are_replaced_deleted_and_compacted_under_every_kind_of_index() {
    let image = Image::made_by(&["-D", "8", "-U", "76657866-7320-4d6f-8465-73742d696478"], "64M");
    let values = Random(1).units(DIM * ROWS);
    let all = image.scratch.npy("all.npy", DIM, &values);
    let kinds = KINDS.iter().flat_map(|kind| ["--index", *kind]);
    image.import().arg("-q").args(kinds).arg(all).finish().expect(0);
    // Eight rows go, eight others change places with new ones.
    let gone: Vec<u64> = (0..8).map(|n| n * 70 + 3).collect();
    let changed: Vec<u64> = (0..8).map(|n| n * 70 + 4).collect();
    let file = image.scratch.file("gone", lines(&gone));
    let run = image.tune().arg("--json").arg("--delete-ids").arg(file).finish().expect(0);
    assert_eq!(json(&run)["deleted"]["rows"], 8);
    let new = Random(7).units(DIM * 8);
    let file = image.scratch.npy("new.npy", DIM, &new);
    let ids = image.scratch.file("changed", lines(&changed));
    let run = image.import().args(["--json", "--mode", "upsert", "--ids"]).arg(ids).arg(file);
    let run = json(&run.finish().expect(0));
    assert_eq!((&run["rows"], &run["replaced"]), (&8.into(), &8.into()));
    let rows_of = |ids: &[u64]| -> Vec<f32> {
        ids.iter().flat_map(|&id| values[id as usize * DIM..][..DIM].to_vec()).collect()
    };
    let kept: Vec<u64> = (0..8).map(|n| n * 70 + 5).collect();
    image.scratch.npy("kept.npy", DIM, &rows_of(&kept));
    image.scratch.npy("old.npy", DIM, &rows_of(&[gone.clone(), changed.clone()].concat()));
    let text = |ids: &[u64]| ids.iter().map(u64::to_string).collect::<BTreeSet<_>>();
    for step in ["before", "after"] {
        assert_found(&image, "new.npy", &changed, &text(&gone));
        assert_found(&image, "kept.npy", &kept, &text(&gone));
        for kind in KINDS {
            let run = image.query().args(["-q", "-o", "jsonl", "-k", "1", "--index", kind]);
            let run = run.arg(image.scratch.path("old.npy")).finish().expect(0);
            assert!(!run.text().contains("\"distance\":0.0"), "{step} {kind}: an old vector is found");
        }
        image.assert_sound();
        if step == "before" {
            let run = image.tune().args(["--compact", "--json"]).finish().expect(0);
            let done = json(&run);
            let rows = ROWS as u64 - 8;
            assert_eq!(
                (&done["compacted"]["rows"], &done["compacted"]["removed"]),
                (&rows.into(), &16.into())
            );
            let rebuilt = done["indexes"].as_array().expect("indexes");
            assert_eq!(rebuilt.len(), KINDS.len());
            assert!(rebuilt.iter().all(|index| index["action"] == "rebuild" && index["rows"] == rows));
        }
    }
    // Nothing is left to do, and an id that was given once is not given again.
    let run = image.tune().arg("--compact").finish().expect(0);
    assert!(run.stderr.contains("has no deleted rows"), "{}", run.stderr);
    image.import().arg("-q").arg(image.scratch.path("new.npy")).finish().expect(0);
    let last = image.identities("vectors").last().expect("a row").to_string();
    assert_eq!(last, (ROWS + 7).to_string());
    image.assert_sound();
}

#[test]
fn keys_are_replaced_and_deleted_and_what_is_not_there_is_named() {
    let image = Image::new(1);
    let vectors = image.scratch.npy("3.npy", 1, &[1.0, 2.0, 3.0]);
    let one = image.scratch.npy("1.npy", 1, &[9.0]);
    let keys = image.scratch.file("keys", "apple\npear\nfig\n");
    image.import().args(["-q", "-c", "k", "--keys"]).arg(keys).arg(&vectors).finish().expect(0);
    image.import().args(["-q"]).arg(&vectors).finish().expect(0);
    let before = image.hash();
    let unknown = image.scratch.file("unknown", "fig\nkiwi\n");
    let number = image.scratch.file("number", "1\n7\n");
    let text = |run: Finished| run.expect(1).stderr;
    for (message, expected) in [
        (text(image.tune().args(["-c", "k", "--delete-ids"]).arg(&unknown).finish()), "line 2"),
        (text(image.tune().args(["-c", "k", "--delete-ids"]).arg(&unknown).finish()), "no row with key kiwi"),
        (
            text(image.tune().arg("--delete-ids").arg(&number).finish()),
            "line 2: vectors has no row with id 7",
        ),
        (
            text(image.import().args(["-c", "k", "--mode", "delete", "--keys"]).arg(&unknown).finish()),
            "line 2: there is no row with key kiwi",
        ),
        (
            text(image.import().args(["-c", "k", "--mode", "delete", "--ids"]).arg(&number).finish()),
            "its rows have keys",
        ),
    ] {
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let fig = image.scratch.file("fig", "fig\n");
    let run = image.tune().args(["-n", "-c", "k", "--delete-ids"]).arg(&fig).finish().expect(0);
    assert!(run.stderr.contains("would delete 1 row of k"), "{}", run.stderr);
    assert_eq!(image.hash(), before, "something was written");
    let run = image.import().args(["--json", "-c", "k", "--mode", "delete", "--keys"]).arg(&fig);
    assert_eq!(json(&run.finish().expect(0))["deleted"], 1);
    // Given twice in one upsert, a key stands for no one row.
    let twice = image.scratch.file("twice", "kiwi\npear\npear\n");
    let run = image.import().args(["-c", "k", "--mode", "upsert", "--keys"]).arg(&twice).arg(&vectors);
    assert!(run.finish().expect(1).stderr.contains("key pear is given twice"));
    let pear = image.scratch.file("pear", "pear\n");
    image
        .import()
        .args(["-q", "-c", "k", "--mode", "upsert", "--keys"])
        .arg(&pear)
        .arg(one)
        .finish()
        .expect(0);
    image.tune().args(["-q", "-c", "k", "--compact"]).finish().expect(0);
    let named: Vec<String> = image.identities("k").iter().map(ToString::to_string).collect();
    assert_eq!(named, ["apple", "pear"]);
    let run = image.query().args(["-c", "k", "--id", "pear", "-k", "9", "-o", "csv"]).finish().expect(0);
    assert_eq!(run.text(), "query,rank,id,distance\n0,1,pear,0\n0,2,apple,64\n");
    image.assert_sound();
}

#[test]
fn a_compaction_that_was_interrupted_goes_on_with_the_indexes() {
    let image = Image::made_by(&["-D", "8"], "32M");
    let all = image.scratch.npy("all.npy", DIM, &Random(1).units(DIM * ROWS));
    image.import().args(["-q", "--index", "hnsw", "--index", "flat"]).arg(all).finish().expect(0);
    image.delete("vectors", &[5, 6]);
    struct Silent;
    impl index::Progress for Silent {
        fn step(&self, _stage: &'static str, _done: u64, _total: u64) {}
        fn is_interrupted(&self) -> bool {
            false
        }
    }
    let mut volume = image.volume_for_writing();
    let ino = Collection::open(&volume, "vectors").expect("the collection").inode.number();
    let mut txn = volume.begin().expect("a transaction");
    txn.compact_rows("vectors", ino, &Silent).expect("compacted");
    txn.commit().expect("committed");
    let collection = Collection::open(&volume, "vectors").expect("the collection");
    let unbuilt = index::list(&volume, &collection).expect("indexes");
    assert!(unbuilt.len() == 2 && unbuilt.iter().all(index::IndexFiles::is_unbuilt));
    volume.close().expect("closed");
    let run = image.query().args(["--index", "hnsw", "--id", "7", "-k", "1", "-o", "csv"]).finish().expect(0);
    assert!(run.text().ends_with("0,1,7,0\n"), "{}", run.text());
    assert!(run.stderr.contains("vexfs-tune --index rebuild hnsw"), "{}", run.stderr);
    image.assert_sound();
    let run = image.tune().args(["--compact", "--json"]).finish().expect(0);
    assert_eq!(json(&run)["indexes"].as_array().expect("indexes").len(), 2);
    let run = image.query().args(["--index", "hnsw", "--id", "7", "-k", "1"]).finish().expect(0);
    assert_eq!(run.stderr, "");
    image.assert_sound();
}
