//! What can go wrong with an input or output file: which file, where in it, what was found and what to do.

use std::fmt;
use std::io;

use crate::element::{ElementType, TargetType};
use crate::format::Format;
use crate::probe::Content;

/// A failure to read or write a vector file: the file, the [`Place`] in it and the [`Problem`].
///
/// The text reads `items.npy: row 17, column 3: NaN; vectors hold finite numbers only`.
pub struct IoError(Box<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    place: Place,
    problem: Problem,
}

impl IoError {
    /// Builds the error for the file or stream called `name`.
    pub fn new(name: impl Into<String>, place: Place, problem: Problem) -> Self {
        IoError(Box::new(Inner { name: name.into(), place, problem }))
    }

    /// Wraps a system error met while `doing` something; a missing file and the like get their own [`Problem`].
    pub fn system(name: impl Into<String>, doing: &'static str, error: io::Error) -> Self {
        let problem = match error.kind() {
            io::ErrorKind::NotFound => Problem::Missing,
            io::ErrorKind::PermissionDenied => Problem::Denied,
            io::ErrorKind::IsADirectory => Problem::Directory,
            _ => Problem::System { doing, error },
        };
        Self::new(name, Place::Whole, problem)
    }

    /// The same error at another place of the file.
    pub(crate) fn at(mut self, place: Place) -> Self {
        self.0.place = place;
        self
    }

    /// The path of the file, or a name such as `standard input`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Where in the file the problem lies.
    pub fn place(&self) -> Place {
        self.0.place
    }

    /// What is wrong there.
    pub fn problem(&self) -> &Problem {
        &self.0.problem
    }

    /// The kind of the system error behind this one, if there is one: a closed pipe is a success for some tools.
    pub fn system_kind(&self) -> Option<io::ErrorKind> {
        match &self.0.problem {
            Problem::Missing => Some(io::ErrorKind::NotFound),
            Problem::Denied => Some(io::ErrorKind::PermissionDenied),
            Problem::Directory => Some(io::ErrorKind::IsADirectory),
            Problem::System { error, .. } => Some(error.kind()),
            _ => None,
        }
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}{}", self.0.name, self.0.place, self.0.problem)
    }
}

impl fmt::Debug for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for IoError {}

/// A place in a file. Rows and columns count from 0 as in numpy, lines and their columns from 1 as in editors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The file as a whole.
    Whole,
    /// A byte offset from the start of the file.
    Byte(u64),
    /// A row of the array.
    Row(u64),
    /// One element of the array.
    Element {
        /// Row of the array.
        row: u64,
        /// Column of the array as the file has it.
        column: u64,
    },
    /// A line of a text.
    Line(u64),
    /// A character of a text.
    Character {
        /// Line of the text.
        line: u64,
        /// Character within the line.
        column: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Whole => Ok(()),
            Place::Byte(offset) => write!(f, "byte {offset}: "),
            Place::Row(row) => write!(f, "row {row}: "),
            Place::Element { row, column } => write!(f, "row {row}, column {column}: "),
            Place::Line(line) => write!(f, "line {line}: "),
            Place::Character { line, column } => write!(f, "line {line}, column {column}: "),
        }
    }
}

