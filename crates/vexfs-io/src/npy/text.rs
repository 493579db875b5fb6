//! Arrays of strings: `<U…` of numpy, characters of four bytes each, and for reading also `|S…`, bytes of UTF-8. Every string has
//! the room of the longest, and NULs behind it.

use super::array::ArrayReader;
use super::descr::{TextStorage, interpret_text};
use super::header::{HeaderText, NpyHeader};
use super::writer::header;
use crate::element::ElementType;
use crate::error::{IoError, Place, Problem};
use crate::input::{Bytes, InOrder};
use crate::raw::{Axes, RawRows, shape_text};
use crate::source::MAX_DIM;

/// Bytes of strings that are read at a time.
const SLAB_BYTES: usize = 256 << 10;

/// The widest element that is read, in bytes: far above every key, and small enough to be held.
const MAX_WIDTH: u64 = MAX_DIM as u64;

const TEXT: &str = "a string of UTF-8 or UTF-32";

/// What is to be written: strings of at most so many characters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TextSpec {
    /// Characters of the longest string, at least 1.
    pub(crate) characters: usize,
}

impl TextSpec {
    /// Magic, version and header of `rows` strings.
    pub(crate) fn header(self, rows: u64) -> Vec<u8> {
        header(&format!("<U{}", self.characters), rows, None)
    }

    /// Replaces `element` by `text` as an element of the array.
    pub(crate) fn encode(self, text: &str, element: &mut Vec<u8>) {
        element.clear();
        for character in text.chars() {
            element.extend(u32::from(character).to_le_bytes());
        }
        element.resize(self.characters * 4, 0);
    }
}

/// The strings of an array `(n,)`, one after another; ends after the first error.
pub(crate) struct TextReader {
    /// The array as rows of bytes.
    rows: ArrayReader,
    storage: TextStorage,
    slab: Vec<u8>,
    /// Bytes of the slab that hold strings, and those that have been handed out.
    filled: usize,
    used: usize,
    has_failed: bool,
}

impl TextReader {
    /// Reads the header and stands before the first string.
    ///
    /// # Errors
    /// Those of a header that is malformed, of [`Problem::TextType`], and of a length other than it promises.
    pub(crate) fn open(bytes: Bytes, name: &str) -> Result<TextReader, IoError> {
        let fail = |problem| IoError::new(name, Place::Whole, problem);
        let (text, bytes) = match bytes {
            Bytes::File(file) => {
                (HeaderText::read(&mut InOrder { file: &*file, offset: 0 }, name)?, Bytes::File(file))
            }
            Bytes::Stream(mut stream) => (HeaderText::read(&mut stream, name)?, Bytes::Stream(stream)),
        };
        let entries = text.entries(name)?;
        let storage = interpret_text(&entries.descr).map_err(fail)?;
        let wrong_shape = |reason| fail(Problem::Shape { shape: shape_text(&entries.shape), reason });
        let (count, _) = Axes::List.measure(&entries.shape).map_err(wrong_shape)?;
        let width = match storage {
            TextStorage::Bytes(count) => count,
            TextStorage::Characters { count, .. } => count.saturating_mul(4),
        };
        match width {
            0 => return Err(wrong_shape("strings without characters")),
            1..=MAX_WIDTH => {}
            _ => return Err(wrong_shape("strings of more than 1048576 bytes")),
        }
        let header = NpyHeader {
            element: ElementType::U8,
            big_endian: false,
            fortran_order: false,
            shape: vec![count, width],
            data_offset: text.end(),
        };
        let rows = ArrayReader::with_header(bytes, name, header, Axes::Rows { single: false }, SLAB_BYTES)?;
        Ok(TextReader { rows, storage, slab: Vec::new(), filled: 0, used: 0, has_failed: false })
    }

    /// As [`ArrayReader::compare_with`].
    pub(crate) fn compare_with(&self, found: u64) -> Result<(), IoError> {
        self.rows.compare_with(found)
    }

    /// The next string; `None` behind the last.
    fn read(&mut self) -> Result<Option<String>, IoError> {
        let width = self.rows.row_bytes();
        if self.used == self.filled {
            self.slab.resize((SLAB_BYTES / width).max(1) * width, 0);
            (self.filled, self.used) = (self.rows.fill(&mut self.slab)? * width, 0);
            if self.filled == 0 {
                return Ok(None);
            }
        }
        let element = &self.slab[self.used..self.used + width];
        match decode(element, self.storage) {
            Some(text) => {
                self.used += width;
                Ok(Some(text))
            }
            None => {
                let row = self.rows.next_row() - ((self.filled - self.used) / width) as u64;
                let problem = Problem::Text { found: "other bytes".to_owned(), expected: TEXT };
                Err(IoError::new(self.rows.name(), Place::Row(row), problem))
            }
        }
    }
}

