//! CSV: a table whose first line names its columns, of which one or several hold the vectors.
//!
//! `records` reads rows of bounded length, `columns` finds the vectors, `cells` makes JSON of the others; `writer` writes such a table. What looks like a text of
//! vectors is one, whatever it is called: numpy.savetxt writes such files.

mod cells;
mod columns;
mod records;
#[cfg(test)]
mod tests;
mod writer;

use std::io::{BufRead, BufReader, Cursor, Read};

use cells::{Kinds, cell_json};
use columns::VectorColumns;
use csv::ByteRecord;
use records::{MAX_RECORD_BYTES, Records, line_of};

use crate::beside::Beside;
use crate::convert::{Converter, Fault};
use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place, Problem, excerpt};
use crate::format::Format;
use crate::input::Input;
use crate::source::{OpenOptions, RowSource};
use crate::text::{Components, TextVectors};
pub use writer::CsvWriter;

/// Opens what is readable text: a table if its first line names columns, else vectors line by line.
///
/// # Errors
/// Those of [`TextVectors::from_stream`] and [`CsvRows::open`]; [`Problem::NoParts`] for a column of a text without.
pub(crate) fn open_text(
    mut input: Input,
    format: Format,
    options: &OpenOptions,
) -> Result<Box<dyn RowSource>, IoError> {
    let (name, part) = (input.name.clone(), input.part.take());
    let mut stream = BufReader::new(input.into_stream()?.0);
    let mut first = Vec::new();
    let read = (&mut stream).take(MAX_RECORD_BYTES).read_until(b'\n', &mut first);
    read.map_err(|error| IoError::system(&name, "read", error))?;
    let is_lines = options.format == Some(Format::Text);
    let names = if is_lines { None } else { columns::names_in(&first, format == Format::Csv) };
    let is_object = first.trim_ascii_start().starts_with(b"{");
    let stream = Cursor::new(first).chain(stream);
    if let Some(delimiter) = names {
        return Ok(Box::new(CsvRows::open(stream, delimiter, &name, part.as_deref(), options)?));
    }
    if let Some(part) = part.as_deref().filter(|_| !is_object) {
        let problem = Problem::NoParts { part: excerpt(part), format };
        return Err(IoError::new(name, Place::Whole, problem));
    }
    Ok(Box::new(TextVectors::of_member(stream, &name, part, options)?))
}

/// The rows of a table.
pub(crate) struct CsvRows<R> {
    records: Records<R>,
    /// Names of the columns.
    names: Vec<String>,
    vector: VectorColumns,
    /// What the other columns hold; known once payload is asked for and the first rows have been looked at.
    kinds: Option<Kinds>,
    components: Components,
    converter: Converter,
    beside: Beside,
    /// Set by an error: what lies behind it is not delivered.
    failed: bool,
}

impl<R: Read + Send> CsvRows<R> {
    /// Opens a table and reads its names and its first row; `column` is the one of the vectors, or what the names of several begin with.
    ///
    /// # Errors
    /// [`Problem::Cell`] if two columns have one name; [`Problem::Empty`] if there is no row; [`Problem::Columns`] if it cannot be told
    /// where the vectors are; those of [`RowSource::read_rows`] for the first.
    pub(crate) fn open(
        stream: R,
        delimiter: u8,
        name: &str,
        column: Option<&str>,
        options: &OpenOptions,
    ) -> Result<Self, IoError> {
        let target = options.target.unwrap_or(ElementType::F64.default_target());
        let mut records = Records::new(stream, delimiter, name);
        let names = records.names()?;
        if let Some(twice) = columns::twice(&names) {
            let problem = Problem::Text {
                found: "a second column of that name".to_owned(),
                expected: "each name once",
            };
            return Err(IoError::new(name, Place::Line(1), cells::in_column(twice, problem)));
        }
        let Some(first) = records.peek()? else {
            let problem = Problem::Empty { expected: "a row behind the names of the columns" };
            return Err(IoError::new(name, Place::Whole, problem));
        };
        let vector = columns::find(&names, first, column).ok_or_else(|| {
            let found = crate::error::listed(names.iter().map(String::as_str));
            IoError::new(name, Place::Whole, Problem::Columns { found })
        })?;
        let mut components = Components::default();
        let line = line_of(first);
        vector
            .parse(first, &names, target, &mut components)
            .map_err(|problem| IoError::new(name, Place::Line(line), problem))?;
        let converter = Converter::new(ElementType::F64, target, components.len());
        let beside = Beside::default();
        Ok(CsvRows { records, names, vector, kinds: None, components, converter, beside, failed: false })
    }

    fn append_rows(&mut self, out: &mut Vec<u8>, max_rows: usize) -> Result<usize, IoError> {
        if self.beside.keeps() && self.kinds.is_none() {
            self.kinds = Some(Kinds::of(self.records.sample()?, self.names.len()));
        }
        let (target, dim) = (self.converter.target(), self.converter.dim());
        let mut rows = 0;
        while rows < max_rows && !self.beside.is_full() {
            let Some(record) = self.records.next()? else { break };
            let line = line_of(&record);
            let fail = |problem| IoError::new(self.records.name(), Place::Line(line), problem);
            self.vector.parse(&record, &self.names, target, &mut self.components).map_err(fail)?;
            if self.components.len() != dim {
                return Err(fail(Problem::Dim { found: self.components.len(), expected: dim }));
            }
            let start = out.len();
            out.resize(start + self.converter.target_row_bytes(), 0);
            self.converter.convert(&self.components.bytes, &mut out[start..]).map_err(
                |Fault { column, problem, .. }| fail(self.vector.at(&self.names, column as usize, problem)),
            )?;
            give(&record, &self.names, &self.vector, self.kinds.as_ref(), &mut self.beside).map_err(fail)?;
            self.records.give_back(record);
            rows += 1;
        }
        Ok(rows)
    }
}

/// Hands over what is not the vector.
fn give(
    record: &ByteRecord,
    names: &[String],
    vector: &VectorColumns,
    kinds: Option<&Kinds>,
    beside: &mut Beside,
) -> Result<(), Problem> {
    let name_column = beside.name_column().and_then(|column| names.iter().position(|name| name == column));
    if let Some(column) = name_column {
        let name = cells::text(record, column)?;
        beside.push_name(name).map_err(|problem| cells::in_column(&names[column], problem))?;
    }
    let Some(kinds) = kinds else { return Ok(()) };
    let mut members = Vec::new();
    for (column, name) in names.iter().enumerate() {
        if Some(column) == name_column || vector.has(column) {
            continue;
        }
        let text = cells::text(record, column).map_err(|problem| cells::in_column(name, problem))?;
        if !text.is_empty() {
            members.push((name.as_str(), cell_json(text, kinds.of_column(column))));
        }
    }
    beside.push_payload(members.into_iter())
}

impl<R: Read + Send> RowSource for CsvRows<R> {
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
        let others = self.names.iter().enumerate().filter(|(column, _)| !self.vector.has(*column));
        others.map(|(_, name)| name.clone()).collect()
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
