//! Where queries come from, and the forms in which answers go out.

mod image;

use std::io::{BufRead, BufReader, Read, Write};

use image::{Image, Random, Watchdog, npy, npy_f32, read_npy};
use serde_json::Value;

/// Five points on a line, and one far away.
fn line() -> Image {
    let image = Image::new(2);
    let points = [0.0, 0.0, 1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0, 0.0, 0.0, 100.0];
    let file = image.scratch.npy("points.npy", 2, &points);
    image.import().arg("-q").arg(file).finish().expect(0);
    image
}

/// The same points with keys.
fn keyed() -> Image {
    let image = line();
    let keys = image.scratch.file("keys", "zero\none\n\"two\", too\nthree\tand more\nfour\nfar\n");
    let import = image.import().args(["-q", "-c", "keyed"]).arg(image.scratch.path("points.npy"));
    import.arg("--keys").arg(keys).finish().expect(0);
    image
}

#[test]
fn lines_of_json_are_what_the_contract_says() {
    let image = line();
    let run = image.query().args(["--vector", "1.5,0", "-k", "3", "-o", "jsonl"]).finish().expect(0);
    let hits = "[{\"id\":1,\"distance\":0.25},{\"id\":2,\"distance\":0.25},{\"id\":0,\"distance\":2.25}]";
    assert_eq!(run.text(), format!("{{\"query\":0,\"hits\":{hits},\"exact\":true}}\n"));
    assert_eq!(run.stderr, "");
    let run = image.query().args(["--vector", "1.5,0", "-k", "3", "--json"]).finish().expect(0);
    let document: Value = serde_json::from_str(run.text()).expect("a document");
    assert_eq!(document["schema"], serde_json::json!({"name": "vexfs-query", "version": 1}));
    assert_eq!(document["hits"], serde_json::from_str::<Value>(hits).expect("hits"));
    let run =
        keyed().query().args(["-c", "keyed", "--vector", "2,0", "-k", "1", "-o", "jsonl"]).finish().expect(0);
    assert_eq!(
        run.text(),
        "{\"query\":0,\"hits\":[{\"id\":\"\\\"two\\\", too\",\"distance\":0.0}],\"exact\":true}\n"
    );
}

#[test]
fn a_table_is_plain_where_there_is_no_terminal() {
    let image = line();
    let queries = image.scratch.npy("q.npy", 2, &[0.0, 0.0, 0.1, 100.0]);
    let run = image.query().args(["-k", "2"]).arg(queries).finish().expect(0);
    let expected = "\
query  rank  id  distance
    0     1   0         0
    0     2   1         1
    1     1   5      0.01
    1     2   0  10000.01
";
    assert_eq!(run.text(), expected);
}

#[test]
fn a_table_fits_the_terminal() {
    let image = keyed();
    let long = image.scratch.file("keys", format!("{}\n", "long key ".repeat(60)));
    let one = image.scratch.npy("one.npy", 2, &[7.0, 7.0]);
    image.import().args(["-q", "-c", "keyed"]).arg(one).arg("--keys").arg(long).finish().expect(0);
    let run = image.query().args(["-c", "keyed", "--vector", "7,7", "-k", "7"]).on_terminal(50);
    let Some(run) = run else {
        println!("skipped: script(1) is missing");
        return;
    };
    let run = run.finish().expect(0);
    let text = run.text();
    assert!(text.contains('│'), "{text}");
    let widest = text.lines().map(|line| line.trim_end().chars().count()).max();
    assert!(widest.is_some_and(|columns| columns <= 50), "{text}");
    let array = image.query().args(["--vector", "7,7", "-o", "npy"]).on_terminal(50).expect("script(1)");
    let run = array.finish().expect(2);
    assert!(run.text().contains("not for a terminal"), "{}", run.text());
}

#[test]
fn csv_is_what_rfc_4180_says() {
    let image = keyed();
    let run =
        image.query().args(["-c", "keyed", "--vector", "2,0", "-k", "2", "-o", "csv"]).finish().expect(0);
    assert_eq!(run.text(), "query,rank,id,distance\n0,1,\"\"\"two\"\", too\",0\n0,2,one,1\n");
    let none = image.scratch.file("none.npy", npy("<f4", false, &[0, 2], &[]));
    let run = image.query().args(["-o", "csv"]).arg(&none).finish().expect(0);
    assert_eq!(run.text(), "query,rank,id,distance\n");
    for form in ["table", "jsonl"] {
        let run = image.query().args(["-o", form]).arg(&none).finish().expect(0);
        assert_eq!(run.text(), "", "{form}");
    }
}

