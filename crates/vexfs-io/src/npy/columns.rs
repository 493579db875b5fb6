//! Rows out of a column-major (`fortran_order`) file, by slabs of rows that fit in memory.
//!
//! A slab is read with one contiguous read per column and handed out transposed. Every byte of the file is read once.

use std::io;

use crate::read_at::ReadAt;

/// Side of the square tiles that are transposed, in elements: a tile of 8-byte elements and its transpose fill half of
/// a level-1 cache of 32 KiB.
const TILE: usize = 32;

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
    /// Column after column, `slab_rows` elements each.
    slab: Vec<u8>,
    slab_rows: usize,
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
        let rows = (self.memory / (self.columns * self.element_bytes)).clamp(1, left);
        let size = self.element_bytes as u64;
        self.slab.resize(rows * self.columns * self.element_bytes, 0);
        for (column, bytes) in self.slab.chunks_exact_mut(rows * self.element_bytes).enumerate() {
            let first = column as u64 * self.rows + self.next_row;
            self.file.read_exact_at(bytes, self.offset + first * size)?;
        }
        self.next_row += rows as u64;
        (self.slab_rows, self.used) = (rows, 0);
        Ok(())
    }

    /// Writes rows `used..` of the slab to `out`, tile by tile so that both sides stay in the cache.
    fn transpose<const N: usize>(&self, out: &mut [u8]) {
        let (slab, _) = self.slab.as_chunks::<N>();
        let (out, _) = out.as_chunks_mut::<N>();
        let rows = out.len() / self.columns;
        for first_row in (0..rows).step_by(TILE) {
            let tile_rows = TILE.min(rows - first_row);
            for first_column in (0..self.columns).step_by(TILE) {
                let tile_columns = TILE.min(self.columns - first_column);
                for column in first_column..first_column + tile_columns {
                    let start = column * self.slab_rows + self.used + first_row;
                    for (row, element) in slab[start..start + tile_rows].iter().enumerate() {
                        out[(first_row + row) * self.columns + column] = *element;
                    }
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
