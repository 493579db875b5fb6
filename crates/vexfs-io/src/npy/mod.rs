//! Arrays as `numpy.save` writes them: reading in row slabs, from files and streams, and writing.
//!
//! A file is a magic, a version, a length and a header, which is a Python dictionary with the element type (`descr`), the
//! axis order and the shape; then come the elements (NEP 1, and `numpy.lib.format` for versions 2.0 and 3.0). Nothing
//! in the header is believed before it has been compared with the length of the file.

mod array;
mod columns;
mod descr;
mod header;
mod literal;
mod reader;
mod text;
mod writer;

pub(crate) use array::ArrayReader;
pub use header::NpyHeader;
pub use reader::NpyReader;
pub(crate) use text::{TextReader, TextSpec};
pub use writer::{ArraySpec, NpyWriter};
