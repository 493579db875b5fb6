//! Vectors coded to seven bits an element, on both sides of a comparison.
//!
//! A vector x stands as x̂ᵢ = scale · (uᵢ − 64) + offset with uᵢ in 0 ..= 127 between its smallest and its largest element: it
//! loses at most 1/254 of that range per element. Seven bits and not eight, because then a pair of products fits the i16
//! lanes of every instruction set; distances of neighbours differ by far more than the eighth bit.
//!
//! Of a pair, t = Σ (uᵢ − 64)(vᵢ − 64) is an exact integer, and
//! x̂·ŷ = s s' t + (o' w + o w') + d o o' with w = s Σ (uᵢ − 64), in f64, in this order: symmetric to the last bit.

use std::marker::PhantomData;
use std::ops::Range;

use crate::simd::codes::{CodeRows, LANE_SPAN, RowCode};
use crate::simd::element::{BF16, Element, F16, F32, I8, U8};
use crate::simd::{Block32, Job, Level, Simd};
use crate::{DType, Metric, Vectors, reference};

/// Largest code.
const MOST: u8 = 127;

/// The code that stands for the offset.
pub(super) const MIDDLE: i64 = 64;

/// Steps, f32, of which codes and their reciprocal are normal f32 numbers with room to spare: 2⁻¹⁰⁰ ..= 2¹⁰⁰. Rows outside
/// are coded in f64.
const SAFE_SCALE: std::ops::RangeInclusive<f32> = {
    let low = f32::from_bits((127 - 100) << 23);
    let high = f32::from_bits((127 + 100) << 23);
    low..=high
};

/// Vectors picked here and there that are compared at a time, while the next are asked for.
const TOGETHER: usize = 8;

/// Rows coded at once.
const CHUNK: usize = 256;

/// A vector besides its codes; of cosine, scaled so that |x̂| is 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shape {
    /// Distance between two steps, s.
    pub(super) scale: f64,
    /// Value of code [`MIDDLE`], o.
    pub(super) offset: f64,
    /// s Σ (uᵢ − 64), w.
    pub(super) weight: f64,
    /// |x̂|², as the formula of a product gives it.
    pub(super) square: f64,
    /// Σ (uᵢ − 64).
    pub(super) sum: i32,
    /// Σ (uᵢ − 64)².
    pub(super) squares: i32,
}

/// n vectors of dim elements, coded.
///
/// # Memory
/// ⌈dim / 32⌉ · 32 + 40 bytes per vector.
#[derive(Debug, Clone)]
pub(crate) struct Coded {
    metric: Metric,
    dim: usize,
    /// ⌈dim / 32⌉ per vector, zero beyond dim.
    codes: Vec<Block32>,
    shapes: Vec<Shape>,
}

/// A coded vector as it can be stored: x̂ᵢ = scale · uᵢ + low; of cosine, |x̂| is 1 or 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    /// Distance between two steps.
    pub(crate) scale: f64,
    /// Value of code 0.
    pub(crate) low: f64,
    /// |x̂|², but for rounding.
    pub(crate) square: f64,
    /// ⌈dim / 32⌉ blocks of codes u in 0 ..= 127, zero beyond dim.
    pub(crate) codes: &'a [Block32],
}

/// Consecutive vectors of a [`Coded`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a> {
    pub(super) metric: Metric,
    pub(super) dim: usize,
    pub(super) codes: &'a [Block32],
    pub(super) shapes: &'a [Shape],
}

impl Coded {
    /// No vectors yet, of `dim` numbers, to be compared by `metric`, which is not [`Metric::Hamming`].
    pub(crate) fn empty(dim: usize, metric: Metric) -> Self {
        debug_assert!(metric != Metric::Hamming, "bits are compared as they are");
        Self { metric, dim, codes: Vec::new(), shapes: Vec::new() }
    }

