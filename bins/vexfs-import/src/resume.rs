//! `--resume`: an import in steps, of which a later run knows how far it has come.

use std::error::Error;
use std::fmt;
use std::num::NonZeroU64;
use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::{Context, anyhow};
use vexfs_cli::{Interrupted, Usage, WithHint, is_caused_by};
use vexfs_format::dir_block::name_hash;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::import::Unfinished;
use vexfs_fs::collection::rows::{Deletions, Rows};
use vexfs_fs::{FsError, Volume};
use vexfs_io::{IoError, Problem, regular_file_of};

use crate::args::Args;

/// What an import in steps leaves that ends early.
const RESUMABLE: &str = "what is stored stays; the same command goes on with it";

/// How the rows of this import become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Steps {
    /// All at once.
    One,
    /// Each time that so many bytes of rows were read.
    Many {
        /// Fingerprint of the files.
        source: NonZeroU64,
        /// Where the import begins in the collection.
        first_row: u64,
        /// Rows of the files that are stored.
        done: u64,
        /// Bytes of a step.
        bytes: u64,
    },
    /// Not at all: an earlier run has stored all of them.
    None,
}

impl Steps {
    /// Decides how to go on with the import that the collection knows of, if it exists and there is one.
    ///
    /// # Errors
    /// An import of other files is not finished, or of these and this is no `--resume`.
    pub(crate) fn of(args: &Args, collection: Option<&Collection>) -> anyhow::Result<Self> {
        let unfinished = collection.and_then(Collection::unfinished);
        if !args.resume {
            return match unfinished {
                None => Ok(Steps::One),
                Some(import) => refuse(args, import, "the same files and --resume go on with it"),
            };
        }
        let source = fingerprint(args)?;
        let (first_row, done) = match unfinished {
            Some(import) if import.source == source.get() => (import.first_row, import.rows),
            Some(import) => {
                let way =
                    "these are others, or they have changed since; the files as they were go on with it";
                return refuse(args, import, way);
            }
            None if collection.is_some_and(|collection| collection.has_finished(source)) => {
                return Ok(Steps::None);
            }
            None => (collection.map_or(0, Collection::rows), 0),
        };
        Ok(Steps::Many { source, first_row, done, bytes: args.step() })
    }

    /// Rows of the files that are stored already.
    pub(crate) fn done(&self) -> u64 {
        match self {
            Steps::Many { done, .. } => *done,
            Steps::One | Steps::None => 0,
        }
    }

    /// Notes that `rows` more are stored.
    pub(crate) fn advance(&mut self, rows: u64) {
        if let Steps::Many { done, .. } = self {
            *done += rows;
        }
    }

    /// Bytes for rows under way, of `memory`: a step is no less than a slab.
    pub(crate) fn memory(&self, memory: u64) -> u64 {
        match self {
            Steps::Many { bytes, .. } => memory.min(bytes.saturating_mul(crate::slabs::SLABS as u64)),
            Steps::One | Steps::None => memory,
        }
    }

    /// What an import that ends early leaves.
    pub(crate) fn left(&self) -> &'static str {
        match self {
            Steps::Many { .. } => RESUMABLE,
            Steps::One | Steps::None => crate::rows::UNTOUCHED,
        }
    }
}

fn refuse(args: &Args, import: Unfinished, way: &str) -> anyhow::Result<Steps> {
    let (name, rows) = (args.collection.name(), import.rows);
    let problem =
        anyhow!("collection {name}: an import is not finished, {rows} rows of its files are stored");
    Err(problem).hint(format!("{way}; --abandon deletes the rows"))
}

/// What tells the files of this import from others: their names, lengths and times of modification, and what is read of them.
fn fingerprint(args: &Args) -> anyhow::Result<NonZeroU64> {
    let mut text = format!("{:?} {:?} {}\n", args.format, args.dtype, args.normalize);
    for path in &args.vectors {
        if !describe(&mut text, path)? {
            let shown = crate::shown(path);
            return Err(Usage::new(format!("--resume: {shown} is no file that can be read again")).into());
        }
    }
    for path in [&args.ids, &args.keys, &args.payload] {
        text.push('|');
        let Some(path) = path else { continue };
        if path == Path::new("-") {
            return Err(Usage::new("--resume: standard input cannot be read again").into());
        }
        if !describe(&mut text, path)? {
            // A column of the vectors' own files.
            text.push_str(&path.to_string_lossy());
        }
    }
    let hash = name_hash(&[0; 16], text.as_bytes());
    Ok(NonZeroU64::new(hash).unwrap_or(NonZeroU64::MIN))
}

