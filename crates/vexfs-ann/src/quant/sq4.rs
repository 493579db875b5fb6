//! Four bits per element: as [`sq8`](super::sq8), with fewer steps, and two elements to a byte.
//!
//! A block of 32 bytes has 64 elements: byte j has element j in its lower half and element 32 + j in its upper half. So
//! the halves of a block are two blocks of [`sq8`](super::sq8), in order.

use crate::simd::{Block32, Job, Simd};

/// Largest code of an element.
pub(crate) const MOST: u8 = 15;

/// Elements to a block.
pub(crate) const BLOCK_ELEMENTS: usize = 64;

/// Blocks of halves for each two of `codes`, which are at most [`MOST`].
pub(crate) fn pack(codes: &[Block32]) -> impl Iterator<Item = Block32> {
    codes.chunks(2).map(|pair| {
        let upper = pair.get(1).unwrap_or(&Block32::ZERO);
        Block32(std::array::from_fn(|at| pair[0].0[at] | upper.0[at] << 4))
    })
}

/// Writes the halves of rows of ⌈`blocks` / 2⌉ blocks as rows of `blocks` blocks.
pub(crate) struct Unpack<'a> {
    pub(crate) packed: &'a [Block32],
    pub(crate) blocks: usize,
    pub(crate) codes: &'a mut Vec<Block32>,
}

impl Job for Unpack<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let of_row = self.blocks.div_ceil(2);
        self.codes.resize(self.packed.len() / of_row * self.blocks, Block32::ZERO);
        for (row, codes) in self.packed.chunks_exact(of_row).zip(self.codes.chunks_exact_mut(self.blocks)) {
            for (block, pair) in row.iter().zip(codes.chunks_mut(2)) {
                let (lower, upper) = simd.nibbles(simd.load_bytes(block));
                if let [first, rest @ ..] = pair {
                    simd.store_bytes(lower, first);
                    rest.iter_mut().for_each(|second| simd.store_bytes(upper, second));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Level;

    #[test]
    fn what_is_packed_comes_back_at_every_level() {
        for blocks in [1, 2, 3, 5] {
            let rows: Vec<Block32> = (0..3 * blocks)
                .map(|at| Block32(std::array::from_fn(|byte| ((at * 7 + byte) % 16) as u8)))
                .collect();
            let packed: Vec<Block32> = rows.chunks_exact(blocks).flat_map(pack).collect();
            assert_eq!(packed.len(), 3 * blocks.div_ceil(2));
            for level in Level::all() {
                let mut codes = vec![Block32([9; 32]); 1];
                level.run(Unpack { packed: &packed, blocks, codes: &mut codes });
                assert_eq!(codes, rows, "{level:?} {blocks}");
            }
        }
    }
}
