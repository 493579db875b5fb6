//! The answer is that of brute force in f64, whatever the kind of collection, the number of threads and the way the query came.

mod image;

use half::{bf16, f16};
use image::{Image, Random, npy};
use serde_json::Value;
use tool_tests::Invocation;

const ROWS: usize = 600;
const DIM: usize = 37;
const K: usize = 15;

/// A collection, and the numbers it holds after they became its type.
struct Stored {
    name: String,
    rows: Vec<Vec<f64>>,
}

/// Numbers that are few, so that many distances are equal, and of every kind that the type holds.
fn number(dtype: &str, random: &mut Random) -> f64 {
    match dtype {
        "f32" => f64::from(random.unit()),
        "f16" => f16::from_f32(random.unit() * 9.0).to_f64(),
        "bf16" => bf16::from_f32(random.unit() * 9.0).to_f64(),
        "i8" => (random.next() % 7) as f64 - 3.0,
        "u8" => (random.next() % 256) as f64,
        _ => (random.next() % 2) as f64,
    }
}

/// Imports random rows as f64, which the tool converts without loss.
fn store(image: &Image, dtype: &'static str, metric: &'static str, random: &mut Random) -> Stored {
    let mut rows: Vec<Vec<f64>> =
        (0..ROWS).map(|_| (0..DIM).map(|_| number(dtype, random)).collect()).collect();
    // Equal rows, and a row of zeros, which has no direction.
    for row in (50..ROWS).step_by(50) {
        rows[row] = rows[row - 49].clone();
    }
    rows[7] = vec![0.0; DIM];
    let data: Vec<u8> = rows.iter().flatten().flat_map(|x| x.to_le_bytes()).collect();
    let file = image.scratch.file("rows.npy", npy("<f8", false, &[ROWS, DIM], &data));
    let name = format!("{dtype}-{metric}");
    let import = image.import().args(["-q", "-c", &name, "--dtype", dtype, "--metric", metric]);
    import.arg(file).finish().expect(0);
    Stored { name, rows }
}

/// The nearest `k` of `rows` by the formula of the metric, ties by lower row.
fn brute_force(metric: &str, rows: &[Vec<f64>], query: &[f64], k: usize) -> Vec<(u64, f64)> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let distance = |row: &[f64]| match metric {
        "l2" => row.iter().zip(query).map(|(x, y)| (x - y) * (x - y)).sum(),
        "ip" => -dot(row, query),
        "hamming" => row.iter().zip(query).filter(|(x, y)| x != y).count() as f64,
        _ => match dot(row, row) * dot(query, query) {
            0.0 => 1.0,
            squares => 1.0 - dot(row, query) / squares.sqrt(),
        },
    };
    let mut all: Vec<(u64, f64)> = rows.iter().zip(0..).map(|(row, n)| (n, distance(row))).collect();
    // Rounding in another order may tell equal distances apart.
    let coarse = |x: f64| (x * 1e9).round() + 0.0;
    all.sort_by(|a, b| coarse(a.1).total_cmp(&coarse(b.1)).then(a.0.cmp(&b.0)));
    all.truncate(k);
    all
}

/// The hits of each query in lines of JSON.
fn hits(text: &str) -> Vec<Vec<(u64, f64)>> {
    let hit =
        |hit: &Value| (hit["id"].as_u64().expect("an id"), hit["distance"].as_f64().expect("a distance"));
    let line = |(number, line): (usize, &str)| {
        let line: Value = serde_json::from_str(line).expect("a document");
        assert_eq!(line["query"], number);
        line["hits"].as_array().expect("hits").iter().map(hit).collect()
    };
    text.lines().enumerate().map(line).collect()
}

#[track_caller]
fn assert_same(what: &str, found: &[(u64, f64)], expected: &[(u64, f64)]) {
    let rows = |hits: &[(u64, f64)]| hits.iter().map(|hit| hit.0).collect::<Vec<_>>();
    assert_eq!(rows(found), rows(expected), "{what}: {found:?} is not {expected:?}");
    for (found, expected) in found.iter().zip(expected) {
        let error = (found.1 - expected.1).abs();
        assert!(error <= 1e-9 * expected.1.abs().max(1.0), "{what}: {found:?} is not {expected:?}");
    }
}

fn query(image: &Image, stored: &Stored) -> Invocation {
    image.query().args(["-c", &stored.name, "-k", &K.to_string(), "-o", "jsonl"])
}

#[test]
fn every_kind_of_collection_answers_as_brute_force_does() {
    let image = Image::new(4);
    let mut random = Random(11);
    let kinds = ["f32", "f16", "bf16", "i8", "u8"].into_iter();
    let kinds = kinds.flat_map(|dtype| ["l2", "cosine", "ip"].map(|metric| (dtype, metric)));
    for (dtype, metric) in kinds.chain([("b1", "hamming")]) {
        let stored = store(&image, dtype, metric, &mut random);
        // Queries are numbers of f32, also where the rows are not.
        let queries: Vec<Vec<f32>> = (0..9)
            .map(|n| match n {
                0 => stored.rows[51].iter().map(|&x| x as f32).collect(),
                1 => vec![0.0; DIM],
                _ if dtype == "b1" => (0..DIM).map(|_| (random.next() % 2) as f32).collect(),
                2..5 => (0..DIM).map(|_| number(dtype, &mut random) as f32).collect(),
                _ => random.units(DIM),
            })
            .collect();
        let file = image.scratch.npy("queries.npy", DIM, &queries.concat());
        // All at once, and each alone: few queries are compared in another way than many.
        let run = query(&image, &stored).arg(&file).finish().expect(0);
        let together = hits(run.text());
        assert_eq!(together.len(), queries.len());
        for (n, values) in queries.iter().enumerate() {
            let wide: Vec<f64> = values.iter().map(|&x| f64::from(x)).collect();
            let expected = brute_force(metric, &stored.rows, &wide, K);
            assert_same(&format!("{} query {n}", stored.name), &together[n], &expected);
            let text = values.iter().map(f32::to_string).collect::<Vec<_>>().join(",");
            let run = query(&image, &stored).args(["--vector", &text]).finish().expect(0);
            assert_same(&format!("{} query {n} alone", stored.name), &hits(run.text())[0], &together[n]);
        }
        for threads in ["1", "2", "8"] {
            let again = query(&image, &stored).arg(&file).args(["--threads", threads]).finish().expect(0);
            assert_eq!(again.text(), run.text(), "{} with {threads} threads", stored.name);
        }
        let run = query(&image, &stored).args(["--id", "51"]).finish().expect(0);
        let expected = brute_force(metric, &stored.rows, &stored.rows[51], K);
        assert_same(&format!("{} --id", stored.name), &hits(run.text())[0], &expected);
    }
}

