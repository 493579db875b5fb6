//! Several collections and several devices searched together: one answer, and the same as that of one device with all rows.

mod image;

use image::{Image, Random};
use serde_json::Value;
use tool_tests::{Finished, Invocation, Tool};

const DIM: usize = 4;
/// Rows of each shard.
const SHARDS: [usize; 3] = [300, 1, 211];

/// Whole numbers from a small range, so that many distances tie.
fn rows(random: &mut Random, count: usize) -> Vec<f32> {
    (0..count * DIM).map(|_| (random.next() % 7) as f32).collect()
}

/// An image whose collection `vectors` holds `rows` with ids from `first_id` on, and payload that tells the id.
fn shard(name: &str, rows: &[f32], first_id: usize) -> Image {
    let image = Image::new(DIM);
    let count = rows.len() / DIM;
    let file = image.scratch.npy(name, DIM, rows);
    let ids: String = (first_id..first_id + count).map(|id| format!("{id}\n")).collect();
    let payload: String = (first_id..first_id + count).map(|id| format!("{{\"n\":{}}}\n", id % 10)).collect();
    let (ids, payload) = (image.scratch.file("ids", ids), image.scratch.file("payload", payload));
    let import = image.import().arg("-q").arg("--ids").arg(ids).arg("--payload").arg(payload);
    import.arg(file).finish().expect(0);
    image
}

/// Three shards, and one image with the rows of all.
fn shards() -> (Vec<Image>, Image) {
    let mut random = Random(7);
    let all = rows(&mut random, SHARDS.iter().sum());
    let mut first = 0;
    let mut shards = Vec::new();
    for count in SHARDS {
        shards.push(shard("rows.npy", &all[first * DIM..(first + count) * DIM], first));
        first += count;
    }
    (shards, shard("all.npy", &all, 0))
}

/// `vexfs-query -d SHARD …`
fn query(shards: &[Image]) -> Invocation {
    shards.iter().fold(Tool::QUERY.run(), |run, image| run.arg("-d").arg(&image.path))
}

/// Ids and distances of each line, without what only an answer of several has.
fn hits(run: &Finished) -> Vec<Vec<(Value, Value)>> {
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("JSON");
        let hits = line["hits"].as_array().expect("hits").iter();
        hits.map(|hit| (hit["id"].clone(), hit["distance"].clone())).collect()
    };
    run.text().lines().map(line).collect()
}

#[test]
fn shards_answer_as_one_device_with_all_rows() {
    let (shards, whole) = shards();
    let mut random = Random(8);
    let queries = whole.scratch.npy("q.npy", DIM, &rows(&mut random, 20));
    for flags in [
        "-k 10",
        "-k 10 --exact",
        "-k 1000",
        "--radius 9",
        "--radius 9 -k 4",
        "-k 7 --filter n<3",
        "-k 9 --threads 1",
        "-k 3 --exact --payload",
    ] {
        let flags = || flags.split(' ').chain(["-o", "jsonl"]);
        let merged = query(&shards).args(flags()).arg(&queries).finish().expect(0);
        let expected = whole.query().args(flags()).arg(&queries).finish().expect(0);
        assert_eq!(hits(&merged), hits(&expected), "{:?}", flags().collect::<Vec<_>>());
    }
    // As an array, and a neighbour says its device.
    let array = |run: Invocation| run.args(["-k", "5", "-o", "npy"]).arg(&queries).finish().expect(0).stdout;
    assert_eq!(array(query(&shards)), array(whole.query()));
    let run = query(&shards).args(["-k", "1", "--id", "300", "-o", "jsonl"]).finish().expect(0);
    let line: Value = serde_json::from_str(run.text().trim()).expect("JSON");
    assert_eq!(line["hits"][0]["device"], *shards[1].path.to_string_lossy(), "{line}");
    assert!(line["hits"][0].get("collection").is_none(), "{line}");
}

#[test]
fn figures_are_those_of_all_and_recall_is_measured_over_all() {
    let (shards, whole) = shards();
    let mut random = Random(9);
    let queries = whole.scratch.npy("q.npy", DIM, &rows(&mut random, 8));
    let truth = whole.query().args(["-k", "6", "--exact", "-o", "npy"]).arg(&queries).finish().expect(0);
    let truth = whole.scratch.file("truth.npy", &truth.stdout);
    let stats = |run: Invocation| -> Value {
        let run =
            run.args(["-q", "-k", "6", "--exact", "--stats", "--ground-truth"]).arg(&truth).arg(&queries);
        let run = run.finish().expect(0);
        serde_json::from_str(run.stderr.lines().last().expect("figures")).expect("JSON")
    };
    let (several, one) = (stats(query(&shards)), stats(whole.query()));
    for figure in ["queries", "k", "threads", "index", "recall", "distance_computations"] {
        assert_eq!(several[figure], one[figure], "{figure}");
    }
    assert_eq!(several["recall"], 1.0);
    // An id that two shards have says nothing about which row is meant.
    let copy = whole.scratch.path("copy.img");
    std::fs::copy(&whole.path, &copy).expect("copied");
    let run =
        whole.query().arg("-d").arg(&copy).args(["-k", "6", "--ground-truth"]).arg(&truth).arg(&queries);
    let run = run.finish().expect(1);
    assert!(run.stderr.contains("more than one of the collections has such an id"), "{}", run.stderr);
    let run = whole.query().arg("-d").arg(&copy).args(["--id", "5"]).finish().expect(1);
    assert!(run.stderr.contains("5 is in ") && run.stderr.contains("copy.img"), "{}", run.stderr);
    let run = whole.query().arg("-d").arg(&copy).args(["--id", "777"]).finish().expect(1);
    assert!(run.stderr.contains("777 is in none of the collections"), "{}", run.stderr);
}

