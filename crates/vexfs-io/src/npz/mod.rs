//! npz: the arrays of `numpy.savez`, npy files in a zip archive. Read stored or deflated, written stored.

mod archive;
mod reader;
mod writer;

pub(crate) use reader::{open, strings};
pub use writer::NpzWriter;
