//! HNSW: a graph in which each row links to near rows in different directions, and a search walks towards the query.
//!
//! The image has a record per node that holds codes and links side by side; nodes that are near in the graph are near in the
//! image. Layout: `docs/format/indexes/hnsw.md`.
//!
//! # Source
//! Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable Small World
//! graphs", arXiv:1603.09320. Layers, levels, selection of links and search are theirs. Deviation: rows are not inserted one
//! after the other (algorithm 1) but all at once, which is several times faster and the same for any number of threads;
//! [`build`](self::build) says how. Distances during build and walk are those of codes, as in Aguerrebere et al., "Similarity
//! search in the blink of an eye with compressed indices" (arXiv:2304.04759).
//!
//! Reading order: [`params`] and [`record`] say what there is; [`open`], [`query`], [`beam`] and [`search`] how it is searched; [`verify`]
//! what must hold. [`space`], [`twins`], [`carve`], [`candidates`], [`select`], [`links`], [`refine`], [`connect`] and
//! [`build`](self::build) make it.

mod beam;
mod build;
mod candidates;
mod carve;
mod connect;
mod links;
mod open;
mod params;
mod query;
mod record;
mod refine;
mod search;
mod select;
mod space;
mod twins;
mod verify;

use std::io::Write;

use crate::index::image::Image;
use crate::index::{Build, Index, IndexError, IndexSpec};
use params::{Codes, Params};

/// Nodes of a layer at most: a node and a mark share 32 bits in a walk.
const MAX_NODES: u32 = (1 << 31) - 1;

/// Bytes that a build takes whatever the number of rows: buffers of a few threads.
const FIXED_BYTES: u64 = 32 << 20;

/// See [`rows_within_memory`](crate::index::rows_within_memory).
pub(crate) fn rows_within_memory(spec: &IndexSpec, build: &Build<'_>) -> Result<u64, IndexError> {
    let params = Params::of(spec, build.metric)?;
    let codes = match build.metric {
        crate::Metric::Hamming => Codes::Bits.bytes(build.rows.dim()),
        _ => Codes::Sq8.bytes(build.rows.dim()) + 48,
    };
    // Codes twice while they are put in order; the nearest in each of five parts, of 12 and 8 bytes; links twice, the other way
    // round, and of the upper layers.
    let row = 2 * codes + 5 * (12 * 8 + 16) + 3 * 4 * (params.width(0) + 2) + codes / 8;
    let rows = build.memory.saturating_sub(FIXED_BYTES) / row as u64;
    Ok(rows.clamp(1, u64::from(MAX_NODES)))
}

/// See [`build`](crate::index::build).
pub(crate) fn build(spec: &IndexSpec, build: &Build<'_>, out: &mut dyn Write) -> Result<(), IndexError> {
    let params = Params::of(spec, build.metric)?;
    self::build::build(&params, build, out)
}

/// See [`open`](crate::index::open).
pub(crate) fn open<'a>(image: &Image<'a>) -> Result<Box<dyn Index + 'a>, IndexError> {
    Ok(Box::new(open::Hnsw::open(image)?))
}
