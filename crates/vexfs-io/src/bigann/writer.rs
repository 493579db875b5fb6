//! Writing fbin, u8bin and i8bin.

use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};

use super::HEADER_BYTES;
use crate::convert::Converter;
use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place, Problem};
use crate::writer::{RowName, RowWriter, WRITE_BUFFER};

/// Writes rows to a file of big-ann-benchmarks and their number to its start.
pub struct BinWriter<W> {
    name: String,
    sink: W,
    converter: Converter,
    rows: u64,
    converted: Vec<u8>,
}

impl BinWriter<BufWriter<File>> {
    /// Writes f32 components (fbin) of packed rows of `target`, which every type but bits becomes exactly.
    ///
    /// # Errors
    /// Those of the system.
    pub fn fbin(file: File, name: &str, target: TargetType, dim: usize) -> Result<Self, IoError> {
        Self::new(file, name, Converter::new(target.stored_as(), TargetType::F32, dim))
    }

    /// Writes u8 components (u8bin) of packed rows of u8, or of `dim` bits in bytes.
    ///
    /// # Errors
    /// Those of the system.
    pub fn u8bin(file: File, name: &str, target: TargetType, dim: usize) -> Result<Self, IoError> {
        Self::new(file, name, Converter::new(ElementType::U8, TargetType::U8, target.stored_columns(dim)))
    }

    /// Writes i8 components (i8bin).
    ///
    /// # Errors
    /// Those of the system.
    pub fn i8bin(file: File, name: &str, dim: usize) -> Result<Self, IoError> {
        Self::new(file, name, Converter::new(ElementType::I8, TargetType::I8, dim))
    }

    fn new(file: File, name: &str, converter: Converter) -> Result<Self, IoError> {
        let mut sink = BufWriter::with_capacity(WRITE_BUFFER, file);
        // No file of this length: a writer that is dropped leaves one that no reader accepts.
        let header = [0xff; HEADER_BYTES as usize];
        sink.write_all(&header).map_err(|error| IoError::system(name, "write", error))?;
        Ok(BinWriter { name: name.to_owned(), sink, converter, rows: 0, converted: Vec::new() })
    }
}

impl<W: Write + Seek> RowWriter for BinWriter<W> {
    fn write_rows(&mut self, rows: &[u8], _: &[RowName<'_>], _: &[&str]) -> Result<(), IoError> {
        let source_bytes = self.converter.source_row_bytes();
        let count = rows.len() / source_bytes;
        if !rows.len().is_multiple_of(source_bytes) {
            let (found, expected) = (rows.len() as u64, source_bytes as u64);
            return Err(self.written(found, expected, "bytes (whole rows)"));
        }
        self.rows += count as u64;
        if self.rows > u64::from(u32::MAX) {
            return Err(self.written(self.rows, u64::from(u32::MAX), "rows (the most the format can count)"));
        }
        let bytes = if self.converter.keeps_bytes() {
            rows
        } else {
            self.converted.resize(count * self.converter.target_row_bytes(), 0);
            self.converter
                .convert(rows, &mut self.converted)
                .map_err(|fault| IoError::new(&self.name, Place::Whole, fault.problem))?;
            &self.converted
        };
        self.sink.write_all(bytes).map_err(|error| IoError::system(&self.name, "write", error))
    }

    fn finish(mut self: Box<Self>) -> Result<(), IoError> {
        let mut write = || {
            self.sink.seek(SeekFrom::Start(0))?;
            // Both were compared with what the format can hold.
            self.sink.write_all(&(self.rows as u32).to_le_bytes())?;
            self.sink.write_all(&(self.converter.dim() as u32).to_le_bytes())?;
            self.sink.flush()
        };
        write().map_err(|error| IoError::system(&self.name, "write", error))
    }
}

impl<W> BinWriter<W> {
    fn written(&self, found: u64, expected: u64, unit: &'static str) -> IoError {
        IoError::new(&self.name, Place::Whole, Problem::Written { found, expected, unit })
    }
}
