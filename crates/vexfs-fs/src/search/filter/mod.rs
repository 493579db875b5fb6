//! Filters: which rows may be found, by an expression over their payload.
//!
//! [`Filter`] is parsed from text once (`parse`), into an expression over paths and constants (`expr`); of the payload of a row
//! only the values at these paths are read (`read`), and the expression decides over them (`eval`). `rows` does so for all rows of a
//! collection.
//!
//! # Grammar
//! ```text
//! any    = all {"OR" all}
//! all    = one {"AND" one}
//! one    = "NOT" one | "(" any ")" | "EXISTS" path | path test
//! test   = ("=" | "!=" | "<" | "<=" | ">" | ">=") value | ["NOT"] "IN" "(" value {"," value} ")"
//!        | ["NOT"] "LIKE" string | "IS" ["NOT"] "NULL"
//! path   = name {"." name}         name = letters, digits, _ and -, not beginning with a digit or -; or anything between backquotes
//! value  = number | string | "true" | "false" | "null"      string = '…' or "…" with \ before quotes, as in JSON
//! ```
//! Words are recognised in any case; `==` and `<>` mean `=` and `!=`. `LIKE` compares with a pattern in which `%` stands for any
//! text and `_` for one character.
//!
//! # Meaning
//! As in SQL, what is missing or null is neither equal to a value nor different from it: a comparison with it is not known,
//! nor is its negation, and a row is found only where the whole expression is true. Numbers are compared by value, strings by their
//! code points, false comes before true. Values of different types are different, and neither is less. `= null` means `IS NULL`.

mod eval;
mod expr;
mod parse;
mod read;
pub(super) mod rows;
mod token;

use std::fmt;

use expr::{Expr, Path};

pub use rows::Matches;

/// Which rows may be found.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    expr: Expr,
    /// The paths that it speaks of; [`Expr`] has their numbers.
    paths: Vec<Path>,
}

/// Why a text is no filter, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    text: String,
    /// Byte of `text`, at most its length.
    at: usize,
    problem: String,
}

impl Filter {
    /// Whether a payload, a JSON object or nothing, fulfils the filter.
    ///
    /// # Errors
    /// What is wrong with the JSON.
    pub fn matches(&self, payload: &str) -> Result<bool, serde_json::Error> {
        let values = read::values(payload, &self.paths)?;
        Ok(eval::decide(&self.expr, &values) == Some(true))
    }
}

impl std::error::Error for FilterError {}

impl fmt::Display for FilterError {
    /// What is wrong, then the text with a mark below the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Characters of the text that are shown before the place, and behind it.
        const SHOWN: usize = 60;
        let (before, behind) = self.text.split_at_checked(self.at).unwrap_or((&self.text, ""));
        // A control character would move the mark, or do something to the terminal.
        let plain = |c: char| if c.is_control() { '\u{FFFD}' } else { c };
        let skipped = before.chars().count().saturating_sub(SHOWN);
        let lead = if skipped > 0 { "…" } else { "" };
        let before: String = before.chars().skip(skipped).map(plain).collect();
        let behind: String = behind.chars().take(SHOWN).map(plain).collect();
        let indent = " ".repeat(lead.chars().count() + before.chars().count());
        write!(f, "{}\n    {lead}{before}{behind}\n    {indent}^", self.problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOK: &str = r#"{"year": 2021, "lang": "de", "x": {"y z": 1.5, "ok": true}, "big": 9007199254740993,
        "nil": null, "list": [1], "text": "50% _off"}"#;

    fn matches(filter: &str, payload: &str) -> bool {
        let filter: Filter = filter.parse().unwrap_or_else(|e| panic!("{e}"));
        filter.matches(payload).expect("JSON")
    }

