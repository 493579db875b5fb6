//! Imports in steps: killed anywhere, they go on; what has changed meanwhile is refused; what has a fault leaves nothing.

mod image;

use std::fs::{File, FileTimes};
use std::path::Path;
use std::time::Duration;

use image::{Image, Random, f32_bytes};
use serde_json::Value;
use tool_tests::Invocation;

const DIM: usize = 16;
const ROWS: usize = 10_000;
/// Bytes of rows in a step: 64 rows.
const STEP: &str = "4k";

fn collection(image: &Image, name: &str) -> Value {
    let run = image.dump().args(["--json", "collections"]).finish().expect(0);
    let all: Value = serde_json::from_str(run.text()).expect("JSON");
    let all = all["collections"].as_array().expect("collections");
    let path = format!("/{name}");
    all.iter().find(|found| found["path"] == path.as_str()).expect("the collection").clone()
}

/// Runs an import again and again, killing it later each time, until it ends by itself. `check` looks at what each death leaves.
fn kill_until_done(import: impl Fn() -> Invocation, check: impl Fn()) {
    let (mut resumed, mut killed) = (0, 0);
    for milliseconds in (0..).step_by(10) {
        let mut child = import().start();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().expect("it can be killed");
        let output = child.wait_with_output().expect("its end");
        resumed += usize::from(String::from_utf8_lossy(&output.stderr).contains("going on behind"));
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.code(), None, "{}", String::from_utf8_lossy(&output.stderr));
        killed += 1;
        check();
    }
    assert!(killed > 0 && resumed > 0, "killed {killed} times, resumed {resumed} times");
}

#[test]
fn an_import_that_is_killed_goes_on_without_duplicates() {
    let image = Image::new(DIM);
    let values = Random(3).units(ROWS * DIM);
    let file = image.scratch.npy("rows.npy", DIM, &values);
    let ids = image.scratch.file("ids", (0..ROWS).map(|n| format!("{}\n", n * 7)).collect::<String>());
    let lines = (0..ROWS).map(|n| format!("{{\"n\":{n}}}\n"));
    let payload = image.scratch.file("payload", lines.collect::<String>());
    let import = || {
        let import = image.import().args(["-c", "new", "--resume", "--step", STEP, "--ids"]).arg(&ids);
        import.arg("--payload").arg(&payload).arg(&file)
    };
    let bytes = f32_bytes(&values);
    kill_until_done(import, || {
        image.assert_sound();
        // As far as it came, everything is there and in order.
        assert!(!image.has("new") || bytes.starts_with(&image.rows("new")), "not a prefix");
    });
    assert!(image.rows("new") == bytes, "other rows than those of an import that was not interrupted");
    let found = collection(&image, "new");
    assert_eq!((&found["live_rows"], &found["unfinished_rows"]), (&Value::from(ROWS), &Value::Null));
    let run = image.query().args(["-c", "new", "-k", "1", "-o", "jsonl", "--payload", "--id"]);
    let last = run.arg(((ROWS - 1) * 7).to_string()).finish().expect(0);
    assert!(last.text().contains(&format!("{{\"n\":{}}}", ROWS - 1)), "{}", last.text());
    // Whoever has not seen the end may ask once more.
    let run = import().finish().expect(0);
    assert!(run.stderr.contains("are stored already"), "{}", run.stderr);
    assert!(image.rows("new") == bytes);
    image.assert_sound();
}

#[test]
fn a_table_that_is_killed_goes_on_with_its_keys_and_payload() {
    let image = Image::new(2);
    let rows = 4000;
    let line = |n: usize| format!("key {n},{n},{},word {}\n", n % 50, n % 7);
    let table = format!("name,x0,x1,word\n{}", (0..rows).map(line).collect::<String>());
    let file = image.scratch.file("items.csv", table);
    let import =
        || image.import().args(["-c", "new", "--resume", "--step", "256", "--keys", "name"]).arg(&file);
    kill_until_done(import, || ());
    let export = image.scratch.path("out.jsonl");
    image.dump().args(["-q", "export", "-c", "new", "-o"]).arg(&export).finish().expect(0);
    let line = |n: usize| {
        format!("{{\"key\":\"key {n}\",\"vector\":[{n},{}],\"word\":\"word {}\"}}\n", n % 50, n % 7)
    };
    let expected: String = (0..rows).map(line).collect();
    assert!(std::fs::read_to_string(export).expect("the export") == expected, "other rows");
    image.assert_sound();
}

