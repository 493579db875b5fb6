//! Many against many: the `k` nearest of a set of vectors for each vector of another, or of the same.
//!
//! What k-means, inverted lists, product quantisers and graphs are built with. Two ways:
//!
//! - [`Coded`] and [`nearest()`]: vectors of numbers coded once to a byte per element, usable on both sides, gathered and sliced at will;
//!   distances are those of the coded vectors. [`distances`](coded::View::distances) is one against a few.
//! - [`Bits`] and [`nearest_bits`]: vectors of bits, by Hamming distance.
//!
//! Both give the same answer whatever the blocking, the number of threads or the instruction set: products of codes and counts of bits are
//! integers, what is made of them is f64 in one order, and what rules pairs out without that is a proven bound. Neither
//! starts threads: callers split the queries.
//!
//! - [`coded`]: the codes, and what a pair's distance is.
//! - [`search`]: the `k` nearest by that distance.
//! - [`bits`]: the `k` nearest of bits.

mod bits;
mod coded;
mod search;
#[cfg(test)]
mod tests;

pub(crate) use bits::{Bits, nearest_bits};
pub(crate) use coded::{Coded, Stored};
pub(crate) use search::{Near, nearest, nearest_within};