    /// Codes `values`, n × `dim`.
    pub(crate) fn of_floats(values: &[f32], dim: usize, metric: Metric) -> Self {
        let mut coded = Self::empty(dim, metric);
        coded.reserve(values.len() / dim);
        let (mut bytes, mut coder) = (Vec::new(), Coder::default());
        for chunk in values.chunks(CHUNK * dim) {
            bytes.clear();
            bytes.extend(chunk.iter().flat_map(|value| value.to_le_bytes()));
            coder.code::<F32>(Level::best(), &bytes, DType::F32, &mut coded);
        }
        coded
    }

    /// Makes room for `count` vectors more.
    pub(crate) fn reserve(&mut self, count: usize) {
        self.codes.reserve_exact(count * self.blocks());
        self.shapes.reserve_exact(count);
    }

    /// Codes `vectors`, of numbers of this dimension, and appends them.
    pub(crate) fn extend(&mut self, vectors: Vectors<'_>) {
        self.extend_at(Level::best(), vectors);
    }

    /// As [`extend`](Self::extend), with a given instruction set. The codes are the same.
    pub(super) fn extend_at(&mut self, level: Level, vectors: Vectors<'_>) {
        assert_eq!(vectors.dim(), self.dim, "vectors of one dimension");
        let (dtype, mut coder) = (vectors.dtype(), Coder::default());
        for rows in vectors.bytes().chunks(CHUNK * vectors.row_bytes()) {
            match dtype {
                DType::F32 => coder.code::<F32>(level, rows, dtype, self),
                DType::F16 => coder.code::<F16>(level, rows, dtype, self),
                DType::BF16 => coder.code::<BF16>(level, rows, dtype, self),
                DType::I8 => coder.code::<I8>(level, rows, dtype, self),
                DType::U8 => coder.code::<U8>(level, rows, dtype, self),
                DType::B1 => unreachable!("bits are compared as they are"),
            }
        }
    }

    /// Appends vectors coded elsewhere, of the same dimension and metric.
    pub(crate) fn append(&mut self, other: View<'_>) {
        assert_eq!((self.dim, self.metric), (other.dim, other.metric), "vectors of one kind");
        self.codes.extend_from_slice(other.codes);
        self.shapes.extend_from_slice(other.shapes);
    }

    /// The vectors at `ids`, each less than [`len`](Self::len), in that order.
    pub(crate) fn gather(&self, ids: &[u32]) -> Self {
        let blocks = self.blocks();
        let mut gathered = Self::empty(self.dim, self.metric);
        gathered.codes.reserve(ids.len() * blocks);
        for &id in ids {
            gathered.codes.extend_from_slice(&self.codes[id as usize * blocks..][..blocks]);
        }
        gathered.shapes.extend(ids.iter().map(|&id| self.shapes[id as usize]));
        gathered
    }

    /// Number of vectors, n.
    pub(crate) fn len(&self) -> usize {
        self.shapes.len()
    }

    /// Elements of a vector, d.
    pub(crate) fn dim(&self) -> usize {
        self.dim
    }

    /// Vector `index`.
    pub(crate) fn stored(&self, index: usize) -> Stored<'_> {
        let (shape, blocks) = (&self.shapes[index], self.blocks());
        Stored {
            scale: shape.scale,
            low: shape.offset - MIDDLE as f64 * shape.scale,
            square: shape.square,
            codes: &self.codes[index * blocks..][..blocks],
        }
    }

    /// All vectors.
    pub(crate) fn view(&self) -> View<'_> {
        View { metric: self.metric, dim: self.dim, codes: &self.codes, shapes: &self.shapes }
    }

    /// The vectors of `range`.
    pub(crate) fn slice(&self, range: Range<usize>) -> View<'_> {
        self.view().slice(range)
    }

    fn blocks(&self) -> usize {
        self.dim.div_ceil(LANE_SPAN)
    }
}

impl<'a> View<'a> {
    /// Number of vectors, n.
    pub(crate) fn len(&self) -> usize {
        self.shapes.len()
    }