    #[test]
    fn comparisons_decide_by_type_and_value() {
        for filter in [
            "year = 2021",
            "year == 2021.0",
            "year != 2020",
            "year <> 1",
            "year < 2022",
            "year <= 2021",
            "year>2020.5",
            "year >= 2021",
            "lang = 'de'",
            "lang = \"de\"",
            "lang < 'df'",
            "lang != 5",
            "x.`y z` = 15e-1",
            "x.ok = true",
            "x.ok > FALSE",
            "big = 9007199254740993",
            "big > 9007199254740992",
            "year IN (1, 2021)",
            "lang not in ('en', 5)",
            "lang LIKE 'd%'",
            "lang LIKE '_e'",
            "text LIKE '50\\\\% \\\\_%'",
            "lang NOT LIKE 'e%'",
            "nil IS NULL",
            "none is null",
            "nil = null",
            "year IS NOT NULL",
            "year != null",
            "EXISTS nil",
            "NOT EXISTS none",
            "EXISTS x.ok",
            "year = 1 OR lang = 'de' AND x.ok = true",
            "NOT (year = 1 OR lang = 'en')",
            "NOT NOT year = 2021",
            "nil IN (1, null)",
            "list != 1",
            "year > -5",
        ] {
            assert!(matches(filter, BOOK), "{filter}");
        }
        for filter in [
            "year = 2020",
            "year = '2021'",
            "lang > 5",
            "lang < 5",
            "big = 9007199254740992",
            "nil = 5",
            "nil != 5",
            "NOT nil = 5",
            "none != 1",
            "none IN (1)",
            "none NOT IN (1)",
            "NOT none LIKE 'a'",
            "year LIKE '2%'",
            "EXISTS none",
            "EXISTS year.x",
            "year NOT IN (2021)",
            "list = 1",
            "list < 2",
            "x = 1",
            "(year = 1 OR lang = 'de') AND x.ok = false",
        ] {
            assert!(!matches(filter, BOOK), "{filter}");
        }
    }

    #[test]
    fn a_row_without_payload_has_nothing() {
        assert!(matches("a IS NULL", "") && !matches("a = 1", "") && !matches("NOT a = 1", ""));
    }

    #[test]
    fn the_last_of_two_members_with_one_name_counts() {
        assert!(matches("a = 2 AND b.c IS NULL", r#"{"a": 1, "b": {"c": 1}, "a": 2, "b": 5}"#));
    }

    #[test]
    fn an_error_points_at_its_place() {
        let mark = |text: &str| {
            let error = text.parse::<Filter>().expect_err(text);
            let lines: Vec<String> = error.to_string().lines().map(str::to_owned).collect();
            assert_eq!(lines.len(), 3, "{lines:?}");
            (lines[0].clone(), lines[2].find('^').expect("a mark") - 4)
        };
        for (text, at, problem) in [
            ("", 0, "a name, NOT, EXISTS or ( is expected"),
            ("year >= AND x = 1", 8, "a number, a string, true, false or null is expected"),
            ("year", 4, "a comparison"),
            ("year = 1 x", 9, "AND, OR or the end is expected"),
            ("(year = 1", 9, ") is expected"),
            ("year = 'abc", 7, "the string does not end"),
            ("year = 1.2.3", 7, "1.2.3 is no number"),
            ("year # 1", 5, "'#' means nothing here"),
            ("a.b. = 1", 5, "a name is expected"),
            ("a = \"\\x\"", 5, "\\x stands for nothing"),
            ("a < null", 4, "null is neither less nor greater"),
            ("a LIKE 5", 7, "a string is expected"),
            ("a IN ()", 6, "a number, a string"),
            ("a IS 5", 5, "NULL is expected"),
            ("`` = 1", 0, "a name between backquotes"),
        ] {
            let (message, found) = mark(text);
            assert!(message.contains(problem), "{text}: {message}");
            assert_eq!(found, at, "{text}: {message}");
        }
        assert!("(".repeat(100_000).parse::<Filter>().is_err());
        assert!("NOT ".repeat(100_000).parse::<Filter>().is_err());
    }

    #[test]
    fn long_chains_are_no_deep_ones() {
        let chain = vec!["a = 1"; 5_000].join(" OR ");
        assert!(matches(&chain, r#"{"a": 1}"#));
    }
}
