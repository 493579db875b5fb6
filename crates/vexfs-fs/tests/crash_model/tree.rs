//! A tree as plain values, and the tree that a volume holds.

use std::collections::{BTreeMap, BTreeSet};

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::row_checksum;
use vexfs_fs::collection::Collection;
use vexfs_fs::path::read_link;
use vexfs_fs::{BlockSource, Result, Volume, dir, inode};

/// Everything below the root directory but lost+found, by path.
pub type Tree = BTreeMap<String, Node>;

/// One object.
#[derive(Clone, PartialEq, Eq)]
pub enum Node {
    Directory,
    File(Vec<u8>),
    Link(Vec<u8>),
    Rows(RowsOf),
}

/// A collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowsOf {
    pub dim: u32,
    /// The packed rows.
    pub rows: Vec<u8>,
    /// Id or key of each row, as text.
    pub names: Vec<String>,
    pub deleted: BTreeSet<u64>,
    /// Rows that are not deleted.
    pub live: u64,
    pub next_id: u64,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Directory => f.write_str("directory"),
            Self::File(bytes) => {
                write!(f, "file of {} bytes {:02x?}", bytes.len(), &bytes[..bytes.len().min(4)])
            }
            Self::Link(target) => write!(f, "link to {}", String::from_utf8_lossy(target)),
            Self::Rows(rows) => write!(
                f,
                "{} rows of {} dimensions, {} live, next id {}, deleted {:?}",
                rows.names.len(),
                rows.dim,
                rows.live,
                rows.next_id,
                rows.deleted
            ),
        }
    }
}

/// The paths on which two trees differ, with what each has there; for messages.
pub fn difference(found: &Tree, expected: &Tree) -> String {
    let paths: BTreeSet<&String> = found.keys().chain(expected.keys()).collect();
    let differing = paths.into_iter().filter(|path| found.get(*path) != expected.get(*path));
    let lines = differing
        .map(|path| format!("  {path}: found {:?}, expected {:?}\n", found.get(path), expected.get(path)));
    lines.take(8).collect()
}

/// Reads everything that a volume holds; all bytes are verified on the way.
///
/// # Errors
/// Whatever reading meets first.
pub fn read_tree(volume: &Volume) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut todo = vec![(String::new(), InodeNo(volume.superblock().root_inode.get()))];
    while let Some((prefix, ino)) = todo.pop() {
        let directory = inode::read(volume, ino)?;
        for entry in dir::list(volume, &directory)? {
            let path = format!("{prefix}/{}", String::from_utf8_lossy(&entry.name));
            let object = inode::read(volume, entry.inode)?;
            assert_eq!(object.kind(), entry.kind, "{path}: the entry says another kind than the inode");
            let node = match object.kind() {
                InodeKind::Directory => {
                    todo.push((path.clone(), entry.inode));
                    Node::Directory
                }
                InodeKind::Symlink => Node::Link(read_link(volume, &object)?),
                InodeKind::Collection => {
                    Node::Rows(read_rows(volume, Collection::from_inode(volume, &path, object)?)?)
                }
                InodeKind::File | InodeKind::Stream => Node::File(volume.view(&object)?.all()?.to_vec()),
            };
            if path != "/lost+found" {
                tree.insert(path, node);
            }
        }
    }
    Ok(tree)
}

fn read_rows(volume: &Volume, collection: Collection) -> Result<RowsOf> {
    let rows = collection.open_rows(volume)?;
    let bytes = rows.bytes(0..rows.len())?;
    let sums = rows.sums_view().all()?;
    for (row, (bytes, sum)) in bytes.chunks_exact(rows.row_bytes() as usize).zip(sums.chunks(4)).enumerate() {
        let computed = row_checksum(volume.seed(), collection.inode.number(), bytes).to_le_bytes();
        assert_eq!(computed, sum, "{}: checksum of row {row}", collection.path);
    }
    let identities = collection.identities(volume)?;
    let names: Result<Vec<String>> =
        (0..rows.len()).map(|row| Ok(identities.identity(row)?.to_string())).collect();
    let deletions = collection.deletions(volume)?;
    Ok(RowsOf {
        dim: collection.desc.dim.get(),
        rows: bytes.to_vec(),
        names: names?,
        deleted: (0..rows.len()).filter(|&row| deletions.contains(row)).collect(),
        live: collection.desc.live_rows.get(),
        next_id: collection.desc.next_id.get(),
    })
}
