//! What a user names: a file, a part of one as `FILE:PART`, standard input, or a pipe.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{IoError, Place, Problem};
use crate::format::Format;
use crate::probe::{NPY_MAGIC, PROBE_BYTES};
use crate::read_at::ReadAt;

/// Where the bytes of an input come from.
pub(crate) enum Bytes {
    /// Bytes at any offset, of known length.
    File(Box<dyn ReadAt>),
    /// Bytes in order, of unknown length: standard input, a pipe and the like.
    Stream(Box<dyn Read + Send>),
}

/// An open input.
pub(crate) struct Input {
    /// The name for messages, with the part.
    pub(crate) name: String,
    /// Its bytes.
    pub(crate) bytes: Bytes,
    /// The path of a file, for libraries that open it themselves.
    pub(crate) path: Option<PathBuf>,
    /// The array, dataset, column or key that is meant.
    pub(crate) part: Option<String>,
}

impl Input {
    /// Opens what `path` names: `-` is standard input, `FILE:PART` a part of `FILE` where no file has the whole name.
    pub(crate) fn open(path: &Path) -> Result<Input, IoError> {
        let name =
            if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
        let (file, part) = split(path);
        let part = match part.map(OsStr::to_str) {
            Some(None) => return Err(IoError::new(name, Place::Whole, Problem::PartText)),
            Some(part) => part.map(ToOwned::to_owned),
            None => None,
        };
        if file == Path::new("-") {
            return Ok(Input { name, bytes: Bytes::Stream(Box::new(io::stdin())), path: None, part });
        }
        let open = File::open(file).map_err(|error| IoError::system(&name, "open", error))?;
        let kind = open.metadata().map_err(|error| IoError::system(&name, "examine", error))?.file_type();
        if kind.is_dir() {
            return Err(IoError::new(name, Place::Whole, Problem::Directory));
        }
        let is_file = kind.is_file();
        Ok(Input {
            name,
            bytes: if is_file { Bytes::File(Box::new(open)) } else { Bytes::Stream(Box::new(open)) },
            path: is_file.then(|| file.to_owned()),
            part,
        })
    }

    /// A stream that `name` stands for in messages.
    pub(crate) fn from_stream(stream: impl Read + Send + 'static, name: &str) -> Input {
        Input { name: name.to_owned(), bytes: Bytes::Stream(Box::new(stream)), path: None, part: None }
    }

    /// The format of the input: the given one, or what the input looks like. Its bytes are still all there.
    pub(crate) fn format(&mut self, given: Option<Format>) -> Result<Format, IoError> {
        if let Some(format) = given {
            return Ok(format);
        }
        let (start, length) = self.start()?;
        let ending = self.path.as_ref().and_then(|path| path.extension()?.to_str());
        Format::detect(&start, length, ending, &self.name)
    }

    /// The first bytes, which are not taken away, and the length of a file.
    pub(crate) fn start(&mut self) -> Result<(Vec<u8>, Option<u64>), IoError> {
        match &mut self.bytes {
            Bytes::File(file) => {
                let read = || {
                    let length = file.length()?;
                    let mut start = vec![0; usize::try_from(length).unwrap_or(usize::MAX).min(PROBE_BYTES)];
                    file.read_exact_at(&mut start, 0)?;
                    Ok((start, Some(length)))
                };
                read().map_err(|error| IoError::system(&self.name, "read", error))
            }
            Bytes::Stream(stream) => {
                let start = peek(stream).map_err(|error| IoError::system(&self.name, "read", error))?;
                let rest = std::mem::replace(stream, Box::new(io::empty()));
                *stream = Box::new(Cursor::new(start.clone()).chain(rest));
                Ok((start, None))
            }
        }
    }

    /// The bytes in order, and their number if it is known.
    pub(crate) fn into_stream(self) -> Result<(Box<dyn Read + Send>, Option<u64>), IoError> {
        match self.bytes {
            Bytes::Stream(stream) => Ok((stream, None)),
            Bytes::File(file) => {
                let length = file.length().map_err(|error| IoError::system(&self.name, "measure", error))?;
                Ok((Box::new(InOrder { file, offset: 0 }), Some(length)))
            }
        }
    }

