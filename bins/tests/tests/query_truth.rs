//! Recall against a ground truth, and the figures of `--stats`.

mod image;

use image::{Image, Random, npy};
use serde_json::Value;
use tool_tests::Finished;

/// Twenty points on a line, two at each place, and queries at 0 and 9.
fn line() -> Image {
    let image = Image::new(1);
    let points: Vec<f32> = (0..20).map(|n| (n / 2) as f32).collect();
    let file = image.scratch.npy("points.npy", 1, &points);
    image.import().arg("-q").arg(file).finish().expect(0);
    image.scratch.npy("q.npy", 1, &[0.0, 9.0]);
    image
}

fn compare(image: &Image, k: &str, truth: &[u8]) -> Finished {
    let truth = image.scratch.file("truth.npy", truth);
    let run = image.query().args(["-k", k, "-o", "csv", "--stats"]).arg(image.scratch.path("q.npy"));
    run.arg("--ground-truth").arg(truth).finish()
}

fn recall(run: &Finished) -> f64 {
    stats(run)["recall"].as_f64().expect("a recall")
}

/// The line of figures on standard error.
fn stats(run: &Finished) -> Value {
    let line = run.stderr.lines().last().unwrap_or_default();
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {}", run.stderr))
}

fn array<const K: usize>(rows: &[[i32; K]]) -> Vec<u8> {
    let data: Vec<u8> = rows.as_flattened().iter().flat_map(|id| id.to_le_bytes()).collect();
    npy("<i4", false, &[rows.len(), K], &data)
}

#[test]
fn found_are_those_as_near_as_the_true_kth() {
    let image = line();
    // The answer to the first query is 0, 1, 2, to the second 18, 19, 16.
    for (truth, expected) in [
        ([[0, 1, 2], [18, 19, 16]], 1.0),
        // 3 is as near as 2: whichever of them was found counts.
        ([[1, 0, 3], [19, 18, 17]], 1.0),
        // A truth whose last is nearer than the last found: 2 of 3 found are as near.
        ([[5, 4, 1], [18, 19, 16]], 5.0 / 6.0),
        ([[0, 1, 1], [18, 19, 19]], 4.0 / 6.0),
    ] {
        let run = compare(&image, "3", &array(&truth)).expect(0);
        assert!((recall(&run) - expected).abs() < 1e-12, "{truth:?}: {}", run.stderr);
        assert!(
            run.text().starts_with("query,rank,id,distance\n0,1,0,0\n0,2,1,0\n0,3,2,1\n"),
            "{}",
            run.text()
        );
    }
    // Only the first k neighbours of a longer truth count, and rows behind the queries are not asked.
    let run = compare(&image, "2", &array(&[[0, 1, 9], [18, 19, 9], [3, 3, 3]])).expect(0);
    assert!((recall(&run) - 1.0).abs() < 1e-12);
    let run = image.query().args(["-k", "2", "-o", "csv"]).arg(image.scratch.path("q.npy"));
    let run = run.arg("--ground-truth").arg(image.scratch.path("truth.npy")).finish().expect(0);
    assert_eq!(run.stderr, "recall@2: 1.0000\n");
}

#[test]
fn a_truth_that_does_not_fit_is_refused() {
    let image = line();
    let floats = npy("<f4", false, &[2, 3], &[0; 24]);
    for (truth, problem) in [
        (array(&[[0, 1], [18, 19]]), "truth.npy: has 2 neighbours for each query, and -k asks for 3"),
        (array(&[[0, 1, 2]]), "truth.npy: has the neighbours of 1 queries, and there are more"),
        (
            array(&[[0, 1, 2], [18, 19, 20]]),
            "truth.npy: query 1 has the neighbour 20, which the collection has not",
        ),
        (array(&[[0, 1, 2], [18, 19, -1]]), "truth.npy: row 1, column 2: -1 is negative"),
        (floats, "truth.npy: elements are float32, expected an integer type"),
        (b"0 1 2\n".to_vec(), "truth.npy: "),
    ] {
        let run = compare(&image, "3", &truth).expect(1);
        assert!(run.stderr.contains(problem), "{problem}: {}", run.stderr);
    }
    let run = image.query().args(["--vector", "1", "--ground-truth", "/no/such"]).finish().expect(1);
    assert!(run.stderr.contains("/no/such: no such file"), "{}", run.stderr);
    image.delete("vectors", &[2]);
    let run = compare(&image, "3", &array(&[[0, 1, 2], [18, 19, 16]])).expect(1);
    assert!(run.stderr.contains("has the neighbour 2, which the collection has not"), "{}", run.stderr);
}

