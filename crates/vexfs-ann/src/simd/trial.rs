//! A level's trial: before it is first chosen, it has to agree with portable code on small examples.
//!
//! Instructions that a developer's machine lacks, a new compiler, an emulator with a flaw: whatever the reason, a level that
//! computes something else is not used. Takes some ten microseconds, and of bf16 parts some hundred.

use std::marker::PhantomData;

use super::bits::BitQuery;
use super::codes::{CodeRows, RowCode};
use super::element::F32;
use super::float::{FloatQuery, gamma};
use super::float_tile::{self, FloatPanel, FloatRows, FloatTile, Near, STEP, Term};
use super::int::{IntQuery, Signed, Unsigned};
use super::level::{Job, Level};
use super::part_tile::{self, PIECE, PartPanel, PartRows, PartTile, Piece, write_parts};
use super::tile::{PANEL, Panel, QueryTerms, RowTerms, Survivor, Tile};
use super::vector::{Block32, Simd};

/// Elements of a vector: two blocks and a part of a third.
const DIM: usize = 77;

/// Rows of the tile: four tiles of AMX and one, and some.
const ROWS: usize = 89;

/// Whether `level` computes what portable code does.
pub(super) fn agrees(level: Level) -> bool {
    tiles_agree(level) && float_tiles_agree(level) && part_tiles_agree(level) && kernels_agree(level)
}

/// Bytes without pattern (Numerical Recipes' quick generator).
fn bytes(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(count).collect()
}

fn tiles_agree(level: Level) -> bool {
    let blocks = DIM.div_ceil(32);
    let block = |chunk: &[u8]| Block32(std::array::from_fn(|i| chunk[i] & 127));
    let rows: Vec<Block32> = bytes(1, ROWS * blocks * 32).chunks_exact(32).map(block).collect();
    let queries: Vec<Block32> = bytes(2, PANEL * blocks * 32).chunks_exact(32).map(block).collect();
    let row = RowTerms { scale: 1.0, offset: 0.0, sum: 0.0, radius: 0.0, size: 0.0 };
    // Pairs with a product of at least 3,000 survive: about every third.
    let terms = QueryTerms { constant: [3000.0; PANEL], product: [-1.0; PANEL], ..Default::default() };
    let panel = Panel::of_rows(&queries, blocks);
    let mut found: [Vec<Survivor>; PANEL] = Default::default();
    level.tile(Tile {
        codes: &rows,
        rows: &[row; ROWS],
        panel: &panel,
        queries: &terms,
        survivors: &mut found,
    });
    let product = |a: &[Block32], b: &[Block32]| -> i32 {
        let pairs = a.iter().zip(b).flat_map(|(a, b)| a.0.into_iter().zip(b.0));
        pairs.map(|(row, query)| i32::from(row) * (i32::from(query) - 64)).sum()
    };
    queries.chunks_exact(blocks).zip(&found).all(|(query, found)| {
        let products = rows.chunks_exact(blocks).zip(0..).map(|(row, index)| (index, product(row, query)));
        products.filter(|&(_, product)| product >= 3000).eq(found.iter().map(|s| (s.row, s.product)))
    })
}

fn float_tiles_agree(level: Level) -> bool {
    let of_bytes = |seed, count| bytes(seed, count).into_iter().map(|byte| f32::from(byte) - 127.5);
    let steps = DIM.div_ceil(STEP);
    let mut values = vec![[0.0; STEP]; ROWS * steps];
    for (row, bytes) in values.chunks_exact_mut(steps).zip(0..) {
        row.as_flattened_mut().iter_mut().zip(of_bytes(6 + bytes, DIM)).for_each(|(to, value)| *to = value);
    }
    let queries: Vec<f32> = of_bytes(5, PANEL * DIM).collect();
    let heads: Vec<f32> = of_bytes(4, ROWS).collect();
    let panel = FloatPanel::new(DIM, queries.chunks_exact(DIM), of_bytes(3, PANEL));
    let rows = FloatRows { values: &values, heads: &heads };
    let found = |level: Level, term, limits: &[f32; PANEL]| {
        let mut survivors: [Vec<Near>; PANEL] = Default::default();
        level.float_tile(FloatTile { rows, panel: &panel, term, limits, survivors: &mut survivors });
        survivors
    };
    // Elements are at most 127.5, and the product of heads no more than one of elements.
    let allowed = 2.0 * float_tile::gamma(DIM) * (DIM + 1) as f64 * 4.0 * 127.5 * 127.5;
    let near = |(a, b): (&Near, &Near)| a.row == b.row && f64::from(a.sum - b.sum).abs() <= allowed;
    [Term::Square, Term::Product].into_iter().all(|term| {
        let all = found(level, term, &[f32::INFINITY; PANEL]);
        let portable = found(Level::SCALAR, term, &[f32::INFINITY; PANEL]);
        // Half of the pairs survive the sum of a row in the middle.
        let limits = std::array::from_fn(|query| portable[query][ROWS / 2].sum);
        let some = found(level, term, &limits);
        all.iter().zip(&portable).zip(some.iter().zip(limits)).all(|((all, portable), (some, limit))| {
            let is_near = all.len() == ROWS && portable.len() == ROWS && all.iter().zip(portable).all(near);
            is_near && all.iter().filter(|near| near.sum <= limit).eq(some)
        })
    })
}