#[test]
fn an_array_of_ids_is_one_that_numpy_reads() {
    let image = keyed();
    let queries = image.scratch.npy("q.npy", 2, &[0.0, 0.0, 0.1, 100.0, 4.0, 0.0]);
    let expected = vec![0, 1, 2, 5, 0, 1, 4, 3, 2];
    // From a file, whose length is known, and from a text, whose length is not.
    let run = image.query().args(["-k", "3", "-o", "npy"]).arg(&queries).finish().expect(0);
    let (header, ids) = read_npy(&run.stdout);
    assert_eq!(header, "{'descr': '<i8', 'fortran_order': False, 'shape': (3, 3), }");
    assert_eq!(ids, expected);
    let text = "0 0\n0.1 100\n4 0\n";
    let piped = image.query().args(["-k", "3", "-o", "npy"]).input(text).finish().expect(0);
    assert_eq!(read_npy(&piped.stdout), (header, expected));
    assert_eq!(run.stdout, piped.stdout);

    image.delete("vectors", &[1, 2]);
    let run = image.query().args(["-k", "50", "-o", "npy"]).input("0 0\n").finish().expect(0);
    let (header, ids) = read_npy(&run.stdout);
    assert!(header.contains("(1, 6)"), "{header}");
    assert_eq!(ids, [0, 3, 4, 5, -1, -1]);
    let none = image.scratch.file("none.npy", npy("<f4", false, &[0, 2], &[]));
    let run = image.query().args(["-k", "3", "-o", "npy"]).arg(none).finish().expect(0);
    assert!(read_npy(&run.stdout).0.contains("(0, 3)"));

    let run = image.query().args(["-c", "keyed", "-o", "npy", "--vector", "0 0"]).finish().expect(2);
    assert!(run.stderr.contains("the rows have keys") && run.stderr.contains("-o jsonl"), "{}", run.stderr);
    assert_eq!(run.stdout, b"");
}

