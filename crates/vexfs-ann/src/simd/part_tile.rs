//! The tile of parts: queries against rows by sums of bf16 numbers, for machines that multiply those faster than f32.
//!
//! As the tile of [numbers](super::float_tile), of products only. A number is the sum of one or two [`nearest`] bf16 numbers, its
//! parts; of the products of parts, the one of two second parts is left out. Instructions multiply pairs of elements and add up in
//! f32: VDPBF16PS a row with sixteen queries, TDPBF16PS sixteen rows with sixteen queries. The portable tile follows the definition
//! of TDPBF16PS; it is what the others have to agree with, and too slow for anything else.
//!
//! # Error
//! With parts of one operand only, a product qᵢ xᵢ loses at most 2⁻¹⁶ of itself, with two of each three times that: a bf16 number has
//! eight bits, so that the second part is at most 2⁻⁸ of the number and what it leaves at most 2⁻¹⁶.
//!
//! Products of bf16 numbers are exact in f32. They are added up for at most [`SPAN`] elements by themselves, in whatever order; the
//! sums of these, at most one for each product of parts and 32 elements, are added one after the other. Additions are taken to be off by 2⁻²³,
//! twice what the manuals say, so that it does not matter whether a processor rounds or cuts off, before or after it adds a pair. That
//! makes the bound of [`gamma`], as long as nothing overflows.
//!
//! These instructions take numbers below 2⁻¹²⁶ for zero and make sums of that size zero, which adds at most
//! d 2⁻¹²² + Σ (|qᵢ| + |xᵢ|) 2⁻¹²⁴.

use super::float_tile::{Near, keep};
use super::tile::PANEL;

/// Elements that are multiplied without a look at whether there are more; rows and queries are padded with zeros to this many.
pub(crate) const PIECE: usize = 32;

/// Elements that may be added up by themselves.
pub(super) const SPAN: usize = 128;

/// Rows are padded to a multiple of this many.
pub(crate) const ROWS: usize = 16;

/// Pairs of elements in a piece.
pub(super) const PAIRS: usize = PIECE / 2;

/// Thirty-two bf16 numbers: consecutive elements of a row, or two elements of sixteen queries.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(crate) struct Piece(pub(super) [[u16; 2]; PAIRS]);

impl Piece {
    /// Thirty-two zeros.
    pub(crate) const ZERO: Self = Self([[0; 2]; PAIRS]);
}

/// The nearest bf16 number, of two the even one; infinite from 2¹²⁸ (1 − 2⁻⁹) on, any of a NaN.
#[inline(always)]
fn nearest(value: f32) -> u16 {
    let bits = value.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The number that a bf16 number stands for.
#[inline(always)]
fn number(part: u16) -> f32 {
    f32::from_bits(u32::from(part) << 16)
}

/// The first part of a number and the second, the nearest to what the first leaves.
#[inline(always)]
fn split(value: f32) -> [u16; 2] {
    let first = nearest(value);
    [first, nearest(value - number(first))]
}

/// Whether a number is its first part.
pub(crate) fn is_part(value: f32) -> bool {
    value.to_bits() & 0xffff == 0
}

/// Writes the first parts of `values`, and unless `second` is empty the second ones; shapes agree.
#[inline(always)]
pub(crate) fn write_parts(values: &[f32], first: &mut [Piece], second: &mut [Piece]) {
    for (piece, values) in values.as_chunks::<PIECE>().0.iter().enumerate() {
        // Both in arrays of their own, which compiles to vectors of one piece; else those are made of many pieces, element by element.
        let mut parts = [[0; PIECE]; 2];
        let [firsts, seconds] = &mut parts;
        for ((first, second), &value) in firsts.iter_mut().zip(seconds).zip(values) {
            [*first, *second] = split(value);
        }
        first[piece].0.as_flattened_mut().copy_from_slice(&parts[0]);
        if let Some(second) = second.get_mut(piece) {
            second.0.as_flattened_mut().copy_from_slice(&parts[1]);
        }
    }
}

/// Products of parts that are added up: of rows and queries of so many parts each, 1 or 2.
pub(crate) fn products(of_rows: usize, of_queries: usize) -> usize {
    of_rows + of_queries - 1
}

/// Bound on the error of a sum over `dim` elements and `products` products of parts, relative to Σ |qᵢ xᵢ|; see the module's description.
pub(crate) fn gamma(dim: usize, products: usize) -> f64 {
    let lost = [0.0, 0.0, 1.0, 3.0][products] * 2f64.powi(-16);
    let added = (dim.min(SPAN) + products * dim.div_ceil(PIECE) + 20) as f64 * 2f64.powi(-23);
    // The products of parts are together no larger than (1 + 2⁻⁷)² of the product.
    (lost + added / (1.0 - added)) * (1.0 + 2f64.powi(-5))
}

/// The queries of a panel as parts: for each piece of a row sixteen pieces, one for each pair of its elements.
#[derive(Debug, Clone)]
pub(crate) struct PartPanel {
    /// First parts, and second ones or nothing; zero beyond the last element and the last query.
    parts: [Vec<Piece>; 2],
    live: usize,
    /// Multiplies [`PartRows::heads`].
    heads: [f32; PANEL],
}

impl PartPanel {
    /// Interleaves 1 ..= [`PANEL`] queries of `dim` elements each, of `parts` parts, and as many heads.
    pub(crate) fn new<'a>(
        dim: usize,
        parts: usize,
        queries: impl ExactSizeIterator<Item = &'a [f32]>,
        heads: impl Iterator<Item = f32>,
    ) -> Self {
        let pieces = dim.div_ceil(PIECE) * PAIRS;
        let part = |part: usize| if part < parts { vec![Piece::ZERO; pieces] } else { Vec::new() };
        let mut panel = Self { parts: [0, 1].map(part), live: queries.len(), heads: [0.0; PANEL] };
        for (query, values) in queries.enumerate() {
            for (element, &value) in values[..dim].iter().enumerate() {
                for (parts, part) in panel.parts.iter_mut().zip(split(value)) {
                    if let Some(piece) = parts.get_mut(element / 2) {
                        piece.0[query][element % 2] = part;
                    }
                }
            }
        }
        panel.heads.iter_mut().zip(heads).for_each(|(to, head)| *to = head);
        panel
    }

    /// What multiplies the heads of rows.
    pub(super) fn heads(&self) -> &[f32; PANEL] {
        &self.heads
    }

    /// The queries that exist, a bit each.
    pub(super) fn live_mask(&self) -> u32 {
        (1 << self.live) - 1
    }
}

