//! Every kind of array that can be read, into every kind of collection that can take it.

mod image;

use half::{bf16, f16};
use image::{Image, npy};

/// An element type of numpy: its descriptor, the type a collection of it gets, and the bytes of a small number.
type Kind = (&'static str, &'static str, fn(f64) -> Vec<u8>);

/// What `numpy.save` writes, in both byte orders.
const KINDS: [Kind; 21] = [
    ("<f2", "f16", |x| f16::from_f64(x).to_le_bytes().to_vec()),
    (">f2", "f16", |x| f16::from_f64(x).to_be_bytes().to_vec()),
    ("<f4", "f32", |x| (x as f32).to_le_bytes().to_vec()),
    (">f4", "f32", |x| (x as f32).to_be_bytes().to_vec()),
    ("<f8", "f32", |x| x.to_le_bytes().to_vec()),
    (">f8", "f32", |x| x.to_be_bytes().to_vec()),
    ("|i1", "i8", |x| (x as i8).to_le_bytes().to_vec()),
    ("<i2", "f32", |x| (x as i16).to_le_bytes().to_vec()),
    (">i2", "f32", |x| (x as i16).to_be_bytes().to_vec()),
    ("<i4", "f32", |x| (x as i32).to_le_bytes().to_vec()),
    (">i4", "f32", |x| (x as i32).to_be_bytes().to_vec()),
    ("<i8", "f32", |x| (x as i64).to_le_bytes().to_vec()),
    (">i8", "f32", |x| (x as i64).to_be_bytes().to_vec()),
    ("|u1", "u8", |x| vec![x as u8]),
    ("<u2", "f32", |x| (x as u16).to_le_bytes().to_vec()),
    (">u2", "f32", |x| (x as u16).to_be_bytes().to_vec()),
    ("<u4", "f32", |x| (x as u32).to_le_bytes().to_vec()),
    (">u4", "f32", |x| (x as u32).to_be_bytes().to_vec()),
    ("<u8", "f32", |x| (x as u64).to_le_bytes().to_vec()),
    (">u8", "f32", |x| (x as u64).to_be_bytes().to_vec()),
    ("|b1", "b1", |x| vec![x as u8]),
];

const ROWS: usize = 7;
const DIM: usize = 11;

/// The number at a place of the array: small, whole, and not negative where the type has no sign.
fn value(descr: &str, row: usize, column: usize) -> f64 {
    let n = (row * DIM + column) as f64;
    match &descr[1..] {
        "b1" => f64::from((n as u32 * 7).is_multiple_of(3)),
        kind if kind.starts_with('u') => n,
        _ => n - 40.0,
    }
}

/// The array in one order of its elements.
fn array(descr: &str, bytes: fn(f64) -> Vec<u8>, fortran: bool) -> Vec<u8> {
    let mut data = Vec::new();
    for i in 0..ROWS * DIM {
        let (row, column) = if fortran { (i % ROWS, i / ROWS) } else { (i / DIM, i % DIM) };
        data.extend(bytes(value(descr, row, column)));
    }
    npy(descr, fortran, &[ROWS, DIM], &data)
}

/// The rows as the collection holds them.
fn packed(dtype: &str, value: impl Fn(usize, usize) -> f64) -> Vec<u8> {
    let mut rows = Vec::new();
    for row in 0..ROWS {
        let elements = (0..DIM).map(|column| value(row, column));
        match dtype {
            "f32" => rows.extend(elements.flat_map(|x| (x as f32).to_le_bytes())),
            "f16" => rows.extend(elements.flat_map(|x| f16::from_f64(x).to_le_bytes())),
            "bf16" => rows.extend(elements.flat_map(|x| bf16::from_f64(x).to_le_bytes())),
            "i8" => rows.extend(elements.map(|x| x as i8 as u8)),
            "u8" => rows.extend(elements.map(|x| x as u8)),
            "b1" => {
                let mut bits = vec![0_u8; DIM.div_ceil(8)];
                elements.enumerate().for_each(|(j, x)| bits[j / 8] |= (x as u8) << (j % 8));
                rows.extend(bits);
            }
            other => panic!("{other}"),
        }
    }
    rows
}

#[test]
fn every_array_makes_the_collection_of_its_type() {
    let image = Image::new(4);
    for (descr, dtype, bytes) in KINDS {
        for fortran in [false, true] {
            let name = format!("{}-{fortran}", descr.replace(['<', '|'], "").replace('>', "big-"));
            let file = image.scratch.file("x.npy", array(descr, bytes, fortran));
            image.import().args(["-q", "-c", &name]).arg(file).finish().expect(0);
            let metric = if dtype == "b1" { "hamming" } else { "l2" };
            assert_eq!(image.kind(&name), format!("{DIM} {dtype} {metric} {ROWS}"), "{descr} {fortran}");
            let expected = packed(dtype, |row, column| value(descr, row, column));
            assert!(image.rows(&name) == expected, "{descr} fortran_order {fortran}");
        }
    }
    image.assert_sound();
}

#[test]
fn the_same_arrays_come_through_a_pipe_unless_their_rows_end_with_it() {
    let image = Image::new(4);
    for (n, (descr, dtype, bytes)) in KINDS.into_iter().enumerate() {
        let name = format!("c{n}");
        image.import().args(["-q", "-c", &name, "-"]).input(array(descr, bytes, false)).finish().expect(0);
        assert!(image.rows(&name) == packed(dtype, |r, c| value(descr, r, c)), "{descr}");
    }
    let before = image.hash();
    let column_major = array("<f4", KINDS[2].2, true);
    let run = image.import().args(["-c", "columns", "-"]).input(column_major).finish().expect(1);
    assert!(run.stderr.contains("standard input: fortran_order"), "{}", run.stderr);
    assert_eq!(image.hash(), before);
}

