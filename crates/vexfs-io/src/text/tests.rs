//! Texts of vectors, good and bad.

use super::*;

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

fn f32_vector(text: &str) -> Result<Vec<f32>, String> {
    parse_vector(text, TargetType::F32).map(|v| floats(&v.bytes)).map_err(|error| error.to_string())
}

#[test]
fn every_spelling_of_a_vector_is_read() {
    for text in [
        "0.5,-2,3e2",
        "0.5 -2 300",
        "  0.5 ,\t-2 , 3E+2  ",
        "[0.5, -2, 300.0]",
        " [.5 -2. +300] ",
        "{\"vector\": [0.5, -2, 300]}",
        "{\"numbers\": [0.5, -2, 300], \"words\": [\"a\"], \"none\": []}",
        " {\"id\": \"{[\", \"payload\": {\"vector\": [1]}, \"vector\":[5e-1,-2.0,300], \"x\": null} ",
    ] {
        assert_eq!(f32_vector(text).unwrap(), [0.5, -2.0, 300.0], "{text}");
    }
    assert_eq!(f32_vector("7").unwrap(), [7.0]);
}

#[test]
fn a_malformed_vector_is_refused_at_its_character() {
    for (text, expected) in [
        ("", "line 1, column 1: found the end of the line, expected a number"),
        ("[]", "column 2: found `]`, expected a number"),
        ("1,,2", "column 3: found `,`, expected a number"),
        ("1,2,", "column 5: found the end of the line, expected a number"),
        ("[1,2", "column 5: found the end of the line, expected ',' or ']'"),
        ("[1,2] 3", "column 7: found `3`, expected the end of the line after ']'"),
        ("[[1,2],[3,4]]", "column 2: found `[`, expected a number"),
        ("1 2]", "column 4: found `]`, expected a number"),
        ("0.1 0x10", "column 5: found `0x10`, expected a number"),
        ("0.1 ½", "column 5: found `½`, expected a number"),
        ("1 nan", "column 3: NaN; vectors hold finite numbers only"),
        ("[1, -inf]", "column 5: -infinity"),
        ("1 1e999", "column 3: 1e999 does not fit f32"),
        ("1 1e39", "column 3: 1e39 does not fit f32"),
        ("{\"vector\": 1, \"vector\": 2}", "found two members `vector`"),
        ("{\"a\": [1], \"b\": [2]}", "name the column of the vectors, as FILE:COLUMN; a, b"),
        ("{\"a\": 1}", "name the column of the vectors"),
        ("{\"vector\": [1]", "malformed JSON object"),
        ("{\"é\": 0, \"vector\": [1, x]}", "malformed JSON object"),
        ("{\"é\": 0, \"vector\": [1, \"x\"]}", "column 24: found `\"x\"`, expected a number"),
        ("{\"vector\": \"1,2\"}", "column 12: found `\"1`, expected a number"),
    ] {
        let error = f32_vector(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
    let deep = format!("{{\"x\": {}", "[".repeat(1 << 20));
    assert!(f32_vector(&deep).unwrap_err().contains("malformed JSON object"));
    let long = "1 ".repeat(crate::MAX_DIM + 1);
    assert!(f32_vector(&long).unwrap_err().contains("at most 1048576 components"));
}

#[test]
fn a_vector_is_packed_as_the_target_wants_it() {
    assert_eq!(parse_vector("1 -128 127", TargetType::I8).unwrap().bytes, [1, 0x80, 0x7f]);
    let bits = parse_vector("1 0 0 0 0 0 0 0 1", TargetType::B1).unwrap();
    assert_eq!((bits.dim, &bits.bytes[..]), (9, &[1, 1][..]));
    let error = parse_vector("1 0.5", TargetType::U8).unwrap_err().to_string();
    assert_eq!(
        error,
        "vector: line 1, column 3: 0.5 does not fit u8, which holds whole numbers from 0 to 255"
    );
}

#[test]
fn lines_are_rows_and_come_in_slabs() {
    let text: &[u8] = b"\n1 2\n[3, 4]\r\n\n{\"vector\": [5, 6]}\n7,8";
    let mut vectors = TextVectors::from_stream(text, "x", &OpenOptions::default()).unwrap();
    assert_eq!((vectors.dim(), vectors.rows(), vectors.target()), (2, None, TargetType::F32));
    let mut out = vec![9; 100];
    let mut slabs = Vec::new();
    while vectors.read_rows(&mut out, 3).unwrap() > 0 {
        slabs.push(floats(&out));
    }
    assert_eq!(slabs, [vec![1., 2., 3., 4., 5., 6.], vec![7., 8.]]);
    assert!(out.is_empty());
}

#[test]
fn an_error_names_its_line_and_ends_the_source() {
    for (text, expected) in [
        ("1 2\n3\n4 5\n", "x: line 2: vector has 1 components, those before have 2"),
        ("1 2\n\n3 NaN\n4 5", "x: line 3, column 3: NaN"),
        ("1 2\n3 q\n", "x: line 2, column 3: found `q`"),
    ] {
        let mut vectors = TextVectors::from_stream(text.as_bytes(), "x", &OpenOptions::default()).unwrap();
        let mut out = Vec::new();
        let error = vectors.read_rows(&mut out, 10).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(out.is_empty());
        assert_eq!(vectors.read_rows(&mut out, 10).unwrap(), 0);
    }
    let Err(error) = TextVectors::from_stream(&b"\n \n"[..], "x", &OpenOptions::default()) else {
        panic!("a text without vectors was opened")
    };
    assert_eq!(error.to_string(), "x: is empty; expected a vector per line");
}
