//! From a file and the name of an array to its bytes.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use crate::error::{IoError, Place, Problem, excerpt};
use crate::format::Format;
use crate::input::{Bytes, InOrder, Input};
use crate::npy::{ArrayReader, NpyHeader, TextReader};
use crate::raw::Axes;
use crate::read_at::{Range, ReadAt};

/// What the name of a member has behind that of its array.
const ENDING: &str = ".npy";
/// How many arrays a message names.
const MAX_NAMED: usize = 12;

/// Opens the array that `input` names, or the only one.
///
/// # Errors
/// [`Problem::NotAFile`], [`Problem::Archive`], [`Problem::Arrays`]; those of the header of the array, and of an array of another
/// length than its member.
pub(crate) fn open(input: Input, axes: Axes, bf16: bool, memory: usize) -> Result<ArrayReader, IoError> {
    let (name, member, range) = locate(input)?;
    if !member.is_deflated {
        // Columns have to be read where they lie; the checksum of the member is of no help there.
        let header = NpyHeader::read(InOrder { file: &range, offset: 0 }, &name, bf16)?;
        if header.fortran_order {
            return ArrayReader::with_header(Bytes::File(Box::new(range)), &name, header, axes, memory);
        }
    }
    let array = ArrayReader::open(member.content(range), &name, axes, bf16, memory)?;
    array.compare_with(member.length)?;
    Ok(array)
}

/// Opens the array of strings that `input` names, or the only array.
///
/// # Errors
/// As [`open`].
pub(crate) fn strings(input: Input) -> Result<TextReader, IoError> {
    let (name, member, range) = locate(input)?;
    let strings = TextReader::open(member.content(range), &name)?;
    strings.compare_with(member.length)?;
    Ok(strings)
}

/// The bytes of a member as they are stored.
type Stored = Range<Box<dyn ReadAt>>;

/// Finds the array that `input` names, or the only one; with the name for messages.
fn locate(input: Input) -> Result<(String, Member, Stored), IoError> {
    let Input { name, bytes, part, .. } = input;
    let fail = |problem| IoError::new(&name, Place::Whole, problem);
    let Bytes::File(file) = bytes else { return Err(fail(Problem::NotAFile { format: Format::Npz })) };
    let member = find(&*file, part.as_deref()).map_err(fail)?;
    let range = Range { file, start: member.start, length: member.stored };
    Ok((name, member, range))
}

/// One file of an archive.
struct Member {
    /// Where its bytes begin in the archive, and how many there are.
    start: u64,
    stored: u64,
    is_deflated: bool,
    /// Its own length.
    length: u64,
    /// CRC-32 of its content.
    crc: u32,
}

impl Member {
    /// What the member has, in order and compared with its checksum.
    fn content(&self, range: Stored) -> Bytes {
        let stored = InOrder { file: Box::new(range), offset: 0 };
        let content: Box<dyn Read + Send> = match self.is_deflated {
            true => Box::new(DeflateDecoder::new(stored)),
            false => Box::new(stored),
        };
        let checked = Checked { content, crc: Crc::new(), left: self.length, expected: self.crc };
        Bytes::Stream(Box::new(checked))
    }
}

/// Finds the member that holds the array called `wanted`, or the only array.
fn find(file: &dyn ReadAt, wanted: Option<&str>) -> Result<Member, Problem> {
    let broken = |error: zip::result::ZipError| Problem::Archive { text: excerpt(&error.to_string()) };
    let mut archive = ZipArchive::new(Seeking { file, position: 0 }).map_err(broken)?;
    let names: Vec<String> =
        archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(ENDING)?.to_owned())).collect();
    let chosen = match wanted {
        Some(wanted) => {
            let wanted = wanted.trim_start_matches('/');
            names.iter().find(|name| *name == wanted || wanted.strip_suffix(ENDING) == Some(name))
        }
        None => names.first().filter(|_| names.len() == 1),
    };
    let Some(chosen) = chosen else {
        let mut found: Vec<String> = names.iter().take(MAX_NAMED).map(|name| excerpt(name)).collect();
        if names.len() > MAX_NAMED {
            found.push("…".to_owned());
        }
        return Err(Problem::Arrays { found: found.join(", ") });
    };
    let index = archive.index_for_name(&format!("{chosen}{ENDING}"));
    let member = archive.by_index_raw(index.unwrap_or(usize::MAX)).map_err(broken)?;
    let is_deflated = match member.compression() {
        CompressionMethod::Stored => false,
        CompressionMethod::DEFLATE => true,
        other => return Err(Problem::Archive { text: format!("compressed by {other}, expected deflate") }),
    };
    if member.encrypted() {
        return Err(Problem::Archive { text: "it is encrypted".to_owned() });
    }
    let start = member.data_start().ok_or_else(|| Problem::Archive { text: "it has no place".to_owned() })?;
    Ok(Member {
        start,
        stored: member.compressed_size(),
        is_deflated,
        length: member.size(),
        crc: member.crc32(),
    })
}

