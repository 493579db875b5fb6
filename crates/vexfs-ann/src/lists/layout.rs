//! Where what lies in an image of lists; `docs/format/indexes/ivf.md`.

use std::borrow::Cow;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::params::Codes;
use crate::index::IndexError;
use crate::index::image::{ALIGNMENT, Section};
use crate::quant::sq4;
use crate::simd::Block32;
use crate::simd::codes::LANE_SPAN;
use crate::simd::lookup::ROWS;
use crate::simd::scan::RowSide;

/// Section: the mean of the rows, d × f32.
pub(super) const MEAN: u32 = 1;
/// Section: the centroids, as one list without row numbers.
pub(super) const CENTROIDS: u32 = 2;
/// Section: where each list is, nlist + 1 × [`Place`].
pub(super) const DIRECTORY: u32 = 3;
/// Section: the lists, one after the other.
pub(super) const LISTS: u32 = 4;
/// Section: rows that are in no list, u32 each, ascending.
pub(super) const GIANTS: u32 = 5;

/// Section: codewords of product quantisation.
pub(super) const CODEBOOKS: u32 = 6;

/// Section: the rotation of rows and queries.
pub(super) const TURN: u32 = 7;

/// Section: the centres of groups of lists, as one list without row numbers.
pub(super) const CENTRES: u32 = 8;

/// Section: the first list of each group and behind them nlist, u32.
pub(super) const GROUPS: u32 = 9;

/// Section: how many groups have the nearest lists, u32 for each power of two below nlist.
pub(super) const REACH: u32 = 10;

/// Most terms that a row has besides its codes: scale, low, constant; or scale, constant, deviation.
pub(super) const MOST_TERMS: usize = 3;

/// Where a list is; the one behind the last tells where it ends.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct Place {
    /// From the beginning of the section.
    pub(super) offset: U64,
    /// Number of rows.
    pub(super) rows: U32,
    pub(super) reserved: U32,
}

/// The parts of a list of some number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    rows: u64,
    dim: usize,
    coding: Codes,
    /// Bytes of all codes: a multiple of 32.
    codes: u64,
    /// Bytes of one kind of term.
    term: u64,
    has_numbers: bool,
}

impl Shape {
    /// Of a list of `rows` rows of `dim` elements.
    pub(super) fn list(rows: usize, dim: usize, coding: Codes) -> Self {
        // Terms are stored of as many rows as are looked at together.
        let together = if coding.are_steps() { 8 } else { ROWS };
        let rows = rows as u64;
        let (codes, term) = (codes(rows, dim, coding), 4 * rows.next_multiple_of(together as u64));
        Self { rows, dim, coding, codes, term, has_numbers: true }
    }

    /// Of the centroids, or of the centres of their groups.
    pub(super) fn centroids(count: usize, dim: usize) -> Self {
        Self { has_numbers: false, ..Self::list(count, dim, Codes::Sq8) }
    }

    /// Number of rows.
    pub(super) fn rows(&self) -> usize {
        self.rows as usize
    }

    /// Bytes of all codes: a multiple of 32.
    pub(super) fn codes(&self) -> u64 {
        self.codes
    }

    /// Number of terms besides the codes.
    pub(super) fn terms(&self) -> usize {
        if matches!(self.coding, Codes::Pq(_)) { 1 } else { MOST_TERMS }
    }

    /// Where term `index` begins.
    pub(super) fn term_at(&self, index: usize) -> u64 {
        self.codes + index as u64 * self.term
    }

    /// Where the row numbers begin.
    pub(super) fn numbers_at(&self) -> u64 {
        self.term_at(self.terms())
    }

    /// Bytes of the row numbers.
    fn numbers(&self) -> u64 {
        if self.has_numbers { 4 * self.rows } else { 0 }
    }

    /// Bytes of the list.
    pub(super) fn bytes(&self) -> u64 {
        (self.numbers_at() + self.numbers()).next_multiple_of(ALIGNMENT)
    }
}

/// Bytes of the codes of `rows` rows.
fn codes(rows: u64, dim: usize, coding: Codes) -> u64 {
    if let Some(fours) = coding.fours(dim) {
        return rows.next_multiple_of(ROWS as u64) * (fours as u64).div_ceil(2);
    }
    match coding {
        Codes::Sq4 => rows * (dim.div_ceil(sq4::BLOCK_ELEMENTS) * LANE_SPAN) as u64,
        Codes::Pq(pq) => (rows * pq.pq_m as u64).next_multiple_of(LANE_SPAN as u64),
        _ => rows * dim.next_multiple_of(LANE_SPAN) as u64,
    }
}

