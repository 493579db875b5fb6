//! Payload beside the vectors, from its import to the filters that choose rows by it.

mod image;

use std::collections::HashSet;

use image::{Image, Random};
use serde_json::{Value, json};
use tool_tests::Finished;

const DIM: usize = 16;
const ROWS: usize = 2000;
const KINDS: [&str; 6] = ["flat", "hnsw", "ivf", "pq", "ivf-pq", "lsh"];

fn json_lines(run: &Finished) -> Vec<Value> {
    run.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// An image with a collection of one dimension and a file of three rows.
fn small() -> Image {
    let image = Image::new(1);
    image.scratch.npy("3.npy", 1, &[1.0, 2.0, 3.0]);
    image
}

#[test]
fn payload_comes_back_as_it_was_given_and_stays_with_its_row() {
    let image = small();
    let three = image.scratch.path("3.npy");
    let text = "{\"n\": 1.0, \"big\": 12345678901234567890123}\n  {\"s\":\"a,\\\"b\\\" \\u00e4\"}\r\nnull\n";
    let payload = image.scratch.file("payload", text);
    // Rows from before the first payload have none.
    image.import().arg("-q").arg(&three).finish().expect(0);
    image.import().arg("-q").arg(&three).arg("--payload").arg(&payload).finish().expect(0);
    let query = |id: &str, form: &str| {
        image.query().args(["-k", "1", "--payload", "--id", id, "-o", form]).finish().expect(0)
    };
    let hits = "{\"query\":0,\"hits\":[{\"id\":3,\"distance\":0.0,\"payload\":{\"n\": 1.0, \"big\": 12345678901234567890123}}],\"exact\":true}\n";
    let of = |filter: &str, id: &str| {
        let run = image.query().args(["-k", "9", "--payload", "--id", id, "-o", "jsonl", "--filter", filter]);
        run.finish().expect(0).text().to_owned()
    };
    assert_eq!(of("n = 1", "3"), hits);
    assert!(query("0", "jsonl").text().contains("\"payload\":null"));
    let csv = of("s LIKE 'a,%'", "4");
    assert!(csv.contains("\"payload\":{\"s\":\"a,\\\"b\\\" \\u00e4\"}"), "{csv}");
    let csv = image.query().args(["-k", "1", "--payload", "--id", "4", "-o", "csv", "--filter", "EXISTS s"]);
    let csv = csv.finish().expect(0);
    assert_eq!(
        csv.text(),
        "query,rank,id,distance,payload\n0,1,4,0,\"{\"\"s\"\":\"\"a,\\\"\"b\\\"\" \\u00e4\"\"}\"\n"
    );
    let get = image.dump().args(["--json", "get", "3"]).finish().expect(0);
    assert!(get.text().contains("12345678901234567890123"), "{}", get.text());
    assert_eq!(image.dump().args(["get", "4"]).finish().expect(0).text().lines().count(), 2);
    // An upsert keeps the payload unless it brings one; a compaction keeps all.
    let ids = image.scratch.file("ids", "3\n9\n4\n");
    let upsert = || image.import().args(["-q", "--mode", "upsert", "--ids"]).arg(&ids).arg(&three);
    upsert().finish().expect(0);
    let told = |id: &str| {
        let get = image.dump().args(["--json", "get", id]).finish().expect(0);
        serde_json::from_str::<Value>(get.text()).expect("JSON")["payload"].clone()
    };
    assert_eq!(
        (told("4")["s"].clone(), told("9"), told("3")["n"].clone()),
        (json!("a,\"b\" ä"), json!(null), json!(1.0))
    );
    image.assert_sound();
    image.tune().args(["-q", "--compact"]).finish().expect(0);
    assert_eq!(
        (told("4")["s"].clone(), told("9"), told("0")),
        (json!("a,\"b\" ä"), json!(null), json!(null))
    );
    let other = image.scratch.file("other", "{\"s\": 1}\n{}\nnull\n");
    upsert().arg("--payload").arg(other).finish().expect(0);
    assert_eq!((told("3"), told("9"), told("4")), (json!({"s": 1}), json!({}), json!(null)));
    image.assert_sound();
}

#[test]
fn payload_that_does_not_fit_is_refused_and_named() {
    let image = small();
    let three = image.scratch.path("3.npy");
    for (text, problem) in [
        ("{}\n{}\n", "payload: has 2 lines, and there are more rows than that"),
        ("{}\n{}\n{}\n{}\n", "payload: has more lines than there are rows (3)"),
        ("{}\n{\"a\": }\n{}\n", "payload: line 2: found no JSON in column 7"),
        ("{}\n{}\n[1]\n", "payload: line 3: found `[1]`, expected a JSON object"),
    ] {
        let payload = image.scratch.file("payload", text);
        let run = image.import().arg(&three).arg("--payload").arg(payload).finish().expect(1);
        assert!(run.stderr.contains(problem), "{problem}: {}", run.stderr);
        assert!(image.identities("vectors").is_empty(), "{problem}");
    }
    image.import().arg("-q").arg(&three).finish().expect(0);
    for flags in [&["--payload"][..], &["--filter", "a = 1"]] {
        let run = image.query().args(["--vector", "1"]).args(flags).finish().expect(1);
        assert!(run.stderr.contains("its rows have no payload"), "{}", run.stderr);
    }
    let run = image.query().args(["--vector", "1", "--filter", "year >= AND x"]).finish().expect(2);
    assert!(run.stderr.contains("\n    year >= AND x\n            ^"), "{}", run.stderr);
    image.assert_sound();
}

#[test]
fn a_payload_of_a_megabyte_in_a_row_is_kept_within_little_memory() {
    let image = small();
    let long = format!("{{\"text\":\"{}\",\"n\":7}}", "ä".repeat(500_000));
    let payload = image.scratch.file("payload", format!("{long}\n{{\"n\":8}}\n{long}\n"));
    let run = image.import().args(["-q", "--memory", "1M", "--payload"]).arg(payload);
    run.arg(image.scratch.path("3.npy")).finish().expect(0);
    let run = image.query().args(["--vector", "2", "--filter", "n = 7", "-o", "jsonl", "--payload"]);
    let found = json_lines(&run.finish().expect(0));
    assert_eq!(found[0]["hits"].as_array().expect("hits").len(), 2);
    assert_eq!(found[0]["hits"][0]["payload"]["text"].as_str().expect("a text").len(), 1_000_000);
    image.assert_sound();
}

#[test]
fn every_kind_of_index_finds_what_matches_whenever_it_is_there() {
    let image = Image::made_by(&["-D", "16", "-U", "76657866-7320-4d6f-8465-73742d696478"], "64M");
    let values = Random(1).units(DIM * ROWS);
    let rows = image.scratch.npy("rows.npy", DIM, &values);
    let line = |n: usize| {
        format!("{{\"n\":{n},\"at\":{{\"part\":{}}},\"lang\":\"{}\"}}\n", n * 617 % 1000, ["de", "en"][n % 2])
    };
    let payload = image.scratch.file("payload", (0..ROWS).map(line).collect::<String>());
    let kinds = KINDS.iter().flat_map(|kind| ["--index", *kind]);
    image.import().arg("-q").args(kinds).arg("--payload").arg(payload).arg(rows).finish().expect(0);
    image.delete("vectors", &[1, 2, 3]);
    let queries = Random(2).units(DIM * 20);
    let file = image.scratch.npy("q.npy", DIM, &queries);
    type Matches = fn(usize) -> bool;
    let filters: [(&str, Matches); 6] = [
        ("lang = 'de'", |n| n % 2 == 0),
        ("at.part < 100", |n| n * 617 % 1000 < 100),
        ("at.part IN (1, 2, 3, 4, 5, 6, 7, 8, 9, 10)", |n| (1..=10).contains(&(n * 617 % 1000))),
        ("at.part = 5", |n| n * 617 % 1000 == 5),
        ("n = 1", |_| false),
        ("NOT lang = 'de' AND n >= 1000", |n| n % 2 == 1 && n >= 1000),
    ];
    for (filter, matches) in filters {
        let live: Vec<usize> = (0..ROWS).filter(|&n| matches(n) && !(1..=3).contains(&n)).collect();
        let distance = |query: &[f32], n: usize| -> f64 {
            let row = &values[n * DIM..][..DIM];
            query.iter().zip(row).map(|(&a, &b)| (f64::from(a) - f64::from(b)).powi(2)).sum()
        };
        let truth: Vec<HashSet<u64>> = queries
            .chunks(DIM)
            .map(|query| {
                let mut all = live.clone();
                all.sort_by(|&a, &b| distance(query, a).total_cmp(&distance(query, b)));
                all.into_iter().take(10).map(|n| n as u64).collect()
            })
            .collect();
        for index in ["exact"].iter().chain(&KINDS) {
            let run = image.query().args(["-q", "-o", "jsonl", "--filter", filter]);
            let run = if *index == "exact" { run.arg("--exact") } else { run.args(["--index", index]) };
            let found = json_lines(&run.arg(&file).finish().expect(0));
            let mut right = 0;
            for (line, truth) in found.iter().zip(&truth) {
                let hits = line["hits"].as_array().expect("hits");
                assert_eq!(hits.len(), live.len().min(10), "{index}, {filter}");
                let ids: Vec<u64> = hits.iter().map(|hit| hit["id"].as_u64().expect("an id")).collect();
                assert!(ids.iter().all(|&id| live.contains(&(id as usize))), "{index}, {filter}: {ids:?}");
                right += ids.iter().filter(|id| truth.contains(id)).count();
            }
            let all: usize = truth.iter().map(HashSet::len).sum();
            let floor = if *index == "exact" { all } else { all * 9 / 10 };
            assert!(right >= floor, "{index}, {filter}: {right} of {all} are found");
        }
    }
    // An index that would take longer than comparing the few that match is there all the same.
    for index in KINDS {
        let run = image.query().args(["-o", "jsonl", "--filter", "at.part = 5", "--index", index]).arg(&file);
        assert_eq!(run.finish().expect(0).stderr, "", "{index}");
    }
}
