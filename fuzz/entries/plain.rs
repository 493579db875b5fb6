//! Arbitrary bytes as one of the formats without a magic, which the first byte chooses: file against stream, whole against
//! slabs, as every target type.

use std::io::Cursor;

use vexfs_io::{Format, IoError, OpenOptions, RowSource, TargetType, open_file, open_stream};

const FORMATS: [Format; 7] =
    [Format::Fvecs, Format::Bvecs, Format::Ivecs, Format::Fbin, Format::U8bin, Format::I8bin, Format::Ibin];

/// Reads `data` in every way and compares what must be the same.
///
/// # Panics
/// If a reader breaks its contract.
pub(crate) fn run(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let format = FORMATS[usize::from(*choice) % FORMATS.len()];
    for target in [None].into_iter().chain(TargetType::ALL.map(Some)) {
        let options = OpenOptions { format: Some(format), target, ..OpenOptions::default() };
        let whole = rows(open_file(data.to_vec(), "fuzz", &options), 1 << 20);
        let slabs = rows(open_file(data.to_vec(), "fuzz", &options), 3);
        // Of several errors, the size of the slabs tells which is met first.
        assert_eq!(whole.as_ref().ok(), slabs.as_ref().ok(), "slabs differ from the whole");
        // A stream has no distances behind its neighbours.
        let stream = rows(open_stream(Cursor::new(data.to_vec()), "fuzz", &options), 3);
        if let Ok(streamed) = stream {
            assert_eq!(Some(&streamed), whole.as_ref().ok(), "stream differs from file");
        } else if format != Format::Ibin {
            assert!(whole.is_err(), "a file is read and a stream is not");
        }
    }
}

/// All rows, or the first error.
fn rows(reader: Result<Box<dyn RowSource>, IoError>, max_rows: usize) -> Result<Vec<u8>, IoError> {
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
            assert!(reader.rows().is_none_or(|rows| rows == count), "not the promised rows");
            return Ok(all);
        }
        count += read as u64;
        all.extend_from_slice(&slab);
    }
}
