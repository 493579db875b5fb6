//! Index kinds made of lists of codes find what they should, by every metric and element type, whatever the rows are like; their bytes
//! depend on rows and seed alone; an image that lies is an error, or answers with rows that exist.
#![allow(clippy::unwrap_used)]

mod build;
mod find;
mod hostile;
mod support;

/// The kinds, each in a way that its parts are all used on a few hundred rows.
const SPECS: [&str; 3] = ["flat", "ivf", "ivf,nlist=7"];

/// The kinds that are not exact, with their defaults.
const APPROXIMATE: [&str; 2] = ["ivf", "ivf,nlist=64"];
