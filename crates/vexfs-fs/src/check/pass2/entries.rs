//! One name: where it leads, and whether that agrees.

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::dir_block::DirEntry;

use super::super::context::{Context, STREAMS};
use super::super::inodes::State;
use super::super::problem::Problem;
use super::super::table;
use super::super::{pass1, paths};
use super::Late;
use crate::collection::INDEX_DIRECTORY;
use crate::error::Result;
use crate::source::BlockSource;

/// Name of the directory of index images in a collection.
const INDEX_NAME: &[u8] = INDEX_DIRECTORY.as_bytes();

/// The directory that holds the names.
pub(super) struct Parent {
    ino: u64,
    kind: InodeKind,
    /// Whether it is the directory of index images of a collection.
    holds_images: bool,
}

impl Parent {
    pub(super) fn of(ctx: &Context<'_>, index: usize) -> Self {
        let info = ctx.inodes.at(index);
        let kind = info.kind.unwrap_or(InodeKind::Directory);
        let above = ctx.inodes.get(info.parent).and_then(|above| above.kind);
        let holds_images = kind == InodeKind::Directory && above == Some(InodeKind::Collection);
        Self { ino: info.number, kind, holds_images }
    }
}

/// Takes an entry, which lies in block `place`, into account.
pub(super) fn take(
    ctx: &mut Context<'_>,
    parent: &Parent,
    place: u64,
    name: &str,
    entry: &DirEntry,
    late: &mut Late,
) -> Result<()> {
    let target = entry.inode.get();
    let at = |kind| Problem::new(kind).inode(parent.ino).block(place).name(name).other(target);
    let sb = ctx.volume.superblock();
    if target > sb.inodes.get() {
        let inodes = sb.inodes.get();
        return ctx.report(at(table::ENTRY_NUMBER).expected(inodes));
    }
    if target == sb.root_inode.get() {
        return ctx.report(at(table::ENTRY_ROOT));
    }
    if target > InodeNo::LOST_FOUND.get() && target < InodeNo::FIRST_ORDINARY.get() {
        return ctx.report(at(table::ENTRY_RESERVED));
    }
    let Some(index) = ctx.inodes.index_of(target) else {
        return ctx.report(at(table::ENTRY_UNUSED));
    };
    if parent.kind == InodeKind::Collection {
        note_stream(ctx, parent.ino, entry);
    }
    if ctx.inodes.at(index).state == State::Candidate {
        pass1::admit(ctx, index)?;
        if ctx.inodes.at(index).is_directory_like() {
            late.add(index);
        }
    }
    let info = ctx.inodes.at_mut(index);
    info.entries = info.entries.saturating_add(1);
    let (count, named) = (info.entries, info.parent);
    let Some(kind) = info.kind else {
        return ctx.report(at(table::ENTRY_DAMAGED));
    };
    if kind != entry.kind {
        ctx.report(at(table::ENTRY_KIND).found(entry.kind).expected(kind))?;
    }
    if matches!(kind, InodeKind::File | InodeKind::Symlink) {
        if count == 1 {
            ctx.inodes.at_mut(index).parent = parent.ino;
        }
    } else if count > 1 {
        ctx.report(at(table::ENTRY_SECOND).found(kind))?;
    } else if named != parent.ino && paths::holds(ctx, named, target) {
        // The directory that it says it belongs to has its name.
        ctx.inodes.at_mut(index).entries -= 1;
        ctx.report(at(table::ENTRY_SECOND).found(kind))?;
    } else if named != parent.ino {
        // From here on its parent is where its name is.
        ctx.inodes.at_mut(index).parent = parent.ino;
        let problem = Problem::new(table::PARENT).inode(target).block(place);
        ctx.report(problem.found(named).expected(parent.ino))?;
    }
    check_place(ctx, parent, entry, kind, at)
}

/// Remembers the streams of collections, and where their indexes are.
fn note_stream(ctx: &mut Context<'_>, collection: u64, entry: &DirEntry) {
    let stream = STREAMS.iter().position(|name| name.as_bytes() == entry.name);
    if let Ok(index) = ctx.collections.binary_search_by_key(&collection, |c| c.ino) {
        match stream {
            Some(stream) => ctx.collections[index].streams[stream] = entry.inode.get(),
            None if entry.name == INDEX_NAME => ctx.collections[index].index = entry.inode.get(),
            None => {}
        }
    }
}

/// Streams belong into collections, and the names that the format defines there lead to what it says.
fn check_place(
    ctx: &mut Context<'_>,
    parent: &Parent,
    entry: &DirEntry,
    kind: InodeKind,
    at: impl Fn(&'static super::super::problem::Kind) -> Problem,
) -> Result<()> {
    if parent.kind != InodeKind::Collection {
        if kind == InodeKind::Stream && !parent.holds_images {
            return ctx.report(at(table::STREAM_OUTSIDE));
        }
        return Ok(());
    }
    let expected = if entry.name == INDEX_NAME {
        InodeKind::Directory
    } else if STREAMS.iter().any(|name| name.as_bytes() == entry.name) {
        InodeKind::Stream
    } else {
        // A name that the format does not define belongs to a feature.
        return Ok(());
    };
    if kind != expected {
        ctx.report(at(table::COLLECTION_ENTRY).found(kind).expected(expected))?;
    }
    Ok(())
}
