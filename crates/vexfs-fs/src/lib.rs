//! The trunk of the VexFS tools: blocks become transactions, transactions objects, objects collections.
//!
//! A [`Volume`] is one filesystem on one [`vexfs_device::Device`]. Reading needs nothing but `&Volume`; every change is
//! made in a [`Transaction`](txn::transaction::Transaction) and is visible and durable when it commits, or not at all.
//! This crate prints nothing and reads neither clock nor environment: callers pass the time in.
//!
//! # Reading order
//! [`volume`] and [`probe`] open; [`txn`] changes; [`alloc`], [`inode`], [`extents`] and [`dir`] are the parts of a tree
//! of objects; [`file`](mod@file) writes contents, [`view`] reads them; [`collection`] is the set of vectors, [`index`] what
//! shortens a search in it; [`search`] finds neighbours; [`check`] verifies everything; [`mkfs`] makes a filesystem,
//! [`grow`] makes it larger, [`defrag`] brings together what lies in pieces,
//! [`image`] copies the metadata.
//!
//! # Example
//! ```
//! use std::sync::Arc;
//! use vexfs_device::MemDevice;
//! use vexfs_fs::{mkfs::{self, MkfsOptions}, OpenOptions, Volume};
//!
//! let device = Arc::new(MemDevice::new(16 << 20));
//! mkfs::format(device.clone(), &MkfsOptions::new(16 << 20, [7; 16]))?;
//! let volume = Volume::open(device, &OpenOptions::default())?;
//! assert_eq!(volume.geometry().groups, 1);
//! # Ok::<(), vexfs_fs::FsError>(())
//! ```

pub mod alloc;
pub mod check;
pub mod collection;
pub mod defrag;
pub mod dir;
pub mod error;
pub mod extents;
pub mod file;
pub mod grow;
mod identity;
pub mod image;
pub mod index;
pub mod inode;
pub mod layout;
pub mod mkfs;
pub mod path;
pub mod probe;
pub mod search;
pub mod source;
pub mod tree;
pub mod txn;
pub mod view;
pub mod volume;

pub use error::{FsError, Result};
pub use source::BlockSource;
pub use volume::{OpenOptions, Volume};
