//! Arbitrary bytes as the undo file of some work on a small device.
//!
//! No bytes may make putting back panic, hang or take more memory than they are worth. A file that is refused leaves the device as it
//! was; one that was taken leaves nothing to do for a second time.

use std::sync::{Arc, Mutex};

use vexfs_device::{Device, DeviceError, IoOp, MemDevice, UndoApply, UndoError, UndoStore, apply_undo};

/// Bytes of the device.
const LEN: usize = 64 << 10;

/// A device before the work.
pub(crate) fn before() -> MemDevice {
    let byte = |at: usize| (at.wrapping_mul(0x9E37_79B9) >> 13) as u8;
    MemDevice::from_bytes((0..LEN).map(byte).collect())
}

/// The work.
pub(crate) fn work(device: &dyn Device) {
    for (offset, byte, len) in [(8 << 10, 1, 12 << 10), (40_000, 2, 1000), (9000, 3, 50), (60_000, 4, 1)] {
        device.write_at(offset, &vec![byte; len]).expect("in memory");
        device.flush().expect("in memory");
    }
    device.zero(48 << 10, 8 << 10).expect("in memory");
}

/// Takes `data` for an undo file, as it comes and by force.
///
/// # Panics
/// If the library breaks its contract.
pub(crate) fn run(data: &[u8]) {
    for force in [false, true] {
        let (device, store) = (before(), Store::of(data.to_vec()));
        work(&device);
        let worked_on = device.snapshot();
        let options = UndoApply { force, ..UndoApply::default() };
        match apply_undo(store.clone(), &device, &options) {
            Ok(_) => {
                let put_back = device.snapshot();
                apply_undo(store, &device, &options).expect("a second time");
                assert!(device.snapshot() == put_back, "a second time changes nothing");
            }
            Err(UndoError::Device(error)) => panic!("a device in memory does not fail: {error}"),
            Err(_) => assert!(device.snapshot() == worked_on, "what is refused changes nothing"),
        }
    }
}

/// An undo file in memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store(Arc<Mutex<Vec<u8>>>);

impl Store {
    fn of(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(bytes)))
    }

    /// All of it.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("no panic while it is held").clone()
    }
}

impl UndoStore for Store {
    fn name(&self) -> &str {
        "undo file"
    }

    fn len(&self) -> Result<u64, DeviceError> {
        Ok(self.bytes().len() as u64)
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), DeviceError> {
        let file = self.0.lock().expect("no panic while it is held");
        let end = usize::try_from(offset).ok().and_then(|start| start.checked_add(buf.len()));
        match end.and_then(|end| file.get(end - buf.len()..end)) {
            Some(bytes) => {
                buf.copy_from_slice(bytes);
                Ok(())
            }
            None => Err(DeviceError::Io {
                op: IoOp::Read,
                device: "undo file".to_owned(),
                offset,
                len: buf.len() as u64,
                source: std::io::ErrorKind::UnexpectedEof.into(),
            }),
        }
    }

    fn write_at(&self, offset: u64, buf: &[u8]) -> Result<(), DeviceError> {
        let mut file = self.0.lock().expect("no panic while it is held");
        let end = offset as usize + buf.len();
        let len = file.len().max(end);
        file.resize(len, 0);
        file[end - buf.len()..end].copy_from_slice(buf);
        Ok(())
    }

    fn set_len(&self, len: u64) -> Result<(), DeviceError> {
        self.0.lock().expect("no panic while it is held").resize(len as usize, 0);
        Ok(())
    }

    fn sync(&self) -> Result<(), DeviceError> {
        Ok(())
    }
}