#[test]
fn collections_of_a_device_answer_together_and_each_hit_says_its_own() {
    let image = Image::new(1);
    for (name, rows) in [("/a", [0.0, 2.0, 4.0]), ("b", [2.0, 1.0, 9.0])] {
        let file = image.scratch.npy("x.npy", 1, &rows);
        image.import().args(["-q", "-c", name]).arg(file).finish().expect(0);
    }
    let both = || image.query().args(["-c", "/a", "-c", "b", "--vector", "2", "-k", "4"]);
    let run = both().args(["-o", "jsonl"]).finish().expect(0);
    assert_eq!(
        run.text(),
        "{\"query\":0,\"hits\":[{\"id\":1,\"distance\":0.0,\"collection\":\"/a\"},\
         {\"id\":0,\"distance\":0.0,\"collection\":\"b\"},{\"id\":1,\"distance\":1.0,\"collection\":\"b\"},\
         {\"id\":0,\"distance\":4.0,\"collection\":\"/a\"}],\"exact\":true}\n"
    );
    let run = both().args(["-o", "csv"]).finish().expect(0);
    assert!(
        run.text().starts_with("query,rank,id,distance,collection\n0,1,1,0,/a\n0,2,0,0,b\n"),
        "{}",
        run.text()
    );
    let run = both().finish().expect(0);
    assert!(run.text().lines().next().is_some_and(|line| line.contains("collection")), "{}", run.text());
    let run = both().args(["-o", "npy"]).finish().expect(2);
    assert!(run.stderr.contains("in which collection"), "{}", run.stderr);
    // Payload of one of them only: the rows of the other have none, and a filter sees that.
    let payload = image.scratch.file("payload", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
    let file = image.scratch.npy("x.npy", 1, &[2.0, 2.0, 2.0]);
    image.import().args(["-q", "-c", "b", "--payload"]).arg(payload).arg(file).finish().expect(0);
    let ids = |filter: &str| {
        let run = both().args(["-o", "jsonl", "--filter", filter]).finish().expect(0);
        hits(&run)[0].iter().map(|(id, _)| id.as_u64().expect("an id")).collect::<Vec<_>>()
    };
    assert_eq!(ids("n >= 2"), [4, 5]);
    assert_eq!(ids("n IS NULL"), [1, 0, 1, 0]);
}

#[test]
fn what_cannot_be_compared_or_is_named_twice_is_refused_with_its_name() {
    let (one, other) = (Image::new(1), Image::new(2));
    let (first, second) = (one.path.display().to_string(), other.path.display().to_string());
    let several = |flags: &[&str], code: i32| {
        let run = one.query().args(flags).args(["--vector", "1"]).finish().expect(code);
        run.stderr.clone()
    };
    let told = several(&["-d", &second], 1);
    assert!(
        told.contains(&format!("{first} has dimension 1 and {second} 2: they cannot be searched together")),
        "{told}"
    );
    for (flags, what) in [(["--dtype", "f16"], "element type f32"), (["--metric", "cosine"], "metric l2")] {
        let like = Image::made_by(&[&["-D", "1"][..], &flags].concat(), "24M");
        let told = several(&["-d", &like.path.display().to_string()], 1);
        assert!(told.contains(what) && told.contains("cannot be searched together"), "{told}");
    }
    assert!(several(&["-d", &first], 2).contains("is named twice"));
    assert!(several(&["-c", "vectors", "-c", "/vectors"], 2).contains("collection /vectors is named twice"));
    assert!(several(&["-d", &second, "--offset", "0"], 2).contains("DEV?offset=N"));
    // A device that is none is named, wherever it stands.
    let none = one.scratch.image("none.img", 1 << 20).display().to_string();
    assert!(several(&["-d", &none], 1).contains(&none));
    assert!(several(&["-d", "/no/such/device"], 1).contains("/no/such/device"));
    assert!(several(&["-c", "vectors", "-c", "nothing"], 1).contains("nothing"));
}

#[test]
fn a_damaged_shard_is_named_and_the_others_answer() {
    let (shards, _) = shards();
    // Rows of the third shard, and the checksums that could save them, are overwritten.
    let rows = shards[2].rows("vectors");
    let mut bytes = std::fs::read(&shards[2].path).expect("the image");
    let at = bytes.windows(rows.len()).position(|window| window == rows).expect("the rows");
    bytes[at + 40] ^= 0xFF;
    std::fs::write(&shards[2].path, bytes).expect("written");
    let run = query(&shards).args(["--vector", "1,1,1,1", "-k", "600", "-o", "jsonl"]).finish().expect(1);
    assert_eq!(hits(&run)[0].len(), SHARDS.iter().sum::<usize>() - 1);
    assert!(run.stderr.contains("row 2 of ") && run.stderr.contains("1 row is damaged"), "{}", run.stderr);
    assert!(run.stderr.contains(&shards[2].path.display().to_string()), "{}", run.stderr);
}
