//! Files of every format: into a collection, out of it, and in again, into equality.

mod image;
mod python;

use std::path::Path;

use image::{Image, Random, npy};

/// An image with one collection of 37 rows of 16 dimensions for each dtype, called like it.
fn filled() -> Image {
    let image = Image::new(16);
    let mut random = Random(5);
    for (dtype, descr, columns, width) in [
        ("f32", "<f4", 16, 4),
        ("f16", "<f2", 16, 2),
        ("bf16", "<V2", 16, 2),
        ("i8", "|i1", 16, 1),
        ("u8", "|u1", 16, 1),
        ("b1", "|u1", 2, 1),
    ] {
        // Exponents away from those of NaN and infinity.
        let mut byte = |at: usize| {
            if width > 1 && at % width == width - 1 {
                random.next() as u8 & 0xbf
            } else {
                random.next() as u8
            }
        };
        let bytes: Vec<u8> = (0..37 * columns * width).map(&mut byte).collect();
        let file = image.scratch.file("in.npy", npy(descr, false, &[37, columns], &bytes));
        image.import().args(["-q", "-c", dtype, "--dtype", dtype]).arg(file).finish().expect(0);
        assert!(image.rows(dtype) == bytes, "{dtype}");
    }
    image
}

fn export(image: &Image, collection: &str, file: &Path) -> tool_tests::Finished {
    let dump = tool_tests::Tool::DUMP.run().arg(&image.path).args(["export", "-q", "-c", collection, "-o"]);
    dump.arg(file).finish()
}

#[test]
fn what_is_exported_comes_back_bit_by_bit() {
    let image = filled();
    for (ending, dtypes) in [
        ("npy", &["f32", "f16", "bf16", "i8", "u8", "b1"][..]),
        ("npz", &["f32", "f16", "bf16", "i8", "u8", "b1"]),
        ("fvecs", &["f32", "f16", "bf16", "i8", "u8"]),
        ("fbin", &["f32", "f16", "bf16", "i8", "u8"]),
        ("bvecs", &["u8", "b1"]),
        ("u8bin", &["u8", "b1"]),
        ("i8bin", &["i8"]),
        ("h5", &["f32", "f16", "i8", "u8", "b1"]),
        ("jsonl", &["f32", "f16", "bf16", "i8", "u8", "b1"]),
        ("csv", &["f32", "f16", "bf16", "i8", "u8", "b1"]),
        ("parquet", &["f32", "f16", "bf16", "i8", "u8", "b1"]),
    ] {
        for dtype in ["f32", "f16", "bf16", "i8", "u8", "b1"] {
            let file = image.scratch.path(&format!("{dtype}.{ending}"));
            let exported = export(&image, dtype, &file);
            if !dtypes.contains(&dtype) {
                let run = exported.expect(2);
                assert!(run.stderr.contains(&format!("cannot hold rows of {dtype}")), "{}", run.stderr);
                assert!(!file.exists());
                continue;
            }
            exported.expect(0);
            let back = format!("{dtype}-{ending}");
            let part = if ["h5", "npz"].contains(&ending) { ":vectors" } else { "" };
            let file = format!("{}{part}", file.display());
            image.import().args(["-q", "-c", &back, "--dtype", dtype, &file]).finish().expect(0);
            assert!(image.rows(&back) == image.rows(dtype), "{back}");
        }
    }
    image.assert_sound();
}

