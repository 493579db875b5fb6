//! One query against rows as they come by: each row gets a glance, and what the glance does not rule out is decided.

use crate::neighbor::TopK;
use crate::simd::bits::BitQuery;
use crate::simd::element::{BF16, Element, F16, F32, I8, U8};
use crate::simd::float::FloatQuery;
use crate::simd::int::{Byte, IntQuery, Signed, Unsigned};
use crate::simd::{Job, Level, Simd};
use crate::{DType, Metric, Vectors};

use super::Queries;
use super::glance::{Cosine, Decider, Hamming, InnerProduct, Kernel, L2, Whole, WholeCosine};

/// Rows of one push, and where they belong.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) vectors: Vectors<'a>,
    /// Row of the first vector.
    pub(super) first: u64,
    /// Bit r mod 64 of word ⌊r / 64⌋ set: row r is deleted.
    pub(super) deleted: Option<&'a [u64]>,
}

impl Rows<'_> {
    /// The row of vector `index`.
    pub(super) fn number(&self, index: usize) -> u64 {
        self.first.saturating_add(index as u64)
    }

    fn is_deleted(&self, index: usize) -> bool {
        let Some(words) = self.deleted else { return false };
        let row = self.number(index);
        let word = usize::try_from(row / 64).ok().and_then(|word| words.get(word));
        word.is_some_and(|word| word >> (row % 64) & 1 == 1)
    }
}

/// Offers the vectors of `rows` at `picks` to `top`, by their distance from one of `queries`.
///
/// `ahead`: how many bytes behind a row to ask for while it is looked at; 0 for rows that are in cache. `wide` is scratch
/// space.
pub(super) fn scan(
    level: Level,
    (queries, query): (&Queries, usize),
    rows: Rows<'_>,
    picks: impl Iterator<Item = usize>,
    ahead: usize,
    top: &mut TopK,
    wide: &mut Vec<f32>,
) {
    let (dim, metric) = (queries.dim(), queries.metric());
    let pass = Pass { rows, picks, ahead, top };
    if metric == Metric::Hamming {
        let query = BitQuery::new(queries.bits(query), rows.vectors.row_bytes(), ahead);
        return level.run(pass.with(Hamming::new(query)));
    }
    if let Some(ints) = queries.ints(query) {
        let kernel = IntQuery::new(ints, dim, ahead);
        return match queries.dtype() {
            DType::I8 => whole::<Signed, _>(level, kernel, metric, queries.norm(query), pass),
            _ => whole::<Unsigned, _>(level, kernel, metric, queries.norm(query), pass),
        };
    }
    match queries.dtype() {
        DType::F32 => float::<F32, _>(level, queries, query, pass, wide),
        DType::F16 => float::<F16, _>(level, queries, query, pass, wide),
        DType::BF16 => float::<BF16, _>(level, queries, query, pass, wide),
        DType::I8 => float::<I8, _>(level, queries, query, pass, wide),
        DType::U8 => float::<U8, _>(level, queries, query, pass, wide),
        DType::B1 => unreachable!("bits have no metric but Hamming"),
    }
}

fn whole<B: Byte, I: Iterator<Item = usize>>(
    level: Level,
    query: IntQuery<'_>,
    metric: Metric,
    norm: f64,
    pass: Pass<'_, I>,
) {
    if metric == Metric::Cosine {
        level.run(pass.with(WholeCosine::<B>::new(query, norm)));
    } else {
        let product = metric == Metric::InnerProduct;
        level.run(pass.with(Whole::<B>::new(query, product)));
    }
}

fn float<E: Element, I: Iterator<Item = usize>>(
    level: Level,
    queries: &Queries,
    query: usize,
    pass: Pass<'_, I>,
    wide: &mut Vec<f32>,
) {
    let dim = queries.dim();
    let exact = Decider::new(level, queries, query, wide);
    match queries.metric() {
        Metric::L2 => {
            let kernel = FloatQuery::new::<E>(queries.padded(query), dim, pass.ahead);
            level.run(pass.with(L2::<E>::new(kernel, exact)));
        }
        Metric::InnerProduct => {
            let kernel = FloatQuery::new::<E>(queries.padded(query), dim, pass.ahead);
            level.run(pass.with(InnerProduct::<E>::new(kernel, exact)));
        }
        Metric::Cosine => {
            let kernel = FloatQuery::new::<E>(queries.unit(query), dim, pass.ahead);
            level.run(pass.with(Cosine::<E>::new(kernel, exact)));
        }
        Metric::Hamming => unreachable!("numbers have no Hamming distance"),
    }
}

/// A pass without its kernel.
struct Pass<'a, I> {
    rows: Rows<'a>,
    picks: I,
    ahead: usize,
    top: &'a mut TopK,
}

impl<'a, I: Iterator<Item = usize>> Pass<'a, I> {
    fn with<K: Kernel>(self, kernel: K) -> Scan<'a, I, K> {
        Scan { pass: self, kernel }
    }
}

struct Scan<'a, I, K> {
    pass: Pass<'a, I>,
    kernel: K,
}

impl<I: Iterator<Item = usize>, K: Kernel> Job for Scan<'_, I, K> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Self { pass: Pass { rows, picks, top, .. }, mut kernel } = self;
        let (bytes, row_bytes) = (rows.vectors.bytes(), rows.vectors.row_bytes());
        kernel.tighten(top.bound());
        for index in picks {
            if rows.is_deleted(index) {
                continue;
            }
            let row = &bytes[index * row_bytes..];
            let glance = kernel.glance(simd, row);
            if kernel.rules_out(glance) {
                continue;
            }
            let distance = kernel.exact(&row[..row_bytes], glance);
            if top.offer(rows.number(index), distance) {
                kernel.tighten(top.bound());
            }
        }
    }
}
