//! The extents of a file in memory: load the tree, look blocks up, append, and lay the tree out again.

use vexfs_format::error::{At, Corrupt, Damage, Structure};
use vexfs_format::extent::{self, NodeEntries, Run, SUMS_BASE};
use vexfs_format::inode::{Inode, ROOT_ENTRIES, Root};
use vexfs_format::{BlockNo, InodeNo, LogicalBlock};

use crate::error::Result;
use crate::source::BlockSource;

/// All extents of one inode in logical order, and the blocks of the tree that hold them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtentMap {
    runs: Vec<Run>,
    /// Blocks of the tree nodes, leaves first, each level in logical order.
    nodes: Vec<BlockNo>,
}

impl ExtentMap {
    /// Loads the extents of `inode`.
    ///
    /// Order is checked over the whole tree, so a tree that is damaged into a cycle or a web cannot make this run on: the
    /// second visit of a node breaks the order.
    ///
    /// No block belongs to two extents, so together they are not longer than the device. What a file is found to hold is
    /// thereby bounded by the device, whatever its size field says.
    ///
    /// # Errors
    /// Device errors, and damage of a node; extents that are together longer than the device.
    pub fn load(src: &(impl BlockSource + ?Sized), inode: &Inode) -> Result<Self> {
        let ino = inode.number();
        let fault = |(name, found, expected)| {
            Corrupt::new(Structure::Inode, At::Inode(ino.get()), Damage::Field { name, found, expected })
        };
        let children = match inode.root(src.blocks()).map_err(fault)? {
            Root::Target(_) => return Ok(Self::default()),
            Root::Extents(runs) => return Self { runs, nodes: Vec::new() }.bounded(src, ino),
            Root::Index(children) => children,
        };
        let mut levels: Vec<Vec<BlockNo>> = vec![Vec::new(); usize::from(inode.depth.get())];
        let mut map = Self::default();
        map.descend(src, ino, &children, inode.depth.get() - 1, &mut levels)?;
        map.nodes = levels.into_iter().flatten().collect();
        map.bounded(src, ino)
    }

    fn bounded(self, src: &(impl BlockSource + ?Sized), ino: InodeNo) -> Result<Self> {
        if self.blocks() <= src.blocks() {
            return Ok(self);
        }
        let damage = Damage::Field {
            name: "extents",
            found: self.blocks(),
            expected: "together at most the blocks of the device",
        };
        Err(Corrupt::new(Structure::Inode, At::Inode(ino.get()), damage).into())
    }

    fn descend(
        &mut self,
        src: &(impl BlockSource + ?Sized),
        ino: InodeNo,
        children: &[(u64, BlockNo)],
        level: u16,
        levels: &mut [Vec<BlockNo>],
    ) -> Result<()> {
        for &(first, child) in children {
            let block = src.read_block(child)?;
            let entries = extent::decode_node(&block, child, ino, level, src.blocks(), src.seed())?;
            let lowest = match &entries {
                NodeEntries::Leaf(runs) => runs.first().map_or(first, |r| r.logical.get()),
                NodeEntries::Index(below) => below.first().map_or(first, |&(logical, _)| logical),
            };
            let end = self.runs.last().map_or(0, Run::logical_end);
            if lowest != first || first < end {
                let damage = Damage::Field {
                    name: "logical",
                    found: lowest,
                    expected: "that of its parent's entry, in order",
                };
                return Err(Corrupt::new(Structure::ExtentNode, At::Block(child.get()), damage).into());
            }
            levels[usize::from(level)].push(child);
            match entries {
                NodeEntries::Leaf(runs) => self.runs.extend(runs),
                NodeEntries::Index(below) => self.descend(src, ino, &below, level - 1, levels)?,
            }
        }
        Ok(())
    }

    /// The extents in logical order.
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Blocks of the tree nodes.
    pub fn nodes(&self) -> &[BlockNo] {
        &self.nodes
    }

