//! Passes 3 and 4: the root directory, lost+found, objects without a name, link counts.
//!
//! Whatever is in use and cannot be reached gets the name `#` and its number in lost+found; a stream goes back to its collection where
//! its length says which one it is, a file of an index to its index (`index_names`).

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{STREAM_KEYS, STREAM_VECTORS};
use zerocopy::little_endian::{U16, U32, U64};

use super::super::context::{CollectionInfo, Context, STREAMS};
use super::super::problem::{Fix, Problem};
use super::super::table;
use super::index_names::{self, Fate};
use super::{batch, directories, records, streams};
use crate::collection::INDEX_DIRECTORY;
use crate::error::Result;
use crate::source::BlockSource;
use crate::tree::LOST_FOUND_NAME;
use crate::txn::transaction::Transaction;
use crate::{dir, inode};

/// What becomes of an object without a name.
enum Rescue {
    /// It gets a name in lost+found.
    Keep(InodeNo),
    /// It is the stream of this name in the collection that it names as its parent.
    Stream(InodeNo, InodeNo, &'static str),
    /// It is the directory of index images of the collection that it names as its parent.
    Images(InodeNo, InodeNo),
    /// It is a file of an index in this directory.
    Index(InodeNo, InodeNo, Fate),
    /// It is out of reach with what is below it: its name is removed, and it gets one in lost+found.
    Loop(InodeNo),
}

/// Connects what was decided with the root directory.
pub(super) fn repair(ctx: &mut Context<'_>) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Tree]);
    let (orphans, roots): (Vec<Problem>, Vec<Problem>) = accepted
        .into_iter()
        .partition(|problem| problem.kind == table::ORPHAN || problem.kind == table::DIRECTORY_LOOP);
    batch::settle(ctx, &roots)?;
    batch::run(&mut ctx.volume, &mut ctx.reporter, &roots, repair_root)?;
    if orphans.is_empty() {
        return Ok(());
    }
    batch::settle(ctx, &orphans)?;
    let rescues = rescues(ctx, &orphans)?;
    batch::run(&mut ctx.volume, &mut ctx.reporter, &rescues, carry_out)
}

fn repair_root(txn: &mut Transaction<'_>, problem: &Problem) -> Result<()> {
    if problem.kind == table::ROOT_KIND {
        // Its blocks may hold names all the same.
        let mut root = inode::read(txn, InodeNo::ROOT)?;
        let size = txn.block_size() as u64;
        root.kind = U16::new(InodeKind::Directory.code());
        root.mode = U16::new(InodeKind::Directory.mode_type() | root.mode.get() & 0o7777);
        (root.flags, root.descriptor) = (U32::new(0), U64::new(0));
        root.parent = U64::new(InodeNo::ROOT.get());
        root.size = U64::new(root.size.get() / size * size);
        if dir::list(txn, &root).is_ok() {
            return txn.write_inode(&mut root);
        }
    }
    if problem.kind == table::ROOT_MISSING || problem.kind == table::ROOT_KIND {
        return make_directory(txn, InodeNo::ROOT, 0o755);
    }
    if problem.kind == table::ROOT_PARENT {
        let mut root = inode::read(txn, InodeNo::ROOT)?;
        root.parent = U64::new(InodeNo::ROOT.get());
        return txn.write_inode(&mut root);
    }
    lost_found(txn).map(drop)
}

/// Makes an inode of a fixed number an empty directory below the root directory; the first transaction of a filesystem does the same.
fn make_directory(txn: &mut Transaction<'_>, ino: InodeNo, permissions: u16) -> Result<()> {
    txn.take_inode(ino, true)?;
    let directory = txn.new_inode(ino, InodeNo::ROOT, InodeKind::Directory, permissions);
    dir::initialise(txn, directory).map(drop)
}

/// lost+found: the one there is, with its name, or a new one.
pub(super) fn lost_found(txn: &mut Transaction<'_>) -> Result<InodeNo> {
    let is_directory = |txn: &Transaction<'_>, ino| {
        ino != InodeNo::ROOT && inode::read(txn, ino).is_ok_and(|inode| inode.kind() == InodeKind::Directory)
    };
    let mut ino = InodeNo(txn.sb.lost_found_inode.get());
    if !is_directory(txn, ino) {
        ino = InodeNo::LOST_FOUND;
        if inode::read(txn, ino).is_err() {
            make_directory(txn, ino, 0o700)?;
        } else if !is_directory(txn, ino) {
            // Something else has the usual number.
            ino = txn.allocate_inode(InodeNo::ROOT, true)?;
            let directory = txn.new_inode(ino, InodeNo::ROOT, InodeKind::Directory, 0o700);
            dir::initialise(txn, directory)?;
        }
        txn.sb.lost_found_inode = U64::new(ino.get());
        txn.stage_superblock()?;
    }
    let root = inode::read(txn, InodeNo::ROOT)?;
    match dir::lookup(txn, &root, LOST_FOUND_NAME)? {
        Some(entry) if entry.inode == ino => return Ok(ino),
        Some(entry) => {
            // Another object has the name: it gets a number behind it.
            let mut number = 2;
            let free = loop {
                let name = directories::numbered(LOST_FOUND_NAME, number);
                if dir::lookup(txn, &root, &name)?.is_none() {
                    break name;
                }
                number += 1;
            };
            dir::remove(txn, InodeNo::ROOT, LOST_FOUND_NAME)?;
            dir::insert(txn, InodeNo::ROOT, &free, entry.inode, entry.kind)?;
        }
        None => {}
    }
    dir::insert(txn, InodeNo::ROOT, LOST_FOUND_NAME, ino, InodeKind::Directory)?;
    let mut directory = inode::read(txn, ino)?;
    if directory.parent.get() != InodeNo::ROOT.get() || directory.links.get() != 1 {
        (directory.parent, directory.links) = (U64::new(InodeNo::ROOT.get()), U32::new(1));
        txn.write_inode(&mut directory)?;
    }
    Ok(ino)
}

