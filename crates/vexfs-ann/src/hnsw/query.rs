//! A query as records are compared with it: coded to signed bytes, which makes a distance one product of small integers.
//!
//! The query q stands as q̂ᵢ = step · vᵢ + middle with v in −127 ..= 127, and with a row x̂ᵢ = scale · uᵢ + low
//! q·x̂ is taken as scale · (step · Σ vᵢuᵢ + middle · Σ uᵢ) + low · Σ qᵢ. The estimate of l2 is |q|² + |x̂|² − 2 q·x̂, of the inner
//! product −q·x̂, of cosine the same for the query of norm 1 (1 − cos, less 1). Integers are exact and the rest is f64 in one
//! order: estimates do not depend on the instruction set.

use super::params::Codes;
use super::record::Head;
use crate::simd::bits::BitQuery;
use crate::simd::{Block32, Simd};
use crate::{Metric, Queries};

/// A query, coded.
#[derive(Debug, Clone, Default)]
pub(super) struct CodedQuery {
    /// v, in the order of the codes of a record: blocks of 32, zero beyond d. Empty of bits.
    blocks: Vec<Block32>,
    /// Multiplies scale · Σ vᵢuᵢ.
    product: f64,
    /// Multiplies scale · Σ uᵢ.
    sum: f64,
    /// Multiplies low.
    low: f64,
    /// Added.
    constant: f64,
}

impl CodedQuery {
    /// Codes query `index` of `queries`, of numbers, for records with `codes`.
    pub(super) fn set(&mut self, queries: &Queries, index: usize, codes: Codes) {
        let values = queries.values(index);
        let fold = |by: fn(f32, f32) -> f32| values.iter().copied().reduce(by).unwrap_or(0.0);
        let (least, most) = (f64::from(fold(f32::min)), f64::from(fold(f32::max)));
        let (middle, step) = ((most + least) / 2.0, (most - least) / 254.0);
        let steps = if step > 0.0 { 1.0 / step } else { 0.0 };

        let block_elements = if codes == Codes::Sq4 { 64 } else { 32 };
        self.blocks.clear();
        self.blocks.resize(values.len().div_ceil(block_elements) * block_elements / 32, Block32::ZERO);
        let elements = self.blocks.iter_mut().flat_map(|block| &mut block.0);
        let mut total = 0.0;
        for (code, &value) in elements.zip(values) {
            // Less than half a step beyond ± 127: cut off above zero, what is left is the nearest.
            *code = (((f64::from(value) - middle) * steps + 127.5) as i32 - 127) as u8;
            total += f64::from(value);
        }

        let norm = queries.norm(index);
        let (factor, constant) = match queries.metric() {
            Metric::L2 => (-2.0, norm),
            Metric::Cosine if norm > 0.0 => (-1.0 / norm.sqrt(), 0.0),
            Metric::Cosine => (0.0, 0.0),
            _ => (-1.0, 0.0),
        };
        (self.product, self.sum, self.low) = (factor * step, factor * middle, factor * total);
        self.constant = constant;
    }

    /// The estimate of the distance from a row of numbers.
    #[inline(always)]
    pub(super) fn estimate<S: Simd>(&self, simd: S, head: &Head, codes: &[u8], is_sq4: bool) -> f32 {
        let (rows, _) = codes.as_chunks::<32>();
        let mut sums = [simd.zero_i32(); 2];
        if is_sq4 {
            for (row, query) in rows.iter().zip(self.blocks.as_chunks::<2>().0) {
                let (low, high) = simd.nibbles(simd.load_bytes(&Block32(*row)));
                sums[0] = simd.dot_quads(sums[0], low, simd.load_bytes(&query[0]));
                sums[1] = simd.dot_quads(sums[1], high, simd.load_bytes(&query[1]));
            }
        } else {
            let (twos, last) = rows.as_chunks::<2>();
            let (query_twos, query_last) = self.blocks.as_chunks::<2>();
            for (rows, queries) in twos.iter().zip(query_twos) {
                for half in 0..2 {
                    sums[half] = multiply(simd, sums[half], &rows[half], &queries[half]);
                }
            }
            for (row, query) in last.iter().zip(query_last) {
                sums[0] = multiply(simd, sums[0], row, query);
            }
        }
        let product = simd.sum_i32(simd.add_i32(sums[0], sums[1])) as f64;
        let scale = f64::from(head.scale.get());
        let linear = self.constant + head.square.get() + self.low * f64::from(head.low.get());
        (linear + scale * (self.product * product + self.sum * f64::from(head.sum.get()))) as f32
    }
}