impl Iterator for TextReader {
    type Item = Result<String, IoError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_failed {
            return None;
        }
        let text = self.read();
        self.has_failed = text.is_err();
        text.transpose()
    }
}

/// The string of an element, without the NULs behind it.
fn decode(element: &[u8], storage: TextStorage) -> Option<String> {
    match storage {
        TextStorage::Bytes(_) => {
            let length = element.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            str::from_utf8(&element[..length]).ok().map(ToOwned::to_owned)
        }
        TextStorage::Characters { big_endian, .. } => {
            let character = |bytes: &[u8; 4]| match big_endian {
                true => u32::from_be_bytes(*bytes),
                false => u32::from_le_bytes(*bytes),
            };
            let characters = element.as_chunks().0;
            let length = characters.iter().rposition(|bytes| *bytes != [0; 4]).map_or(0, |last| last + 1);
            characters[..length].iter().map(|bytes| char::from_u32(character(bytes))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((text.len() as u16).to_le_bytes());
        bytes.extend(text.as_bytes());
        bytes.extend(data);
        bytes
    }

    fn strings(bytes: &[u8]) -> Result<Vec<String>, String> {
        let from_file = Bytes::File(Box::new(bytes.to_vec()));
        let read = TextReader::open(from_file, "x").and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let from_stream = Bytes::Stream(Box::new(Cursor::new(bytes.to_vec())));
        let streamed = TextReader::open(from_stream, "x").and_then(Iterator::collect::<Result<Vec<_>, _>>);
        assert_eq!(read.as_ref().ok(), streamed.as_ref().ok());
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_written_is_read() {
        let texts: Vec<String> =
            (0..70_000).map(|n| format!("{n} \"ü\" \u{1f980}{}", "y".repeat(n % 7))).collect();
        let spec = TextSpec { characters: 17 };
        let (mut bytes, mut element) = (spec.header(texts.len() as u64), Vec::new());
        for text in &texts {
            spec.encode(text, &mut element);
            assert_eq!(element.len(), 68);
            bytes.extend(&element);
        }
        assert!(strings(&bytes).unwrap() == texts);
    }

    #[test]
    fn either_type_and_byte_order_is_read_and_inner_white_space_kept() {
        assert_eq!(strings(&npy("|S4", "(3,)", b"a\0\0\0\xc3\xbc \0full")).unwrap(), ["a", "ü ", "full"]);
        assert_eq!(
            strings(&npy(">U2", "(2,)", &[0, 1, 0xf9, 0x80, 0, 0, 0, 0, 0, 0, 0, 97, 0, 0, 0, 98])).unwrap(),
            ["\u{1f980}", "ab"]
        );
        assert_eq!(strings(&npy("<U1", "(0,)", b"")).unwrap(), [""; 0]);
    }

    #[test]
    fn what_holds_no_strings_is_refused_where_it_does() {
        for (bytes, expected) in [
            (npy("<f4", "(1,)", &[0; 4]), "x: element type `<f4` holds no strings"),
            (
                npy("|O", "(1,)", &[0; 4]),
                "element type `|O` holds no strings; save the strings with astype(str)",
            ),
            (npy("<U", "(1,)", &[0; 4]), "element type `<U` holds no strings"),
            (npy("<U1", "(1, 1)", &[0; 4]), "shape (1, 1): expected one axis (n,)"),
            (npy("<U4611686018427387904", "(1,)", &[0; 4]), "shape (1,): strings of more than 1048576 bytes"),
            (npy("<U0", "(1,)", &[]), "shape (1,): strings without characters"),
            (npy("|S3", "(2,)", b"abcde"), "row 1 is the first incomplete one"),
            (npy("|S3", "(1,)", b"abcde"), "trailing data"),
            (
                npy("|S2", "(2,)", b"ab\xff\0"),
                "x: row 1: found other bytes, expected a string of UTF-8 or UTF-32",
            ),
            (npy("<U1", "(2,)", &[97, 0, 0, 0, 0, 0xd8, 0, 0]), "x: row 1: found other bytes"),
        ] {
            let error = strings(&bytes).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
