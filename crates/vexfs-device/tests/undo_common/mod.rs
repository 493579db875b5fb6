//! Undo files in memory, and something to take back.
#![allow(dead_code)] // each test file uses its part

use std::sync::{Arc, Mutex};

use vexfs_device::{
    Device, DeviceError, IoOp, Mapping, RecordDevice, Run, UndoApply, UndoError, UndoIdentity, UndoReport,
    UndoStore, apply_undo,
};

/// An undo file in memory that can be told to fail.
#[derive(Debug, Clone, Default)]
pub(crate) struct Store(Arc<Mutex<(Vec<u8>, Option<u64>)>>);

impl Store {
    pub(crate) fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new((bytes, None))))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("lock").0.clone()
    }

    pub(crate) fn append(&self, bytes: &[u8]) {
        self.0.lock().expect("lock").0.extend_from_slice(bytes);
    }

    /// Lets `n` more writes and flushes pass.
    pub(crate) fn fail_after(&self, n: u64) {
        self.0.lock().expect("lock").1 = Some(n);
    }

    fn error(op: IoOp, offset: u64) -> DeviceError {
        let source = std::io::Error::from_raw_os_error(28);
        DeviceError::Io { op, device: "undo file".to_owned(), offset, len: 0, source }
    }

    fn admit(&self, op: IoOp, offset: u64) -> Result<(), DeviceError> {
        match &mut self.0.lock().expect("lock").1 {
            Some(0) => Err(Self::error(op, offset)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl UndoStore for Store {
    fn name(&self) -> &str {
        "undo file"
    }

    fn len(&self) -> Result<u64, DeviceError> {
        Ok(self.0.lock().expect("lock").0.len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        let start = offset as usize;
        match self.0.lock().expect("lock").0.get(start..start + buf.len()) {
            Some(bytes) => {
                buf.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(Self::error(IoOp::Read, offset)),
        }
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        self.admit(IoOp::Write, offset)?;
        let file = &mut self.0.lock().expect("lock").0;
        let end = offset as usize + buf.len();
        let len = file.len().max(end);
        file.resize(len, 0);
        file[offset as usize..end].copy_from_slice(buf);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), DeviceError> {
        self.0.lock().expect("lock").0.resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self) -> Result<(), DeviceError> {
        self.admit(IoOp::Flush, 0)
    }
}

/// A part of a recorded device, as a device or as an undo file: what is done to several parts is in one log.
#[derive(Debug)]
pub(crate) struct Part {
    whole: Arc<RecordDevice>,
    base: u64,
    room: u64,
    len: Mutex<u64>,
}

impl Part {
    pub(crate) fn new(whole: Arc<RecordDevice>, base: u64, room: u64, len: u64) -> Self {
        Self { whole, base, room, len: Mutex::new(len) }
    }
}

impl Device for Part {
    fn name(&self) -> &str {
        "part"
    }

    fn len(&self) -> u64 {
        self.room
    }

    fn sector_size(&self) -> u32 {
        512
    }

    fn is_read_only(&self) -> bool {
        false
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        self.whole.read_at(self.base + offset, buf)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        self.whole.write_at(self.base + offset, buf)
    }

    fn flush(&self) -> Result<(), DeviceError> {
        self.whole.flush()
    }

    fn zero(&self, offset: u64, len: u64) -> Result<(), DeviceError> {
        self.whole.zero(self.base + offset, len)
    }

    fn discard(&self, offset: u64, len: u64) -> Result<bool, DeviceError> {
        self.whole.discard(self.base + offset, len)
    }

    fn map(&self, runs: &[Run]) -> Result<Mapping, DeviceError> {
        Mapping::read_from(self, runs)
    }
}

impl UndoStore for Part {
    fn name(&self) -> &str {
        "undo file"
    }

    fn len(&self) -> Result<u64, DeviceError> {
        Ok(*self.len.lock().expect("lock"))
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        self.whole.read_at(self.base + offset, buf)
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        let mut len = self.len.lock().expect("lock");
        *len = (*len).max(offset + buf.len() as u64);
        self.whole.write_at(self.base + offset, buf)
    }

    fn set_len(&self, len: u64) -> Result<(), DeviceError> {
        *self.len.lock().expect("lock") = len;
        Ok(())
    }

    fn sync(&self) -> Result<(), DeviceError> {
        self.whole.flush()
    }
}

pub(crate) fn identity() -> UndoIdentity {
    let uuid = Some([1; 16]);
    UndoIdentity { uuid, uuid_before: uuid, original_len: None, tool: "test".to_owned() }
}

pub(crate) fn put_back(store: &Store, device: &dyn Device) -> Result<UndoReport, UndoError> {
    apply_undo(store.clone(), device, &UndoApply::default())
}

/// Bytes that are no two times the same for different seeds, and never all zero in a granule.
pub(crate) fn random(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..len).map(|_| next()).collect()
}

/// Writes, zeroes and flushes all over the device.
pub(crate) fn scribble(device: &dyn Device, seed: u64, rounds: u64) {
    let dice = random(seed, rounds as usize * 8);
    for (round, dice) in dice.chunks_exact(8).enumerate() {
        let number = |at: usize| u64::from(u16::from_le_bytes([dice[at], dice[at + 1]]));
        let len = 1 + number(0) % 12000;
        let offset = number(2) * 8 % (device.len() - len);
        match dice[4] % 4 {
            0 => device.zero(offset, len).expect("zero"),
            _ => device.write_at(offset, &random(seed + round as u64, len as usize)).expect("write"),
        }
        if dice[5] % 3 == 0 {
            device.flush().expect("flush");
        }
    }
}
