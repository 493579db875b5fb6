//! Ids of vectors, one per row: an integer array, or a text with an integer per line.

use std::io::Read;
use std::path::Path;

use crate::error::{IoError, Problem, excerpt};
use crate::format::Format;
use crate::input::Input;
use crate::integers::Integers;
use crate::lines::Lines;
use crate::raw::Axes;
use crate::source::{OpenOptions, open_raw};

/// A line holds one number of at most 20 digits; the rest is room for white space.
const MAX_LINE_BYTES: usize = 256;

const ID: &str = "a whole number from 0 to 18446744073709551615";

/// The ids in a file, one after another; ends after the first error.
///
/// Not checked here, because it needs all of them at once or the collection: whether an id occurs twice, and whether there
/// are as many as rows.
pub struct IdReader {
    ids: Box<dyn Iterator<Item = Result<u64, IoError>> + Send>,
    expected: Option<u64>,
    delivered: u64,
    failed: bool,
}

impl IdReader {
    /// Opens an array `(n,)` of an integer type, or a text with an integer per line; `-` is standard input.
    ///
    /// # Errors
    /// Those of the system; for an array, a header that is malformed, not `(n,)` or not of an integer type, and a file that
    /// is shorter or longer than it says.
    pub fn open(path: &Path) -> Result<IdReader, IoError> {
        Self::from_input(Input::open(path)?)
    }

    /// Reads the ids in a stream, which `name` stands for in messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_stream(stream: impl Read + Send + 'static, name: &str) -> Result<IdReader, IoError> {
        Self::from_input(Input::from_stream(stream, name))
    }

    fn from_input(mut input: Input) -> Result<IdReader, IoError> {
        let format = match input.format(None) {
            Ok(format) => format,
            // No line is no id; anything else that is no array may be a text whose first bad line tells more.
            Err(error) if matches!(error.problem(), Problem::System { .. }) => return Err(error),
            Err(_) => Format::Text,
        };
        if matches!(format, Format::Text | Format::Csv) {
            input.refuse_part(format)?;
            let name = input.name.clone();
            return Ok(Self::text(input.into_stream()?.0, &name));
        }
        let ids = Integers::new(open_raw(input, format, Axes::List, &OpenOptions::default())?)?;
        Ok(IdReader { expected: ids.rows(), ids: Box::new(ids), delivered: 0, failed: false })
    }

    fn text(stream: impl Read + Send + 'static, name: &str) -> IdReader {
        let mut lines = Lines::new(stream, name, MAX_LINE_BYTES, ID);
        let ids = Box::new(std::iter::from_fn(move || next_id(&mut lines).transpose()));
        IdReader { ids, expected: None, delivered: 0, failed: false }
    }

    /// How many ids there are in all, if the file says so.
    pub fn expected(&self) -> Option<u64> {
        self.expected
    }

    /// How many ids have been delivered: all of them, once the iterator has ended without an error.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }
}

impl Iterator for IdReader {
    type Item = Result<u64, IoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let id = self.ids.next()?;
        match id {
            Ok(_) => self.delivered += 1,
            Err(_) => self.failed = true,
        }
        Some(id)
    }
}

fn next_id(lines: &mut Lines<impl Read>) -> Result<Option<u64>, IoError> {
    let Some(line) = lines.next_line()? else { return Ok(None) };
    let text = line.trim();
    let problem = match (text.parse::<u64>(), text.parse::<i64>()) {
        (Ok(id), _) => return Ok(Some(id)),
        (_, Ok(value)) => Problem::Negative { value },
        _ if text.is_empty() => Problem::Text { found: "an empty line".to_owned(), expected: ID },
        _ => Problem::Text { found: format!("`{}`", excerpt(text)), expected: ID },
    };
    Err(lines.error(problem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(bytes: &[u8]) -> (Vec<u64>, Option<String>) {
        let mut reader = match IdReader::from_stream(std::io::Cursor::new(bytes.to_vec()), "ids") {
            Ok(reader) => reader,
            Err(error) => return (vec![], Some(error.to_string())),
        };
        let mut all = Vec::new();
        let error = reader.by_ref().find_map(|id| match id {
            Ok(id) => {
                all.push(id);
                None
            }
            Err(error) => Some(error.to_string()),
        });
        assert_eq!(reader.delivered(), all.len() as u64);
        assert!(reader.next().is_none());
        (all, error)
    }

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn a_text_has_an_integer_per_line() {
        assert_eq!(ids(b"1\n 2 \r\n18446744073709551615"), (vec![1, 2, u64::MAX], None));
        assert_eq!(ids(b""), (vec![], None));
        for (text, count, expected) in [
            ("1\n-5\n", 1, "ids: line 2: -5 is negative"),
            ("1\n\n2\n", 1, "ids: line 2: found an empty line"),
            ("1.0\n", 0, "ids: line 1: found `1.0`"),
            ("18446744073709551616\n", 0, "line 1: found `18446744073709551616`"),
        ] {
            let (all, error) = ids(text.as_bytes());
            assert_eq!(all.len(), count, "{text}");
            assert!(error.unwrap().contains(expected), "{text}");
        }
    }

    #[test]
    fn an_array_of_any_integer_type_is_read_in_both_byte_orders() {
        assert_eq!(
            ids(&npy("<u8", "(2,)", &[1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0])),
            (vec![1, 256], None)
        );
        assert_eq!(ids(&npy(">u2", "(2,)", &[1, 0, 0, 7])), (vec![256, 7], None));
        assert_eq!(ids(&npy("|i1", "(0,)", &[])), (vec![], None));
        let many: Vec<u8> = (0..70_000u32).flat_map(|id| id.to_le_bytes()).collect();
        assert_eq!(ids(&npy("<u4", "(70000,)", &many)).0, (0..70_000).collect::<Vec<u64>>());
        for (file, expected) in [
            (npy("|i1", "(3,)", &[1, 0xfe, 3]), "ids: row 1: -2 is negative"),
            (npy("<f4", "(1,)", &[0; 4]), "elements are float32, expected an integer type"),
            (npy("|u1", "(1, 1)", &[0]), "shape (1, 1): expected one axis (n,)"),
            (npy("<u2", "(3,)", &[1, 0, 2, 0, 3]), "row 2 is the first incomplete one"),
        ] {
            let error = ids(&file).1.unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }
}
