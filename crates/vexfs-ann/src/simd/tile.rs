//! The tile: coded queries against coded rows, with the selection fused in.
//!
//! Six rows meet one panel of sixteen queries (or eight) at a time. Four codes of a row are broadcast to all lanes and
//! multiplied with four codes of each of eight queries; products are added in i16 as long as [`Lanes`] allows, then widened
//! to i32. What leaves the registers is not the products but the few
//! pairs whose bound does not rule them out.

use super::codes::LANE_SPAN;
use super::level::Job;
use super::vector::{Block32, Simd};

#[cfg(doc)]
use super::codes::{CODE_MAX, QUERY_LANE};

/// Rows that share the loads of a panel: with two vectors of queries, 12 accumulators, 2 operands, 1 broadcast.
pub(super) const ROWS: usize = 6;

/// Queries of a full panel.
pub(crate) const PANEL: usize = 16;

/// Quads of elements in a block of row codes.
pub(super) const QUADS: usize = LANE_SPAN / 4;

/// What the bound of a pair takes from the row; its meaning depends on the metric. NaN anywhere keeps the row.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowTerms {
    /// Multiplies the product of codes.
    pub(crate) scale: f32,
    /// Multiplies [`QueryTerms::offset`].
    pub(crate) offset: f32,
    /// Multiplies [`QueryTerms::sum`].
    pub(crate) sum: f32,
    /// Multiplies [`QueryTerms::radius`].
    pub(crate) radius: f32,
    /// Multiplies [`QueryTerms::size`].
    pub(crate) size: f32,
}

/// What the bounds of a panel's pairs take from the queries, by query.
///
/// The pair is ruled out if constant + size · size + radius · radius + sum · sum + offset · offset
/// + product · (scale · Σ codes) is greater than zero.
#[derive(Debug, Clone, Default)]
pub(crate) struct QueryTerms {
    /// The constant term.
    pub(crate) constant: [f32; PANEL],
    /// Multiplies the row's scale and the product of codes.
    pub(crate) product: [f32; PANEL],
    /// Multiplies [`RowTerms::offset`].
    pub(crate) offset: [f32; PANEL],
    /// Multiplies [`RowTerms::sum`].
    pub(crate) sum: [f32; PANEL],
    /// Multiplies [`RowTerms::radius`].
    pub(crate) radius: [f32; PANEL],
    /// Multiplies [`RowTerms::size`].
    pub(crate) size: [f32; PANEL],
}

impl QueryTerms {
    /// Whether the pair of query `lane` and `row` is ruled out.
    pub(crate) fn rule_out(&self, lane: usize, row: &RowTerms, product: i32) -> bool {
        self.estimate(lane, row, product) + self.radius[lane] * row.radius + self.constant[lane] > 0.0
    }

    /// The part of the bound that does not depend on the k-th best distance: the smaller, the nearer the row seems.
    pub(crate) fn estimate(&self, lane: usize, row: &RowTerms, product: i32) -> f32 {
        let linear = self.size[lane] * row.size + self.sum[lane] * row.sum + self.offset[lane] * row.offset;
        linear + self.product[lane] * (row.scale * product as f32)
    }
}

/// Why no lane of products overflows an i16 before it is widened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lanes {
    /// Row codes are within 0 ..= [`CODE_MAX`] and query codes respect [`QUERY_LANE`]: a lane holds [`LANE_SPAN`] elements.
    Limited,
    /// Row codes are within 0 ..= 127 and query codes within ± 64: a lane holds eight elements, four products of at most
    /// 127 · 64.
    Free,
}

/// The coded queries of a panel: for each four elements, one or two [`Block32`] of eight queries each.
#[derive(Debug, Clone)]
pub(crate) struct Panel {
    /// Zero beyond the last element. Of two blocks to a quad, from `start` on and for an even number of blocks of elements.
    blocks: Vec<Block32>,
    /// 1 if the pairs of blocks do not straddle cache lines then.
    start: usize,
    live: usize,
    lanes: Lanes,
}

impl Panel {
    /// Room for `live` queries of `blocks` blocks.
    fn new(live: usize, blocks: usize, lanes: Lanes) -> Self {
        if live <= 8 {
            return Self { blocks: vec![Block32::ZERO; blocks * QUADS], start: 0, live, lanes };
        }
        let all = vec![Block32::ZERO; blocks.next_multiple_of(2) * QUADS * 2 + 1];
        let start = all.as_ptr().addr() / size_of::<Block32>() % 2;
        Self { blocks: all, start, live, lanes }
    }

