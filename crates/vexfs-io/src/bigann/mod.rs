//! The layouts of big-ann-benchmarks: fbin, u8bin, i8bin and ibin.
//!
//! A file is the number of rows and the number of components per row, a little-endian u32 each, then the components of all
//! rows: f32, u8, i8 or i32. A ground truth (ibin) may hold as many f32 distances behind its neighbours.

mod reader;
mod writer;

pub(crate) use reader::open_bin;
pub use writer::BinWriter;

/// Length of the two numbers in bytes.
const HEADER_BYTES: u64 = 8;
