//! The objects of two volumes, held against each other by their paths.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::inode::Inode;
use vexfs_fs::{BlockSource, FsError, Volume, dir, inode};

/// Bytes that are compared at a time.
const SLAB_BYTES: u64 = 4 << 20;

/// Everything with a name, by its path, but for the streams of rows.
pub(super) type Tree = BTreeMap<String, Inode>;

/// An object that is not what it is on the other volume.
#[derive(Debug, Serialize)]
pub(crate) struct Changed {
    pub(crate) path: String,
    /// What differs: kind, mode, owner, size or contents.
    pub(crate) what: Vec<&'static str>,
}

/// All objects below the root directory; one with several names has all of them, a directory one.
pub(super) fn walk(volume: &Volume) -> Result<Tree, FsError> {
    let root = InodeNo(volume.superblock().root_inode.get());
    let mut seen = HashSet::from([root]);
    let mut todo = vec![(String::new(), root)];
    let mut tree = Tree::new();
    while let Some((path, number)) = todo.pop() {
        let directory = inode::read(volume, number)?;
        for entry in dir::list(volume, &directory)? {
            if directory.kind() == InodeKind::Collection && entry.kind == InodeKind::Stream {
                continue;
            }
            let path = format!("{path}/{}", String::from_utf8_lossy(&entry.name));
            if entry.kind.is_directory_like() {
                if !seen.insert(entry.inode) {
                    continue;
                }
                todo.push((path.clone(), entry.inode));
            }
            tree.insert(path, inode::read(volume, entry.inode)?);
        }
    }
    Ok(tree)
}

/// The objects that both volumes have at the same path, and that differ.
pub(super) fn changed(
    (old, before): (&Volume, &Tree),
    (new, after): (&Volume, &Tree),
) -> Result<Vec<Changed>, FsError> {
    let mut found = Vec::new();
    for (path, was) in before {
        let Some(is) = after.get(path) else { continue };
        let mut what = Vec::new();
        let has_bytes = !is.kind().is_directory_like();
        for (name, differs) in [
            ("kind", was.kind() != is.kind()),
            ("mode", was.kind() == is.kind() && was.mode != is.mode),
            ("owner", (was.uid, was.gid) != (is.uid, is.gid)),
            ("size", was.kind() == is.kind() && has_bytes && was.size != is.size),
        ] {
            if differs {
                what.push(name);
            }
        }
        if was.kind() == is.kind() && has_bytes && was.size == is.size && !is_equal((old, was), (new, is))? {
            what.push("contents");
        }
        if !what.is_empty() {
            found.push(Changed { path: path.clone(), what });
        }
    }
    Ok(found)
}

/// Whether two objects of the same kind and size hold the same bytes.
fn is_equal((old, was): (&Volume, &Inode), (new, is): (&Volume, &Inode)) -> Result<bool, FsError> {
    if was.has_inline_target() || is.has_inline_target() {
        // Short targets lie in the inode on both, as the size decides.
        let target = |inode: &Inode, volume: &Volume| inode.root(volume.blocks()).ok();
        return Ok(target(was, old) == target(is, new));
    }
    let (was, is) = (old.view(was)?, new.view(is)?);
    let mut at = 0;
    while at < was.len() {
        let end = was.len().min(at + SLAB_BYTES);
        if was.bytes(at..end)? != is.bytes(at..end)? {
            return Ok(false);
        }
        at = end;
    }
    Ok(true)
}
