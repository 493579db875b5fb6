//! Graphs, built and searched as a program does it.
#![allow(clippy::unwrap_used)]

mod data;
mod edges;
mod excluded;
mod expected;
mod hostile;
mod own;
mod recall;
