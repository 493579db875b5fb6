//! Arrays as `numpy.save` writes them: reading in row slabs, from files and streams, and writing.
//!
//! A file is a magic, a version, a length and a header, which is a Python dictionary with the element type (`descr`), the
//! axis order and the shape; then come the elements (NEP 1, and `numpy.lib.format` for versions 2.0 and 3.0). Nothing
//! in the header is believed before it has been compared with the length of the file.

mod array;
mod columns;
mod descr;
mod header;
mod integers;
mod literal;
mod matrix;
mod reader;
mod writer;

pub(crate) use array::{ArrayReader, Axes, Input};
pub use header::NpyHeader;
pub(crate) use integers::Integers;
pub use matrix::{Matrix, read_matrix_f32, read_matrix_u64};
pub use reader::NpyReader;
pub use writer::{ArraySpec, NpyWriter};
