//! The rows of an npy array as little-endian source elements, from a file or a stream, in either axis order.
//!
//! Here the header meets the length of the file. What lies above sees whole rows only and never an offset.

use std::io::{self, Read};

use super::columns::ColumnSlabs;
use super::header::NpyHeader;
use crate::convert::swap_bytes;
use crate::element::ElementType;
use crate::error::{IoError, Place, Problem};
use crate::input::{Bytes, InOrder, read_up_to};
use crate::raw::{Axes, RawRows, shape_text};
use crate::read_at::ReadAt;

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
        bytes: Bytes,
        name: &str,
        axes: Axes,
        bf16: bool,
        memory: usize,
    ) -> Result<ArrayReader, IoError> {
        let (header, bytes) = match bytes {
            Bytes::File(file) => {
                (NpyHeader::read(InOrder { file: &*file, offset: 0 }, name, bf16)?, Bytes::File(file))
            }
            Bytes::Stream(mut stream) => (NpyHeader::read(&mut stream, name, bf16)?, Bytes::Stream(stream)),
        };
        Self::with_header(bytes, name, header, axes, memory)
    }

    /// As [`open`](Self::open), with a header that has been read, in whatever form: a stream stands behind it.
    ///
    /// # Errors
    /// [`Problem::Shape`], [`Problem::FortranStream`], [`Problem::Truncated`] and [`Problem::Trailing`].
    pub(crate) fn with_header(
        bytes: Bytes,
        name: &str,
        header: NpyHeader,
        axes: Axes,
        memory: usize,
    ) -> Result<ArrayReader, IoError> {
        let fail = |problem| IoError::new(name, Place::Whole, problem);
        let (rows, columns) =
            axes.measure(&header.shape).map_err(|reason| fail(shape_problem(&header, reason)))?;
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
        let data = match bytes {
            Bytes::Stream(_) if column_major => return Err(fail(Problem::FortranStream)),
            Bytes::Stream(stream) => Data::Stream(stream),
            Bytes::File(file) if column_major => Data::Columns(ColumnSlabs::new(
                file,
                header.data_offset,
                rows,
                columns,
                element_bytes,
                memory,
            )),
            Bytes::File(file) => Data::Rows(file),
        };
        let mut array =
            ArrayReader { name: name.to_owned(), header, rows, columns, next_row: 0, promised, data };
        array.compare_length(element_bytes)?;
        array.expect_end_of_stream()?;
        Ok(array)
    }

    /// Compares the promise of the header with the length of what is a stream, but of known length.
    ///
    /// # Errors
    /// [`Problem::Truncated`] and [`Problem::Trailing`].
    pub(crate) fn compare_with(&self, found: u64) -> Result<(), IoError> {
        if found < self.promised {
            let row_bytes = (self.columns * self.header.element.bytes()) as u64;
            return Err(self.truncated(found, found.saturating_sub(self.header.data_offset) / row_bytes));
        }
        if found > self.promised {
            let problem = Problem::Trailing { promised: self.promised, found: Some(found) };
            return Err(IoError::new(&self.name, Place::Byte(self.promised), problem));
        }
        Ok(())
    }

    /// The header as found.
    pub(crate) fn header(&self) -> &NpyHeader {
        &self.header
    }

    /// Fills `out`, a whole number of rows and not more than are left, with the next rows.
    ///
    /// # Errors
    /// [`Problem::Truncated`] if a stream ends, or a file has become shorter; [`Problem::Trailing`] if a stream goes on
    /// after the last row; [`Problem::System`]. Afterwards the array is to be dropped.
    fn fill_all(&mut self, out: &mut [u8]) -> Result<(), IoError> {
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

impl RawRows for ArrayReader {
    fn name(&self) -> &str {
        &self.name
    }

    fn element(&self) -> ElementType {
        self.header.element
    }

    fn columns(&self) -> usize {
        self.columns
    }

    /// A promise only, if they come from a stream.
    fn rows(&self) -> Option<u64> {
        Some(self.rows)
    }

    fn next_row(&self) -> u64 {
        self.next_row
    }

    fn fill(&mut self, out: &mut [u8]) -> Result<usize, IoError> {
        let left = usize::try_from(self.rows - self.next_row).unwrap_or(usize::MAX);
        let rows = (out.len() / self.row_bytes()).min(left);
        if rows > 0 {
            let row_bytes = self.row_bytes();
            self.fill_all(&mut out[..rows * row_bytes])?;
        }
        Ok(rows)
    }
}

fn shape_problem(header: &NpyHeader, reason: &'static str) -> Problem {
    Problem::Shape { shape: shape_text(&header.shape), reason }
}
