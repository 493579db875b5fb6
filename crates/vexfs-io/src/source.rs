//! The door: opens an input by what it is and delivers its rows, packed, in slabs.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;
use std::str::FromStr;

use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place, Problem};
use crate::npy::{Input, NpyReader};
use crate::probe::{Content, NPY_MAGIC, PROBE_BYTES};
use crate::read_at::ReadAt;
use crate::text::TextVectors;

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

    /// How many delivered rows fit in `bytes`; at least 1.
    fn rows_within(&self, bytes: usize) -> usize {
        (bytes / self.target().row_bytes(self.dim()).max(1)).max(1)
    }
}

/// How the content of an input is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// An array saved by `numpy.save`.
    Npy,
    /// A vector per line: numbers, a JSON array, or a JSON object with the key `vector`.
    Text,
}

impl Format {
    /// Decides by the first bytes of an input.
    ///
    /// # Errors
    /// [`Problem::Empty`], or [`Problem::Format`] for what cannot be read.
    fn detect(start: &[u8], name: &str) -> Result<Format, IoError> {
        const EXPECTED: &str = "an npy array or a text of vectors";
        let problem = match Content::of(start) {
            Content::Npy => return Ok(Format::Npy),
            Content::Text => return Ok(Format::Text),
            Content::Empty => Problem::Empty { expected: EXPECTED },
            found => Problem::Format { found, expected: EXPECTED },
        };
        Err(IoError::new(name, Place::Whole, problem))
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        match name {
            "npy" => Ok(Format::Npy),
            "text" => Ok(Format::Text),
            _ => Err(format!("unknown format `{name}`; expected npy or text")),
        }
    }
}

/// How an input is to be read.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// Layout of the input; `None` decides by its first bytes.
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

/// Opens the vectors in the file at `path`; `-` is standard input. Pipes and the like are read as streams.
///
/// # Errors
/// [`Problem::Missing`], [`Problem::Denied`], [`Problem::Directory`], [`Problem::Empty`], [`Problem::Format`], and those of
/// the reader of the format.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RowSource>, IoError> {
    let (input, name) = Opened::path(path)?;
    match input {
        Opened::Stream(stream) => open_stream(stream, &name, options),
        Opened::File(file) => {
            let format = match options.format {
                Some(format) => format,
                None => Format::detect(&read_start(&file, &name)?, &name)?,
            };
            match format {
                Format::Npy => Ok(Box::new(NpyReader::from_file(file, &name, options)?)),
                Format::Text => Ok(Box::new(TextVectors::from_stream(file, &name, options)?)),
            }
        }
    }
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
    let (start, stream) = peek(stream, name)?;
    let format = match options.format {
        Some(format) => format,
        None => Format::detect(&start, name)?,
    };
    match format {
        Format::Npy => Ok(Box::new(NpyReader::from_stream(stream, name, options)?)),
        Format::Text => Ok(Box::new(TextVectors::from_stream(stream, name, options)?)),
    }
}

/// An open path, as what it is.
pub(crate) enum Opened {
    /// A regular file: can be read at any offset, or in order from its start.
    File(File),
    /// Standard input, a pipe and the like: can be read in order only.
    Stream(Box<dyn Read + Send>),
}

impl Opened {
    /// Opens `path` (`-` is standard input) and tells its name for messages.
    pub(crate) fn path(path: &Path) -> Result<(Opened, String), IoError> {
        if path == Path::new("-") {
            return Ok((Opened::Stream(Box::new(io::stdin())), "standard input".to_owned()));
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|error| IoError::system(&name, "open", error))?;
        let kind = file.metadata().map_err(|error| IoError::system(&name, "examine", error))?.file_type();
        if kind.is_dir() {
            return Err(IoError::new(name, Place::Whole, Problem::Directory));
        }
        Ok((if kind.is_file() { Opened::File(file) } else { Opened::Stream(Box::new(file)) }, name))
    }
}

impl From<Opened> for Input {
    fn from(opened: Opened) -> Input {
        match opened {
            Opened::File(file) => Input::File(Box::new(file)),
            Opened::Stream(stream) => Input::Stream(stream),
        }
    }
}

/// The first bytes of a file, for [`Content::of`].
pub(crate) fn read_start(file: &dyn ReadAt, name: &str) -> Result<Vec<u8>, IoError> {
    let read = || {
        let mut start = vec![0; usize::try_from(file.length()?).unwrap_or(usize::MAX).min(PROBE_BYTES)];
        file.read_exact_at(&mut start, 0)?;
        Ok(start)
    };
    read().map_err(|error| IoError::system(name, "read", error))
}

/// A stream whose first bytes have been looked at.
pub(crate) type Peeked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Looks at the first bytes of a stream without taking them away.
///
/// Waits for no more than is needed to tell npy from anything else: behind the stream may be somebody who types one query
/// and waits for the answer.
pub(crate) fn peek<R: Read>(mut stream: R, name: &str) -> Result<(Vec<u8>, Peeked<R>), IoError> {
    let mut start = vec![0; PROBE_BYTES];
    let mut length = 0;
    while length < NPY_MAGIC.len() && NPY_MAGIC.starts_with(&start[..length]) {
        match stream.read(&mut start[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(IoError::system(name, "read", error)),
        }
    }
    start.truncate(length);
    Ok((start.clone(), Cursor::new(start).chain(stream)))
}
