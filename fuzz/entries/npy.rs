//! Arbitrary bytes as an npy file: header, rows as every target type, file against stream, whole against slabs, ids, keys.

use std::io::Cursor;

use vexfs_io::{IdReader, IoError, KeyReader, NpyHeader, NpyReader, OpenOptions, RowSource, TargetType};

/// Reads `data` in every way and compares what must be the same.
///
/// # Panics
/// If a reader breaks its contract.
pub(crate) fn run(data: &[u8]) {
    let header = NpyHeader::read(data, "fuzz", true);
    for target in [None].into_iter().chain(TargetType::ALL.map(Some)) {
        let options = OpenOptions { target, bf16: true, single_vector: true, ..OpenOptions::default() };
        let whole = rows(NpyReader::from_file(data.to_vec(), "fuzz", &options), 1 << 20);
        let narrow = OpenOptions { memory: 1, ..options.clone() };
        let slabs = rows(NpyReader::from_file(data.to_vec(), "fuzz", &narrow), 3);
        assert_eq!(text(&whole), text(&slabs), "slabs differ from the whole");
        if whole.is_ok() {
            assert!(header.is_ok(), "rows without a header");
        }

        // A stream may refuse what a file gives (column-major), and it meets errors in another order.
        if target.is_none() {
            let stream = NpyReader::from_stream(Cursor::new(data.to_vec()), "fuzz", &options);
            if let Ok(streamed) = rows(stream, 3) {
                assert_eq!(Some(&streamed), whole.as_ref().ok(), "stream differs from file");
            }
        }
    }

    if let Ok(mut ids) = IdReader::from_stream(Cursor::new(data.to_vec()), "fuzz") {
        let count = ids.by_ref().take_while(Result::is_ok).count() as u64;
        assert_eq!(ids.delivered(), count);
        assert!(ids.next().is_none(), "something after the end");
    }
    if let Ok(mut keys) = KeyReader::from_stream(Cursor::new(data.to_vec()), "fuzz") {
        let count = keys.by_ref().take_while(Result::is_ok).count() as u64;
        assert_eq!(keys.delivered(), count);
        assert!(keys.next().is_none(), "something after the end");
    }
}

/// All rows, or the first error.
fn rows(reader: Result<NpyReader, IoError>, max_rows: usize) -> Result<Vec<u8>, IoError> {
    let mut reader = reader?;
    let row_bytes = reader.target().row_bytes(reader.dim());
    let (mut all, mut slab, mut count) = (Vec::new(), Vec::new(), 0);
    loop {
        let read = match reader.read_rows(&mut slab, max_rows) {
            Ok(read) => read,
            Err(error) => {
                assert!(slab.is_empty(), "rows beside an error");
                assert!(matches!(reader.read_rows(&mut slab, max_rows), Ok(0)), "rows after an error");
                return Err(error);
            }
        };
        assert!(read <= max_rows);
        assert_eq!(slab.len(), read * row_bytes);
        if read == 0 {
            assert_eq!(reader.rows(), Some(count), "not the promised rows");
            return Ok(all);
        }
        count += read as u64;
        all.extend_from_slice(&slab);
    }
}

fn text(result: &Result<Vec<u8>, IoError>) -> Result<&[u8], String> {
    result.as_deref().map_err(ToString::to_string)
}