/// Adds what tells a regular file from others; its directory may be another one the next time. Returns whether it is one.
fn describe(text: &mut String, path: &Path) -> anyhow::Result<bool> {
    let Some((file, part)) = regular_file_of(path) else { return Ok(false) };
    let metadata = file.metadata().with_context(|| crate::shown(path))?;
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let (name, length) = (file.file_name().unwrap_or_default(), metadata.len());
    text.push_str(&format!("{name:?} {part:?} {length} {:?}\n", modified.unwrap_or_default()));
    Ok(true)
}

/// The rows that earlier runs have stored, to be compared with those of the files.
pub(crate) struct Stored {
    rows: Rows,
    deleted: Deletions,
    /// The row of the collection that is compared next, and how many are left.
    next: u64,
    left: u64,
}

impl Stored {
    /// The rows of `steps` that are stored in `collection`; `None` if there are none.
    pub(crate) fn open(
        volume: &Volume,
        collection: &Collection,
        steps: &Steps,
    ) -> anyhow::Result<Option<Self>> {
        let Steps::Many { first_row: next, done: left @ 1.., .. } = *steps else { return Ok(None) };
        let (rows, deleted) = (collection.open_rows(volume)?, collection.deletions(volume)?);
        Ok(Some(Self { rows, deleted, next, left }))
    }

    /// Rows that are still to be compared.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Compares the next rows with `bytes`, at most as many as are left. Rows that were deleted or damaged since are passed over.
    ///
    /// # Errors
    /// The index of the first one that differs.
    pub(crate) fn compare(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let row_bytes = self.rows.row_bytes() as usize;
        let first = self.next;
        let count = (bytes.len() / row_bytes) as u64;
        (self.next, self.left) = (first + count, self.left.saturating_sub(count));
        if self.rows.bytes(first..first + count).is_ok_and(|stored| stored == bytes) {
            return Ok(());
        }
        let differs = |(at, row): (usize, &[u8])| {
            let stored = self.rows.bytes(first + at as u64..first + at as u64 + 1);
            stored.is_ok_and(|stored| stored != row && !self.deleted.contains(first + at as u64))
        };
        match bytes.chunks_exact(row_bytes).enumerate().position(differs) {
            Some(at) => Err(at),
            None => Ok(()),
        }
    }
}

/// The files are not those that the import began with.
#[derive(Debug)]
pub(crate) struct Changed {
    /// The file.
    pub(crate) file: String,
    /// The first row in it that differs.
    pub(crate) row: u64,
}

impl Error for Changed {}

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, row } = self;
        write!(f, "{file}: row {row} is another one than was stored of it: the file has changed since")
    }
}

/// Whether the files are at fault, and would be the next time: not the system, the device, or somebody who has stopped it.
pub(crate) fn is_of_files(error: &anyhow::Error) -> bool {
    let is_other = is_caused_by::<Interrupted>(error)
        || is_caused_by::<FsError>(error)
        || is_caused_by::<Changed>(error)
        || is_caused_by::<std::io::Error>(error);
    let read = error.downcast_ref::<IoError>();
    !is_other && !read.is_some_and(|error| matches!(error.problem(), Problem::System { .. }))
}

/// `--abandon`: deletes the rows of an import that was not finished. Returns how many.
pub(crate) fn abandon(args: &Args, volume: &mut Volume) -> anyhow::Result<u64> {
    let path = args.collection.name();
    let ino = Collection::open(volume, path)?.inode.number();
    let mut txn = volume.begin()?;
    let deleted = txn.abandon_import(path, ino)?;
    txn.commit()?;
    Ok(deleted)
}
