//! Transactions: changes that happen together or not at all.
//!
//! [`transaction`] stages them, [`commit`] makes them durable in the journal, [`checkpoint`] copies them home, and
//! [`replay`] finds after a crash what was committed and not yet home. `extent_tree` lays extents out. `docs/format/journal.md` argues each crash point.

pub mod checkpoint;
pub mod commit;
pub(crate) mod extent_tree;
pub mod replay;
pub mod transaction;