/// Putting a row into a list that is being written.
impl Shape {
    /// Puts the codes of row `row`: blocks of elements, or one byte per group.
    pub(super) fn put_codes(&self, list: &mut [u8], row: usize, codes: &[u8]) {
        let Some(fours) = self.coding.fours(self.dim) else {
            return list[row * codes.len()..][..codes.len()].copy_from_slice(codes);
        };
        let first = row / ROWS * ROWS * fours.div_ceil(2) + row % ROWS;
        for (pair, codes) in codes.chunks(2).enumerate() {
            let upper = codes.get(1).map_or(0, |code| code << 4);
            list[first + ROWS * pair] = codes[0] | upper;
        }
    }

    /// Puts the terms of row `row`.
    pub(super) fn put_terms(&self, list: &mut [u8], row: usize, terms: &[f32]) {
        for (term, value) in terms.iter().enumerate() {
            let at = self.term_at(term) as usize + 4 * row;
            list[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Puts the number of row `row`.
    pub(super) fn put_number(&self, list: &mut [u8], row: usize, number: u32) {
        let at = self.numbers_at() as usize + 4 * row;
        list[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
}

/// A list where it lies.
pub(super) struct List<'a> {
    shape: Shape,
    /// All of it.
    pub(super) bytes: &'a [u8],
    codes: Cow<'a, [Block32]>,
    /// Row numbers within the image; none of centroids.
    pub(super) numbers: &'a [U32],
}

impl<'a> List<'a> {
    /// The list of `shape` at `offset` of `section`.
    pub(super) fn read(section: Section<'a>, offset: u64, shape: Shape) -> Result<Self, IndexError> {
        let bytes = section.bytes(offset..offset.saturating_add(shape.bytes()))?;
        let numbers = &bytes[shape.numbers_at() as usize..][..shape.numbers() as usize];
        let numbers = <[U32]>::ref_from_bytes(numbers);
        Ok(Self {
            shape,
            bytes,
            codes: blocks(&bytes[..shape.codes as usize]),
            numbers: numbers.map_err(|_| IndexError::damaged(section.offset(), "a list out of shape"))?,
        })
    }

    /// Number of rows.
    pub(super) fn len(&self) -> usize {
        self.shape.rows()
    }

    /// The codes, as many blocks to a row as there are.
    pub(super) fn codes(&self) -> &[Block32] {
        &self.codes
    }

    /// Number of terms of a row.
    pub(super) fn terms(&self) -> usize {
        self.shape.terms()
    }

    /// Term `index` of all rows and up to a whole number of those looked at together, stored f32.
    pub(super) fn term(&self, index: usize) -> &'a [u8] {
        &self.bytes[self.shape.term_at(index) as usize..][..self.shape.term as usize]
    }

    /// The rows of steps, for a scan.
    pub(super) fn rows(&self) -> RowSide<'_> {
        RowSide {
            codes: &self.codes,
            is_packed: self.is_packed(),
            count: self.len(),
            scale: self.term(0),
            low: self.term(1),
            constant: self.term(2),
            ahead: &[],
        }
    }

    /// Whether codes are [`Codes::Sq4`].
    pub(super) fn is_packed(&self) -> bool {
        self.shape.coding == Codes::Sq4
    }

    /// How rows are coded.
    pub(super) fn coding(&self) -> Codes {
        self.shape.coding
    }

    /// Whether codes have four bits and lie by 32 rows.
    pub(super) fn has_fours(&self) -> bool {
        self.shape.coding.fours(self.shape.dim).is_some()
    }
}

/// Bytes as blocks: where they lie if they are aligned, as those of a mapped image are.
fn blocks(bytes: &[u8]) -> Cow<'_, [Block32]> {
    match <[Block32]>::ref_from_bytes(bytes) {
        Ok(blocks) => Cow::Borrowed(blocks),
        Err(_) => {
            let (blocks, _) = bytes.as_chunks::<LANE_SPAN>();
            Cow::Owned(blocks.iter().map(|block| Block32(*block)).collect())
        }
    }
}
