//! The npy reader and writer against files that numpy has written (`testdata/npy/make.py`).

#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use half::{bf16, f16};
use vexfs_io::{
    ArraySpec, ElementType, NpyReader, NpyWriter, OpenOptions, RowSource, TargetType, open, open_stream,
    read_matrix_f32, read_matrix_u64,
};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/npy").join(format!("{name}.npy"))
}

fn read(name: &str) -> Vec<u8> {
    fs::read(fixture(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// All rows of a source, by slabs of `max_rows`.
fn drain(source: &mut dyn RowSource, max_rows: usize) -> Result<Vec<u8>, String> {
    let (mut all, mut slab) = (Vec::new(), Vec::new());
    loop {
        let rows = source.read_rows(&mut slab, max_rows).map_err(|error| error.to_string())?;
        assert_eq!(slab.len(), rows * source.target().row_bytes(source.dim()));
        assert!(rows <= max_rows);
        if rows == 0 {
            return Ok(all);
        }
        all.extend_from_slice(&slab);
    }
}

fn open_error(name: &str, options: &OpenOptions) -> String {
    match open(&fixture(name), options) {
        Ok(mut source) => drain(&mut *source, 100).expect_err(name),
        Err(error) => error.to_string(),
    }
}

fn target(target: TargetType) -> OpenOptions {
    OpenOptions { target: Some(target), ..OpenOptions::default() }
}

/// The 5 × 3 values of the files in `types/`, as make.py computes them.
fn values(kind: &str) -> Vec<f64> {
    (0..15)
        .map(|index| match &kind[..1] {
            _ if kind == "b1" => f64::from(index % 2),
            "f" | "b" => f64::from(index - 7) * 0.25,
            "i" => f64::from(index - 7),
            _ => f64::from(index * 17),
        })
        .collect()
}

fn as_f32(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect()
}

const KINDS: [(&str, ElementType); 13] = [
    ("f2", ElementType::F16),
    ("f4", ElementType::F32),
    ("f8", ElementType::F64),
    ("i1", ElementType::I8),
    ("i2", ElementType::I16),
    ("i4", ElementType::I32),
    ("i8", ElementType::I64),
    ("u1", ElementType::U8),
    ("u2", ElementType::U16),
    ("u4", ElementType::U32),
    ("u8", ElementType::U64),
    ("b1", ElementType::Bool),
    ("bf16", ElementType::BF16),
];

#[test]
fn every_type_byte_order_and_axis_order_gives_the_same_rows_from_files_and_streams() {
    let mut files = 0;
    for (kind, element) in KINDS {
        for end in ["le", "be"] {
            for order in ["c", "f"] {
                let name = format!("types/{kind}_{end}_{order}");
                if !fixture(&name).exists() {
                    assert_eq!(end, "be", "{name} is missing");
                    continue;
                }
                files += 1;
                let options = OpenOptions { bf16: true, ..target(TargetType::F32) };
                for (memory, max_rows) in [(usize::MAX, 100), (1, 1), (50, 2), (0, 3)] {
                    let options = OpenOptions { memory, ..options.clone() };
                    let mut source = open(&fixture(&name), &options).unwrap();
                    assert_eq!(
                        (source.rows(), source.dim(), source.element()),
                        (Some(5), 3, element),
                        "{name}"
                    );
                    assert_eq!(drain(&mut *source, max_rows).unwrap(), as_f32(&values(kind)), "{name}");
                }
                let stream = open_stream(Cursor::new(read(&name)), "standard input", &options);
                match (order, stream) {
                    ("c", stream) => {
                        assert_eq!(drain(&mut *stream.unwrap(), 2).unwrap(), as_f32(&values(kind)), "{name}");
                    }
                    (_, Ok(_)) => panic!("{name}: column-major from a stream"),
                    (_, Err(error)) => {
                        assert!(error.to_string().contains("numpy.ascontiguousarray"), "{error}")
                    }
                }
            }
        }
    }
    assert_eq!(files, 44);
}

#[test]
fn without_a_target_each_type_takes_its_own() {
    for (kind, element) in KINDS {
        let name = format!("types/{kind}_le_f");
        let options = OpenOptions { bf16: true, ..OpenOptions::default() };
        let mut source = open(&fixture(&name), &options).unwrap();
        assert_eq!(source.target(), element.default_target(), "{name}");
        let rows = drain(&mut *source, 2).unwrap();
        let values = values(kind);
        let expected: Vec<u8> = match element.default_target() {
            TargetType::F32 => as_f32(&values),
            TargetType::F16 => values.iter().flat_map(|v| f16::from_f64(*v).to_le_bytes()).collect(),
            TargetType::BF16 => values.iter().flat_map(|v| bf16::from_f64(*v).to_le_bytes()).collect(),
            TargetType::I8 => values.iter().map(|v| *v as i8 as u8).collect(),
            TargetType::U8 => values.iter().map(|v| *v as u8).collect(),
            TargetType::B1 => vec![0b010, 0b101, 0b010, 0b101, 0b010],
        };
        assert_eq!(rows, expected, "{name}");
    }
}

#[test]
fn the_writer_gives_the_bytes_that_numpy_gives() {
    for (kind, element) in KINDS {
        let name = format!("types/{kind}_le_c");
        let file = read(&name);
        let rows = &file[128..];
        let mut writer =
            NpyWriter::counting(Cursor::new(Vec::new()), &name, ArraySpec::matrix(element, 3)).unwrap();
        rows.chunks(3 * element.bytes()).for_each(|row| writer.write_rows(row).unwrap());
        assert_eq!(writer.finish().unwrap().into_inner(), file, "{name}");
    }
    for (name, spec) in [
        ("zero_rows", ArraySpec::matrix(ElementType::F32, 4)),
        ("one_axis", ArraySpec::list(ElementType::F32)),
        ("ids_i8", ArraySpec::list(ElementType::I64)),
        ("bits_packed", ArraySpec::packed(TargetType::B1, 21)),
        ("types/bf16_le_c", ArraySpec::packed(TargetType::BF16, 3)),
    ] {
        let file = read(name);
        let rows = (file.len() - 128) / spec.row_bytes();
        let mut writer = NpyWriter::promising(Vec::new(), name, spec, rows as u64).unwrap();
        writer.write_rows(&file[128..]).unwrap();
        assert_eq!(writer.finish().unwrap(), file, "{name}");
    }
}

#[test]
fn a_file_is_written_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.npy");
    drop(NpyWriter::create(&path, ArraySpec::matrix(ElementType::F32, 3)).unwrap());
    assert!(open(&path, &OpenOptions::default()).is_err(), "a file never begun is not an empty array");
    let mut writer = NpyWriter::create(&path, ArraySpec::matrix(ElementType::F32, 3)).unwrap();
    writer.write_rows(&read("types/f4_le_c")[128..]).unwrap();
    assert!(open(&path, &OpenOptions::default()).is_err(), "an unfinished file is not taken for a whole one");
    writer.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), read("types/f4_le_c"));
    let error = NpyWriter::create(folder.path(), ArraySpec::list(ElementType::U8)).map(drop).unwrap_err();
    assert!(error.to_string().contains("is a directory"), "{error}");
}

