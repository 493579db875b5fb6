//! Ids and keys of the rows, read beside them.

use std::path::PathBuf;

use anyhow::bail;
use vexfs_fs::FsError;
use vexfs_fs::collection::append::RowIds;
use vexfs_io::{IdReader, KeyReader};

use crate::args::Args;

/// Where the identities of the rows come from.
pub(crate) enum Identities {
    Auto,
    Ids(IdReader, PathBuf),
    Keys(KeyReader, PathBuf),
}

/// The identities of one slab.
pub(crate) enum Batch {
    Auto,
    Ids(Vec<u64>),
    Keys(Vec<String>),
}

impl Batch {
    pub(crate) fn as_row_ids(&self) -> RowIds<'_> {
        match self {
            Self::Auto => RowIds::Auto,
            Self::Ids(ids) => RowIds::Ids(ids),
            Self::Keys(keys) => RowIds::Keys(keys),
        }
    }
}

impl Identities {
    pub(crate) fn open(args: &Args) -> anyhow::Result<Self> {
        Ok(match (&args.ids, &args.keys) {
            (Some(path), _) => Self::Ids(IdReader::open(path)?, path.clone()),
            (None, Some(path)) => Self::Keys(KeyReader::open(path)?, path.clone()),
            (None, None) => Self::Auto,
        })
    }

    /// The identities of the next `rows` rows.
    pub(crate) fn next(&mut self, rows: usize) -> anyhow::Result<Batch> {
        let (got, path, what) = match self {
            Self::Auto => return Ok(Batch::Auto),
            Self::Ids(reader, path) => {
                let ids: Vec<u64> = reader.by_ref().take(rows).collect::<Result<_, _>>()?;
                if ids.len() == rows {
                    return Ok(Batch::Ids(ids));
                }
                (reader.delivered(), path, "ids")
            }
            Self::Keys(reader, path) => {
                let keys: Vec<String> = reader.by_ref().take(rows).collect::<Result<_, _>>()?;
                if keys.len() == rows {
                    return Ok(Batch::Keys(keys));
                }
                (reader.delivered(), path, "keys")
            }
        };
        bail!("{}: has {got} {what}, and there are more rows than that", path.display())
    }

    /// Makes sure that there are no more identities than rows.
    pub(crate) fn finish(&mut self, rows: u64) -> anyhow::Result<()> {
        let (left, path, what) = match self {
            Self::Auto => return Ok(()),
            Self::Ids(reader, path) => (reader.next().transpose()?.is_some(), path, "ids"),
            Self::Keys(reader, path) => (reader.next().transpose()?.is_some(), path, "keys"),
        };
        if left {
            bail!("{}: has more {what} than there are rows ({rows})", path.display());
        }
        Ok(())
    }

    /// Names the file in which an id or key came twice.
    pub(crate) fn explain(&self, error: FsError) -> anyhow::Error {
        let error = anyhow::Error::from(error);
        match self {
            Self::Auto => error,
            Self::Ids(_, path) | Self::Keys(_, path) => error.context(path.display().to_string()),
        }
    }
}
