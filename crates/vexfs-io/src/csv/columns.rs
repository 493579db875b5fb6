//! Which columns of a table hold the vectors.

use std::collections::{BTreeMap, HashSet};

use csv::{ByteRecord, ReaderBuilder};

use super::cells::{in_column, text};
use crate::element::TargetType;
use crate::error::{Problem, excerpt};
use crate::text::Components;

/// What may stand between cells.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Names that say what a column is; the first one counts.
const VECTORS: [&str; 2] = ["vector", "embedding"];

/// What stands between the names of columns in the first line of a text; `None` if that line holds no names.
///
/// With `is_named`, where somebody says that it is a table, it is one unless the line is a vector.
pub(super) fn names_in(line: &[u8], is_named: bool) -> Option<u8> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let line = std::str::from_utf8(line).ok()?;
    let start = line.trim_start();
    if start.is_empty() || start.starts_with(['{', '[']) {
        return None;
    }
    let delimiter = delimiter_of(line);
    let mut reader =
        ReaderBuilder::new().delimiter(delimiter).has_headers(false).from_reader(line.as_bytes());
    let mut record = ByteRecord::new();
    reader.read_byte_record(&mut record).ok()?;
    let cells: Vec<&str> = record.iter().filter_map(|cell| std::str::from_utf8(cell).ok()).collect();
    let is_number = |cell: &str| cell.trim().parse::<f64>().is_ok();
    if is_named {
        let are_numbers = |cell: &str| cell.split_ascii_whitespace().all(is_number);
        return (!cells.iter().all(|cell| are_numbers(cell))).then_some(delimiter);
    }
    let is_name = |cell: &&str| !cell.trim().is_empty() && !is_number(cell);
    (cells.len() > 1 && cells.iter().all(is_name)).then_some(delimiter)
}

/// What occurs most often outside of quotes.
fn delimiter_of(line: &str) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in line.bytes() {
        is_quoted ^= byte == b'"';
        if let Some(at) = DELIMITERS.iter().position(|known| *known == byte && !is_quoted) {
            counts[at] += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or_default();
    DELIMITERS[counts.iter().position(|count| *count == most).unwrap_or_default()]
}

/// A name that two columns have. Columns without a name, which spreadsheets leave behind, may be many.
pub(super) fn twice(names: &[String]) -> Option<&str> {
    let mut seen = HashSet::new();
    names.iter().map(String::as_str).find(|name| !name.is_empty() && !seen.insert(*name))
}

/// Where the components of a row are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum VectorColumns {
    /// In one column, as `[0.1, 0.2]` or `0.1 0.2`.
    One(usize),
    /// In these columns, one each.
    Many(Vec<usize>),
}

/// Finds the columns of the vectors: the one called `wanted`, or those that it begins the names of; without it the one that has a
/// telling name, the only one that holds a list, or the only longest run of numbered ones. `first` is a row.
pub(super) fn find(names: &[String], first: &ByteRecord, wanted: Option<&str>) -> Option<VectorColumns> {
    let position = |wanted: &str| names.iter().position(|name| name == wanted);
    let mut numbered = numbered(names);
    if let Some(wanted) = wanted {
        let one = position(wanted).map(VectorColumns::One);
        return one.or_else(|| numbered.remove(wanted).map(VectorColumns::Many));
    }
    if let Some(column) = VECTORS.into_iter().find_map(position) {
        return Some(VectorColumns::One(column));
    }
    let lists = |is_list: fn(&str) -> bool| {
        let mut columns = (0..names.len()).filter(|&column| text(first, column).is_ok_and(is_list));
        columns.next().filter(|_| columns.next().is_none()).map(VectorColumns::One)
    };
    if let Some(column) = lists(|cell| cell.trim_start().starts_with('[')) {
        return Some(column);
    }
    let longest = numbered.values().map(Vec::len).max().filter(|longest| *longest > 1);
    let mut runs = numbered.into_values().filter(|run| Some(run.len()) == longest);
    if let (Some(run), None) = (runs.next(), runs.next()) {
        return Some(VectorColumns::Many(run));
    }
    lists(|cell| {
        let words = cell.split_ascii_whitespace();
        words.clone().count() > 1 && words.clone().all(|word| word.parse::<f64>().is_ok())
    })
}

/// Runs of columns called alike but for a number, which counts from 0 or 1 without gaps, by what they have in common.
fn numbered(names: &[String]) -> BTreeMap<&str, Vec<usize>> {
    let mut runs: BTreeMap<&str, BTreeMap<u64, usize>> = BTreeMap::new();
    for (column, name) in names.iter().enumerate() {
        let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
        if let Ok(number) = name[stem.len()..].parse() {
            runs.entry(stem.trim_end_matches(['_', '-', '.'])).or_default().insert(number, column);
        }
    }
    runs.retain(|_, run| {
        let (first, last) = (run.keys().next().copied(), run.keys().next_back().copied());
        matches!((first, last), (Some(first @ (0 | 1)), Some(last)) if last - first + 1 == run.len() as u64)
    });
    runs.into_iter().map(|(stem, run)| (stem, run.into_values().collect())).collect()
}

impl VectorColumns {
    /// Whether `column` is one of them.
    pub(super) fn has(&self, column: usize) -> bool {
        match self {
            VectorColumns::One(one) => *one == column,
            VectorColumns::Many(many) => many.contains(&column),
        }
    }

    /// Replaces `components` by those of a row.
    pub(super) fn parse(
        &self,
        record: &ByteRecord,
        names: &[String],
        target: TargetType,
        components: &mut Components,
    ) -> Result<(), Problem> {
        match self {
            VectorColumns::One(column) => {
                let parsed = text(record, *column).and_then(|cell| {
                    let parsed = components.parse_array(cell, cell, target);
                    parsed.map_err(|(_, problem)| problem)
                });
                parsed.map_err(|problem| in_column(&names[*column], problem))
            }
            VectorColumns::Many(columns) => {
                components.clear();
                columns.iter().try_for_each(|&column| {
                    let pushed = text(record, column).and_then(|cell| components.push_cell(cell, target));
                    pushed.map_err(|problem| in_column(&names[column], problem))
                })
            }
        }
    }

    /// A problem of component `component`.
    pub(super) fn at(&self, names: &[String], component: usize, problem: Problem) -> Problem {
        let column = match self {
            VectorColumns::One(column) => format!("{}[{component}]", excerpt(&names[*column])),
            VectorColumns::Many(columns) => excerpt(&names[columns[component]]),
        };
        Problem::Cell { column, problem: Box::new(problem) }
    }
}
