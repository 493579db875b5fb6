//! External keys of vectors: a text with one key per line, or an array of strings.

use std::io::Read;
use std::path::Path;

use crate::error::{IoError, Place, Problem};
use crate::format::Format;
use crate::hdf5;
use crate::input::Input;
use crate::lines::Lines;
use crate::npy::TextReader;
use crate::npz;

/// The longest key, in bytes of UTF-8.
pub const MAX_KEY_BYTES: usize = 1024;

const KEY: &str = "a key of 1 to 1024 bytes";

/// The keys in a text, one per line, or in an array or dataset of strings; ends after the first error.
///
/// A key is the whole line, white space included. Not checked here, because it needs all of them at once or the
/// collection: whether a key occurs twice, and whether there are as many as rows.
pub struct KeyReader {
    keys: Box<dyn Iterator<Item = Result<String, IoError>> + Send>,
    delivered: u64,
    failed: bool,
}

impl KeyReader {
    /// Opens the text at `path`, an array of strings of numpy, or the array or dataset that `FILE:PART` names; `-` is standard input.
    ///
    /// # Errors
    /// Those of the system; those of finding an array or dataset, and one that has no strings.
    pub fn open(path: &Path) -> Result<KeyReader, IoError> {
        Self::from_input(Input::open(path)?)
    }

    /// Reads the keys in a stream, a text or an array of numpy, which `name` stands for in messages.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_stream(stream: impl Read + Send + 'static, name: &str) -> Result<KeyReader, IoError> {
        Self::from_input(Input::from_stream(stream, name))
    }

    fn from_input(mut input: Input) -> Result<KeyReader, IoError> {
        let name = input.name.clone();
        match input.format(None) {
            Ok(Format::Npy) => {
                input.refuse_part(Format::Npy)?;
                Ok(Self::strings(TextReader::open(input.bytes, &name)?, name))
            }
            Ok(Format::Npz) if input.path.is_some() => Ok(Self::strings(npz::strings(input)?, name)),
            Ok(Format::Hdf5) if input.path.is_some() => Ok(Self::strings(hdf5::strings(input)?, name)),
            _ => {
                input.refuse_part(Format::Text)?;
                Ok(Self::text(input.into_stream()?.0, &name))
            }
        }
    }

    /// Takes the strings of an array as keys.
    fn strings(
        strings: impl Iterator<Item = Result<String, IoError>> + Send + 'static,
        name: String,
    ) -> KeyReader {
        Self::new(strings.zip(0..).map(move |(string, row)| {
            checked_key(&string?).map_err(|problem| IoError::new(&name, Place::Row(row), problem))
        }))
    }

    fn text(stream: Box<dyn Read + Send>, name: &str) -> KeyReader {
        let mut lines = Lines::new(stream, name, MAX_KEY_BYTES, KEY);
        Self::new(std::iter::from_fn(move || {
            let checked = match lines.next_line() {
                Ok(line) => line.map(checked_key)?,
                Err(error) => return Some(Err(error)),
            };
            Some(checked.map_err(|problem| lines.error(problem)))
        }))
    }

    fn new(keys: impl Iterator<Item = Result<String, IoError>> + Send + 'static) -> Self {
        KeyReader { keys: Box::new(keys), delivered: 0, failed: false }
    }

    /// How many keys have been delivered: all of them, once the iterator has ended without an error.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }
}

/// A key as it may be stored.
pub(crate) fn checked_key(key: &str) -> Result<String, Problem> {
    let found = match key {
        "" => "an empty line",
        _ if key.contains('\0') => "a NUL character",
        _ if key.len() > MAX_KEY_BYTES => {
            return Err(Problem::LineLength { limit: MAX_KEY_BYTES, expected: KEY });
        }
        _ => return Ok(key.to_owned()),
    };
    Err(Problem::Text { found: found.to_owned(), expected: KEY })
}

impl Iterator for KeyReader {
    type Item = Result<String, IoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let key = self.keys.next()?;
        match key {
            Ok(_) => self.delivered += 1,
            Err(_) => self.failed = true,
        }
        Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: Vec<u8>) -> (Vec<String>, Option<String>, u64) {
        let mut reader = KeyReader::from_stream(std::io::Cursor::new(text), "keys").unwrap();
        let mut all = Vec::new();
        let error = reader.by_ref().find_map(|key| key.map(|key| all.push(key)).err());
        assert!(reader.next().is_none());
        (all, error.map(|error| error.to_string()), reader.delivered())
    }

    #[test]
    fn a_key_is_a_line_without_its_end() {
        let longest = "k".repeat(MAX_KEY_BYTES);
        let text = format!("a\n b c \r\nü\na\n{longest}\r\n");
        let (all, error, delivered) = keys(text.into_bytes());
        assert_eq!(
            (all, error, delivered),
            (vec!["a".into(), " b c ".into(), "ü".into(), "a".into(), longest], None, 5)
        );
    }

    #[test]
    fn what_cannot_be_a_key_is_refused_at_its_line() {
        for (text, expected) in [
            (b"a\n\nb".to_vec(), "keys: line 2: found an empty line, expected a key of 1 to 1024 bytes"),
            (b"a\nb\0c\n".to_vec(), "keys: line 2: found a NUL character"),
            (b"a\n\xff\n".to_vec(), "keys: line 2: found bytes that are not UTF-8"),
            ([b"a\n", &[b'k'; 1025][..]].concat(), "keys: line 2: line is longer than 1024 bytes"),
        ] {
            let (all, error, delivered) = keys(text);
            assert_eq!((all.len(), delivered), (1, 1));
            let error = error.unwrap();
            assert!(error.contains(expected), "{error}");
        }
    }
}
