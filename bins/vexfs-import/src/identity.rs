//! Ids and keys of the rows, read beside them.

use std::path::Path;

use anyhow::{anyhow, bail};
use vexfs_fs::FsError;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::error::TakenBy;
use vexfs_io::{IdReader, IoError, KeyReader};

/// Where the identities of the rows come from.
pub(crate) struct Identities {
    /// The file, for messages.
    name: String,
    source: Source,
}

enum Source {
    Auto,
    Ids(IdReader),
    Keys(KeyReader),
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
    /// Opens the file of ids or that of keys, of which there is at most one.
    pub(crate) fn open(ids: Option<&Path>, keys: Option<&Path>) -> Result<Self, IoError> {
        let source = match (ids, keys) {
            (Some(path), _) => Source::Ids(IdReader::open(path)?),
            (None, Some(path)) => Source::Keys(KeyReader::open(path)?),
            (None, None) => Source::Auto,
        };
        let name = ids.or(keys).map_or_else(String::new, crate::shown);
        Ok(Self { name, source })
    }

    /// How to name the place of an identity when the reader is at work.
    pub(crate) fn naming(&self) -> Naming {
        let is_array = matches!(&self.source, Source::Ids(reader) if reader.expected().is_some());
        Naming { file: self.name.clone(), is_array }
    }

    /// The identities of the next `rows` rows.
    pub(crate) fn next(&mut self, rows: usize) -> anyhow::Result<Batch> {
        let (got, what) = match &mut self.source {
            Source::Auto => return Ok(Batch::Auto),
            Source::Ids(reader) => {
                let ids: Vec<u64> = reader.by_ref().take(rows).collect::<Result<_, _>>()?;
                if ids.len() == rows {
                    return Ok(Batch::Ids(ids));
                }
                (reader.delivered(), "ids")
            }
            Source::Keys(reader) => {
                let keys: Vec<String> = reader.by_ref().take(rows).collect::<Result<_, _>>()?;
                if keys.len() == rows {
                    return Ok(Batch::Keys(keys));
                }
                (reader.delivered(), "keys")
            }
        };
        bail!("{}: has {got} {what}, and there are more rows than that", self.name)
    }

    /// All identities that are left.
    pub(crate) fn rest(&mut self) -> Result<Batch, IoError> {
        match &mut self.source {
            Source::Auto => Ok(Batch::Auto),
            Source::Ids(reader) => Ok(Batch::Ids(reader.collect::<Result<_, _>>()?)),
            Source::Keys(reader) => Ok(Batch::Keys(reader.collect::<Result<_, _>>()?)),
        }
    }

    /// Makes sure that there are no more identities than rows.
    pub(crate) fn finish(&mut self, rows: u64) -> anyhow::Result<()> {
        let (left, what) = match &mut self.source {
            Source::Auto => return Ok(()),
            Source::Ids(reader) => (reader.next().transpose()?.is_some(), "ids"),
            Source::Keys(reader) => (reader.next().transpose()?.is_some(), "keys"),
        };
        if left {
            bail!("{}: has more {what} than there are rows ({rows})", self.name);
        }
        Ok(())
    }
}

/// Names places in a file of identities. Rows count from 0 as in numpy, lines from 1 as in editors.
pub(crate) struct Naming {
    file: String,
    is_array: bool,
}

impl Naming {
    /// Says in which line an id or key stands that is taken.
    pub(crate) fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let Some(FsError::Duplicate { what, value, given, taken }) = error.downcast_ref() else {
            return error;
        };
        let place = self.place(*given);
        match *taken {
            TakenBy::Row(row) => anyhow!("{}: {place}: {what} {value} is taken by row {row}", self.file),
            TakenBy::Given(first) => {
                anyhow!(
                    "{}: {place}: {what} {value} is given twice, first in {}",
                    self.file,
                    self.place(first)
                )
            }
        }
    }

    /// Says where an id or key stands that no row has.
    pub(crate) fn unknown(&self, number: u64, name: impl std::fmt::Display) -> anyhow::Error {
        anyhow!("{}: {}: there is no row with {name}", self.file, self.place(number))
    }

    fn place(&self, number: u64) -> String {
        if self.is_array { format!("row {number}") } else { format!("line {}", number + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_is_named_by_line_or_row() {
        let duplicate = |taken| FsError::Duplicate { what: "id", value: "7".into(), given: 4, taken }.into();
        let text = Naming { file: "ids.txt".into(), is_array: false };
        let array = Naming { file: "ids.npy".into(), is_array: true };
        assert_eq!(
            text.explain(duplicate(TakenBy::Given(1))).to_string(),
            "ids.txt: line 5: id 7 is given twice, first in line 2"
        );
        assert_eq!(
            array.explain(duplicate(TakenBy::Row(3))).to_string(),
            "ids.npy: row 4: id 7 is taken by row 3"
        );
        assert_eq!(text.explain(anyhow!("other")).to_string(), "other");
    }
}
