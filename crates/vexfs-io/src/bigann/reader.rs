//! Reading fbin, u8bin, i8bin and ibin from files and streams.

use super::HEADER_BYTES;
use crate::element::ElementType;
use crate::error::{IoError, Place, Problem};
use crate::input::{Bytes, InOrder, Input, read_up_to};
use crate::npy::{ArrayReader, NpyHeader};
use crate::raw::Axes;
use crate::read_at::Range;

/// Reads the two numbers and opens the rows behind them, which lie as in an npy file.
///
/// # Errors
/// [`Problem::Empty`]; [`Problem::RowCut`] if the two numbers are not there; those of [`ArrayReader::with_header`].
pub(crate) fn open_bin(input: Input, element: ElementType, axes: Axes) -> Result<ArrayReader, IoError> {
    let Input { name, mut bytes, .. } = input;
    let mut header = [0; HEADER_BYTES as usize];
    let found = match &mut bytes {
        Bytes::File(file) => read_up_to(&mut InOrder { file: &**file, offset: 0 }, &mut header, &name)?,
        Bytes::Stream(stream) => read_up_to(stream, &mut header, &name)?,
    };
    match found {
        0 => return Err(IoError::new(name, Place::Whole, Problem::Empty { expected: "vectors" })),
        8 => {}
        _ => {
            let problem = Problem::BinHeader { found };
            return Err(IoError::new(name, Place::Whole, problem));
        }
    }
    let [rows, columns] = [&header[..4], &header[4..]]
        .map(|word| u64::from(u32::from_le_bytes([word[0], word[1], word[2], word[3]])));
    if let Bytes::File(file) = bytes {
        let length = file.length().map_err(|error| IoError::system(&name, "measure", error))?;
        let promised = (rows * columns).saturating_mul(element.bytes() as u64).saturating_add(HEADER_BYTES);
        // Distances behind the neighbours are as long as these.
        let with_distances = promised.saturating_mul(2).saturating_sub(HEADER_BYTES);
        let kept = if element == ElementType::I32 && length == with_distances { promised } else { length };
        bytes = Bytes::File(Box::new(Range { file, start: 0, length: kept }));
    }
    let header = NpyHeader {
        element,
        big_endian: false,
        fortran_order: false,
        shape: vec![rows, columns],
        data_offset: HEADER_BYTES,
    };
    ArrayReader::with_header(bytes, &name, header, axes, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::RawRows;

    fn file(rows: u32, columns: u32, data: &[u8]) -> Vec<u8> {
        [&rows.to_le_bytes()[..], &columns.to_le_bytes(), data].concat()
    }

    fn read(bytes: &[u8], element: ElementType, is_file: bool) -> Result<(Option<u64>, Vec<u8>), String> {
        let mut input = Input::from_stream(std::io::Cursor::new(bytes.to_vec()), "x");
        if is_file {
            input.bytes = Bytes::File(Box::new(bytes.to_vec()));
        }
        let mut rows = open_bin(input, element, Axes::Rows { single: false }).map_err(|e| e.to_string())?;
        let (mut all, mut out) = (Vec::new(), vec![0; 2 * rows.row_bytes()]);
        loop {
            let read = rows.fill(&mut out).map_err(|error| error.to_string())?;
            all.extend_from_slice(&out[..read * rows.row_bytes()]);
            if read < 2 {
                return Ok((rows.rows(), all));
            }
        }
    }

    #[test]
    fn rows_follow_two_numbers() {
        for is_file in [true, false] {
            let bytes = file(3, 2, &[1, 2, 3, 4, 5, 6]);
            assert_eq!(read(&bytes, ElementType::U8, is_file), Ok((Some(3), vec![1, 2, 3, 4, 5, 6])));
            assert_eq!(read(&file(0, 9, &[]), ElementType::F32, is_file), Ok((Some(0), vec![])));
        }
    }

    #[test]
    fn distances_behind_neighbours_are_left_out() {
        let neighbours: Vec<u8> = (0..8).collect();
        let bytes = file(1, 2, &[&neighbours[..], &[0xee; 8]].concat());
        assert_eq!(read(&bytes, ElementType::I32, true), Ok((Some(1), neighbours)));
        assert!(read(&bytes, ElementType::F32, true).unwrap_err().contains("trailing data"));
        assert!(read(&bytes[..23], ElementType::I32, true).unwrap_err().contains("trailing data"));
    }

    #[test]
    fn numbers_that_are_not_true_are_refused() {
        for is_file in [true, false] {
            for (bytes, expected) in [
                (file(3, 2, &[0; 5]), "truncated: header promises 14 bytes, file has 13 (row 2 is"),
                (file(3, 2, &[0; 7]), "trailing data: header promises 14 bytes"),
                (file(3, 0, &[]), "shape (3, 0): vectors without components"),
                (file(1, u32::MAX, &[]), "vectors of more than 1048576 components"),
                (file(u32::MAX, 1 << 20, &[0; 9]), "truncated"),
                (vec![1, 0, 0], "has 3 bytes, not the 8 of its two numbers"),
                (vec![], "is empty"),
            ] {
                let found = read(&bytes, ElementType::U8, is_file).unwrap_err();
                assert!(found.contains(expected), "{found}");
            }
        }
    }
}