#[test]
fn ids_and_keys_go_along_where_the_format_has_a_place() {
    let image = Image::new(16);
    let rows: Vec<u8> = (0..20).collect();
    let vectors = image.scratch.file("in.npy", npy("|u1", false, &[10, 2], &rows));
    let ids = image.scratch.file("ids", (0..10).map(|n| format!("{}\n", n * 1000)).collect::<String>());
    let keys = image.scratch.file("keys", (0..10).map(|n| format!("\"{n}\" ü\n")).collect::<String>());
    let import = image.import().args(["-q", "-c", "ids", "--ids"]).arg(&ids).arg(&vectors);
    import.finish().expect(0);
    let import = image.import().args(["-q", "-c", "keys", "--keys"]).arg(&keys).arg(&vectors);
    import.finish().expect(0);
    let json = image.scratch.path("x.jsonl");
    export(&image, "ids", &json).expect(0);
    let text = std::fs::read_to_string(&json).expect("exported");
    assert_eq!(text.lines().nth(9), Some(r#"{"id":9000,"vector":[18,19]}"#));
    export(&image, "keys", &json).expect(0);
    let text = std::fs::read_to_string(&json).expect("exported");
    assert_eq!(text.lines().nth(9), Some(r#"{"key":"\"9\" ü","vector":[18,19]}"#));
    let csv = image.scratch.path("x.csv");
    export(&image, "keys", &csv).expect(0);
    let text = std::fs::read_to_string(&csv).expect("exported");
    assert_eq!(
        (text.lines().next(), text.lines().nth(10)),
        (Some("key,vector"), Some("\"\"\"9\"\" ü\",\"[18,19]\""))
    );
    for (ending, [ids, keys, vectors]) in [
        ("h5", ["x.h5:ids", "x.h5:keys", "x.h5:vectors"]),
        ("npz", ["x.npz:ids", "x.npz:keys", "x.npz:vectors"]),
        ("csv", ["id", "key", "x.csv"]),
        ("parquet", ["id", "key", "x.parquet"]),
        ("jsonl", ["id", "key", "x.jsonl"]),
    ] {
        let file = image.scratch.path(&format!("x.{ending}"));
        let folder = file.parent().expect("a folder");
        for (collection, flag, name) in [("ids", "--ids", ids), ("keys", "--keys", keys)] {
            export(&image, collection, &file).expect(0);
            let back = format!("{collection}-{ending}");
            let import = image.import().args(["-q", "-c", &back, "--dtype", "u8", flag, name, vectors]);
            import.folder(folder).finish().expect(0);
            let query =
                |name: &str| image.query().args(["-c", name, "-o", "csv", "--vector", "4,5"]).finish();
            assert_eq!(query(collection).expect(0).text(), query(&back).expect(0).text(), "{ending}");
            assert!(image.rows(collection) == image.rows(&back), "{ending}");
        }
    }
    image.assert_sound();
}

#[test]
fn numpy_reads_archives_and_their_names_and_keys_come_from_arrays_of_strings() {
    let Some(python) = python::with("numpy") else { return };
    let image = filled();
    let keys: String = (0..37).map(|n| format!("{}{n} ü\u{1f980}\n", "long ".repeat(n % 9))).collect();
    let keys = image.scratch.file("keys", keys);
    let rows = image.scratch.path("u8.npy");
    export(&image, "u8", &rows).expect(0);
    image.import().args(["-q", "-c", "keyed", "--keys"]).arg(&keys).arg(&rows).finish().expect(0);
    let collections = ["f32", "f16", "bf16", "i8", "u8", "b1", "keyed", "vectors"];
    for collection in collections {
        for ending in ["npy", "npz"] {
            export(&image, collection, &image.scratch.path(&format!("{collection}.{ending}"))).expect(0);
        }
    }
    let files = std::fs::read_dir(rows.parent().expect("a folder")).expect("a folder").flatten();
    assert!(files.into_iter().all(|file| !file.file_name().to_string_lossy().starts_with('.')));
    python.run(
        "import sys, os, zipfile, numpy as np
for c in ['f32', 'f16', 'bf16', 'i8', 'u8', 'b1', 'keyed', 'vectors']:
    file = os.path.join(os.path.dirname(sys.argv[1]), c)
    rows, archive = np.load(file + '.npy'), np.load(file + '.npz')
    assert zipfile.ZipFile(file + '.npz').testzip() is None
    vectors = archive['vectors']
    assert vectors.dtype == rows.dtype and vectors.shape == rows.shape and vectors.tobytes() == rows.tobytes(), c
    assert rows.shape == ((0, 16) if c == 'vectors' else rows.shape)
    if c == 'keyed':
        assert sorted(archive.files) == ['keys', 'vectors']
        keys = open(sys.argv[1], encoding='utf-8').read().splitlines()
        assert archive['keys'].tolist() == keys and archive['keys'].dtype.kind == 'U'
        np.save(sys.argv[2], np.array([key.encode() for key in keys]))
        np.savez_compressed(sys.argv[3], names=archive['keys'], vectors=rows)
    else:
        assert sorted(archive.files) == ['ids', 'vectors']
        assert archive['ids'].dtype == np.uint64 and archive['ids'].tolist() == list(range(len(rows))), c
",
        &[&keys, &image.scratch.path("bytes.npy"), &image.scratch.path("compressed.npz")],
    );
    let folder = rows.parent().expect("a folder");
    for (at, names) in ["bytes.npy", "compressed.npz:names", "keyed.npz:keys"].into_iter().enumerate() {
        let back = format!("back{at}");
        let import = image.import().args(["-q", "-c", &back, "--keys", names, "compressed.npz:vectors"]);
        import.folder(folder).finish().expect(0);
        let query =
            |name: &str| image.query().args(["-c", name, "-o", "csv", "--id", "long 19 ü\u{1f980}"]).finish();
        assert_eq!(query("keyed").expect(0).text(), query(&back).expect(0).text(), "{names}");
    }
    let import = image.import().args(["-q", "-c", "new", "--keys", "keyed.npz:vectors", "u8.npy"]);
    let run = import.folder(folder).finish().expect(1);
    assert!(run.stderr.contains("element type `|u1` holds no strings"), "{}", run.stderr);
    image.assert_sound();
}

#[test]
fn pyarrow_reads_what_is_exported_as_parquet() {
    let Some(python) = python::with("numpy, pyarrow.parquet") else { return };
    let image = filled();
    // Several pages and groups of rows: 6 MB of keys, 2.4 MB of components.
    let rows: Vec<u8> = (0..6000 * 100).map(|at| (at % 251) as u8).collect();
    let vectors = image.scratch.file("many.npy", npy("|u1", false, &[6000, 100], &rows));
    let keys: String = (0..6000).map(|n| format!("{n:01000}\n")).collect();
    let keys = image.scratch.file("many.keys", keys);
    image.import().args(["-q", "-c", "many", "--keys"]).arg(keys).arg(vectors).finish().expect(0);
    let collections = ["f32", "f16", "bf16", "i8", "u8", "b1", "many"];
    for collection in collections {
        for ending in ["npy", "parquet"] {
            export(&image, collection, &image.scratch.path(&format!("{collection}.{ending}"))).expect(0);
        }
    }
    let folder = image.scratch.path("many.npy");
    python.run(
        "import sys, os, numpy as np, pyarrow as pa, pyarrow.parquet as pq
for c in ['f32', 'f16', 'bf16', 'i8', 'u8', 'b1', 'many']:
    file = os.path.join(os.path.dirname(sys.argv[1]), c)
    rows, table = np.load(file + '.npy'), pq.read_table(file + '.parquet')
    if c == 'bf16': rows = (rows.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    column = table['vector'].combine_chunks()
    assert column.type.value_type == pa.from_numpy_dtype(rows.dtype), (c, column.type)
    assert column.flatten().to_numpy(zero_copy_only=False).tobytes() == rows.tobytes(), c
    names = [f'{n:01000}' for n in range(6000)] if c == 'many' else list(range(len(rows)))
    assert table.column_names[0] == ('key' if c == 'many' else 'id') and table.column(0).to_pylist() == names, c
    groups = pq.ParquetFile(file + '.parquet').metadata.num_row_groups
    assert (groups > 1) == (c == 'many'), groups
",
        &[&folder],
    );
    let file = image.scratch.path("many.parquet");
    image.import().args(["-q", "-c", "back", "--keys", "key"]).arg(&file).finish().expect(0);
    assert!(image.rows("back") == image.rows("many"));
    image.assert_sound();
}

#[test]
fn formats_without_a_magic_come_by_name_or_by_flag() {
    let image = filled();
    let file = image.scratch.path("x.fvecs");
    export(&image, "f32", &file).expect(0);
    let bytes = std::fs::read(&file).expect("exported");
    assert_eq!((bytes.len(), &bytes[..4]), (37 * (4 + 64), &16_i32.to_le_bytes()[..]));
    let nameless = image.scratch.file("x.dat", &bytes);
    let run = image.import().args(["-c", "a"]).arg(&nameless).finish().expect(1);
    assert!(run.stderr.contains("--format fvecs"), "{}", run.stderr);
    image.import().args(["-q", "-c", "a", "--format", "fvecs"]).arg(&nameless).finish().expect(0);
    image.import().args(["-q", "-c", "b", "--format", "fvecs", "-"]).input(&bytes[..]).finish().expect(0);
    assert!(image.rows("a") == image.rows("f32") && image.rows("b") == image.rows("f32"));
    // Queries and their ground truth.
    let truth: Vec<u8> =
        (0..37_i32).flat_map(|row| [1_i32.to_le_bytes(), row.to_le_bytes()].concat()).collect();
    for (name, truth) in [("gt.ivecs", truth.clone()), ("gt", truth)] {
        let truth = image.scratch.file(name, truth);
        let query = image.query().args(["-c", "f32", "-k", "1", "-o", "csv"]).arg(&file);
        let run = query.arg("--ground-truth").arg(truth).finish().expect(0);
        assert!(run.stderr.contains("recall@1: 1.0000"), "{}", run.stderr);
        assert!(run.text().contains("36,1,36,0"), "{}", run.text());
    }
}

#[test]
fn malformed_files_are_named_with_the_place_and_leave_nothing() {
    let image = Image::new(2);
    let row = |dim: i32| [&dim.to_le_bytes()[..], &[0; 8]].concat();
    let nan = [&2_i32.to_le_bytes()[..], &[0, 0, 0, 0], &f32::NAN.to_le_bytes()].concat();
    let before = image.hash();
    for (name, bytes, problem) in [
        ("cut.fvecs", row(2)[..11].to_vec(), "cut.fvecs: row 0: ends after 11 of 12 bytes"),
        (
            "other.fvecs",
            [row(2), row(3)].concat(),
            "other.fvecs: row 1: claims 3 components, those before have 2",
        ),
        ("nan.fvecs", [row(2), nan].concat(), "nan.fvecs: row 1, column 1: NaN"),
        ("minus.fvecs", row(-2), "minus.fvecs: row 0: claims -2 components"),
        (
            "short.fbin",
            [9_u32, 2].iter().flat_map(|n| n.to_le_bytes()).chain([0; 9]).collect(),
            "truncated: header promises 80 bytes, file has 17",
        ),
        (
            "huge.u8bin",
            [u32::MAX; 2].iter().flat_map(|n| n.to_le_bytes()).collect(),
            "more than 1048576 components",
        ),
    ] {
        let file = image.scratch.file(name, bytes);
        let run = image.import().args(["-c", "new"]).arg(&file).finish().expect(1);
        assert!(run.stderr.contains(problem), "{name}: {}", run.stderr);
        assert!(!image.has("new"), "{name}");
    }
    assert!(image.hash() == before || !image.has("new"));
    image.assert_sound();
}

#[test]
fn faiss_and_numpy_read_what_is_exported() {
    let Some(python) = python::with("numpy") else { return };
    let image = filled();
    let (vecs, bin) = (image.scratch.path("x.fvecs"), image.scratch.path("x.fbin"));
    export(&image, "f16", &vecs).expect(0);
    export(&image, "f16", &bin).expect(0);
    let back = image.scratch.path("back.npy");
    python.run(
        "import sys, numpy as n
v = n.fromfile(sys.argv[1], '<i4').reshape(-1, 17)
assert (v[:, 0] == 16).all()
b = n.fromfile(sys.argv[2], '<f4')
assert tuple(b[:2].view('<u4')) == (37, 16)
assert (v[:, 1:].view('<f4') == b[2:].reshape(37, 16)).all()
n.save(sys.argv[3], b[2:].reshape(37, 16).astype('f2'))",
        &[&vecs, &bin, &back],
    );
    image.import().args(["-q", "-c", "back"]).arg(back).finish().expect(0);
    assert!(image.rows("back") == image.rows("f16"));
}

#[test]
fn datasets_of_h5py_come_in_whatever_way_they_are_stored() {
    let Some(python) = python::with("numpy, h5py") else { return };
    let image = Image::new(16);
    let file = image.scratch.path("x.h5");
    python.run(
        "import sys, numpy as n, h5py
rows = n.arange(900 * 12).reshape(900, 12) % 251
with h5py.File(sys.argv[1], 'w') as f:
    for name in ['f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8']:
        bound = 127 if name == 'i1' else 251
        for order in '<>':
            a = (rows % bound).astype(order + name)
            key = ('le_' if order == '<' else 'be_') + name
            f[key] = a
            f.create_dataset(key + '_gzip', data=a, chunks=(128, 5), compression='gzip', shuffle=True, fletcher32=True)
            f.create_dataset(key + '_lzf', data=a, chunks=(100, 12), compression='lzf', maxshape=(None, 12))
    f['ids'] = n.arange(900, dtype='>i8') * 3
    f['keys'] = ['row %d ü' % i for i in range(900)]
    f['neighbors'] = n.arange(900, dtype='i4').reshape(900, 1)",
        &[&file],
    );
    let part = |name: &str| format!("{}:/{name}", file.display());
    let expected = |bound: usize| -> Vec<f32> { (0..900 * 12).map(|n| (n % 251 % bound) as f32).collect() };
    for name in ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8"] {
        let expected: Vec<u8> =
            expected(if name == "i1" { 127 } else { 251 }).iter().flat_map(|x| x.to_le_bytes()).collect();
        for kind in ["le_X", "be_X", "le_X_gzip", "be_X_gzip", "le_X_lzf", "be_X_lzf"] {
            let dataset = kind.replace('X', name);
            let import = image.import().args(["-q", "-c", &dataset, "--dtype", "f32"]);
            import.arg(part(&dataset)).finish().expect(0);
            assert!(image.rows(&dataset) == expected, "{dataset}");
        }
    }
    let import = image.import().args(["-q", "-c", "ids", "--ids", &part("ids"), &part("le_f2")]);
    import.finish().expect(0);
    let import = image.import().args(["-q", "-c", "keys", "--keys", &part("keys"), &part("le_u1_gzip")]);
    import.finish().expect(0);
    let query = image.query().args(["-q", "-c", "ids", "-k", "1", "-o", "csv", "--vector"]);
    let run = query.arg("24,25,26,27,28,29,30,31,32,33,34,35").finish().expect(0);
    assert!(run.text().contains("0,1,6,0"), "{}", run.text());
    let query = image.query().args(["-c", "keys", "-k", "1", "-o", "csv", "--id", "row 899 ü"]);
    // Rows repeat after 251: of those that are the same, the first.
    let run = query.finish().expect(0);
    assert!(run.text().contains("row 146 ü"), "{}", run.text());
    let query = image.query().args(["-c", "le_f4", "-k", "1", "--ground-truth", &part("neighbors")]);
    let run = query.arg(part("be_f8")).finish().expect(0);
    assert!(run.stderr.contains("recall@1: 1.0000"), "{}", run.stderr);

    let run = image.import().args(["-c", "new"]).arg(&file).finish().expect(1);
    assert!(run.stderr.contains("name one dataset, as FILE:/NAME; /be_f2, /be_f2_gzip"), "{}", run.stderr);
    let run =
        image.import().args(["-c", "new", "--format", "hdf5", "-"]).input(&b"\x89HDF"[..]).finish().expect(1);
    assert!(run.stderr.contains("hdf5 is read from a file, not from a stream"), "{}", run.stderr);
    image.assert_sound();
}

#[test]
fn arrays_of_numpy_savez_come_stored_and_compressed() {
    let Some(python) = python::with("numpy") else { return };
    let image = Image::new(16);
    let [stored, compressed, alone] = ["s.npz", "c.npz", "a.npz"].map(|name| image.scratch.path(name));
    python.run(
        "import sys, numpy as n
rows = (n.arange(900 * 12).reshape(900, 12) % 251).astype('u1')
parts = dict(rows=rows, columns=n.asfortranarray(rows), half=rows.astype('>f2'), ids=n.arange(900) * 7)
n.savez(sys.argv[1], **parts)
n.savez_compressed(sys.argv[2], **parts)
n.savez(sys.argv[3], rows)",
        &[&stored, &compressed, &alone],
    );
    let expected: Vec<u8> = (0..900 * 12).map(|n| (n % 251) as u8).collect();
    let mut count = 0;
    let mut same = |file: String, ids: Option<String>| {
        let collection = format!("c{count}");
        count += 1;
        let mut import = image.import().args(["-q", "-c", &collection, "--dtype", "u8", &file]);
        if let Some(ids) = ids {
            import = import.args(["--ids", &ids]);
        }
        import.finish().expect(0);
        assert!(image.rows(&collection) == expected, "{file}");
    };
    same(alone.display().to_string(), None);
    for file in [&stored, &compressed] {
        let part = |name: &str| format!("{}:{name}", file.display());
        same(part("rows"), Some(part("ids")));
        same(part("half"), None);
    }
    same(format!("{}:columns", stored.display()), None);
    let columns = format!("{}:columns", compressed.display());
    let run = image.import().args(["-c", "new", &columns]).finish().expect(1);
    assert!(run.stderr.contains("fortran_order array on a stream"), "{}", run.stderr);
    image.assert_sound();
}
