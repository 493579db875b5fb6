//! Tables: CSV, JSON lines and Parquet, whose columns are vectors, names and payload.

mod image;
mod python;

use std::path::{Path, PathBuf};

use image::Image;
use serde_json::Value;

const TABLE: &str = "id,title,x0,x1,year\n70,\"a, b\",1,2,1999\n8,1984,3,4,\n9,c,5,6,2020\n";

fn hits(image: &Image, flags: &[&str]) -> Vec<Value> {
    let run = image.query().args(["-o", "jsonl", "--payload"]).args(flags).finish().expect(0);
    let answer: Value = serde_json::from_str(run.text().lines().next().expect("a line")).expect("JSON");
    answer["hits"].as_array().expect("hits").clone()
}

#[test]
fn columns_become_ids_keys_and_payload() {
    let image = Image::new(2);
    let table = image.scratch.file("items.csv", TABLE);
    image.import().args(["-q", "-c", "ids", "--ids", "id"]).arg(&table).finish().expect(0);
    let found = hits(&image, &["-c", "ids", "--vector", "1,2", "--filter", "year < 2000"]);
    assert_eq!((found.len(), &found[0]["id"]), (1, &Value::from(70)));
    assert_eq!(found[0]["payload"].to_string(), r#"{"title":"a, b","year":1999}"#);
    image.import().args(["-q", "-c", "keys", "--keys", "title"]).arg(&table).finish().expect(0);
    let found = hits(&image, &["-c", "keys", "--id", "1984", "-k", "1"]);
    assert_eq!((&found[0]["id"], &found[0]["payload"]["id"]), (&Value::from("1984"), &Value::from(8)));
    // A file of payload takes the place of the columns; a file is looked for where there is no such column.
    let (ids, payload) =
        (image.scratch.file("5.txt", "1\n2\n3\n"), image.scratch.file("p", "{\"a\":1}\n{}\nnull\n"));
    let import = image.import().args(["-q", "-c", "files", "--ids"]).arg(ids).arg("--payload").arg(payload);
    import.arg(&table).finish().expect(0);
    let found = hits(&image, &["-c", "files", "--vector", "1,2", "-k", "1"]);
    assert_eq!(found[0].to_string(), r#"{"distance":0.0,"id":1,"payload":{"a":1}}"#);
    let run = image.import().args(["-c", "no", "--ids", "name"]).arg(&table).finish().expect(1);
    assert!(run.stderr.contains("nor do all files of vectors have a column"), "{}", run.stderr);
    image.assert_sound();
}

#[test]
fn several_tables_and_standard_input_go_into_one_collection() {
    let image = Image::new(2);
    let first = image.scratch.file("a.csv", TABLE);
    let lines = "{\"id\": 1, \"vector\": [7, 8], \"title\": \"d\"}\n{\"id\": 2, \"embedding\": [0], \"vector\": [9, 9]}\n";
    let run = image.import().args(["-q", "--format", "jsonl", "--ids", "id", "-"]).input(lines.as_bytes());
    run.finish().expect(0);
    let import = || image.import().args(["-q", "--ids", "id"]);
    import().arg(&first).finish().expect(0);
    let run = import().args(["--format", "csv", "-"]).input(&b"title,id,x_1,x_2\ne,3,1,1\n"[..]);
    run.finish().expect(0);
    let found = hits(&image, &["--vector", "9,9", "-k", "10"]);
    assert_eq!(found.len(), 6);
    assert_eq!(
        found[0].to_string(),
        r#"{"distance":0.0,"id":2,"payload":{"embedding": [0]}}"#.replace(": [", ":[")
    );
    // An id that is taken is named with its row, and nothing of the table is there then.
    let run = import().arg(&first).finish().expect(1);
    assert!(
        run.stderr.contains("a.csv: row 0: column `id`: id 70 is taken by row 2 of the"),
        "{}",
        run.stderr
    );
    assert_eq!(hits(&image, &["--vector", "9,9", "-k", "10"]).len(), 6);
    // An upsert replaces vectors and payload.
    let again = image.scratch.file("b.csv", "id,x0,x1,year\n70,9,9,5\n");
    import().args(["--mode", "upsert"]).arg(again).finish().expect(0);
    assert_eq!(hits(&image, &["--id", "70", "-k", "9", "--filter", "year = 5"])[0]["payload"]["year"], 5);
    // Queries may be a table, too.
    let run = image.query().args(["-k", "1", "-o", "csv"]).arg(&first).finish().expect(0);
    assert_eq!(run.text().lines().count(), 4, "{}", run.text());
    image.assert_sound();
}

#[test]
fn tables_that_cannot_be_read_are_named_and_leave_nothing() {
    let image = Image::new(2);
    for (name, text, problem) in [
        ("no.csv", "a,b\n1,2\n", "no.csv: name the column of the vectors, as FILE:COLUMN; a, b"),
        ("cut.csv", "id,vector\n1,\"[1,2]\"\n2,\"[3", "cut.csv: line 3: column `vector`"),
        ("nested.csv", "id,vector\n1,\"[[1],2]\"\n", "nested.csv: line 2: column `vector`: found"),
        ("id.csv", "id,vector\n1,1 2\nx,3 4\n", "line 3: column `id`: found `x`, expected a whole number"),
        ("empty.csv", "id,vector\n1,1 2\n,3 4\n", "empty.csv: line 3: column `id`: found ``"),
        ("twice.csv", "id,a,a,vector\n1,2,3,1 2\n", "line 1: column `a`: found a second column of that name"),
        ("far.csv", "id,vector,n\n1,1 2,3\n2,3 4,1e999\n", "far.csv: line 3: column `n`: found `1e999`"),
        (
            "same.csv",
            "id,vector\n7,1 2\n7,3 4\n",
            "row 1: column `id`: id 7 is given twice, first in row 0 of",
        ),
        (
            "nan.jsonl",
            "{\"id\":1,\"vector\":[1,2]}\n{\"id\":2,\"vector\":[1,1e999]}\n",
            "line 2, column 21: 1e999 does not fit",
        ),
        (
            "no.jsonl",
            "{\"id\":1,\"vector\":[1,2]}\n{\"vector\":[1,2]}\n",
            "line 2, column 1: found no member `id`",
        ),
        ("id.jsonl", "{\"id\":1,\"vector\":[1,2]}\n{\"id\":{},\"vector\":[1,2]}\n", "found `{}` in `id`"),
        (
            "null.jsonl",
            "{\"id\":null,\"vector\":[1,2]}\n",
            "null.jsonl: line 1, column 1: found `null` in `id`",
        ),
        (
            "hole.jsonl",
            "{\"id\":1,\"vector\":[1,2]}\n{\"id\":2,\"vector\":null}\n",
            "hole.jsonl: line 2, column 18: found",
        ),
        ("lists.jsonl", "{\"id\":1,\"vector\":[[1],[2]]}\n", "lists.jsonl: line 1, column 19: found `[`"),
        (
            "twice.jsonl",
            "{\"id\":1,\"vector\":[1,2],\"a\":1,\"a\":2}\n",
            "column `a`: found a second value of that name",
        ),
        (
            "far.jsonl",
            "{\"id\":1,\"vector\":[1,2],\"a\":[-1e999]}\n",
            "column `a`: found `[-1e999]` (number out of range)",
        ),
    ] {
        let file = image.scratch.file(name, text);
        let run = image.import().args(["-c", "new", "--ids", "id"]).arg(&file).finish().expect(1);
        assert!(run.stderr.contains(problem) && run.stderr.contains(name), "{name}: {}", run.stderr);
        assert!(!image.has("new"), "{name}");
    }
    image.assert_sound();
}

/// A Parquet file that pyarrow has written.
fn parquet(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/fuzz/parquet").join(name)
}

#[test]
fn exports_give_back_what_tables_brought() {
    let image = Image::new(2);
    let export = |collection: &str, file: &str, flags: &[&str]| {
        let path = image.scratch.path(file);
        image.dump().args(["-q", "export", "-c", collection, "-o"]).arg(&path).args(flags).finish().expect(0);
        path
    };
    let text = |path: PathBuf| std::fs::read_to_string(path).expect("a text");
    let csv = image.scratch.file("items.csv", TABLE);
    for (name, file, flags, expected) in [
        ("csv", &csv, ["--keys", "title"], r#"{"key":"a, b","vector":[1,2],"id":70,"year":1999}"#),
        ("words", &parquet("words.parquet"), ["--ids", "id"], r#"{"id":0,"vector":[0,3,6],"word":"a"}"#),
        (
            "times",
            &parquet("times.parquet"),
            ["--ids", "id"],
            r#"{"id":0,"vector":[0,3,6],"day":"1970-01-01","time":"1970-01-01T00:00:00Z"}"#,
        ),
    ] {
        image.import().args(["-q", "-c", name]).args(flags).arg(file).finish().expect(0);
        let lines = export(name, "lines.jsonl", &[]);
        let first = text(lines.clone());
        assert_eq!(first.lines().next(), Some(expected), "{name}");
        let again = format!("{name}-again");
        let column = if flags[0] == "--ids" { "id" } else { "key" };
        image.import().args(["-q", "-c", &again, flags[0], column]).arg(lines).finish().expect(0);
        assert_eq!(text(export(&again, "again.jsonl", &[])), first, "{name}");
        // Rows, names and payload in a file each.
        let (names, payload) = (image.scratch.path("names"), image.scratch.path("payload"));
        let beside = ["--ids", names.to_str().expect("UTF-8"), "--payload", payload.to_str().expect("UTF-8")];
        let rows = export(name, "rows.npy", &beside);
        let apart = format!("{name}-apart");
        let import =
            image.import().args(["-q", "-c", &apart, flags[0]]).arg(&names).arg("--payload").arg(&payload);
        import.arg(rows).finish().expect(0);
        assert_eq!(text(export(&apart, "again.jsonl", &[])), first, "{name}");
        // What has a file of its own is not said twice.
        let bare = text(export(name, "bare.jsonl", &beside[2..]));
        assert!(!bare.contains("\"a\"") && !bare.contains("year") && !bare.contains("day"), "{bare}");
    }
    assert_eq!(
        text(export("words", "words.jsonl", &[])).lines().nth(1),
        Some(r#"{"id":1,"vector":[9,12,15]}"#)
    );
    let own = image.scratch.file("own.jsonl", "{\"vector\":[1,2],\"key\":1,\"a\":\"b\"}\n");
    image.import().args(["-q", "-c", "own", "--keys", "a"]).arg(own).finish().expect(0);
    let file = image.scratch.path("own");
    let run = image.dump().args(["export", "-c", "own", "-o"]).arg(file.with_extension("jsonl")).finish();
    let run = run.expect(1);
    assert!(
        run.stderr.contains("the payload of key b has a member `key`, as the row has itself"),
        "{}",
        run.stderr
    );
    image.assert_sound();
}

#[test]
fn columns_of_pyarrow_are_stored_named_or_refused() {
    let Some(python) = python::with("numpy, pyarrow.parquet") else { return };
    let image = Image::new(2);
    let folder = image.scratch.path("p");
    std::fs::create_dir_all(&folder).expect("a folder");
    python.run(
        "import sys, pyarrow as pa, pyarrow.parquet as pq
def write(name, **columns):
    columns = {'vec': pa.array([[1.0, 2.0], [3.0, 4.0]], type=pa.list_(pa.float32())), **columns}
    pq.write_table(pa.table(list(columns.values()), names=[c.rstrip('_') for c in columns]), f'{sys.argv[1]}/{name}.parquet')
write('good', id=pa.array([7, 9]), n=pa.array([1.5, float('nan')]), tags=pa.array([['a'], []]), s=pa.array([{'x': 1, 'y': 2}] * 2))
write('null', id=pa.array([7, None]))
write('far', id=pa.array([7, 9]), n=pa.array([1.5, float('inf')]))
write('twice', id=pa.array([7, 9]), n=pa.array([1, 2]), n_=pa.array([3, 4]))
write('word', id=pa.array(['7', 'x']))
write('list', id=pa.array([[1, 2], [3, 4]]))
",
        &[&folder],
    );
    let import = |name: &str| {
        let file = format!("{}:vec", folder.join(name).with_extension("parquet").display());
        image.import().args(["-q", "-c", "new", "--ids", "id", &file]).finish()
    };
    for (name, problem) in [
        ("null", "row 1: column `id`: found nothing, expected the name of the row"),
        ("far", "row 1: column `n`: found `inf`"),
        ("twice", "column `n`: found a second column of that name"),
        ("word", "row 1: column `id`: found `x`, expected a whole number"),
        ("list", "nor do all files of vectors have a column of that name"),
    ] {
        let run = import(name).expect(1);
        assert!(run.stderr.contains(problem), "{name}: {}", run.stderr);
        assert!(!image.has("new"), "{name}");
    }
    let run = import("good").expect(0);
    assert!(
        run.stderr.contains("payload is made of columns of single values, not of tags, s"),
        "{}",
        run.stderr
    );
    let found = hits(&image, &["-c", "new", "--vector", "1,2"]);
    let payload = |at: usize| found[at]["payload"].to_string();
    assert_eq!((payload(0), payload(1)), ("{\"n\":1.5}".to_owned(), "null".to_owned()));
    image.assert_sound();
}