#[test]
fn a_truth_names_rows_by_their_ids() {
    let image = line();
    let ids: String = (0..20).map(|n| format!("{}\n", 1000 - n)).collect();
    let ids = image.scratch.file("ids", ids);
    let import = image.import().args(["-q", "-c", "named"]).arg(image.scratch.path("points.npy"));
    import.arg("--ids").arg(ids).finish().expect(0);
    let compare = |truth: &[[i32; 2]]| {
        let truth = image.scratch.file("truth.npy", array(truth));
        let run = image.query().args(["-c", "named", "-k", "2", "-o", "csv", "--stats"]);
        run.arg(image.scratch.path("q.npy")).arg("--ground-truth").arg(truth).finish()
    };
    let run = compare(&[[1000, 999], [982, 981]]).expect(0);
    assert!((recall(&run) - 1.0).abs() < 1e-12);
    assert!(run.text().contains("\n0,1,1000,0\n"), "{}", run.text());
    let run = compare(&[[1000, 999], [982, 7]]).expect(1);
    assert!(run.stderr.contains("query 1 has the neighbour 7"), "{}", run.stderr);
}

#[test]
fn bits_and_cosines_are_compared_as_they_are_searched() {
    let image = Image::new(1);
    let mut random = Random(21);
    let bytes: Vec<u8> = (0..500 * 6).map(|_| random.next() as u8).collect();
    let bits = image.scratch.file("bits.npy", npy("|u1", false, &[500, 6], &bytes));
    image.import().args(["-q", "-c", "bits", "--dtype", "b1"]).arg(&bits).finish().expect(0);
    let floats = image.scratch.npy("floats.npy", 6, &random.units(3000));
    image.import().args(["-q", "-c", "angles", "--metric", "cosine"]).arg(&floats).finish().expect(0);
    for (collection, queries) in [("bits", bits), ("angles", floats)] {
        // The answer of the tool is a ground truth for itself, whatever the number of threads.
        let search = || image.query().args(["-c", collection, "-k", "20"]).arg(&queries);
        let answer = search().args(["-o", "npy"]).finish().expect(0).stdout;
        let truth = image.scratch.file("truth.npy", answer);
        let run = search().args(["--stats", "--threads", "2", "-o", "npy", "--ground-truth"]).arg(truth);
        assert!((recall(&run.finish().expect(0)) - 1.0).abs() < 1e-12, "{collection}");
    }
}

#[test]
fn figures_are_a_line_of_json() {
    let image = line();
    let run = image.query().args(["-k", "3", "-q", "--stats", "--threads", "2", "--exact", "-o", "csv"]);
    let run = run.arg(image.scratch.path("q.npy")).finish().expect(0);
    assert_eq!(run.stderr.lines().count(), 1);
    let figures = stats(&run);
    let mut keys: Vec<&str> = figures.as_object().expect("an object").keys().map(String::as_str).collect();
    keys.sort_unstable();
    let expected = [
        "blocks_read",
        "distance_computations",
        "index",
        "k",
        "p50_us",
        "p99_us",
        "qps",
        "queries",
        "schema",
        "seconds",
        "threads",
    ];
    assert_eq!(keys, expected);
    assert_eq!((&figures["queries"], &figures["k"], &figures["threads"]), (&2.into(), &3.into(), &2.into()));
    assert_eq!((&figures["distance_computations"], &figures["index"]), (&40.into(), &"flat".into()));
    assert_eq!(figures["blocks_read"], 1);
    let (seconds, qps) =
        (figures["seconds"].as_f64().expect("a number"), figures["qps"].as_f64().expect("a number"));
    assert!(seconds > 0.0 && (qps * seconds - 2.0).abs() < 1e-6, "{figures}");
    image.delete("vectors", &[0, 1, 2]);
    let run = image.query().args(["--stats", "--vector", "3"]).finish().expect(0);
    assert_eq!(stats(&run)["distance_computations"], 17);
}
