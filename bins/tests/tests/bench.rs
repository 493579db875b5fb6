//! vexfs-bench measures what it says, on an image of its own or on the device that is named, and compares what it wrote.

use std::fs;
use std::path::Path;

use tool_tests::{Finished, Scratch, Tool};

/// A run of two counted repetitions over 300 rows of 8 dimensions, made by a formula.
fn small(scratch: &Scratch) -> tool_tests::Invocation {
    let value = |at: usize| ((at * at * 31 + at * 17) % 1009) as f32 / 1009.0;
    let rows: Vec<f32> = (0..300 * 8).map(value).collect();
    let queries: Vec<f32> = (5000..5000 + 5 * 8).map(value).collect();
    Tool::BENCH
        .run()
        .arg("run")
        .arg("--train")
        .arg(scratch.npy("train.npy", 8, &rows))
        .arg("--test")
        .arg(scratch.npy("test.npy", 8, &queries))
        .args([
            "--runs",
            "2",
            "--warm-ups",
            "0",
            "-k",
            "3",
            "--threads",
            "1",
            "--index",
            "lsh,tables=2,bits=3",
        ])
}

fn json(finished: &Finished) -> serde_json::Value {
    serde_json::from_str(finished.text()).expect("a document")
}

#[test]
fn a_run_leaves_nothing_but_its_result() {
    let scratch = Scratch::new();
    let folder = scratch.path("images");
    fs::create_dir(&folder).expect("a folder");
    let plot = scratch.path("recall.svg");
    let run = small(&scratch)
        .arg("--directory")
        .arg(&folder)
        .arg("--plot")
        .arg(&plot)
        .arg("--json")
        .finish()
        .expect(0);
    let result = json(&run);
    assert_eq!(result["schema"]["name"], "vexfs-bench");
    assert_eq!((&result["workload"]["rows"], &result["workload"]["queries"]), (&300.into(), &5.into()));
    let searches = result["searches"].as_array().expect("searches");
    assert_eq!((&searches[0]["spec"], &searches[0]["mode"]), (&"exact".into(), &"single".into()));
    assert!(searches[..2].iter().all(|search| search["recall"] == 1.0), "{searches:?}");
    let last = searches.last().expect("a search");
    assert_eq!((&last["spec"], &last["recall"]), (&"lsh,tables=2,bits=3".into(), &1.0.into()));
    assert!(
        searches
            .iter()
            .all(|search| search["qps"]["runs"] == 2 && search["qps"]["mean"].as_f64() > Some(0.0))
    );
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 0);
    let drawn = fs::read_to_string(&plot).expect("the plot");
    assert!(drawn.starts_with("<svg") && drawn.trim_end().ends_with("</svg>"));
    let curves = drawn.matches("stroke-width=\"2\"").count() - 2;
    assert_eq!(curves, 4, "two ways of searching, two modes each, besides the two lines of the legend");
    for text in ["recall@3", "queries per second", "exact", "lsh,tables=2,bits=3", "300 × 8 f32"] {
        assert!(drawn.contains(text), "{text}");
    }
}

#[test]
fn what_finds_too_little_is_passed_over() {
    let scratch = Scratch::new();
    let recalls = |from: &str| -> Vec<f64> {
        let run = small(&scratch).arg("--directory").arg(scratch.path("")).args(["--json", "--from", from]);
        let result = json(&run.finish().expect(0));
        let searches = result["searches"].as_array().expect("searches").iter();
        let through_index = searches.filter(|search| search["spec"] != "exact");
        through_index.map(|search| search["recall"].as_f64().expect("a recall")).collect()
    };
    let (all, best) = (recalls("0"), recalls("1"));
    assert!(all[0] < 1.0, "{all:?}");
    assert_eq!(best, [1.0, 1.0], "query by query, and in batch");
    small(&scratch).args(["--from", "1.1"]).finish().expect(2);
}

#[test]
fn a_device_keeps_the_collection_and_other_data() {
    let scratch = Scratch::new();
    let device = scratch.path("device");
    Tool::MKFS.run().arg(&device).arg("64M").finish().expect(0);
    let plot = scratch.path("recall.png");
    let run = small(&scratch).arg("-d").arg(&device).arg("--csv").arg("--plot").arg(&plot).finish().expect(0);
    assert!(fs::read(&plot).expect("the plot").starts_with(b"\x89PNG\r\n"));
    let lines: Vec<String> = run.text().lines().map(str::to_owned).collect();
    let columns = lines[0].split(',').count();
    assert!(lines[0].starts_with("index,effort_name,") && lines.len() > 4);
    assert!(lines[1].starts_with("\"exact\",,0,0,single,1,1.000000,2,"), "{}", lines[1]);
    assert_eq!(lines[1].split(',').count(), columns);
    Tool::QUERY
        .run()
        .arg("-d")
        .arg(&device)
        .args(["-c", "bench", "--index", "lsh", "--vector", "1,0,0,0,0,0,0,0"])
        .finish()
        .expect(0);
    Tool::FSCK.run().arg("-n").arg("-f").arg(&device).finish().expect(0);
    let again = small(&scratch).arg("-d").arg(&device).finish().expect(1);
    assert!(again.stderr.contains("-c NAME"), "{}", again.stderr);
}

