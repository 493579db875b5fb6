//! [`MemDevice`]: a device in memory, for tests and for work that must not touch a real one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::device::check_range;
use crate::{Device, DeviceError, Mapping, ReadOnlyCause, Run};

/// Bytes that are copied together when one of them is written.
const PIECE: usize = 4096;

/// What discarded bytes read as. Nobody may rely on them, so they are not the zeroes that a real device likes to return.
pub const DISCARDED: u8 = 0xDC;

/// A device in memory, sparse and copy-on-write.
///
/// It begins as zeroes or as an image, of which copies ([`fork`](Self::fork)) share what neither has written: a thousand
/// variants of one image cost their differences. Only written bytes take memory, so a device of terabytes can be formatted.
#[derive(Debug)]
pub struct MemDevice {
    name: String,
    len: u64,
    sector_size: u32,
    is_read_only: bool,
    contents: RwLock<Contents>,
}

/// Three layers, each hiding the one below: written pieces, filled runs, and the image the device began with.
#[derive(Debug, Clone, Default)]
struct Contents {
    /// Piece number → bytes.
    written: HashMap<u64, Arc<[u8; PIECE]>>,
    /// First piece → (piece after the last, byte): pieces that are one byte throughout. Runs do not overlap.
    filled: BTreeMap<u64, (u64, u8)>,
    /// Bytes from the start; beyond its end everything is zero.
    base: Arc<Vec<u8>>,
}

impl MemDevice {
    /// A device of `len` zero bytes.
    pub fn new(len: u64) -> Self {
        Self {
            name: "memory".to_owned(),
            len,
            sector_size: 512,
            is_read_only: false,
            contents: RwLock::default(),
        }
    }