/// What becomes of each object. A stream that was recognised helps to recognise the others: without vectors nobody knows their checksums.
fn rescues(ctx: &mut Context<'_>, orphans: &[Problem]) -> Result<Vec<Rescue>> {
    let mut rescues = Vec::new();
    let mut waiting: Vec<InodeNo> = Vec::new();
    for problem in orphans {
        match problem.place.inode.map(InodeNo) {
            Some(ino) if problem.kind == table::DIRECTORY_LOOP => rescues.push(Rescue::Loop(ino)),
            Some(ino) => waiting.push(ino),
            None => {}
        }
    }
    loop {
        let before = waiting.len();
        waiting.retain(|&ino| match back_to_collection(ctx, ino) {
            Some(rescue) => {
                rescues.push(rescue);
                false
            }
            None => true,
        });
        if waiting.len() == before {
            break;
        }
    }
    let of_indexes = index_names::take(ctx, &mut waiting)?;
    rescues.extend(of_indexes.into_iter().map(|(ino, directory, fate)| Rescue::Index(ino, directory, fate)));
    rescues.extend(waiting.into_iter().map(Rescue::Keep));
    Ok(rescues)
}

/// The place of an object in the collection that it names as its parent, if it is known.
fn back_to_collection(ctx: &mut Context<'_>, ino: InodeNo) -> Option<Rescue> {
    let info = *ctx.inodes.get(ino.get())?;
    let index = ctx.collections.binary_search_by_key(&info.parent, |c| c.ino).ok()?;
    let collection = InodeNo(info.parent);
    match info.kind? {
        InodeKind::Stream => {
            let name = stream_name(ctx, &ctx.collections[index], ino)?;
            let stream = STREAMS.iter().position(|stream| *stream == name)?;
            ctx.collections[index].streams[stream] = ino.get();
            Some(Rescue::Stream(ino, collection, name))
        }
        InodeKind::Directory => {
            let above = ctx.read_inode(collection.get())?;
            let is_free =
                dir::lookup(&ctx.volume, &above, INDEX_DIRECTORY.as_bytes()).is_ok_and(|e| e.is_none());
            is_free.then_some(Rescue::Images(ino, collection))
        }
        _ => None,
    }
}

