//! SIMD: each kernel written once over the small trait [`Simd`], instantiated for every [`Level`].
//!
//! - [`level`]: which instruction sets this machine has; the one place where generic code becomes machine code.
//! - [`vector`]: the trait: the handful of operations kernels are made of.
//! - [`scalar`], `avx2`, `neon`: its implementations.
//! - `avx512`, `avx512_bf16`, `amx`, `amx_bf16`: the tiles once more, for instructions that fit no 256-bit vector; all else runs as AVX2.
//! - [`trial`]: what a level has to pass before it is chosen.
//! - [`element`]: widening stored elements to f32.
//! - [`float`], [`int`], [`bits`]: one query against one row.
//! - [`codes`], [`tile`]: many queries against many rows, by small integer codes; [`float_tile`]: by their elements;
//!   [`part_tile`]: by their elements as sums of bf16 numbers.
//! - [`scan`]: a panel of queries against the rows of a list, with estimates; [`scan_one`]: one query, with the same estimates; [`sweep`]: one query, with the bound of the tile;
//!   [`lookup`]: one query, by tables.
//!
//! A further instruction set is one more file that implements [`Simd`] and one more arm in [`level`]. All `unsafe` of the crate
//! is in the files of `avx2`, `avx512`, `avx512_bf16`, `amx`, `amx_bf16` and `neon`.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx;
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod amx_bf16;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx512_bf16;
pub(crate) mod bits;
pub(crate) mod codes;
pub(crate) mod element;
pub(crate) mod float;
pub(crate) mod float_tile;
pub(crate) mod int;
mod level;
pub(crate) mod lookup;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod part_tile;
mod scalar;
pub(crate) mod scan;
pub(crate) mod scan_one;
pub(crate) mod sweep;
#[cfg(test)]
mod tests;
pub(crate) mod tile;
mod trial;
mod vector;

pub(crate) use level::Job;
pub use level::Level;
pub(crate) use vector::{Block32, Simd};
