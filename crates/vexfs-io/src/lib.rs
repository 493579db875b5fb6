//! Reads and writes vector files: rows in, rows out, slab by slab, with every value checked.
//!
//! [`open`] recognises an input and gives a [`RowSource`], which delivers packed rows of the type a collection wants
//! ([`TargetType`]) within bounded memory, from files of any length, pipes and standard input. [`IdReader`] and
//! [`KeyReader`] read what identifies the rows, [`PayloadReader`] what else is known of them, [`OutputFormat`] writes rows for export, [`read_matrix_u64`] reads a ground
//! truth.
//!
//! Input is untrusted: no content makes a reader panic, loop, or take memory that the content merely claims to need. An
//! [`IoError`] names the file, the place in it, what was found and what to do.
//!
//! What this crate does not do: it knows nothing of devices, collections or indexes, and it imports no other crate of
//! VexFS.
//!
//! Reading order: `element` (types), `input` and `format` (what is named and what it is), `source` (the door), `raw` and
//! `converted` (from a file's rows to a collection's), then the formats: `npy`, `npz`, `hdf5`, `parquet`, `vecs`, `bigann`, `text`, `csv`; `beside` (what a table has besides); `convert` (what happens
//! to a value), `ids`, `keys` and `payload`, `writer`, `error`.
//!
//! ```
//! use vexfs_io::{ArraySpec, ElementType, NpyReader, NpyWriter, OpenOptions, RowSource};
//!
//! # fn main() -> Result<(), vexfs_io::IoError> {
//! let spec = ArraySpec::matrix(ElementType::U8, 2);
//! let mut writer = NpyWriter::promising(Vec::new(), "demo.npy", spec, 3)?;
//! writer.write_rows(&[1, 2, 3, 4, 5, 6])?;
//! let file = writer.finish()?;
//!
//! let mut source = NpyReader::from_file(file, "demo.npy", &OpenOptions::default())?;
//! assert_eq!((source.rows(), source.dim()), (Some(3), 2));
//! let mut rows = Vec::new();
//! assert_eq!(source.read_rows(&mut rows, 2)?, 2);
//! assert_eq!(rows, [1, 2, 3, 4]);
//! # Ok(())
//! # }
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod beside;
mod bigann;
mod convert;
mod converted;
mod csv;
mod element;
mod error;
mod format;
mod hdf5;
mod ids;
mod input;
mod integers;
mod json;
mod keys;
mod lines;
mod matrix;
mod npy;
mod npz;
mod parquet;
mod payload;
mod probe;
mod raw;
mod read_at;
mod source;
mod text;
mod vecs;
mod writer;

pub use beside::{Beside, NameKind, Names};
pub use bigann::BinWriter;
pub use csv::CsvWriter;
pub use element::{ElementType, TargetType};
pub use error::{IoError, Place, Problem};
pub use format::Format;
pub use hdf5::Hdf5Writer;
pub use ids::IdReader;
pub use input::{is_regular_file, regular_file_of};
pub use keys::{KeyReader, MAX_KEY_BYTES};
pub use matrix::{Matrix, read_matrix_f32, read_matrix_u64};
pub use npy::{ArraySpec, NpyHeader, NpyReader, NpyWriter};
pub use npz::NpzWriter;
pub use parquet::ParquetWriter;
pub use payload::{MAX_PAYLOAD_BYTES, PayloadReader};
pub use probe::Content;
pub use read_at::ReadAt;
pub use source::{DEFAULT_MEMORY, MAX_DIM, OpenOptions, RowSource, open, open_file, open_stream};
pub use text::{JsonLinesWriter, PackedVector, TextVectors, parse_vector};
pub use vecs::VecsWriter;
pub use writer::{OutputFormat, RowName, RowWriter};
