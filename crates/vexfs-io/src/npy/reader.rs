//! Vectors from an npy array, as [`RowSource`].

use std::io::Read;

use super::array::ArrayReader;
use super::header::NpyHeader;
use crate::converted::Converted;
use crate::element::{ElementType, TargetType};
use crate::error::IoError;
use crate::input::Bytes;
use crate::raw::Axes;
use crate::read_at::ReadAt;
use crate::source::{OpenOptions, RowSource};

/// The vectors of an npy array, read in slabs.
///
/// Row-major arrays are read straight into the caller's vector when no conversion is needed; column-major ones by slabs
/// within [`OpenOptions::memory`].
pub struct NpyReader(Converted<ArrayReader>);

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
        Self::new(Bytes::File(Box::new(file)), name, options)
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
        Self::new(Bytes::Stream(Box::new(stream)), name, options)
    }

    fn new(bytes: Bytes, name: &str, options: &OpenOptions) -> Result<NpyReader, IoError> {
        let axes = Axes::Rows { single: options.single_vector };
        let array = ArrayReader::open(bytes, name, axes, options.takes_bf16(), options.memory)?;
        Ok(NpyReader(Converted::new(array, options)))
    }

    /// The header, among others for the number of axes.
    pub fn header(&self) -> &NpyHeader {
        self.0.raw().header()
    }
}

impl RowSource for NpyReader {
    fn rows(&self) -> Option<u64> {
        self.0.rows()
    }

    fn dim(&self) -> usize {
        self.0.dim()
    }

    fn element(&self) -> ElementType {
        self.0.element()
    }

    fn target(&self) -> TargetType {
        self.0.target()
    }

    fn read_rows(&mut self, out: &mut Vec<u8>, max_rows: usize) -> Result<usize, IoError> {
        self.0.read_rows(out, max_rows)
    }
}