#[test]
fn rounding_is_that_of_numpy() {
    let wide = read("round_f8");
    for (name, target_type) in [("round_f4", TargetType::F32), ("round_f2", TargetType::F16)] {
        let mut source = NpyReader::from_file(wide.clone(), "round_f8", &target(target_type)).unwrap();
        assert_eq!(drain(&mut source, 7).unwrap(), read(name)[128..], "{name}");
    }
}

#[test]
fn all_header_versions_and_empty_arrays_are_read() {
    for name in ["version2", "version3"] {
        let matrix = read_matrix_f32(&fixture(name), &OpenOptions::default()).unwrap();
        assert_eq!((matrix.rows, matrix.columns), (4, 3));
        assert_eq!(matrix.values, (0..12).map(|i| i as f32 * 0.5).collect::<Vec<_>>());
        assert_eq!(matrix.row(1), [1.5, 2.0, 2.5]);
    }
    let mut source = open(&fixture("zero_rows"), &OpenOptions::default()).unwrap();
    assert_eq!((source.rows(), source.dim()), (Some(0), 4));
    assert_eq!(source.read_rows(&mut vec![1, 2], 10).unwrap(), 0);
    assert!(open_stream(Cursor::new(read("zero_rows")), "x", &OpenOptions::default()).is_ok());
}