    /// Puts four codes of a query where they belong.
    fn set(&mut self, query: usize, quad: usize, codes: [u8; 4]) {
        let block = if self.is_half() { quad } else { self.start + 2 * quad + query / 8 };
        self.blocks[block].0.as_chunks_mut::<4>().0[query % 8] = codes;
    }

    /// Interleaves the codes of up to [`PANEL`] queries.
    ///
    /// # Shape
    /// `codes`: 1 ..= [`PANEL`] slices of d codes, [`Lanes::Limited`].
    pub(crate) fn of_queries(codes: &[Vec<i8>], dim: usize) -> Self {
        let mut panel = Self::new(codes.len(), dim.div_ceil(LANE_SPAN), Lanes::Limited);
        for (query, codes) in codes.iter().enumerate() {
            for (quad, four) in codes.chunks(4).enumerate() {
                let code = |i: usize| four.get(i).map_or(0, |&code| code as u8);
                panel.set(query, quad, std::array::from_fn(code));
            }
        }
        panel
    }

    /// An empty panel, to be [`refill`](Self::refill)ed.
    pub(crate) fn empty() -> Self {
        Self::new(0, 0, Lanes::Limited)
    }

    /// Takes 1 ..= [`PANEL`] other queries: `blocks` blocks of codes each, [`Lanes::Limited`].
    pub(crate) fn refill<'a>(
        &mut self,
        blocks: usize,
        queries: impl ExactSizeIterator<Item = &'a [Block32]>,
    ) {
        let (live, half) = (queries.len(), queries.len() <= 8);
        let shape = if half { blocks * QUADS } else { blocks.next_multiple_of(2) * QUADS * 2 + 1 };
        if self.blocks.len() != shape || self.is_half() != half {
            *self = Self::new(live, blocks, Lanes::Limited);
        }
        // Lanes beyond the last query keep what they had: nobody looks at them.
        self.live = live;
        let (start, step) = if half { (0, 1) } else { (self.start, 2) };
        for (query, codes) in queries.enumerate() {
            let quads = codes[..blocks].iter().flat_map(|block| block.0.as_chunks::<4>().0);
            for (quad, to) in quads.zip(self.blocks[start + query / 8..].iter_mut().step_by(step)) {
                to.0.as_chunks_mut::<4>().0[query % 8] = *quad;
            }
        }
    }

    /// Interleaves the codes of up to [`PANEL`] rows, less 64: [`Lanes::Free`] if they are within 0 ..= 127.
    ///
    /// # Shape
    /// `codes`: 1 ..= [`PANEL`] rows of `blocks` blocks, packed.
    pub(crate) fn of_rows(codes: &[Block32], blocks: usize) -> Self {
        const HIGH: u32 = 0x4040_4040;
        let mut panel = Self::new(codes.len() / blocks, blocks, Lanes::Free);
        for (query, codes) in codes.chunks_exact(blocks).enumerate() {
            let quads = codes.iter().flat_map(|block| block.0.as_chunks::<4>().0);
            for (quad, &codes) in quads.enumerate() {
                // u − 64 in two's complement: bit 6 turned over, and carried into the sign.
                let turned = u32::from_le_bytes(codes) ^ HIGH;
                panel.set(query, quad, (turned | (turned & HIGH) << 1).to_le_bytes());
            }
        }
        panel
    }

    /// The codes of query `query`, `blocks` blocks.
    pub(crate) fn lane(&self, query: usize, blocks: usize) -> Vec<Block32> {
        let (start, step) = if self.is_half() { (0, 1) } else { (self.start, 2) };
        let mut quads = self.blocks[start + query / 8..].iter().step_by(step);
        let mut codes = vec![Block32::ZERO; blocks];
        for to in codes.iter_mut().flat_map(|block| block.0.as_chunks_mut::<4>().0) {
            if let Some(quad) = quads.next() {
                *to = quad.0.as_chunks::<4>().0[query % 8];
            }
        }
        codes
    }

    /// The blocks of quads, one or two to each, as the kernels take them.
    pub(super) fn blocks(&self) -> &[Block32] {
        &self.blocks[self.start..]
    }

    /// Number of queries.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// The queries that exist, a bit each.
    pub(super) fn live_mask(&self) -> u32 {
        (1 << self.live) - 1
    }

    /// Whether there is one block to a quad.
    pub(super) fn is_half(&self) -> bool {
        self.live <= 8
    }

    /// Of a panel that is not half: sixteen queries to a quad, for an even number of blocks of elements.
    #[cfg(target_arch = "x86_64")]
    pub(super) fn quads(&self) -> &[[Block32; 2]] {
        self.blocks[self.start..].as_chunks().0
    }
}

