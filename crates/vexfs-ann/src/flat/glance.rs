//! What a glance at a row tells: an approximate distance in one pass over its bytes, and whether the row is proven to be
//! farther than the k-th best so far.
//!
//! A row that is not ruled out is decided in f64 by the [`mod@reference`] arithmetic at once. Bits, and bytes
//! against whole-numbered queries, have exact integer distances and nothing to prove.
//!
//! # Bounds
//! γ stands for [`gamma`]`(d)`; a and s for the computed f32 distance or product and squared norm; b for the k-th best
//! distance. The reference's own rounding, below 10⁻¹² of the same sums, is covered by doubling γ, which is at
//! least 10⁻⁶.
//!
//! - **L2.** All terms are non-negative, so the true D ≥ a / (1 + γ) − d 2⁻¹⁴⁹: errors of the terms are relative, except
//!   where products underflow. Hence a ≥ (b + d 2⁻¹⁴⁸)(1 + 2γ) implies D > b. An infinite a means that a partial sum exceeded
//!   the largest f32, and then so does D up to γ: the implication holds as long as the limit itself is finite.
//! - **Inner product.** |a − q·x| ≤ γ |q| |x| + d 2⁻¹⁴⁹ (Cauchy–Schwarz on Σ |qᵢ xᵢ|), and |x| ≤ (1 + γ) √s + √d 2⁻⁷⁴.
//!   Hence a + 2γ |q| √s + (d + |q| √d) 2⁻⁷⁰ < −b implies −q·x > b.
//! - **Cosine.** The query is scaled to norm 1 beforehand. With |x| = √s (1 + φ), |φ| ≤ γ, and a = |x| (cos + θ),
//!   |θ| ≤ γ + 2⁻²³, a < (1 − b − 6γ) √s implies 1 − cos > b, because the cosine and 1 − b are at most 1 and
//!   −1 in size. Outside 2⁻⁶⁰ ≤ s ≤ 2¹²⁰, where underflow or overflow may have touched the sums, nothing is concluded.
//!
//! - **Cosine of whole numbers.** Product and squared norm s are exact before they are rounded to f32, which with the root
//!   and the product by the limit makes four relative errors of 2⁻²⁴: p < (1 − b − 2⁻²⁰) |q| √s implies 1 − cos > b.
//!
//! An a or s that is NaN, or a product that overflowed, makes every comparison false, and the row is decided in f64.

use std::marker::PhantomData;

use crate::Metric;
use crate::reference;
use crate::simd::bits::BitQuery;
use crate::simd::codes::widen;
use crate::simd::element::{Element, Tail};
use crate::simd::float::{FloatQuery, gamma};
use crate::simd::int::{Byte, IntQuery};
use crate::simd::{Job, Level, Simd};

use super::Queries;

/// What distinguishes one kind of pass from another.
pub(super) trait Kernel {
    /// What one pass over a row's bytes yields.
    type Glance: Copy;
    /// Looks at the row at the start of `bytes`.
    fn glance<S: Simd>(&self, simd: S, bytes: &[u8]) -> Self::Glance;
    /// Whether the row is proven to be farther than the bound.
    fn rules_out(&self, glance: Self::Glance) -> bool;
    /// The row's distance as the reference defines it.
    fn exact(&mut self, row: &[u8], glance: Self::Glance) -> f64;
    /// Sets the bound: the k-th best distance.
    fn tighten(&mut self, bound: f64);
}

/// Decides a row in f64.
pub(super) struct Decider<'a> {
    level: Level,
    queries: &'a Queries,
    query: usize,
    wide: &'a mut Vec<f32>,
}

impl<'a> Decider<'a> {
    /// Decides by the distance from query `query` of `queries`; `wide` is scratch space.
    pub(super) fn new(level: Level, queries: &'a Queries, query: usize, wide: &'a mut Vec<f32>) -> Self {
        Self { level, queries, query, wide }
    }

    #[cold]
    #[inline(never)]
    fn decide<E: Element>(&mut self, row: &[u8]) -> f64 {
        self.wide.resize(self.queries.dim().next_multiple_of(8), 0.0);
        self.level.run(Decide::<E> {
            metric: self.queries.metric(),
            query: self.queries.values(self.query),
            norm: self.queries.norm(self.query),
            row,
            wide: self.wide,
            element: PhantomData,
        })
    }
}

struct Decide<'a, E> {
    metric: Metric,
    query: &'a [f32],
    norm: f64,
    row: &'a [u8],
    wide: &'a mut [f32],
    element: PhantomData<E>,
}

