//! The index kind `flat`: codes of one byte per element beside the rows, by which a search rules out nearly all rows for certain and
//! decides the others by their full elements. The answer is that of brute force.
//!
//! Rows of bytes or bits have nothing to gain by it: their image has no codes, and the rows themselves are compared.
//!
//! - [`build`]: from rows to the image; `docs/format/indexes/flat.md`.
//! - [`sweep`]: queries against the codes.

mod build;
mod sweep;

use std::ops::Range;

use crate::index::image::{Header, Image, Section};
use crate::index::{Effort, Index, IndexError, Search, SearchStats};
use crate::simd::codes::CODE_MAX;
use crate::{DType, ExactScan, Queries, TopK};
use build::{CODES, NUMBERS, TERMS, code_bytes, term_bytes};

pub(crate) use build::{build, rows_within_memory};

/// Bytes of rows that are compared at a time where there are no codes.
const PIECE_BYTES: usize = 4 << 20;

/// A flat index that was opened.
struct Flat<'a> {
    header: Header,
    /// Of rows that are coded.
    coded: Option<Coded<'a>>,
}

/// The sections of coded rows.
#[derive(Clone, Copy)]
struct Coded<'a> {
    codes: Section<'a>,
    terms: Section<'a>,
    /// Row numbers, where not all rows are indexed.
    numbers: Option<Section<'a>>,
}

/// Whether an index of the flat kind over rows of `dtype` has codes of them; smaller rows stand for their codes.
pub fn flat_is_coded(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
}

/// Opens the image.
pub(crate) fn open<'a>(image: &Image<'a>) -> Result<Box<dyn Index + 'a>, IndexError> {
    let header = image.header().clone();
    let coded = if flat_is_coded(header.dtype) {
        let (count, dim) = (header.indexed, header.dim);
        let is_whole = count == header.rows.end - header.rows.start;
        let numbers = || image.section(NUMBERS)?.expect_len(count.checked_mul(4));
        Some(Coded {
            codes: image.section(CODES)?.expect_len(count.checked_mul(code_bytes(dim)))?,
            terms: image.section(TERMS)?.expect_len(Some(term_bytes(count)))?,
            numbers: if is_whole { None } else { Some(numbers()?) },
        })
    } else {
        None
    };
    Ok(Box::new(Flat { header, coded }))
}

impl Flat<'_> {
    /// Compares all rows as they are.
    fn scan(&self, search: &Search<'_>, queries: &Queries, tops: &mut [TopK]) -> Result<u64, IndexError> {
        let mut scan = ExactScan::new(queries, search.k).map_err(IndexError::source)?;
        let piece = (PIECE_BYTES / search.rows.dtype().row_bytes(search.rows.dim())).max(1) as u64;
        let rows = self.header.rows.clone();
        let mut first = rows.start;
        while first < rows.end {
            if (search.interrupted)() {
                return Err(IndexError::Interrupted);
            }
            let end = rows.end.min(first.saturating_add(piece));
            scan.push(search.rows.rows(first..end)?, first, search.excluded);
            first = end;
        }
        for (top, found) in tops.iter_mut().zip(scan.finish()) {
            found.iter().for_each(|near| _ = top.offer(near.row, near.distance));
        }
        Ok((rows.end - rows.start) * queries.len() as u64)
    }
}

impl Index for Flat<'_> {
    fn header(&self) -> &Header {
        &self.header
    }

    fn effort_name(&self) -> &'static str {
        ""
    }

    fn efforts(&self, k: usize) -> Vec<Effort> {
        vec![self.default_effort(k)]
    }

    fn default_effort(&self, _: usize) -> Effort {
        Effort { effort: 0, rerank: 0 }
    }

    fn is_exact(&self) -> bool {
        true
    }

    fn search(
        &self,
        search: &Search<'_>,
        range: Range<usize>,
        tops: &mut [TopK],
        stats: &mut SearchStats,
    ) -> Result<(), IndexError> {
        let (header, queries, rows) = (&self.header, search.queries, search.rows);
        let of_image = (header.dim, header.dtype);
        if (queries.dim(), queries.dtype()) != of_image
            || (rows.dim(), rows.dtype()) != of_image
            || queries.metric() != header.metric
            || rows.len() < header.rows.end
        {
            return Err(IndexError::Mismatch("the index is of other rows than these".to_owned()));
        }
        if search.k == 0 || range.is_empty() {
            return Ok(());
        }
        let some;
        let queries = if range == (0..queries.len()) {
            queries
        } else {
            some = queries.select(range);
            &some
        };
        match &self.coded {
            Some(coded) => sweep::sweep(header, coded, search, queries, tops, stats),
            None => {
                stats.distance_computations += self.scan(search, queries, tops)?;
                Ok(())
            }
        }
    }

    fn verify(&self, excluded: Option<&[u64]>, interrupted: &dyn Fn() -> bool) -> Result<(), IndexError> {
        let Some(coded) = &self.coded else { return Ok(()) };
        let damaged = |section: &Section<'_>, what: String| Err(IndexError::damaged(section.offset(), what));
        let rows = self.header.rows.clone();
        let is_excluded = |row: u64| {
            let word = excluded.and_then(|words| words.get((row / 64) as usize));
            word.is_some_and(|word| word >> (row % 64) & 1 == 1)
        };
        let mut next = rows.start;
        for at in 0..self.header.indexed {
            let row = coded.row(&rows, at)?;
            if row < next || row >= rows.end {
                let numbers = coded.numbers.as_ref().unwrap_or(&coded.codes);
                return damaged(
                    numbers,
                    format!("row {row} is not behind the one before, or does not exist"),
                );
            }
            if let Some(missing) = (next..row).find(|row| !is_excluded(*row)) {
                return damaged(&coded.codes, format!("row {missing} has no codes"));
            }
            next = row + 1;
            let bytes = code_bytes(self.header.dim);
            if coded.codes.record(at, bytes as usize)?.iter().any(|code| *code > CODE_MAX) {
                return damaged(&coded.codes, format!("a code of row {row} is out of range"));
            }
            if at % 4096 == 0 && interrupted() {
                return Err(IndexError::Interrupted);
            }
        }
        match (next..rows.end).find(|row| !is_excluded(*row)) {
            Some(missing) => damaged(&coded.codes, format!("row {missing} has no codes")),
            None => Ok(()),
        }
    }
}

impl Coded<'_> {
    /// The row, in the collection, of the codes at `at`; it may not exist.
    fn row(&self, rows: &Range<u64>, at: u64) -> Result<u64, IndexError> {
        let Some(numbers) = &self.numbers else { return Ok(rows.start + at) };
        let bytes = numbers.record(at, 4)?.first_chunk::<4>().copied().unwrap_or_default();
        Ok(rows.start + u64::from(u32::from_le_bytes(bytes)))
    }
}
