//! Writing fvecs and bvecs.

use std::fs::File;
use std::io::{BufWriter, Write};

use crate::convert::Converter;
use crate::element::{ElementType, TargetType};
use crate::error::{IoError, Place, Problem};
use crate::writer::{RowName, RowWriter, WRITE_BUFFER};

/// Writes rows to an fvecs or bvecs file, each with its number of components before it.
pub struct VecsWriter<W> {
    name: String,
    sink: W,
    converter: Converter,
    /// The number before each row.
    dim: [u8; 4],
    row: Vec<u8>,
}

impl VecsWriter<BufWriter<File>> {
    /// Writes f32 components (fvecs) of packed rows of `target`, which every type but bits becomes exactly.
    pub fn fvecs(file: File, name: &str, target: TargetType, dim: usize) -> Self {
        Self::new(file, name, Converter::new(target.stored_as(), TargetType::F32, dim))
    }

    /// Writes u8 components (bvecs) of packed rows of u8, or of `dim` bits in bytes.
    pub fn bvecs(file: File, name: &str, target: TargetType, dim: usize) -> Self {
        Self::new(file, name, Converter::new(ElementType::U8, TargetType::U8, target.stored_columns(dim)))
    }

    fn new(file: File, name: &str, converter: Converter) -> Self {
        let sink = BufWriter::with_capacity(WRITE_BUFFER, file);
        // At most MAX_DIM.
        let dim = (converter.dim() as u32).to_le_bytes();
        let row = vec![0; converter.target_row_bytes()];
        VecsWriter { name: name.to_owned(), sink, converter, dim, row }
    }
}

impl<W: Write> RowWriter for VecsWriter<W> {
    fn write_rows(&mut self, rows: &[u8], _: &[RowName<'_>], _: &[&str]) -> Result<(), IoError> {
        let source_bytes = self.converter.source_row_bytes();
        if !rows.len().is_multiple_of(source_bytes) {
            let (found, expected) = (rows.len() as u64, source_bytes as u64);
            let problem = Problem::Written { found, expected, unit: "bytes (whole rows)" };
            return Err(IoError::new(&self.name, Place::Whole, problem));
        }
        for row in rows.chunks_exact(source_bytes) {
            self.converter
                .convert(row, &mut self.row)
                .map_err(|fault| IoError::new(&self.name, Place::Whole, fault.problem))?;
            let written = self.sink.write_all(&self.dim).and_then(|()| self.sink.write_all(&self.row));
            written.map_err(|error| IoError::system(&self.name, "write", error))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), IoError> {
        self.sink.flush().map_err(|error| IoError::system(&self.name, "write", error))
    }
}
