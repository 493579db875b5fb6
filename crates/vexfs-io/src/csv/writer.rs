//! Writing CSV: ids or keys, and each vector as a list in one cell.

use std::fs::File;
use std::io::{BufWriter, Write};

use csv::QuoteStyle;

use crate::element::TargetType;
use crate::error::IoError;
use crate::text::write_components;
use crate::writer::{RowName, RowWriter, WRITE_BUFFER, check_named};

/// Writes rows as the columns `id` or `key`, and `vector`.
pub struct CsvWriter<W: Write> {
    name: String,
    sink: csv::Writer<W>,
    target: TargetType,
    dim: usize,
    /// Whether the names of the columns are written, which the first row decides.
    is_begun: bool,
    cell: Vec<u8>,
}

impl CsvWriter<BufWriter<File>> {
    /// Writes packed rows of `dim` components of `target`.
    pub fn new(file: File, name: &str, target: TargetType, dim: usize) -> Self {
        let sink = BufWriter::with_capacity(WRITE_BUFFER, file);
        let sink = csv::WriterBuilder::new().quote_style(QuoteStyle::Necessary).from_writer(sink);
        CsvWriter { name: name.to_owned(), sink, target, dim, is_begun: false, cell: Vec::new() }
    }
}

impl<W: Write> CsvWriter<W> {
    fn begin(&mut self, name: &str) -> csv::Result<()> {
        self.is_begun = true;
        self.sink.write_record([name, "vector"])
    }

    fn write_row(&mut self, row: &[u8], name: &RowName<'_>) -> csv::Result<()> {
        if !self.is_begun {
            self.begin(if matches!(name, RowName::Id(_)) { "id" } else { "key" })?;
        }
        match name {
            RowName::Id(id) => self.sink.write_field(id.to_string())?,
            RowName::Key(key) => self.sink.write_field(key)?,
        }
        self.cell.clear();
        write_components(&mut self.cell, row, self.target, self.dim)?;
        self.sink.write_field(&self.cell)?;
        self.sink.write_record(None::<&[u8]>)
    }

    fn failed(&self, error: csv::Error) -> IoError {
        IoError::system(&self.name, "write", error.into())
    }
}

impl<W: Write> RowWriter for CsvWriter<W> {
    fn takes_names(&self) -> bool {
        true
    }

    fn write_rows(&mut self, rows: &[u8], names: &[RowName<'_>], _: &[&str]) -> Result<(), IoError> {
        let row_bytes = self.target.row_bytes(self.dim);
        check_named(&self.name, rows, row_bytes, names)?;
        for (row, name) in rows.chunks_exact(row_bytes).zip(names) {
            self.write_row(row, name).map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), IoError> {
        if !self.is_begun {
            self.begin("id").map_err(|error| self.failed(error))?;
        }
        self.sink.flush().map_err(|error| IoError::system(&self.name, "write", error))
    }
}
