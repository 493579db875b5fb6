//! Writing an npy array row by row.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place, Problem};
use crate::probe::NPY_MAGIC;

/// Elements begin at a multiple of this offset, as numpy aligns them.
const ALIGNMENT: usize = 64;

/// numpy leaves room for this many digits of the first axis, so that a header can be replaced in place; with the same
/// room, a file has the same bytes as one that numpy has written.
const FIRST_AXIS_DIGITS: usize = 21;

/// What is to be written: the element type and the axes, of which the first is the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArraySpec {
    element: ElementType,
    columns: Option<usize>,
}

impl ArraySpec {
    /// An array `(n, columns)`.
    pub fn matrix(element: ElementType, columns: usize) -> Self {
        ArraySpec { element, columns: Some(columns) }
    }

    /// An array `(n,)`.
    pub fn list(element: ElementType) -> Self {
        ArraySpec { element, columns: None }
    }

    /// An array of packed rows of `dim` components. Rows of bits become rows of u8, `numpy.unpackbits(bitorder='little')`
    /// undoes that; bf16 becomes the two-byte void type that ml_dtypes uses.
    pub fn packed(target: TargetType, dim: usize) -> Self {
        Self::matrix(target.stored_as(), target.stored_columns(dim))
    }

    /// Length of a row in bytes.
    pub fn row_bytes(self) -> usize {
        self.columns.unwrap_or(1).saturating_mul(self.element.bytes())
    }

    /// Magic, version and header of such an array of `rows` rows; its length does not depend on `rows`.
    pub(crate) fn header(self, rows: u64) -> Vec<u8> {
        let descr = match self.element {
            ElementType::F16 => "<f2",
            ElementType::BF16 => "<V2",
            ElementType::F32 => "<f4",
            ElementType::F64 => "<f8",
            ElementType::I8 => "|i1",
            ElementType::I16 => "<i2",
            ElementType::I32 => "<i4",
            ElementType::I64 => "<i8",
            ElementType::U8 => "|u1",
            ElementType::U16 => "<u2",
            ElementType::U32 => "<u4",
            ElementType::U64 => "<u8",
            ElementType::Bool => "|b1",
        };
        header(descr, rows, self.columns)
    }
}

/// Magic, version and header of an array `(rows,)` or `(rows, columns)`; its length does not depend on `rows`.
pub(super) fn header(descr: &str, rows: u64, columns: Option<usize>) -> Vec<u8> {
    let digits = rows.to_string();
    let columns = columns.map_or(String::new(), |columns| format!(" {columns}"));
    let room = " ".repeat(FIRST_AXIS_DIGITS - digits.len());
    let text =
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({digits},{columns}), }}{room}");

    const PRELUDE: usize = NPY_MAGIC.len() + 4;
    let total = (PRELUDE + text.len() + 1).next_multiple_of(ALIGNMENT);
    let mut header = NPY_MAGIC.to_vec();
    header.extend([1, 0]);
    // At most 20 digits for each axis: far below the 65,535 bytes of version 1.0.
    header.extend(((total - PRELUDE) as u16).to_le_bytes());
    header.extend(text.as_bytes());
    header.resize(total - 1, b' ');
    header.push(b'\n');
    header
}

/// Puts the final header in the place of the first one.
type Patch<W> = fn(&mut W, &[u8]) -> std::io::Result<()>;

/// How the header comes to state the number of rows.
enum Rows<W> {
    /// It is known from the start and kept.
    Promised(u64),
    /// It is written when all rows are there.
    Counted(Patch<W>),
}

/// Writes rows to an npy file and states their number in its header.
///
/// The file is complete only after [`finish`](Self::finish); a writer that is dropped before leaves one that no reader
/// accepts.
pub struct NpyWriter<W: Write> {
    name: String,
    spec: ArraySpec,
    sink: W,
    rows: Rows<W>,
    written: u64,
}

impl NpyWriter<BufWriter<File>> {
    /// Creates or truncates the file at `path`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn create(path: &Path, spec: ArraySpec) -> Result<Self, IoError> {
        let name = path.display().to_string();
        let file = File::create(path).map_err(|error| IoError::system(&name, "create", error))?;
        // A row is short, a system call per row is not.
        Self::counting(BufWriter::with_capacity(256 << 10, file), &name, spec)
    }
}

impl<W: Write + Seek> NpyWriter<W> {
    /// Writes to a sink that can seek, from its start on; the header is completed by [`finish`](Self::finish).
    ///
    /// # Errors
    /// Those of the system.
    pub fn counting(sink: W, name: &str, spec: ArraySpec) -> Result<Self, IoError> {
        let patch: Patch<W> = |sink, header| {
            sink.seek(SeekFrom::Start(0))?;
            sink.write_all(header)?;
            sink.seek(SeekFrom::End(0)).map(|_| ())
        };
        Self::start(sink, name, spec, Rows::Counted(patch))
    }
}

