//! Reads and writes vector files: rows in, rows out, slab by slab, with every value checked.
//!
//! [`open`] recognises an input and gives a [`RowSource`], which delivers packed rows of the type a collection wants
//! ([`TargetType`]) within bounded memory, from files of any length, pipes and standard input. [`IdReader`] and
//! [`KeyReader`] read what identifies the rows, [`NpyWriter`] writes rows for export, [`read_matrix_u64`] a ground truth.
//!
//! Input is untrusted: no content makes a reader panic, loop, or take memory that the content merely claims to need. An
//! [`IoError`] names the file, the place in it, what was found and what to do.
//!
//! What this crate does not do: it knows nothing of devices, collections or indexes, and it imports no other crate of
//! VexFS.
//!
//! Reading order: `element` (types), `source` (the door), `npy` and `text` (formats), `convert` (what happens to a value),
//! `ids` and `keys`, `error`.
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

mod convert;
mod element;
mod error;
mod ids;
mod keys;
mod lines;
mod npy;
mod probe;
mod read_at;
mod source;
mod text;

pub use element::{ElementType, TargetType};
pub use error::{IoError, Place, Problem};
pub use ids::IdReader;
pub use keys::{KeyReader, MAX_KEY_BYTES};
pub use npy::{ArraySpec, Matrix, NpyHeader, NpyReader, NpyWriter, read_matrix_f32, read_matrix_u64};
pub use probe::Content;
pub use read_at::ReadAt;
pub use source::{DEFAULT_MEMORY, Format, MAX_DIM, OpenOptions, RowSource, open, open_stream};
pub use text::{PackedVector, TextVectors, parse_vector};
