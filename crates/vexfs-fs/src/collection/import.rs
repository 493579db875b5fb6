//! An import in steps: what the descriptor says of how far it has come.
//!
//! The steps are appends that [`Appender::open_step`](super::append::Appender::open_step) begins. Nothing else appends or moves rows
//! while an import is not finished, so that all rows behind its first one are its own. Layout: `docs/format/collections.md`.

use std::num::NonZeroU64;

use vexfs_format::InodeNo;
use vexfs_format::collection::{CollectionDesc, FLAG_IMPORTING};
use zerocopy::little_endian::U64;

use super::Collection;
use super::delete::mark_deleted;
use crate::error::{FsError, Result};
use crate::inode;
use crate::txn::transaction::Transaction;

/// An import that has stored some of its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// Fingerprint of its files.
    pub source: u64,
    /// Its first row in the collection.
    pub first_row: u64,
    /// Rows of its files that are stored.
    pub rows: u64,
}

impl Collection {
    /// The import that is not finished, if there is one.
    pub fn unfinished(&self) -> Option<Unfinished> {
        let first_row = self.desc.import_first.get();
        let (source, rows) = (self.desc.import_source.get(), self.rows().saturating_sub(first_row));
        self.desc.has(FLAG_IMPORTING).then_some(Unfinished { source, first_row, rows })
    }

    /// Whether the last import in steps was one of these files, and all of their rows were stored.
    pub fn has_finished(&self, source: NonZeroU64) -> bool {
        self.unfinished().is_none() && self.desc.import_source.get() == source.get()
    }

    /// Refuses what would come between the rows of an import that is not finished, or move them.
    ///
    /// # Errors
    /// [`FsError::BadCollection`].
    pub(super) fn check_no_import(&self) -> Result<()> {
        match self.unfinished() {
            None => Ok(()),
            Some(Unfinished { rows, .. }) => Err(FsError::BadCollection(format!(
                "{}: an import into it is not finished, {rows} rows are stored; vexfs-import finishes it with --resume, or undoes it with --abandon",
                self.path
            ))),
        }
    }
}

/// A step of an import.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// Fingerprint of its files.
    pub(super) source: NonZeroU64,
    /// Whether all rows are stored with it.
    pub(super) is_last: bool,
}

impl Step {
    /// Makes sure that no other import is under way.
    ///
    /// # Errors
    /// [`FsError::BadCollection`].
    pub(super) fn check(&self, collection: &Collection) -> Result<()> {
        match collection.unfinished() {
            Some(import) if import.source == self.source.get() => Ok(()),
            _ => collection.check_no_import(),
        }
    }

    /// Notes in `desc` how far the import is; the rows of this step begin with `first_row`.
    pub(super) fn note(&self, desc: &mut CollectionDesc, first_row: u64) {
        if self.is_last {
            desc.end_import(self.source.get());
        } else if !desc.has(FLAG_IMPORTING) {
            desc.set(FLAG_IMPORTING);
            (desc.import_source, desc.import_first) = (U64::new(self.source.get()), U64::new(first_row));
        }
    }
}

impl Transaction<'_> {
    /// Deletes the rows of an import that is not finished, and forgets it. Returns how many rows were deleted.
    ///
    /// # Errors
    /// Those of [`delete_rows`](Self::delete_rows).
    pub fn abandon_import(&mut self, path: &str, ino: InodeNo) -> Result<u64> {
        self.use_reserve();
        let collection = Collection::from_inode(self, path, inode::read(self, ino)?)?;
        let Some(import) = collection.unfinished() else { return Ok(0) };
        collection.desc.features().check_collection_writable()?;
        collection.check_rows(self)?;
        let deleted = mark_deleted(self, &collection, import.first_row..collection.rows())?;
        let mut desc = collection.desc;
        desc.end_import(0);
        self.count_deleted(ino, desc, deleted)?;
        Ok(deleted)
    }
}
