//! Indexes from the outside: built at import and afterwards, searched by a fresh process, listed, extended, damaged, dropped.

mod image;
mod machine;

use std::fs;

use image::{Image, Random};
use machine::Loop;
use serde_json::Value;
use tool_tests::{Finished, Tool};
use vexfs_fs::collection::Collection;
use vexfs_fs::index;

const DIM: usize = 16;
const ROWS: usize = 2000;

/// An image with random rows and a file of queries `q.npy`.
fn filled(flags: &[&str], import: &[&str]) -> Image {
    // Builds draw their random numbers from a seed that follows from the UUID.
    let uuid = ["-U", "76657866-7320-4d6f-8465-73742d696478"];
    let image = Image::made_by(&[flags, &uuid].concat(), "48M");
    let file = image.scratch.npy("rows.npy", DIM, &Random(1).units(DIM * ROWS));
    image.scratch.npy("q.npy", DIM, &Random(2).units(DIM * 20));
    image.import().arg("-q").args(import).arg(file).finish().expect(0);
    image
}

fn search(image: &Image, flags: &[&str]) -> Finished {
    image.query().args(flags).arg(image.scratch.path("q.npy")).finish()
}

/// The hits of each query, without what tells how they were found.
fn hits(run: &Finished) -> Vec<Value> {
    run.text()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["hits"].clone())
        .collect()
}

fn is_exact(run: &Finished) -> bool {
    run.text().lines().all(|line| serde_json::from_str::<Value>(line).expect("JSON")["exact"] == true)
}

fn figures(run: &Finished) -> Value {
    serde_json::from_str(run.stderr.lines().last().expect("a line")).expect("JSON")
}

fn json(run: &Finished) -> Value {
    serde_json::from_str(run.text()).expect("JSON")
}

#[test]
fn an_index_of_the_import_answers_a_fresh_process_alike_in_all_block_sizes_and_on_a_device() {
    let mut answers = Vec::new();
    for block_size in ["4096", "65536"] {
        let image =
            filled(&["-D", "16", "-b", block_size], &["--index", "ivf", "--index", "flat,name=all-of-it"]);
        let exact = search(&image, &["-o", "jsonl", "--exact"]).expect(0);
        let run = search(&image, &["-o", "jsonl", "--index", "all-of-it", "--stats"]).expect(0);
        assert_eq!(hits(&run), hits(&exact), "{block_size}");
        assert!(is_exact(&run) && is_exact(&exact));
        assert_eq!(figures(&run)["index"], "all-of-it");
        assert!(figures(&run)["blocks_read"].as_u64() > Some(0));
        let run = search(&image, &["-o", "jsonl", "--index", "ivf", "--recall", "0.5", "--stats"]).expect(0);
        assert!(!is_exact(&run));
        assert_eq!(figures(&run)["index"], "ivf");
        for threads in ["1", "7"] {
            let again =
                search(&image, &["-o", "jsonl", "--index", "ivf", "--recall", "0.5", "--threads", threads]);
            assert_eq!(again.expect(0).text(), run.text(), "{threads} threads");
        }
        if let Some(device) = Loop::attach(&image.path, &[]) {
            let query = Tool::QUERY.run().arg("-d").arg(&device.0).args(["-o", "jsonl", "--index", "ivf"]);
            let on_device =
                query.args(["--recall", "0.5"]).arg(image.scratch.path("q.npy")).finish().expect(0);
            assert_eq!(on_device.text(), run.text(), "{block_size}");
        }
        image.assert_sound();
        answers.push(run.stdout);
    }
    assert!(answers[0] == answers[1], "block sizes differ");
}

