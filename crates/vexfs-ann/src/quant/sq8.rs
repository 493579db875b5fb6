//! One byte per element: steps between the smallest and the largest element of a row, and of a query around zero.
//!
//! A row r stands as r̂ᵢ = scale · uᵢ + low with uᵢ in 0 ..= [`CODE_MAX`], a query q as q̂ᵢ = a cᵢ with cᵢ in −127 ..= 127. Then
//! q̂·r̂ = a (scale · Σ cᵢuᵢ + low · Σ cᵢ), and Σ cᵢuᵢ is an exact integer.

use std::marker::PhantomData;

use zerocopy::IntoBytes;

use crate::simd::codes::{CodeRows, LANE_SPAN, QUERY_LANE, RowCode};
use crate::simd::element::F32;
use crate::simd::scan_one::SCAN_BLOCKS;
use crate::simd::{Block32, Level};

/// Ranges of rows below this are no range: their reciprocal is not a number to reckon with. 2⁻¹⁰⁰.
const LEAST_STEP: f32 = f32::from_bits((127 - 100) << 23);

/// Codes rows. Keeps the room for it.
#[derive(Default)]
pub(crate) struct Coder {
    codes: Vec<Block32>,
    rows: Vec<RowCode>,
    wide: Vec<f32>,
}

impl Coder {
    /// The codes of `rows`, n × `dim` finite numbers, in 0 ..= `most`: ⌈`dim` / 32⌉ blocks to a row, zero beyond `dim`, and what each
    /// became besides. Of that only scale and offset (low) are for images: the others depend on the instruction set.
    pub(crate) fn code(&mut self, rows: &[f32], dim: usize, most: u8) -> (&[Block32], &[RowCode]) {
        Level::best().run(CodeRows {
            rows: rows.as_bytes(),
            dim,
            most,
            element: PhantomData::<F32>,
            codes: &mut self.codes,
            coded: &mut self.rows,
            wide: &mut self.wide,
        });
        let blocks = dim.div_ceil(LANE_SPAN);
        for (row, codes) in self.rows.iter_mut().zip(self.codes.chunks_exact_mut(blocks)) {
            if row.scale < LEAST_STEP {
                codes.fill(Block32::ZERO);
                row.scale = 0.0;
            }
        }
        (&self.codes[..self.rows.len() * blocks], &self.rows)
    }
}

/// Writes r̂ of a coded row, d elements.
pub(crate) fn decode(codes: &[Block32], scale: f32, low: f32, into: &mut [f32]) {
    let codes = codes.iter().flat_map(|block| block.0);
    into.iter_mut().zip(codes).for_each(|(value, code)| *value = scale * f32::from(code) + low);
}

/// What a query became besides its codes.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct QueryCode {
    /// a.
    pub(crate) scale: f32,
    /// a Σ cᵢ.
    pub(crate) sum: f32,
    /// a Σ |cᵢ|.
    pub(crate) size: f32,
}

/// Codes a query of finite numbers and appends its codes, i8, to `codes`: ⌈d / 32⌉ blocks, zero beyond d.
///
/// Steps are as small as the lanes of i16 allow, in which the tile and the scan add products up.
pub(crate) fn code_query(query: &[f32], codes: &mut Vec<Block32>) -> QueryCode {
    let scale = step(query);
    let per_step = if scale >= LEAST_STEP { 1.0 / scale } else { 0.0 };
    let (mut sum, mut size) = (0i32, 0i32);
    for span in query.chunks(LANE_SPAN) {
        let mut block = Block32::ZERO;
        for (byte, value) in block.0.iter_mut().zip(span) {
            let code = round(value * per_step) as i8;
            sum += i32::from(code);
            size += i32::from(code).abs();
            *byte = code as u8;
        }
        codes.push(block);
    }
    QueryCode { scale, sum: scale * sum as f32, size: scale * size as f32 }
}

/// The nearest whole number of one below 2²², by an addition that leaves no room for more digits.
#[inline(always)]
fn round(value: f32) -> i32 {
    const MAGIC: f32 = 1.5 * (1 << 23) as f32;
    (value + MAGIC).to_bits() as i32 - MAGIC.to_bits() as i32
}

