//! Reading rows where they lie.

use std::ops::Range;

use vexfs_format::collection::{STREAM_DELETED, STREAM_ROW_SUMS, STREAM_VECTORS, row_checksum};
use vexfs_format::{InodeNo, Seed};

use super::Collection;
use crate::error::{FsError, Result};
use crate::source::BlockSource;
use crate::view::FileView;
use crate::volume::Volume;

/// The rows of a collection.
#[derive(Debug)]
pub struct Rows {
    vectors: FileView,
    sums: FileView,
    rows: u64,
    row_bytes: u64,
    collection: InodeNo,
    seed: Seed,
}

/// Which rows are deleted: bit r % 64 of word r / 64.
#[derive(Clone, Debug, Default)]
pub struct Deletions(Vec<u64>);

impl Deletions {
    /// Whether `row` is deleted.
    pub fn contains(&self, row: u64) -> bool {
        self.0.get((row / 64) as usize).is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    /// The rows whose bits are set in `words`.
    pub(crate) fn of_words(words: Vec<u64>) -> Self {
        Self(words)
    }

    /// How many rows of `rows` are deleted.
    pub fn count(&self, rows: Range<u64>) -> u64 {
        let (first, last) = (rows.start / 64, rows.end.div_ceil(64).min(self.0.len() as u64));
        let in_word = |word: u64| {
            let (start, end) = (rows.start.max(word * 64), rows.end.min((word + 1) * 64));
            let mask = if end - start == 64 { u64::MAX } else { ((1 << (end - start)) - 1) << (start % 64) };
            u64::from((self.0[word as usize] & mask).count_ones())
        };
        if rows.is_empty() { 0 } else { (first..last).map(in_word).sum() }
    }

    /// The words, or `None` when no row is deleted.
    pub fn words(&self) -> Option<&[u64]> {
        (!self.0.is_empty()).then_some(&self.0)
    }
}

impl Collection {
    /// The rows, for reading.
    ///
    /// # Errors
    /// [`FsError::BadStream`] when a stream is missing or has another length than the rows need; device errors; damage.
    pub fn open_rows(&self, volume: &Volume) -> Result<Rows> {
        self.open_rows_as_of(volume, volume)
    }

    /// As [`Self::open_rows`], with metadata as `src` sees it.
    pub(super) fn open_rows_as_of(&self, volume: &Volume, src: &(impl BlockSource + ?Sized)) -> Result<Rows> {
        let (rows, row_bytes) = (self.rows(), self.desc.row_bytes());
        Ok(Rows {
            vectors: self.view_exact_as_of(volume, src, STREAM_VECTORS, rows * row_bytes)?,
            sums: self.view_exact_as_of(volume, src, STREAM_ROW_SUMS, rows * 4)?,
            rows,
            row_bytes,
            collection: self.inode.number(),
            seed: volume.seed(),
        })
    }

    /// Which rows are deleted.
    ///
    /// # Errors
    /// [`FsError::BadStream`] when the stream is longer than the rows need; device errors; damage of the stream.
    pub fn deletions(&self, volume: &Volume) -> Result<Deletions> {
        self.deletions_as_of(volume, volume)
    }

    /// As [`Self::deletions`], with metadata as `src` sees it.
    pub(super) fn deletions_as_of(
        &self,
        volume: &Volume,
        src: &(impl BlockSource + ?Sized),
    ) -> Result<Deletions> {
        let Some(inode) = self.stream(src, STREAM_DELETED)? else { return Ok(Deletions::default()) };
        let (len, most) = (inode.size.get(), self.rows().div_ceil(8));
        if len > most {
            return Err(self.bad_stream(STREAM_DELETED, format!("has {len} bytes where {most} are enough")));
        }
        let view = volume.view_as_of(src, &inode)?;
        let words = view.all()?.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        Ok(Deletions(words.collect()))
    }
}

impl Rows {
    /// Number of rows.
    pub fn len(&self) -> u64 {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes of one row.
    pub fn row_bytes(&self) -> u64 {
        self.row_bytes
    }

    /// The stream the rows lie in.
    pub fn view(&self) -> &FileView {
        &self.vectors
    }

    /// The stream of row checksums.
    pub fn sums_view(&self) -> &FileView {
        &self.sums
    }

    /// The packed bytes of `rows`, verified. The range is cut at the last row.
    ///
    /// # Errors
    /// A device error, or damage of the first block that does not agree with its checksum.
    pub fn bytes(&self, rows: Range<u64>) -> Result<&[u8]> {
        let end = rows.end.min(self.rows);
        self.vectors.bytes(rows.start.min(end) * self.row_bytes..end * self.row_bytes)
    }

    /// The intact rows of `rows`, one by one; `bad` is told of each that is not.
    ///
    /// For ranges where [`Self::bytes`] fails: a damaged block costs only the rows whose own checksum disagrees.
    ///
    /// # Errors
    /// Only what [`Interrupt`](FsError::Interrupted)s the caller; rows that cannot be read are reported to `bad`.
    pub fn salvage<'a>(
        &'a self,
        rows: Range<u64>,
        mut good: impl FnMut(u64, &'a [u8]),
        mut bad: impl FnMut(u64, FsError),
    ) {
        for row in rows.start..rows.end.min(self.rows) {
            match self.row(row) {
                Ok(bytes) => good(row, bytes),
                Err(e) => bad(row, e),
            }
        }
    }

    /// The packed bytes of one row, verified by its block or, where that is damaged, by a checksum of its own.
    ///
    /// # Errors
    /// A device error; damage of the block when the row is not intact.
    ///
    /// # Panics
    /// If `row` is not below [`Self::len`].
    pub fn row(&self, row: u64) -> Result<&[u8]> {
        assert!(row < self.rows, "row {row} is one of {}", self.rows);
        let range = row * self.row_bytes..(row + 1) * self.row_bytes;
        let damage = match self.vectors.bytes(range.clone()) {
            Ok(bytes) => return Ok(bytes),
            Err(damage) => damage,
        };
        let own = self.vectors.unverified(range).and_then(|bytes| {
            let stored = self.sums.bytes(row * 4..row * 4 + 4)?;
            Ok((bytes, stored.first_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b))))
        });
        match own {
            Ok((bytes, stored)) if row_checksum(self.seed, self.collection, bytes) == stored => Ok(bytes),
            _ => Err(damage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deleted_rows_are_counted_in_any_range() {
        let deletions = Deletions(vec![u64::MAX, 0b1010, 1 << 63]);
        for (range, count) in
            [(0..192, 67), (0..64, 64), (63..66, 2), (65..67, 1), (10..10, 0), (191..500, 1), (300..400, 0)]
        {
            assert_eq!(deletions.count(range.clone()), count, "{range:?}");
        }
        assert_eq!(Deletions::default().count(0..9), 0);
    }
}
