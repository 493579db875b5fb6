//! The layouts of the TEXMEX data sets and of FAISS: fvecs, bvecs and ivecs.
//!
//! Each row is its number of components as a little-endian i32, then the components: f32, u8 or i32. There is no header and
//! no magic, and every row has the same number of components.

mod reader;
mod writer;

pub(crate) use reader::VecsRows;
pub use writer::VecsWriter;
