//! Pass 3: connectivity.
//!
//! Verifies: the root directory and lost+found; that every object in use can be reached from the root directory.
//!
//! Gathers: nothing; what is out of reach is known when it ends.

use vexfs_format::codes::InodeKind;

use super::context::Context;
use super::inodes::State;
use super::problem::Problem;
use super::table;
use crate::dir;
use crate::error::Result;
use crate::source::BlockSource;
use crate::tree::LOST_FOUND_NAME;

pub(super) fn run(ctx: &mut Context<'_>) -> Result<()> {
    let total = ctx.inodes.len() as u64;
    ctx.progress(3, 0, total)?;
    let root = ctx.volume.superblock().root_inode.get();
    check_root(ctx, root)?;
    check_lost_found(ctx, root)?;
    if let Some(index) = ctx.inodes.index_of(root) {
        ctx.inodes.at_mut(index).state = State::Settled;
    }
    for index in 0..ctx.inodes.len() {
        climb(ctx, index)?;
        check_orphan(ctx, index, root)?;
        ctx.progress(3, index as u64 + 1, total)?;
    }
    Ok(())
}

fn check_root(ctx: &mut Context<'_>, root: u64) -> Result<()> {
    let at = |kind| Problem::new(kind).inode(root);
    match ctx.inodes.get(root).filter(|info| info.is_used()).copied() {
        Some(info) => match info.kind {
            None => ctx.report(at(table::ROOT_MISSING)),
            Some(InodeKind::Directory) if info.parent == root => Ok(()),
            Some(InodeKind::Directory) => ctx.report(at(table::ROOT_PARENT).found(info.parent)),
            Some(other) => ctx.report(at(table::ROOT_KIND).found(other)),
        },
        None => ctx.report(at(table::ROOT_MISSING)),
    }
}

fn check_lost_found(ctx: &mut Context<'_>, root: u64) -> Result<()> {
    let number = ctx.volume.superblock().lost_found_inode.get();
    if number == 0 {
        return Ok(());
    }
    let at = |kind| Problem::new(kind).inode(number);
    let kind = ctx.inodes.get(number).filter(|info| info.is_used()).and_then(|info| info.kind);
    match kind {
        None => return ctx.report(at(table::LOST_FOUND_MISSING)),
        Some(InodeKind::Directory) => {}
        Some(other) => return ctx.report(at(table::LOST_FOUND_KIND).found(other)),
    }
    let Some(directory) = ctx.read_inode(root) else { return Ok(()) };
    match dir::lookup(&ctx.volume, &directory, LOST_FOUND_NAME) {
        Ok(Some(entry)) if entry.inode.get() == number => Ok(()),
        Ok(_) => ctx.report(at(table::LOST_FOUND_NAME)),
        // A damaged root directory was reported.
        Err(_) => Ok(()),
    }
}

/// Goes up from a directory until it meets one that is settled; a way that comes back to itself is a loop.
fn climb(ctx: &mut Context<'_>, index: usize) -> Result<()> {
    let mut way = Vec::new();
    let mut at = index;
    loop {
        let info = *ctx.inodes.at(at);
        if !info.is_directory_like() || !info.is_used() || info.state == State::Settled {
            break;
        }
        if info.state == State::OnPath {
            let start = way.iter().position(|&index| index == at).unwrap_or(0);
            let first = way[start..].iter().map(|&index| ctx.inodes.at(index).number).min();
            ctx.report(Problem::new(table::DIRECTORY_LOOP).inode(first.unwrap_or(info.number)))?;
            break;
        }
        ctx.inodes.at_mut(at).state = State::OnPath;
        way.push(at);
        // A directory without a name is the end of the way; it is reported as an orphan.
        match ctx.inodes.index_of(info.parent) {
            Some(parent) if info.entries > 0 => at = parent,
            _ => break,
        }
    }
    for index in way {
        ctx.inodes.at_mut(index).state = State::Settled;
    }
    Ok(())
}

fn check_orphan(ctx: &mut Context<'_>, index: usize, root: u64) -> Result<()> {
    let info = *ctx.inodes.at(index);
    // lost+found without its name was reported as such, a damaged record with its table.
    let has_own_problem = info.number == ctx.volume.superblock().lost_found_inode.get();
    match info.kind {
        Some(kind) if info.entries == 0 && info.is_used() && info.number != root && !has_own_problem => {
            ctx.report(Problem::new(table::ORPHAN).inode(info.number).found(kind))
        }
        _ => Ok(()),
    }
}
