//! Writing rows as an archive of arrays: `vectors`, and `ids` or `keys`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::archive::{Archive, Begun};
use crate::element::{ElementType, TargetType};
use crate::error::IoError;
use crate::npy::{ArraySpec, TextSpec};
use crate::writer::{RowName, RowWriter, WRITE_BUFFER, check_named};

/// Writes rows to the array `vectors`, and how they are called to `ids`, numbers, or `keys`, texts.
///
/// An archive has one file after another, so the names wait in a file of their own until the vectors are complete; it has no name and
/// lies beside the archive. Memory does not depend on the number of rows.
pub struct NpzWriter {
    name: String,
    archive: Archive<BufWriter<File>>,
    vectors: Begun,
    spec: ArraySpec,
    rows: u64,
    waiting: BufWriter<File>,
    /// Known with the first row.
    names: Option<Names>,
}

/// What waits beside the archive.
#[derive(Clone, Copy)]
enum Names {
    /// Eight bytes for each row.
    Ids,
    /// A length of four bytes and a key for each row, of which none has more characters than this.
    Keys(usize),
}

impl NpzWriter {
    /// Starts an archive of packed rows of `target` in `file`, which is empty and will be called `path`.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new(file: File, path: &Path, target: TargetType, dim: usize) -> Result<Self, IoError> {
        let name = path.display().to_string();
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let spec = ArraySpec::packed(target, dim);
        let started = || {
            let waiting = BufWriter::with_capacity(WRITE_BUFFER, tempfile::tempfile_in(folder)?);
            let mut archive = Archive::new(BufWriter::with_capacity(WRITE_BUFFER, file));
            let vectors = archive.begin("vectors.npy", spec.header(0).len())?;
            Ok((archive, vectors, waiting))
        };
        let (archive, vectors, waiting) =
            started().map_err(|error| IoError::system(&name, "write", error))?;
        Ok(NpzWriter { name, archive, vectors, spec, rows: 0, waiting, names: None })
    }

    /// Lets names wait, all of the kind of the first.
    fn wait(&mut self, names: &[RowName<'_>]) -> io::Result<()> {
        for name in names {
            match name {
                RowName::Id(id) => {
                    self.names.get_or_insert(Names::Ids);
                    self.waiting.write_all(&id.to_le_bytes())?;
                }
                RowName::Key(key) => {
                    if let Names::Keys(longest) = self.names.get_or_insert(Names::Keys(0)) {
                        *longest = key.chars().count().max(*longest);
                    }
                    self.waiting.write_all(&(key.len() as u32).to_le_bytes())?;
                    self.waiting.write_all(key.as_bytes())?;
                }
            }
        }
        Ok(())
    }

    fn complete(mut self) -> io::Result<()> {
        self.archive.end(self.vectors, &self.spec.header(self.rows))?;
        self.waiting.flush()?;
        let mut waiting = self.waiting.into_inner().map_err(io::IntoInnerError::into_error)?;
        waiting.seek(SeekFrom::Start(0))?;
        let mut waiting = BufReader::with_capacity(WRITE_BUFFER, waiting);
        match self.names {
            // Without rows, nothing tells of keys; programs that look for ids find an array of none.
            None | Some(Names::Ids) => {
                let header = ArraySpec::list(ElementType::U64).header(self.rows);
                let mut ids = self.archive.begin("ids.npy", header.len())?;
                let mut id = [0; 8];
                for _ in 0..self.rows {
                    waiting.read_exact(&mut id)?;
                    self.archive.append(&mut ids, &id)?;
                }
                self.archive.end(ids, &header)?;
            }
            Some(Names::Keys(longest)) => {
                let spec = TextSpec { characters: longest };
                let header = spec.header(self.rows);
                let mut keys = self.archive.begin("keys.npy", header.len())?;
                let (mut length, mut key, mut element) = ([0; 4], Vec::new(), Vec::new());
                for _ in 0..self.rows {
                    waiting.read_exact(&mut length)?;
                    key.resize(u32::from_le_bytes(length) as usize, 0);
                    waiting.read_exact(&mut key)?;
                    let text = str::from_utf8(&key).map_err(io::Error::other)?;
                    spec.encode(text, &mut element);
                    self.archive.append(&mut keys, &element)?;
                }
                self.archive.end(keys, &header)?;
            }
        }
        self.archive.finish().map(drop)
    }
}

impl RowWriter for NpzWriter {
    fn takes_names(&self) -> bool {
        true
    }

    fn write_rows(&mut self, rows: &[u8], names: &[RowName<'_>], _: &[&str]) -> Result<(), IoError> {
        check_named(&self.name, rows, self.spec.row_bytes(), names)?;
        let written = self.archive.append(&mut self.vectors, rows).and_then(|()| self.wait(names));
        written.map_err(|error| IoError::system(&self.name, "write", error))?;
        self.rows += names.len() as u64;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<(), IoError> {
        let name = self.name.clone();
        self.complete().map_err(|error| IoError::system(name, "write", error))
    }
}