#[test]
fn one_axis_is_a_vector_only_where_that_is_wanted() {
    let error = open_error("one_axis", &OpenOptions::default());
    assert!(error.contains("shape (3,): one axis") && error.contains("reshape(1, -1)"), "{error}");
    let options = OpenOptions { single_vector: true, ..OpenOptions::default() };
    let mut source = NpyReader::from_file(read("one_axis"), "x", &options).unwrap();
    assert_eq!((source.header().ndim(), source.rows(), source.dim()), (1, Some(1), 3));
    assert_eq!(drain(&mut source, 9).unwrap(), as_f32(&[0.5, 1.5, -2.5]));
    for (name, expected) in [
        ("scalar", "shape (): a single number"),
        ("three_axes", "shape (2, 3, 4): too many axes"),
        ("zero_columns", "shape (4, 0): vectors without components"),
    ] {
        let error = open_error(name, &options);
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn types_that_hold_no_vectors_are_refused_by_name() {
    for (name, expected) in [
        ("object", "`|O` (object)"),
        ("str", "`<U2` (str)"),
        ("bytes", "`|S2` (bytes)"),
        ("complex64", "`<c8` (complex64)"),
        ("datetime64", "`<M8[ns]` (datetime64)"),
        ("longdouble", "`<f16` (longdouble)"),
        ("structured", "`[('id', '<i8'), ('vector', '<f4', (3,))]` (structured)"),
        ("types/bf16_le_c", "`<V2` (two-byte void) holds no vectors; if it is bfloat16, ask for bf16"),
    ] {
        let error = open_error(name, &OpenOptions::default());
        assert!(error.contains(expected), "{error}");
    }
    let mut source = open(&fixture("types/bf16_le_c"), &target(TargetType::BF16)).unwrap();
    assert_eq!(drain(&mut *source, 9).unwrap(), read("types/bf16_le_c")[128..]);
}

#[test]
fn a_bad_value_is_named_by_row_and_column_and_ends_the_source() {
    for (name, options, expected) in [
        ("nan_f4_c", OpenOptions::default(), "row 2, column 1: NaN; vectors hold finite numbers only"),
        ("nan_f4_f", OpenOptions::default(), "row 2, column 1: NaN"),
        ("nan_f4_f", target(TargetType::F16), "row 2, column 1: NaN"),
        ("inf_f2", OpenOptions::default(), "row 2, column 1: -infinity"),
        ("inf_f2", target(TargetType::F32), "row 2, column 1: -infinity"),
        ("nan_f8_be", OpenOptions::default(), "row 2, column 1: NaN"),
        ("nan_f8_be", target(TargetType::B1), "row 2, column 1: NaN"),
        ("overflow_f8", OpenOptions::default(), "row 2, column 1: 1e39 does not fit f32"),
        ("inexact_i4", OpenOptions::default(), "row 2, column 1: 16777217 does not fit f32"),
        ("inexact_i4", target(TargetType::U8), "row 2, column 1: 16777217 does not fit u8"),
        ("types/f4_le_c", target(TargetType::U8), "row 0, column 0: -1.75 does not fit u8"),
    ] {
        for max_rows in [1, 2, 100] {
            let mut source = open(&fixture(name), &options).unwrap();
            let mut slab = Vec::new();
            let error = loop {
                match source.read_rows(&mut slab, max_rows) {
                    Ok(0) => panic!("{name}: no error"),
                    Ok(_) => {}
                    Err(error) => break error.to_string(),
                }
            };
            assert!(error.contains(expected) && error.contains(name), "{error}");
            assert!(slab.is_empty());
            assert_eq!(source.read_rows(&mut slab, 1).unwrap(), 0);
        }
    }
}

#[test]
fn bits_come_from_bool_or_packed_u8() {
    let mut from_bool = open(&fixture("bits_bool"), &OpenOptions::default()).unwrap();
    assert_eq!((from_bool.target(), from_bool.dim()), (TargetType::B1, 21));
    let mut from_packed = open(&fixture("bits_packed"), &target(TargetType::B1)).unwrap();
    assert_eq!(from_packed.dim(), 24);
    let packed = read("bits_packed")[128..].to_vec();
    assert_eq!(drain(&mut *from_bool, 2).unwrap(), packed);
    assert_eq!(drain(&mut *from_packed, 2).unwrap(), packed);
}

#[test]
fn a_wrong_length_is_an_error_with_both_lengths() {
    let whole = read("types/f4_le_c");
    let column_major = read("types/f4_le_f");
    for (file, length, row) in [
        (&whole, whole.len() - 1, 4),
        (&whole, whole.len() - 13, 3),
        (&whole, 128 + 12, 1),
        (&whole, 128, 0),
        (&column_major, whole.len() - 1, 4),
        (&column_major, whole.len() - 20, 0),
        (&column_major, whole.len() - 21, 0),
        (&column_major, whole.len() - 16, 1),
    ] {
        let error = NpyReader::from_file(file[..length].to_vec(), "x", &OpenOptions::default());
        let expected = format!(
            "x: truncated: header promises 188 bytes, file has {length} (row {row} is the first incomplete one)"
        );
        assert_eq!(error.map(drop).unwrap_err().to_string(), expected);
    }
    let longer = [&whole[..], b"\n"].concat();
    let error = NpyReader::from_file(longer.clone(), "x", &OpenOptions::default()).map(drop).unwrap_err();
    assert!(error.to_string().contains("header promises 188 bytes, file has 189"), "{error}");

    let stream = |bytes: &[u8]| {
        let mut source = open_stream(Cursor::new(bytes.to_vec()), "x", &OpenOptions::default())
            .map_err(|e| e.to_string())?;
        drain(&mut *source, 2)
    };
    assert_eq!(stream(&whole).unwrap(), whole[128..]);
    assert!(stream(&whole[..160]).unwrap_err().contains("file has 160 (row 2 is"));
    assert!(
        stream(&longer)
            .unwrap_err()
            .contains("byte 188: trailing data: header promises 188 bytes, more follow")
    );
    let empty = [&read("zero_rows")[..], b"x"].concat();
    assert!(stream(&empty).unwrap_err().contains("trailing"));
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_truncated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shrinks.npy");
    for name in ["types/f4_le_c", "types/f4_le_f"] {
        fs::write(&path, read(name)).unwrap();
        let options = OpenOptions { memory: 1, ..OpenOptions::default() };
        let mut source = open(&path, &options).unwrap();
        let mut rows = Vec::new();
        source.read_rows(&mut rows, 1).unwrap();
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(130).unwrap();
        let error = source.read_rows(&mut rows, 4).unwrap_err().to_string();
        assert!(error.contains("file has 130 (row 0 is"), "{error}");
    }
}

#[test]
fn promises_no_file_can_keep_are_refused_without_memory() {
    for (shape, expected) in [
        ("(18446744073709551615, 4)", "more bytes than a file can have"),
        ("(4611686018427387904, 1)", "more bytes than a file can have"),
        ("(2305843009213693951, 1)", "more bytes than a file can have"),
        ("(2305843009213693919, 1)", "truncated: header promises"),
        ("(0, 18446744073709551615)", "more than 1048576 components"),
        ("(1, 1048577)", "more than 1048576 components"),
        ("(1000000000, 1048576)", "truncated: header promises"),
    ] {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text.as_bytes());
        let error = NpyReader::from_file(file.clone(), "x", &OpenOptions::default()).map(drop).unwrap_err();
        assert!(error.to_string().contains(expected), "{shape}: {error}");

        // From a stream the promise cannot be checked, but it costs nothing either: not even a caller that asks for
        // everything at once gets more memory than rows.
        if let Ok(mut source) = open_stream(Cursor::new(file), "x", &OpenOptions::default()) {
            let mut rows = Vec::new();
            let error = source.read_rows(&mut rows, usize::MAX).unwrap_err().to_string();
            assert!(error.contains("row 0 is the first incomplete one"), "{error}");
            assert!(rows.capacity() <= 16 << 20, "{} bytes", rows.capacity());
        }
    }
}

#[test]
fn an_array_of_many_pieces_is_read_as_one_of_few() {
    // 3,000 × 333 f32 is four megabytes: many times what is read at once, with no boundary in step with another.
    let (rows, columns) = (3000u32, 333u32);
    let value = |row: u32, column: u32| (row * columns + column).wrapping_mul(2_654_435_761) as f32;
    let expected: Vec<u8> =
        (0..rows).flat_map(|r| (0..columns).flat_map(move |c| value(r, c).to_le_bytes())).collect();
    let file = |order: &str, data: &[u8]| {
        let text = format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': ({rows}, {columns})}}\n");
        let mut file = b"\x93NUMPY\x01\x00".to_vec();
        file.extend((text.len() as u16).to_le_bytes());
        file.extend(text.as_bytes());
        file.extend(data);
        file
    };
    let transposed: Vec<u8> =
        (0..columns).flat_map(|c| (0..rows).flat_map(move |r| value(r, c).to_le_bytes())).collect();
    let row_major = file("False", &expected);
    let column_major = file("True", &transposed);
    for max_rows in [1, 197, 1024, usize::MAX] {
        for memory in [0, 1 << 20, usize::MAX] {
            let options = OpenOptions { memory, ..OpenOptions::default() };
            for bytes in [&row_major, &column_major] {
                let mut source = NpyReader::from_file(bytes.clone(), "x", &options).unwrap();
                assert!(
                    drain(&mut source, max_rows).unwrap() == expected,
                    "{max_rows} rows, memory {memory}"
                );
            }
        }
        let mut stream =
            NpyReader::from_stream(Cursor::new(row_major.clone()), "x", &OpenOptions::default()).unwrap();
        assert!(drain(&mut stream, max_rows).unwrap() == expected, "{max_rows} rows from a stream");
    }

    // The last number of the last piece, and one beyond the first piece.
    for index in [expected.len() - 4, 300 << 10] {
        let (row, column) = ((index / 4) as u32 / columns, (index / 4) as u32 % columns);
        let mut spoilt = expected.clone();
        spoilt[index..index + 4].copy_from_slice(&f32::NAN.to_le_bytes());
        for target_type in [TargetType::F32, TargetType::BF16] {
            let mut source = NpyReader::from_file(file("False", &spoilt), "x", &target(target_type)).unwrap();
            let error = drain(&mut source, usize::MAX).unwrap_err();
            assert!(error.contains(&format!("row {row}, column {column}: NaN")), "{error}");
        }
    }
}

#[test]
fn ground_truth_is_read_as_row_numbers() {
    let matrix = read_matrix_u64(&fixture("neighbors_i4"), &OpenOptions::default()).unwrap();
    assert_eq!((matrix.rows, matrix.columns, &matrix.values[..]), (2, 3, &[3, 1, 2, 0, 2, 1][..]));
    assert_eq!(
        read_matrix_u64(&fixture("ids_i8"), &OpenOptions::default()).unwrap().row(0),
        [5, 0, 1 << 62, 7]
    );
    assert_eq!(
        read_matrix_u64(&fixture("types/u2_be_f"), &OpenOptions::default()).unwrap().row(1),
        [51, 68, 85]
    );
    for (name, expected) in [
        ("types/i4_le_c", "row 0, column 0: -7 is negative"),
        ("types/f4_le_c", "elements are float32, expected an integer type"),
        ("types/b1_le_c", "elements are bool, expected an integer type"),
    ] {
        let error = read_matrix_u64(&fixture(name), &OpenOptions::default()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let ids: Vec<u64> = vexfs_io::IdReader::open(&fixture("ids_i8")).unwrap().map(Result::unwrap).collect();
    assert_eq!(ids, [5, 0, 1 << 62, 7]);
    let error = vexfs_io::IdReader::open(&fixture("ids_negative")).unwrap().find_map(Result::err).unwrap();
    assert!(error.to_string().contains("row 2: -3 is negative"), "{error}");
}