impl<W: Write> NpyWriter<W> {
    /// Writes exactly `rows` rows to a sink that need not seek, such as a pipe.
    ///
    /// # Errors
    /// Those of the system.
    pub fn promising(sink: W, name: &str, spec: ArraySpec, rows: u64) -> Result<Self, IoError> {
        Self::start(sink, name, spec, Rows::Promised(rows))
    }

    fn start(sink: W, name: &str, spec: ArraySpec, rows: Rows<W>) -> Result<Self, IoError> {
        let mut writer = NpyWriter { name: name.to_owned(), spec, sink, rows, written: 0 };
        // No file can hold the largest number of rows, so no reader takes one that is not finished, not even as empty.
        let header = spec.header(if let Rows::Promised(rows) = writer.rows { rows } else { u64::MAX });
        writer.sink.write_all(&header).map_err(|error| writer.system(error))?;
        Ok(writer)
    }

    /// Writes rows: packed, little-endian, a whole number of [`ArraySpec::row_bytes`].
    ///
    /// # Errors
    /// [`Problem::Written`] if the bytes are not whole rows, or are more rows than promised; those of the system.
    pub fn write_rows(&mut self, rows: &[u8]) -> Result<(), IoError> {
        let row_bytes = self.spec.row_bytes();
        if row_bytes == 0 || !rows.len().is_multiple_of(row_bytes) {
            return Err(self.mismatch(rows.len() as u64, row_bytes as u64, "bytes (whole rows)"));
        }
        let written = self.written + (rows.len() / row_bytes) as u64;
        match self.rows {
            Rows::Promised(promised) if written > promised => {
                return Err(self.mismatch(written, promised, "rows"));
            }
            _ => {}
        }
        self.sink.write_all(rows).map_err(|error| self.system(error))?;
        self.written = written;
        Ok(())
    }

    /// States the number of rows, flushes, and returns the sink.
    ///
    /// # Errors
    /// [`Problem::Written`] if there are fewer rows than promised; those of the system.
    pub fn finish(mut self) -> Result<W, IoError> {
        match self.rows {
            Rows::Promised(promised) if self.written < promised => {
                return Err(self.mismatch(self.written, promised, "rows"));
            }
            Rows::Promised(_) => {}
            Rows::Counted(patch) => {
                let header = self.spec.header(self.written);
                patch(&mut self.sink, &header).map_err(|error| self.system(error))?;
            }
        }
        self.sink.flush().map_err(|error| self.system(error))?;
        Ok(self.sink)
    }

    fn system(&self, error: std::io::Error) -> IoError {
        IoError::system(&self.name, "write", error)
    }

    fn mismatch(&self, found: u64, expected: u64, unit: &'static str) -> IoError {
        IoError::new(&self.name, Place::Whole, Problem::Written { found, expected, unit })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn the_header_has_one_length_for_all_numbers_of_rows_and_is_aligned() {
        for element in [ElementType::F32, ElementType::U8, ElementType::BF16] {
            for columns in [1, 9, 128, 1 << 20, usize::MAX] {
                let spec = ArraySpec::matrix(element, columns);
                let lengths = [0, 9, 10, u64::MAX].map(|rows| spec.header(rows).len());
                assert_eq!(lengths, [lengths[0]; 4]);
                assert_eq!(lengths[0] % ALIGNMENT, 0);
            }
        }
    }

    #[test]
    fn rows_are_counted_or_compared_with_the_promise() {
        let spec = ArraySpec::matrix(ElementType::U16, 2);
        let mut counted = NpyWriter::counting(Cursor::new(Vec::new()), "x", spec).unwrap();
        let mut promised = NpyWriter::promising(Vec::new(), "x", spec, 3).unwrap();
        for rows in [&[1, 2, 3, 4][..], &[], &[5, 6, 7, 8, 9, 10, 11, 12]] {
            counted.write_rows(rows).unwrap();
            promised.write_rows(rows).unwrap();
        }
        let bytes = counted.finish().unwrap().into_inner();
        assert_eq!(bytes, promised.finish().unwrap());
        assert!(bytes.ends_with(&[9, 10, 11, 12]));
        assert!(String::from_utf8_lossy(&bytes).contains("'shape': (3, 2), "));

        let mut writer = NpyWriter::promising(Vec::new(), "x", spec, 1).unwrap();
        assert!(writer.write_rows(&[1, 2, 3]).unwrap_err().to_string().contains("3 bytes (whole rows)"));
        assert!(
            writer
                .write_rows(&[0; 8])
                .unwrap_err()
                .to_string()
                .contains("2 rows given to the writer, expected 1")
        );
        assert!(writer.finish().unwrap_err().to_string().contains("0 rows given to the writer, expected 1"));
    }
}