/// Finds the pairs of a block of rows and a panel that the bound does not rule out.
pub(crate) struct Tile<'a> {
    /// Row codes, ⌈d / 32⌉ blocks to a row.
    pub(crate) codes: &'a [Block32],
    /// One entry per row.
    pub(crate) rows: &'a [RowTerms],
    /// The queries.
    pub(crate) panel: &'a Panel,
    /// Their terms.
    pub(crate) queries: &'a QueryTerms,
    /// Per query of the panel: surviving rows, appended in ascending order.
    pub(crate) survivors: &'a mut [Vec<Survivor>; PANEL],
}

/// A row that is not ruled out for a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Survivor {
    /// Index among the rows.
    pub(crate) row: u32,
    /// Σ of the products of codes.
    pub(crate) product: i32,
    /// Room for [`QueryTerms::estimate`].
    pub(crate) estimate: f32,
}

impl Tile<'_> {
    /// Blocks of codes to a row.
    pub(super) fn blocks(&self) -> usize {
        self.codes.len() / self.rows.len()
    }

    /// Notes the queries, a bit each, for which a row survives.
    pub(super) fn keep(&mut self, row: usize, products: &[i32; PANEL], mut queries: u32) {
        while queries != 0 {
            let query = queries.trailing_zeros() as usize;
            self.survivors[query].push(Survivor { row: row as u32, product: products[query], estimate: 0.0 });
            queries &= queries - 1;
        }
    }
}

impl Job for Tile<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        match (self.panel.lanes, self.panel.is_half()) {
            (Lanes::Limited, false) => self.rows_of::<S, 2, QUADS>(simd),
            (Lanes::Limited, true) => self.rows_of::<S, 1, QUADS>(simd),
            (Lanes::Free, false) => self.rows_of::<S, 2, 2>(simd),
            (Lanes::Free, true) => self.rows_of::<S, 1, 2>(simd),
        }
    }
}

impl Tile<'_> {
    /// All rows, with `VECTORS` vectors of eight queries and `RUN` quads to an i16 lane.
    #[inline(always)]
    fn rows_of<S: Simd, const VECTORS: usize, const RUN: usize>(mut self, simd: S) {
        if self.rows.is_empty() {
            return;
        }
        let (panel, live) = (self.panel, self.panel.live_mask());
        let blocks = self.blocks();
        let mut first = 0;
        while first < self.rows.len() {
            // The last group repeats the last row in place of the missing ones.
            let last = self.rows.len() - 1;
            let row = move |i: usize| (first + i).min(last);
            let codes = std::array::from_fn(|i| &self.codes[row(i) * blocks..][..blocks]);
            let products = multiply::<S, VECTORS, RUN>(simd, codes, panel.blocks());
            let ruled_out = self.ruled_out(simd, row, &products);
            for i in 0..ROWS.min(self.rows.len() - first) {
                let survivors = live & !ruled_out[i];
                if survivors != 0 {
                    let mut by_query = [0; PANEL];
                    for (&products, by_query) in products[i].iter().zip(by_query.as_chunks_mut::<8>().0) {
                        *by_query = simd.to_array_i32(products);
                    }
                    self.keep(first + i, &by_query, survivors);
                }
            }
            first += ROWS;
        }
    }

    /// The queries, a bit each, for which the bound rules out each of six rows: nearly always all of them.
    #[inline(always)]
    fn ruled_out<S: Simd, const VECTORS: usize>(
        &self,
        simd: S,
        row: impl Fn(usize) -> usize,
        products: &[[S::I32; VECTORS]; ROWS],
    ) -> [u32; ROWS] {
        let mut bits = [0; ROWS];
        for vector in 0..VECTORS {
            let terms = self.queries.vector(simd, vector);
            for (i, (bits, products)) in bits.iter_mut().zip(products).enumerate() {
                let bound = terms.bound(simd, &self.rows[row(i)], products[vector]);
                *bits |= simd.positive_f32(bound) << (8 * vector);
            }
        }
        bits
    }
}

