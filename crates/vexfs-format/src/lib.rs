//! The VexFS on-disk structures: which bytes lie where, how they are checked, how they are sealed.
//!
//! Everything on a VexFS device is described here as a plain struct of little-endian fields with
//! alignment one, and every structure has one gate from bytes to type (`decode`) that checks magic,
//! checksum, place and fields, and one way back (`seal`). What a gate returns cannot be invalid.
//! The normative text for people who write another reader is `docs/format/`.
//!
//! This crate does no I/O, allocates only in proportion to what it is handed, and holds no unsafe code.
//!
//! # Reading order
//! [`units`], [`checksum`] and [`field`] are the vocabulary; [`superblock`], [`geometry`] and
//! [`group_desc`] say where things are; [`inode`], [`extent`], [`dir_block`] and [`sums`] are the tree of
//! objects; [`collection`] is what a set of vectors adds; [`journal`] makes changes atomic.
//!
//! # Example
//! ```
//! use vexfs_format::geometry::{Geometry, GeometryParams};
//! let params = GeometryParams { vector_zone: true, ..GeometryParams::new(488_369_940, 4096) };
//! let geometry = Geometry::plan(&params)?;
//! assert_eq!(geometry.groups, 14_904);
//! assert_eq!(geometry.inodes_per_group, 8_192);
//! # Ok::<(), vexfs_format::geometry::PlanError>(())
//! ```

pub mod bitmap;
pub mod block_header;
pub mod checksum;
pub mod codes;
pub mod collection;
pub mod dir_block;
pub mod error;
pub mod extent;
pub mod features;
pub mod field;
pub mod geometry;
pub mod group_desc;
pub mod inode;
pub mod journal;
pub mod sums;
pub mod superblock;
pub mod units;

pub use checksum::Seed;
pub use error::{Corrupt, Damage, FormatError, Structure};
pub use units::{BlockNo, GroupNo, InodeNo, LogicalBlock, TxnSeq};