    /// Blocks that the extents and the tree take.
    pub fn blocks(&self) -> u64 {
        self.runs.iter().map(|r| u64::from(r.len)).sum::<u64>() + self.nodes.len() as u64
    }

    /// The device block of logical block `logical`.
    pub fn lookup(&self, logical: u64) -> Option<BlockNo> {
        let after = self.runs.partition_point(|r| r.logical.get() <= logical);
        let run = self.runs[..after].last()?;
        let offset = logical - run.logical.get();
        (offset < run.len.into()).then(|| BlockNo(run.start.get() + offset))
    }

    /// The parts of the extents within `from .. to`, in order.
    pub fn range(&self, from: u64, to: u64) -> impl Iterator<Item = Run> + '_ {
        let first = self.runs.partition_point(|r| r.logical_end() <= from);
        self.runs[first..].iter().take_while(move |r| r.logical.get() < to).map(move |r| {
            let start = r.logical.get().max(from);
            let end = r.logical_end().min(to);
            Run {
                logical: LogicalBlock(start),
                start: BlockNo(r.start.get() + (start - r.logical.get())),
                len: (end - start) as u32,
            }
        })
    }

    /// Whether exactly the first `data` blocks of the data range and the first `sums` of the checksum range are mapped.
    ///
    /// Whoever adds blocks to a file has to know: only then are the next ones free.
    pub fn maps_exactly(&self, data: u64, sums: u64) -> bool {
        let (of_data, of_sums) =
            self.runs.split_at(self.runs.partition_point(|r| r.logical.get() < SUMS_BASE));
        let end = |runs: &[Run], start: u64| {
            runs.iter().try_fold(start, |end, run| (run.logical.get() == end).then(|| run.logical_end()))
        };
        end(of_data, 0) == Some(data) && end(of_sums, SUMS_BASE) == Some(SUMS_BASE + sums)
    }

    /// First logical block of the data range that is not mapped, given that there are no holes.
    pub fn data_end(&self) -> u64 {
        let first_sum = self.runs.partition_point(|r| r.logical.get() < SUMS_BASE);
        self.runs[..first_sum].last().map_or(0, Run::logical_end)
    }

    /// Adds the mapping of `len` blocks at `logical` to `start`, joining it with its neighbours where they touch.
    ///
    /// The caller guarantees that none of these logical blocks is mapped.
    pub fn insert(&mut self, logical: u64, start: BlockNo, len: u64) {
        let mut at = self.runs.partition_point(|r| r.logical.get() < logical);
        let (mut logical, mut start, mut left) = (logical, start.get(), len);
        if at > 0 {
            let before = &mut self.runs[at - 1];
            let room = u64::from(u32::MAX - before.len);
            if before.logical_end() == logical && before.end() == start {
                let take = left.min(room);
                before.len += take as u32;
                (logical, start, left) = (logical + take, start + take, left - take);
            }
        }
        while left > 0 {
            let take = left.min(u32::MAX.into());
            self.runs
                .insert(at, Run { logical: LogicalBlock(logical), start: BlockNo(start), len: take as u32 });
            (logical, start, left) = (logical + take, start + take, left - take);
            at += 1;
        }
        if at > 0 && at < self.runs.len() {
            let (before, after) = (self.runs[at - 1], self.runs[at]);
            let joined = before.len.checked_add(after.len);
            if before.logical_end() == after.logical.get()
                && before.end() == after.start.get()
                && joined.is_some()
            {
                self.runs[at - 1].len += after.len;
                self.runs.remove(at);
            }
        }
    }

    /// Removes the mapping of `from .. to` and returns the device runs that were behind it.
    pub fn remove(&mut self, from: u64, to: u64) -> Vec<Run> {
        let removed: Vec<Run> = self.range(from, to).collect();
        let mut kept = Vec::with_capacity(self.runs.len() + 1);
        for run in &self.runs {
            let (start, end) = (run.logical.get(), run.logical_end());
            if end <= from || start >= to {
                kept.push(*run);
                continue;
            }
            if start < from {
                kept.push(Run { len: (from - start) as u32, ..*run });
            }
            if end > to {
                let skip = to - start;
                kept.push(Run {
                    logical: LogicalBlock(to),
                    start: BlockNo(run.start.get() + skip),
                    len: (end - to) as u32,
                });
            }
        }
        self.runs = kept;
        removed
    }

    /// Replaces the list of tree nodes; used when the tree was laid out again.
    pub(crate) fn set_nodes(&mut self, nodes: Vec<BlockNo>) {
        self.nodes = nodes;
    }

    /// The shape of the tree that holds the extents: number of nodes at each level above the inode, leaves first.
    ///
    /// Empty when the extents fit into the inode.
    pub(crate) fn tree_shape(&self, block_size: usize) -> Vec<usize> {
        let capacity = extent::node_capacity(block_size);
        let mut shape = Vec::new();
        let mut entries = self.runs.len();
        while entries > ROOT_ENTRIES {
            entries = entries.div_ceil(capacity);
            shape.push(entries);
        }
        shape
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(logical: u64, start: u64, len: u32) -> Run {
        Run { logical: LogicalBlock(logical), start: BlockNo(start), len }
    }

    #[test]
    fn touching_runs_are_joined() {
        let mut map = ExtentMap::default();
        map.insert(0, BlockNo(100), 4);
        map.insert(4, BlockNo(104), 4);
        map.insert(12, BlockNo(112), 1);
        map.insert(8, BlockNo(108), 4);
        assert_eq!(map.runs(), [run(0, 100, 13)]);
        map.insert(13, BlockNo(50), 2);
        assert_eq!(map.runs(), [run(0, 100, 13), run(13, 50, 2)]);
        assert_eq!(
            (map.lookup(12), map.lookup(14), map.lookup(15)),
            (Some(BlockNo(112)), Some(BlockNo(51)), None)
        );
    }

    #[test]
    fn holes_and_surplus_blocks_are_noticed() {
        let mut map = ExtentMap::default();
        assert!(map.maps_exactly(0, 0) && !map.maps_exactly(1, 0));
        map.insert(0, BlockNo(100), 4);
        map.insert(SUMS_BASE, BlockNo(200), 1);
        assert!(map.maps_exactly(4, 1));
        for (data, sums) in [(3, 1), (5, 1), (4, 0), (4, 2)] {
            assert!(!map.maps_exactly(data, sums), "{data} {sums}");
        }
        map.insert(5, BlockNo(300), 1);
        assert!(!map.maps_exactly(6, 1) && !map.maps_exactly(4, 1), "a hole");
        map.insert(4, BlockNo(400), 1);
        map.insert(SUMS_BASE + 2, BlockNo(500), 1);
        assert!(
            !map.maps_exactly(6, 1) && !map.maps_exactly(6, 2),
            "a checksum block too many, behind a hole"
        );
    }

    #[test]
    fn a_run_longer_than_an_extent_is_split() {
        let mut map = ExtentMap::default();
        map.insert(0, BlockNo(1), u64::from(u32::MAX) + 10);
        assert_eq!(map.runs().len(), 2);
        assert_eq!(map.lookup(u64::from(u32::MAX) + 9), Some(BlockNo(u64::from(u32::MAX) + 10)));
    }

    #[test]
    fn a_range_is_cut_out_of_the_middle() {
        let mut map = ExtentMap::default();
        map.insert(0, BlockNo(100), 10);
        map.insert(10, BlockNo(200), 10);
        let removed = map.remove(5, 12);
        assert_eq!(removed, [run(5, 105, 5), run(10, 200, 2)]);
        assert_eq!(map.runs(), [run(0, 100, 5), run(12, 202, 8)]);
        assert_eq!(map.range(3, 14).collect::<Vec<_>>(), [run(3, 103, 2), run(12, 202, 2)]);
    }
}
