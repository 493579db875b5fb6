//! The objects that were found: a small record for each inode in use, in order of the numbers.

use vexfs_format::codes::InodeKind;

/// What is known of one inode.
#[derive(Clone, Copy, Debug)]
pub(super) struct InodeInfo {
    pub(super) number: u64,
    /// The directory that it names as its parent; for files and links the directory of the first entry, once one is found.
    pub(super) parent: u64,
    /// Links that its record says.
    pub(super) links: u32,
    /// Entries that lead to it.
    pub(super) entries: u32,
    /// `None` for a record that is damaged.
    pub(super) kind: Option<InodeKind>,
    pub(super) state: State,
}

/// How an inode stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// In use by the bitmap, or by its record where the bitmap is damaged.
    InUse,
    /// Whole, but marked as free, and no name led to it so far.
    Candidate,
    /// A candidate to which a name leads: in use after all.
    Admitted,
    /// On the way up that pass 3 is going.
    OnPath,
    /// Pass 3 has been there.
    Settled,
}

impl InodeInfo {
    pub(super) fn is_directory_like(&self) -> bool {
        self.kind.is_some_and(InodeKind::is_directory_like)
    }

    /// Whether it counts as in use.
    pub(super) fn is_used(&self) -> bool {
        self.state != State::Candidate
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct InodeTable {
    list: Vec<InodeInfo>,
}

impl InodeTable {
    /// Adds an inode; numbers rise.
    pub(super) fn push(&mut self, info: InodeInfo) {
        self.list.push(info);
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    /// The index of an inode.
    pub(super) fn index_of(&self, number: u64) -> Option<usize> {
        self.list.binary_search_by_key(&number, |info| info.number).ok()
    }

    pub(super) fn at(&self, index: usize) -> &InodeInfo {
        &self.list[index]
    }

    pub(super) fn at_mut(&mut self, index: usize) -> &mut InodeInfo {
        &mut self.list[index]
    }

    pub(super) fn get(&self, number: u64) -> Option<&InodeInfo> {
        self.index_of(number).map(|index| &self.list[index])
    }

    /// The inodes of the numbers `from .. to`.
    pub(super) fn range(&self, from: u64, to: u64) -> &[InodeInfo] {
        let first = self.list.partition_point(|info| info.number < from);
        let end = self.list.partition_point(|info| info.number < to);
        &self.list[first..end]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_as_small_as_the_module_says() {
        assert!(size_of::<InodeInfo>() <= 32);
    }
}
