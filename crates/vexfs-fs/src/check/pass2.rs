//! Pass 2: directories.
//!
//! Verifies: the tree of names of each directory and collection; that each name lies where it is looked for and is there once; that it
//! leads to an inode in use of the kind it says, which names the directory as its parent.
//!
//! Gathers: how many entries lead to each inode, the directory of each object, the streams of collections.

mod entries;
mod tree;

use super::context::Context;
use super::pass1;
use crate::error::Result;

/// Directories that a name takes into use after all. Those that the pass has gone by are looked at behind the others.
struct Late {
    /// Index of the inode that the pass has come to.
    current: usize,
    missed: Vec<usize>,
}

impl Late {
    fn add(&mut self, index: usize) {
        if index < self.current {
            self.missed.push(index);
        }
    }
}

pub(super) fn run(ctx: &mut Context<'_>) -> Result<()> {
    let total = ctx.inodes.len() as u64;
    ctx.progress(2, 0, total)?;
    let mut late = Late { current: 0, missed: Vec::new() };
    for index in 0..ctx.inodes.len() {
        late.current = index;
        let info = ctx.inodes.at(index);
        if info.is_directory_like() && info.is_used() {
            tree::check(ctx, index, &mut late)?;
        }
        ctx.progress(2, index as u64 + 1, total)?;
    }
    late.current = usize::MAX;
    while let Some(index) = late.missed.pop() {
        tree::check(ctx, index, &mut late)?;
    }
    pass1::name_first_owners(ctx)
}
