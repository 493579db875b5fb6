//! Changes, each made twice: to a volume through the library, and to the model by plain assignment.

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_fs::collection::append::{Appender, RowIds};
use vexfs_fs::dir;
use vexfs_fs::path::split_last;
use vexfs_fs::txn::transaction::Transaction;
use vexfs_fs::{FsError, Result, inode};

use super::bytes;
use super::tree::{Node, RowsOf, Tree};
use crate::common::{Silent, spec};

/// One change. Paths are absolute.
#[derive(Clone, Debug)]
pub enum Action {
    MakeDirectory(String),
    MakeCollection(String, u32),
    MakeLink(String, String),
    /// Makes or replaces a file of so many bytes.
    Write(String, usize, u64),
    Rename(String, String),
    /// Removes an object, a collection with all it holds.
    Remove(String),
    /// Adds rows in batches of so many.
    Append(String, Vec<usize>, Names, u64),
    DeleteRows(String, Vec<u64>),
    /// Adds rows with these ids or keys in place of the rows that have them.
    Upsert(String, Vec<String>, u64),
    /// Writes the rows anew without those that are deleted.
    Compact(String),
    /// Makes empty files with these numbers in their names.
    ManyNames(String, std::ops::Range<u32>),
    RemoveNames(String, Vec<u32>),
}

/// How appended rows are called.
#[derive(Clone, Copy, Debug)]
pub enum Names {
    Auto,
    /// Ids from this one on, in falling order.
    Ids(u64),
    Keys,
}

fn file_name(dir: &str, n: u32) -> String {
    format!("{dir}/a name that takes some room in its directory block, {n:05}")
}

/// The inode that `path` leads to inside a transaction.
fn find(txn: &Transaction<'_>, path: &str) -> Result<InodeNo> {
    let mut at = InodeNo::ROOT;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let entry = dir::lookup(txn, &inode::read(txn, at)?, name.as_bytes())?;
        at = entry.ok_or_else(|| FsError::NotFound { path: path.to_owned() })?.inode;
    }
    Ok(at)
}

fn parent_of<'a>(txn: &Transaction<'_>, path: &'a str) -> Result<(InodeNo, &'a [u8])> {
    let (parent, name) = split_last(path)?;
    Ok((find(txn, parent)?, name.as_bytes()))
}

impl Action {
    /// Makes the change in `txn`.
    ///
    /// # Errors
    /// Those of the library.
    pub fn apply(&self, txn: &mut Transaction<'_>) -> Result<()> {
        match self {
            Self::MakeDirectory(path) => {
                let (parent, name) = parent_of(txn, path)?;
                txn.make_directory(parent, name)?;
            }
            Self::MakeCollection(path, dim) => {
                let (parent, name) = parent_of(txn, path)?;
                txn.create_collection(parent, name, &spec(*dim))?;
            }
            Self::MakeLink(path, target) => {
                let (parent, name) = parent_of(txn, path)?;
                txn.make_symlink(parent, name, target.as_bytes())?;
            }
            Self::Write(path, len, seed) => {
                let (parent, name) = parent_of(txn, path)?;
                let mut writer = txn.write_file(parent, name)?;
                for part in bytes(*seed, *len).chunks(10_000) {
                    writer.write(txn, part)?;
                }
                writer.finish(txn)?;
            }
            Self::Rename(from, to) => {
                let (from, name) = parent_of(txn, from)?;
                let (to, new_name) = parent_of(txn, to)?;
                txn.rename(from, name, to, new_name)?;
            }
            Self::Remove(path) => {
                let (parent, name) = parent_of(txn, path)?;
                txn.remove(parent, name)?;
            }
            Self::Append(path, batches, names, seed) => {
                let ino = find(txn, path)?;
                let mut appender = Appender::open(txn, path, ino)?;
                let dim = appender.collection().dim();
                if batches.len() > 1 {
                    appender.reserve(txn, batches.iter().sum::<usize>() as u64)?;
                }
                for batch in Batch::all(dim, batches, *names, *seed) {
                    let ids = match names {
                        Names::Auto => RowIds::Auto,
                        Names::Ids(_) => RowIds::Ids(&batch.ids),
                        Names::Keys => RowIds::Keys(&batch.keys),
                    };
                    appender.push(txn, &batch.rows, ids)?;
                }
                appender.finish(txn)?;
            }
            Self::DeleteRows(path, rows) => {
                let ino = find(txn, path)?;
                txn.delete_rows(path, ino, rows)?;
            }
            Self::Upsert(path, names, seed) => {
                let ino = find(txn, path)?;
                let mut appender = Appender::open(txn, path, ino)?.replacing();
                let rows = rows_of(appender.collection().dim(), names.len(), *seed);
                let ids: Option<Vec<u64>> = names.iter().map(|name| name.parse().ok()).collect();
                let ids = ids.as_deref().map_or(RowIds::Keys(names), RowIds::Ids);
                appender.push(txn, &rows, ids)?;
                appender.finish(txn)?;
            }
            Self::Compact(path) => {
                let ino = find(txn, path)?;
                txn.compact_rows(path, ino, &Silent)?;
            }
            Self::ManyNames(dir, numbers) => {
                for n in numbers.clone() {
                    let path = file_name(dir, n);
                    let (parent, name) = parent_of(txn, &path)?;
                    txn.create(parent, name, InodeKind::File, 0o644)?;
                }
            }
            Self::RemoveNames(dir, numbers) => {
                for &n in numbers {
                    let path = file_name(dir, n);
                    let (parent, name) = parent_of(txn, &path)?;
                    txn.remove(parent, name)?;
                }
            }
        }
        Ok(())
    }

