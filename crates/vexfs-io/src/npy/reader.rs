//! Vectors from an npy array, as [`RowSource`].

use std::io::Read;

use super::array::{ArrayReader, Axes, Input};
use super::header::NpyHeader;
use crate::convert::{Converter, Fault};
use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place};
use crate::read_at::ReadAt;
use crate::source::{OpenOptions, RowSource};

/// How many bytes are read before they are checked: little enough that the check finds them in the level-2 cache, enough
/// that the system calls do not count.
const PIECE_BYTES: usize = 256 << 10;

/// The most bytes delivered at once, whatever the caller asks for: a guard against a budget given in the wrong unit.
const MAX_SLAB_BYTES: usize = 1 << 30;

/// The vectors of an npy array, read in slabs.
///
/// Row-major arrays are read straight into the caller's vector when no conversion is needed; column-major ones by slabs
/// within [`OpenOptions::memory`].
pub struct NpyReader {
    array: ArrayReader,
    converter: Converter,
    /// Source rows of a piece that has to be converted.
    scratch: Vec<u8>,
    /// Set by an error: what lies behind it is not delivered.
    failed: bool,
}

impl NpyReader {
    /// Reads an array that lies in a file, in a part of one, or in memory; `name` is for messages.
    ///
    /// # Errors
    /// Those of [`NpyHeader::read`]; [`Shape`](crate::Problem::Shape) if the array is not `(n, d)`;
    /// [`Truncated`](crate::Problem::Truncated) and [`Trailing`](crate::Problem::Trailing) if the length is not what the
    /// header promises.
    pub fn from_file(
        file: impl ReadAt + 'static,
        name: &str,
        options: &OpenOptions,
    ) -> Result<NpyReader, IoError> {
        Self::new(Input::File(Box::new(file)), name, options)
    }

    /// Reads an array from a stream, in row-major order only.
    ///
    /// # Errors
    /// As [`from_file`](Self::from_file), but a wrong length shows at the last row;
    /// [`FortranStream`](crate::Problem::FortranStream).
    pub fn from_stream(
        stream: impl Read + Send + 'static,
        name: &str,
        options: &OpenOptions,
    ) -> Result<NpyReader, IoError> {
        Self::new(Input::Stream(Box::new(stream)), name, options)
    }

    /// Opens the array and chooses the conversion.
    pub(super) fn new(input: Input, name: &str, options: &OpenOptions) -> Result<NpyReader, IoError> {
        let axes = Axes::Rows { single: options.single_vector };
        let array = ArrayReader::open(input, name, axes, options.takes_bf16(), options.memory)?;
        let target = options.target.unwrap_or(array.element().default_target());
        let converter = Converter::new(array.element(), target, array.columns());
        Ok(NpyReader { array, converter, scratch: Vec::new(), failed: false })
    }

    /// The header, among others for the number of axes.
    pub fn header(&self) -> &NpyHeader {
        self.array.header()
    }

    /// Reads one piece of whole rows into `out`.
    fn read_piece(&mut self, out: &mut [u8]) -> Result<(), IoError> {
        let first_row = self.array.next_row();
        let rows = out.len() / self.converter.target_row_bytes();
        let result = if self.converter.keeps_bytes() {
            self.array.fill(out)?;
            self.converter.check(out)
        } else {
            self.scratch.resize(rows * self.converter.source_row_bytes(), 0);
            self.array.fill(&mut self.scratch)?;
            self.converter.convert(&self.scratch, out)
        };
        result.map_err(|Fault { row, column, problem }| {
            IoError::new(self.array.name(), Place::Element { row: first_row + row, column }, problem)
        })
    }
}

impl RowSource for NpyReader {
    fn rows(&self) -> Option<u64> {
        Some(self.array.rows())
    }

    fn dim(&self) -> usize {
        self.converter.dim()
    }

    fn element(&self) -> ElementType {
        self.array.element()
    }

    fn target(&self) -> TargetType {
        self.converter.target()
    }

    fn read_rows(&mut self, out: &mut Vec<u8>, max_rows: usize) -> Result<usize, IoError> {
        let row_bytes = self.converter.target_row_bytes();
        let left = if self.failed { 0 } else { usize::try_from(self.array.left()).unwrap_or(usize::MAX) };
        let rows = left.min(max_rows).min((MAX_SLAB_BYTES / row_bytes).max(1));
        let piece_bytes = (PIECE_BYTES / row_bytes.max(self.converter.source_row_bytes())).max(1) * row_bytes;

        let mut done = 0;
        while done < rows * row_bytes {
            let end = (done + piece_bytes).min(rows * row_bytes);
            // Growing by pieces, because the rows of a stream are not there until they are read; what a former slab has
            // left in `out` is not zeroed again.
            if out.len() < end {
                out.resize(end, 0);
            }
            if let Err(error) = self.read_piece(&mut out[done..end]) {
                self.failed = true;
                out.clear();
                return Err(error);
            }
            done = end;
        }
        out.truncate(done);
        Ok(rows)
    }
}
