//! Writing JSON lines.

use std::fs::File;
use std::io::{BufWriter, Write};

use half::{bf16, f16};

use crate::element::TargetType;
use crate::error::{IoError, Place, Problem};
use crate::writer::{RowName, RowWriter, WRITE_BUFFER};

/// Writes each row as a JSON object with its `id` or `key` and its `vector`, a line each.
///
/// Numbers have as many digits as it takes to read the same ones again.
pub struct JsonLinesWriter<W> {
    name: String,
    sink: W,
    target: TargetType,
    dim: usize,
}

impl JsonLinesWriter<BufWriter<File>> {
    /// Writes packed rows of `dim` components of `target`.
    pub fn new(file: File, name: &str, target: TargetType, dim: usize) -> Self {
        let sink = BufWriter::with_capacity(WRITE_BUFFER, file);
        JsonLinesWriter { name: name.to_owned(), sink, target, dim }
    }
}

impl<W: Write> JsonLinesWriter<W> {
    fn write_row(&mut self, row: &[u8], name: &RowName<'_>) -> std::io::Result<()> {
        let sink = &mut self.sink;
        match name {
            RowName::Id(id) => write!(sink, "{{\"id\":{id}")?,
            RowName::Key(key) => {
                sink.write_all(b"{\"key\":")?;
                serde_json::to_writer(&mut *sink, key)?;
            }
        }
        sink.write_all(b",\"vector\":[")?;
        let pairs = row.as_chunks::<2>().0;
        for at in 0..self.dim {
            if at > 0 {
                sink.write_all(b",")?;
            }
            match self.target {
                TargetType::F32 => write!(sink, "{}", f32::from_le_bytes(row.as_chunks().0[at]))?,
                TargetType::F16 => write!(sink, "{}", f16::from_le_bytes(pairs[at]).to_f32())?,
                TargetType::BF16 => write!(sink, "{}", bf16::from_le_bytes(pairs[at]).to_f32())?,
                TargetType::I8 => write!(sink, "{}", row[at] as i8)?,
                TargetType::U8 => write!(sink, "{}", row[at])?,
                TargetType::B1 => write!(sink, "{}", row[at / 8] >> (at % 8) & 1)?,
            }
        }
        sink.write_all(b"]}\n")
    }
}

impl<W: Write> RowWriter for JsonLinesWriter<W> {
    fn takes_names(&self) -> bool {
        true
    }

    fn write_rows(&mut self, rows: &[u8], names: &[RowName<'_>]) -> Result<(), IoError> {
        let row_bytes = self.target.row_bytes(self.dim);
        if rows.len() != names.len() * row_bytes {
            let (found, expected) = (rows.len() as u64, (names.len() * row_bytes) as u64);
            let problem = Problem::Written { found, expected, unit: "bytes" };
            return Err(IoError::new(&self.name, Place::Whole, problem));
        }
        for (row, name) in rows.chunks_exact(row_bytes).zip(names) {
            self.write_row(row, name).map_err(|error| IoError::system(&self.name, "write", error))?;
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), IoError> {
        self.sink.flush().map_err(|error| IoError::system(&self.name, "write", error))
    }
}
