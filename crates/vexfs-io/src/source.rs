//! The door: opens an input by what it is and delivers its rows, packed, in slabs.

use std::io::Read;
use std::path::Path;

use crate::beside::Beside;
use crate::bigann::open_bin;
use crate::converted::Converted;
use crate::csv;
use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place, Problem};
use crate::format::{Format, Plain};
use crate::hdf5::Hdf5Rows;
use crate::input::{Bytes, Input};
use crate::npy::ArrayReader;
use crate::npz;
use crate::parquet::ParquetRows;
use crate::probe::Content;
use crate::raw::{Axes, RawRows};
use crate::read_at::ReadAt;
use crate::vecs::VecsRows;

/// The most elements per row that any reader accepts: far above every embedding model, and small enough that a row, which
/// is the least that must fit in memory, has 8 MiB at most.
pub const MAX_DIM: usize = 1 << 20;

/// Bound of the slabs of a column-major file when the caller sets none, in bytes.
///
/// With 1,000 columns of f32 each read is 64 KiB long. Larger slabs make fewer reads, but leave the caches and cost page
/// faults: a cached file of 512 MB was read at 3.2, 1.8 and 1.2 GB/s with 4, 64 and 256 MiB (Zen 3, one thread).
pub const DEFAULT_MEMORY: usize = 64 << 20;

/// Rows of vectors that come one slab after another.
///
/// Every reader checks what it delivers: numbers are finite and fit the target type, rows are complete. A check that
/// fails surfaces in [`read_rows`](Self::read_rows), possibly after earlier rows were delivered; a caller that must take
/// all of a file or nothing drops its transaction then.
pub trait RowSource: Send {
    /// Number of rows in all, if the input says so; a promise that the last slab keeps or breaks with an error.
    fn rows(&self) -> Option<u64>;

    /// Components per row, at least 1.
    fn dim(&self) -> usize;

    /// Type of the components in the input.
    fn element(&self) -> ElementType;

    /// Type of the components in the delivered rows.
    fn target(&self) -> TargetType;

    /// Replaces `out` by the next rows: row-major, packed, little-endian, [`TargetType::row_bytes`] each.
    ///
    /// Returns how many there are: at least one and at most `max_rows` (fewer where a row is very long), or 0 after the last
    /// row. `out` is reused without being zeroed, so hand in the same vector every time. [`rows_within`](Self::rows_within)
    /// gives a `max_rows` for a budget.
    ///
    /// # Errors
    /// The first unacceptable value by row and column, or line and column; the end of the input before the promised rows;
    /// errors of the system. `out` is empty then and the source is at its end.
    fn read_rows(&mut self, out: &mut Vec<u8>, max_rows: usize) -> Result<usize, IoError>;

    /// The columns of a table, or the members of its first row, that do not hold the vectors and can be read. Asked before the first
    /// slab.
    fn other_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// The columns of a table that cannot be read besides, such as lists.
    fn unread_columns(&self) -> Vec<String> {
        Vec::new()
    }

    /// What a table has beside its vectors, to be asked for before the first slab and taken after each; `None` where there are vectors
    /// only.
    fn beside(&mut self) -> Option<&mut Beside> {
        None
    }

    /// How many delivered rows fit in `bytes`; at least 1.
    fn rows_within(&self, bytes: usize) -> usize {
        (bytes / self.target().row_bytes(self.dim()).max(1)).max(1)
    }
}

/// How an input is to be read.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Layout of the input; `None` decides by its first bytes, and where these say nothing, by its name.
    pub format: Option<Format>,
    /// Type of the delivered rows; `None` takes [`ElementType::default_target`].
    pub target: Option<TargetType>,
    /// Whether the two-byte void type `<V2` of an npy file is bfloat16; implied by the target [`TargetType::BF16`].
    pub bf16: bool,
    /// Whether an npy array with one axis is one vector, as it is for queries.
    pub single_vector: bool,
    /// Bound in bytes for the slabs in which a column-major file is read, besides the rows delivered.
    pub memory: usize,
}

impl Default for OpenOptions {
    fn default() -> Self {
        OpenOptions { format: None, target: None, bf16: false, single_vector: false, memory: DEFAULT_MEMORY }
    }
}

