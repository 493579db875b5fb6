//! What the entries of readers share: all rows with what stands beside them, in slabs of some size.

use vexfs_io::{IoError, NameKind, Names, RowSource};

/// Rows, names and payload.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct All {
    rows: Vec<u8>,
    ids: Vec<u64>,
    keys: Vec<String>,
    payload: Vec<String>,
}

/// All rows, or the first error. A column `id` or `key` names the rows.
///
/// # Panics
/// If the reader breaks its contract.
pub(crate) fn all(reader: Result<Box<dyn RowSource>, IoError>, max_rows: usize) -> Result<All, IoError> {
    let mut reader = reader?;
    let names = [("id", NameKind::Id), ("key", NameKind::Key)];
    let others = reader.other_columns();
    let name = names.into_iter().find(|(column, _)| others.iter().any(|other| other == column));
    if let Some(beside) = reader.beside() {
        beside.keep_payload();
        if let Some((column, kind)) = name {
            beside.name_by(column, kind);
        }
    }
    let row_bytes = reader.target().row_bytes(reader.dim());
    let (mut all, mut slab, mut count) = (All::default(), Vec::new(), 0);
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
        all.rows.extend_from_slice(&slab);
        let Some(beside) = reader.beside() else { continue };
        match beside.take_names() {
            Some(Names::Ids(ids)) => all.ids.extend(ids),
            Some(Names::Keys(keys)) => all.keys.extend(keys),
            None => {}
        }
        assert!(name.is_none() || (all.ids.len() + all.keys.len()) as u64 == count, "names and rows");
        let payload = beside.take_payload().unwrap_or_else(|| vec![String::new(); read]);
        assert_eq!(payload.len(), read, "payload and rows");
        all.payload.extend(payload);
    }
}