/// Which stream of its collection an object is, if only one is missing that it can be.
pub(super) fn stream_name(
    ctx: &Context<'_>,
    collection: &CollectionInfo,
    ino: InodeNo,
) -> Option<&'static str> {
    let size = ctx.read_inode(ino.get())?.size.get();
    let rows = collection.desc.rows.get();
    let lengths = streams::lengths(&collection.desc);
    let missing = STREAMS.into_iter().zip(lengths).zip(collection.streams).filter(|(_, ino)| *ino == 0);
    let fits = missing.filter(|((name, length), _)| match length {
        Some(length) if *name == STREAM_KEYS => size >= *length,
        Some(length) => size == *length && rows > 0,
        None => false,
    });
    let mut names: Vec<&'static str> = fits.map(|((name, _), _)| name).collect();
    if names.len() > 1 {
        names.retain(|name| streams::holds_what_it_should(ctx, collection, ino, name));
    }
    match names[..] {
        [name] => Some(name),
        // Rows come before what describes them.
        [STREAM_VECTORS, ..] => Some(STREAM_VECTORS),
        _ => None,
    }
}

fn carry_out(txn: &mut Transaction<'_>, rescue: &Rescue) -> Result<()> {
    match rescue {
        Rescue::Keep(ino) => keep(txn, *ino),
        Rescue::Stream(ino, collection, name) => {
            let mut inode = inode::read(txn, *ino)?;
            inode.links = U32::new(1);
            txn.write_inode(&mut inode)?;
            dir::insert(txn, *collection, name.as_bytes(), *ino, InodeKind::Stream)
        }
        Rescue::Images(ino, collection) => {
            let mut inode = inode::read(txn, *ino)?;
            inode.links = U32::new(1);
            txn.write_inode(&mut inode)?;
            dir::insert(txn, *collection, INDEX_DIRECTORY.as_bytes(), *ino, InodeKind::Directory)
        }
        Rescue::Index(ino, _, Fate::Dropped) => records::free(txn, *ino),
        Rescue::Index(ino, directory, Fate::Named(name)) => {
            let above = inode::read(txn, *directory)?;
            let taken = dir::lookup(txn, &above, name.as_bytes())?;
            if taken.is_some_and(|entry| entry.kind != InodeKind::Stream) {
                // No file of an index has that name. If it is the only one of its object, the next round finds that without a name.
                dir::remove(txn, *directory, name.as_bytes())?;
            }
            let mut inode = inode::read(txn, *ino)?;
            inode.links = U32::new(1);
            txn.write_inode(&mut inode)?;
            dir::insert(txn, *directory, name.as_bytes(), *ino, InodeKind::Stream)
        }
        Rescue::Loop(ino) => {
            let parent = InodeNo(inode::read(txn, *ino)?.parent.get());
            let directory = inode::read(txn, parent)?;
            let names = dir::list(txn, &directory)?;
            for entry in names.into_iter().filter(|entry| entry.inode == *ino) {
                dir::remove(txn, parent, &entry.name)?;
            }
            keep(txn, *ino)
        }
    }
}

/// Gives an object a name in lost+found. A stream becomes a file there.
pub(super) fn keep(txn: &mut Transaction<'_>, ino: InodeNo) -> Result<()> {
    let lost_found = lost_found(txn)?;
    let mut object = inode::read(txn, ino)?;
    if object.kind() == InodeKind::Stream {
        object.kind = U16::new(InodeKind::File.code());
    }
    let is_directory = object.kind().is_directory_like();
    object.parent = U64::new(if is_directory { lost_found.get() } else { 0 });
    object.links = U32::new(1);
    txn.write_inode(&mut object)?;
    let name = free_name(txn, lost_found, &format!("#{ino}"))?;
    dir::insert(txn, lost_found, &name, ino, object.kind())
}

/// A name in lost+found that is not taken.
pub(super) fn free_name(txn: &Transaction<'_>, lost_found: InodeNo, name: &str) -> Result<Vec<u8>> {
    let directory = inode::read(txn, lost_found)?;
    let mut free = name.as_bytes().to_vec();
    let mut number = 2;
    while dir::lookup(txn, &directory, &free)?.is_some() {
        free = directories::numbered(name.as_bytes(), number);
        number += 1;
    }
    Ok(free)
}

/// Stores the link counts that were decided.
pub(super) fn repair_links(ctx: &mut Context<'_>) -> Result<()> {
    let accepted = ctx.reporter.take_accepted(&[Fix::Links]);
    batch::apply(ctx, &accepted, |txn, problem| {
        let (Some(ino), Some(links)) = (problem.place.inode, &problem.expected) else { return Ok(()) };
        let mut inode = inode::read(txn, InodeNo(ino))?;
        inode.links = U32::new(links.parse().unwrap_or(inode.links.get()));
        txn.write_inode(&mut inode)
    })
}