#[test]
fn a_scan_by_several_threads_gives_the_same_answer() {
    // 6 MB of rows and 40 queries: enough that threads take part. Few distances, so that ties decide.
    let image = Image::new(4);
    let mut random = Random(12);
    let values: Vec<u8> = (0..100_000 * 64).map(|_| (random.next() % 3) as u8).collect();
    let file = image.scratch.file("rows.npy", npy("|u1", false, &[100_000, 64], &values));
    image.import().args(["-q", "-c", "many"]).arg(file).finish().expect(0);
    let queries =
        image.scratch.file("queries.npy", npy("|u1", false, &[40, 64], &values[640..40 * 64 + 640]));
    let search = |threads: &str| {
        let run = image.query().args(["-c", "many", "-k", "50", "-o", "csv", "--threads", threads]);
        run.arg(&queries).finish().expect(0).text().to_owned()
    };
    let one = search("1");
    assert_eq!(one.lines().count(), 1 + 40 * 50);
    assert!(one.lines().nth(1) == Some("0,1,10,0"), "{one:.40}");
    for threads in ["2", "3", "8", "10000"] {
        assert!(search(threads) == one, "{threads} threads");
    }
}

#[test]
fn deleted_rows_are_not_found() {
    let image = Image::new(4);
    let mut random = Random(13);
    let stored = store(&image, "f32", "l2", &mut random);
    let wide: Vec<f64> = stored.rows[100].clone();
    let all = brute_force("l2", &stored.rows, &wide, ROWS);
    // Everything near, and the first and last rows.
    let mut deleted: Vec<u64> = all[..200].iter().map(|hit| hit.0).collect();
    deleted.extend([0, 63, 64, ROWS as u64 - 1]);
    image.delete(&stored.name, &deleted);
    let left: Vec<(u64, f64)> = all.into_iter().filter(|hit| !deleted.contains(&hit.0)).collect();
    let text = wide.iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    let run = query(&image, &stored).args(["--vector", &text, "-k", "1000"]).finish();
    // The flag that is given twice is refused; -k comes with `query`.
    assert_eq!(run.code, 2);
    let run = image.query().args(["-c", &stored.name, "-o", "jsonl", "-k", "1000", "--vector", &text]);
    assert_same("what is left", &hits(run.finish().expect(0).text())[0], &left);
    let run = query(&image, &stored).args(["--id", "100"]).finish().expect(1);
    assert!(run.stderr.contains("no row with id 100"), "{}", run.stderr);
    // Rows that come later take no place of theirs.
    let rest: Vec<u64> = (0..ROWS as u64).collect();
    image.delete(&stored.name, &rest);
    let run = query(&image, &stored).args(["--vector", &text]).finish().expect(0);
    assert_eq!(hits(run.text()), [vec![]]);
    image.assert_sound();
}

#[test]
fn packed_bits_are_queries_for_bits() {
    let image = Image::made_by(&["-D", "20", "--dtype", "b1", "--metric", "hamming"], "24M");
    let rows: [[u8; 3]; 4] = [[0, 0, 0], [0xFF, 0xFF, 0x0F], [1, 0, 0], [0xF0, 0, 0x08]];
    let array = |rows: &[[u8; 3]]| npy("|u1", false, &[rows.len(), 3], rows.as_flattened());
    let file = image.scratch.file("rows.npy", array(&rows));
    image.import().arg("-q").arg(file).finish().expect(0);
    let queries = image.scratch.file("queries.npy", array(&[[0, 0, 0], [0xFF, 0xFF, 0x0F]]));
    let run = image.query().args(["-o", "csv"]).arg(&queries).finish().expect(0);
    let expected = "query,rank,id,distance\n0,1,0,0\n0,2,2,1\n0,3,3,5\n0,4,1,20\n1,1,1,0\n1,2,3,15\n1,3,2,19\n1,4,0,20\n";
    assert_eq!(run.text(), expected);
    let run = image.query().args(["-o", "csv", "-k", "1", "--vector"]);
    let run = run.arg("1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0").finish().expect(0);
    assert_eq!(run.text(), "query,rank,id,distance\n0,1,2,0\n");
    // Bits behind the last dimension would count in every distance.
    let beyond = image.scratch.file("beyond.npy", array(&[[0, 0, 0], [0, 0, 0x10]]));
    let run = image.query().arg(beyond).finish().expect(1);
    assert!(run.stderr.contains("query 1") && run.stderr.contains("dimension 20"), "{}", run.stderr);
    let run = image.query().args(["--vector", "1 2"]).finish().expect(1);
    assert!(run.stderr.contains("column 3: 2.0 does not fit b1"), "{}", run.stderr);
}
