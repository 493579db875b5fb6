//! A hash table where it lies: from a key to the rows of its bucket.

use zerocopy::FromBytes;

use super::layout::{TABLE_ALIGNMENT, TableRecord};
use crate::index::IndexError;
use crate::index::image::Section;

/// One table of an image; its parts lie within the section.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    section: Section<'a>,
    directory_bits: u32,
    buckets: u64,
    /// Rows in the table.
    rows: u64,
    /// Where keys, starts and rows begin.
    at: [u64; 4],
}

impl<'a> Table<'a> {
    /// The table of `record`, of `rows` rows.
    ///
    /// # Errors
    /// [`IndexError::Damaged`] if it does not lie within the section.
    pub(super) fn new(section: Section<'a>, record: &TableRecord, rows: u64) -> Result<Self, IndexError> {
        let (offset, buckets) = (record.offset.get(), u64::from(record.buckets.get()));
        let directory_bits = record.directory_bits.get();
        let damaged = || IndexError::damaged(section.offset(), "lsh: a table out of place");
        if directory_bits > 31
            || buckets > rows
            || !offset.is_multiple_of(TABLE_ALIGNMENT)
            || offset > section.len()
        {
            return Err(damaged());
        }
        // No part is longer than 2³⁴ bytes, and the beginning lies within a section.
        let keys = offset + 4 * ((1 << directory_bits) + 1);
        let starts = keys + 4 * buckets;
        let first_row = starts + 4 * (buckets + 1);
        if first_row + 4 * rows > section.len() {
            return Err(damaged());
        }
        Ok(Self { section, directory_bits, buckets, rows, at: [offset, keys, starts, first_row] })
    }

    /// Number of buckets.
    pub(super) fn buckets(&self) -> u64 {
        self.buckets
    }

    /// The rows in the bucket of `key`, if there is one.
    ///
    /// # Errors
    /// Those of the section; [`IndexError::Damaged`] for what leads out of the table.
    pub(super) fn bucket(&self, key: u32) -> Result<&'a [[u8; 4]], IndexError> {
        let slot = (u64::from(key) << self.directory_bits) >> 32;
        let [from, to] = self.pair(0, slot)?;
        if from > to || u64::from(to) > self.buckets {
            return Err(self.damaged("directory"));
        }
        let keys = self.numbers(1, u64::from(from)..u64::from(to))?;
        let place = keys.partition_point(|other| u32::from_le_bytes(*other) < key);
        if keys.get(place) != Some(&key.to_le_bytes()) {
            return Ok(&[]);
        }
        let [start, end] = self.pair(2, u64::from(from) + place as u64)?;
        if start > end || u64::from(end) > self.rows {
            return Err(self.damaged("start"));
        }
        self.numbers(3, u64::from(start)..u64::from(end))
    }

    /// All rows, bucket by bucket.
    ///
    /// # Errors
    /// Those of the section.
    pub(super) fn rows(&self) -> Result<&'a [[u8; 4]], IndexError> {
        self.numbers(3, 0..self.rows)
    }

    /// Checks that keys and starts ascend, that the directory agrees with the keys, and that rows ascend within a bucket, and
    /// returns the rows.
    ///
    /// # Errors
    /// Those of the section; [`IndexError::Damaged`] for the first contradiction.
    pub(super) fn verify(&self) -> Result<&'a [[u8; 4]], IndexError> {
        let number = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
        let keys = self.numbers(1, 0..self.buckets)?;
        if !keys.is_sorted_by(|a, b| number(a) < number(b)) {
            return Err(self.damaged("order of keys"));
        }
        let mut below = 0;
        for (slot, entry) in (0u64..).zip(self.numbers(0, 0..(1 << self.directory_bits) + 1)?) {
            while keys.get(below).is_some_and(|key| number(key) < slot << (32 - self.directory_bits)) {
                below += 1;
            }
            if number(entry) != below as u64 {
                return Err(self.damaged("directory"));
            }
        }
        let (starts, rows) = (self.numbers(2, 0..self.buckets + 1)?, self.rows()?);
        let is_whole = number(&starts[0]) == 0 && number(&starts[starts.len() - 1]) == self.rows;
        if !is_whole || !starts.is_sorted_by(|a, b| number(a) < number(b)) {
            return Err(self.damaged("order of starts"));
        }
        for pair in starts.windows(2) {
            let bucket = &rows[number(&pair[0]) as usize..number(&pair[1]) as usize];
            if !bucket.is_sorted_by(|a, b| number(a) < number(b)) {
                return Err(self.damaged("order of rows"));
            }
        }
        Ok(rows)
    }

    /// The numbers of `range` in a part: directory, keys, starts or rows.
    fn numbers(&self, part: usize, range: std::ops::Range<u64>) -> Result<&'a [[u8; 4]], IndexError> {
        let bytes = self.section.bytes(self.at[part] + 4 * range.start..self.at[part] + 4 * range.end)?;
        <[[u8; 4]]>::ref_from_bytes(bytes).map_err(|_| self.damaged("length"))
    }

    /// Numbers `index` and the next of a part.
    fn pair(&self, part: usize, index: u64) -> Result<[u32; 2], IndexError> {
        let numbers = self.numbers(part, index..index + 2)?;
        Ok([u32::from_le_bytes(numbers[0]), u32::from_le_bytes(numbers[1])])
    }

    fn damaged(&self, what: &str) -> IndexError {
        IndexError::damaged(self.section.offset() + self.at[0], format!("lsh: {what} of a table"))
    }
}
