//! Many against many: the `k` nearest of a set of vectors for each vector of another, or of the same.
//!
//! What k-means, inverted lists, product quantisers and graphs are built with. Two ways:
//!
//! - [`Coded`] and [`nearest()`]: vectors coded once to a byte per element, usable on both sides, gathered and sliced at will;
//!   distances are those of the coded vectors. [`Coded::distance`] is one pair, [`View::distances`] one against a few.
//! - [`nearest_exact`]: vectors given as f32, distances as the [`mod@crate::reference`] defines them.
//!
//! Both give the same answer whatever the blocking, the number of threads or the instruction set: products of codes are
//! integers, what is made of them is f64 in one order, and what rules pairs out without that is a proven bound. Neither
//! starts threads: callers split the queries with [`View::slice`].
//!
//! - [`coded`]: the codes, and what a pair's distance is.
//! - [`search`]: the `k` nearest by that distance.
//! - [`exact`]: the `k` nearest by the reference's.

mod coded;
mod exact;
mod search;
#[cfg(test)]
mod tests;

pub(crate) use coded::{Coded, Stored, View};
pub(crate) use exact::nearest_exact;
pub(crate) use search::{Near, nearest};
