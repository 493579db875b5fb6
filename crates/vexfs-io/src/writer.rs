//! Writing rows to a file in any format that has a writer.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use crate::bigann::BinWriter;
use crate::csv::CsvWriter;
use crate::element::TargetType;
use crate::error::{IoError, Place, Problem};
use crate::hdf5::Hdf5Writer;
use crate::npy::{ArraySpec, NpyWriter};
use crate::npz::NpzWriter;
use crate::parquet::ParquetWriter;
use crate::text::JsonLinesWriter;
use crate::vecs::VecsWriter;

/// Bytes gathered before they are written: a row is short, a system call per row is not.
pub(crate) const WRITE_BUFFER: usize = 256 << 10;

/// How a row is called, for formats that store it beside the vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowName<'a> {
    /// A number.
    Id(u64),
    /// A string.
    Key(&'a str),
}

/// Takes rows and makes a file of them, which is complete only after [`finish`](Self::finish).
pub trait RowWriter {
    /// Whether [`write_rows`](Self::write_rows) is to be given the names of the rows.
    fn takes_names(&self) -> bool {
        false
    }

    /// Whether [`write_rows`](Self::write_rows) can be given the payload of the rows.
    fn takes_payload(&self) -> bool {
        false
    }

    /// Writes rows: packed, little-endian, whole. `names` has one for each row if the format
    /// [takes them](Self::takes_names), all ids or all keys, and may be empty otherwise. `payload` has a JSON object for each row, or nothing for one
    /// without, if the format [takes it](Self::takes_payload) and it is wanted; it is empty otherwise.
    ///
    /// # Errors
    /// [`Problem::Written`](crate::Problem::Written) if the bytes are not whole rows, or more rows than the format can
    /// count; [`Problem::Payload`](crate::Problem::Payload); those of the system.
    fn write_rows(&mut self, rows: &[u8], names: &[RowName<'_>], payload: &[&str]) -> Result<(), IoError>;

    /// Completes the file.
    ///
    /// # Errors
    /// Those of the system.
    fn finish(self: Box<Self>) -> Result<(), IoError>;
}

/// Refuses bytes that are not a whole row for each name.
pub(crate) fn check_named(
    file: &str,
    rows: &[u8],
    row_bytes: usize,
    names: &[RowName<'_>],
) -> Result<(), IoError> {
    let (found, expected) = (rows.len() as u64, (names.len() * row_bytes) as u64);
    if found == expected {
        return Ok(());
    }
    Err(IoError::new(file, Place::Whole, Problem::Written { found, expected, unit: "bytes" }))
}

impl RowWriter for NpyWriter<BufWriter<File>> {
    fn write_rows(&mut self, rows: &[u8], _: &[RowName<'_>], _: &[&str]) -> Result<(), IoError> {
        NpyWriter::write_rows(self, rows)
    }

    fn finish(self: Box<Self>) -> Result<(), IoError> {
        NpyWriter::finish(*self).map(drop)
    }
}

/// A format that rows can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// numpy: every type; bf16 as the two-byte void type of ml_dtypes, bits as packed bytes.
    Npy,
    /// Arrays of numpy in an archive: as [`Npy`](Self::Npy), with ids or keys.
    Npz,
    /// f32 with the number of components before each row: every type but bits, widened exactly.
    Fvecs,
    /// u8 with the number of components before each row: u8, and bits as packed bytes.
    Bvecs,
    /// f32 behind the numbers of rows and components: every type but bits, widened exactly.
    Fbin,
    /// u8 behind the numbers of rows and components: u8, and bits as packed bytes.
    U8bin,
    /// i8 behind the numbers of rows and components.
    I8bin,
    /// HDF5: every type but bf16, bits as packed bytes; with ids or keys.
    Hdf5,
    /// A JSON object a line: every type; with ids or keys, and payload.
    JsonLines,
    /// A table with a list in a cell: every type; with ids or keys.
    Csv,
    /// Parquet, lists: every type, bf16 widened exactly, bits as packed bytes; with ids or keys.
    Parquet,
}

impl OutputFormat {
    /// Endings of file names, each with its format.
    const ENDINGS: [(&'static str, OutputFormat); 12] = [
        ("npy", OutputFormat::Npy),
        ("npz", OutputFormat::Npz),
        ("fvecs", OutputFormat::Fvecs),
        ("bvecs", OutputFormat::Bvecs),
        ("fbin", OutputFormat::Fbin),
        ("u8bin", OutputFormat::U8bin),
        ("i8bin", OutputFormat::I8bin),
        ("h5", OutputFormat::Hdf5),
        ("hdf5", OutputFormat::Hdf5),
        ("jsonl", OutputFormat::JsonLines),
        ("csv", OutputFormat::Csv),
        ("parquet", OutputFormat::Parquet),
    ];

    /// The format that the name of the file ends with; `None` if there is none of that name.
    pub fn of(path: &Path) -> Option<OutputFormat> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        Self::ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, format)| *format)
    }

    /// The endings, for messages: `.npy, .fvecs, …`.
    pub fn endings() -> String {
        let endings: Vec<_> = Self::ENDINGS.iter().map(|(ending, _)| format!(".{ending}")).collect();
        endings.join(", ")
    }

    /// Whether the format holds rows of `target` without losing anything.
    pub fn holds(self, target: TargetType) -> bool {
        match self {
            OutputFormat::Npy
            | OutputFormat::Npz
            | OutputFormat::JsonLines
            | OutputFormat::Csv
            | OutputFormat::Parquet => true,
            OutputFormat::Hdf5 => target != TargetType::BF16,
            OutputFormat::Fvecs | OutputFormat::Fbin => target != TargetType::B1,
            OutputFormat::Bvecs | OutputFormat::U8bin => matches!(target, TargetType::U8 | TargetType::B1),
            OutputFormat::I8bin => target == TargetType::I8,
        }
    }

    /// Starts to write rows of `dim` components to `file`, which is empty and will be called `path`.
    ///
    /// # Errors
    /// Those of the system.
    ///
    /// # Panics
    /// If the format does not [hold](Self::holds) such rows.
    pub fn writer(
        self,
        file: File,
        path: &Path,
        target: TargetType,
        dim: usize,
    ) -> Result<Box<dyn RowWriter>, IoError> {
        assert!(self.holds(target), "{target} has no place in the format");
        let name = &path.display().to_string();
        Ok(match self {
            OutputFormat::Npy => {
                let file = BufWriter::with_capacity(WRITE_BUFFER, file);
                Box::new(NpyWriter::counting(file, name, ArraySpec::packed(target, dim))?)
            }
            OutputFormat::Npz => Box::new(NpzWriter::new(file, path, target, dim)?),
            OutputFormat::Fvecs => Box::new(VecsWriter::fvecs(file, name, target, dim)),
            OutputFormat::Bvecs => Box::new(VecsWriter::bvecs(file, name, target, dim)),
            OutputFormat::Fbin => Box::new(BinWriter::fbin(file, name, target, dim)?),
            OutputFormat::U8bin => Box::new(BinWriter::u8bin(file, name, target, dim)?),
            OutputFormat::I8bin => Box::new(BinWriter::i8bin(file, name, dim)?),
            OutputFormat::Hdf5 => Box::new(Hdf5Writer::new(&file, name, target, dim)?),
            OutputFormat::JsonLines => Box::new(JsonLinesWriter::new(file, name, target, dim)),
            OutputFormat::Csv => Box::new(CsvWriter::new(file, name, target, dim)),
            OutputFormat::Parquet => Box::new(ParquetWriter::new(file, name, target, dim)?),
        })
    }
}
