//! Vectors in, neighbours out: exact nearest-neighbour search over packed rows, with SIMD chosen at run time.
//!
//! The crate knows neither files nor devices: rows are borrowed bytes, wherever they lie, and the caller brings
//! them piece by piece. It does not start threads either: scans are `Send` and can be merged.
//!
//! Reading order: [`Metric`], [`DType`] and [`Vectors`] say what is compared; [`mod@reference`] says how, in plain f64 loops;
//! [`ExactScan`] finds the same answer fast; [`Level`] tells by which instructions.
//!
//! ```
//! use vexfs_ann::{DType, ExactScan, Metric, Queries, Vectors};
//!
//! let rows: Vec<u8> = [0.0f32, 0.0, 3.0, 4.0, 1.0, 0.0].iter().flat_map(|x| x.to_le_bytes()).collect();
//! let queries = Queries::new(&[0.0, 0.0], 2, DType::F32, Metric::L2)?;
//! let mut scan = ExactScan::new(&queries, 2)?;
//! scan.push(Vectors::new(&rows, 2, DType::F32)?, 0, None);
//! let nearest = &scan.finish()[0];
//! assert_eq!((nearest[0].row, nearest[1].row), (0, 2));
//! assert_eq!(nearest[1].distance, 1.0);
//! # Ok::<(), vexfs_ann::AnnError>(())
//! ```

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod best;
pub mod calibrate;
mod dtype;
mod error;
mod flat;
mod hnsw;
pub mod index;
mod kmeans;
mod lists;
mod lsh;
mod metric;
mod neighbor;
mod quant;
pub mod reference;
mod rng;
mod simd;
mod tile;
mod vectors;

pub use dtype::DType;
pub use error::{AnnError, MAX_DIM};
pub use flat::{ExactScan, Queries};
pub use metric::Metric;
pub use neighbor::{Neighbor, TopK};
pub use simd::Level;
pub use vectors::Vectors;
