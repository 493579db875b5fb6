//! Tells from the first bytes what a file is, so that a wrong file is refused by its name.

use std::fmt;

/// How many bytes [`Content::of`] can use; more make no difference.
pub(crate) const PROBE_BYTES: usize = 512;

/// The first bytes of every npy file.
pub(crate) const NPY_MAGIC: &[u8; 6] = b"\x93NUMPY";

/// What a file looks like from its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Content {
    /// Nothing at all.
    Empty,
    /// An array saved by `numpy.save`.
    Npy,
    /// HDF5.
    Hdf5,
    /// A zip archive: `numpy.savez`, or a PyTorch checkpoint.
    Zip,
    /// Apache Parquet.
    Parquet,
    /// Apache Arrow IPC file (Feather).
    Arrow,
    /// A Python pickle.
    Pickle,
    /// Data compressed by gzip, zstd, xz or bzip2.
    Compressed,
    /// Readable text.
    Text,
    /// None of these.
    Binary,
}

impl Content {
    /// Classifies a file by its first bytes (512 are enough).
    pub fn of(start: &[u8]) -> Content {
        const MAGICS: [(&[u8], Content); 13] = [
            (NPY_MAGIC, Content::Npy),
            (b"\x89HDF\r\n\x1a\n", Content::Hdf5),
            (b"PK\x03\x04", Content::Zip),
            (b"PK\x05\x06", Content::Zip),
            (b"PAR1", Content::Parquet),
            (b"ARROW1", Content::Arrow),
            (b"\x80\x02", Content::Pickle),
            (b"\x80\x04\x95", Content::Pickle),
            (b"\x80\x05\x95", Content::Pickle),
            (b"\x1f\x8b", Content::Compressed),
            (b"\x28\xb5\x2f\xfd", Content::Compressed),
            (b"\xfd7zXZ\x00", Content::Compressed),
            (b"BZh", Content::Compressed),
        ];
        if start.is_empty() {
            return Content::Empty;
        }
        if let Some((_, content)) = MAGICS.iter().find(|(magic, _)| start.starts_with(magic)) {
            return *content;
        }
        if is_text(&start[..start.len().min(PROBE_BYTES)]) { Content::Text } else { Content::Binary }
    }

    /// How to get from such a file to one that can be read, as the end of a sentence.
    pub(crate) fn advice(self) -> &'static str {
        match self {
            Content::Compressed => "; decompress it first, for instance `zcat FILE | … -`",
            Content::Pickle => "; save the array with numpy.save",
            Content::Parquet => "; it is read from a file, with the column of the vectors: FILE:COLUMN",
            Content::Arrow => "; convert it with numpy.save",
            Content::Binary => "; if it is of a format without a magic, name it: --format fvecs, fbin, …",
            _ => "",
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Content::Empty => "an empty file",
            Content::Npy => "an npy array",
            Content::Hdf5 => "an HDF5 file",
            Content::Zip => "a zip archive (npz, or a PyTorch checkpoint)",
            Content::Parquet => "a Parquet file",
            Content::Arrow => "an Arrow file",
            Content::Pickle => "a Python pickle",
            Content::Compressed => "a compressed file",
            Content::Text => "text",
            Content::Binary => "binary data of no known format",
        })
    }
}

/// UTF-8 without control characters other than white space; a character cut off at the end is forgiven.
fn is_text(start: &[u8]) -> bool {
    let readable = |text: &str| text.chars().all(|c| !c.is_control() || c.is_ascii_whitespace());
    match std::str::from_utf8(start) {
        Ok(text) => readable(text),
        Err(error) => {
            let (valid, rest) = start.split_at(error.valid_up_to());
            error.error_len().is_none() && rest.len() < 4 && std::str::from_utf8(valid).is_ok_and(readable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_file_is_known_by_its_first_bytes() {
        let cases: [(&[u8], Content); 12] = [
            (b"", Content::Empty),
            (b"\x93NUMPY\x01\x00", Content::Npy),
            (b"\x89HDF\r\n\x1a\n\0\0", Content::Hdf5),
            (b"PK\x03\x04\x14", Content::Zip),
            (b"PAR1\x15\x04", Content::Parquet),
            (b"\x80\x04\x95\x12", Content::Pickle),
            (b"\x1f\x8b\x08", Content::Compressed),
            (b"[0.1, 0.2]\n", Content::Text),
            ("grün".as_bytes(), Content::Text),
            ("grün".split_at(2).0.as_bytes(), Content::Text),
            (b"\x80\0\0\0\0\0\x80\x3f", Content::Binary),
            (b"a\0b", Content::Binary),
        ];
        for (start, content) in cases {
            assert_eq!(Content::of(start), content, "{start:?}");
        }
        assert_eq!(Content::of(&"grün".as_bytes()[..3]), Content::Text, "a cut character at the end");
    }
}