impl<E: Element> Job for Decide<'_, E> {
    type Out = f64;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> f64 {
        let tail = Tail::new(self.row.len(), 8 * E::BYTES);
        widen::<S, E>(simd, self.row, self.row.len(), tail, self.wide);
        let row = &self.wide[..self.query.len()];
        match self.metric {
            Metric::L2 => reference::l2(self.query, row),
            Metric::InnerProduct => reference::negated(reference::dot(self.query, row)),
            _ => reference::cosine(reference::dot(self.query, row), self.norm, reference::dot(row, row)),
        }
    }
}

/// The smallest f32 not below `value`; +∞ past the largest.
pub(super) fn round_up(value: f64) -> f32 {
    let rounded = value as f32;
    if f64::from(rounded) < value { rounded.next_up() } else { rounded }
}

/// The largest f32 not above `value`; −∞ past the smallest.
pub(super) fn round_down(value: f64) -> f32 {
    -round_up(-value)
}

/// Squared Euclidean distance of numbers.
pub(super) struct L2<'a, E> {
    query: FloatQuery<'a>,
    exact: Decider<'a>,
    slack: f64,
    tiny: f64,
    /// Distances from here on are farther than the bound; NaN if none is known to be.
    limit: f32,
    element: PhantomData<E>,
}

impl<'a, E: Element> L2<'a, E> {
    pub(super) fn new(query: FloatQuery<'a>, exact: Decider<'a>) -> Self {
        let dim = exact.queries.dim();
        let tiny = dim as f64 * 2f64.powi(-148);
        Self {
            query,
            exact,
            slack: 1.0 + 2.0 * gamma(dim),
            tiny,
            limit: f32::NAN,
            element: Default::default(),
        }
    }
}

impl<E: Element> Kernel for L2<'_, E> {
    type Glance = f32;

    #[inline(always)]
    fn glance<S: Simd>(&self, simd: S, bytes: &[u8]) -> f32 {
        self.query.l2::<S, E>(simd, bytes)
    }
    #[inline(always)]
    fn rules_out(&self, distance: f32) -> bool {
        distance >= self.limit
    }
    fn exact(&mut self, row: &[u8], _: f32) -> f64 {
        self.exact.decide::<E>(row)
    }
    fn tighten(&mut self, bound: f64) {
        let limit = round_up((bound + self.tiny) * self.slack);
        self.limit = if limit.is_finite() { limit } else { f32::NAN };
    }
}

/// Inner product of numbers.
pub(super) struct InnerProduct<'a, E> {
    query: FloatQuery<'a>,
    exact: Decider<'a>,
    /// 2γ |q|.
    slack: f32,
    tiny: f64,
    /// Upper bounds of the product below this are farther than the bound.
    limit: f32,
    element: PhantomData<E>,
}

impl<'a, E: Element> InnerProduct<'a, E> {
    pub(super) fn new(query: FloatQuery<'a>, exact: Decider<'a>) -> Self {
        let dim = exact.queries.dim();
        let norm = exact.queries.norm(exact.query).sqrt();
        let slack = round_up(2.0 * gamma(dim) * norm);
        let tiny = (dim as f64 + norm * (dim as f64).sqrt()) * 2f64.powi(-70);
        Self { query, exact, slack, tiny, limit: f32::NEG_INFINITY, element: Default::default() }
    }
}

impl<E: Element> Kernel for InnerProduct<'_, E> {
    type Glance = (f32, f32);

    #[inline(always)]
    fn glance<S: Simd>(&self, simd: S, bytes: &[u8]) -> (f32, f32) {
        self.query.dot::<S, E>(simd, bytes)
    }
    #[inline(always)]
    fn rules_out(&self, (product, squares): (f32, f32)) -> bool {
        let most = product + self.slack * squares.sqrt();
        // −∞ is an overflow on the way, not a product.
        most < self.limit && most >= f32::MIN
    }
    fn exact(&mut self, row: &[u8], _: (f32, f32)) -> f64 {
        self.exact.decide::<E>(row)
    }
    fn tighten(&mut self, bound: f64) {
        self.limit = round_down(-bound - self.tiny);
    }
}

/// Cosine of numbers; the query has norm 1.
pub(super) struct Cosine<'a, E> {
    query: FloatQuery<'a>,
    exact: Decider<'a>,
    slack: f64,
    /// Cosines below this are farther than the bound.
    limit: f32,
    element: PhantomData<E>,
}

impl<'a, E: Element> Cosine<'a, E> {
    pub(super) fn new(query: FloatQuery<'a>, exact: Decider<'a>) -> Self {
        let slack = 6.0 * gamma(exact.queries.dim());
        Self { query, exact, slack, limit: f32::NEG_INFINITY, element: Default::default() }
    }
}

/// What the roundings of a cosine of whole numbers may amount to: 2⁻²⁰.
const WHOLE_SLACK: f64 = 1.0 / (1 << 20) as f64;

