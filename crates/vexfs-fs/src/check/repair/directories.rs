//! Pass 2: directories, made anew from the names that are intact.
//!
//! Every sound block of a directory gives its names, whether the tree leads to it or not. The new tree lies in fresh blocks, so the old
//! one is there until the transaction commits.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use vexfs_format::codes::InodeKind;
use vexfs_format::dir_block::{
    self, DirEntries, DirEntry, DirIndexEntry, MAX_LEVEL, NAME_MAX, Placement, capacity, name_hash,
};
use vexfs_format::{BlockNo, InodeNo, LogicalBlock};
use zerocopy::little_endian::{U16, U64};

use super::super::context::{Context, STREAMS};
use super::super::extent_walk::Extents;
use super::super::problem::{Fix, Problem};
use super::super::table;
use super::salvage::{Latest, Ring};
use super::{batch, streams};
use crate::alloc::BlockUse;
use crate::error::{FsError, Result};
use crate::extents::ExtentMap;
use crate::source::BlockSource;
use crate::txn::transaction::Transaction;
use crate::{dir, inode};

/// What becomes different in a directory that is made anew.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes {
    /// Names that are left out, as messages say them, with the inode they lead to.
    pub(super) removed: HashSet<(String, u64)>,
    /// Kinds of the inodes that its names lead to.
    pub(super) kinds: HashMap<u64, InodeKind>,
    /// Images of its blocks that the log still holds, by logical block.
    pub(super) images: BTreeMap<u64, Vec<u8>>,
}

/// A record that becomes another kind.
struct Retype {
    ino: InodeNo,
    kind: InodeKind,
    parent: u64,
}

/// Makes the directories anew that were decided, and stores where the names of objects are.
pub(super) fn repair(ctx: &mut Context<'_>) -> Result<()> {
    let parents = ctx.reporter.take_accepted(&[Fix::Parent]);
    batch::apply(ctx, &parents, |txn, problem| {
        let (Some(ino), Some(parent)) = (problem.place.inode, &problem.expected) else { return Ok(()) };
        let mut inode = inode::read(txn, InodeNo(ino))?;
        inode.parent = U64::new(parent.parse().unwrap_or(inode.parent.get()));
        txn.write_inode(&mut inode)
    })?;
    let accepted = ctx.reporter.take_accepted(&[Fix::Directory]);
    if accepted.is_empty() {
        return Ok(());
    }
    batch::settle(ctx, &accepted)?;
    let ring = Ring::read(&*ctx.volume.dev, &ctx.volume.sb).latest();
    let mut retypes: Vec<Retype> = Vec::new();
    let mut directories: BTreeMap<u64, Changes> = BTreeMap::new();
    for problem in &accepted {
        let Some(ino) = problem.place.inode else { continue };
        let changes = directories.entry(ino).or_default();
        if let Some(retype) = retype(ctx, problem) {
            changes.kinds.insert(retype.ino.get(), retype.kind);
            retypes.push(retype);
        } else if is_removed(problem) {
            let (name, other) = (problem.name.clone().unwrap_or_default(), problem.other.unwrap_or(0));
            changes.removed.insert((first_is_wrong(ctx, problem).unwrap_or(name), other));
        }
    }
    for (&ino, changes) in &mut directories {
        describe(ctx, &ring, ino, changes);
    }
    batch::run(&mut ctx.volume, &mut ctx.reporter, &retypes, |txn, retype| {
        let mut inode = inode::read(txn, retype.ino)?;
        inode.kind = U16::new(retype.kind.code());
        inode.mode = U16::new(retype.kind.mode_type() | inode.mode.get() & 0o7777);
        inode.parent = U64::new(retype.parent);
        txn.write_inode(&mut inode)
    })?;
    let directories: Vec<(u64, Changes)> = directories.into_iter().collect();
    batch::run(&mut ctx.volume, &mut ctx.reporter, &directories, |txn, (ino, changes)| {
        rebuild(txn, InodeNo(*ino), changes)
    })
}