#[test]
fn each_type_is_converted_to_each_that_holds_its_numbers() {
    let image = Image::new(4);
    for dtype in ["f32", "f16", "bf16", "i8", "u8", "b1"] {
        for (descr, _, bytes) in [KINDS[0], KINDS[3], KINDS[4], KINDS[6], KINDS[12], KINDS[13], KINDS[20]] {
            if dtype == "b1" && descr == "|u1" {
                continue; // packed bits: see below
            }
            // 0 and 1 are numbers of every type.
            let value = |row: usize, column: usize| f64::from((row * 5 + column * 3).is_multiple_of(4));
            let data: Vec<u8> = (0..ROWS * DIM).flat_map(|i| bytes(value(i / DIM, i % DIM))).collect();
            let file = image.scratch.file("x.npy", npy(descr, false, &[ROWS, DIM], &data));
            let name = format!("{dtype}-from-{}", descr.replace(['<', '|'], "").replace('>', "big-"));
            image.import().args(["-q", "-c", &name, "--dtype", dtype]).arg(&file).finish().expect(0);
            assert!(image.rows(&name) == packed(dtype, value), "{descr} to {dtype}");
            // A second import finds the collection, and converts to its type without being told.
            image.import().args(["-q", "-c", &name]).arg(&file).finish().expect(0);
            assert_eq!(image.rows(&name), [packed(dtype, value), packed(dtype, value)].concat());
        }
    }
    image.assert_sound();
}

#[test]
fn numbers_that_a_type_cannot_hold_are_refused_by_row_and_column() {
    let image = Image::new(4);
    let before = image.hash();
    for (dtype, bad) in
        [("f16", 70_000.0), ("i8", 128.0), ("i8", 0.5), ("u8", -1.0), ("u8", 256.0), ("b1", 2.0)]
    {
        let mut values = vec![1.0_f32; 12];
        values[7] = bad;
        let file = image.scratch.npy("x.npy", 3, &values);
        let run = image.import().args(["-c", "new", "--dtype", dtype]).arg(file).finish().expect(1);
        assert!(run.stderr.contains("x.npy: row 2, column 1: "), "{dtype} {bad}: {}", run.stderr);
        assert_eq!(image.hash(), before, "{dtype} {bad}");
    }
    // Whole numbers that f32 would round: 2^24 + 1.
    let data: Vec<u8> = [1_i64, 16_777_217].iter().flat_map(|x| x.to_le_bytes()).collect();
    let file = image.scratch.file("x.npy", npy("<i8", false, &[2, 1], &data));
    let run = image.import().args(["-c", "new"]).arg(file).finish().expect(1);
    assert!(run.stderr.contains("row 1, column 0: 16777217 does not fit"), "{}", run.stderr);
    assert_eq!(image.hash(), before);
}

#[test]
fn bytes_are_taken_for_packed_bits() {
    let image = Image::new(4);
    let data: Vec<u8> = (0..30_u8).map(|i| i.wrapping_mul(37)).collect();
    let file = image.scratch.file("bits.npy", npy("|u1", false, &[10, 3], &data));
    image.import().args(["-q", "-c", "bits", "--dtype", "b1"]).arg(file).finish().expect(0);
    assert_eq!(image.kind("bits"), "24 b1 hamming 10");
    assert_eq!(image.rows("bits"), data);

    // 20 of 24 bits count; the others must be zero.
    let short = Image::made_by(&["-D", "20", "--dtype", "b1", "--metric", "hamming"], "24M");
    let fitting: Vec<u8> =
        data.iter().zip(0..).map(|(b, i)| if i % 3 == 2 { b & 0x0F } else { *b }).collect();
    let file = short.scratch.file("fit.npy", npy("|u1", false, &[10, 3], &fitting));
    short.import().arg("-q").arg(file).finish().expect(0);
    assert_eq!(short.rows("vectors"), fitting);
    let mut beyond = fitting;
    beyond[3 * 6 + 2] |= 0x10;
    let file = short.scratch.file("long.npy", npy("|u1", false, &[10, 3], &beyond));
    let run = short.import().arg(file).finish().expect(1);
    assert!(run.stderr.contains("long.npy: row 6: has bits set behind the last dimension"), "{}", run.stderr);
    assert_eq!(short.rows("vectors").len(), 30);
    short.assert_sound();
}

#[test]
fn bfloat16_is_read_where_it_is_asked_for() {
    let image = Image::new(4);
    let values = [1.5, -2.25, 0.0, 3.0e38, 1.0, -1.0];
    let data: Vec<u8> = values.iter().flat_map(|&x| bf16::from_f64(x).to_le_bytes()).collect();
    let file = image.scratch.file("b.npy", npy("<V2", false, &[2, 3], &data));
    let run = image.import().args(["-c", "brain"]).arg(&file).finish().expect(1);
    assert!(run.stderr.contains("b.npy: ") && run.stderr.contains("bf16"), "{}", run.stderr);
    image.import().args(["-q", "-c", "brain", "--dtype", "bf16"]).arg(&file).finish().expect(0);
    image.import().args(["-q", "-c", "brain"]).arg(&file).finish().expect(0);
    assert_eq!(image.kind("brain"), "3 bf16 l2 4");
    assert_eq!(image.rows("brain"), [data.clone(), data].concat());
}
