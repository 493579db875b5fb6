//! Pass 1: group descriptors, inode tables and extents.
//!
//! Verifies: every group descriptor and its copies; that nothing of the filesystem's own overlaps; every record of an inode in use;
//! that its extents map what its size says, no more and no less, and that no block belongs to two objects or to the filesystem
//! itself; collection descriptors.
//!
//! Gathers: where bitmaps and tables are, the list of inodes, the blocks in use, the collections.

mod groups;
mod objects;
mod shared;
mod tables;

use super::context::Context;
use crate::error::Result;
pub(super) use objects::admit;
pub(super) use shared::{Shared, name_first_owners};

pub(super) fn run(ctx: &mut Context<'_>) -> Result<()> {
    read_groups(ctx)?;
    read_tables(ctx)
}

/// The group descriptors and their copies.
pub(super) fn read_groups(ctx: &mut Context<'_>) -> Result<()> {
    let total = ctx.group_count();
    ctx.progress(1, 0, total)?;
    groups::run(ctx)
}

/// The inode tables, and what the inodes lead to.
pub(super) fn read_tables(ctx: &mut Context<'_>) -> Result<()> {
    let total = ctx.group_count();
    for group in ctx.group_ids() {
        tables::scan(ctx, group)?;
        ctx.progress(1, group.get() + 1, total)?;
    }
    name_first_owners(ctx)
}
