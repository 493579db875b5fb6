//! What a cell means: cells have no types, so those of a column are told from the first rows.

use csv::ByteRecord;

use crate::beside::push_string;
use crate::error::{Problem, excerpt};

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers as JSON writes them.
    Number,
    /// `true` and `false`, in any case.
    Bool,
    /// Anything else.
    Text,
}

/// What each column holds.
#[derive(Debug)]
pub(super) struct Kinds(Vec<Option<Kind>>);

impl Kinds {
    /// Looks at some rows of `columns` cells. Empty cells say nothing.
    pub(super) fn of<'a>(rows: impl Iterator<Item = &'a ByteRecord>, columns: usize) -> Self {
        let mut kinds = vec![None; columns];
        for row in rows {
            for (cell, kind) in row.iter().zip(&mut kinds) {
                let found = match std::str::from_utf8(cell) {
                    Ok("") => continue,
                    Ok(cell) => kind_of(cell),
                    Err(_) => Kind::Text,
                };
                *kind = Some(if kind.is_none_or(|kind| kind == found) { found } else { Kind::Text });
            }
        }
        Kinds(kinds)
    }

    /// What a column holds; a column that was empty in all rows looked at may hold anything, so its cells are texts.
    pub(super) fn of_column(&self, column: usize) -> Kind {
        self.0.get(column).copied().flatten().unwrap_or(Kind::Text)
    }
}

/// The JSON text of a cell. One that does not fit its column is a string.
pub(super) fn cell_json(cell: &str, kind: Kind) -> String {
    if kind != Kind::Text && kind_of(cell) == kind {
        return if kind == Kind::Bool { cell.to_ascii_lowercase() } else { cell.to_owned() };
    }
    let mut string = String::with_capacity(cell.len() + 2);
    push_string(&mut string, cell);
    string
}

fn kind_of(cell: &str) -> Kind {
    if ["true", "false"].iter().any(|word| cell.eq_ignore_ascii_case(word)) {
        Kind::Bool
    } else if is_json_number(cell) {
        Kind::Number
    } else {
        Kind::Text
    }
}

/// Whether JSON allows the number as it is written: `007` and `+1` are names that look like numbers.
fn is_json_number(cell: &str) -> bool {
    cell.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<serde::de::IgnoredAny>(cell).is_ok()
        && !cell.ends_with(|c: char| c.is_ascii_whitespace())
}

/// The text of a cell.
pub(super) fn text(record: &ByteRecord, column: usize) -> Result<&str, Problem> {
    std::str::from_utf8(record.get(column).unwrap_or_default())
        .map_err(|_| Problem::Text { found: "bytes that are not UTF-8".to_owned(), expected: "text" })
}

/// A problem of a cell in the column called `name`.
pub(super) fn in_column(name: &str, problem: Problem) -> Problem {
    Problem::Cell { column: excerpt(name), problem: Box::new(problem) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_of_one_kind() {
        let rows = [["1", "007", "TRUE", "", "1"], ["-2.5e3", "8", "false", "", "x"], ["", "9", "", "", "2"]];
        let rows = rows.map(|row| ByteRecord::from(row.to_vec()));
        let kinds = Kinds::of(rows.iter(), 5);
        let kinds: Vec<Kind> = (0..5).map(|column| kinds.of_column(column)).collect();
        assert_eq!(kinds, [Kind::Number, Kind::Text, Kind::Bool, Kind::Text, Kind::Text]);
        for (cell, kind, json) in [
            ("1.50", Kind::Number, "1.50"),
            ("n/a", Kind::Number, "\"n/a\""),
            ("1984", Kind::Text, "\"1984\""),
            ("False", Kind::Bool, "false"),
            ("a\"b", Kind::Text, "\"a\\\"b\""),
        ] {
            assert_eq!(cell_json(cell, kind), json);
        }
        for cell in ["1 ", "+1", "01", "1.", ".5", "0x1", "NaN", "1e", "- 1"] {
            assert_eq!(kind_of(cell), Kind::Text, "{cell}");
        }
    }
}
