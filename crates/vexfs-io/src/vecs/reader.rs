//! Reading fvecs, bvecs and ivecs from files and streams.

use std::io::{Cursor, Read};

use crate::element::ElementType;
use crate::error::{IoError, Place, Problem};
use crate::input::{Input, read_up_to};
use crate::raw::RawRows;
use crate::source::MAX_DIM;

/// Length in bytes of the number before each row.
const DIM_BYTES: usize = 4;

/// The rows of an fvecs, bvecs or ivecs input.
pub(crate) struct VecsRows {
    name: String,
    stream: Box<dyn Read + Send>,
    element: ElementType,
    columns: usize,
    /// Known for files.
    rows: Option<u64>,
    next_row: u64,
    /// Rows with their numbers before them.
    records: Vec<u8>,
}

impl VecsRows {
    /// Reads the number of components of the first row, and compares it with the length of a file.
    ///
    /// # Errors
    /// [`Problem::Empty`]; [`Problem::VecsDim`] unless it is `1 ..= MAX_DIM`; [`Problem::RowCut`] if the file does not end
    /// with a row.
    pub(crate) fn open(input: Input, element: ElementType) -> Result<Self, IoError> {
        let name = input.name.clone();
        let (mut stream, length) = input.into_stream()?;
        let mut first = [0; DIM_BYTES];
        match read_up_to(&mut stream, &mut first, &name)? {
            DIM_BYTES => {}
            0 => return Err(IoError::new(name, Place::Whole, Problem::Empty { expected: "vectors" })),
            found => return Err(cut(&name, 0, found, DIM_BYTES)),
        }
        let dim = i32::from_le_bytes(first);
        let columns = match usize::try_from(dim) {
            Ok(columns @ 1..=MAX_DIM) => columns,
            _ => return Err(IoError::new(name, Place::Row(0), Problem::VecsDim { dim })),
        };
        let record = DIM_BYTES + columns * element.bytes();
        let rows = length.map(|length| length / record as u64);
        if let Some(length) = length
            && !length.is_multiple_of(record as u64)
        {
            // Which row it is, is only right if the rows before it are what the first one says.
            let found = (length % record as u64) as usize;
            return Err(cut(&name, length / record as u64, found, record));
        }
        let stream = Box::new(Cursor::new(first).chain(stream));
        Ok(VecsRows { name, stream, element, columns, rows, next_row: 0, records: Vec::new() })
    }
}

impl RawRows for VecsRows {
    fn name(&self) -> &str {
        &self.name
    }

    fn element(&self) -> ElementType {
        self.element
    }

    fn columns(&self) -> usize {
        self.columns
    }

    fn rows(&self) -> Option<u64> {
        self.rows
    }

    fn next_row(&self) -> u64 {
        self.next_row
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<usize, IoError> {
        let row_bytes = self.row_bytes();
        let record = DIM_BYTES + row_bytes;
        let mut asked = out.len() / row_bytes;
        if let Some(rows) = self.rows {
            asked = asked.min(usize::try_from(rows - self.next_row).unwrap_or(usize::MAX));
        }
        self.records.resize(asked * record, 0);
        let found = read_up_to(&mut self.stream, &mut self.records, &self.name)?;
        let dim = (self.columns as u32).to_le_bytes();
        let (rows, rest) = (found / record, found % record);
        let whole = self.records[..rows * record].chunks_exact(record);
        for (row, (record, out)) in whole.zip(out.chunks_exact_mut(row_bytes)).enumerate() {
            let (found, components) = record.split_at(DIM_BYTES);
            if found != dim {
                let found = i32::from_le_bytes([found[0], found[1], found[2], found[3]]);
                let problem = Problem::VecsRow { found, expected: self.columns };
                return Err(IoError::new(&self.name, Place::Row(self.next_row + row as u64), problem));
            }
            out.copy_from_slice(components);
        }
        self.next_row += rows as u64;
        // A file has become shorter since it was measured.
        let is_missed = self.rows.is_some() && rows < asked;
        if rest > 0 || is_missed {
            return Err(cut(&self.name, self.next_row, rest, record));
        }
        Ok(rows)
    }
}

fn cut(name: &str, row: u64, found: usize, expected: usize) -> IoError {
    IoError::new(name, Place::Row(row), Problem::RowCut { found, expected })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Bytes;

    fn read(bytes: &[u8], element: ElementType, is_file: bool, piece: usize) -> Result<Vec<u8>, String> {
        let mut input = Input::from_stream(Cursor::new(bytes.to_vec()), "x");
        if is_file {
            input.bytes = Bytes::File(Box::new(bytes.to_vec()));
        }
        let mut all = Vec::new();
        let mut rows = VecsRows::open(input, element).map_err(|error| error.to_string())?;
        loop {
            let mut out = vec![0; piece * rows.row_bytes()];
            let read = rows.fill(&mut out).map_err(|error| error.to_string())?;
            all.extend_from_slice(&out[..read * rows.row_bytes()]);
            if read < piece {
                return Ok(all);
            }
        }
    }

    #[test]
    fn rows_come_without_their_numbers_from_files_and_streams() {
        let bytes = [&[2, 0, 0, 0, 7, 8][..], &[2, 0, 0, 0, 9, 10], &[2, 0, 0, 0, 11, 12]].concat();
        for is_file in [true, false] {
            for piece in 1..5 {
                assert_eq!(read(&bytes, ElementType::U8, is_file, piece).unwrap(), [7, 8, 9, 10, 11, 12]);
            }
        }
        let words: Vec<u8> = [1u32, 5, 1, 6].iter().flat_map(|word| word.to_le_bytes()).collect();
        assert_eq!(read(&words, ElementType::I32, true, 9).unwrap(), [5, 0, 0, 0, 6, 0, 0, 0]);
    }

    #[test]
    fn what_is_cut_or_contradicts_itself_is_named_by_its_row() {
        let good = [&[2, 0, 0, 0, 7, 8][..], &[2, 0, 0, 0, 9, 10]].concat();
        let mut other = good.clone();
        other[6] = 3;
        for is_file in [true, false] {
            for (bytes, expected) in [
                (&good[..11], "x: row 1: ends after 5 of 6 bytes: the file is cut short"),
                (&good[..8], "x: row 1: ends after 2 of 6 bytes"),
                (&good[..3], "x: row 0: ends after 3 of 4 bytes"),
                (&other, "x: row 1: claims 3 components, those before have 2"),
                (&[0, 0, 0, 0, 1], "x: row 0: claims 0 components; expected 1 to 1048576"),
                (&[0xff; 9], "x: row 0: claims -1 components"),
                (&[0, 0, 0, 1, 1], "x: row 0: claims 16777216 components"),
                (&[], "x: is empty"),
            ] {
                let found = read(bytes, ElementType::U8, is_file, 3).unwrap_err();
                assert!(found.contains(expected), "{found}");
            }
        }
    }
}