/// The content of a member, compared with its checksum at the end.
struct Checked {
    content: Box<dyn Read + Send>,
    crc: Crc,
    left: u64,
    expected: u32,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        // Not one byte more than the archive says, however much comes out of a few.
        let most = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.content.read(&mut buffer[..most])?;
        self.crc.update(&buffer[..read]);
        self.left -= read as u64;
        if read > 0 {
            return Ok(read);
        }
        if self.left > 0 || self.crc.sum() != self.expected {
            let text = "the array is damaged: its checksum in the archive does not agree";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(0)
    }
}

/// A cursor over bytes at any offset.
struct Seeking<'a> {
    file: &'a dyn ReadAt,
    position: u64,
}

impl Read for Seeking<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = InOrder { file: self.file, offset: self.position };
        let read = rest.read(buffer)?;
        self.position = rest.offset;
        Ok(read)
    }
}

impl Seek for Seeking<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.file.length()?.checked_add_signed(by),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use zip::write::SimpleFileOptions;

    use super::*;
    use crate::element::ElementType;
    use crate::npy::{ArraySpec, NpyWriter};
    use crate::raw::RawRows;

    fn npy(rows: usize) -> Vec<u8> {
        let spec = ArraySpec::matrix(ElementType::U8, 4);
        let mut writer = NpyWriter::promising(Vec::new(), "x", spec, rows as u64).unwrap();
        writer.write_rows(&(0..rows * 4).map(|n| n as u8).collect::<Vec<u8>>()).unwrap();
        writer.finish().unwrap()
    }

    fn archive(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in members {
            zip.start_file(*name, SimpleFileOptions::default().compression_method(CompressionMethod::Stored))
                .unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn read(bytes: &[u8], part: Option<&str>) -> Result<Vec<u8>, String> {
        let input = Input {
            name: "x.npz".to_owned(),
            bytes: Bytes::File(Box::new(bytes.to_vec())),
            path: None,
            part: part.map(str::to_owned),
        };
        let mut array =
            open(input, Axes::Rows { single: false }, false, 1 << 20).map_err(|error| error.to_string())?;
        let mut all = vec![0; 100 * 4];
        let rows = array.fill(&mut all).map_err(|error| error.to_string())?;
        all.truncate(rows * 4);
        Ok(all)
    }

    #[test]
    fn an_array_is_found_by_its_name_or_for_being_alone() {
        let two = archive(&[("train.npy", npy(9)), ("test.npy", npy(5)), ("note.txt", b"x".to_vec())]);
        for part in ["test", "test.npy", "/test"] {
            assert_eq!(read(&two, Some(part)).unwrap(), (0..20).collect::<Vec<u8>>());
        }
        for part in [None, Some("tes"), Some("note.txt")] {
            let error = read(&two, part).unwrap_err();
            assert!(error.contains("name one array, as FILE:NAME; train, test"), "{error}");
        }
        assert_eq!(read(&archive(&[("arr_0.npy", npy(100))]), None).unwrap().len(), 400);
    }

    #[test]
    fn what_does_not_agree_with_itself_is_refused() {
        let sound = archive(&[("a.npy", npy(50))]);
        let place = sound.windows(4).position(|bytes| bytes == [20, 21, 22, 23]).unwrap();
        let mut damaged = sound.clone();
        damaged[place] ^= 1;
        assert!(read(&damaged, None).unwrap_err().contains("the array is damaged"));
        let mut longer = npy(50);
        longer.push(0);
        assert!(read(&archive(&[("a.npy", longer)]), None).unwrap_err().contains("trailing data"));
        assert!(
            read(&archive(&[("a.npy", npy(50)[..200].to_vec())]), None).unwrap_err().contains("truncated")
        );
        assert!(read(&archive(&[("a.npy", b"text".to_vec())]), None).is_err());
        for length in 0..sound.len() {
            assert!(read(&sound[..length], None).unwrap_err().contains("x.npz"), "{length}");
        }
        for at in 0..sound.len() {
            for bit in [1, 0x80] {
                let mut changed = sound.clone();
                changed[at] ^= bit;
                // Some bytes mean nothing, such as times; what is read is right.
                if let Ok(rows) = read(&changed, None) {
                    assert_eq!(rows, (0..200).map(|n| n as u8).collect::<Vec<u8>>(), "{at}");
                }
            }
        }
    }
}
