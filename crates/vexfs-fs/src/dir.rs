//! Directories: lookup, listing, insertion and removal in the B+tree of names.

use std::collections::HashSet;

use vexfs_format::codes::InodeKind;
use vexfs_format::dir_block::{self, DirEntries, DirEntry, MAX_LEVEL, Placement, capacity, name_hash};
use vexfs_format::error::{At, Corrupt, Damage, Structure};
use vexfs_format::inode::Inode;
use vexfs_format::{InodeNo, LogicalBlock};
use zerocopy::little_endian::U64;

use crate::error::{FsError, Result};
use crate::extents::ExtentMap;
use crate::inode;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;

/// One directory, as far as reading it goes.
struct Directory<'a, S: BlockSource + ?Sized> {
    src: &'a S,
    ino: InodeNo,
    map: ExtentMap,
}

impl<'a, S: BlockSource + ?Sized> Directory<'a, S> {
    fn open(src: &'a S, dir: &Inode) -> Result<Self> {
        if !dir.kind().is_directory_like() {
            return Err(FsError::WrongKind {
                path: format!("inode {}", dir.number()),
                found: dir.kind().name(),
                expected: "directory",
            });
        }
        Ok(Self { src, ino: dir.number(), map: ExtentMap::load(src, dir)? })
    }

    fn read(&self, logical: LogicalBlock) -> Result<(DirEntries, u16)> {
        let Some(place) = self.map.lookup(logical.get()) else {
            return Err(self.fault(logical, "child", logical.get(), "a block of the directory"));
        };
        let block = self.src.read_block(place)?;
        Ok(dir_block::decode(&block, place, self.ino, logical, self.src.seed())?)
    }

    /// The child that may hold `hash`, checked to lie one level lower than `level`.
    fn read_child(&self, logical: LogicalBlock, level: u16) -> Result<DirEntries> {
        let (entries, found) = self.read(logical)?;
        if found + 1 != level {
            return Err(self.fault(logical, "level", found.into(), "one below that of its parent"));
        }
        Ok(entries)
    }

    fn fault(
        &self,
        logical: LogicalBlock,
        name: &'static str,
        found: u64,
        expected: &'static str,
    ) -> FsError {
        let at = At::FileBlock { inode: self.ino.get(), logical: logical.get() };
        Corrupt::new(Structure::DirBlock, at, Damage::Field { name, found, expected }).into()
    }
}

/// Index of the child that may hold `hash`.
fn child_of(children: &[(u64, LogicalBlock)], hash: u64) -> usize {
    children.partition_point(|&(lowest, _)| lowest <= hash).saturating_sub(1)
}

/// The entry `name` of directory `dir`, if there is one.
///
/// # Errors
/// [`FsError::WrongKind`] when `dir` is no directory; device errors; damage of its blocks.
pub fn lookup(src: &(impl BlockSource + ?Sized), dir: &Inode, name: &[u8]) -> Result<Option<DirEntry>> {
    let directory = Directory::open(src, dir)?;
    let hash = name_hash(&src.superblock().hash_key, name);
    let (mut entries, mut level) = directory.read(LogicalBlock(0))?;
    loop {
        match entries {
            DirEntries::Leaf(entries) => {
                return Ok(entries.into_iter().find(|e| e.hash == hash && e.name == name));
            }
            DirEntries::Index(children) => {
                entries = directory.read_child(children[child_of(&children, hash)].1, level)?;
                level -= 1;
            }
        }
    }
}

/// All entries of directory `dir`, in order of their hash.
///
/// # Errors
/// As [`lookup`].
pub fn list(src: &(impl BlockSource + ?Sized), dir: &Inode) -> Result<Vec<DirEntry>> {
    let directory = Directory::open(src, dir)?;
    let mut found = Vec::new();
    let (root, level) = directory.read(LogicalBlock(0))?;
    let mut seen = HashSet::new();
    let mut stack = vec![(root, level)];
    while let Some((entries, level)) = stack.pop() {
        match entries {
            DirEntries::Leaf(entries) => found.extend(entries),
            DirEntries::Index(children) => {
                for &(_, child) in children.iter().rev() {
                    // A damaged tree may name a block many times; nobody can wait for all of them.
                    if !seen.insert(child) {
                        return Err(directory.fault(child, "child", child.get(), "in the tree once"));
                    }
                    stack.push((directory.read_child(child, level)?, level - 1));
                }
            }
        }
    }
    Ok(found)
}

