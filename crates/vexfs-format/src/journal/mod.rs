//! The journal: a ring of blocks through which metadata changes pass, all of a transaction or none.
//!
//! Block 0 of the journal is its [`superblock`]; blocks 1 and on are the log, a ring. A transaction is a run of log
//! blocks: any number of [`revoke`] blocks, then [`descriptor`] blocks each followed by the images it names, and last
//! the [`commit`] block. `place` in the headers is the index within the journal, `txn` the sequence number, `owner` 0.
//!
//! A transaction counts when its commit block is sound and its chain agrees. The log ends at the first block that does
//! not continue it.

pub mod commit;
pub mod descriptor;
pub mod revoke;
pub mod superblock;

/// Index of the log block behind `index` in a journal of `blocks` blocks.
pub fn next_index(index: u64, blocks: u64) -> u64 {
    if index + 1 >= blocks { 1 } else { index + 1 }
}
