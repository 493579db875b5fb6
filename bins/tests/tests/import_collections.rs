//! Which collection the rows of an import go to, how they are scaled, and what the tool says about it.

mod image;

use image::{Image, Random, f32_bytes, npy, npy_f32};
use serde_json::Value;
use tool_tests::{Scratch, Tool};

#[test]
fn without_a_name_rows_go_to_the_default_collection() {
    let image = Image::new(3);
    let file = image.scratch.npy("x.npy", 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    image.import().arg("-q").arg(&file).finish().expect(0);
    image.import().arg("-q").arg(&file).finish().expect(0);
    let rows = f32_bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(image.rows("vectors"), [rows.clone(), rows].concat());

    // A filesystem without it gets it from the data.
    let plain = Image::made_by(&[], "24M");
    plain.import().arg("-q").arg(file).finish().expect(0);
    assert_eq!(plain.kind("vectors"), "3 f32 l2 2");
    plain.assert_sound();
}

#[test]
fn another_dimension_than_that_of_the_default_collection_is_refused_with_a_way_out() {
    let image = Image::new(768);
    let before = image.hash();
    let file = image.scratch.npy("small.npy", 3, &[0.5; 6]);
    let run = image.import().arg(&file).finish().expect(1);
    for part in
        ["small.npy", "dimension 3", "collection vectors has dimension 768", "-c NAME", "mkfs.vexfs -D 3"]
    {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert_eq!(image.hash(), before);
    image.import().args(["-q", "-c", "small"]).arg(&file).finish().expect(0);
    let larger = image.scratch.npy("larger.npy", 4, &[0.5; 8]);
    let before = image.hash();
    let run = image.import().args(["-c", "small"]).arg(larger).finish().expect(1);
    assert!(run.stderr.contains("dimension 4") && !run.stderr.contains("mkfs"), "{}", run.stderr);
    assert_eq!(image.hash(), before);
}

#[test]
fn a_collection_that_is_named_is_made_from_data_and_flags() {
    let image = Image::new(4);
    let file = image.scratch.npy("x.npy", 5, &[0.25; 10]);
    let import = |args: &[&str]| image.import().arg("-q").args(args).arg(&file).finish();
    import(&["-c", "plain"]).expect(0);
    import(&["-c", "angles", "--metric", "cosine"]).expect(0);
    import(&["-c", "products", "--metric", "ip", "--dtype", "bf16"]).expect(0);
    assert_eq!(image.kind("plain"), "5 f32 l2 2");
    assert_eq!(image.kind("angles"), "5 f32 cosine 2");
    assert_eq!(image.kind("products"), "5 bf16 ip 2");
    import(&["-c", "bits", "--metric", "hamming"]).expect(2);
    assert!(!image.has("bits"));
    let run = import(&["-c", "plain", "--dtype", "f16"]).expect(2);
    assert!(run.stderr.contains("--dtype f16: collection plain exists with f32"), "{}", run.stderr);
    let run = import(&["-c", "angles", "--metric", "l2"]).expect(2);
    assert!(run.stderr.contains("--metric l2: collection angles exists with cosine"), "{}", run.stderr);
    import(&["-c", "angles", "--metric", "cosine", "--dtype", "f32"]).expect(0);
    assert_eq!(image.kind("angles"), "5 f32 cosine 4");
    image.assert_sound();
}

#[test]
fn a_path_leads_to_a_collection_in_a_directory() {
    let image = Image::new(4);
    let file = image.scratch.npy("x.npy", 2, &[0.25; 10]);
    let note = image.scratch.file("note", "text");
    let run = image.import().args(["-c", "/models/clip"]).arg(&file).finish().expect(1);
    assert!(
        run.stderr.contains("/models/clip") && run.stderr.contains("directory must exist"),
        "{}",
        run.stderr
    );
    image.import().args(["-q", "-p", "--file"]).arg(&note).arg("/models/note").finish().expect(0);
    image.import().args(["-q", "-c", "/models/clip"]).arg(&file).finish().expect(0);
    image.import().args(["-q", "-c", "models/clip"]).arg(&file).finish().expect(0);
    assert_eq!(image.kind("/models/clip"), "2 f32 l2 10");
    for (name, found) in [("/models", "directory"), ("/models/note", "file"), ("/", "directory")] {
        let before = image.hash();
        let run = image.import().args(["-c", name]).arg(&file).finish().expect(1);
        assert!(run.stderr.contains(found) && run.stderr.contains("collection"), "{name}: {}", run.stderr);
        assert_eq!(image.hash(), before, "{name}");
    }
    let run = image.import().args(["-c", "/models/note/x"]).arg(&file).finish().expect(1);
    assert!(run.stderr.contains("/models/note"), "{}", run.stderr);
    image.import().args(["-c", "/models/clip/x"]).arg(&file).finish().expect(1);
    image.import().args(["-c", ".."]).arg(&file).finish().expect(1);
    image.import().args(["-c", &"n".repeat(256)]).arg(&file).finish().expect(1);
    image.import().args(["-c", ""]).arg(&file).finish().expect(2);
    image.import().args(["-q", "-c", &"n".repeat(255)]).arg(&file).finish().expect(0);
    image.assert_sound();
}

#[test]
fn the_environment_names_device_and_collection_unless_flags_do() {
    let image = Image::new(2);
    let file = image.scratch.npy("x.npy", 2, &[0.25; 4]);
    let run = || Tool::IMPORT.run().arg("-q").arg(&file).env("VEXFS_COLLECTION", "named");
    run().env("VEXFS_DEVICE", &image.path).finish().expect(0);
    assert_eq!(image.kind("named"), "2 f32 l2 2");
    run().env("VEXFS_DEVICE", "/nowhere").arg("-d").arg(&image.path).args(["-c", "flag"]).finish().expect(0);
    assert_eq!(image.kind("flag"), "2 f32 l2 2");
}

#[test]
fn an_image_inside_a_larger_file_is_filled_at_its_offset() {
    let scratch = Scratch::new();
    for offset in [4096, 1_048_576, 3_145_728 + 512] {
        let path = scratch.file("disk", vec![0xA5; 32 << 20]);
        let place = format!("offset={offset}");
        Tool::MKFS.run().args(["-q", "-D", "3", "-E", &place]).arg(&path).arg("16M").finish().expect(0);
        let device = format!("{}?{place}", path.display());
        let vectors = scratch.file("x.npy", npy_f32(3, &Random(1).units(3000)));
        Tool::IMPORT.run().args(["-q", "-d", &device]).arg(&vectors).finish().expect(0);
        let run =
            Tool::QUERY.run().args(["-d", &device, "--id", "999", "-k", "1", "-o", "csv"]).finish().expect(0);
        assert!(run.text().contains("0,1,999,0\n"), "{offset}: {}", run.text());
        let bytes = std::fs::read(&path).expect("the file");
        assert!(bytes[..offset].iter().all(|&byte| byte == 0xA5), "{offset}: what lies before is left alone");
        assert!(
            bytes[offset + (16 << 20)..].iter().all(|&byte| byte == 0xA5),
            "{offset}: what lies behind too"
        );
    }
}

#[test]
fn several_files_are_one_import() {
    let image = Image::new(2);
    let one = image.scratch.npy("one.npy", 2, &[1.0, 2.0]);
    let two = image.scratch.npy("two.npy", 2, &[3.0, 4.0, 5.0, 6.0]);
    let none = image.scratch.file("none.npy", npy("<f4", false, &[0, 2], &[]));
    let text = image.scratch.file("three.txt", "7 8\n\n[9, 10]\n{\"id\": 4, \"vector\": [11, 12]}\n");
    image.import().arg("-q").args([&one, &none, &two, &one, &none, &text]).finish().expect(0);
    let expected: Vec<f32> = [1, 2, 3, 4, 5, 6, 1, 2, 7, 8, 9, 10, 11, 12].map(|x| x as f32).to_vec();
    assert_eq!(image.rows("vectors"), f32_bytes(&expected));

    // Whatever is wrong with one of them, none is stored.
    let before = image.rows("vectors");
    let wide = image.scratch.npy("wide.npy", 3, &[0.0; 3]);
    for bad in [&wide, &image.scratch.path("missing.npy"), &image.scratch.npy("nan.npy", 2, &[f32::NAN, 1.0])]
    {
        let run = image.import().args([&one, &two, bad]).finish().expect(1);
        let name = bad.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(run.stderr.contains(name), "{}", run.stderr);
        assert_eq!(image.rows("vectors"), before, "{name}");
    }
    let run = image.import().args(["-c", "new"]).args([&one, &wide]).finish().expect(1);
    assert!(run.stderr.contains("all files of one import have the same dimension"), "{}", run.stderr);
    assert!(!image.has("new"));
    image.assert_sound();
}

#[test]
fn an_array_without_rows_makes_an_empty_collection() {
    let image = Image::new(2);
    let none = image.scratch.file("none.npy", npy("<f2", false, &[0, 7], &[]));
    image.import().args(["-q", "-c", "empty"]).arg(&none).finish().expect(0);
    assert_eq!(image.kind("empty"), "7 f16 l2 0");
    let run =
        image.query().args(["-c", "empty", "--vector", "0 0 0 0 0 0 0", "-o", "jsonl"]).finish().expect(0);
    assert_eq!(run.text(), "{\"query\":0,\"hits\":[],\"exact\":true}\n");
    let fault = image.scratch.file("flat.npy", npy("<f4", false, &[7, 0], &[]));
    let run = image.import().args(["-c", "flat"]).arg(fault).finish().expect(1);
    assert!(run.stderr.contains("flat.npy: shape (7, 0)"), "{}", run.stderr);
    image.assert_sound();
}

#[test]
fn standard_input_is_read_as_what_it_is() {
    let image = Image::new(2);
    image.import().args(["-q", "-"]).input(npy_f32(2, &[1.0, 2.0])).finish().expect(0);
    image.import().args(["-q", "-"]).input("3 4\n5,6\n").finish().expect(0);
    assert_eq!(image.rows("vectors"), f32_bytes(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]));
    for (input, problem) in [
        (Vec::new(), "standard input: is empty"),
        (b"PK\x03\x04....".to_vec(), "standard input: npz is read from a file, not from a stream"),
        (b"1 2\n3 x\n".to_vec(), "standard input: line 2, column 3: found `x`"),
        (b"1 2\n3 4 5\n".to_vec(), "standard input: line 2: vector has 3 components"),
    ] {
        let run = image.import().arg("-").input(input).finish().expect(1);
        assert!(run.stderr.contains(problem), "{}", run.stderr);
        assert_eq!(image.rows("vectors").len(), 24);
    }
    let run = image.import().args(["-", "-"]).input("1 2\n").finish().expect(2);
    assert!(run.stderr.contains("only once"), "{}", run.stderr);
    let run = image.import().args(["-", "--ids", "-"]).input("1 2\n").finish().expect(2);
    assert!(run.stderr.contains("only once"), "{}", run.stderr);
}

#[test]
fn rows_are_scaled_where_that_is_asked_for() {
    let image = Image::new(2);
    let file = image.scratch.npy("x.npy", 2, &[3.0, 4.0, 0.0, -2.0]);
    image
        .import()
        .args(["-q", "--normalize", "-c", "unit", "--metric", "cosine"])
        .arg(&file)
        .finish()
        .expect(0);
    let unit = f32_bytes(&[0.6, 0.8, 0.0, -1.0]);
    assert_eq!(image.rows("unit"), unit);
    // The collection keeps the promise of its rows.
    image.import().args(["-q", "-c", "unit"]).arg(&file).finish().expect(0);
    assert_eq!(image.rows("unit"), [unit.clone(), unit.clone()].concat());
    // So does one that was empty; among rows that were not scaled, others may not be.
    image.import().args(["-q", "--normalize"]).arg(&file).finish().expect(0);
    image.import().arg("-q").arg(&file).finish().expect(0);
    assert_eq!(image.rows("vectors"), [unit.clone(), unit].concat());
    image.import().args(["-q", "-c", "raw"]).arg(&file).finish().expect(0);
    let run = image.import().args(["--normalize", "-c", "raw"]).arg(&file).finish().expect(1);
    assert!(run.stderr.contains("raw holds vectors that were not scaled"), "{}", run.stderr);

    let before = image.rows("vectors");
    let zero = image.scratch.npy("zero.npy", 2, &[1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 2.0, 2.0]);
    let run = image.import().arg("--normalize").arg(zero).finish().expect(1);
    assert!(run.stderr.contains("zero.npy: row 2: has length 0"), "{}", run.stderr);
    assert_eq!(image.rows("vectors"), before);
    for dtype in ["i8", "u8", "b1"] {
        let ones = image.scratch.npy("ones.npy", 2, &[1.0, 1.0]);
        let run =
            image.import().args(["--normalize", "-c", "ints", "--dtype", dtype]).arg(ones).finish().expect(2);
        assert!(run.stderr.contains(&format!("vectors of {dtype} cannot be scaled")), "{}", run.stderr);
    }
    assert!(!image.has("ints"));
    image.assert_sound();
}

#[test]
fn the_tool_says_what_it_did_in_the_form_that_was_asked_for() {
    let image = Image::new(2);
    let file = image.scratch.npy("x.npy", 2, &Random(3).units(2000));
    let plain = image.import().arg(&file).finish().expect(0);
    assert_eq!(plain.text(), "");
    assert!(plain.stderr.starts_with("imported 1000 rows, 7.8 KiB in "), "{}", plain.stderr);
    assert!(plain.stderr.trim_end().ends_with("durable"), "{}", plain.stderr);
    let quiet = image.import().arg("-q").arg(&file).finish().expect(0);
    assert_eq!((quiet.text(), quiet.stderr.as_str()), ("", ""));
    let json = image.import().arg("--json").arg(&file).finish().expect(0);
    let document: Value = serde_json::from_str(json.text()).expect("one document");
    assert_eq!(document["schema"]["version"], 1);
    assert_eq!((&document["rows"], &document["bytes"]), (&Value::from(1000), &Value::from(8000)));
    assert!(document["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    assert_eq!(document["indexes"], Value::Array(Vec::new()));
    let failed = image.import().args(["--json", "/no/such/file"]).finish().expect(1);
    assert_eq!(failed.text(), "");
}

#[test]
fn threads_make_no_difference_to_the_image_and_memory_none_to_the_rows() {
    let values = Random(5).units(6_000 * 3);
    let keys: String = (0..6_000).map(|n| format!("key {n}\n")).collect();
    let imported = |memory: &str, threads: &str| {
        let image = Image::made_by(&["-D", "3", "-U", "0a1b2c3d-1234-5678-9abc-0123456789ab"], "24M");
        let vectors = image.scratch.npy("x.npy", 3, &values);
        let keys = image.scratch.file("keys", &keys);
        let import = image.import().args(["-q", "--memory", memory, "--threads", threads]);
        let import = import.arg(vectors).arg("--keys").arg(keys);
        import.env("SOURCE_DATE_EPOCH", "1700000000").finish().expect(0);
        (std::fs::read(&image.path).expect("the image"), image)
    };
    let (bytes, image) = imported("64k", "1");
    for threads in ["2", "8"] {
        assert!(imported("64k", threads).0 == bytes, "{threads}");
    }
    for memory in ["0", "1", "1000", "1G"] {
        let (_, other) = imported(memory, "2");
        assert!(other.rows("vectors") == image.rows("vectors"), "{memory}");
        assert!(other.identities("vectors") == image.identities("vectors"), "{memory}");
        other.assert_sound();
    }
}