/// The names of a directory in order, for people.
///
/// # Errors
/// As [`lookup`].
pub fn list_sorted(src: &(impl BlockSource + ?Sized), dir: &Inode) -> Result<Vec<DirEntry>> {
    let mut entries = list(src, dir)?;
    entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

/// A directory that is being changed.
struct Editor<'t, 'v> {
    txn: &'t mut Transaction<'v>,
    inode: Inode,
    map: ExtentMap,
}

/// Makes an empty directory of `inode`, which has no blocks yet: one empty leaf.
///
/// # Errors
/// [`FsError::NoSpace`]; device errors.
pub(crate) fn initialise(txn: &mut Transaction<'_>, inode: Inode) -> Result<Inode> {
    let mut editor = Editor { txn, inode, map: ExtentMap::default() };
    let root = editor.add_block()?;
    editor.write(root, 0, &DirEntries::Leaf(Vec::new()))?;
    editor.finish()
}

/// Adds the entry `name`, which leads to `inode`, to directory `dir`.
///
/// # Errors
/// [`FsError::Exists`], [`FsError::InvalidName`], [`FsError::DirectoryFull`], [`FsError::NoSpace`]; device errors; damage.
pub fn insert(
    txn: &mut Transaction<'_>,
    dir: InodeNo,
    name: &[u8],
    inode: InodeNo,
    kind: InodeKind,
) -> Result<()> {
    let text = || String::from_utf8_lossy(name).into_owned();
    if !dir_block::is_valid_name(name) {
        return Err(FsError::InvalidName { name: text() });
    }
    let hash = name_hash(&txn.superblock().hash_key, name);
    let entry = DirEntry { hash, inode, kind, name: name.to_vec() };
    let mut editor = Editor::open(txn, dir)?;
    let (path, mut entries) = editor.descend(hash)?;
    let at = entries.partition_point(|e| (e.hash, &e.name) < (entry.hash, &entry.name));
    if entries.get(at).is_some_and(|e| e.name == entry.name && e.hash == hash) {
        return Err(FsError::Exists { path: text() });
    }
    entries.insert(at, entry);
    editor.store(path, DirEntries::Leaf(entries))?;
    editor.finish()?;
    Ok(())
}

/// Removes the entry `name` from directory `dir` and returns it.
///
/// # Errors
/// [`FsError::NotFound`]; device errors; damage.
pub fn remove(txn: &mut Transaction<'_>, dir: InodeNo, name: &[u8]) -> Result<DirEntry> {
    let hash = name_hash(&txn.superblock().hash_key, name);
    let mut editor = Editor::open(txn, dir)?;
    let (path, mut entries) = editor.descend(hash)?;
    let Some(at) = entries.iter().position(|e| e.hash == hash && e.name == name) else {
        return Err(FsError::NotFound { path: String::from_utf8_lossy(name).into_owned() });
    };
    let removed = entries.remove(at);
    editor.store(path, DirEntries::Leaf(entries))?;
    editor.finish()?;
    Ok(removed)
}

/// A step from the root to a leaf: the block, its entries, and the child that was taken.
struct Step {
    block: LogicalBlock,
    level: u16,
    children: Vec<(u64, LogicalBlock)>,
    taken: usize,
}

/// The way to a leaf, and the leaf's block.
struct LeafPath {
    steps: Vec<Step>,
    leaf: LogicalBlock,
}

impl<'t, 'v> Editor<'t, 'v> {
    fn open(txn: &'t mut Transaction<'v>, dir: InodeNo) -> Result<Self> {
        let inode = inode::read(txn, dir)?;
        let directory = Directory::open(txn, &inode)?;
        let blocks = inode.size.get() / txn.block_size() as u64;
        if !directory.map.maps_exactly(blocks, 0) {
            let end = LogicalBlock(directory.map.data_end());
            return Err(directory.fault(
                end,
                "extents",
                end.get(),
                "a mapping for each block of the directory",
            ));
        }
        let map = directory.map;
        Ok(Self { txn, inode, map })
    }

    fn descend(&self, hash: u64) -> Result<(LeafPath, Vec<DirEntry>)> {
        let directory = Directory { src: &*self.txn, ino: self.inode.number(), map: self.map.clone() };
        let (mut entries, mut level) = directory.read(LogicalBlock(0))?;
        let mut path = LeafPath { steps: Vec::new(), leaf: LogicalBlock(0) };
        loop {
            match entries {
                DirEntries::Leaf(entries) => return Ok((path, entries)),
                DirEntries::Index(children) => {
                    let taken = child_of(&children, hash);
                    let child = children[taken].1;
                    entries = directory.read_child(child, level)?;
                    path.steps.push(Step { block: path.leaf, level, children, taken });
                    path.leaf = child;
                    level -= 1;
                }
            }
        }
    }

    /// Stores the changed leaf at the end of `path`, splitting blocks that overflow on the way up.
    fn store(&mut self, path: LeafPath, leaf: DirEntries) -> Result<()> {
        let room = capacity(self.txn.block_size());
        let (mut block, mut level, mut entries) = (path.leaf, 0, leaf);
        let mut steps = path.steps;
        loop {
            if entries.encoded_len() <= room {
                return self.write(block, level, &entries);
            }
            let (left, right, lowest) = split(entries)?;
            let Some(mut parent) = steps.pop() else {
                // The root keeps its place: both halves move out, and it becomes their parent.
                if level == MAX_LEVEL {
                    return Err(FsError::DirectoryFull);
                }
                let (l, r) = (self.add_block()?, self.add_block()?);
                self.write(l, level, &left)?;
                self.write(r, level, &right)?;
                return self.write(block, level + 1, &DirEntries::Index(vec![(0, l), (lowest, r)]));
            };
            let new = self.add_block()?;
            self.write(block, level, &left)?;
            self.write(new, level, &right)?;
            parent.children.insert(parent.taken + 1, (lowest, new));
            (block, level, entries) = (parent.block, parent.level, DirEntries::Index(parent.children));
        }
    }

    fn add_block(&mut self) -> Result<LogicalBlock> {
        let logical = self.map.data_end();
        let place = self.txn.allocate_metadata()?;
        self.map.insert(logical, place, 1);
        self.inode.size = U64::new((logical + 1) * self.txn.block_size() as u64);
        Ok(LogicalBlock(logical))
    }

    fn write(&mut self, logical: LogicalBlock, level: u16, entries: &DirEntries) -> Result<()> {
        let Some(place) = self.map.lookup(logical.get()) else { return Err(FsError::DirectoryFull) };
        let at = Placement { place, logical, owner: self.inode.number(), txn: self.txn.seq() };
        let block = dir_block::encode(entries, level, at, self.txn.block_size(), self.txn.seed());
        self.txn.stage(place, block);
        Ok(())
    }

    fn finish(mut self) -> Result<Inode> {
        self.inode.modified_ns = U64::new(self.txn.now_ns());
        self.txn.store_extents(&mut self.inode, &mut self.map)?;
        self.txn.write_inode(&mut self.inode)?;
        Ok(self.inode)
    }
}

/// Two halves of a block's entries, and the lowest hash of the second.
///
/// Names with the same hash stay together, because a lookup visits one leaf.
fn split(entries: DirEntries) -> Result<(DirEntries, DirEntries, u64)> {
    match entries {
        DirEntries::Index(mut children) => {
            let right = children.split_off(children.len() / 2);
            let lowest = right[0].0;
            Ok((DirEntries::Index(children), DirEntries::Index(right), lowest))
        }
        DirEntries::Leaf(mut entries) => {
            let half = entries.iter().map(DirEntry::encoded_len).sum::<usize>() / 2;
            let mut before = 0;
            let mut best: Option<(usize, usize)> = None;
            for at in 1..entries.len() {
                before += entries[at - 1].encoded_len();
                if entries[at - 1].hash != entries[at].hash {
                    let distance = before.abs_diff(half);
                    if best.is_none_or(|(d, _)| distance < d) {
                        best = Some((distance, at));
                    }
                }
            }
            let (_, at) = best.ok_or(FsError::DirectoryFull)?;
            let right = entries.split_off(at);
            let lowest = right[0].hash;
            Ok((DirEntries::Leaf(entries), DirEntries::Leaf(right), lowest))
        }
    }
}
