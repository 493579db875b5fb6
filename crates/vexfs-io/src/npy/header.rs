//! The npy header: how the array is stored and where its elements begin.

use std::io::Read;

use super::descr;
use super::literal::{self, Entries};
use crate::element::ElementType;
use crate::error::{IoError, Place, Problem};
use crate::input::read_up_to;
use crate::probe::{Content, NPY_MAGIC};

/// The longest header that is read, in bytes. numpy itself refuses more than 10,000 unless told otherwise.
const MAX_HEADER_BYTES: u32 = 1 << 20;

/// What the header of an npy file says, not yet compared with the length of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpyHeader {
    /// Type of the elements.
    pub element: ElementType,
    /// Whether the bytes of an element come most significant first.
    pub big_endian: bool,
    /// Whether the first axis varies fastest (column-major, `fortran_order`).
    pub fortran_order: bool,
    /// Lengths of the axes; untrusted.
    pub shape: Vec<u64>,
    /// Length of magic, version and header in bytes: the offset of the first element.
    pub data_offset: u64,
}

impl NpyHeader {
    /// Reads the header at the start of `reader` and leaves `reader` at the first element.
    ///
    /// With `bf16`, elements of the type `<V2`, which numpy writes for bfloat16, are taken as that. `name` is for messages.
    ///
    /// # Errors
    /// [`Problem::Empty`]; [`Problem::Format`] if it is not npy; [`Problem::Version`]; [`Problem::Header`] at the byte where
    /// the grammar is left; [`Problem::ElementType`] for what holds no vectors; [`Problem::System`].
    pub fn read(mut reader: impl Read, name: &str, bf16: bool) -> Result<NpyHeader, IoError> {
        let header = HeaderText::read(&mut reader, name)?;
        let entries = header.entries(name)?;
        let storage = descr::interpret(&entries.descr, bf16)
            .map_err(|problem| IoError::new(name, Place::Whole, problem))?;
        Ok(NpyHeader {
            element: storage.element,
            big_endian: storage.big_endian,
            fortran_order: entries.fortran_order,
            shape: entries.shape,
            data_offset: header.end(),
        })
    }

    /// Number of axes.
    pub fn ndim(&self) -> usize {
        self.shape.len()
    }
}

/// The text of a header, not yet parsed.
pub(super) struct HeaderText {
    text: Vec<u8>,
    /// Where it begins in the file.
    start: u64,
}

impl HeaderText {
    /// Reads magic, version, length and text, and leaves `reader` behind them.
    ///
    /// # Errors
    /// As [`NpyHeader::read`], up to a text that is cut.
    pub(super) fn read(reader: &mut dyn Read, name: &str) -> Result<HeaderText, IoError> {
        let fail = |place, problem| IoError::new(name, place, problem);

        let mut prelude = [0; 8];
        let length = read_up_to(reader, &mut prelude, name)?;
        if length == 0 {
            return Err(fail(Place::Whole, Problem::Empty { expected: "an npy array" }));
        }
        if !prelude[..length].starts_with(NPY_MAGIC) {
            let found = Content::of(&prelude[..length]);
            return Err(fail(Place::Whole, Problem::Format { found, expected: "an npy array" }));
        }
        let [.., major, minor] = prelude;
        let length_bytes = match (length, major, minor) {
            (8, 1, 0) => 2,
            (8, 2 | 3, 0) => 4,
            (8, ..) => return Err(fail(Place::Byte(6), Problem::Version { major, minor })),
            _ => return Err(fail(Place::Byte(length as u64), ended("a format version"))),
        };

        let mut length = [0; 4];
        let found = read_up_to(reader, &mut length[..length_bytes], name)?;
        if found < length_bytes {
            return Err(fail(Place::Byte(8 + found as u64), ended("the length of the header")));
        }
        let length = u32::from_le_bytes(length);
        if length > MAX_HEADER_BYTES {
            let problem = Problem::Header {
                found: format!("a header of {length} bytes"),
                expected: "at most 1048576 bytes",
            };
            return Err(fail(Place::Byte(8), problem));
        }

        let start = 8 + length_bytes as u64;
        let mut text = vec![0; length as usize];
        let found = read_up_to(reader, &mut text, name)?;
        if found < text.len() {
            return Err(fail(Place::Byte(start + found as u64), ended("the rest of the header")));
        }
        Ok(HeaderText { text, start })
    }

    /// What the text says.
    ///
    /// # Errors
    /// [`Problem::Header`] at the byte where the grammar is left.
    pub(super) fn entries(&self, name: &str) -> Result<Entries<'_>, IoError> {
        literal::parse(&self.text).map_err(|malformed| {
            IoError::new(name, Place::Byte(self.start + malformed.at as u64), malformed.problem)
        })
    }

    /// Offset of the first element.
    pub(super) fn end(&self) -> u64 {
        self.start + self.text.len() as u64
    }
}

fn ended(expected: &'static str) -> Problem {
    Problem::Header { found: "the end of the file".to_owned(), expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(version: [u8; 2], text: &str) -> Vec<u8> {
        let mut bytes = NPY_MAGIC.to_vec();
        bytes.extend(version);
        match version[0] {
            1 => bytes.extend((text.len() as u16).to_le_bytes()),
            _ => bytes.extend((text.len() as u32).to_le_bytes()),
        }
        bytes.extend(text.as_bytes());
        bytes
    }

    const TEXT: &str = "{'descr': '>f8', 'fortran_order': True, 'shape': (3, 4), }\n";

    #[test]
    fn all_three_versions_are_read_up_to_the_first_element() {
        for (version, offset) in [([1, 0], 10), ([2, 0], 12), ([3, 0], 12)] {
            let mut bytes = file(version, TEXT);
            bytes.extend([1, 2, 3]);
            let mut reader = &bytes[..];
            let header = NpyHeader::read(&mut reader, "x", false).unwrap();
            assert_eq!(reader, [1, 2, 3]);
            let expected = NpyHeader {
                element: ElementType::F64,
                big_endian: true,
                fortran_order: true,
                shape: vec![3, 4],
                data_offset: offset + TEXT.len() as u64,
            };
            assert_eq!(header, expected);
        }
    }

    #[test]
    fn a_header_cut_anywhere_is_an_error_that_names_the_end() {
        let whole = file([1, 0], TEXT);
        assert!(NpyHeader::read(&whole[..0], "x", false).unwrap_err().to_string().contains("empty"));
        for length in 1..whole.len() {
            let error = NpyHeader::read(&whole[..length], "x", false).unwrap_err();
            match error.problem() {
                Problem::Format { .. } => assert!(length < 6),
                Problem::Header { .. } => assert_eq!(error.place(), Place::Byte(length as u64)),
                _ => panic!("{length}: {error}"),
            }
        }
    }

    #[test]
    fn unknown_versions_long_headers_and_other_files_are_refused() {
        let mut long = file([2, 0], TEXT);
        long[8..12].copy_from_slice(&u32::MAX.to_le_bytes());
        for (bytes, expected) in [
            (file([4, 0], TEXT), "x: byte 6: npy format version 4.0; expected 1.0, 2.0 or 3.0"),
            (file([1, 1], TEXT), "version 1.1"),
            (long, "x: byte 8: malformed npy header: found a header of 4294967295 bytes"),
            (b"\x89HDF\r\n\x1a\n".to_vec(), "looks like an HDF5 file, expected an npy array"),
            (b"0.1 0.2\n".to_vec(), "looks like text"),
            (file([1, 0], "{'descr': '<f4', }"), "x: byte 10: malformed npy header"),
        ] {
            let error = NpyHeader::read(&bytes[..], "x", false).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