fn part_tiles_agree(level: Level) -> bool {
    if level.part_cost().is_none() {
        return true;
    }
    let of_bytes = |seed, count| bytes(seed, count).into_iter().map(|byte| (f32::from(byte) - 127.5) / 3.0);
    let pieces = DIM.div_ceil(PIECE);
    let room = || vec![Piece::ZERO; ROWS.next_multiple_of(part_tile::ROWS) * pieces];
    let mut parts = [room(), room()];
    for row in 0..ROWS {
        let mut values: Vec<f32> = of_bytes(6 + row as u32, DIM).collect();
        values.resize(pieces * PIECE, 0.0);
        let [first, second] = parts.each_mut().map(|part| &mut part[row * pieces..][..pieces]);
        write_parts(&values, first, second);
    }
    let queries: Vec<f32> = of_bytes(5, PANEL * DIM).collect();
    let [heads, scales]: [Vec<f32>; 2] = [4, 3].map(|seed| of_bytes(seed, ROWS).collect());
    let panel = PartPanel::new(DIM, 2, queries.chunks_exact(DIM), of_bytes(2, PANEL));
    let rows =
        PartRows { parts: parts.each_ref().map(Vec::as_slice), pieces, scales: &scales, heads: &heads };
    let found = |level: Level, limits: &[f32; PANEL]| {
        let mut survivors: [Vec<Near>; PANEL] = Default::default();
        level.part_tile(PartTile { rows, panel: &panel, limits, survivors: &mut survivors });
        survivors
    };
    // Elements, scales and heads are at most 42.5; the rounding of these is within that of one element more.
    let allowed = 2.0 * part_tile::gamma(DIM, 3) * (DIM + 1) as f64 * f64::powi(42.5, 3);
    let near = |(a, b): (&Near, &Near)| a.row == b.row && f64::from(a.sum - b.sum).abs() <= allowed;
    let all = found(level, &[f32::INFINITY; PANEL]);
    let portable = found(Level::SCALAR, &[f32::INFINITY; PANEL]);
    // Half of the pairs survive the sum of a row in the middle.
    let limits = std::array::from_fn(|query| portable[query][ROWS / 2].sum);
    let some = found(level, &limits);
    all.iter().zip(&portable).zip(some.iter().zip(limits)).all(|((all, portable), (some, limit))| {
        let is_near = all.len() == ROWS && portable.len() == ROWS && all.iter().zip(portable).all(near);
        is_near && all.iter().filter(|near| near.sum <= limit).eq(some)
    })
}

/// What the kernels say of one row.
#[derive(Debug, PartialEq)]
struct Said {
    ints: [i64; 4],
    bits: u64,
    codes: Vec<Block32>,
    sums: [i64; 2],
    floats: [f32; 3],
}

/// One query and one row of everything.
struct Kernels<'a> {
    query: &'a [f32],
    row: &'a [u8],
    whole: &'a [i16],
}

impl Job for Kernels<'_> {
    type Out = Said;

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) -> Said {
        let float = FloatQuery::new::<F32>(self.query, DIM, 0);
        let int = IntQuery::new(self.whole, DIM, 0);
        let bits = &self.row[DIM..][..DIM.next_multiple_of(32)];
        let (dot, norm) = float.dot::<S, F32>(simd, self.row);
        let (mut codes, mut coded, mut wide) = (Vec::new(), Vec::new(), Vec::new());
        CodeRows::<F32> {
            rows: &self.row[..4 * DIM],
            dim: DIM,
            most: 127,
            element: PhantomData,
            codes: &mut codes,
            coded: &mut coded,
            wide: &mut wide,
        }
        .run(simd);
        let RowCode { sum, squares, .. } = coded[0];
        Said {
            ints: [
                int.l2::<S, Unsigned>(simd, self.row),
                int.l2::<S, Signed>(simd, self.row),
                int.dot::<S, Unsigned>(simd, self.row),
                int.dot_and_norm::<S, Signed>(simd, self.row).1,
            ],
            bits: BitQuery::new(bits, DIM, 0).hamming(simd, self.row),
            codes,
            sums: [sum, squares],
            floats: [float.l2::<S, F32>(simd, self.row), dot, norm],
        }
    }
}

fn kernels_agree(level: Level) -> bool {
    let of_bytes = |seed| bytes(seed, DIM).into_iter().map(|byte| f32::from(byte) - 127.5);
    let mut query: Vec<f32> = of_bytes(3).collect();
    query.resize(DIM.next_multiple_of(32), 0.0);
    let mut whole: Vec<i16> = bytes(4, DIM).into_iter().map(i16::from).collect();
    whole.resize(DIM.next_multiple_of(32), 0);
    let row: Vec<u8> = of_bytes(5).flat_map(f32::to_le_bytes).collect();
    let kernels = || Kernels { query: &query, row: &row, whole: &whole };
    let (want, mut got) = (Level::SCALAR.run(kernels()), level.run(kernels()));
    // Elements are at most 127.5: all three sums are of at most 4 · 127.5² each.
    let allowed = 2.0 * gamma(DIM) * DIM as f64 * 4.0 * 127.5 * 127.5;
    let near = |(a, b): (&f32, &f32)| f64::from(a - b).abs() <= allowed;
    if !want.floats.iter().zip(&got.floats).all(near) {
        return false;
    }
    got.floats = want.floats;
    got == want
}