/// The smallest scale at which codes stay within ± 127, and sums of codes that meet in a lane within [`QUERY_LANE`].
fn step(query: &[f32]) -> f32 {
    /// Codes that meet in a lane of the tile; in one of the scan there are fewer.
    const PER_LANE: i32 = LANE_SPAN as i32 / 2;
    // Each code may round away from zero by a half.
    let room = (QUERY_LANE - PER_LANE / 2) as f32;
    let (mut largest, mut most) = (0f32, 0f32);
    for span in query.chunks(LANE_SPAN * SCAN_BLOCKS) {
        let (mut above, mut below) = ([0f32; LANE_SPAN], [0f32; LANE_SPAN]);
        for block in span.chunks(LANE_SPAN) {
            let (mut tile_above, mut tile_below) = ([0f32; 4], [0f32; 4]);
            for (element, &value) in block.iter().enumerate() {
                let (up, down) = (value.max(0.0), (-value).max(0.0));
                above[element] += up;
                below[element] += down;
                tile_above[element % 4] += up;
                tile_below[element % 4] += down;
                largest = largest.max(value.abs());
            }
            for sums in [tile_above, tile_below] {
                most = most.max(sums[0] + sums[1]).max(sums[2] + sums[3]);
            }
        }
        for sums in [above, below] {
            most = sums.as_chunks::<2>().0.iter().fold(most, |most, [a, b]| most.max(a + b));
        }
    }
    // Rounding of the sums and of the quotients: a share of 2⁻²⁰ at most.
    (largest / 127.0).max(most / room * (1.0 + 1.0 / (1 << 18) as f32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Random;
    use crate::simd::codes::CODE_MAX;

    fn numbers(seed: u64, count: usize) -> Vec<f32> {
        let mut random = Random::new(seed, 0);
        (0..count).map(|_| (random.next() >> 40) as f32 / (1 << 23) as f32 - 1.0).collect()
    }

    #[test]
    fn lanes_never_overflow() {
        let mut cases =
            vec![vec![0.0; 70], vec![5.0; 133], vec![-1e30; 64], numbers(1, 300), vec![1e-38; 40]];
        cases.push((0..256).map(|at| if at % 32 < 2 { 1.0 } else { 0.001 }).collect());
        cases.push((0..256).map(|at| if at == 77 { -3.0 } else { 0.01 }).collect());
        for query in cases {
            let mut codes = Vec::new();
            code_query(&query, &mut codes);
            assert_eq!(codes.len(), query.len().div_ceil(32));
            let sum = |codes: &mut dyn Iterator<Item = u8>, sign: i32| -> i32 {
                codes.map(|code| (i32::from(code as i8) * sign).max(0)).sum()
            };
            for sign in [1, -1] {
                for block in &codes {
                    for half in 0..2 {
                        let mut lane = (0..32).filter(|at| at % 4 / 2 == half).map(|at| block.0[at]);
                        assert!(sum(&mut lane, sign) <= QUERY_LANE, "{query:?}");
                    }
                }
                for span in codes.chunks(SCAN_BLOCKS) {
                    for pair in 0..16 {
                        let mut lane =
                            span.iter().flat_map(|block| [block.0[2 * pair], block.0[2 * pair + 1]]);
                        assert!(sum(&mut lane, sign) <= QUERY_LANE, "{query:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn decoded_rows_and_queries_are_within_half_a_step() {
        let values = numbers(2, 5 * 50);
        let mut coder = Coder::default();
        let (codes, rows) = coder.code(&values, 50, CODE_MAX);
        for (row, (codes, coded)) in values.chunks(50).zip(codes.chunks(2).zip(rows)) {
            let mut decoded = [0.0; 50];
            decode(codes, coded.scale, coded.offset, &mut decoded);
            assert!(row.iter().zip(decoded).all(|(a, b)| (a - b).abs() <= coded.scale * 0.501));
            let mut codes = Vec::new();
            let query = code_query(row, &mut codes);
            let codes = || codes.iter().flat_map(|block| block.0).map(|code| f32::from(code as i8));
            assert!(row.iter().zip(codes()).all(|(a, b)| (a - query.scale * b).abs() <= query.scale * 0.501));
            assert!((codes().sum::<f32>() * query.scale - query.sum).abs() < 1e-4);
        }
        let (codes, rows) = coder.code(&[3.0, 3.0 + 1e-40], 2, CODE_MAX);
        assert_eq!((codes[0], rows[0].scale, rows[0].offset), (Block32::ZERO, 0.0, 3.0));
        let (codes, rows) = coder.code(&[1e-39, 3e-39], 2, CODE_MAX);
        assert_eq!((codes[0], rows[0].scale), (Block32::ZERO, 0.0));
    }
}
