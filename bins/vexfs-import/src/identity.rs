//! Ids and keys of the rows, read beside them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use vexfs_fs::FsError;
use vexfs_fs::collection::append::RowIds;
use vexfs_fs::error::TakenBy;
use vexfs_io::{IdReader, IoError, KeyReader, NameKind, Names, RowSource};

use crate::resume::Steps;

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
    /// In a column of the vectors' own files.
    Column,
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

    /// Takes the identities from the column called `column`, if all files of vectors have one.
    pub(crate) fn in_column(
        sources: &mut [(Arc<str>, Box<dyn RowSource>)],
        column: Option<&str>,
        kind: NameKind,
    ) -> Option<Self> {
        let column = column?;
        let has_column = |source: &dyn RowSource| source.other_columns().iter().any(|other| other == column);
        if !sources.iter().all(|(_, source)| has_column(&**source)) {
            return None;
        }
        for (_, source) in sources.iter_mut() {
            source.beside()?.name_by(column, kind);
        }
        Some(Self { name: format!("column `{column}`"), source: Source::Column })
    }

    /// How to name the place of an identity when the reader is at work.
    pub(crate) fn naming(&self) -> Naming {
        let counts = match &self.source {
            Source::Column => Counts::RowsOf(Vec::new()),
            Source::Ids(reader) if reader.expected().is_some() => Counts::Rows,
            Source::Ids(_) | Source::Keys(_) | Source::Auto => Counts::Lines,
        };
        Naming { name: self.name.clone(), counts }
    }

    /// The identities of the next `rows` rows, which were read from `source`.
    pub(crate) fn next(&mut self, rows: usize, source: &mut dyn RowSource) -> anyhow::Result<Batch> {
        let (got, what) = match &mut self.source {
            Source::Auto => return Ok(Batch::Auto),
            Source::Column => {
                return match source.beside().and_then(|beside| beside.take_names()) {
                    Some(Names::Ids(ids)) => Ok(Batch::Ids(ids)),
                    Some(Names::Keys(keys)) => Ok(Batch::Keys(keys)),
                    None => bail!("{}: cannot be read", self.name),
                };
            }
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
            Source::Auto | Source::Column => Ok(Batch::Auto),
            Source::Ids(reader) => Ok(Batch::Ids(reader.collect::<Result<_, _>>()?)),
            Source::Keys(reader) => Ok(Batch::Keys(reader.collect::<Result<_, _>>()?)),
        }
    }

    /// Makes sure that there are no more identities than rows.
    pub(crate) fn finish(&mut self, rows: u64) -> anyhow::Result<()> {
        let (left, what) = match &mut self.source {
            Source::Auto | Source::Column => return Ok(()),
            Source::Ids(reader) => (reader.next().transpose()?.is_some(), "ids"),
            Source::Keys(reader) => (reader.next().transpose()?.is_some(), "keys"),
        };
        if left {
            bail!("{}: has more {what} than there are rows ({rows})", self.name);
        }
        Ok(())
    }
}

/// Names places where identities stand. Rows count from 0 as in numpy, lines from 1 as in editors.
pub(crate) struct Naming {
    /// The file, or the column.
    name: String,
    counts: Counts,
}

/// What the number of an identity counts.
enum Counts {
    Lines,
    Rows,
    /// Rows of these files, each with the number of its first row.
    RowsOf(Vec<(Arc<str>, u64)>),
}

impl Naming {
    /// The rows from `first` on are those of `file`, from the one with this number on.
    pub(crate) fn goes_on(&mut self, file: &Arc<str>, first: u64, number: u64) {
        if let Counts::RowsOf(files) = &mut self.counts
            && files.last().is_none_or(|(last, _)| !Arc::ptr_eq(last, file))
        {
            files.push((file.clone(), first.saturating_sub(number)));
        }
    }

    /// Says in which line an id or key stands that is taken. What the error counts begins behind the rows that `steps` have stored.
    pub(crate) fn explain(&self, error: anyhow::Error, steps: &Steps) -> anyhow::Error {
        let Some(FsError::Duplicate { what, value, given, taken }) = error.downcast_ref() else {
            return error;
        };
        let (place, _) = self.place(given + steps.done());
        let taken = match (*taken, *steps) {
            (TakenBy::Row(row), Steps::Many { first_row, .. }) if row >= first_row => {
                TakenBy::Given(row - first_row)
            }
            (TakenBy::Given(first), _) => TakenBy::Given(first + steps.done()),
            (taken, _) => taken,
        };
        match taken {
            TakenBy::Row(row) => anyhow!("{place}: {what} {value} is taken by row {row} of the collection"),
            TakenBy::Given(first) => {
                anyhow!("{place}: {what} {value} is given twice, first in {}", self.place(first).1)
            }
        }
    }

    /// Says where an id or key stands that no row has.
    pub(crate) fn unknown(&self, number: u64, name: impl std::fmt::Display) -> anyhow::Error {
        anyhow!("{}: there is no row with {name}", self.place(number).0)
    }

    /// Where identity `number` stands: in full, and as is enough behind that of another one.
    fn place(&self, number: u64) -> (String, String) {
        let name = &self.name;
        let behind_name = |place: String| (format!("{name}: {place}"), place);
        match &self.counts {
            Counts::Lines => behind_name(format!("line {}", number + 1)),
            Counts::Rows => behind_name(format!("row {number}")),
            Counts::RowsOf(files) => match files.iter().rev().find(|(_, first)| *first <= number) {
                Some((file, first)) => {
                    let row = number - first;
                    (format!("{file}: row {row}: {name}"), format!("row {row} of {file}"))
                }
                None => behind_name(format!("row {number}")),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duplicate_is_named_by_line_or_row() {
        let duplicate = |taken| FsError::Duplicate { what: "id", value: "7".into(), given: 4, taken }.into();
        let text = Naming { name: "ids.txt".into(), counts: Counts::Lines };
        let array = Naming { name: "ids.npy".into(), counts: Counts::Rows };
        let mut column = Naming { name: "column `id`".into(), counts: Counts::RowsOf(Vec::new()) };
        let (a, b) = ("a.csv".into(), "b.csv".into());
        for (file, first, number) in [(&a, 0, 0), (&a, 2, 2), (&b, 3, 0)] {
            column.goes_on(file, first, number);
        }
        assert_eq!(
            text.explain(duplicate(TakenBy::Given(1)), &Steps::One).to_string(),
            "ids.txt: line 5: id 7 is given twice, first in line 2"
        );
        assert_eq!(
            array.explain(duplicate(TakenBy::Row(3)), &Steps::One).to_string(),
            "ids.npy: row 4: id 7 is taken by row 3 of the collection"
        );
        assert_eq!(
            column.explain(duplicate(TakenBy::Given(2)), &Steps::One).to_string(),
            "b.csv: row 1: column `id`: id 7 is given twice, first in row 2 of a.csv"
        );
        // A step counts its own rows, and those of earlier steps are rows of the collection.
        let steps = Steps::Many { source: std::num::NonZeroU64::MIN, first_row: 50, done: 10, bytes: 1 };
        assert_eq!(
            text.explain(duplicate(TakenBy::Row(52)), &steps).to_string(),
            "ids.txt: line 15: id 7 is given twice, first in line 3"
        );
        assert_eq!(
            text.explain(duplicate(TakenBy::Row(49)), &steps).to_string(),
            "ids.txt: line 15: id 7 is taken by row 49 of the collection"
        );
        assert_eq!(text.explain(anyhow!("other"), &Steps::One).to_string(), "other");
    }
}
