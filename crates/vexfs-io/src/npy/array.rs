//! The rows of an npy array as little-endian source elements, from a file or a stream, in either axis order.
//!
//! Here the header meets the length of the file. What lies above sees whole rows only and never an offset.

use std::io::{self, Read};

use super::columns::ColumnSlabs;
use super::header::{NpyHeader, read_up_to};
use crate::convert::swap_bytes;
use crate::element::ElementType;
use crate::error::{IoError, Place, Problem};
use crate::read_at::ReadAt;
use crate::source::MAX_DIM;

/// Where an array comes from.
pub(crate) enum Input {
    /// Bytes at any offset, of known length.
    File(Box<dyn ReadAt>),
    /// Bytes in order, of unknown length.
    Stream(Box<dyn Read + Send>),
}

/// What the axes of the array shall mean.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Axes {
    /// `(n, d)`: n rows of d elements; with `single`, also `(d,)` as one row.
    Rows {
        /// Whether one axis is one row.
        single: bool,
    },
    /// `(n,)`: n rows of one element.
    List,
}

/// An open array: `rows × columns` elements, of which the first rows have been read.
pub(crate) struct ArrayReader {
    name: String,
    header: NpyHeader,
    rows: u64,
    columns: usize,
    next_row: u64,
    /// Length in bytes that the header promises for the whole file.
    promised: u64,
    data: Data,
}

/// The three ways to get at rows.
enum Data {
    /// Row-major file: the rows lie together.
    Rows(Box<dyn ReadAt>),
    /// Column-major file.
    Columns(ColumnSlabs),
    /// Row-major stream.
    Stream(Box<dyn Read + Send>),
}

impl ArrayReader {
    /// Reads the header, compares it with the length of a file, and stands before the first row.
    ///
    /// `memory` bounds the slabs of a column-major file, in bytes. `bf16` is as for [`NpyHeader::read`].
    pub(crate) fn open(
        input: Input,
        name: &str,
        axes: Axes,
        bf16: bool,
        memory: usize,
    ) -> Result<ArrayReader, IoError> {
        let fail = |problem| IoError::new(name, Place::Whole, problem);
        let (header, input) = match input {
            Input::File(file) => {
                (NpyHeader::read(Sequential { file: &*file, offset: 0 }, name, bf16)?, Input::File(file))
            }
            Input::Stream(mut stream) => (NpyHeader::read(&mut stream, name, bf16)?, Input::Stream(stream)),
        };
        let (rows, columns) =
            measure(&header.shape, axes).map_err(|reason| fail(shape_problem(&header, reason)))?;
        let element_bytes = header.element.bytes();
        let Some(promised) = rows
            .checked_mul((columns * element_bytes) as u64)
            .and_then(|bytes| bytes.checked_add(header.data_offset))
            .filter(|bytes| *bytes <= i64::MAX as u64)
        else {
            return Err(fail(shape_problem(&header, "more bytes than a file can have")));
        };

        // One row or one column lies the same way in either order.
        let column_major = header.fortran_order && rows > 1 && columns > 1;
        let data = match input {
            Input::Stream(_) if column_major => return Err(fail(Problem::FortranStream)),
            Input::Stream(stream) => Data::Stream(stream),
            Input::File(file) if column_major => Data::Columns(ColumnSlabs::new(
                file,
                header.data_offset,
                rows,
                columns,
                element_bytes,
                memory,
            )),
            Input::File(file) => Data::Rows(file),
        };
        let mut array =
            ArrayReader { name: name.to_owned(), header, rows, columns, next_row: 0, promised, data };
        array.compare_length(element_bytes)?;
        array.expect_end_of_stream()?;
        Ok(array)
    }

    /// The header as found.
    pub(crate) fn header(&self) -> &NpyHeader {
        &self.header
    }

    /// The name for messages.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Type of the elements.
    pub(crate) fn element(&self) -> ElementType {
        self.header.element
    }

    /// Number of rows in all; a promise only, if they come from a stream.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Elements per row, `1 ..= MAX_DIM`.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The row that is read next.
    pub(crate) fn next_row(&self) -> u64 {
        self.next_row
    }

    /// Rows that are still to be read.
    pub(crate) fn left(&self) -> u64 {
        self.rows - self.next_row
    }

