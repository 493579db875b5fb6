//! Collections: a directory of streams with one dimension, one element type and one metric.
//!
//! [`create`] makes them, [`append`] adds rows, [`rows`] and [`payload`] read them back, [`ids`] leads from ids and keys to rows,
//! [`delete`] marks rows as deleted, [`compact`] reclaims their space. [`import`] says how far an import in steps has come, [`model`] what made
//! the vectors. Layout: `docs/format/collections.md`.

pub mod append;
pub mod compact;
pub mod create;
pub mod delete;
pub mod ids;
pub mod import;
mod lookup;
pub mod model;
pub mod payload;
pub mod rows;
mod unique;

use std::collections::{BTreeMap, HashSet};

use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{
    CollectionDesc, FLAG_IDS, FLAG_KEYS, FLAG_NORMALIZED, STREAM_IDS, STREAM_KEY_ENDS, STREAM_KEY_HASHES,
    STREAM_PAYLOAD_ENDS, STREAM_ROW_SUMS, STREAM_VECTORS,
};
use vexfs_format::inode::Inode;
use vexfs_format::{BlockNo, InodeNo, sums};

use self::create::CollectionSpec;
use crate::dir;
use crate::error::{FsError, Result};
use crate::extents::ExtentMap;
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
    /// The directory of index images, if there is one.
    pub(crate) index_directory: Option<InodeNo>,
}

/// Name of the directory of index images in a collection.
pub const INDEX_DIRECTORY: &str = "index";

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
        let (mut streams, mut index_directory) = (BTreeMap::new(), None);
        for entry in dir::list(src, &inode)? {
            match entry.kind {
                InodeKind::Stream => drop(streams.insert(entry.name, entry.inode)),
                InodeKind::Directory if entry.name == INDEX_DIRECTORY.as_bytes() => {
                    index_directory = Some(entry.inode);
                }
                _ => {}
            }
        }
        Ok(Self { path: path.to_owned(), inode, desc, streams, index_directory })
    }

    /// Rows, deleted ones included.
    pub fn rows(&self) -> u64 {
        self.desc.rows.get()
    }

    /// Dimension of the vectors.
    pub fn dim(&self) -> usize {
        self.desc.dim.get() as usize
    }

    /// What it is made of.
    pub fn spec(&self) -> CollectionSpec {
        CollectionSpec {
            dim: self.desc.dim.get(),
            dtype: self.desc.dtype(),
            metric: self.desc.metric(),
            normalized: self.desc.has(FLAG_NORMALIZED),
        }
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
        self.view_exact_as_of(volume, volume, name, len)
    }

    /// As [`Self::view_exact`], with metadata as `src` sees it.
    fn view_exact_as_of(
        &self,
        volume: &Volume,
        src: &(impl BlockSource + ?Sized),
        name: &'static str,
        len: u64,
    ) -> Result<FileView> {
        volume.view_as_of(src, &self.stream_exact(src, name, len)?)
    }

    fn stream_exact(&self, src: &(impl BlockSource + ?Sized), name: &'static str, len: u64) -> Result<Inode> {
        let Some(inode) = self.stream(src, name)? else {
            return Err(self.bad_stream(name, "is missing".to_owned()));
        };
        if inode.size.get() != len {
            return Err(
                self.bad_stream(name, format!("has {} bytes where {len} are needed", inode.size.get()))
            );
        }
        Ok(inode)
    }

    /// Refuses a collection whose streams do not hold its rows: nothing may be added behind them, and no memory be taken for
    /// their number.
    ///
    /// # Errors
    /// [`FsError::BadStream`] when a stream is missing or has another length than the rows need, or a block of the rows is not
    /// mapped; device errors; damage.
    pub(crate) fn check_rows(&self, src: &(impl BlockSource + ?Sized)) -> Result<()> {
        let rows = self.rows();
        let mut needed = vec![(STREAM_VECTORS, rows * self.desc.row_bytes()), (STREAM_ROW_SUMS, rows * 4)];
        if self.desc.has(FLAG_IDS) {
            needed.push((STREAM_IDS, rows * 8));
        }
        if self.desc.has(FLAG_KEYS) {
            needed.extend([(STREAM_KEY_ENDS, rows * 8), (STREAM_KEY_HASHES, rows * 8)]);
        }
        if self.desc.has_payload() {
            needed.push((STREAM_PAYLOAD_ENDS, rows * 8));
        }
        for (name, len) in needed {
            let inode = self.stream_exact(src, name, len)?;
            let blocks = len.div_ceil(src.block_size() as u64);
            let map = ExtentMap::load(src, &inode)?;
            if !map.maps_exactly(blocks, blocks.div_ceil(sums::capacity(src.block_size()))) {
                return Err(self.bad_stream(name, format!("does not map the {blocks} blocks of its rows")));
            }
        }
        Ok(())
    }

    fn bad_stream(&self, stream: &'static str, problem: String) -> FsError {
        FsError::BadStream { collection: self.path.clone(), stream, problem }
    }
}

/// Longest path in bytes below which collections are looked for: no system takes a longer one from a person.
const PATH_BYTES: usize = 64 << 10;

/// All collections below the root directory, by path, in order. One that has several names is listed once.
///
/// # Errors
/// Device errors; damage of a directory or descriptor on the way; [`FsError::PathTooLong`].
pub fn list(volume: &Volume) -> Result<Vec<Collection>> {
    let mut found = Vec::new();
    let root = InodeNo(volume.superblock().root_inode.get());
    let mut seen = HashSet::from([root]);
    let mut todo = vec![(String::new(), root)];
    while let Some((prefix, ino)) = todo.pop() {
        let directory = inode::read(volume, ino)?;
        for entry in dir::list_sorted(volume, &directory)?.into_iter().rev() {
            let is_wanted = matches!(entry.kind, InodeKind::Directory | InodeKind::Collection);
            // A damaged tree may lead to the same object by many names, and round in circles.
            if !is_wanted || !seen.insert(entry.inode) {
                continue;
            }
            let path = format!("{prefix}/{}", String::from_utf8_lossy(&entry.name));
            if path.len() > PATH_BYTES {
                let start = path.chars().take(60).collect();
                return Err(FsError::PathTooLong { start, limit: PATH_BYTES });
            }
            if entry.kind == InodeKind::Directory {
                todo.push((path, entry.inode));
            } else {
                found.push(Collection::from_inode(volume, &path, inode::read(volume, entry.inode)?)?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