    /// A device that holds `bytes`.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        let mut device = Self::new(bytes.len() as u64);
        device.contents = RwLock::new(Contents { base: Arc::new(bytes), ..Contents::default() });
        device
    }

    /// Gives the device a name for messages.
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Gives the device a logical sector, in bytes.
    pub fn with_sector_size(self, sector_size: u32) -> Self {
        Self { sector_size, ..self }
    }

    /// Makes the device refuse writes, or accept them.
    pub fn with_read_only(self, is_read_only: bool) -> Self {
        Self { is_read_only, ..self }
    }

    /// A device of its own with the same contents. Costs a few bytes per written 4 KiB, not the contents.
    pub fn fork(&self) -> Self {
        Self {
            name: self.name.clone(),
            len: self.len,
            sector_size: self.sector_size,
            is_read_only: self.is_read_only,
            contents: RwLock::new(self.read_lock().clone()),
        }
    }

    /// All bytes of the device.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        self.read_lock().read(0, &mut bytes);
        bytes
    }

    fn read_lock(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_lock(&self, offset: u64, len: u64) -> Result<RwLockWriteGuard<'_, Contents>, DeviceError> {
        if self.is_read_only {
            return Err(DeviceError::ReadOnly { device: self.name.clone(), cause: ReadOnlyCause::Medium });
        }
        check_range(self, offset, len)?;
        Ok(self.contents.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Device for MemDevice {
    fn name(&self) -> &str {
        &self.name
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        check_range(self, offset, buf.len() as u64)?;
        self.read_lock().read(offset, buf);
        Ok(())
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        self.write_lock(offset, buf.len() as u64)?.write(offset, buf);
        Ok(())
    }

    fn flush(&self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn zero(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        self.write_lock(offset, len)?.fill(offset, len, 0);
        Ok(())
    }

    fn discard(&self, offset: u64, len: u64) -> Result<bool, DeviceError> {
        self.write_lock(offset, len)?.fill(offset, len, DISCARDED);
        Ok(true)
    }

    fn map(&self, runs: &[Run]) -> Result<Mapping, DeviceError> {
        Mapping::read_from(self, runs)
    }
}

impl Contents {
    fn read(&self, offset: u64, buf: &mut [u8]) {
        if self.written.is_empty() && self.filled.is_empty() {
            return self.read_base(offset, buf);
        }
        let mut done = 0;
        while done < buf.len() {
            let (piece, within) = place(offset + done as u64);
            let part = &mut buf[done..];
            let size = part.len().min(PIECE - within);
            self.read_piece(piece, within, &mut part[..size]);
            done += size;
        }
    }

    /// Reads inside one piece.
    fn read_piece(&self, piece: u64, within: usize, buf: &mut [u8]) {
        if let Some(bytes) = self.written.get(&piece) {
            buf.copy_from_slice(&bytes[within..within + buf.len()]);
        } else if let Some(byte) = self.fill_of(piece) {
            buf.fill(byte);
        } else {
            self.read_base(piece * PIECE as u64 + within as u64, buf);
        }
    }

    fn read_base(&self, offset: u64, buf: &mut [u8]) {
        let start = (offset.min(self.base.len() as u64)) as usize;
        let known = buf.len().min(self.base.len() - start);
        buf[..known].copy_from_slice(&self.base[start..start + known]);
        buf[known..].fill(0);
    }

    fn fill_of(&self, piece: u64) -> Option<u8> {
        let (_, (end, byte)) = self.filled.range(..=piece).next_back()?;
        (piece < *end).then_some(*byte)
    }

    fn write(&mut self, offset: u64, buf: &[u8]) {
        let mut done = 0;
        while done < buf.len() {
            let (piece, within) = place(offset + done as u64);
            let size = (buf.len() - done).min(PIECE - within);
            self.piece_mut(piece)[within..within + size].copy_from_slice(&buf[done..done + size]);
            done += size;
        }
    }

    /// The bytes of a piece, copied up from the layers below and out of what other devices share.
    fn piece_mut(&mut self, piece: u64) -> &mut [u8; PIECE] {
        if !self.written.contains_key(&piece) {
            let mut bytes = [0; PIECE];
            self.read_piece(piece, 0, &mut bytes);
            self.written.insert(piece, Arc::new(bytes));
        }
        Arc::make_mut(self.written.entry(piece).or_insert_with(|| Arc::new([0; PIECE])))
    }

    fn fill(&mut self, offset: u64, len: u64, byte: u8) {
        let end = offset + len;
        let first_whole = offset.div_ceil(PIECE as u64);
        let after_whole = end / PIECE as u64;
        if first_whole >= after_whole {
            // No whole piece: at most two parts of pieces.
            return self.write(offset, &vec![byte; len as usize]);
        }
        let (head, tail) = (first_whole * PIECE as u64 - offset, end - after_whole * PIECE as u64);
        self.write(offset, &vec![byte; head as usize]);
        self.write(end - tail, &vec![byte; tail as usize]);
        self.fill_pieces(first_whole, after_whole, byte);
    }

    fn fill_pieces(&mut self, first: u64, after: u64, byte: u8) {
        if after - first < self.written.len() as u64 {
            (first..after).for_each(|piece| drop(self.written.remove(&piece)));
        } else {
            self.written.retain(|piece, _| !(first..after).contains(piece));
        }
        // Runs that begin before the last piece and end after the first are cut back to what lies outside.
        let begins: Vec<u64> = self.filled.range(..after).rev().map(|(begin, _)| *begin).collect();
        for begin in begins {
            let Some((end, old)) = self.filled.get(&begin).copied() else { continue };
            if end <= first {
                break;
            }
            self.filled.remove(&begin);
            if begin < first {
                self.filled.insert(begin, (first, old));
            }
            if end > after {
                self.filled.insert(after, (end, old));
            }
        }
        self.filled.insert(first, (after, byte));
    }
}

/// The piece of an offset, and where in it the offset is.
fn place(offset: u64) -> (u64, usize) {
    (offset / PIECE as u64, (offset % PIECE as u64) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    #[test]
    fn every_operation_agrees_with_plain_bytes() {
        let len = 10 * PIECE + 100;
        let mut random = Random::new(7);
        for start_from_image in [false, true] {
            let mut plain: Vec<u8> =
                (0..len).map(|i| if start_from_image { (i / 7) as u8 } else { 0 }).collect();
            let device = if start_from_image {
                MemDevice::from_bytes(plain.clone())
            } else {
                MemDevice::new(len as u64)
            };
            let mut forks = Vec::new();
            for round in 0..2000u32 {
                let start = random.below(len as u64) as usize;
                let size = random.below((len - start + 1) as u64) as usize;
                // Small and large ranges alike.
                let size = if round % 2 == 0 { size.min(700) } else { size };
                let target = &mut plain[start..start + size];
                match random.below(4) {
                    0 => {
                        target.fill(0);
                        device.zero(start as u64, size as u64).expect("zero");
                    }
                    1 => {
                        target.fill(DISCARDED);
                        assert!(device.discard(start as u64, size as u64).expect("discard"));
                    }
                    2 => {
                        target.fill(round as u8);
                        device.write_at(start as u64, target).expect("write");
                    }
                    _ => {
                        let mut bytes = vec![1; size];
                        device.read_at(start as u64, &mut bytes).expect("read");
                        assert_eq!(bytes, *target, "round {round}");
                    }
                }
                if round % 250 == 0 {
                    forks.push((device.fork(), plain.clone()));
                }
            }
            assert_eq!(device.snapshot(), plain);
            for (fork, then) in &forks {
                assert!(fork.snapshot() == *then, "writing to a device changed its fork");
            }
        }
    }

    #[test]
    fn a_device_of_terabytes_costs_what_is_written() {
        let device = MemDevice::new(1 << 50);
        device.discard(0, 1 << 50).expect("discard");
        device.zero(12345, 1 << 49).expect("zero");
        device.write_at((1 << 50) - 3, b"end").expect("write");
        let mut bytes = [9; 4];
        device.read_at((1 << 50) - 4, &mut bytes).expect("read");
        assert_eq!(bytes, [DISCARDED, b'e', b'n', b'd']);
        device.read_at(12344, &mut bytes).expect("read");
        assert_eq!(bytes, [DISCARDED, 0, 0, 0]);
        assert!(device.read_lock().written.len() < 8);
    }

    #[test]
    fn a_read_only_device_refuses_every_change() {
        let device = MemDevice::new(4096).with_read_only(true).with_name("card");
        assert!(matches!(device.write_at(0, b"x"), Err(DeviceError::ReadOnly { .. })));
        assert!(matches!(device.zero(0, 1), Err(DeviceError::ReadOnly { .. })));
        assert!(matches!(device.discard(0, 1), Err(DeviceError::ReadOnly { .. })));
        assert_eq!(device.snapshot(), [0; 4096]);
    }

    #[test]
    fn runs_are_mapped_in_the_order_given() {
        let device = MemDevice::from_bytes((0..200).collect());
        let runs = [Run { offset: 100, len: 3 }, Run { offset: 0, len: 2 }, Run { offset: 2, len: 1 }];
        let mapping = device.map(&runs).expect("map");
        assert_eq!(*mapping, [100, 101, 102, 0, 1, 2]);
        assert_eq!(mapping.as_ptr().addr() % crate::MAPPING_ALIGN, 0);
        assert!(matches!(
            device.map(&[Run { offset: 199, len: 2 }]),
            Err(DeviceError::OutOfRange { offset: 199, .. })
        ));
    }
}
