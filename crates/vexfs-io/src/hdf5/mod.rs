//! HDF5: a dataset of two axes as rows, one of one axis as ids, keys or a single vector.
//!
//! `locate` finds the dataset that is meant, `rows` reads numbers, `strings` reads keys; `writer` writes all of them. The HDF5 library does the parsing; what it
//! would let a file decide, such as opening other files or taking memory for a chunk, is checked before.

mod locate;
mod rows;
mod strings;
mod writer;

pub(crate) use rows::Hdf5Rows;
pub(crate) use strings::strings;
pub use writer::Hdf5Writer;

use crate::error::{IoError, Place, Problem, excerpt};

/// An error of the library.
fn failed(name: &str, doing: &'static str, error: &hdf5::Error) -> IoError {
    // The first line says what failed; the library's own trace follows.
    let text = error.to_string();
    let text = excerpt(text.lines().next().unwrap_or_default());
    IoError::new(name, Place::Whole, Problem::Hdf5 { doing, text })
}
