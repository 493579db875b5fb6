//! Which format an input has: told by its first bytes, and where those say nothing, by its name and its length.

use std::fmt;
use std::str::FromStr;

use crate::element::ElementType;
use crate::error::{IoError, Place, Problem};
use crate::probe::Content;
use crate::source::MAX_DIM;

/// How the content of an input is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// An array saved by `numpy.save`.
    Npy,
    /// Arrays saved by `numpy.savez`, of which one is meant.
    Npz,
    /// HDF5, of which one dataset is meant.
    Hdf5,
    /// Parquet, of which one column of lists is meant.
    Parquet,
    /// A vector per line: numbers, a JSON array, or a JSON object with the key `vector`.
    Text,
    /// A table with a line of names, in which a column or several hold the vectors.
    Csv,
    /// Each row its number of components (i32), then f32 components.
    Fvecs,
    /// Each row its number of components (i32), then u8 components.
    Bvecs,
    /// Each row its number of components (i32), then i32 components.
    Ivecs,
    /// Number of rows and components (u32 each), then f32 components.
    Fbin,
    /// Number of rows and components (u32 each), then u8 components.
    U8bin,
    /// Number of rows and components (u32 each), then i8 components.
    I8bin,
    /// Number of rows and components (u32 each), then i32 components; distances (f32) may follow.
    Ibin,
}

/// Names and endings of file names that stand for a format; the first of each format is the one shown.
const NAMES: [(&str, Format); 20] = [
    ("npy", Format::Npy),
    ("npz", Format::Npz),
    ("hdf5", Format::Hdf5),
    ("parquet", Format::Parquet),
    ("text", Format::Text),
    ("jsonl", Format::Text),
    ("csv", Format::Csv),
    ("fvecs", Format::Fvecs),
    ("bvecs", Format::Bvecs),
    ("ivecs", Format::Ivecs),
    ("fbin", Format::Fbin),
    ("u8bin", Format::U8bin),
    ("i8bin", Format::I8bin),
    ("ibin", Format::Ibin),
    ("h5", Format::Hdf5),
    ("hdf", Format::Hdf5),
    ("ndjson", Format::Text),
    ("json", Format::Text),
    ("txt", Format::Text),
    ("tsv", Format::Csv),
];

/// How many of [`NAMES`] are offered to users; the rest are taken too.
const OFFERED: usize = 14;

/// The layouts without a magic, which only a name tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// Each row with its own number of components.
    Vecs(ElementType),
    /// Numbers of rows and components, then all components.
    Bin(ElementType),
}

