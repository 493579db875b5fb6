//! Searching: buckets in order of promise, whose rows are the candidates. And checking that every row can be found.

use std::ops::Range;

use super::Lsh;
use super::codes::{self, CodedQuery};
use super::decide::{Asked, Candidates, decide};
use super::hash::{Change, Room};
use super::probe::Probes;
use crate::index::{IndexError, Search, SearchStats};
use crate::{DType, Metric, Queries, TopK};

/// Buckets looked for in vain, per probe that counts, before all rows are looked at instead.
const TRIES: u64 = 64;
/// The same, whatever the effort.
const LEAST_TRIES: u64 = 1024;
/// The same at most: the heap of what to try next grows by one with each.
const MOST_TRIES: u64 = 1 << 20;

/// Where more than one row in this many is a candidate and no codes rank them, all are: one after the other, rows are compared several
/// times as fast as here and there, and without a look at buckets.
const MANY: u64 = 2;

/// Bytes of candidates that are gathered before they are looked at.
const ROOM: usize = 16 << 20;

/// Searches for the queries of `range`; see [`Index::search`](crate::index::Index::search).
///
/// A probe is a bucket that holds a row which may be found; those that hold none do not count, so that a filter does not use
/// the effort up. Fewer than `k` candidates after all probes are made up for by further buckets, and in the end by all rows; without
/// codes, these are also taken where half of them are candidates already.
pub(super) fn search(
    index: &Lsh<'_>,
    search: &Search<'_>,
    range: Range<usize>,
    tops: &mut [TopK],
    stats: &mut SearchStats,
) -> Result<(), IndexError> {
    let (header, queries) = (&index.header, search.queries);
    if (queries.dim(), queries.dtype(), queries.metric()) != (header.dim, header.dtype, header.metric)
        || (search.rows.dim(), search.rows.dtype()) != (header.dim, header.dtype)
    {
        return Err(IndexError::Mismatch("lsh: queries or rows of another kind than the index".to_owned()));
    }
    let mut work = Work::new(index, search);
    let (mut asked, mut bytes) = (Vec::new(), 0);
    for (query, top) in range.zip(tops) {
        if (search.interrupted)() {
            return Err(IndexError::Interrupted);
        }
        let one = Asked { query, top, candidates: work.query(index, search, query)? };
        bytes += one.bytes();
        asked.push(one);
        if bytes > ROOM {
            decide(index, search, std::mem::take(&mut asked), stats)?;
            bytes = 0;
        }
    }
    decide(index, search, asked, stats)
}

/// What is needed for one query after the other.
struct Work {
    room: Room,
    sums: Vec<u32>,
    changes: Vec<Vec<Change>>,
    probes: Probes,
    found: Found,
}

/// Candidates, each once.
struct Found {
    /// First row of the image, and number of its rows that exist.
    first_row: u64,
    rows: u64,
    /// Bit r mod 64 of word ⌊r / 64⌋ set: row r of the image is among the candidates.
    seen: Vec<u64>,
    candidates: Vec<u32>,
}

impl Work {
    fn new(index: &Lsh<'_>, search: &Search<'_>) -> Self {
        let tables = index.tables.len();
        let covered = &index.header.rows;
        let rows = covered.end.min(search.rows.len()).saturating_sub(covered.start);
        Self {
            room: Room::default(),
            sums: vec![0; tables],
            changes: vec![Vec::new(); tables],
            probes: Probes::default(),
            found: Found {
                first_row: covered.start,
                rows,
                seen: vec![0; rows.div_ceil(64) as usize],
                candidates: Vec::new(),
            },
        }
    }

    /// The candidates of one query.
    fn query(
        &mut self,
        index: &Lsh<'_>,
        search: &Search<'_>,
        query: usize,
    ) -> Result<Candidates, IndexError> {
        self.found.clear();
        self.hash(index, search.queries, query);
        if let Some(giants) = &index.giants {
            self.found.take(giants.bytes(0..giants.len())?.as_chunks::<4>().0, search)?;
        }
        if self.probe(index, search)? {
            return Ok(Candidates::All);
        }
        let candidates = self.found.candidates.clone();
        if index.codes.is_none() || candidates.len() <= search.k.max(search.effort.rerank as usize) {
            return Ok(Candidates::Some(candidates));
        }
        if index.header.metric == Metric::InnerProduct {
            self.room.place.clear();
            self.room.place.extend(search.queries.values(query).iter().map(|value| f64::from(*value)));
        }
        Ok(Candidates::Coded(candidates, CodedQuery::new(&self.room.place)))
    }

    fn hash(&mut self, index: &Lsh<'_>, queries: &Queries, query: usize) {
        if queries.dtype() == DType::B1 {
            index.hasher.query_bits(queries.bits(query), &mut self.sums, &mut self.changes);
        } else {
            index.hasher.query(queries.values(query), &mut self.room, &mut self.sums, &mut self.changes);
        }
    }

