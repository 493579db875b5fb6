//! Defragmentation: files and streams that lie in more pieces than need be are written anew in one.
//!
//! Each object is a transaction of its own, so that whoever stops in between goes on where it was: what lies in one piece is not
//! looked at again. The contents, the times and everything that derives from them stay as they are.

use std::collections::HashSet;

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use zerocopy::little_endian::U32;

use crate::alloc::BlockUse;
use crate::error::{FsError, Result};
use crate::extents::ExtentMap;
use crate::file::FileWriter;
use crate::index::Progress;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;
use crate::volume::Volume;
use crate::{dir, inode};

/// Bytes that are copied at a time.
const SLAB_BYTES: u64 = 4 << 20;

/// A file or stream whose data lies in more than one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fragmented {
    /// Its path, or one of them.
    pub path: String,
    /// Its inode.
    pub ino: InodeNo,
    /// Its length in bytes.
    pub bytes: u64,
    /// Pieces in which its data lies.
    pub pieces: u64,
    /// Where it may lie.
    purpose: BlockUse,
}

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defragmented {
    /// It lies in this many pieces, fewer than before.
    Moved {
        /// Pieces in which its data lies.
        pieces: u64,
    },
    /// The free space does not hold it in fewer pieces; nothing was changed.
    NoRoom,
}

/// Pieces in which the data of an object lies: extents that touch on the device are one.
pub fn pieces(map: &ExtentMap) -> u64 {
    let mut end = None;
    let mut pieces = 0;
    for run in map.range(0, map.data_end()) {
        pieces += u64::from(end != Some(run.start.get()));
        end = Some(run.end());
    }
    pieces
}

/// The files and streams below the root directory that lie in more than one piece, in order of their paths.
///
/// # Errors
/// Device errors; damage of a directory, an inode or its extents.
pub fn fragmented(volume: &Volume) -> Result<Vec<Fragmented>> {
    let root = InodeNo(volume.superblock().root_inode.get());
    let mut seen = HashSet::from([root]);
    let mut todo = vec![(String::new(), root)];
    let mut found = Vec::new();
    while let Some((path, ino)) = todo.pop() {
        let inode = inode::read(volume, ino)?;
        if inode.kind().is_directory_like() {
            for entry in dir::list(volume, &inode)? {
                if seen.insert(entry.inode) {
                    todo.push((format!("{path}/{}", String::from_utf8_lossy(&entry.name)), entry.inode));
                }
            }
            continue;
        }
        let purpose = match inode.kind() {
            InodeKind::Stream => BlockUse::Vectors,
            _ => BlockUse::Data,
        };
        let pieces = pieces(&ExtentMap::load(volume, &inode)?);
        if pieces > 1 {
            found.push(Fragmented { path, ino, bytes: inode.size.get(), pieces, purpose });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

impl Volume {
    /// Writes an object anew in as few pieces as the free space allows, those of collections into the vector zone while it has room.
    ///
    /// # Durability
    /// One transaction: a crash leaves the object where it was or where it goes.
    ///
    /// # Errors
    /// [`FsError::Interrupted`] when `progress` says so, with nothing changed; device errors; damage of the object, which is then left
    /// as it is.
    pub fn defragment(&mut self, object: &Fragmented, progress: &dyn Progress) -> Result<Defragmented> {
        let mut txn = self.begin()?;
        let pieces = match txn.move_together(object, progress) {
            Ok(pieces) if pieces < object.pieces => pieces,
            Ok(_) | Err(FsError::NoSpace { .. }) => return Ok(Defragmented::NoRoom),
            Err(error) => return Err(error),
        };
        txn.commit()?;
        Ok(Defragmented::Moved { pieces })
    }
}

impl Transaction<'_> {
    /// Writes an object to fresh places and returns the number of its pieces; without copying if they are not fewer.
    fn move_together(&mut self, object: &Fragmented, progress: &dyn Progress) -> Result<u64> {
        let old = inode::read(self, object.ino)?;
        let view = self.volume.view_as_of(self, &old)?;
        view.advise_sequential();
        let mut writer = FileWriter::replace(self, object.ino, object.purpose)?;
        let pieces = writer.reserve_together(self, view.len())?;
        if pieces >= object.pieces {
            return Ok(pieces);
        }
        let mut at = 0;
        while at < view.len() {
            if progress.is_interrupted() {
                return Err(FsError::Interrupted);
            }
            let end = view.len().min(at + SLAB_BYTES);
            writer.write(self, view.bytes(at..end)?)?;
            progress.step("defragmenting", end, view.len());
            at = end;
        }
        let mut inode = writer.finish(self)?;
        inode.modified_ns = old.modified_ns;
        // A loss that was noted before is one still.
        inode.flags = U32::new(old.flags.get());
        self.write_inode(&mut inode)?;
        Ok(pieces)
    }
}