/// Whether the repair of a problem leaves the name out.
fn is_removed(problem: &Problem) -> bool {
    [
        table::ENTRY_NUMBER,
        table::ENTRY_UNUSED,
        table::ENTRY_DAMAGED,
        table::ENTRY_SECOND,
        table::ENTRY_ROOT,
        table::ENTRY_RESERVED,
        table::COLLECTION_ENTRY,
    ]
    .contains(&problem.kind)
}

/// Of two names that lead to one stream, the first one, if the length of the stream speaks for the second.
fn first_is_wrong(ctx: &Context<'_>, problem: &Problem) -> Option<String> {
    let (ino, stream) =
        (problem.place.inode?, problem.other.filter(|_| problem.kind == table::ENTRY_SECOND)?);
    let collection = &ctx.collections[ctx.collections.binary_search_by_key(&ino, |c| c.ino).ok()?];
    let size = ctx.read_inode(stream)?.size.get();
    let lengths = streams::lengths(&collection.desc);
    let fits = |name: &str| {
        let position = STREAMS.iter().position(|known| *known == name)?;
        Some(lengths[position] == Some(size))
    };
    let entries = dir::list(&ctx.volume, &ctx.read_inode(ino)?).ok()?;
    let second = problem.name.as_deref()?;
    let names = entries.into_iter().filter(|entry| entry.inode.get() == stream);
    let first = names.filter_map(|entry| String::from_utf8(entry.name).ok()).find(|name| name != second)?;
    (fits(second) == Some(true) && fits(&first) == Some(false)).then_some(first)
}

/// The record that has to change where a stream lies outside of a collection, or a file where a stream should be.
fn retype(ctx: &Context<'_>, problem: &Problem) -> Option<Retype> {
    let ino = problem.other?;
    let info = ctx.inodes.get(ino)?;
    if problem.kind == table::STREAM_OUTSIDE && info.entries == 1 {
        return Some(Retype { ino: InodeNo(ino), kind: InodeKind::File, parent: 0 });
    }
    let is_stream = STREAMS.contains(&problem.name.as_deref()?);
    let is_file = info.kind == Some(InodeKind::File) && info.entries == 1;
    if problem.kind == table::COLLECTION_ENTRY && is_stream && is_file {
        return Some(Retype { ino: InodeNo(ino), kind: InodeKind::Stream, parent: problem.place.inode? });
    }
    None
}

/// Gathers the kinds of what a directory leads to, and the images of its damaged blocks.
fn describe(ctx: &Context<'_>, ring: &Latest, ino: u64, changes: &mut Changes) {
    let Some(inode) = ctx.read_inode(ino) else { return };
    let extents = Extents::walk(&ctx.volume, &inode);
    let size = ctx.volume.block_size() as u64;
    let seed = ctx.volume.seed();
    for (first, place, len) in extents.range(0, inode.size.get() / size) {
        for (logical, place) in (first..first + len).zip((place..).map(BlockNo)) {
            let decode = |bytes: &[u8]| {
                dir_block::decode(bytes, place, InodeNo(ino), LogicalBlock(logical), seed).ok()
            };
            let mut found = ctx.volume.read_block(place).ok().and_then(|bytes| decode(&bytes));
            if found.is_none()
                && let Some(image) = ring.of(&*ctx.volume.dev, &ctx.volume.sb, place)
            {
                found = decode(&image);
                changes.images.insert(logical, image);
            }
            let Some((DirEntries::Leaf(entries), _)) = found else { continue };
            for entry in entries {
                let target = entry.inode.get();
                if let Some(kind) = ctx.inodes.get(target).and_then(|info| info.kind) {
                    changes.kinds.entry(target).or_insert(kind);
                }
            }
        }
    }
}