    /// Fills `out`, a whole number of rows and not more than are [left](Self::left), with the next rows.
    ///
    /// # Errors
    /// [`Problem::Truncated`] if a stream ends, or a file has become shorter; [`Problem::Trailing`] if a stream goes on
    /// after the last row; [`Problem::System`]. Afterwards the array is to be dropped.
    pub(crate) fn fill(&mut self, out: &mut [u8]) -> Result<(), IoError> {
        let row_bytes = self.columns * self.header.element.bytes();
        let filled = match &mut self.data {
            Data::Rows(file) => {
                file.read_exact_at(out, self.header.data_offset + self.next_row * row_bytes as u64)
            }
            Data::Columns(slabs) => slabs.fill(out),
            Data::Stream(stream) => {
                let length = read_up_to(stream, out, &self.name)?;
                if length < out.len() {
                    let found = self.header.data_offset + self.next_row * row_bytes as u64 + length as u64;
                    return Err(self.truncated(found, self.next_row + (length / row_bytes) as u64));
                }
                Ok(())
            }
        };
        if let Err(error) = filled {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                // The length was right when the file was opened: somebody is cutting it.
                self.compare_length(row_bytes / self.columns)?;
            }
            return Err(IoError::system(&self.name, "read", error));
        }
        if self.header.big_endian {
            swap_bytes(out, self.header.element.bytes());
        }
        self.next_row += (out.len() / row_bytes) as u64;
        self.expect_end_of_stream()
    }

    /// Compares the promise of the header with the length of the file, if there is one.
    fn compare_length(&self, element_bytes: usize) -> Result<(), IoError> {
        let (file, column_major) = match &self.data {
            Data::Rows(file) => (&**file, false),
            Data::Columns(slabs) => (slabs.file(), true),
            Data::Stream(_) => return Ok(()),
        };
        let found = file.length().map_err(|error| IoError::system(&self.name, "measure", error))?;
        if found < self.promised {
            let elements = found.saturating_sub(self.header.data_offset) / element_bytes as u64;
            // Column-major, the rows end in the last column; if that is not begun, no row is complete.
            let complete = match column_major {
                true => elements.saturating_sub((self.columns as u64 - 1) * self.rows),
                false => elements / self.columns as u64,
            };
            return Err(self.truncated(found, complete));
        }
        if found > self.promised {
            let problem = Problem::Trailing { promised: self.promised, found: Some(found) };
            return Err(IoError::new(&self.name, Place::Byte(self.promised), problem));
        }
        Ok(())
    }

    /// After the last row of a stream, makes sure that nothing follows: two arrays in one stream would else lose one.
    fn expect_end_of_stream(&mut self) -> Result<(), IoError> {
        let Data::Stream(stream) = &mut self.data else { return Ok(()) };
        if self.next_row == self.rows && read_up_to(stream, &mut [0], &self.name)? > 0 {
            let problem = Problem::Trailing { promised: self.promised, found: None };
            return Err(IoError::new(&self.name, Place::Byte(self.promised), problem));
        }
        Ok(())
    }

    fn truncated(&self, found: u64, row: u64) -> IoError {
        let problem = Problem::Truncated { promised: self.promised, found, row };
        IoError::new(&self.name, Place::Whole, problem)
    }
}

/// Rows and columns of an array of that shape, or what is wrong with it.
fn measure(shape: &[u64], axes: Axes) -> Result<(u64, usize), &'static str> {
    let (rows, columns) = match (axes, shape) {
        (Axes::List, [length]) => (*length, 1),
        (Axes::List, _) => return Err("expected one axis (n,)"),
        (Axes::Rows { .. }, [rows, columns]) => (*rows, *columns),
        (Axes::Rows { single: true }, [length]) => (1, *length),
        (Axes::Rows { .. }, [_]) => {
            return Err("one axis, expected (n, d); reshape(1, -1) makes it one vector, reshape(-1, 1) many");
        }
        (Axes::Rows { .. }, []) => return Err("a single number, expected (n, d)"),
        (Axes::Rows { .. }, _) => return Err("too many axes, expected (n, d); reshape(n, -1) joins them"),
    };
    match usize::try_from(columns) {
        Ok(0) => Err("vectors without components"),
        Ok(columns) if columns <= MAX_DIM => Ok((rows, columns)),
        _ => Err("vectors of more than 1048576 components"),
    }
}

fn shape_problem(header: &NpyHeader, reason: &'static str) -> Problem {
    Problem::Shape { shape: header.shape_text(), reason }
}

/// Reads a file in order, as far as the header goes.
struct Sequential<'a> {
    file: &'a dyn ReadAt,
    offset: u64,
}

impl Read for Sequential<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.length()?.saturating_sub(self.offset);
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_exact_at(&mut buffer[..length], self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}
