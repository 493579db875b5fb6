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

/// Where a pass finds the rows it picks.
pub(super) trait Place<'a> {
    /// Number and bytes of the row at `index`, with or without what follows it in memory; `None` to pass it over.
    fn row<S: Simd>(&mut self, simd: S, index: usize) -> Option<(u64, &'a [u8])>;
}

impl<'a> Place<'a> for Rows<'a> {
    #[inline(always)]
    fn row<S: Simd>(&mut self, _: S, index: usize) -> Option<(u64, &'a [u8])> {
        if self.is_deleted(index) {
            return None;
        }
        Some((self.number(index), &self.vectors.bytes()[index * self.vectors.row_bytes()..]))
    }
}

/// Offers the vectors of `rows` at `picks` to `top`, by their distance from one of `queries`.
///
/// Returns how many a glance was enough to rule out.
///
/// `ahead`: how many bytes behind a row to ask for while it is looked at; 0 for rows that are in cache. `wide` is scratch
/// space.
pub(super) fn scan<'a>(
    level: Level,
    (queries, query): (&Queries, usize),
    rows: impl Place<'a>,
    picks: impl Iterator<Item = usize>,
    ahead: usize,
    top: &mut TopK,
    wide: &mut Vec<f32>,
) -> usize {
    let (dim, metric) = (queries.dim(), queries.metric());
    let row_bytes = queries.dtype().row_bytes(dim);
    let pass = Pass { rows, picks, row_bytes, ahead, top };
    if metric == Metric::Hamming {
        let query = BitQuery::new(queries.bits(query), row_bytes, ahead);
        return level.run(pass.with(Hamming::new(query)));
    }
    if let Some(ints) = queries.ints(query) {
        let kernel = IntQuery::new(ints, dim, ahead);
        return match queries.dtype() {
            DType::I8 => whole::<Signed, _, _>(level, kernel, metric, queries.norm(query), pass),
            _ => whole::<Unsigned, _, _>(level, kernel, metric, queries.norm(query), pass),
        };
    }
    match queries.dtype() {
        DType::F32 => float::<F32, _, _>(level, queries, query, pass, wide),
        DType::F16 => float::<F16, _, _>(level, queries, query, pass, wide),
        DType::BF16 => float::<BF16, _, _>(level, queries, query, pass, wide),
        DType::I8 => float::<I8, _, _>(level, queries, query, pass, wide),
        DType::U8 => float::<U8, _, _>(level, queries, query, pass, wide),
        DType::B1 => unreachable!("bits have no metric but Hamming"),
    }
}

fn whole<'a, B: Byte, P: Place<'a>, I: Iterator<Item = usize>>(
    level: Level,
    query: IntQuery<'_>,
    metric: Metric,
    norm: f64,
    pass: Pass<'_, P, I>,
) -> usize {
    if metric == Metric::Cosine {
        level.run(pass.with(WholeCosine::<B>::new(query, norm)))
    } else {
        let product = metric == Metric::InnerProduct;
        level.run(pass.with(Whole::<B>::new(query, product)))
    }
}

fn float<'a, E: Element, P: Place<'a>, I: Iterator<Item = usize>>(
    level: Level,
    queries: &Queries,
    query: usize,
    pass: Pass<'_, P, I>,
    wide: &mut Vec<f32>,
) -> usize {
    let dim = queries.dim();
    let exact = Decider::new(level, queries, query, wide);
    match queries.metric() {
        Metric::L2 => {
            let kernel = FloatQuery::new::<E>(queries.padded(query), dim, pass.ahead);
            level.run(pass.with(L2::<E>::new(kernel, exact)))
        }
        Metric::InnerProduct => {
            let kernel = FloatQuery::new::<E>(queries.padded(query), dim, pass.ahead);
            level.run(pass.with(InnerProduct::<E>::new(kernel, exact)))
        }
        Metric::Cosine => {
            let kernel = FloatQuery::new::<E>(queries.unit(query), dim, pass.ahead);
            level.run(pass.with(Cosine::<E>::new(kernel, exact)))
        }
        Metric::Hamming => unreachable!("numbers have no Hamming distance"),
    }
}

/// A pass without its kernel.
struct Pass<'t, P, I> {
    rows: P,
    picks: I,
    row_bytes: usize,
    ahead: usize,
    top: &'t mut TopK,
}

impl<'t, P, I: Iterator<Item = usize>> Pass<'t, P, I> {
    fn with<K: Kernel>(self, kernel: K) -> Scan<'t, P, I, K> {
        Scan { pass: self, kernel }
    }
}

struct Scan<'t, P, I, K> {
    pass: Pass<'t, P, I>,
    kernel: K,
}

impl<'a, P: Place<'a>, I: Iterator<Item = usize>, K: Kernel> Job for Scan<'_, P, I, K> {
    type Out = usize;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> usize {
        let Self { pass: Pass { mut rows, picks, row_bytes, top, .. }, mut kernel } = self;
        let mut ruled_out = 0;
        kernel.tighten(top.bound());
        for index in picks {
            let Some((number, row)) = rows.row(simd, index) else { continue };
            let glance = kernel.glance(simd, row);
            if kernel.rules_out(glance) {
                ruled_out += 1;
                continue;
            }
            let distance = kernel.exact(&row[..row_bytes], glance);
            if top.offer(number, distance) {
                kernel.tighten(top.bound());
            }
        }
        ruled_out
    }
}
