//! Quantisers: a few bits per element in place of 32, and what an estimate of a distance needs besides.
//!
//! All of them code residuals: what is left of a row when the centroid of its list is taken off. The residual r of a row of the
//! list with centroid c is coded as r̂, and for a query q
//!
//! |q − x|² = |q − c|² + (|r|² + 2 c·r) − 2 q·r, estimated by |q − c|² + (|r|² + 2 c·r̂) − 2 q̂·r̂:
//!
//! the first term is the list's, the second the row's and stored, and q is coded once for all lists. The error is
//! 2 (q − c)·(r − r̂) but for the coding of the query.
//!
//! - [`sq8`]: a byte per element; [`sq4`]: the same with four bits.
//! - [`rabitq`]: a bit per element, and how far the estimate may be off.
//! - [`pq`]: the number of a codeword for each few elements; [`opq`]: after a rotation that suits it, by [`linear`] algebra.
//! - [`hadamard`]: random rotations, after which no element stands out.

pub(crate) mod hadamard;
mod linear;
pub(crate) mod opq;
pub(crate) mod pq;
pub(crate) mod rabitq;
pub(crate) mod sq4;
pub(crate) mod sq8;
