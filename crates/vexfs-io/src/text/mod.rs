//! Vectors as text: a line each, as numbers, as a JSON array, or in a JSON object.

mod components;
mod object;
mod writer;

use std::io::Read;

pub(crate) use components::Components;
use components::{Malformed, VECTOR, is_object};
use object::Members;
pub use writer::JsonLinesWriter;
pub(crate) use writer::write_components;

use crate::beside::Beside;
use crate::convert::{Converter, Fault};
use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place, Problem, excerpt};
use crate::lines::Lines;
use crate::source::{OpenOptions, RowSource};

/// The longest line that is read, in bytes: 16 for each of [`MAX_DIM`](crate::MAX_DIM) components.
const MAX_LINE_BYTES: usize = 16 << 20;

/// Vectors from a text, one line each; blank lines are skipped.
///
/// A line is `0.1 0.2` or `0.1, 0.2`, or the same in brackets (JSON), or a JSON object that has such an array as a member:
/// the one that is called `vector` or `embedding`, or is the only array of numbers; the others are names and payload of the row, if
/// [asked for](RowSource::beside). Numbers are read as f64 and converted like an f64 array. The first line sets the dim.
pub struct TextVectors<R> {
    lines: Lines<R>,
    /// Name of the member that holds the vector, once it is known.
    member: Option<String>,
    components: Components,
    converter: Converter,
    beside: Beside,
    /// The first line, which has been read to learn the dim but not delivered.
    first: Option<String>,
    /// Set by an error: what lies behind it is not delivered.
    failed: bool,
}

impl<R: Read + Send> TextVectors<R> {
    /// Opens a text and reads its first vector; `name` is for messages. The default target is [`TargetType::F32`].
    ///
    /// # Errors
    /// [`Problem::Empty`] if there is no vector; [`Problem::Columns`] if the first is in an object and it cannot be told where;
    /// those of [`RowSource::read_rows`] for the first.
    pub fn from_stream(stream: R, name: &str, options: &OpenOptions) -> Result<Self, IoError> {
        Self::of_member(stream, name, None, options)
    }

    /// Opens a text whose vectors are the members called `member` of objects.
    pub(crate) fn of_member(
        stream: R,
        name: &str,
        member: Option<String>,
        options: &OpenOptions,
    ) -> Result<Self, IoError> {
        let target = options.target.unwrap_or(ElementType::F64.default_target());
        let mut lines = Lines::new(stream, name, MAX_LINE_BYTES, VECTOR);
        let Some(first) = next_line(&mut lines)?.map(ToOwned::to_owned) else {
            return Err(IoError::new(name, Place::Whole, Problem::Empty { expected: "a vector per line" }));
        };
        let member = match member {
            None if is_object(&first) => {
                let found = Members::parse(&first).and_then(|members| {
                    members.vector_name().map(ToOwned::to_owned).map_err(|problem| (1, problem))
                });
                Some(found.map_err(|malformed| at(&lines, malformed))?)
            }
            other => other,
        };
        let mut components = Components::default();
        parse(&first, member.as_deref(), &mut components, target, &mut Beside::default())
            .map_err(|malformed| at(&lines, malformed))?;
        let converter = Converter::new(ElementType::F64, target, components.len());
        let beside = Beside::default();
        Ok(TextVectors { lines, member, components, converter, beside, first: Some(first), failed: false })
    }

    /// Appends up to `max_rows` rows to `out` and returns how many.
    fn append_rows(&mut self, out: &mut Vec<u8>, max_rows: usize) -> Result<usize, IoError> {
        let (target, dim) = (self.converter.target(), self.converter.dim());
        let mut rows = 0;
        while rows < max_rows && !self.beside.is_full() {
            let (first, member) = (self.first.take(), self.member.as_deref());
            let line = match &first {
                Some(line) => line,
                None => match next_line(&mut self.lines)? {
                    Some(line) => line,
                    None => break,
                },
            };
            parse(line, member, &mut self.components, target, &mut self.beside)
                .map_err(|malformed| at(&self.lines, malformed))?;
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

    fn other_columns(&self) -> Vec<String> {
        let first = self.first.as_deref().filter(|line| is_object(line));
        let Some(members) = first.and_then(|line| Members::parse(line).ok()) else { return Vec::new() };
        let others = members.names().filter(|name| self.member.as_deref() != Some(*name));
        others.map(str::to_owned).collect()
    }

    fn beside(&mut self) -> Option<&mut Beside> {
        Some(&mut self.beside)
    }

    fn read_rows(&mut self, out: &mut Vec<u8>, max_rows: usize) -> Result<usize, IoError> {
        out.clear();
        self.beside.begin();
        if self.failed {
            return Ok(0);
        }
        self.append_rows(out, max_rows).inspect_err(|_| {
            self.failed = true;
            out.clear();
        })
    }
}

/// The next line that is not blank; `None` at the end of the text.
fn next_line<R: Read>(lines: &mut Lines<R>) -> Result<Option<&str>, IoError> {
    while let Some(line) = lines.next_line()? {
        if !line.trim().is_empty() {
            return Ok(Some(lines.line()));
        }
    }
    Ok(None)
}

/// Reads the vector of a line, and what is wanted of the rest.
fn parse(
    line: &str,
    member: Option<&str>,
    components: &mut Components,
    target: TargetType,
    beside: &mut Beside,
) -> Result<(), Malformed> {
    if !is_object(line) {
        if let Some(column) = beside.name_column() {
            let found = format!("a line without `{}`", excerpt(column));
            return Err((1, Problem::Text { found, expected: "a JSON object" }));
        }
        beside.push_payload([("", ""); 0].into_iter()).map_err(|problem| (1, problem))?;
        return components.parse_array(line, line, target);
    }
    let members = Members::parse(line)?;
    let whole = |problem| (1, problem);
    let name = member.map_or_else(|| members.vector_name(), Ok).map_err(whole)?;
    components.parse_array(line, members.one(name).map_err(whole)?, target)?;
    members.give(name, beside).map_err(whole)
}

/// The error at a character of the line that was read last.
fn at<R: Read>(lines: &Lines<R>, (column, problem): Malformed) -> IoError {
    IoError::new(lines.name(), Place::Character { line: lines.number(), column }, problem)
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