/// What was found, what was expected and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// The path leads nowhere.
    #[error("no such file")]
    Missing,
    /// The user may not open it.
    #[error("permission denied")]
    Denied,
    /// The path is a directory.
    #[error("is a directory; name the vector file in it")]
    Directory,
    /// There is not one byte in it.
    #[error("is empty; expected {expected}")]
    Empty {
        /// What would have been read.
        expected: &'static str,
    },
    /// Any other failure of the operating system.
    #[error("cannot {doing}: {error}")]
    System {
        /// The operation that failed.
        doing: &'static str,
        /// Its error.
        error: io::Error,
    },
    /// The content is of another kind.
    #[error("looks like {found}, expected {expected}{}", .found.advice())]
    Format {
        /// What the first bytes say.
        found: Content,
        /// What would have been read.
        expected: &'static str,
    },
    /// An npy format version this crate does not know.
    #[error("npy format version {major}.{minor}; expected 1.0, 2.0 or 3.0")]
    Version {
        /// First version byte.
        major: u8,
        /// Second version byte.
        minor: u8,
    },
    /// The npy header does not follow the grammar.
    #[error("malformed npy header: found {found}, expected {expected}")]
    Header {
        /// The offending text, shortened.
        found: String,
        /// What the grammar allows at this place.
        expected: &'static str,
    },
    /// An element type that holds no vector components.
    #[error("element type {descr} ({name}) holds no vectors; {advice}")]
    ElementType {
        /// The type as the header spells it, shortened.
        descr: String,
        /// Its name in numpy.
        name: &'static str,
        /// How to get a file that can be read.
        advice: &'static str,
    },
    /// An element type that holds no strings.
    #[error("element type {descr} holds no strings; {advice}")]
    TextType {
        /// The type as the header spells it, shortened.
        descr: String,
        /// How to get a file that can be read.
        advice: &'static str,
    },
    /// An array with the wrong number of axes or an impossible length.
    #[error("shape {shape}: {reason}")]
    Shape {
        /// The shape as numpy prints it.
        shape: String,
        /// Why it cannot be read, and what to do.
        reason: &'static str,
    },
    /// A column-major array on a stream, where rows cannot be gathered.
    #[error(
        "fortran_order array on a stream: its rows end with the stream; save it with \
         numpy.ascontiguousarray, or name it as a file"
    )]
    FortranStream,
    /// The file is shorter than its header promises.
    #[error(
        "truncated: header promises {promised} bytes, file has {found} (row {row} is the first incomplete one)"
    )]
    Truncated {
        /// Length in bytes of the whole file according to its header.
        promised: u64,
        /// Length in bytes that is there.
        found: u64,
        /// The first row that is not complete.
        row: u64,
    },
    /// The file is longer than its header promises.
    #[error(
        "trailing data: header promises {promised} bytes, {}; one file holds one array",
        .found.map_or("more follow".to_owned(), |n| format!("file has {n}"))
    )]
    Trailing {
        /// Length in bytes of the whole file according to its header.
        promised: u64,
        /// Length in bytes that is there; unknown for a stream.
        found: Option<u64>,
    },
    /// A row of an fvecs, bvecs or ivecs file that is not all there.
    #[error("ends after {found} of {expected} bytes: the file is cut short, or not of this format")]
    RowCut {
        /// Bytes of the row that are there.
        found: usize,
        /// Bytes of a row.
        expected: usize,
    },
    /// A first row of an fvecs, bvecs or ivecs file that cannot be.
    #[error("claims {dim} components; expected 1 to 1048576")]
    VecsDim {
        /// The number as found.
        dim: i32,
    },
    /// A row of an fvecs, bvecs or ivecs file that has another length than the rows before it.
    #[error("claims {found} components, those before have {expected}")]
    VecsRow {
        /// The number as found.
        found: i32,
        /// Components of the first row.
        expected: usize,
    },
    /// A file of big-ann-benchmarks that ends within its first two numbers.
    #[error("has {found} bytes, not the 8 of its two numbers of rows and components")]
    BinHeader {
        /// Bytes that are there.
        found: usize,
    },
    /// A format that is read from files only.
    #[error("{format} is read from a file, not from a stream; save it first")]
    NotAFile {
        /// The format.
        format: Format,
    },
    /// The HDF5 library cannot do something with a file.
    #[error("cannot {doing}: {text}")]
    Hdf5 {
        /// What failed.
        doing: &'static str,
        /// What the library says, shortened.
        text: String,
    },
    /// No dataset was named, and there is not just one that could be meant.
    #[error("name one dataset, as FILE:/NAME; {}", if .found.is_empty() { "there is none" } else { .found })]
    Datasets {
        /// Those of the file.
        found: String,
    },
    /// Something in a Parquet file that cannot be read.
    #[error("{text}")]
    Parquet {
        /// What it is.
        text: &'static str,
    },
    /// A zip archive that cannot be read.
    #[error("cannot read the archive: {text}")]
    Archive {
        /// Why, shortened.
        text: String,
    },
    /// No array of an archive was named, or one that is not there, and there is not just one that could be meant.
    #[error("name one array, as FILE:NAME; {}", if .found.is_empty() { "there is none" } else { .found })]
    Arrays {
        /// Those of the archive.
        found: String,
    },
    /// No column of a table was named, or one that is not there, and there is not just one that could be meant.
    #[error("name the column of the vectors, as FILE:COLUMN; {}", if .found.is_empty() { "there is none" } else { .found })]
    Columns {
        /// Those of the table.
        found: String,
    },
    /// Payload that cannot stand beside the vector in one JSON object.
    #[error("the payload of {row} {found}; it can be written to a file of its own")]
    Payload {
        /// How the row is called.
        row: String,
        /// What the payload has.
        found: String,
    },
    /// A cell of a table that cannot be what it should be.
    #[error("column `{column}`: {problem}")]
    Cell {
        /// The column, shortened.
        column: String,
        /// What is wrong with the cell.
        problem: Box<Problem>,
    },
    /// A row of a table with another number of cells than its first line.
    #[error("has {found} cells where the first line names {expected} columns")]
    Cells {
        /// Cells of this row.
        found: usize,
        /// Columns of the table.
        expected: usize,
    },
    /// A dataset whose bytes are not in its file.
    #[error("{what}; copy it into one file with h5repack or h5py")]
    Elsewhere {
        /// Where they are.
        what: &'static str,
    },
    /// A dataset that was made and never filled.
    #[error("nothing was ever written to the dataset")]
    NeverWritten,
    /// A dataset with chunks that do not fit the memory.
    #[error(
        "chunks of shape {shape} take more memory than is allowed; make them smaller with h5repack -l CHUNK=…"
    )]
    Chunk {
        /// Shape of a chunk as numpy prints it.
        shape: String,
    },
    /// A part of a file whose name is no text.
    #[error("the name behind the colon is not UTF-8")]
    PartText,
    /// A part of a file that has none.
    #[error("has no part `{part}`: {format} holds one array")]
    NoParts {
        /// The part that was named, shortened.
        part: String,
        /// The format of the file.
        format: Format,
    },
    /// A NaN or an infinity.
    #[error("{value}; vectors hold finite numbers only")]
    NotFinite {
        /// `NaN`, `infinity` or `-infinity`.
        value: &'static str,
    },
    /// A number that the target type cannot hold.
    #[error("{value} does not fit {target}, which holds {}", .target.range())]
    Range {
        /// The number as found.
        value: String,
        /// The type it was to become.
        target: TargetType,
    },
    /// A byte in a bool array that is neither 0 nor 1.
    #[error("byte {byte} in a bool array, expected 0 or 1")]
    Bool {
        /// The byte as found.
        byte: u8,
    },
    /// A line of text that does not follow the grammar.
    #[error("found {found}, expected {expected}")]
    Text {
        /// The offending text, shortened.
        found: String,
        /// What the grammar allows at this place.
        expected: &'static str,
    },
    /// A line longer than anything that could be meant.
    #[error("line is longer than {limit} bytes; expected {expected} per line")]
    LineLength {
        /// The most bytes a line may have.
        limit: usize,
        /// What a line holds.
        expected: &'static str,
    },
    /// A vector with another number of components than those before it.
    #[error("vector has {found} components, those before have {expected}")]
    Dim {
        /// Components of this vector.
        found: usize,
        /// Components of the first vector.
        expected: usize,
    },
    /// A whole number below zero where ids, rows or counts stand.
    #[error("{value} is negative; expected a whole number from 0 to 18446744073709551615")]
    Negative {
        /// The number as found.
        value: i64,
    },
    /// An array of ids or row numbers that is not of an integer type.
    #[error("elements are {element}, expected an integer type; convert them with astype('uint64')")]
    NotInteger {
        /// The type as found.
        element: ElementType,
    },
    /// The rows given to a writer are not what it was created for.
    #[error("{found} {unit} given to the writer, expected {expected}")]
    Written {
        /// What was given.
        found: u64,
        /// What was promised.
        expected: u64,
        /// The unit of both numbers.
        unit: &'static str,
    },
}

/// Some of the names, for a message that asks to choose one.
pub(crate) fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 12;
    let mut shown = String::new();
    for (number, name) in names.take(MOST + 1).enumerate() {
        if number > 0 {
            shown.push_str(", ");
        }
        shown.push_str(if number == MOST { "…" } else { name });
    }
    excerpt_of(&shown, 400)
}

/// Shortens untrusted text for a message: at most 60 characters, control characters escaped.
pub(crate) fn excerpt(text: &str) -> String {
    excerpt_of(text, 60)
}

fn excerpt_of(text: &str, longest: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(longest) {
        if character.is_control() { shown.extend(character.escape_default()) } else { shown.push(character) }
    }
    if text.chars().nth(longest).is_some() {
        shown.push('…');
    }
    shown
}
