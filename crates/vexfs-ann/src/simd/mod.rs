//! SIMD: each kernel written once over the small trait [`Simd`], instantiated for every [`Level`].
//!
//! - [`level`]: which instruction sets this machine has; the one place where generic code becomes machine code.
//! - [`vector`]: the trait: the handful of operations kernels are made of.
//! - [`scalar`], `avx2`: its implementations. All `unsafe` of the crate is in `avx2`.
//! - [`element`]: widening stored elements to f32.
//! - [`float`], [`int`], [`bits`]: one query against one row.
//! - [`codes`], [`tile`]: many queries against many rows, by small integer codes.
//!
//! A further instruction set is one more file that implements [`Simd`] and one more arm in [`level`].

#[cfg(target_arch = "x86_64")]
mod avx2;
pub(crate) mod bits;
pub(crate) mod codes;
pub(crate) mod element;
pub(crate) mod float;
pub(crate) mod int;
mod level;
mod scalar;
#[cfg(test)]
mod tests;
pub(crate) mod tile;
mod vector;

pub(crate) use level::Job;
pub use level::Level;
pub(crate) use vector::{Block32, Simd};
