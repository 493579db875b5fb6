//! Arbitrary bytes as a text of vectors, as one vector, as ids and as keys.

use std::io::Cursor;

use vexfs_io::{IdReader, KeyReader, OpenOptions, RowSource, TargetType, TextVectors, parse_vector};

/// Reads `data` in every way and compares what must be the same.
///
/// # Panics
/// If a reader breaks its contract.
pub(crate) fn run(data: &[u8]) {
    for target in TargetType::ALL {
        let options = OpenOptions { target: Some(target), ..OpenOptions::default() };
        let Ok(mut vectors) = TextVectors::from_stream(data, "fuzz", &options) else { continue };
        let row_bytes = target.row_bytes(vectors.dim());
        let mut slab = Vec::new();
        while let Ok(rows @ 1..) = vectors.read_rows(&mut slab, 3) {
            assert!(rows <= 3);
            assert_eq!(slab.len(), rows * row_bytes);
        }
        assert!(matches!(vectors.read_rows(&mut slab, 3), Ok(0)), "something after the end");
    }

    // One line means the same on its own.
    if let Ok(line) = std::str::from_utf8(data)
        && !line.contains(['\n', '\r', '\u{feff}'])
    {
        let mut slab = Vec::new();
        let source = TextVectors::from_stream(data, "vector", &OpenOptions::default());
        let from_text = source.and_then(|mut source| source.read_rows(&mut slab, 1).map(|_| slab));
        let alone = parse_vector(line, TargetType::F32).map(|vector| vector.bytes);
        match (from_text, alone) {
            (Ok(from_text), Ok(alone)) => assert_eq!(from_text, alone),
            (from_text, alone) => assert_eq!(from_text.is_ok(), alone.is_ok()),
        }
    }

    if let Ok(mut keys) = KeyReader::from_stream(Cursor::new(data.to_vec()), "fuzz") {
        for key in keys.by_ref().take_while(Result::is_ok).flatten() {
            assert!((1..=vexfs_io::MAX_KEY_BYTES).contains(&key.len()) && !key.contains('\0'));
        }
        assert!(keys.next().is_none(), "something after the end");
    }
    if let Ok(ids) = IdReader::from_stream(Cursor::new(data.to_vec()), "fuzz") {
        assert!(ids.count() <= data.len());
    }
}
