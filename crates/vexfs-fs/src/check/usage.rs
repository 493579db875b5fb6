//! Which blocks are in use, gathered from everything that refers to blocks.
//!
//! What the filesystem itself occupies is a sorted list of runs. What objects use is a bitmap for each group in which they use
//! something; a group that is used up needs none.

use std::collections::HashMap;

use vexfs_format::bitmap;
use vexfs_format::geometry::{BlockRun, Geometry};
use vexfs_format::{GroupNo, InodeNo};

/// Claims beyond this multiple of the blocks of the device are not looked into: that many cannot be told apart anyway, and a
/// crafted filesystem could make the check run for days.
const MAX_CLAIMS: u64 = 4;

/// The blocks in use.
#[derive(Debug)]
pub(crate) struct Usage {
    per_group: u64,
    blocks: u64,
    /// The filesystem's own runs: sorted, merged.
    fixed: Vec<BlockRun>,
    maps: HashMap<u64, GroupMap>,
    /// Blocks that may still be claimed.
    budget: u64,
}

/// What must not be given to anything else while a repair is under way.
#[derive(Debug)]
pub(crate) struct Occupied {
    /// Blocks.
    pub(crate) blocks: Usage,
    /// Inodes in use, rising.
    pub(crate) inodes: Vec<u64>,
    /// Inodes that are marked as free and have a whole record, rising.
    pub(crate) kept: Vec<u64>,
}

impl Occupied {
    /// Sets the bits of the inodes of `group`, of the reserved ones, and of those behind the last.
    pub(crate) fn mark_inodes(&self, geometry: &Geometry, group: GroupNo, map: &mut [u8]) {
        let first = group.get() * geometry.inodes_per_group + 1;
        let end = first + geometry.inodes_per_group;
        let from = self.inodes.partition_point(|&ino| ino < first);
        let used = self.inodes[from..].iter().copied().take_while(|&ino| ino < end);
        let reserved = (1..InodeNo::FIRST_ORDINARY.get()).filter(|ino| (first..end).contains(ino));
        for ino in used.chain(reserved) {
            bitmap::set(map, (ino - first) as usize);
        }
        geometry.fill_inode_bitmap(map);
    }
}

/// What is in use in one group, the filesystem's own blocks and the bits behind the end of the device included.
#[derive(Debug)]
enum GroupMap {
    Full,
    Partly { bits: Box<[u8]>, clear: u64 },
}

/// What a claim came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Claim {
    /// Parts that were in use already.
    pub(super) taken: Vec<BlockRun>,
    /// The claim was not looked into.
    pub(super) given_up: bool,
}

impl Usage {
    pub(super) fn new(geometry: &Geometry) -> Self {
        let budget = geometry.blocks.saturating_mul(MAX_CLAIMS);
        let (per_group, blocks) = (geometry.blocks_per_group(), geometry.blocks);
        Self { per_group, blocks, fixed: Vec::new(), maps: HashMap::new(), budget }
    }

    /// Sets the filesystem's own runs, before anything is claimed.
    pub(super) fn set_fixed(&mut self, mut runs: Vec<BlockRun>) {
        runs.sort_unstable_by_key(|r| r.start);
        self.fixed.clear();
        for run in runs.into_iter().filter(|run| run.len > 0) {
            match self.fixed.last_mut() {
                Some(last) if run.start <= last.end() => last.len = last.len.max(run.end() - last.start),
                _ => self.fixed.push(run),
            }
        }
    }