/// Squared norms, of rows in f32, among which neither underflow nor overflow can have touched a cosine.
pub(super) const SAFE_SQUARES: std::ops::RangeInclusive<f32> = {
    let low = f32::from_bits((127 - 60) << 23);
    let high = f32::from_bits((127 + 120) << 23);
    low..=high
};

impl<E: Element> Kernel for Cosine<'_, E> {
    type Glance = (f32, f32);

    #[inline(always)]
    fn glance<S: Simd>(&self, simd: S, bytes: &[u8]) -> (f32, f32) {
        self.query.dot::<S, E>(simd, bytes)
    }
    #[inline(always)]
    fn rules_out(&self, (product, squares): (f32, f32)) -> bool {
        product < self.limit * squares.sqrt() && SAFE_SQUARES.contains(&squares)
    }
    fn exact(&mut self, row: &[u8], _: (f32, f32)) -> f64 {
        self.exact.decide::<E>(row)
    }
    fn tighten(&mut self, bound: f64) {
        self.limit = round_down(1.0 - bound - self.slack);
    }
}

/// Whole numbers: the integers of a glance are exact, and so is the f64 made of them.
pub(super) struct Whole<'a, B> {
    query: IntQuery<'a>,
    product: bool,
    bound: f64,
    byte: PhantomData<B>,
}

impl<'a, B: Byte> Whole<'a, B> {
    /// Compares by inner product if `product`, else by squared Euclidean distance.
    pub(super) fn new(query: IntQuery<'a>, product: bool) -> Self {
        Self { query, product, bound: f64::INFINITY, byte: PhantomData }
    }
}

impl<B: Byte> Kernel for Whole<'_, B> {
    type Glance = f64;

    #[inline(always)]
    fn glance<S: Simd>(&self, simd: S, bytes: &[u8]) -> f64 {
        if self.product {
            reference::negated(self.query.dot::<S, B>(simd, bytes) as f64)
        } else {
            self.query.l2::<S, B>(simd, bytes) as f64
        }
    }
    #[inline(always)]
    fn rules_out(&self, distance: f64) -> bool {
        distance > self.bound
    }
    #[inline(always)]
    fn exact(&mut self, _: &[u8], distance: f64) -> f64 {
        distance
    }
    #[inline(always)]
    fn tighten(&mut self, bound: f64) {
        self.bound = bound;
    }
}

/// The cosine of whole numbers: the integers are exact, but their quotient is only estimated at first.
pub(super) struct WholeCosine<'a, B> {
    query: IntQuery<'a>,
    norm: f64,
    /// Products below this times the row's norm are farther than the bound.
    limit: f32,
    byte: PhantomData<B>,
}

impl<'a, B: Byte> WholeCosine<'a, B> {
    /// `norm`: the query's squared norm.
    pub(super) fn new(query: IntQuery<'a>, norm: f64) -> Self {
        Self { query, norm, limit: f32::NEG_INFINITY, byte: PhantomData }
    }
}

impl<B: Byte> Kernel for WholeCosine<'_, B> {
    type Glance = (i64, i64);

    #[inline(always)]
    fn glance<S: Simd>(&self, simd: S, bytes: &[u8]) -> (i64, i64) {
        self.query.dot_and_norm::<S, B>(simd, bytes)
    }
    #[inline(always)]
    fn rules_out(&self, (product, squares): (i64, i64)) -> bool {
        (product as f32) < self.limit * (squares as f32).sqrt()
    }
    #[inline(always)]
    fn exact(&mut self, _: &[u8], (product, squares): (i64, i64)) -> f64 {
        reference::cosine(product as f64, self.norm, squares as f64)
    }
    #[inline(always)]
    fn tighten(&mut self, bound: f64) {
        self.limit = round_down((1.0 - bound - WHOLE_SLACK) * self.norm.sqrt());
    }
}

/// Differing bits: exact.
pub(super) struct Hamming<'a> {
    query: BitQuery<'a>,
    bound: f64,
}

impl<'a> Hamming<'a> {
    pub(super) fn new(query: BitQuery<'a>) -> Self {
        Self { query, bound: f64::INFINITY }
    }
}

impl Kernel for Hamming<'_> {
    type Glance = f64;

    #[inline(always)]
    fn glance<S: Simd>(&self, simd: S, bytes: &[u8]) -> f64 {
        self.query.hamming(simd, bytes) as f64
    }
    #[inline(always)]
    fn rules_out(&self, distance: f64) -> bool {
        distance > self.bound
    }
    #[inline(always)]
    fn exact(&mut self, _: &[u8], distance: f64) -> f64 {
        distance
    }
    #[inline(always)]
    fn tighten(&mut self, bound: f64) {
        self.bound = bound;
    }
}