/// The terms of eight queries.
struct Terms<V> {
    constant: V,
    product: V,
    offset: V,
    sum: V,
    radius: V,
    size: V,
}

impl QueryTerms {
    /// The terms of queries 8 · `vector` and on.
    #[inline(always)]
    fn vector<S: Simd>(&self, simd: S, vector: usize) -> Terms<S::F32> {
        let of = |terms: &[f32; PANEL]| simd.load_f32(&terms.as_chunks::<8>().0[vector]);
        Terms {
            constant: of(&self.constant),
            product: of(&self.product),
            offset: of(&self.offset),
            sum: of(&self.sum),
            radius: of(&self.radius),
            size: of(&self.size),
        }
    }
}

impl<V: Copy> Terms<V> {
    /// The bound of a row and eight queries; see [`QueryTerms`].
    #[inline(always)]
    fn bound<S: Simd<F32 = V>>(&self, simd: S, row: &RowTerms, product: S::I32) -> V {
        let add = |query: V, row: f32, sum: V| simd.mul_add_f32(query, simd.splat_f32(row), sum);
        let sum = add(self.radius, row.radius, add(self.size, row.size, self.constant));
        let sum = add(self.offset, row.offset, add(self.sum, row.sum, sum));
        simd.mul_add_f32(self.product, simd.mul_f32(simd.splat_f32(row.scale), simd.to_f32(product)), sum)
    }
}

/// Σ of the products of codes, of six rows with each query of a panel; lanes are widened every `RUN` quads, unless four
/// products are added to wide lanes at once.
///
/// # Shape
/// `rows`: b blocks each; `panel`: b · [`QUADS`] · `VECTORS` blocks or more.
#[inline(always)]
pub(super) fn multiply<S: Simd, const VECTORS: usize, const RUN: usize>(
    simd: S,
    rows: [&[Block32]; ROWS],
    panel: &[Block32],
) -> [[S::I32; VECTORS]; ROWS] {
    let mut sums = [[simd.zero_i32(); VECTORS]; ROWS];
    let rows = rows.map(|row| &row[..rows[0].len()]);
    for (block, panel) in (0..rows[0].len()).zip(panel.chunks_exact(QUADS * VECTORS)) {
        if S::QUADS {
            for quad in 0..QUADS {
                let queries = load_queries::<S, VECTORS>(simd, panel, quad);
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let code = simd.splat_bytes(row[block].0.as_chunks::<4>().0[quad]);
                    for (sum, &queries) in sums.iter_mut().zip(&queries) {
                        *sum = simd.dot_quads(*sum, code, queries);
                    }
                }
            }
            continue;
        }
        for first in (0..QUADS).step_by(RUN) {
            let mut lanes = [[simd.zero_i16(); VECTORS]; ROWS];
            for quad in first..first + RUN {
                let queries = load_queries::<S, VECTORS>(simd, panel, quad);
                for (row, lanes) in rows.iter().zip(&mut lanes) {
                    let code = simd.splat_bytes(row[block].0.as_chunks::<4>().0[quad]);
                    for (lanes, &queries) in lanes.iter_mut().zip(&queries) {
                        *lanes = simd.add_i16(*lanes, simd.dot_u7_i8(code, queries));
                    }
                }
            }
            for (sums, lanes) in sums.iter_mut().zip(&lanes) {
                for (sum, &lanes) in sums.iter_mut().zip(lanes) {
                    *sum = simd.add_i32(*sum, simd.pair_sum_i16(lanes));
                }
            }
        }
    }
    sums
}

/// Four codes of each query.
#[inline(always)]
fn load_queries<S: Simd, const VECTORS: usize>(
    simd: S,
    panel: &[Block32],
    quad: usize,
) -> [S::Bytes; VECTORS] {
    std::array::from_fn(|vector| simd.load_bytes(&panel[quad * VECTORS + vector]))
}