/// Rows as the tile takes them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PartRows<'a> {
    /// First parts, and second ones or nothing: ⌈d / [`PIECE`]⌉ pieces to a row, zero beyond d; any beyond the last row, up to a multiple of
    /// [`ROWS`].
    pub(crate) parts: [&'a [Piece]; 2],
    /// Pieces of a row.
    pub(crate) pieces: usize,
    /// One for each row: multiplies the sum. NaN keeps the row.
    pub(crate) scales: &'a [f32],
    /// One for each row: multiplies the head of a query, which is then added. NaN keeps the row.
    pub(crate) heads: &'a [f32],
}

/// Finds the pairs of some rows and a panel whose sum does not exceed the query's limit: Σ qᵢ xᵢ · scale + head · head.
pub(crate) struct PartTile<'a> {
    /// The rows.
    pub(crate) rows: PartRows<'a>,
    /// The queries.
    pub(crate) panel: &'a PartPanel,
    /// Per query: a pair survives unless its sum is greater than this. NaN on either side is not greater.
    pub(crate) limits: &'a [f32; PANEL],
    /// Per query: surviving rows, appended in ascending order.
    pub(crate) survivors: &'a mut [Vec<Near>; PANEL],
}

impl<'a> PartTile<'a> {
    /// The parts of rows and of queries that are multiplied with each other; [`PAIRS`] pieces of the latter for one of the former.
    pub(super) fn products(&self) -> impl Iterator<Item = (&'a [Piece], &'a [Piece])> + use<'a> {
        let (rows, panel) = (self.rows, self.panel);
        let pairs = [(0, 0), (0, 1), (1, 0)].map(|(row, query)| (rows.parts[row], &panel.parts[query][..]));
        pairs.into_iter().filter(|(rows, queries)| !rows.is_empty() && !queries.is_empty())
    }

    /// Finds the pairs that survive, by the definition of TDPBF16PS.
    pub(super) fn run_portably(self) {
        let PartRows { pieces, scales, heads, .. } = self.rows;
        for (row, (scale, head)) in scales.iter().zip(heads).enumerate() {
            let mut sums = [0.0; PANEL];
            for (rows, queries) in self.products() {
                let of_row = &rows[row * pieces..][..pieces];
                for (piece, queries) in of_row.iter().zip(queries.as_chunks::<PAIRS>().0) {
                    add_products(piece, queries, &mut sums);
                }
            }
            let mut survivors = 0;
            for (query, sum) in sums.iter_mut().enumerate() {
                *sum = *sum * scale + head * self.panel.heads()[query];
                let is_greater = *sum > self.limits[query];
                survivors |= u32::from(!is_greater) << query;
            }
            keep(self.survivors, row, &sums, survivors & self.panel.live_mask());
        }
    }
}

/// Adds to `sums` the products of a piece of a row with sixteen queries.
fn add_products(row: &Piece, queries: &[Piece; PAIRS], sums: &mut [f32; PANEL]) {
    let row = row.0.map(|pair| pair.map(|part| flush(number(part))));
    for (query, sum) in sums.iter_mut().enumerate() {
        let (mut even, mut odd) = (0.0, 0.0);
        for (pair, queries) in row.iter().zip(queries) {
            let query = queries.0[query].map(|part| flush(number(part)));
            even = flush(even + pair[0] * query[0]);
            odd = flush(odd + pair[1] * query[1]);
        }
        *sum = flush(*sum + flush(even + odd));
    }
}

/// Zero for a number below 2⁻¹²⁶.
fn flush(value: f32) -> f32 {
    if value.abs() < f32::MIN_POSITIVE { 0.0 } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_nearest_bf16_numbers() {
        let values = [0.0, -0.0, 1.0, -1.5, 0.1, 123.456, 1e-39, 1e38, -3.39e38, 1.0 + 2f32.powi(-8)];
        for value in values.into_iter().chain((0..64).map(|i| 1.0 + i as f32 / 2048.0)) {
            let want = half::bf16::from_f32(value);
            assert_eq!(number(nearest(value)), want.to_f32(), "{value}");
            assert_eq!(is_part(value), want.to_f32() == value, "{value}");
            let [first, second] = split(value).map(number);
            let allowed = (value.abs() * 2f32.powi(-16)).max(2f32.powi(-134));
            assert!((value - first - second).abs() <= allowed, "{value}");
        }
        assert_eq!(number(nearest(f32::MAX)), f32::INFINITY);
        assert_eq!(number(nearest(f32::NEG_INFINITY)), f32::NEG_INFINITY);
    }
}