#[test]
fn tune_adds_lists_extends_and_drops() {
    let image = filled(&["-D", "16"], &[]);
    let run = image.tune().args(["--index", "add", "ivf", "--index", "add", "flat,name=x", "--json"]);
    let run = run.finish().expect(0);
    let done = json(&run);
    assert_eq!(done["schema"]["name"], "vexfs-tune");
    assert_eq!(
        (&done["indexes"][0]["action"], &done["indexes"][0]["name"], &done["indexes"][0]["rows"]),
        (&"add".into(), &"ivf".into(), &ROWS.into())
    );
    assert_eq!((&done["indexes"][1]["name"], &done["indexes"][1]["kind"]), (&"x".into(), &"flat".into()));
    let listed = json(&image.dump().args(["indexes", "--json"]).finish().expect(0));
    let ivf = &listed["indexes"][0];
    assert_eq!((&ivf["name"], &ivf["uncovered"], &ivf["spec"]), (&"ivf".into(), &0.into(), &"ivf".into()));
    let points = ivf["calibration"]["curves"][1]["points"].as_array().expect("points");
    assert!(points.iter().all(|point| (0.0..=1.0).contains(&point["recall"].as_f64().expect("a number"))));
    // New rows are found at once, and covered when asked.
    let later = image.scratch.npy("later.npy", DIM, &Random(2).units(DIM * 20));
    image.import().arg("-q").arg(later).finish().expect(0);
    for _ in 0..2 {
        let run = search(&image, &["-o", "jsonl", "-k", "1", "--index", "ivf"]).expect(0);
        for (query, hits) in hits(&run).iter().enumerate() {
            assert_eq!((&hits[0]["id"], &hits[0]["distance"]), (&(ROWS + query).into(), &0.0.into()));
        }
        image.tune().args(["-q", "--index", "extend", "all"]).finish().expect(0);
    }
    let listed = json(&image.tune().args(["-l", "--json"]).finish().expect(0));
    assert_eq!(listed["filesystem"]["indexes"][0]["uncovered"], 0);
    image.tune().args(["--index", "rebuild", "all", "--calibrate"]).finish().expect(0);
    let dry = image.hash();
    let run = image.tune().args(["-n", "--index", "drop", "x", "--index", "add", "flat", "-L", "new"]);
    let run = run.finish().expect(0);
    assert!(
        run.stderr.contains("would drop index x") && run.stderr.contains("would build index flat"),
        "{}",
        run.stderr
    );
    assert_eq!(image.hash(), dry, "a dry run writes nothing");
    image.tune().args(["--index", "drop", "x"]).finish().expect(0);
    let run = image.tune().args(["--index", "drop", "x"]).finish().expect(1);
    assert!(run.stderr.contains("there is no such index; there are: ivf"), "{}", run.stderr);
    image.assert_sound();
}

#[test]
fn deleted_rows_never_appear() {
    let image = filled(&["-D", "16"], &["--index", "ivf"]);
    let all = search(&image, &["-o", "jsonl", "--index", "ivf"]).expect(0);
    let gone: Vec<u64> = hits(&all)
        .iter()
        .flat_map(|hits| hits.as_array().expect("hits"))
        .filter_map(|hit| hit["id"].as_u64())
        .collect();
    image.delete("vectors", &gone);
    let left = search(&image, &["-o", "jsonl", "--index", "ivf"]).expect(0);
    for hits in hits(&left) {
        let hits = hits.as_array().expect("hits");
        assert!(
            hits.len() == 10 && hits.iter().all(|hit| !gone.contains(&hit["id"].as_u64().expect("an id")))
        );
    }
}

#[test]
fn a_damaged_index_costs_a_warning_and_no_answer() {
    let image = filled(&["-D", "16"], &["--index", "ivf,name=hurt"]);
    let exact = search(&image, &["-o", "jsonl", "--exact"]).expect(0);
    let volume = image.volume();
    let collection = Collection::open(&volume, "vectors").expect("the collection");
    let files = index::files::find(&volume, &collection, "hurt").expect("the index");
    let view = volume.view(&vexfs_fs::inode::read(&volume, files.parts[&0]).expect("inode")).expect("view");
    let places: Vec<u64> = (0..view.len().div_ceil(4096))
        .map(|block| volume.offset(view.device_block(block).expect("a block")) + 7)
        .collect();
    drop((volume, view));
    let sound = fs::read(&image.path).expect("the image");
    let mut fallbacks = 0;
    // With all lists visited, every block is touched but those of padding.
    let wide = ["-o", "jsonl", "--index", "hurt", "--nprobe", "100000"];
    for place in places {
        let mut bytes = sound.clone();
        bytes[place as usize] ^= 0x10;
        fs::write(&image.path, bytes).expect("the image");
        let run = search(&image, &wide).expect(0);
        if run.stderr.contains("warning") {
            assert!(run.stderr.contains("index hurt of vectors"), "{}", run.stderr);
            assert!(run.stderr.contains("every vector is compared"), "{}", run.stderr);
            assert_eq!(run.text(), exact.text());
            fallbacks += 1;
        }
    }
    assert!(fallbacks > 1, "no damage was noticed");
    fs::write(&image.path, sound).expect("the image");
    let missing = search(&image, &["-o", "jsonl", "--index", "nothing"]).expect(0);
    assert!(missing.stderr.contains("there is no index nothing"), "{}", missing.stderr);
    assert_eq!(missing.text(), exact.text());
}

#[test]
fn what_no_index_has_is_wrong_usage() {
    let image = filled(&["-D", "16"], &["--index", "ivf"]);
    let run = search(&image, &["--index", "ivf", "--ef", "10"]).expect(2);
    assert!(run.stderr.contains("has no ef; it has nprobe"), "{}", run.stderr);
    search(&image, &["--recall", "1.5"]).expect(2);
    let run = image.tune().args(["--index", "add", "ivf,colour=red"]).finish().expect(2);
    assert!(run.stderr.contains("colour"), "{}", run.stderr);
    let run = image.tune().finish().expect(2);
    assert!(run.stderr.contains("nothing to do"), "{}", run.stderr);
    let file = image.scratch.path("rows.npy");
    let before = image.hash();
    image.import().args(["--index", "ivf,colour=red"]).arg(&file).finish().expect(2);
    image.import().args(["--index", "flat,name=ivf"]).arg(&file).finish().expect(1);
    assert_eq!(image.hash(), before, "nothing is imported when the index cannot be");
}

