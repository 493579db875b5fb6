//! The indexes of a collection: the files of each belong together, its images can be opened and are of the collection's rows, and,
//! where all data is read, nothing in them contradicts itself or leaves out a row.
//!
//! The blocks of the images have been compared with their checksums before: what is damaged in them is not said twice.

use std::cell::RefCell;

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::features::COMPAT_KNOWN;
use vexfs_format::inode::FLAG_LOST;

use super::super::DataLevel;
use super::super::context::{CollectionInfo, Context, reason};
use super::super::problem::{Kind, Problem};
use super::super::table;
use crate::collection::Collection;
use crate::dir;
use crate::error::{FsError, Result};
use crate::index::files::{self, IndexFiles};
use crate::index::{StoredIndex, verify_parts};

pub(super) fn check(ctx: &mut Context<'_>, info: &CollectionInfo) -> Result<()> {
    check_entries(ctx, info)?;
    // What cannot be listed was reported with the directory.
    let Some((collection, all)) = open(ctx, info) else { return Ok(()) };
    for files in all {
        check_files(ctx, info, &collection, &files)?;
    }
    Ok(())
}

/// The indexes of a collection, as far as they can be listed.
pub(in crate::check) fn open(
    ctx: &Context<'_>,
    info: &CollectionInfo,
) -> Option<(Collection, Vec<IndexFiles>)> {
    let inode = ctx.read_inode(info.ino)?;
    let collection = Collection::from_inode(&ctx.volume, "", inode).ok()?;
    let files = files::list(&ctx.volume, &collection).ok()?;
    Some((collection, files))
}

/// Names that are those of no file of an index.
fn check_entries(ctx: &mut Context<'_>, info: &CollectionInfo) -> Result<()> {
    if info.desc.feature_compat.get() & !COMPAT_KNOWN != 0 {
        // They may belong to what this program does not know.
        return Ok(());
    }
    let Some(directory) = ctx.read_inode(info.index) else { return Ok(()) };
    let Ok(entries) = dir::list(&ctx.volume, &directory) else { return Ok(()) };
    for entry in entries {
        let is_file = std::str::from_utf8(&entry.name).ok().and_then(files::parse_name).is_some();
        if is_file && entry.kind == InodeKind::Stream {
            continue;
        }
        let problem = Problem::new(table::INDEX_ENTRY).inode(info.index).other(entry.inode.get());
        let name = String::from_utf8_lossy(&entry.name);
        ctx.report(problem.name(name).found(entry.kind))?;
    }
    Ok(())
}

fn check_files(
    ctx: &mut Context<'_>,
    info: &CollectionInfo,
    collection: &Collection,
    files: &IndexFiles,
) -> Result<()> {
    let at = |kind: &'static Kind| Problem::new(kind).inode(info.ino).name(&files.name);
    if files.parts.is_empty() && files.spec.is_none() {
        return ctx.report(at(table::INDEX_FILES).found("it has no part"));
    }
    if files.spec.is_none() {
        ctx.report(at(table::INDEX_FILES).found("its description is missing"))?;
    }
    if is_lost(ctx, files) {
        return ctx.report(at(table::INDEX_IMAGE).found("a part of it is lost"));
    }
    if ctx.data == DataLevel::None {
        return Ok(());
    }
    if files.spec.is_some()
        && let Err(error) = files.read_spec(&ctx.volume, collection)
        && let Some(found) = unsaid(&error)
    {
        ctx.report(at(table::INDEX_FILES).found(found))?;
    }
    if files.is_unbuilt() {
        // A compaction has dropped its images; the description is all that there is until it is built again.
        return Ok(());
    }
    let stored = match StoredIndex::open(&ctx.volume, collection, files) {
        Ok(stored) => stored,
        Err(error) => return report(ctx, at(table::INDEX_IMAGE), &error),
    };
    if let Err(error) = stored.calibration() {
        report(ctx, at(table::INDEX_CALIBRATION), &error)?;
    }
    if let Err(error) = stored.searchable() {
        return report(ctx, at(table::INDEX_IMAGE), &error);
    }
    if ctx.data < DataLevel::Full {
        return Ok(());
    }
    match verify(ctx, collection, &stored) {
        Err(FsError::Interrupted) => Err(FsError::Interrupted),
        Err(error) => report(ctx, at(table::INDEX_CONTRADICTS), &error),
        Ok(()) => Ok(()),
    }
}

/// Looks at everything in the images, where the collection is sound enough to say which rows must be there.
fn verify(ctx: &mut Context<'_>, collection: &Collection, stored: &StoredIndex) -> Result<()> {
    if collection.check_rows(&ctx.volume).is_err() {
        return Ok(());
    }
    let Ok(deletions) = collection.deletions(&ctx.volume) else { return Ok(()) };
    let reporter = RefCell::new(&mut ctx.reporter);
    verify_parts(stored, &deletions, &|| reporter.borrow_mut().progress_again().is_err())
}

/// Whether a repair has given up a part of one of its files.
fn is_lost(ctx: &Context<'_>, files: &IndexFiles) -> bool {
    let others = files.spec.iter().chain(&files.calibration);
    let mut inodes = files.parts.values().chain(others);
    let flags = |ino: &InodeNo| ctx.read_inode(ino.get()).map_or(0, |inode| inode.flags.get());
    inodes.any(|ino| flags(ino) & FLAG_LOST != 0)
}

fn report(ctx: &mut Context<'_>, problem: Problem, error: &FsError) -> Result<()> {
    match unsaid(error) {
        Some(found) => ctx.report(problem.found(found)),
        None => Ok(()),
    }
}

/// What is wrong with an index, unless it was reported with the inode, the extents or the blocks.
fn unsaid(error: &FsError) -> Option<String> {
    match error {
        FsError::Corrupt(_) | FsError::Device(_) => None,
        FsError::Index { problem, .. } => Some(problem.clone()),
        other => Some(reason(other)),
    }
}
