//! [`Pending`]: writes that are held back until their before-images are durable.

use std::collections::BTreeMap;

use super::layout::GRANULE;
use super::ranges::Ranges;

/// Bytes to be written, as pieces that do not overlap; the latest write of a byte is the one that counts.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// First byte → bytes.
    pieces: BTreeMap<u64, Vec<u8>>,
    bytes: u64,
}

impl Pending {
    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Holds a write of `bytes` at `offset`; the sum of both fits 64 bits.
    pub(super) fn insert(&mut self, offset: u64, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = offset + bytes.len() as u64;
        // From the last to the first piece that begins before the end, as long as they reach behind the offset.
        while let Some((&start, piece)) = self
            .pieces
            .range(..end)
            .next_back()
            .filter(|(start, piece)| **start + piece.len() as u64 > offset)
        {
            let piece_end = start + piece.len() as u64;
            let mut piece = self.pieces.remove(&start).unwrap_or_default();
            self.bytes -= piece.len() as u64;
            if piece_end > end {
                self.add(end, piece.split_off((end - start) as usize));
            }
            if start < offset {
                piece.truncate((offset - start) as usize);
                self.add(start, piece);
            }
        }
        self.add(offset, bytes.to_vec());
    }

    fn add(&mut self, offset: u64, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64;
        self.pieces.insert(offset, bytes);
    }

    /// Copies what is held over `buf`, which shows the device from `offset` on.
    pub(super) fn overlay(&self, offset: u64, buf: &mut [u8]) {
        let end = offset.saturating_add(buf.len() as u64);
        for (&start, piece) in self.pieces.range(..end).rev() {
            let piece_end = start + piece.len() as u64;
            // Pieces do not overlap, so those before end earlier still.
            if piece_end <= offset {
                break;
            }
            let (from, to) = (start.max(offset), piece_end.min(end));
            buf[(from - offset) as usize..(to - offset) as usize]
                .copy_from_slice(&piece[(from - start) as usize..(to - start) as usize]);
        }
    }

    /// Whether anything in `offset .. offset + len` is held.
    pub(super) fn touches(&self, offset: u64, len: u64) -> bool {
        let last = self.pieces.range(..offset.saturating_add(len)).next_back();
        last.is_some_and(|(&start, piece)| start + piece.len() as u64 > offset)
    }

    /// Numbers of the granules that are touched.
    pub(super) fn granules(&self) -> Ranges {
        let mut granules = Ranges::default();
        for (start, piece) in &self.pieces {
            granules.insert(start / GRANULE..(start + piece.len() as u64).div_ceil(GRANULE));
        }
        granules
    }

    /// The writes, in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.pieces.iter().map(|(&offset, bytes)| (offset, bytes.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn the_latest_write_of_a_byte_counts() {
        let mut random = Random::new(11);
        let (mut pending, mut naive) = (Pending::default(), vec![0xFF_u8; 300]);
        for round in 0..200_u8 {
            let offset = random.below(280);
            let bytes = vec![round; random.below(20) as usize];
            pending.insert(offset, &bytes);
            naive[offset as usize..offset as usize + bytes.len()].copy_from_slice(&bytes);
            let start = random.below(250) as usize;
            let mut seen = vec![0xFF; 50];
            pending.overlay(start as u64, &mut seen);
            assert_eq!(seen, naive[start..start + 50], "round {round}");
            let held: u64 = pending.iter().map(|(_, bytes)| bytes.len() as u64).sum();
            assert_eq!(held, pending.bytes());
            let is_touched = naive[start..start + 50].iter().any(|&byte| byte != 0xFF);
            assert_eq!(pending.touches(start as u64, 50), is_touched);
        }
    }

    #[test]
    fn a_byte_touches_its_granule() {
        let mut pending = Pending::default();
        pending.insert(4095, &[1, 2]);
        pending.insert(40960, &[1]);
        assert_eq!(pending.granules().iter().collect::<Vec<_>>(), [0..2, 10..11]);
        assert!(!pending.is_empty() && Pending::default().is_empty());
    }
}