impl OpenOptions {
    /// Whether `<V2` is to be read as bfloat16.
    pub(crate) fn takes_bf16(&self) -> bool {
        self.bf16 || self.target == Some(TargetType::BF16)
    }
}

/// Opens the vectors that `path` names: a file, `FILE:PART`, or `-` for standard input. Pipes and the like are read as
/// streams.
///
/// # Errors
/// [`Problem::Missing`], [`Problem::Denied`], [`Problem::Directory`], [`Problem::Empty`], [`Problem::Format`], and those of
/// the reader of the format.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RowSource>, IoError> {
    open_input(Input::open(path)?, options)
}

/// Opens the vectors in a stream, which `name` stands for in messages.
///
/// # Errors
/// As [`open`]; a column-major array cannot be read from a stream.
pub fn open_stream(
    stream: impl Read + Send + 'static,
    name: &str,
    options: &OpenOptions,
) -> Result<Box<dyn RowSource>, IoError> {
    open_input(Input::from_stream(stream, name), options)
}

/// Opens the vectors in bytes that can be read at any offset, which `name` stands for in messages.
///
/// # Errors
/// As [`open`]; without a magic the format is to be named in the options.
pub fn open_file(
    file: impl ReadAt + 'static,
    name: &str,
    options: &OpenOptions,
) -> Result<Box<dyn RowSource>, IoError> {
    let bytes = Bytes::File(Box::new(file));
    open_input(Input { name: name.to_owned(), bytes, path: None, part: None }, options)
}

fn open_input(mut input: Input, options: &OpenOptions) -> Result<Box<dyn RowSource>, IoError> {
    let format = input.format(options.format)?;
    if let Format::Text | Format::Csv = format {
        return csv::open_text(input, format, options);
    }
    let rows = open_raw(input, format, Axes::Rows { single: options.single_vector }, options)?;
    Ok(Box::new(Converted::new(rows, options)))
}

/// Opens a table of integers such as a ground truth: any format of numbers.
///
/// # Errors
/// As [`open`].
pub(crate) fn open_integers(path: &Path, options: &OpenOptions) -> Result<Box<dyn RawRows>, IoError> {
    let mut input = Input::open(path)?;
    let format = match options.format {
        Some(format) => format,
        None => integer_format(&mut input)?,
    };
    open_raw(input, format, Axes::Rows { single: true }, options)
}

/// The format of an input that holds integers: what has neither magic nor telling name is tried as ivecs and ibin.
fn integer_format(input: &mut Input) -> Result<Format, IoError> {
    let found = input.format(None);
    if let Err(error) = &found
        && matches!(error.problem(), Problem::Format { .. })
        && let (start, Some(length)) = input.start()?
        && let Some(format) = [Format::Ibin, Format::Ivecs].into_iter().find(|f| f.fits(&start, length))
    {
        return Ok(format);
    }
    found
}

/// Opens an input of a format of binary arrays.
pub(crate) fn open_raw(
    input: Input,
    format: Format,
    axes: Axes,
    options: &OpenOptions,
) -> Result<Box<dyn RawRows>, IoError> {
    match format.plain() {
        _ if matches!(format, Format::Text | Format::Csv) => {
            let problem = Problem::Format { found: Content::Text, expected: "an array of numbers" };
            Err(IoError::new(input.name, Place::Whole, problem))
        }
        Some(Plain::Vecs(element)) => {
            input.refuse_part(format)?;
            Ok(Box::new(VecsRows::open(input, element)?))
        }
        Some(Plain::Bin(element)) => {
            input.refuse_part(format)?;
            Ok(Box::new(open_bin(input, element, axes)?))
        }
        None if format == Format::Npz => {
            Ok(Box::new(npz::open(input, axes, options.takes_bf16(), options.memory)?))
        }
        None if format == Format::Parquet => Ok(Box::new(ParquetRows::open(input, axes, options.memory)?)),
        None if format == Format::Hdf5 => Ok(Box::new(Hdf5Rows::open(input, axes, options.memory)?)),
        None => {
            input.refuse_part(format)?;
            let Input { bytes, name, .. } = input;
            Ok(Box::new(ArrayReader::open(bytes, &name, axes, options.takes_bf16(), options.memory)?))
        }
    }
}