/// `sum` and the products of 32 codes; of rows of seven bits, two products fit an i16.
#[inline(always)]
fn multiply<S: Simd>(simd: S, sum: S::I32, row: &[u8; 32], query: &Block32) -> S::I32 {
    simd.dot_quads(sum, simd.load_bytes(&Block32(*row)), simd.load_bytes(query))
}

/// A query in the form that the records of an image take.
#[derive(Clone, Copy)]
pub(super) enum Form<'a> {
    /// Numbers, with [`Codes::Sq4`] if true.
    Numbers(&'a CodedQuery, bool),
    /// Bits.
    Bits(BitQuery<'a>),
}

impl Form<'_> {
    /// The estimate of the distance from a record's row. A NaN, which only a lying image gives, is +∞.
    #[inline(always)]
    pub(super) fn estimate<S: Simd>(&self, simd: S, head: &Head, codes: &[u8]) -> f32 {
        let estimate = match self {
            Self::Numbers(query, is_sq4) => query.estimate(simd, head, codes, *is_sq4),
            Self::Bits(query) => query.hamming(simd, codes) as f32,
        };
        if estimate.is_nan() { f32::INFINITY } else { estimate }
    }
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;
    use zerocopy::little_endian::{F32, F64, U32};

    use super::*;
    use crate::DType;
    use crate::simd::{Job, Level};

    struct Estimate<'a>(Form<'a>, &'a Head, &'a [u8]);

    impl Job for Estimate<'_> {
        type Out = f32;

        #[inline(always)]
        fn run<S: Simd>(self, simd: S) -> f32 {
            self.0.estimate(simd, self.1, self.2)
        }
    }

    #[test]
    fn estimates_are_those_of_the_coded_row_at_every_level() {
        for dim in [1, 31, 32, 33, 64, 65, 200] {
            let query: Vec<f32> = (0..dim).map(|i| (i * 29 % 17) as f32 - 3.0).collect();
            for codes in [Codes::Sq8, Codes::Sq4] {
                let row: Vec<u8> = (0..dim).map(|i| (i * 37 + 5) as u8 % (codes.most() + 1)).collect();
                let mut bytes = vec![0; codes.bytes(dim)];
                for (at, &code) in row.iter().enumerate() {
                    match codes {
                        Codes::Sq4 => bytes[at / 64 * 32 + at % 32] |= code << (at % 64 / 32 * 4),
                        _ => bytes[at] = code,
                    }
                }
                let mut head = Head::new_zeroed();
                head.scale = F32::new(0.5);
                head.low = F32::new(-2.0);
                head.sum = U32::new(row.iter().map(|&code| u32::from(code)).sum());
                let values: Vec<f64> = row.iter().map(|&code| 0.5 * f64::from(code) - 2.0).collect();
                head.square = F64::new(values.iter().map(|value| value * value).sum());
                let pairs = || values.iter().zip(&query);
                let l2: f64 = pairs().map(|(x, q)| (x - f64::from(*q)).powi(2)).sum();
                // The query loses at most half of its step, 16 / 254, per element.
                let lost: f64 = pairs().map(|(x, _)| 2.0 * 16.0 / 508.0 * (x.abs() + 2.0)).sum();

                let queries = Queries::new(&query, dim, DType::F32, Metric::L2).unwrap();
                let mut coded = CodedQuery::default();
                coded.set(&queries, 0, codes);
                let form = Form::Numbers(&coded, codes == Codes::Sq4);
                let first = Level::SCALAR.run(Estimate(form, &head, &bytes));
                assert!((f64::from(first) - l2).abs() <= lost + 1e-3, "{codes:?} {dim}: {first} {l2}");
                for level in Level::all() {
                    assert_eq!(
                        level.run(Estimate(form, &head, &bytes)).to_bits(),
                        first.to_bits(),
                        "{level:?}"
                    );
                }
            }
        }
    }
}
