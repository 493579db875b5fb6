//! Where results go: pipes that nobody reads, full disks, programs that parse JSON.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tool_tests::{Invocation, Scratch, Tool};

/// A filesystem with a thousand vectors of two dimensions, and a file of as many queries.
fn filled(scratch: &Scratch) -> (PathBuf, PathBuf) {
    let device = scratch.path("disk.img");
    Tool::MKFS.run().args(["-q", "-D", "2", "-L", "VectorDB"]).arg(&device).arg("16M").finish().expect(0);
    let values: Vec<f32> = (0..2000_u16).map(f32::from).collect();
    let vectors = scratch.npy("thousand.npy", 2, &values);
    Tool::IMPORT.run().args(["-q", "-d"]).arg(&device).arg(&vectors).finish().expect(0);
    (device, vectors)
}

fn search(device: &Path, queries: &Path) -> Invocation {
    Tool::QUERY.run().arg("-d").arg(device).args(["-k", "100", "-o", "jsonl"]).arg(queries)
}

#[test]
fn a_query_ends_well_when_nobody_reads_its_answers() {
    let scratch = Scratch::new();
    let (device, queries) = filled(&scratch);
    let run = search(&device, &queries).output_to_nobody().finish().expect(0);
    assert_eq!(run.stderr, "");
    let run = Tool::DUMP.on(&device, &scratch).output_to_nobody().finish().expect(0);
    assert_eq!(run.stderr, "");
}

#[test]
fn a_filesystem_is_made_even_if_nobody_reads_about_it() {
    let scratch = Scratch::new();
    let device = scratch.image("disk.img", 16 << 20);
    Tool::MKFS.run().arg(&device).output_to_nobody().finish().expect(0);
    Tool::DUMP.on(&device, &scratch).finish().expect(0);
}

#[test]
fn answers_that_do_not_fit_the_disk_are_an_error() {
    let scratch = Scratch::new();
    let (device, queries) = filled(&scratch);
    let full = Path::new("/dev/full");
    if !full.exists() {
        println!("skipped: there is no /dev/full here");
        return;
    }
    for run in [search(&device, &queries), Tool::DUMP.on(&device, &scratch)] {
        let run = run.output_to(full).finish().expect(1);
        assert!(run.stderr.contains("cannot write to standard output"), "{}", run.stderr);
    }
}

#[test]
fn what_is_asked_for_as_json_is_one_document_that_says_what_it_is() {
    let scratch = Scratch::new();
    let (device, vectors) = filled(&scratch);
    let on = |tool: Tool, words: &[&str]| tool.run().arg("--json").arg(&device).args(words);
    let mut runs = vec![
        Tool::MKFS.run().args(["-n", "--json"]).arg(scratch.path("other.img")).arg("16M"),
        Tool::IMPORT.run().args(["--json", "-d"]).arg(&device).arg(&vectors),
        on(Tool::FSCK, &["-fn"]),
        on(Tool::DUMP, &[]),
    ];
    for what in
        ["super", "groups", "journal", "inode 1", "extents /vectors", "ls", "stat /", "collections", "get 7"]
    {
        runs.push(on(Tool::DUMP, &what.split(' ').collect::<Vec<_>>()));
    }
    for run in runs {
        let run = run.finish().expect(0);
        let document: Value =
            serde_json::from_slice(&run.stdout).unwrap_or_else(|e| panic!("{e}: {}", run.text()));
        assert!(document["schema"]["name"].is_string(), "{}", run.text());
        assert!(document["schema"]["version"].is_u64(), "{}", run.text());
    }
}

#[test]
fn answers_as_json_are_a_line_per_query_with_exact_numbers() {
    let scratch = Scratch::new();
    let (device, queries) = filled(&scratch);
    let run = search(&device, &queries).finish().expect(0);
    let answers: Vec<Value> =
        run.text().lines().map(|line| serde_json::from_str(line).expect("a document per line")).collect();
    assert_eq!(answers.len(), 1000);
    for (number, answer) in answers.iter().enumerate() {
        assert_eq!(answer["query"], number);
        assert_eq!(answer["hits"].as_array().map(Vec::len), Some(100));
        // Each query is a stored vector; ids follow the rows.
        assert_eq!(answer["hits"][0]["distance"].as_f64(), Some(0.0));
    }
}

#[test]
fn quiet_is_quiet() {
    let scratch = Scratch::new();
    let (device, vectors) = filled(&scratch);
    for run in [
        Tool::MKFS.run().args(["-q", "-f"]).arg(scratch.image("other.img", 16 << 20)),
        Tool::IMPORT.run().args(["-q", "-d"]).arg(&device).arg(&vectors),
        Tool::FSCK.run().args(["-q", "-n"]).arg(&device),
    ] {
        let run = run.finish().expect(0);
        assert_eq!((run.text(), run.stderr.as_str()), ("", ""));
    }
}
