//! `--delete-ids`: rows deleted by their ids or keys.

use std::path::Path;

use anyhow::bail;
use serde::Serialize;
use vexfs_cli::{Interrupted, Report, signals};
use vexfs_fs::Volume;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::ids::Names;
use vexfs_io::{IdReader, IoError, KeyReader};

use crate::args::Args;

/// What an error or interruption leaves.
const UNTOUCHED: &str = "nothing was deleted";

/// Rows that were deleted, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct Deleted {
    collection: String,
    rows: u64,
}

/// The ids or keys in a file.
enum Named {
    Ids { ids: Vec<u64>, is_array: bool },
    Keys(Vec<String>),
}

/// Deletes the rows that `file` names, all of them or none.
pub(crate) fn delete(
    args: &Args,
    volume: &mut Volume,
    report: &Report,
    file: &Path,
) -> anyhow::Result<Deleted> {
    let path = args.collection.name();
    let collection = Collection::open(volume, path)?;
    let identities = collection.identities(volume)?;
    let named = Named::read(file, identities.has_keys())?;
    let found = identities.rows_of(named.as_names(), &collection.deletions(volume)?)?;
    if let Some(unknown) = found.iter().position(Option::is_none) {
        bail!("{}: {}: {path} has no row with {}", file.display(), named.place(unknown), named.name(unknown));
    }
    let mut rows: Vec<u64> = found.into_iter().flatten().collect();
    rows.sort_unstable();
    rows.dedup();
    let count = rows.len() as u64;
    let plural = if count == 1 { "" } else { "s" };
    if args.dry_run {
        report.message(format!("would delete {count} row{plural} of {path}"));
        return Ok(Deleted { collection: path.to_owned(), rows: count });
    }
    if signals::interrupted() {
        return Err(Interrupted::new(UNTOUCHED).into());
    }
    let ino = collection.inode.number();
    let mut txn = volume.begin()?;
    txn.delete_rows(path, ino, &rows)?;
    txn.commit()?;
    report.message(format!("deleted {count} row{plural} of {path}; --compact reclaims their space"));
    Ok(Deleted { collection: path.to_owned(), rows: count })
}

impl Named {
    fn read(file: &Path, has_keys: bool) -> Result<Self, IoError> {
        if has_keys {
            return Ok(Self::Keys(KeyReader::open(file)?.collect::<Result<_, _>>()?));
        }
        let reader = IdReader::open(file)?;
        let is_array = reader.expected().is_some();
        Ok(Self::Ids { ids: reader.collect::<Result<_, _>>()?, is_array })
    }

    fn as_names(&self) -> Names<'_> {
        match self {
            Self::Ids { ids, .. } => Names::Ids(ids),
            Self::Keys(keys) => Names::Keys(keys),
        }
    }

    /// Where a name stands. Rows count from 0 as in numpy, lines from 1 as in editors.
    fn place(&self, number: usize) -> String {
        match self {
            Self::Ids { is_array: true, .. } => format!("row {number}"),
            _ => format!("line {}", number + 1),
        }
    }

    fn name(&self, number: usize) -> String {
        match self {
            Self::Ids { ids, .. } => format!("id {}", ids[number]),
            Self::Keys(keys) => format!("key {}", keys[number]),
        }
    }
}