#[test]
fn a_ground_truth_is_what_recall_is_measured_by() {
    let scratch = Scratch::new();
    let rows = scratch.npy("rows.npy", 1, &[0.0, 1.0, 2.0, 3.0, 4.0]);
    let query = scratch.npy("query.npy", 1, &[0.1]);
    let with = |truth: &[f32], code: i32| {
        let numbers: Vec<u8> = truth.iter().flat_map(|row| (*row as i32).to_le_bytes()).collect();
        let header = format!("{{'descr': '<i4', 'fortran_order': False, 'shape': (1, {}), }}", truth.len());
        let header = format!("{header:<117}\n");
        let file = [b"\x93NUMPY\x01\x00\x76\x00", header.as_bytes(), &numbers].concat();
        Tool::BENCH
            .run()
            .args(["run", "--runs", "1", "--warm-ups", "0", "-k", "2", "--json"])
            .arg("--train")
            .arg(&rows)
            .arg("--test")
            .arg(&query)
            .arg("--ground-truth")
            .arg(scratch.file("truth.npy", file))
            .finish()
            .expect(code)
    };
    assert_eq!(json(&with(&[0.0, 1.0], 0))["searches"][0]["recall"], 1.0);
    // Were row 0 alone true, one of the two that are found would be too far.
    assert_eq!(json(&with(&[0.0, 0.0], 0))["searches"][0]["recall"], 0.5);
    assert!(with(&[0.0, 5.0], 1).stderr.contains("row numbers below 5"));
}

#[test]
fn two_results_are_compared_and_other_files_refused() {
    let scratch = Scratch::new();
    let result = small(&scratch).arg("--json").finish().expect(0);
    let mut faster = json(&result);
    for search in faster["searches"].as_array_mut().expect("searches") {
        let mean = search["qps"]["mean"].as_f64().expect("a number");
        search["qps"]["mean"] = (mean * 2.0).into();
    }
    let before = scratch.file("before.json", result.stdout.clone());
    let after = scratch.file("after.json", faster.to_string().into_bytes());
    let compare =
        |after: &Path| Tool::BENCH.run().args(["compare", "--json"]).arg(&before).arg(after).finish();
    let lines = json(&compare(&after).expect(0));
    let of = |what: &str| {
        let lines = lines["lines"].as_array().expect("lines");
        let line =
            lines.iter().find(|line| line["what"] == what).unwrap_or_else(|| panic!("no {what}: {lines:?}"));
        line["ratio"].as_f64().expect("a ratio")
    };
    // The doubled means were written and read as text: the last bit may differ.
    for (what, ratio) in [
        ("import", 1.0),
        ("exact single", 2.0),
        ("exact batch", 2.0),
        ("lsh,tables=2,bits=3 batch recall >= 0.9", 2.0),
    ] {
        assert!((of(what) - ratio).abs() < 1e-9, "{what}: {}", of(what));
    }
    for other in ["{}", "[1]", "{\"schema\":{\"name\":\"vexfs-bench\",\"version\":2}}", "\u{0}"] {
        let run = compare(&scratch.file("other.json", other.as_bytes())).expect(1);
        assert!(run.stderr.contains("other.json"), "{}", run.stderr);
    }
    Tool::BENCH.run().arg("compare").arg(&before).finish().expect(2);
    let plot = scratch.path("again.svg");
    let shown = Tool::BENCH.run().arg("show").arg(&before).arg("--plot").arg(&plot).finish().expect(0);
    assert!(
        shown.text().contains("lsh,tables=2,bits=3") && shown.text().contains("q/s at 0.9"),
        "{}",
        shown.text()
    );
    assert!(fs::read_to_string(&plot).expect("the plot").starts_with("<svg"));
    let shown = Tool::BENCH.run().args(["show", "--json"]).arg(&before).finish().expect(0);
    let (again, first) = (json(&shown), json(&result));
    assert_eq!((&again["schema"], &again["workload"]), (&first["schema"], &first["workload"]));
    assert_eq!(again["searches"].as_array().map(Vec::len), first["searches"].as_array().map(Vec::len));
    Tool::BENCH.run().arg("show").finish().expect(2);
    Tool::BENCH.run().arg("run").arg(&before).finish().expect(2);
}

#[test]
fn wrong_workloads_are_named() {
    let scratch = Scratch::new();
    let run = Tool::BENCH
        .run()
        .arg("run")
        .arg("--train")
        .arg(scratch.npy("train.npy", 2, &[1.0, 2.0]))
        .arg("--test")
        .arg(scratch.npy("test.npy", 3, &[1.0, 2.0, 3.0]))
        .finish()
        .expect(1);
    assert!(run.stderr.contains("test.npy: dimension 3"), "{}", run.stderr);
    let plot = Tool::BENCH.run().args(["run", "--plot", "a.gif"]).finish().expect(2);
    assert!(plot.stderr.contains(".svg or .png"), "{}", plot.stderr);
    let index = Tool::BENCH.run().args(["run", "--index", "tree"]).finish().expect(2);
    assert!(index.stderr.contains("tree"), "{}", index.stderr);
    // Before anything is measured.
    let index =
        Tool::BENCH.run().args(["run", "--index", "flat", "--index", "hnsw,m=1000"]).finish().expect(2);
    assert!(index.stderr.contains("m=1000") && index.stdout.is_empty(), "{}", index.stderr);
    let both = ["run", "--dataset", "a.hdf5", "--train", "b.npy", "--test", "c.npy"];
    Tool::BENCH.run().args(both).finish().expect(2);
    let missing = Tool::BENCH.run().args(["run", "--dataset", "/nowhere.hdf5"]).finish().expect(1);
    assert!(missing.stderr.contains("/nowhere.hdf5"), "{}", missing.stderr);
}
