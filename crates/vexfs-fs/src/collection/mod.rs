//! Collections: a directory of streams with one dimension, one element type and one metric.
//!
//! [`create`] makes them, [`append`] adds rows, [`rows`] reads them back, [`ids`] leads from ids and keys to rows,
//! [`delete`] marks rows as deleted. Layout: `docs/format/collections.md`.

pub mod append;
pub mod create;
pub mod delete;
pub mod ids;
pub mod rows;
mod unique;

use std::collections::BTreeMap;

use vexfs_format::codes::InodeKind;
use vexfs_format::collection::CollectionDesc;
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, InodeNo};

use crate::dir;
use crate::error::{FsError, Result};
use crate::inode;
use crate::path::{self, LastLink};
use crate::source::BlockSource;
use crate::view::FileView;
use crate::volume::Volume;

/// A collection that was looked up.
#[derive(Clone, Debug)]
pub struct Collection {
    /// Its path, for messages.
    pub path: String,
    /// Its inode.
    pub inode: Inode,
    /// Its descriptor.
    pub desc: CollectionDesc,
    streams: BTreeMap<Vec<u8>, InodeNo>,
}

impl Collection {
    /// Opens the collection at `path`; a name without `/` is one in the root directory.
    ///
    /// # Errors
    /// Those of [`path::resolve`]; [`FsError::WrongKind`] for other objects; damage of the descriptor.
    pub fn open(volume: &Volume, path: &str) -> Result<Self> {
        let inode = path::resolve(volume, path, LastLink::Follow)?;
        Self::from_inode(volume, path, inode)
    }

    /// The collection of an inode; `path` is for messages.
    ///
    /// # Errors
    /// [`FsError::WrongKind`] for other objects; device errors; damage of descriptor or directory.
    pub fn from_inode(src: &(impl BlockSource + ?Sized), path: &str, inode: Inode) -> Result<Self> {
        if inode.kind() != InodeKind::Collection {
            let found = inode.kind().name();
            return Err(FsError::WrongKind { path: path.to_owned(), found, expected: "collection" });
        }
        let place = BlockNo(inode.descriptor.get());
        let block = src.read_block(place)?;
        let desc = CollectionDesc::decode(&block, place, inode.number(), src.seed())?;
        let streams = dir::list(src, &inode)?
            .into_iter()
            .filter(|e| e.kind == InodeKind::Stream)
            .map(|e| (e.name, e.inode))
            .collect();
        Ok(Self { path: path.to_owned(), inode, desc, streams })
    }

    /// Rows, deleted ones included.
    pub fn rows(&self) -> u64 {
        self.desc.rows.get()
    }

    /// Dimension of the vectors.
    pub fn dim(&self) -> usize {
        self.desc.dim.get() as usize
    }

    /// Names of the streams.
    pub fn stream_names(&self) -> impl Iterator<Item = String> + '_ {
        self.streams.keys().map(|n| String::from_utf8_lossy(n).into_owned())
    }

    /// The inode of a stream, if the collection has it.
    ///
    /// # Errors
    /// Device errors; damage of the inode.
    pub fn stream(&self, src: &(impl BlockSource + ?Sized), name: &str) -> Result<Option<Inode>> {
        self.streams.get(name.as_bytes()).map(|&ino| inode::read(src, ino)).transpose()
    }

    /// The contents of a stream that must be there with exactly `len` bytes.
    fn view_exact(&self, volume: &Volume, name: &'static str, len: u64) -> Result<FileView> {
        let Some(inode) = self.stream(volume, name)? else {
            return Err(self.bad_stream(name, "is missing".to_owned()));
        };
        if inode.size.get() != len {
            return Err(
                self.bad_stream(name, format!("has {} bytes where {len} are needed", inode.size.get()))
            );
        }
        volume.view(&inode)
    }

    fn bad_stream(&self, stream: &'static str, problem: String) -> FsError {
        FsError::BadStream { collection: self.path.clone(), stream, problem }
    }
}

/// All collections below the root directory, by path, in order.
///
/// # Errors
/// Device errors; damage of a directory or descriptor on the way.
pub fn list(volume: &Volume) -> Result<Vec<Collection>> {
    let mut found = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let mut todo = vec![(String::new(), InodeNo(volume.superblock().root_inode.get()))];
    while let Some((prefix, ino)) = todo.pop() {
        if !seen.insert(ino) {
            continue;
        }
        let directory = inode::read(volume, ino)?;
        for entry in dir::list_sorted(volume, &directory)?.into_iter().rev() {
            let path = format!("{prefix}/{}", String::from_utf8_lossy(&entry.name));
            match entry.kind {
                InodeKind::Directory => todo.push((path, entry.inode)),
                InodeKind::Collection => {
                    found.push(Collection::from_inode(volume, &path, inode::read(volume, entry.inode)?)?);
                }
                _ => {}
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