    /// Refuses a part, for formats that have none.
    pub(crate) fn refuse_part(&self, format: Format) -> Result<(), IoError> {
        match &self.part {
            None => Ok(()),
            Some(part) => {
                let problem = Problem::NoParts { part: crate::error::excerpt(part), format };
                Err(IoError::new(&self.name, Place::Whole, problem))
            }
        }
    }
}

/// Whether all of the input that `path` names is there, so that reading it does not wait: a regular file, or a part of one.
pub fn is_regular_file(path: &Path) -> bool {
    let (file, _) = split(path);
    if file == Path::new("-") {
        use std::os::fd::AsFd;
        let standard_input = io::stdin().as_fd().try_clone_to_owned().map(File::from);
        return standard_input.and_then(|file| file.metadata()).is_ok_and(|metadata| metadata.is_file());
    }
    file.metadata().is_ok_and(|metadata| metadata.is_file())
}

/// The regular file that `path` names, and the part of it that is meant, if one is named.
pub fn regular_file_of(path: &Path) -> Option<(&Path, Option<&OsStr>)> {
    let (file, part) = split(path);
    (file != Path::new("-") && file.is_file()).then_some((file, part))
}

/// Splits `FILE:PART` at the first colon before which there is a file; what exists as a whole is not split.
fn split(path: &Path) -> (&Path, Option<&OsStr>) {
    if path.symlink_metadata().is_ok() {
        return (path, None);
    }
    let bytes = path.as_os_str().as_bytes();
    let colons = bytes.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
    for at in colons {
        let file = Path::new(OsStr::from_bytes(&bytes[..at]));
        let part = OsStr::from_bytes(&bytes[at + 1..]);
        if !part.is_empty() && (file == Path::new("-") || file.symlink_metadata().is_ok()) {
            return (file, Some(part));
        }
    }
    (path, None)
}

/// The first bytes of a stream.
///
/// Waits for no more than is needed to tell npy from anything else: behind the stream may be somebody who types one query
/// and waits for the answer.
fn peek(stream: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut start = vec![0; PROBE_BYTES];
    let mut length = 0;
    while length < NPY_MAGIC.len() && NPY_MAGIC.starts_with(&start[..length]) {
        match stream.read(&mut start[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    start.truncate(length);
    Ok(start)
}

/// Reads until `buffer` is full or the input ends; returns how much came.
pub(crate) fn read_up_to(reader: &mut dyn Read, buffer: &mut [u8], name: &str) -> Result<usize, IoError> {
    let mut length = 0;
    while length < buffer.len() {
        match reader.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(IoError::system(name, "read", error)),
        }
    }
    Ok(length)
}

/// Reads a file from one offset on.
pub(crate) struct InOrder<F> {
    /// What is read.
    pub(crate) file: F,
    /// Where the next byte lies.
    pub(crate) offset: u64,
}

impl<F: Deref<Target: ReadAt>> Read for InOrder<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.file.length()?.saturating_sub(self.offset);
        let length = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_exact_at(&mut buffer[..length], self.offset)?;
        self.offset += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_what_follows_the_name_of_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a.h5"), b"x").unwrap();
        std::fs::write(at("b:c"), b"x").unwrap();
        for (name, file, part) in [
            ("a.h5", "a.h5", None),
            ("a.h5:/train", "a.h5", Some("/train")),
            ("a.h5:x:y", "a.h5", Some("x:y")),
            ("b:c", "b:c", None),
            ("b:c:d", "b:c", Some("d")),
            ("a.h5:", "a.h5:", None),
            ("none:x", "none:x", None),
        ] {
            assert_eq!(split(&at(name)), (&*at(file), part.map(OsStr::new)), "{name}");
            assert_eq!(is_regular_file(&at(name)), at(file).exists());
        }
        assert_eq!(split(Path::new("-:key")), (Path::new("-"), Some(OsStr::new("key"))));
    }
}
