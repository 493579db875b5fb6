//! Everything that a name leads to, with the blocks it lies in.

use std::collections::HashSet;

use vexfs_format::InodeNo;
use vexfs_format::inode::Inode;
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::{BlockSource, defrag, dir, inode};

use crate::dump::Dump;

/// One object: a file, directory, symbolic link, collection, or a stream of a collection.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) path: String,
    pub(crate) inode: Inode,
    pub(crate) map: ExtentMap,
}

impl Object {
    /// Pieces its data lies in; 0 without data.
    pub(crate) fn pieces(&self) -> u64 {
        defrag::pieces(&self.map)
    }
}

/// All objects below the root directory, it included, each once; damage is named and passed over.
pub(crate) fn gather(dump: &mut Dump<'_>) -> anyhow::Result<Vec<Object>> {
    let root = InodeNo(dump.volume.superblock().root_inode.get());
    let mut seen = HashSet::from([root]);
    let mut todo = vec![("/".to_owned(), root)];
    let mut objects = Vec::new();
    while let Some((path, number)) = todo.pop() {
        let inode = inode::read(&dump.volume, number);
        let Some(inode) = dump.intact(&path, inode)? else { continue };
        if inode.kind().is_directory_like() {
            let entries = dir::list(&dump.volume, &inode);
            let prefix = path.trim_end_matches('/');
            for entry in dump.intact(&path, entries)?.unwrap_or_default() {
                if seen.insert(entry.inode) {
                    todo.push((format!("{prefix}/{}", String::from_utf8_lossy(&entry.name)), entry.inode));
                }
            }
        }
        let map = ExtentMap::load(&dump.volume, &inode);
        if let Some(map) = dump.intact(&path, map)? {
            objects.push(Object { path, inode, map });
        }
    }
    objects.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(objects)
}