    /// The filesystem's own runs within `from .. to`.
    pub(super) fn fixed_in(&self, from: u64, to: u64) -> impl Iterator<Item = BlockRun> + '_ {
        let first = self.fixed.partition_point(|r| r.end() <= from);
        self.fixed[first..].iter().take_while(move |r| r.start < to).map(move |r| {
            let (start, end) = (r.start.max(from), r.end().min(to));
            BlockRun { start, len: end - start }
        })
    }

    /// Claims a run for an object. The run lies inside the device.
    pub(super) fn claim(&mut self, run: BlockRun) -> Claim {
        let mut claim = Claim::default();
        match self.budget.checked_sub(run.len) {
            Some(left) => self.budget = left,
            None => return Claim { given_up: true, ..claim },
        }
        let mut at = run.start;
        while at < run.end() {
            let group = at / self.per_group;
            let base = group * self.per_group;
            let end = run.end().min(base + self.per_group);
            let map = match self.maps.remove(&group) {
                Some(map) => map,
                None => self.fresh(group),
            };
            let map = match map {
                GroupMap::Full => {
                    push(&mut claim.taken, BlockRun { start: at, len: end - at });
                    GroupMap::Full
                }
                GroupMap::Partly { mut bits, mut clear } => {
                    let (from, to) = ((at - base) as usize, (end - base) as usize);
                    for (first, len) in bitmap::clear_runs(&bits, from, to) {
                        clear -= len as u64;
                        let free = base + first as u64;
                        push(&mut claim.taken, BlockRun { start: at, len: free - at });
                        at = free + len as u64;
                    }
                    push(&mut claim.taken, BlockRun { start: at, len: end - at });
                    bitmap::set_range(&mut bits, from, to);
                    if clear == 0 { GroupMap::Full } else { GroupMap::Partly { bits, clear } }
                }
            };
            self.maps.insert(group, map);
            at = end;
        }
        claim
    }

    /// Takes every block for one in use.
    pub(super) fn claim_everything(&mut self) {
        self.fixed = vec![BlockRun { start: 0, len: self.blocks }];
        self.maps.clear();
    }

    /// Whether objects use blocks of a group.
    pub(super) fn is_touched(&self, group: u64) -> bool {
        self.maps.contains_key(&group)
    }

    /// The block bitmap that a group should have.
    pub(crate) fn expected(&self, group: u64) -> Vec<u8> {
        match self.maps.get(&group) {
            Some(GroupMap::Full) => vec![0xFF; (self.per_group / 8) as usize],
            Some(GroupMap::Partly { bits, .. }) => bits.to_vec(),
            None => self.base_bits(group),
        }
    }

    fn fresh(&self, group: u64) -> GroupMap {
        let bits = self.base_bits(group).into_boxed_slice();
        let clear = bitmap::count_clear(&bits, self.per_group as usize) as u64;
        GroupMap::Partly { bits, clear }
    }

    /// The bits of a group in which objects use nothing.
    fn base_bits(&self, group: u64) -> Vec<u8> {
        let base = group * self.per_group;
        let end = self.blocks.min(base + self.per_group);
        let mut bits = vec![0; (self.per_group / 8) as usize];
        for run in self.fixed_in(base, end) {
            bitmap::set_range(&mut bits, (run.start - base) as usize, (run.end() - base) as usize);
        }
        bitmap::set_range(&mut bits, end.saturating_sub(base) as usize, self.per_group as usize);
        bits
    }
}

/// Adds a run to a list, joined with the last one where they touch.
fn push(list: &mut Vec<BlockRun>, run: BlockRun) {
    if run.len == 0 {
        return;
    }
    match list.last_mut() {
        Some(last) if last.end() == run.start => last.len += run.len,
        _ => list.push(run),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vexfs_format::geometry::GeometryParams;

    fn run(start: u64, len: u64) -> BlockRun {
        BlockRun { start, len }
    }

    fn usage() -> Usage {
        let geometry = Geometry::plan(&GeometryParams::new(100_000, 4096)).expect("plan");
        let mut usage = Usage::new(&geometry);
        usage.set_fixed(vec![run(40, 20), run(10, 10), run(20, 5), run(32_760, 16)]);
        usage
    }

    #[test]
    fn what_is_claimed_twice_is_said_in_runs() {
        let mut usage = usage();
        assert_eq!(usage.fixed, [run(10, 15), run(40, 20), run(32_760, 16)]);
        assert_eq!(usage.claim(run(100, 50)), Claim::default());
        assert_eq!(usage.claim(run(90, 70)).taken, [run(100, 50)]);
        assert_eq!(usage.claim(run(0, 45)).taken, [run(10, 15), run(40, 5)]);
        // Across a group boundary.
        assert_eq!(usage.claim(run(32_000, 2_000)).taken, [run(32_760, 16)]);
        assert_eq!(usage.claim(run(33_000, 1)).taken, [run(33_000, 1)]);
    }

    #[test]
    fn a_group_that_is_used_up_needs_no_map() {
        let mut usage = usage();
        assert_eq!(usage.claim(run(65_536, 30_000)), Claim::default());
        assert!(matches!(usage.maps[&2], GroupMap::Partly { .. }));
        let end = usage.blocks;
        assert_eq!(usage.claim(run(95_536, end - 95_536)), Claim::default());
        assert!(matches!(usage.maps[&2], GroupMap::Full));
        // The last group reaches beyond the end of the device.
        assert!(matches!(usage.maps[&3], GroupMap::Full));
        assert_eq!(usage.claim(run(70_000, 3)).taken, [run(70_000, 3)]);
        assert_eq!(usage.expected(2), vec![0xFF; 4096]);
    }

    #[test]
    fn too_many_claims_are_given_up() {
        let mut usage = usage();
        let all = run(0, usage.blocks);
        for _ in 0..MAX_CLAIMS {
            assert!(!usage.claim(all).given_up);
        }
        assert!(usage.claim(all).given_up);
    }
}
