//! Inverted lists, the kinds `ivf`, `pq` and `ivf-pq`: rows lie with those that are near the same centroid, coded, and a search looks into the lists whose
//! centroids are nearest.
//!
//! - [`params`]: what is asked for, and what the trailer says.
//! - [`space`]: where rows and queries are compared by codes.
//! - [`groups`]: groups of lists, so that a search compares few centroids.
//! - [`build`], [`train`], [`write`], [`layout`]: from rows to the image; `docs/format/indexes/ivf.md`, `docs/format/indexes/pq.md`.
//! - [`open`]: the opened index. [`queries`], [`scan`], [`rank`], [`live`], [`search`]: from queries to rows.
//! - [`verify`]: the image against itself.

mod build;
mod groups;
mod layout;
mod live;
mod open;
mod params;
mod queries;
mod rank;
mod scan;
mod search;
mod space;
mod train;
mod verify;
mod write;

pub(crate) use build::{build, rows_within_memory};
pub(crate) use open::open;