    /// The vectors of `range`, which must lie within 0 .. [`len`](Self::len).
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let blocks = self.blocks();
        Self {
            codes: &self.codes[range.start * blocks..range.end * blocks],
            shapes: &self.shapes[range],
            ..*self
        }
    }

    /// Sets `distances` to those of vector `index` of this view from the `picks` of `rows`, each less than their number; the same the
    /// other way round, and what [`nearest`](super::nearest()) finds. A NaN, which only vectors with infinite or NaN elements give,
    /// is +∞.
    ///
    /// l2: Σ (x̂ᵢ − ŷᵢ)², 0 for equal vectors. Inner product: −x̂·ŷ. Cosine: 1 − x̂·ŷ / (|x̂| |ŷ|), at least 0, and 1 if either
    /// is zero. Rounded to f32.
    ///
    /// For few pairs, or rows here and there; many rows side by side are cheaper by [`nearest`](super::nearest()).
    pub(crate) fn distances(&self, index: usize, rows: View<'_>, picks: &[u32], distances: &mut Vec<f32>) {
        distances.clear();
        Level::best().run(Pairs { one: self.slice(index..index + 1), rows, picks, distances });
    }

    /// Blocks of codes to a vector.
    pub(super) fn blocks(&self) -> usize {
        self.dim.div_ceil(LANE_SPAN)
    }
}

/// Distance of two coded vectors with centred product `t`; see the module's description and [`View::distances`].
#[inline]
pub(super) fn pair(metric: Metric, dim: usize, a: &Shape, b: &Shape, t: i32) -> f32 {
    let dot = dot(dim, a, b, t);
    let distance = match metric {
        Metric::L2 => ((a.square + b.square) - 2.0 * dot).max(0.0),
        Metric::InnerProduct => 0.0 - dot,
        _ => (1.0 - dot).max(0.0),
    };
    // Of a NaN, `max` makes 0; a minute product rounds to −0.
    if dot.is_nan() { f32::INFINITY } else { distance as f32 + 0.0 }
}

/// x̂·ŷ.
#[inline]
fn dot(dim: usize, a: &Shape, b: &Shape, t: i32) -> f64 {
    let cross = b.offset * a.weight + a.offset * b.weight;
    (a.scale * b.scale) * f64::from(t) + cross + (a.offset * b.offset) * dim as f64
}

/// Room for coding a few rows.
#[derive(Default)]
struct Coder {
    codes: Vec<Block32>,
    rows: Vec<RowCode>,
    wide: Vec<f32>,
}

impl Coder {
    /// Codes packed rows and appends them to `to`.
    fn code<E: Element>(&mut self, level: Level, rows: &[u8], dtype: DType, to: &mut Coded) {
        let (dim, blocks) = (to.dim, to.blocks());
        level.run(CodeRows {
            rows,
            dim,
            most: MOST,
            element: PhantomData::<E>,
            codes: &mut self.codes,
            coded: &mut self.rows,
            wide: &mut self.wide,
        });
        for (index, row) in self.rows.iter().enumerate() {
            let codes = &mut self.codes[index * blocks..][..blocks];
            let (mut scale, mut low) = (f64::from(row.scale), f64::from(row.offset));
            let (mut sum, mut squares) = (row.sum, row.squares);
            if !SAFE_SCALE.contains(&row.scale) {
                let row = reference::widen(dtype, &rows[index * dim * E::BYTES..][..dim * E::BYTES]);
                (scale, low) = code_in_f64(&row, codes);
                let codes = || codes.iter().flat_map(|block| block.0).map(i64::from);
                (sum, squares) = (codes().sum(), codes().map(|code| code * code).sum());
            }
            to.shapes.push(Shape::new(to.metric, dim, (scale, low), (sum, squares)));
        }
        to.codes.extend_from_slice(&self.codes[..self.rows.len() * blocks]);
    }
}

