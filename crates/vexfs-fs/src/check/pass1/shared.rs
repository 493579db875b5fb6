//! Blocks that belong to more than one object: the second owner is met by its claim, the first one is looked for afterwards.

use std::collections::BTreeMap;

use vexfs_format::geometry::BlockRun;

use super::super::context::Context;
use super::super::extent_walk::Extents;
use super::super::problem::Problem;
use super::super::table;
use crate::error::Result;

/// Runs whose first owners are looked for; more are reported with their second owner only.
const MAX_RUNS: usize = 4096;

/// Runs with several owners.
#[derive(Debug, Default)]
pub(in crate::check) struct Shared {
    /// First block → run, and the inodes that were found to share it.
    runs: BTreeMap<u64, (BlockRun, Vec<u64>)>,
    has_given_up: bool,
}

impl Shared {
    pub(super) fn add(&mut self, run: BlockRun, owner: u64) {
        if self.runs.len() < MAX_RUNS {
            let (_, owners) = self.runs.entry(run.start).or_insert((run, Vec::new()));
            if !owners.contains(&owner) {
                owners.push(owner);
            }
        }
    }

    /// Whether claims are not looked into any more.
    pub(in crate::check) fn has_given_up(&self) -> bool {
        self.has_given_up
    }

    /// Notes that claims are not looked into any more; returns whether that is news.
    pub(super) fn give_up(&mut self) -> bool {
        !std::mem::replace(&mut self.has_given_up, true)
    }
}

/// Goes through all objects once more and names those whose claims came first.
pub(in crate::check) fn name_first_owners(ctx: &mut Context<'_>) -> Result<()> {
    let shared = std::mem::take(&mut ctx.shared.runs);
    let Some(longest) = shared.values().map(|(run, _)| run.len).max() else { return Ok(()) };
    for index in 0..ctx.inodes.len() {
        let info = *ctx.inodes.at(index);
        if !info.is_used() || info.kind.is_none() {
            continue;
        }
        let Some(found) = ctx.read_inode(info.number) else { continue };
        let extents = Extents::walk(&ctx.volume, &found);
        let runs = extents.runs.iter().map(|r| BlockRun { start: r.start.get(), len: r.len.into() });
        let nodes = extents.nodes.iter().map(|&node| BlockRun { start: node, len: 1 });
        let descriptor = Some(found.descriptor.get()).filter(|&block| block > 0);
        let descriptor = descriptor.map(|block| BlockRun { start: block, len: 1 });
        for run in runs.chain(nodes).chain(descriptor) {
            for (_, (part, owners)) in shared.range(run.start.saturating_sub(longest)..run.end()) {
                let (from, to) = (run.start.max(part.start), run.end().min(part.end()));
                if from < to && !owners.contains(&info.number) {
                    let problem = Problem::new(table::BLOCKS_SHARED_FIRST).inode(info.number);
                    ctx.report(problem.blocks(from, to - from))?;
                }
            }
        }
    }
    Ok(())
}
