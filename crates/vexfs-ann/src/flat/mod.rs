//! Flat: exact search by scanning every row.
//!
//! - [`queries`]: what to look for, prepared once.
//! - [`scan`]: the scan, fed with rows piece by piece; its answer is ground truth.
//! - [`picked`]: some rows here and there, by their full elements.
//! - [`stream`]: one query against rows as they come by, at the speed of memory.
//! - [`glance`]: what one pass over a row tells, and the proof of what it rules out.
//! - [`batch`]: many queries against the same rows, by the tile of small integer codes.
//! - [`coding`]: the codes of queries and the bounds of the tile.
//! - [`floats`]: the same by numbers, for rows of which codes lose too much; [`parts`]: by sums of bf16 numbers.
//! - [`kind`]: the index kind that keeps the codes of rows.

mod batch;
mod coding;
mod floats;
mod glance;
pub(crate) mod kind;
mod parts;
mod picked;
mod queries;
mod scan;
mod stream;

pub(crate) use picked::{offer_rows, prefetch_rows};
pub use queries::Queries;
pub use scan::ExactScan;
