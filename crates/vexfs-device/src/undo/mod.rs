//! Undo files: what lay on a device before a tool wrote to it, so that the tool's work can be taken back.
//!
//! [`UndoDevice`] stands between a tool and its device. It holds writes back until the device is to be flushed, appends what they
//! are about to overwrite to the undo file, makes that durable, and only then lets them through: whenever the power fails, the
//! undo file holds the before-image of every byte that may have changed. [`apply_undo`] puts the before-images back.
//!
//! The undo file knows bytes only. Who works on the device says by which UUID it is known ([`UndoIdentity`]). That nobody has
//! written to the device since is told by the checksums of what was written, which the file holds as well.
//!
//! The layout of the file is `docs/format/undo.md`; [`UndoHeader`] and [`UndoRecord`] declare it.
//!
//! # Reading order
//! `layout` (the bytes), `store` (where they lie), `writer` and `log` (appending and reading them); `ranges` and `pending`
//! (what was saved, what is held back); `device` and `apply`.

mod apply;
mod device;
mod error;
mod layout;
mod log;
mod pending;
mod ranges;
mod store;
mod writer;

pub use apply::{UndoApply, UndoReport, apply_undo};
pub use device::{UndoDevice, UndoIdentity};
pub use error::{OtherDevice, UndoError};
pub use layout::{UndoHeader, UndoKind, UndoRecord};
pub use store::{UndoFile, UndoStore};