/// Codes a row whose range is zero, minute or enormous; returns the step and the smallest element.
fn code_in_f64(row: &[f32], codes: &mut [Block32]) -> (f64, f64) {
    let values = || row.iter().map(|&value| f64::from(value));
    let (low, high) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
    let scale = (high - low) / f64::from(MOST);
    let steps = if scale > 0.0 { 1.0 / scale } else { 0.0 };
    let elements = codes.iter_mut().flat_map(|block| &mut block.0);
    for (code, value) in elements.zip(values()) {
        *code = (((value - low) * steps).round() as u8).min(MOST);
    }
    (scale, low)
}

impl Shape {
    /// Of a vector with codes u, from Σ uᵢ and Σ uᵢ².
    fn new(metric: Metric, dim: usize, (scale, low): (f64, f64), (sum, squares): (i64, i64)) -> Self {
        // Of at most 65,536 elements, the first is below 2²³ and the second below 2²⁹.
        let centred = (sum - MIDDLE * dim as i64) as i32;
        let centred_squares = (squares - 2 * MIDDLE * sum + MIDDLE * MIDDLE * dim as i64) as i32;
        let of = |scale: f64, offset: f64| {
            let weight = scale * f64::from(centred);
            let mut shape =
                Self { scale, offset, weight, square: 0.0, sum: centred, squares: centred_squares };
            shape.square = dot(dim, &shape, &shape, centred_squares);
            shape
        };
        let shape = of(scale, low + scale * MIDDLE as f64);
        if metric != Metric::Cosine {
            return shape;
        }
        let unit = if shape.square > 0.0 { 1.0 / shape.square.sqrt() } else { 0.0 };
        of(shape.scale * unit, shape.offset * unit)
    }
}

/// One vector against some others.
struct Pairs<'a> {
    one: View<'a>,
    rows: View<'a>,
    picks: &'a [u32],
    distances: &'a mut Vec<f32>,
}

impl Job for Pairs<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match self.one.metric {
            Metric::L2 => self.by(simd, Metric::L2),
            metric => self.by(simd, metric),
        }
    }
}

impl Pairs<'_> {
    /// As the job, for `metric`, which is that of the vectors: inlined, it is a constant to all that depends on it.
    #[inline(always)]
    fn by<S: Simd>(self, simd: S, metric: Metric) {
        let Self { one, rows, picks, distances } = self;
        let (blocks, dim) = (one.blocks(), one.dim);
        let ask = |pick: u32| {
            let first = pick as usize * blocks;
            rows.codes[first..first + blocks].iter().step_by(2).for_each(|two| simd.prefetch(two.0.as_ptr()));
            simd.prefetch((&raw const rows.shapes[pick as usize]).cast());
        };
        picks.iter().take(TOGETHER).for_each(|pick| ask(*pick));
        // Padding has code 0: it adds nothing to the product, and is not among what is centred.
        let a = &one.shapes[0];
        let middle = i64::from(a.sum) + MIDDLE * dim as i64;
        for (at, some) in picks.chunks(TOGETHER).enumerate() {
            picks.iter().skip((at + 1) * TOGETHER).take(TOGETHER).for_each(|pick| ask(*pick));
            // The last group repeats its last vector in place of the missing ones.
            let pick = |i: usize| some[i.min(some.len() - 1)] as usize;
            let mut sums = [simd.zero_i32(); TOGETHER];
            for (i, sum) in sums.iter_mut().enumerate().take(some.len()) {
                for (a, b) in one.codes.iter().zip(&rows.codes[pick(i) * blocks..][..blocks]) {
                    // Two products of at most 127² fit an i16.
                    *sum = simd.dot_quads(*sum, simd.load_bytes(a), simd.load_bytes(b));
                }
            }
            let products = simd.to_array_i32(simd.sums_i32(sums));
            let distance = |i: usize| {
                let b = &rows.shapes[pick(i)];
                let centred = i64::from(products[i]) - MIDDLE * (middle + i64::from(b.sum));
                pair(metric, dim, a, b, centred as i32)
            };
            let all: [f32; TOGETHER] = std::array::from_fn(distance);
            distances.extend_from_slice(&all[..some.len()]);
        }
    }
}