/// Makes directory `ino` anew from its intact blocks.
///
/// # Errors
/// [`FsError::DirectoryFull`], [`FsError::NoSpace`]; device errors.
pub(super) fn rebuild(txn: &mut Transaction<'_>, ino: InodeNo, changes: &Changes) -> Result<()> {
    let inode = inode::read(txn, ino)?;
    let extents = Extents::walk(txn.volume, &inode);
    let key = txn.superblock().hash_key;
    let size = txn.block_size() as u64;
    let mut entries: Vec<DirEntry> = Vec::new();
    for (first, place, len) in extents.range(0, inode.size.get() / size).collect::<Vec<_>>() {
        for (logical, place) in (first..first + len).zip((place..).map(BlockNo)) {
            let decode = |bytes: &[u8]| {
                dir_block::decode(bytes, place, ino, LogicalBlock(logical), txn.seed()).map(|found| found.0)
            };
            let found = txn.read_block(place).ok().and_then(|bytes| decode(&bytes).ok());
            let found = found.or_else(|| decode(changes.images.get(&logical)?).ok());
            if let Some(DirEntries::Leaf(found)) = found {
                entries.extend(found);
            }
        }
    }
    let mut kept: BTreeMap<(u64, Vec<u8>), DirEntry> = BTreeMap::new();
    // Names that lie where they are looked for keep what they lead to.
    entries.sort_by_key(|entry| name_hash(&key, &entry.name) != entry.hash);
    let mut targets: BTreeSet<(Vec<u8>, u64)> = BTreeSet::new();
    for mut entry in entries {
        let text = String::from_utf8_lossy(&entry.name).into_owned();
        if changes.removed.contains(&(text, entry.inode.get()))
            || !targets.insert((entry.name.clone(), entry.inode.get()))
        {
            continue;
        }
        entry.kind = changes.kinds.get(&entry.inode.get()).copied().unwrap_or(entry.kind);
        entry.hash = name_hash(&key, &entry.name);
        let mut number = 2;
        while kept.contains_key(&(entry.hash, entry.name.clone())) {
            entry.name = numbered(&entry.name, number);
            entry.hash = name_hash(&key, &entry.name);
            number += 1;
        }
        kept.insert((entry.hash, entry.name.clone()), entry);
    }
    store(txn, ino, kept.into_values().collect())
}

/// A name with a number behind it, not longer than names may be.
pub(super) fn numbered(name: &[u8], number: u64) -> Vec<u8> {
    let end = format!("~{number}");
    let mut name = name[..name.len().min(NAME_MAX - end.len())].to_vec();
    name.extend_from_slice(end.as_bytes());
    name
}

/// Stores `entries`, which are in order, as the only names of directory `ino`.
fn store(txn: &mut Transaction<'_>, ino: InodeNo, entries: Vec<DirEntry>) -> Result<()> {
    let blocks = pack(entries, txn.block_size())?;
    let count = blocks.len() as u64;
    let mut map = ExtentMap::default();
    let mut mapped = 0;
    for run in txn.allocate(count, BlockUse::Metadata)? {
        map.insert(mapped, BlockNo(run.start), run.len);
        mapped += run.len;
    }
    for (logical, (level, entries)) in (0..).map(LogicalBlock).zip(blocks) {
        let Some(place) = map.lookup(logical.get()) else { return Err(FsError::DirectoryFull) };
        let at = Placement { place, logical, owner: ino, txn: txn.seq() };
        let bytes = dir_block::encode(&entries, level, at, txn.block_size(), txn.seed());
        // A fresh block needs no place in the journal, however many there are.
        txn.write_data(place, &bytes)?;
    }
    txn.volume.cache_clear();
    let mut inode = inode::read(txn, ino)?;
    inode.size = U64::new(count * txn.block_size() as u64);
    inode.modified_ns = U64::new(txn.now_ns());
    txn.store_extents(&mut inode, &mut map)?;
    txn.write_inode(&mut inode)
}

