//! Vectors as text: a line each, as numbers, as a JSON array, or in a JSON object.

mod components;
mod writer;

use std::io::Read;

use components::{Components, VECTOR};
pub use writer::JsonLinesWriter;

use crate::convert::{Converter, Fault};
use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place, Problem};
use crate::lines::Lines;
use crate::source::{OpenOptions, RowSource};

/// The longest line that is read, in bytes: 16 for each of [`MAX_DIM`](crate::MAX_DIM) components.
const MAX_LINE_BYTES: usize = 16 << 20;

/// Vectors from a text, one line each; blank lines are skipped.
///
/// A line is `0.1 0.2` or `0.1, 0.2`, or the same in brackets (JSON), or a JSON object whose key `vector` holds such an
/// array; other keys are ignored. Numbers are read as f64 and converted like an f64 array. The first line sets the dim.
pub struct TextVectors<R> {
    lines: Lines<R>,
    components: Components,
    converter: Converter,
    /// Whether `components` holds the first line, which has been read to learn the dim but not delivered.
    first_pending: bool,
    /// Set by an error: what lies behind it is not delivered.
    failed: bool,
}

impl<R: Read + Send> TextVectors<R> {
    /// Opens a text and reads its first vector; `name` is for messages. The default target is [`TargetType::F32`].
    ///
    /// # Errors
    /// [`Problem::Empty`] if there is no vector; those of [`RowSource::read_rows`] for the first.
    pub fn from_stream(stream: R, name: &str, options: &OpenOptions) -> Result<Self, IoError> {
        let target = options.target.unwrap_or(ElementType::F64.default_target());
        let mut lines = Lines::new(stream, name, MAX_LINE_BYTES, VECTOR);
        let mut components = Components::default();
        if !next_vector(&mut lines, &mut components, target)? {
            return Err(IoError::new(name, Place::Whole, Problem::Empty { expected: "a vector per line" }));
        }
        let converter = Converter::new(ElementType::F64, target, components.len());
        Ok(TextVectors { lines, components, converter, first_pending: true, failed: false })
    }

    /// Appends up to `max_rows` rows to `out` and returns how many.
    fn append_rows(&mut self, out: &mut Vec<u8>, max_rows: usize) -> Result<usize, IoError> {
        let (target, dim) = (self.converter.target(), self.converter.dim());
        let mut rows = 0;
        while rows < max_rows {
            if !std::mem::take(&mut self.first_pending)
                && !next_vector(&mut self.lines, &mut self.components, target)?
            {
                break;
            }
            if self.components.len() != dim {
                let problem = Problem::Dim { found: self.components.len(), expected: dim };
                return Err(self.lines.error(problem));
            }
            let end = out.len() + self.converter.target_row_bytes();
            let start = out.len();
            out.resize(end, 0);
            self.converter.convert(&self.components.bytes, &mut out[start..]).map_err(
                |Fault { column, problem, .. }| {
                    let column = self.components.characters[column as usize];
                    let place = Place::Character { line: self.lines.number(), column };
                    IoError::new(self.lines.name(), place, problem)
                },
            )?;
            rows += 1;
        }
        Ok(rows)
    }
}

impl<R: Read + Send> RowSource for TextVectors<R> {
    fn rows(&self) -> Option<u64> {
        None
    }

    fn dim(&self) -> usize {
        self.converter.dim()
    }

    fn element(&self) -> ElementType {
        ElementType::F64
    }

    fn target(&self) -> TargetType {
        self.converter.target()
    }

    fn read_rows(&mut self, out: &mut Vec<u8>, max_rows: usize) -> Result<usize, IoError> {
        out.clear();
        if self.failed {
            return Ok(0);
        }
        self.append_rows(out, max_rows).inspect_err(|_| {
            self.failed = true;
            out.clear();
        })
    }
}

/// Reads lines up to the next vector; false at the end of the text.
fn next_vector<R: Read>(
    lines: &mut Lines<R>,
    components: &mut Components,
    target: TargetType,
) -> Result<bool, IoError> {
    loop {
        let Some(line) = lines.next_line()? else { return Ok(false) };
        if line.trim().is_empty() {
            continue;
        }
        return match components.parse(line, target) {
            Ok(()) => Ok(true),
            Err((column, problem)) => {
                let place = Place::Character { line: lines.number(), column };
                Err(IoError::new(lines.name(), place, problem))
            }
        };
    }
}

/// One packed row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedVector {
    /// Number of components, at least 1.
    pub dim: usize,
    /// Their type.
    pub target: TargetType,
    /// [`TargetType::row_bytes`] bytes, little-endian.
    pub bytes: Vec<u8>,
}

/// Reads one vector from a text such as `0.1, 0.2`, `0.1 0.2`, `[0.1, 0.2]` or `{"vector": [0.1, 0.2]}`, as given on a
/// command line.
///
/// # Errors
/// The character at which it cannot go on, or where a number is not finite or does not fit `target`.
pub fn parse_vector(text: &str, target: TargetType) -> Result<PackedVector, IoError> {
    const NAME: &str = "vector";
    let at = |column, problem| IoError::new(NAME, Place::Character { line: 1, column }, problem);
    let mut components = Components::default();
    components.parse(text, target).map_err(|(column, problem)| at(column, problem))?;
    let converter = Converter::new(ElementType::F64, target, components.len());
    let mut bytes = vec![0; converter.target_row_bytes()];
    converter
        .convert(&components.bytes, &mut bytes)
        .map_err(|fault| at(components.characters[fault.column as usize], fault.problem))?;
    Ok(PackedVector { dim: converter.dim(), target, bytes })
}

#[cfg(test)]
mod tests;