#[test]
fn queries_come_from_arrays_and_texts_files_and_pipes() {
    let image = line();
    let expected = "query,rank,id,distance\n0,1,2,0\n1,1,5,1\n";
    let values: [f32; 4] = [2.0, 0.0, 0.0, 99.0];
    let text = "2 0\n\n[0, 99]\n";
    let doubles: Vec<u8> = values.iter().flat_map(|&x| f64::from(x).to_be_bytes()).collect();
    let columns: Vec<u8> = [2.0_f32, 0.0, 0.0, 99.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    for (name, bytes) in [
        ("q.npy", npy_f32(2, &values)),
        ("double.npy", npy(">f8", false, &[2, 2], &doubles)),
        ("columns.npy", npy("<f4", true, &[2, 2], &columns)),
        ("small.npy", npy("|i1", false, &[2, 2], &[2, 0, 0, 99])),
        ("q.txt", text.into()),
        ("q.jsonl", "{\"vector\": [2, 0], \"id\": 1}\n{\"vector\": [0, 99]}\n".into()),
    ] {
        let file = image.scratch.file(name, &bytes);
        let run = image.query().args(["-k", "1", "-o", "csv"]).arg(&file).finish().expect(0);
        assert_eq!(run.text(), expected, "{name}");
        if name == "columns.npy" {
            continue; // its rows end with the stream
        }
        let run = image.query().args(["-k", "1", "-o", "csv", "-"]).input(bytes.clone()).finish().expect(0);
        assert_eq!(run.text(), expected, "{name} through a pipe");
        let run = image.query().args(["-k", "1", "-o", "csv"]).input(bytes).finish().expect(0);
        assert_eq!(run.text(), expected, "{name} through a pipe that is not named");
        let run = image.query().args(["-k", "1", "-o", "csv", "-"]);
        let run = run.redirected(&format!("<'{}'", file.display())).finish().expect(0);
        assert_eq!(run.text(), expected, "{name} as standard input");
    }
    let single = image.scratch.file("single.npy", npy("<f4", false, &[2], &[0; 8]));
    let run = image.query().args(["-k", "1", "-o", "csv"]).arg(single).finish().expect(0);
    assert_eq!(run.text(), "query,rank,id,distance\n0,1,0,0\n");
}

#[test]
fn who_writes_one_query_and_waits_gets_its_answer() {
    let image = line();
    let mut child = image.query().args(["-k", "1", "-o", "csv"]).input("").start();
    let _watchdog = Watchdog::of(&child);
    let mut feed = child.stdin.take().expect("a pipe");
    let mut answers = BufReader::new(child.stdout.take().expect("a pipe"));
    for (n, lines) in [(4, 2), (0, 1), (2, 1)] {
        writeln!(feed, "{n} 0").expect("the query reads");
        let mut line = String::new();
        for _ in 0..lines {
            line.clear();
            answers.read_line(&mut line).expect("an answer");
        }
        assert!(line.ends_with(&format!(",1,{n},0\n")), "{line}");
    }
    drop(feed);
    let mut rest = String::new();
    answers.read_to_string(&mut rest).expect("the end");
    assert_eq!(rest, "");
    assert!(child.wait().expect("the end").success());
}

#[test]
fn a_stored_row_is_a_query_by_id_or_key() {
    let image = keyed();
    let run = image.query().args(["--id", "3", "-k", "2", "-o", "csv"]).finish().expect(0);
    assert_eq!(run.text(), "query,rank,id,distance\n0,1,3,0\n0,2,2,1\n");
    let run = image.query().args(["-c", "keyed", "--id", "one", "-k", "2", "-o", "csv"]).finish().expect(0);
    assert_eq!(run.text(), "query,rank,id,distance\n0,1,one,0\n0,2,zero,1\n");
    for (collection, id) in
        [("vectors", "6"), ("vectors", "-1"), ("vectors", "x"), ("keyed", "1"), ("keyed", "")]
    {
        let run = image.query().args(["-c", collection, "--id", id]).finish().expect(1);
        assert!(run.stderr.contains(&format!("{collection}: no row with id {id}")), "{}", run.stderr);
    }
    let ids = image.scratch.file("ids", "70\n10\n40\n20\n50\n60\n");
    let import = image.import().args(["-q", "-c", "named"]).arg(image.scratch.path("points.npy"));
    import.arg("--ids").arg(ids).finish().expect(0);
    let run = image.query().args(["-c", "named", "--id", "40", "-k", "4", "-o", "csv"]).finish().expect(0);
    assert_eq!(run.text(), "query,rank,id,distance\n0,1,40,0\n0,2,10,1\n0,3,20,1\n0,4,70,4\n");
}

#[test]
fn queries_that_do_not_fit_are_refused() {
    let image = line();
    let wide = image.scratch.npy("wide.npy", 3, &[0.0; 6]);
    let nan = image.scratch.npy("nan.npy", 2, &[0.0, 0.0, f32::NAN, 0.0]);
    let wide = wide.to_str().expect("UTF-8");
    let nan = nan.to_str().expect("UTF-8");
    for (arguments, problem) in [
        (
            &[wide][..],
            "wide.npy: queries from 0 on\n  caused by: dimension 3 does not fit: collection vectors has dimension 2",
        ),
        (&["--vector", "1,2,3"], "dimension 3 does not fit"),
        (&["--vector", "1,x"], "vector: line 1, column 3: found `x`"),
        (&["--vector", "1,1e999"], "1e999 does not fit f32"),
        (&["--vector", "1,inf"], "infinity; vectors hold finite numbers only"),
        (&["--vector", ""], "found the end of the line, expected a number"),
        (&[nan], "nan.npy: row 1, column 0: NaN"),
        (&["/no/such/file"], "/no/such/file: no such file"),
        (&["/"], "/: is a directory"),
        (&["-c", "nothing", "--id", "0"], "nothing: no such file, directory or collection"),
        (&["-c", "/lost+found", "--id", "0"], "/lost+found: is a directory, not a collection"),
    ] {
        let run = image.query().args(arguments).finish().expect(1);
        assert!(run.stderr.contains(problem), "{problem}: {}", run.stderr);
        assert_eq!(run.text(), "");
    }
    // What came before a bad line of a stream is answered.
    let run = image.query().args(["-k", "1", "-o", "csv"]).input("2 0\n1 2 3\n").finish().expect(1);
    assert_eq!(run.text(), "query,rank,id,distance\n0,1,2,0\n");
    assert!(run.stderr.contains("standard input: line 2: vector has 3 components"), "{}", run.stderr);
    let run = image.query().input("").finish().expect(1);
    assert!(run.stderr.contains("standard input: is empty"), "{}", run.stderr);
    for arguments in [&["-k", "0"][..], &["-k", "x"], &["--vector", "1 2", "--id", "1"], &["-o", "xml"]] {
        image.query().args(arguments).finish().expect(2);
    }
}

#[test]
fn more_neighbours_than_rows_are_all_rows() {
    let image = line();
    for k in ["6", "7", "1000000", "4294967295"] {
        let run = image.query().args(["--vector", "0 0", "-k", k, "-o", "csv"]).finish().expect(0);
        assert_eq!(run.text().lines().count(), 7, "{k}");
        let run = image.query().args(["--vector", "0 0", "-k", k, "-o", "npy"]).finish().expect(0);
        assert_eq!(read_npy(&run.stdout).1, [0, 1, 2, 3, 4, 5], "{k}");
    }
    let empty = Image::new(2);
    for (form, expected) in [
        ("table", ""),
        ("csv", "query,rank,id,distance\n"),
        ("jsonl", "{\"query\":0,\"hits\":[],\"exact\":true}\n"),
    ] {
        let run = empty.query().args(["--vector", "0 0", "-o", form]).finish().expect(0);
        assert_eq!(run.text(), expected);
    }
    let run = empty.query().args(["--vector", "0 0", "-o", "npy"]).finish().expect(0);
    assert_eq!(read_npy(&run.stdout).1, [-1]);
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let image = line();
    let many = Random(4).units(2 * 20_000);
    let queries = image.scratch.npy("q.npy", 2, &many);
    for form in ["table", "jsonl", "csv", "npy"] {
        let run = image.query().args(["-o", form]).arg(&queries).output_to_nobody().finish().expect(0);
        assert_eq!(run.stderr, "", "{form}");
        let mut child = image.query().args(["-o", form]).arg(&queries).start();
        let mut first = [0; 10];
        child.stdout.take().expect("a pipe").read_exact(&mut first).expect("some output");
        assert!(child.wait().expect("the end").success(), "{form}");
    }
}
