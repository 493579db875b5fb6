//! Pass 4: link counts.
//!
//! Verifies: that each inode's `links` is the number of entries that lead to it.
//!
//! Gathers: nothing.

use super::context::Context;
use super::problem::Problem;
use super::table;
use crate::error::Result;
use crate::source::BlockSource;

pub(super) fn run(ctx: &mut Context<'_>) -> Result<()> {
    let total = ctx.inodes.len() as u64;
    ctx.progress(4, 0, total)?;
    let root = ctx.volume.superblock().root_inode.get();
    for index in 0..ctx.inodes.len() {
        let info = *ctx.inodes.at(index);
        // No name leads to the root directory; it counts one all the same.
        let expected = if info.number == root { 1 } else { info.entries };
        // An inode without a name was reported as an orphan.
        if info.is_used() && info.kind.is_some() && expected > 0 && info.links != expected {
            let problem = Problem::new(table::LINKS).inode(info.number);
            ctx.report(problem.found(info.links).expected(expected))?;
        }
        ctx.progress(4, index as u64 + 1, total)?;
    }
    Ok(())
}
