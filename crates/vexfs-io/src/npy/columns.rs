//! Rows out of a column-major (`fortran_order`) file, by slabs of rows that fit in memory.
//!
//! A slab is read with one contiguous read per column and handed out transposed. Every byte of the file is read once.

use std::io;

use crate::read_at::ReadAt;

/// How many columns are gathered at a time, in bytes of a row: a cache line, which is then written once and whole.
const GATHER_BYTES: usize = 64;

/// The length of a column in the slab is made an odd multiple of this, in bytes. At a power of two apart, the columns
/// gathered together would all fall on the same few places of the cache and drive each other out.
const STAGGER_BYTES: usize = 64;

/// A column-major array read in row slabs.
pub(super) struct ColumnSlabs {
    file: Box<dyn ReadAt>,
    /// Offset of the first element.
    offset: u64,
    rows: u64,
    columns: usize,
    element_bytes: usize,
    /// The most bytes a slab may take; a slab has one row at least.
    memory: usize,
    /// Column after column, `slab_rows` elements each, `stride` bytes apart.
    slab: Vec<u8>,
    slab_rows: usize,
    stride: usize,
    /// Rows of the slab that have been handed out.
    used: usize,
    /// First row of the file after the slab.
    next_row: u64,
}

impl ColumnSlabs {
    /// Prepares to read `rows × columns` elements from `offset` on, which must lie within the file.
    pub(super) fn new(
        file: Box<dyn ReadAt>,
        offset: u64,
        rows: u64,
        columns: usize,
        element_bytes: usize,
        memory: usize,
    ) -> Self {
        ColumnSlabs {
            file,
            offset,
            rows,
            columns,
            element_bytes,
            memory,
            slab: Vec::new(),
            slab_rows: 0,
            stride: 0,
            used: 0,
            next_row: 0,
        }
    }

    /// The file behind the rows.
    pub(super) fn file(&self) -> &dyn ReadAt {
        &*self.file
    }

    /// Fills `out` with the next rows, row-major; `out` is a whole number of rows, not more than are left.
    pub(super) fn fill(&mut self, mut out: &mut [u8]) -> io::Result<()> {
        let row_bytes = self.columns * self.element_bytes;
        while !out.is_empty() {
            if self.used == self.slab_rows {
                self.load()?;
            }
            let rows = (out.len() / row_bytes).min(self.slab_rows - self.used);
            let (now, later) = out.split_at_mut(rows * row_bytes);
            match self.element_bytes {
                1 => self.transpose::<1>(now),
                2 => self.transpose::<2>(now),
                4 => self.transpose::<4>(now),
                _ => self.transpose::<8>(now),
            }
            self.used += rows;
            out = later;
        }
        Ok(())
    }

    /// Reads the next slab.
    fn load(&mut self) -> io::Result<()> {
        let left = usize::try_from(self.rows - self.next_row).unwrap_or(usize::MAX);
        if left == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The stagger costs each column less than two of its units.
        let column_memory = (self.memory / self.columns).saturating_sub(2 * STAGGER_BYTES);
        let rows = (column_memory / self.element_bytes).clamp(1, left);
        let bytes = rows * self.element_bytes;
        self.stride = match rows {
            1 => bytes,
            _ => (bytes.div_ceil(STAGGER_BYTES) | 1) * STAGGER_BYTES,
        };
        self.slab.resize(self.stride * self.columns, 0);
        for (column, place) in self.slab.chunks_exact_mut(self.stride).enumerate() {
            let first = column as u64 * self.rows + self.next_row;
            self.file.read_exact_at(&mut place[..bytes], self.offset + first * self.element_bytes as u64)?;
        }
        self.next_row += rows as u64;
        (self.slab_rows, self.used) = (rows, 0);
        Ok(())
    }

    /// Writes rows `used..` of the slab to `out`, a cache line of columns at a time.
    fn transpose<const N: usize>(&self, out: &mut [u8]) {
        let (out, _) = out.as_chunks_mut::<N>();
        let width = GATHER_BYTES / N;
        let mut columns: Vec<&[[u8; N]]> = Vec::with_capacity(width);
        for (group, slab) in self.slab.chunks(self.stride * width).enumerate() {
            columns.clear();
            columns.extend(slab.chunks_exact(self.stride).map(|column| &column.as_chunks().0[self.used..]));
            for (row, elements) in out.chunks_exact_mut(self.columns).enumerate() {
                for (place, column) in elements[group * width..].iter_mut().zip(&columns) {
                    *place = column[row];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Element (row, column) in every width; distinct for each.
    fn element(row: usize, column: usize, width: usize) -> Vec<u8> {
        ((row * 1000 + column) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[8 - width..].to_vec()
    }

    #[test]
    fn slabs_of_any_size_give_the_rows_of_the_whole() {
        for (rows, columns) in [(1, 1), (1, 70), (70, 1), (67, 35), (32, 64), (100, 3)] {
            for width in [1, 2, 4, 8] {
                let mut file = vec![0xee; 5];
                (0..columns).for_each(|c| (0..rows).for_each(|r| file.extend(element(r, c, width))));
                let expected: Vec<u8> =
                    (0..rows).flat_map(|r| (0..columns).flat_map(move |c| element(r, c, width))).collect();
                for memory in [0, columns * width * 7, usize::MAX] {
                    let mut slabs =
                        ColumnSlabs::new(Box::new(file.clone()), 5, rows as u64, columns, width, memory);
                    let mut out = vec![0; expected.len()];
                    let piece = 11 * columns * width;
                    out.chunks_mut(piece).for_each(|piece| slabs.fill(piece).unwrap());
                    assert!(out == expected, "{rows} × {columns}, {width} bytes, memory {memory}");
                    let over = slabs.fill(&mut vec![0; columns * width]).unwrap_err();
                    assert_eq!(over.kind(), io::ErrorKind::UnexpectedEof);
                }
            }
        }
    }
}