impl Format {
    /// The names that [`from_str`](FromStr::from_str) is meant to be given.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES[..OFFERED].iter().map(|(name, _)| *name)
    }

    /// Decides by the first bytes of an input, its length if it is a file, and the ending of its name.
    ///
    /// # Errors
    /// [`Problem::Empty`], or [`Problem::Format`] for what cannot be read.
    pub(crate) fn detect(
        start: &[u8],
        length: Option<u64>,
        ending: Option<&str>,
        name: &str,
    ) -> Result<Format, IoError> {
        const EXPECTED: &str = "vectors";
        let named = ending.and_then(|ending| ending.to_ascii_lowercase().parse::<Format>().ok());
        let plain = named.filter(|format| format.plain().is_some());
        // The first bytes of these are numbers, which may happen to look like any short magic.
        if let Some(format) = plain
            && length.is_some_and(|length| format.fits(start, length))
        {
            return Ok(format);
        }
        let problem = match Content::of(start) {
            Content::Npy => return Ok(Format::Npy),
            Content::Zip => return Ok(Format::Npz),
            Content::Hdf5 => return Ok(Format::Hdf5),
            Content::Parquet => return Ok(Format::Parquet),
            Content::Text if named == Some(Format::Csv) => return Ok(Format::Csv),
            Content::Text => return Ok(Format::Text),
            Content::Empty => Problem::Empty { expected: EXPECTED },
            Content::Binary if plain.is_some() => return Ok(plain.unwrap_or(Format::Npy)),
            found => Problem::Format { found, expected: EXPECTED },
        };
        Err(IoError::new(name, Place::Whole, problem))
    }

    /// The layout, for a format without a magic.
    pub(crate) fn plain(self) -> Option<Plain> {
        Some(match self {
            Format::Fvecs => Plain::Vecs(ElementType::F32),
            Format::Bvecs => Plain::Vecs(ElementType::U8),
            Format::Ivecs => Plain::Vecs(ElementType::I32),
            Format::Fbin => Plain::Bin(ElementType::F32),
            Format::U8bin => Plain::Bin(ElementType::U8),
            Format::I8bin => Plain::Bin(ElementType::I8),
            Format::Ibin => Plain::Bin(ElementType::I32),
            _ => return None,
        })
    }

    /// Whether a file without a magic, of that start and length, can be of this format.
    pub(crate) fn fits(self, start: &[u8], length: u64) -> bool {
        let Some((words, _)) = start.as_chunks::<4>().0.split_first_chunk::<2>() else { return false };
        let [first, second] = words.map(u32::from_le_bytes).map(u64::from);
        let is_dim = |dim: u64| (1..=MAX_DIM as u64).contains(&dim);
        match self.plain() {
            Some(Plain::Vecs(element)) => {
                is_dim(first) && length.is_multiple_of(4 + first * element.bytes() as u64)
            }
            Some(Plain::Bin(element)) => {
                // Below 2^32 · 2^20 · 4.
                let bytes =
                    if is_dim(second) { first * second * element.bytes() as u64 } else { return false };
                length == 8 + bytes || (self == Format::Ibin && length == 8 + 2 * bytes)
            }
            None => false,
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Format, String> {
        match NAMES.iter().find(|(known, _)| *known == name) {
            Some((_, format)) => Ok(*format),
            None => {
                let names: Vec<_> = Format::names().collect();
                Err(format!("unknown format `{name}`; expected one of {}", names.join(", ")))
            }
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(_, format)| format == self).map_or("", |(name, _)| name);
        f.pad(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn detect(start: &[u8], length: u64, ending: &str) -> Result<Format, String> {
        Format::detect(start, Some(length), Some(ending), "x").map_err(|error| error.to_string())
    }

    #[test]
    fn every_name_stands_for_a_format_that_has_a_name() {
        for name in Format::names() {
            assert_eq!(name == "jsonl", name.parse::<Format>().unwrap().to_string() != name);
        }
        assert!(
            "hdf6"
                .parse::<Format>()
                .unwrap_err()
                .contains("npy, npz, hdf5, parquet, text, jsonl, csv, fvecs")
        );
    }

    #[test]
    fn the_content_decides_before_the_name() {
        assert_eq!(detect(b"\x93NUMPY\x01\0", 100, "fvecs"), Ok(Format::Npy));
        assert_eq!(detect(b"0.5 0.25\n", 9, "npy"), Ok(Format::Text));
        assert_eq!(detect(b"0.5 0.25\n", 9, "fbin"), Ok(Format::Text));
        assert!(detect(&words(&[2, 1, 2]), 12, "dat").unwrap_err().contains("--format"));
    }

    #[test]
    fn formats_without_a_magic_are_told_by_name_and_length() {
        let vecs = words(&[2, 7, 8, 2, 9, 9]);
        assert_eq!(detect(&vecs, 24, "fvecs"), Ok(Format::Fvecs));
        assert_eq!(detect(&vecs, 24, "IVECS"), Ok(Format::Ivecs));
        // 640 rows begin like a pickle, 35,615 like gzip.
        assert_eq!(detect(&words(&[0x280, 3]), 8 + 640 * 12, "fbin"), Ok(Format::Fbin));
        assert_eq!(detect(&words(&[0x8b1f, 1]), 8 + 0x8b1f, "u8bin"), Ok(Format::U8bin));
        assert!(detect(&words(&[0x8b1f, 1]), 8, "u8bin").unwrap_err().contains("compressed"));
        assert_eq!(detect(&words(&[2, 3]), 8 + 48, "ibin"), Ok(Format::Ibin));
        // Not a fit, but nothing else either: the reader says what is wrong.
        assert_eq!(detect(&vecs, 23, "fvecs"), Ok(Format::Fvecs));
        assert!(!Format::Fbin.fits(&words(&[u32::MAX, u32::MAX]), 8));
    }
}