/// The blocks of a tree of `entries`, which are in order of hash and name: level and contents, the root first, level by level.
fn pack(entries: Vec<DirEntry>, block_size: usize) -> Result<Vec<(u16, DirEntries)>> {
    let room = capacity(block_size);
    // Names with one hash stay together, because a lookup visits one leaf.
    let mut leaves: Vec<(u64, Vec<DirEntry>)> = vec![(0, Vec::new())];
    let mut used = 0;
    for group in entries.chunk_by(|a, b| a.hash == b.hash) {
        let len = group.iter().map(DirEntry::encoded_len).sum::<usize>();
        if len > room {
            return Err(FsError::DirectoryFull);
        }
        if used + len > room {
            leaves.push((group[0].hash, Vec::new()));
            used = 0;
        }
        used += len;
        if let Some((_, leaf)) = leaves.last_mut() {
            leaf.extend_from_slice(group);
        }
    }
    let mut lowest: Vec<u64> = leaves.iter().map(|(lowest, _)| *lowest).collect();
    let per_block = room / DirIndexEntry::SIZE;
    let mut sizes = vec![leaves.len()];
    while sizes[sizes.len() - 1] > 1 {
        sizes.push(sizes[sizes.len() - 1].div_ceil(per_block));
    }
    if sizes.len() > usize::from(MAX_LEVEL) + 1 {
        return Err(FsError::DirectoryFull);
    }
    let mut levels: Vec<Vec<(u16, DirEntries)>> =
        vec![leaves.into_iter().map(|(_, leaf)| (0, DirEntries::Leaf(leaf))).collect()];
    for level in 1..sizes.len() {
        // Below this level come the levels down to the leaves; above it, root first, all the others.
        let first: usize = sizes[level..].iter().sum();
        let children: Vec<(u64, LogicalBlock)> = lowest
            .iter()
            .zip(first as u64..)
            .map(|(&lowest, logical)| (lowest, LogicalBlock(logical)))
            .collect();
        lowest = children.chunks(per_block).map(|part| part[0].0).collect();
        let blocks = children.chunks(per_block).map(|part| (level as u16, DirEntries::Index(part.to_vec())));
        levels.push(blocks.collect());
    }
    Ok(levels.into_iter().rev().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(hash: u64, name: String) -> DirEntry {
        DirEntry { hash, inode: InodeNo(20), kind: InodeKind::File, name: name.into_bytes() }
    }

    #[test]
    fn a_tree_leads_to_every_name() {
        for count in [0_u64, 1, 10, 100, 200_000] {
            let entries: Vec<DirEntry> = (0..count).map(|n| entry(n * 3 + 1, format!("name-{n}"))).collect();
            let blocks = pack(entries, 4096).expect("packed");
            for n in (0..count).step_by(1 + count as usize / 50) {
                let (hash, mut at) = (n * 3 + 1, 0);
                let mut before = u16::MAX;
                let found = loop {
                    let (level, entries) = &blocks[at];
                    assert!(*level < before && entries.encoded_len() <= capacity(4096));
                    before = *level;
                    match entries {
                        DirEntries::Leaf(names) => break names.iter().any(|entry| entry.hash == hash),
                        DirEntries::Index(children) => {
                            let next = children.partition_point(|&(lowest, _)| lowest <= hash);
                            at = children[next - 1].1.get() as usize;
                        }
                    }
                };
                assert!(found, "{n} of {count}");
            }
        }
    }

    #[test]
    fn names_with_one_hash_stay_in_one_leaf() {
        let entries: Vec<DirEntry> = (0..300).map(|n| entry(n / 30, format!("{n:0>60}"))).collect();
        let blocks = pack(entries, 4096).expect("packed");
        let leaves = blocks.iter().filter_map(|(_, entries)| match entries {
            DirEntries::Leaf(names) => Some(names),
            DirEntries::Index(_) => None,
        });
        let mut hashes: Vec<u64> = leaves
            .flat_map(|names| names.chunk_by(|a, b| a.hash == b.hash).map(|group| group[0].hash))
            .collect();
        hashes.sort_unstable();
        assert_eq!(hashes, (0..10).collect::<Vec<u64>>());
        let same: Vec<DirEntry> = (0..300).map(|n| entry(7, format!("{n:0>60}"))).collect();
        assert!(pack(same, 4096).is_err());
    }
}