    /// Makes the change in the model.
    pub fn model(&self, tree: &mut Tree) {
        match self {
            Self::MakeDirectory(path) => {
                tree.insert(path.clone(), Node::Directory);
            }
            Self::MakeCollection(path, dim) => {
                tree.insert(path.clone(), Node::Rows(RowsOf::empty(*dim)));
            }
            Self::MakeLink(path, target) => {
                tree.insert(path.clone(), Node::Link(target.clone().into_bytes()));
            }
            Self::Write(path, len, seed) => {
                tree.insert(path.clone(), Node::File(bytes(*seed, *len)));
            }
            Self::Rename(from, to) => {
                let below = format!("{from}/");
                let moved: Vec<String> =
                    tree.keys().filter(|path| *path == from || path.starts_with(&below)).cloned().collect();
                for path in moved {
                    let node = tree.remove(&path).expect("listed");
                    tree.insert(path.replacen(from, to, 1), node);
                }
            }
            Self::Remove(path) => {
                tree.remove(path);
            }
            Self::Append(path, batches, names, seed) => {
                let Some(Node::Rows(rows)) = tree.get_mut(path) else { panic!("{path} is a collection") };
                for batch in Batch::all(rows.dim as usize, batches, *names, *seed) {
                    rows.append(&batch, *names);
                }
            }
            Self::DeleteRows(path, deleted) => {
                let Some(Node::Rows(rows)) = tree.get_mut(path) else { panic!("{path} is a collection") };
                let count = rows.names.len() as u64;
                rows.deleted.extend(deleted.iter().filter(|&&row| row < count));
                rows.live = count - rows.deleted.len() as u64;
            }
            Self::Upsert(path, names, seed) => {
                let Some(Node::Rows(rows)) = tree.get_mut(path) else { panic!("{path} is a collection") };
                rows.upsert(names, *seed);
            }
            Self::Compact(path) => {
                let Some(Node::Rows(rows)) = tree.get_mut(path) else { panic!("{path} is a collection") };
                rows.compact();
            }
            Self::ManyNames(dir, numbers) => {
                tree.extend(numbers.clone().map(|n| (file_name(dir, n), Node::File(Vec::new()))));
            }
            Self::RemoveNames(dir, numbers) => {
                tree.retain(|path, _| !numbers.iter().any(|&n| *path == file_name(dir, n)));
            }
        }
    }
}

impl RowsOf {
    /// A collection as it is made.
    pub fn empty(dim: u32) -> Self {
        Self { dim, rows: Vec::new(), names: Vec::new(), deleted: Default::default(), live: 0, next_id: 0 }
    }

    /// The live rows with their names.
    pub fn live_names(&self) -> impl Iterator<Item = (u64, &String)> {
        (0..).zip(&self.names).filter(|(row, _)| !self.deleted.contains(row))
    }

    fn upsert(&mut self, names: &[String], seed: u64) {
        let replaced: Vec<u64> =
            self.live_names().filter(|(_, name)| names.contains(name)).map(|(row, _)| row).collect();
        self.live += names.len() as u64 - replaced.len() as u64;
        self.deleted.extend(replaced);
        self.rows.extend(rows_of(self.dim as usize, names.len(), seed));
        let most = names.iter().filter_map(|name| Some(name.parse::<u64>().ok()? + 1)).max();
        self.next_id = most.map_or(self.next_id + names.len() as u64, |next| next.max(self.next_id));
        self.names.extend(names.iter().cloned());
    }

    fn compact(&mut self) {
        let width = self.dim as usize * 4;
        let live: Vec<(u64, String)> = self.live_names().map(|(row, name)| (row, name.clone())).collect();
        let bytes = |row: u64| &self.rows[row as usize * width..(row as usize + 1) * width];
        self.rows = live.iter().flat_map(|(row, _)| bytes(*row).to_vec()).collect();
        self.names = live.into_iter().map(|(_, name)| name).collect();
        self.deleted.clear();
    }

    fn append(&mut self, batch: &Batch, names: Names) {
        let count = batch.ids.len() as u64;
        self.rows.extend(&batch.rows);
        self.live += count;
        match names {
            Names::Auto => {
                self.names.extend((self.next_id..self.next_id + count).map(|id| id.to_string()));
                self.next_id += count;
            }
            Names::Ids(_) => {
                self.names.extend(batch.ids.iter().map(u64::to_string));
                let most = batch.ids.iter().max().map_or(0, |id| id + 1);
                self.next_id = self.next_id.max(most);
            }
            Names::Keys => {
                self.names.extend(batch.keys.iter().cloned());
                self.next_id += count;
            }
        }
    }
}

/// Finite floats: small integers of either sign.
fn rows_of(dim: usize, count: usize, seed: u64) -> Vec<u8> {
    bytes(seed, count * dim).into_iter().flat_map(|byte| f32::from(byte as i8).to_le_bytes()).collect()
}

/// Rows with ids and keys, of which the names in force say which are used.
struct Batch {
    rows: Vec<u8>,
    ids: Vec<u64>,
    keys: Vec<String>,
}

impl Batch {
    fn all(dim: usize, batches: &[usize], names: Names, seed: u64) -> Vec<Self> {
        let first_id = if let Names::Ids(first) = names { first } else { 0 };
        let total = batches.iter().sum::<usize>() as u64;
        let mut done = 0;
        let mut all = Vec::new();
        for &count in batches {
            let numbers = done..done + count as u64;
            all.push(Self {
                rows: rows_of(dim, count, seed ^ done),
                ids: numbers.clone().map(|n| first_id + total - 1 - n).collect(),
                keys: numbers.map(|n| format!("key-{seed}-{n}")).collect(),
            });
            done += count as u64;
        }
        all
    }
}
