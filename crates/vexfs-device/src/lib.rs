//! Bytes on a block device, in an image file or in memory: read, write, flush, zero, discard, map.
//!
//! [`FileDevice`] opens what the user names, safely: a mounted or otherwise used device is refused with the name of its user,
//! two writers never meet, and every failure is a [`DeviceError`] that says where. [`MemDevice`], [`FaultDevice`],
//! [`RecordDevice`] and [`CrashStates`] put the same logic on memory, on failing hardware and on the remains of power
//! failures; they are for tests, and public because the tests of every crate above use them.
//!
//! This crate knows nothing of blocks, formats or vectors, prints nothing (but for [`install_bus_error_handler`]), and reads
//! no clock or environment.
//!
//! # Reading order
//! `device` (the trait), `error`; `open` → `busy` → `lock` → `file` for real devices, with `system` (sysfs, procfs) and
//! `ioctl` below them; `map` and `sigbus` for reading in place; `discover` for finding devices; `mem`, `fault`, `record`,
//! `crash` for tests; `undo` for taking work back. Unsafe code lives in `ioctl`, `map::region` and `sigbus` only.
//!
//! # Example
//! ```
//! use vexfs_device::{Device, DeviceError, MemDevice, Run};
//!
//! let device = MemDevice::new(1 << 20);
//! device.write_at(8192, b"world")?;
//! device.write_at(0, b"hello ")?;
//! device.flush()?;
//!
//! // Two runs, side by side, in the order asked for.
//! let mapping = device.map(&[Run { offset: 0, len: 6 }, Run { offset: 8192, len: 5 }])?;
//! mapping.populate(0..mapping.len())?;
//! assert_eq!(&*mapping, b"hello world");
//! # Ok::<(), DeviceError>(())
//! ```

mod buffer;
mod busy;
mod crash;
mod device;
mod discover;
mod error;
mod fault;
mod file;
mod ioctl;
mod lock;
mod map;
mod mem;
mod open;
mod random;
mod record;
mod sigbus;
mod system;
mod undo;

pub use buffer::MAPPING_ALIGN;
pub use busy::{BusyReason, busy_reason};
pub use crash::{CrashOptions, CrashState, CrashStates};
pub use device::{Device, Run};
pub use discover::block_devices;
pub use error::{DeviceError, IoOp, ReadOnlyCause};
pub use fault::FaultDevice;
pub use file::FileDevice;
pub use map::{LARGE_PAGE, Mapping};
pub use mem::{DISCARDED, MemDevice};
pub use open::{FileKind, OpenMode, OpenOptions};
pub use record::{Op, RecordDevice};
pub use sigbus::install_bus_error_handler;
pub use undo::{
    OtherDevice, UndoApply, UndoDevice, UndoError, UndoFile, UndoHeader, UndoIdentity, UndoKind, UndoRecord,
    UndoReport, UndoStore, apply_undo,
};