/// Begins an import of `file` into the default collection, which has `rows` rows, and kills it on the way.
fn begin(image: &Image, file: &Path, rows: u64) {
    for milliseconds in (5..).step_by(5) {
        let mut child = image.import().args(["--resume", "--step", STEP]).arg(file).start();
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().expect("it can be killed");
        child.wait().expect("its end");
        let found = collection(image, "vectors");
        if found["unfinished_rows"].is_u64() {
            return;
        }
        assert_eq!(found["live_rows"], rows, "the import was faster than the death");
    }
}

#[test]
fn an_unfinished_import_is_in_nobodys_way_unseen() {
    let image = Image::new(DIM);
    let values = Random(4).units(ROWS * DIM);
    let file = image.scratch.npy("rows.npy", DIM, &values);
    let other = image.scratch.npy("other.npy", DIM, &values[..10 * DIM]);
    image.import().arg("-q").arg(&other).finish().expect(0);
    begin(&image, &file, 10);
    // Rows may be deleted, but not moved.
    image.delete("vectors", &[9]);
    let upsert = image.scratch.file("ids", "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    for (run, hint) in [
        (image.import().arg(&other), "the same files and --resume go on with it"),
        (
            image.import().args(["--mode", "upsert", "--ids"]).arg(upsert).arg(&other),
            "--abandon deletes the rows",
        ),
        (image.import().arg("--resume").arg(&other), "these are others, or they have changed since"),
        (image.tune().arg("--compact"), "finishes it with --resume"),
    ] {
        let run = run.finish().expect(1);
        assert!(run.stderr.contains("not finished") && run.stderr.contains(hint), "{}", run.stderr);
    }
    let told = image.dump().arg("collections").finish().expect(0);
    assert!(told.text().contains("import not finished"), "{}", told.text());
    image.import().args(["-q", "--abandon"]).finish().expect(0);
    let found = collection(&image, "vectors");
    assert_eq!((&found["live_rows"], &found["unfinished_rows"]), (&Value::from(9), &Value::Null));
    image.tune().args(["-q", "--compact"]).finish().expect(0);
    assert_eq!(image.rows("vectors"), f32_bytes(&values[..9 * DIM]));
    // Nothing is remembered of it.
    image.import().args(["-q", "--resume"]).arg(&file).finish().expect(0);
    assert_eq!(image.rows("vectors").len(), (ROWS + 9) * DIM * 4);
    image.assert_sound();
}

#[test]
fn files_that_have_changed_meanwhile_are_refused() {
    let image = Image::new(DIM);
    let mut values = Random(6).units(ROWS * DIM);
    let file = image.scratch.npy("rows.npy", DIM, &values);
    let modified = file.metadata().and_then(|metadata| metadata.modified()).expect("a time");
    let resume = || image.import().args(["--resume", "--step", STEP]).arg(&file);
    let set_time = || {
        let file = File::options().write(true).open(&file).expect("the file");
        file.set_times(FileTimes::new().set_modified(modified)).expect("its time");
    };
    begin(&image, &file, 0);
    let stored = collection(&image, "vectors")["live_rows"].as_u64().expect("rows");
    // Another length; the same length at another time; the same length and time.
    image.scratch.npy("rows.npy", DIM, &values[DIM..]);
    set_time();
    let run = resume().finish().expect(1);
    assert!(run.stderr.contains("they have changed since"), "{}", run.stderr);
    values[0] = 7.0;
    image.scratch.npy("rows.npy", DIM, &values);
    let run = resume().finish().expect(1);
    assert!(run.stderr.contains("they have changed since; the files as they were go on"), "{}", run.stderr);
    set_time();
    let run = resume().finish().expect(1);
    assert!(run.stderr.contains("row 0 is another one than was stored of it"), "{}", run.stderr);
    // Nothing is lost by asking: the file as it was goes on.
    assert_eq!(collection(&image, "vectors")["live_rows"], stored);
    values[0] = Random(6).units(1)[0];
    image.scratch.npy("rows.npy", DIM, &values);
    set_time();
    resume().finish().expect(0);
    assert!(image.rows("vectors") == f32_bytes(&values));
    image.assert_sound();
}

