//! Index kinds made of lists of codes find what they should, by every metric and element type, whatever the rows are like; their bytes
//! depend on rows and seed alone; an image that lies is an error, or answers with rows that exist.
#![allow(clippy::unwrap_used)]

mod build;
mod find;
mod groups;
mod hostile;
#[path = "../support/mod.rs"]
mod support;

/// The kinds, each in a way that its parts are all used on a few hundred rows.
const SPECS: [&str; 11] = [
    "flat",
    "ivf",
    "ivf,nlist=7",
    "ivf,nlist=600",
    "ivf,nlist=5,codes=sq4",
    "ivf,nlist=3,codes=rabitq",
    "pq",
    "pq,nbits=8",
    "ivf-pq,nlist=5",
    "ivf-pq,nlist=9,pq_m=1,nbits=8",
    "ivf-pq,nlist=4,opq=1",
];

/// The kinds that are not exact, with their defaults.
const APPROXIMATE: [&str; 6] = ["ivf", "ivf,codes=sq4", "ivf,codes=rabitq", "pq", "pq,opq=1", "ivf-pq"];