#[test]
fn what_cannot_be_done_is_refused_before_anything_is() {
    let image = filled(&["-D", "16"], &["--index", "ivf"]);
    let file = image.scratch.path("rows.npy");
    let zeros_and_ones: Vec<f32> = Random(3).units(DIM * 9).iter().map(|value| value.ceil().abs()).collect();
    let bits = image.scratch.npy("bits.npy", DIM, &zeros_and_ones);
    let before = image.hash();
    for (flags, code) in [
        (&["-c", "fresh", "--index", "flat", "--index", "hnsw,m=1000"][..], 2),
        (&["-c", "fresh", "--index", "pq,pq_m=17"], 2),
        (&["--index", "ivf-pq,nbits=5"], 2),
        (&["--index", "lsh,name=x", "--index", "flat,name=x"], 1),
        (&["-c", "fresh", "--index", "lsh,name=x", "--index", "flat,name=x"], 1),
    ] {
        let run = image.import().args(flags).arg(&file).finish().expect(code);
        assert!(!run.stderr.contains("imported"), "{flags:?}: {}", run.stderr);
    }
    let run = image.import().args(["-c", "bits", "--dtype", "b1", "--index", "ivf"]).arg(&bits);
    assert!(run.finish().expect(2).stderr.contains("ivf cannot index b1 rows"));
    for (flags, code) in [
        (&["--index", "add", "flat", "--index", "add", "ivf,nlist=0"][..], 2),
        (&["-L", "new", "--index", "add", "hnsw,m=1"], 2),
        (&["--index", "add", "flat", "--index", "drop", "nothing"], 1),
        (&["--index", "add", "flat", "--index", "rebuild", "flat-2"], 1),
        (&["--index", "drop", "ivf", "--index", "extend", "ivf"], 1),
        (&["--index", "add", "flat", "--index", "add", "flat,name=flat"], 1),
        (&["-n", "--index", "add", "ivf,nlist=0"], 2),
    ] {
        image.tune().args(flags).finish().expect(code);
    }
    assert_eq!(image.hash(), before);
    // What the first of them makes possible is not refused.
    let run = image.tune().args([
        "--index",
        "drop",
        "ivf",
        "--index",
        "add",
        "flat,name=ivf",
        "--index",
        "drop",
        "ivf",
    ]);
    run.finish().expect(0);
}

#[test]
fn a_radius_finds_what_lies_within() {
    let image = filled(&["-D", "16"], &["--index", "flat"]);
    let exact = search(&image, &["-o", "jsonl", "--radius", "2.5", "--exact"]).expect(0);
    let counts: Vec<usize> = hits(&exact).iter().map(|hits| hits.as_array().expect("hits").len()).collect();
    assert!(counts.iter().any(|&count| count != counts[0]), "{counts:?}");
    let found =
        hits(&exact).iter().flat_map(|hits| hits.as_array().expect("hits").clone()).collect::<Vec<_>>();
    assert!(found.iter().all(|hit| hit["distance"].as_f64().expect("a number") <= 2.5));
    let run = search(&image, &["-o", "jsonl", "--radius", "2.5", "--index", "flat"]).expect(0);
    assert_eq!(hits(&run), hits(&exact));
    let run = search(&image, &["-o", "jsonl", "--radius", "2.5", "-k", "1"]).expect(0);
    assert!(hits(&run).iter().all(|hits| hits.as_array().expect("hits").len() <= 1));
    search(&image, &["-o", "npy", "--radius", "2.5"]).expect(2);
}

#[test]
fn label_and_uuid_change_everywhere() {
    let image = filled(&["-D", "16", "-L", "before"], &[]);
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    image.tune().args(["-q", "-L", "after", "-U", uuid]).finish().expect(0);
    let listed = json(&image.tune().args(["-l", "--json"]).finish().expect(0));
    assert_eq!(
        (&listed["filesystem"]["label"], &listed["filesystem"]["uuid"]),
        (&"after".into(), &uuid.into())
    );
    image.assert_sound();
    search(&image, &["--exact"]).expect(0);
    let superblock = json(&image.dump().args(["super", "--json"]).finish().expect(0));
    for backup in superblock["backups"].as_array().expect("backups") {
        let copy = image.dump().args(["super", "--json", "-b", &backup.to_string()]).finish().expect(0);
        assert_eq!((&json(&copy)["label"], &json(&copy)["uuid"]), (&"after".into(), &uuid.into()));
    }
}

#[test]
fn the_instructions_of_this_machine_are_shown_without_a_device() {
    let run = Tool::TUNE.run().args(["--simd", "--json"]).finish().expect(0);
    let simd = json(&run);
    assert_eq!(simd["levels"].as_array().map(Vec::len), Some(4));
    assert_eq!(simd["levels"][3]["mask"], 4);
    assert!(simd["used"].is_string() && simd["mask"].as_u64() <= Some(4));
}
