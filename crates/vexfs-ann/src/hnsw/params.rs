//! The parameters of a graph: as they are typed, and as they lie in an image.

use zerocopy::little_endian::{F32, U16, U32};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::index::image::PARAM_BYTES;
use crate::index::{IndexError, IndexSpec, SpecError};
use crate::{DType, Metric};

/// Links of a node on upper layers, M; on layer 0 there are twice as many, M0. 16 is the middle of the range that Malkov and
/// Yashunin recommend (section 4.1), and what other libraries are measured with.
pub(super) const DEFAULT_M: u64 = 16;

/// Candidates that a node keeps while links are chosen. More do not help the graphs of Fashion-MNIST and SIFT measurably.
pub(super) const DEFAULT_EF_CONSTRUCTION: u64 = 64;

/// How much nearer to a chosen neighbour than to the node a candidate must be to be left out, α.
pub(super) const DEFAULT_ALPHA: f64 = 1.1;

/// Layers of an image at most: with M = 2 the highest layer of 2³¹ rows has about 2¹¹ nodes.
pub(super) const MAX_LAYERS: usize = 20;

/// What a record keeps of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codes {
    /// A byte per element, of which seven bits are used.
    Sq8,
    /// Four bits per element.
    Sq4,
    /// The row itself: bits.
    Bits,
}

impl Codes {
    const ALL: [Self; 3] = [Self::Sq8, Self::Sq4, Self::Bits];

    /// Bytes of the codes of a row of `dim` elements, a multiple of 32.
    pub(super) const fn bytes(self, dim: usize) -> usize {
        match self {
            Self::Sq8 => dim.next_multiple_of(32),
            Self::Sq4 => dim.div_ceil(64) * 32,
            Self::Bits => DType::B1.row_bytes(dim).next_multiple_of(32),
        }
    }

    /// Largest code of an element.
    pub(super) const fn most(self) -> u8 {
        match self {
            Self::Sq8 => 127,
            Self::Sq4 => 15,
            Self::Bits => 1,
        }
    }
}

/// The parameters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Params {
    /// Links of a node on upper layers at most, M.
    pub(super) m: usize,
    /// Candidates of a node during the build.
    pub(super) ef_construction: usize,
    /// See [`DEFAULT_ALPHA`].
    pub(super) alpha: f32,
    /// What records keep of rows.
    pub(super) codes: Codes,
}

/// [`Params`] in a trailer.
#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Stored {
    m: U16,
    layers: u8,
    codes: u8,
    ef_construction: U32,
    alpha: F32,
    rest: [u8; PARAM_BYTES - 12],
}

impl Params {
    /// Takes the parameters of a graph over rows of `metric` from `spec`.
    ///
    /// # Errors
    /// [`SpecError`] for unknown parameters and values out of range.
    pub(super) fn of(spec: &IndexSpec, metric: Metric) -> Result<Self, SpecError> {
        let mut options = spec.options();
        let m = options.number("m", 2..=64)?.unwrap_or(DEFAULT_M);
        let ef = options.number("ef_construction", 8..=1024)?.unwrap_or(DEFAULT_EF_CONSTRUCTION);
        let alpha = options.real("alpha", 1.0..=2.0)?.unwrap_or(DEFAULT_ALPHA);
        let codes = if metric == Metric::Hamming {
            options.finish(&["m", "ef_construction", "alpha"])?;
            Codes::Bits
        } else {
            let codes = options.choice("codes", &[("sq8", Codes::Sq8), ("sq4", Codes::Sq4)])?;
            options.finish(&["m", "ef_construction", "alpha", "codes"])?;
            codes.unwrap_or(Codes::Sq8)
        };
        Ok(Self { m: m as usize, ef_construction: ef as usize, alpha: alpha as f32, codes })
    }

    /// Links of a node on `layer` at most.
    pub(super) fn width(&self, layer: usize) -> usize {
        if layer == 0 { 2 * self.m } else { self.m }
    }

    /// α², which squared distances are compared with.
    pub(super) fn alpha_squared(&self) -> f64 {
        f64::from(self.alpha) * f64::from(self.alpha)
    }

    /// As they lie in the trailer of an image with `layers` layers.
    pub(super) fn store(&self, layers: usize) -> [u8; PARAM_BYTES] {
        let stored = Stored {
            m: U16::new(self.m as u16),
            layers: layers as u8,
            codes: self.codes as u8,
            ef_construction: U32::new(self.ef_construction as u32),
            alpha: F32::new(self.alpha),
            rest: [0; PARAM_BYTES - 12],
        };
        let mut bytes = [0; PARAM_BYTES];
        bytes.copy_from_slice(stored.as_bytes());
        bytes
    }

    /// The parameters in a trailer, and the number of layers.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] for numbers that no build writes.
    pub(super) fn load(bytes: &[u8; PARAM_BYTES], metric: Metric) -> Result<(Self, usize), IndexError> {
        let damaged = || IndexError::damaged(0, "parameters of the graph out of range");
        let stored = Stored::ref_from_bytes(bytes).map_err(|_| damaged())?;
        let params = Self {
            m: usize::from(stored.m.get()),
            ef_construction: stored.ef_construction.get() as usize,
            alpha: stored.alpha.get(),
            codes: *Codes::ALL.get(usize::from(stored.codes)).ok_or_else(damaged)?,
        };
        let layers = usize::from(stored.layers);
        let is_sound = (2..=64).contains(&params.m)
            && (params.codes == Codes::Bits) == (metric == Metric::Hamming)
            && layers <= MAX_LAYERS;
        if is_sound { Ok((params, layers)) } else { Err(damaged()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(text: &str, metric: Metric) -> Result<Params, SpecError> {
        Params::of(&text.parse().unwrap(), metric)
    }

    #[test]
    fn parameters_survive_a_trailer() {
        for (text, metric) in [
            ("hnsw", Metric::L2),
            ("hnsw,m=7,ef-construction=9,alpha=1.5,codes=sq4", Metric::Cosine),
            ("hnsw,m=64", Metric::Hamming),
        ] {
            let params = params(text, metric).unwrap();
            assert_eq!(Params::load(&params.store(3), metric).unwrap(), (params, 3));
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for text in [
            "hnsw,m=1",
            "hnsw,m=65",
            "hnsw,ef_construction=7",
            "hnsw,alpha=0.9",
            "hnsw,codes=pq",
            "hnsw,nlist=3",
        ] {
            assert!(params(text, Metric::L2).is_err(), "{text}");
        }
        assert!(params("hnsw,codes=sq8", Metric::Hamming).is_err());
        let good = params("hnsw", Metric::L2).unwrap();
        assert!(Params::load(&good.store(1), Metric::Hamming).is_err());
        assert!(Params::load(&good.store(MAX_LAYERS + 1), Metric::L2).is_err());
        for (byte, value) in [(0, 1), (1, 1), (3, 3), (3, 2)] {
            let mut bytes = good.store(1);
            bytes[byte] = value;
            assert!(Params::load(&bytes, Metric::L2).is_err(), "{byte}");
        }
    }
}
