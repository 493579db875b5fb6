//! Calibration: which recall each effort of an index reaches, so that a recall can be asked for.
//!
//! - [`measure`] takes rows of the collection as queries, of those it draws the half that is farther from its neighbours, compares
//!   the answers of the index with those of an exact scan, and leaves the row itself out of both.
//! - [`Calibration`] is what was counted, and chooses the effort for a recall.
//! - [`Calibration::to_bytes`] and [`Calibration::from_bytes`] are its form beside an index, described in
//!   `docs/format/indexes/calibration.md`.

mod bytes;
mod curve;
mod measure;

pub use bytes::MAX_BYTES;
pub use curve::{Calibration, Choice, Curve, Point};
pub use measure::{Answer, CALIBRATED_K, DEFAULT_QUERIES, Sample, measure};