#[test]
fn a_file_with_a_fault_takes_the_steps_back() {
    let image = Image::new(4);
    let mut values = Random(5).units(4000 * 4);
    values[3999 * 4] = f32::NAN;
    let file = image.scratch.npy("nan.npy", 4, &values);
    let run = image.import().args(["--resume", "--step", STEP]).arg(&file).finish().expect(1);
    assert!(run.stderr.contains("row 3999, column 0: NaN"), "{}", run.stderr);
    assert!(run.stderr.contains("rows of the import that were stored are deleted"), "{}", run.stderr);
    let found = collection(&image, "vectors");
    assert_eq!((&found["live_rows"], &found["unfinished_rows"]), (&Value::from(0), &Value::Null));
    // A name that was given in an earlier step is named by its place in the file.
    let line = |n: usize| format!("{},{n} 0 0 0\n", if n == 900 { 3 } else { n });
    let table = format!("id,vector\n{}", (0..1000).map(line).collect::<String>());
    let table = image.scratch.file("twice.csv", table);
    let run = image.import().args(["-c", "new", "--resume", "--step", STEP, "--ids", "id"]).arg(&table);
    let run = run.finish().expect(1);
    let said = "row 900: column `id`: id 3 is given twice, first in row 3 of";
    assert!(run.stderr.contains(said), "{}", run.stderr);
    assert_eq!(collection(&image, "new")["live_rows"], 0);
    for (flags, problem) in [
        (&["-"][..], "no file that can be read again"),
        (&["--ids", "-", "nan.npy"], "standard input cannot be read again"),
        (&["--mode", "upsert", "--ids", "x", "nan.npy"], "an upsert can simply be repeated"),
    ] {
        let flags = flags.iter().map(|flag| match *flag {
            "nan.npy" => file.clone(),
            flag => flag.into(),
        });
        let run = image.import().arg("--resume").args(flags).input("1 2 3 4\n").finish().expect(2);
        assert!(run.stderr.contains(problem), "{}", run.stderr);
    }
    image.assert_sound();
}

#[test]
fn vectors_and_queries_of_another_model_are_refused() {
    let image = Image::new(2);
    let file = image.scratch.npy("x.npy", 2, &[3.0, 4.0]);
    let import = |model: &str| image.import().args(["-q", "--model", model]).arg(&file).finish();
    import("clip@1").expect(0);
    import("clip").expect(0);
    assert_eq!(collection(&image, "vectors")["model"], "clip@1");
    import("clip@1").expect(0);
    for model in ["clip@2", "bert"] {
        let run = import(model).expect(1);
        assert!(run.stderr.contains("vectors of clip@1") && run.stderr.contains("-c NAME"), "{}", run.stderr);
        let run = image.query().args(["--vector", "1,2", "--model", model]).finish().expect(1);
        assert!(run.stderr.contains("holds vectors of clip@1"), "{}", run.stderr);
    }
    image.query().args(["--vector", "1,2", "--model", "clip@1"]).finish().expect(0);
    let text = image.dump().arg("collections").finish().expect(0);
    assert!(text.text().contains("clip@1"), "{}", text.text());
    assert_eq!(image.identities("vectors").len(), 3);
    image.import().args(["-q", "-c", "bert", "--model", "bert"]).arg(&file).finish().expect(0);
    let run = image.query().args(["-c", "vectors", "-c", "bert", "--vector", "1,2"]).finish().expect(1);
    assert!(run.stderr.contains("holds vectors of clip@1 and bert of bert"), "{}", run.stderr);
    image.assert_sound();
}