    /// Gathers candidates; returns true instead if all rows are, and no codes rank them.
    fn probe(&mut self, index: &Lsh<'_>, search: &Search<'_>) -> Result<bool, IndexError> {
        let effort = u64::from(search.effort.effort) * index.tables.len() as u64;
        let buckets = index.buckets();
        let most = (TRIES * effort + LEAST_TRIES).min(buckets).min(MOST_TRIES);
        let (mut probes, mut tries) = (0, 0);
        let mut is_short = effort >= buckets;
        if !is_short {
            self.probes.begin(&mut self.changes);
        }
        while !is_short && (probes < effort || self.found.candidates.len() < search.k) {
            tries += 1;
            if index.codes.is_none() && self.found.candidates.len() as u64 * MANY > self.found.rows {
                is_short = true;
                break;
            }
            match self.probes.next(&self.sums, &self.changes) {
                Some((table, key)) if tries <= most => {
                    let bucket = index.tables[table].bucket(key)?;
                    probes += u64::from(self.found.take(bucket, search)?);
                }
                _ => is_short = true,
            }
        }
        if is_short {
            if index.codes.is_none() {
                return Ok(true);
            }
            self.found.take(index.tables[0].rows()?, search)?;
        }
        self.found.put_in_order();
        Ok(false)
    }
}

impl Found {
    fn clear(&mut self) {
        for row in self.candidates.drain(..) {
            self.seen[row as usize / 64] = 0;
        }
    }

    /// Puts the candidates in the order of their rows, in which they lie.
    fn put_in_order(&mut self) {
        if self.candidates.len() < self.seen.len() {
            return self.candidates.sort_unstable();
        }
        self.candidates.clear();
        for (word, first) in self.seen.iter().zip((0u32..).step_by(64)) {
            let mut left = *word;
            while left != 0 {
                self.candidates.push(first + left.trailing_zeros());
                left &= left - 1;
            }
        }
    }

    /// Adds the rows of `bucket` that may be found; whether there is any.
    fn take(&mut self, bucket: &[[u8; 4]], search: &Search<'_>) -> Result<bool, IndexError> {
        let mut any = false;
        for row in bucket {
            let row = u32::from_le_bytes(*row);
            if u64::from(row) >= self.rows {
                return Err(IndexError::damaged(0, format!("lsh: row {row} of {}", self.rows)));
            }
            let (word, bit) = (&mut self.seen[row as usize / 64], 1 << (row % 64));
            if *word & bit != 0 {
                any = true;
            } else if !search.is_excluded(self.first_row + u64::from(row)) {
                any = true;
                *word |= bit;
                self.candidates.push(row);
            }
        }
        Ok(any)
    }
}

/// Checks the image; see [`Index::verify`](crate::index::Index::verify).
pub(super) fn verify(
    index: &Lsh<'_>,
    excluded: Option<&[u64]>,
    interrupted: &dyn Fn() -> bool,
) -> Result<(), IndexError> {
    let header = &index.header;
    let covered = header.rows.end - header.rows.start;
    let mut first: Vec<u32> = Vec::new();
    for (number, table) in index.tables.iter().enumerate() {
        if interrupted() {
            return Err(IndexError::Interrupted);
        }
        let mut rows: Vec<u32> = table.verify()?.iter().map(|row| u32::from_le_bytes(*row)).collect();
        rows.sort_unstable();
        let is_set =
            rows.is_sorted_by(|a, b| a < b) && rows.last().is_none_or(|row| u64::from(*row) < covered);
        if !is_set || (number > 0 && rows != first) {
            return Err(IndexError::damaged(0, format!("lsh: table {number} does not hold each row once")));
        }
        first = rows;
    }
    let is_live = |row: u64| {
        let word = excluded.and_then(|words| words.get((row / 64) as usize));
        word.is_none_or(|word| word >> (row % 64) & 1 == 0)
    };
    let mut rows = first.iter().peekable();
    for row in 0..covered {
        if rows.next_if(|next| u64::from(**next) == row).is_none() && is_live(header.rows.start + row) {
            return Err(IndexError::damaged(
                0,
                format!("lsh: row {} is in no bucket", header.rows.start + row),
            ));
        }
    }
    if let Some(giants) = &index.giants {
        let (giants, rest) = giants.bytes(0..giants.len())?.as_chunks::<4>();
        let number = |bytes: &[u8; 4]| u32::from_le_bytes(*bytes);
        let is_set = giants.is_sorted_by(|a, b| number(a) < number(b));
        if !is_set || !rest.is_empty() || giants.iter().any(|row| first.binary_search(&number(row)).is_err())
        {
            return Err(IndexError::damaged(0, "lsh: long rows that are in no bucket, or out of order"));
        }
    }
    if let Some(section) = &index.codes {
        let bytes = codes::record_bytes(header.dim);
        for row in &first {
            if row % 4096 == 0 && interrupted() {
                return Err(IndexError::Interrupted);
            }
            if !codes::verify(section.record(u64::from(*row), bytes)?, header.dim) {
                return Err(IndexError::damaged(section.offset(), format!("lsh: the code of row {row}")));
            }
        }
    }
    Ok(())
}
