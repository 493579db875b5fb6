//! The path of an object, for messages: looked up when a problem is reported, so that no names are kept.

use super::context::Context;
use crate::dir;
use crate::source::BlockSource;

/// Directories above an object that are looked at; deeper ones have no path in messages.
const MAX_DEPTH: usize = 64;
/// What a directory costs beside its entries.
const DIRECTORY_COST: u64 = 256;

/// Entries that may still be looked at for paths: a filesystem with endless problems is not searched endlessly for their names.
#[derive(Debug)]
pub(super) struct Budget(u64);

impl Default for Budget {
    fn default() -> Self {
        Self(4 << 20)
    }
}

/// A path of inode `ino`, if one can be found.
pub(super) fn find(ctx: &mut Context<'_>, ino: u64) -> Option<String> {
    let root = ctx.volume.superblock().root_inode.get();
    let mut names: Vec<String> = Vec::new();
    let mut at = ino;
    while at != root {
        let parent = parent_of(ctx, at)?;
        if names.len() == MAX_DEPTH || parent == at {
            return None;
        }
        names.push(name_in(ctx, parent, at)?);
        at = parent;
    }
    names.reverse();
    Some(format!("/{}", names.join("/")))
}

/// The directory that holds an entry for the inode, as far as is known.
fn parent_of(ctx: &Context<'_>, ino: u64) -> Option<u64> {
    let parent = match ctx.inodes.get(ino) {
        Some(info) => info.parent,
        None => ctx.read_inode(ino)?.parent.get(),
    };
    (parent > 0).then_some(parent)
}

/// Whether a directory is known to hold a name for the inode.
pub(super) fn holds(ctx: &mut Context<'_>, directory: u64, ino: u64) -> bool {
    let is_directory = ctx.inodes.get(directory).is_some_and(|info| info.is_directory_like());
    is_directory && name_in(ctx, directory, ino).is_some()
}

fn name_in(ctx: &mut Context<'_>, directory: u64, ino: u64) -> Option<String> {
    ctx.lookups.0 = ctx.lookups.0.checked_sub(DIRECTORY_COST)?;
    let directory = ctx.read_inode(directory)?;
    // A crafted size may name more blocks than there are.
    let blocks = directory.size.get() / ctx.volume.block_size() as u64;
    ctx.lookups.0 = ctx.lookups.0.checked_sub(blocks)?;
    let entries = dir::list(&ctx.volume, &directory).ok()?;
    ctx.lookups.0 = ctx.lookups.0.saturating_sub(entries.len() as u64);
    let entry = entries.into_iter().find(|entry| entry.inode.get() == ino)?;
    Some(String::from_utf8_lossy(&entry.name).into_owned())
}
