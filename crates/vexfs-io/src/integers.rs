//! Integer arrays as u64 values in row-major order: ids and row numbers.

use crate::element::ElementType;
use crate::error::{IoError, Place, Problem};
use crate::raw::RawRows;

/// How many bytes of source rows are held at a time; a row has at least one element and may be longer.
const PIECE_BYTES: usize = 64 << 10;

/// The elements of an integer array one after another.
pub(crate) struct Integers {
    array: Box<dyn RawRows>,
    /// Rows that have been read.
    piece: Vec<u8>,
    /// Offset in `piece` of the next element.
    used: usize,
    /// Row of the array with which `piece` begins.
    first_row: u64,
}

impl Integers {
    /// Prepares to read all elements of `array`, which must be integers.
    pub(crate) fn new(array: Box<dyn RawRows>) -> Result<Integers, IoError> {
        let element = array.element();
        if !element.is_integer() {
            let problem = Problem::NotInteger { element };
            return Err(IoError::new(array.name(), Place::Whole, problem));
        }
        Ok(Integers { array, piece: Vec::new(), used: 0, first_row: 0 })
    }

    /// Number of rows in all, if it is known.
    pub(crate) fn rows(&self) -> Option<u64> {
        self.array.rows()
    }

    /// Reads the next rows once those in memory are used up.
    fn load(&mut self) -> Result<(), IoError> {
        let row_bytes = self.array.row_bytes();
        self.first_row = self.array.next_row();
        self.used = 0;
        self.piece.resize((PIECE_BYTES / row_bytes).max(1) * row_bytes, 0);
        let rows = self.array.fill(&mut self.piece).inspect_err(|_| self.piece.clear())?;
        self.piece.truncate(rows * row_bytes);
        Ok(())
    }

    fn next_value(&mut self) -> Result<Option<u64>, IoError> {
        let element = self.array.element();
        if self.used == self.piece.len() {
            self.load()?;
        }
        let Some(bytes) = self.piece.get(self.used..self.used + element.bytes()) else {
            return Ok(None);
        };
        let index = self.used / element.bytes();
        self.used += element.bytes();
        integer(element, bytes).map(Some).map_err(|value| {
            let columns = self.array.columns();
            let row = self.first_row + (index / columns) as u64;
            let place = match columns {
                1 => Place::Row(row),
                _ => Place::Element { row, column: (index % columns) as u64 },
            };
            IoError::new(self.array.name(), place, Problem::Negative { value })
        })
    }
}

impl Iterator for Integers {
    type Item = Result<u64, IoError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_value().transpose()
    }
}

/// The value of one little-endian integer element, or the negative number it is.
fn integer(element: ElementType, bytes: &[u8]) -> Result<u64, i64> {
    let mut wide = [0; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let signed = match element {
        ElementType::I8 => i64::from(wide[0] as i8),
        ElementType::I16 => i64::from(i16::from_le_bytes([wide[0], wide[1]])),
        ElementType::I32 => i64::from(i32::from_le_bytes([wide[0], wide[1], wide[2], wide[3]])),
        ElementType::I64 => i64::from_le_bytes(wide),
        _ => return Ok(u64::from_le_bytes(wide)),
    };
    u64::try_from(signed).map_err(|_| signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_width_and_sign_is_read() {
        use ElementType as E;
        let cases: [(E, &[u8], Result<u64, i64>); 8] = [
            (E::U8, &[0xff], Ok(255)),
            (E::I8, &[0xff], Err(-1)),
            (E::U16, &[1, 0xff], Ok(0xff01)),
            (E::I16, &[0, 0x80], Err(-32768)),
            (E::I32, &[1, 2, 0, 0], Ok(513)),
            (E::U32, &[0xff; 4], Ok(u64::from(u32::MAX))),
            (E::I64, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], Err(-2)),
            (E::U64, &[0xff; 8], Ok(u64::MAX)),
        ];
        for (element, bytes, value) in cases {
            assert_eq!(integer(element, bytes), value, "{element}");
        }
    }
}
