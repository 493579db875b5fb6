//! Building indexes with their calibration, covering rows that came later, and building anew.
//!
//! Each is one transaction: images are written to fresh blocks, flushed, and become visible together. Until then the old state
//! is what is found, also after a crash or an interruption.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use vexfs_ann::index::{IndexSpec, Progress};
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;

use super::IndexRequest;
use super::expected::Expected;
use super::files::{self, IndexFiles};
use super::parts::Source;
pub use super::parts::WrittenPart;
use super::remove::remove_files;
use super::stored::StoredIndex;
use crate::collection::{Collection, INDEX_DIRECTORY};
use crate::error::Result;
use crate::txn::transaction::Transaction;
use crate::volume::Volume;

/// How a build may use the machine, and whom it tells.
#[derive(Clone, Copy)]
pub struct BuildOptions<'a> {
    /// Threads that work at the same time; the images do not depend on them.
    pub threads: usize,
    /// Bytes of memory to stay within: more rows than fit are covered by several parts.
    pub memory: u64,
    /// Told how far it is, and asked whether to stop.
    pub progress: &'a dyn Progress,
    /// Say what would be built, in how many parts, and write nothing.
    pub dry_run: bool,
}

/// An index that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its name.
    pub name: String,
    /// What was built.
    pub spec: IndexSpec,
    /// The parts that were written.
    pub parts: Vec<WrittenPart>,
    /// How long its calibration took; zero if there was none.
    pub calibrating: Duration,
}

impl Built {
    /// Bytes of the images that were written.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// Rows that they cover.
    pub fn rows(&self) -> u64 {
        self.parts.iter().map(|part| part.rows.end - part.rows.start).sum()
    }
}

/// Builds an index over all rows of the collection at `path`. Without a name in `request` it is called by its kind, with a
/// number behind it where that is taken.
///
/// # Durability
/// One transaction, committed when this returns.
///
/// # Errors
/// [`FsError::BadIndex`](crate::FsError::BadIndex) for parameters that do not fit; [`FsError::Index`](crate::FsError::Index) if the
/// name is taken; [`FsError::Interrupted`](crate::FsError::Interrupted), [`FsError::NoSpace`](crate::FsError::NoSpace), device
/// errors, damage of the rows: the collection is then as it was.
pub fn build(
    volume: &mut Volume,
    path: &str,
    request: &IndexRequest,
    options: &BuildOptions<'_>,
) -> Result<Built> {
    let collection = Collection::open(volume, path)?;
    collection.desc.features().check_collection_writable()?;
    build_in(volume, &collection, request, options)
}

/// As [`build`], for a collection that was looked up.
///
/// # Errors
/// As [`build`].
pub(crate) fn build_in(
    volume: &mut Volume,
    collection: &Collection,
    request: &IndexRequest,
    options: &BuildOptions<'_>,
) -> Result<Built> {
    let name = Expected::of(volume, collection)?.add(request)?;
    let source = open_source(volume, collection, (&name, &request.spec), options)?;
    if options.dry_run {
        let parts = source.plan_parts(0..source.len(), options.progress)?;
        return Ok(Built { spec: request.spec.clone(), parts, name, calibrating: Duration::ZERO });
    }
    let mut txn = volume.begin()?;
    let directory = index_directory(&mut txn, collection)?;
    let (parts, calibrating) = write_all(&source, &mut txn, directory, options)?;
    txn.commit()?;
    Ok(Built { spec: request.spec.clone(), parts, name, calibrating })
}

/// Covers the rows that were appended since index `name` was built; `None` if there are none.
///
/// The new rows get a part of their own. Parts before it that are no larger are built again together with it, so that there are
/// few parts however often this is done, and each row is built into a part O(log n) times.
///
/// # Durability
/// As [`build`].
///
/// # Errors
/// As [`build`]; [`FsError::Index`](crate::FsError::Index) for an index that cannot be opened: it is to be rebuilt.
pub fn extend(
    volume: &mut Volume,
    path: &str,
    name: &str,
    options: &BuildOptions<'_>,
) -> Result<Option<Built>> {
    let collection = Collection::open(volume, path)?;
    collection.desc.features().check_collection_writable()?;
    let files = files::find(volume, &collection, name)?;
    let spec = files.read_spec(volume, &collection)?;
    let parts: BTreeMap<u32, Range<u64>> = {
        let stored = StoredIndex::open(volume, &collection, &files)?;
        stored.parts().iter().map(|part| (part.number(), part.header().rows.clone())).collect()
    };
    let covered = parts.last_key_value().map_or(0, |(_, rows)| rows.end);
    if covered >= collection.rows() {
        return Ok(None);
    }
    let source = open_source(volume, &collection, (name, &spec), options)?;
    let mut from = covered;
    let mut again = IndexFiles { parts: BTreeMap::new(), spec: None, calibration: None, ..files.clone() };
    let mut next = parts.last_key_value().map_or(0, |(&number, _)| number + 1);
    for (&number, part) in parts.iter().rev() {
        let (rows, old) = (source.len() - from, part.end - part.start);
        if part.end != from || old > rows || old + rows > source.rows_in_part(part.start, options.progress)? {
            break;
        }
        from = part.start;
        next = number;
        again.parts.extend(files.parts.get(&number).map(|&ino| (number, ino)));
    }
    let rows = source.len();
    if options.dry_run {
        let parts = source.plan_parts(from..rows, options.progress)?;
        return Ok(Some(Built { name: name.to_owned(), spec, parts, calibrating: Duration::ZERO }));
    }
    let mut txn = volume.begin()?;
    let directory = index_directory(&mut txn, &collection)?;
    remove_files(&mut txn, directory, &again)?;
    let parts = source.write_parts(&mut txn, directory, next, from..rows, options.progress)?;
    txn.commit()?;
    Ok(Some(Built { name: name.to_owned(), spec, parts, calibrating: Duration::ZERO }))
}

/// Builds index `name` again over all rows, by the description it has, and calibrates it.
///
/// The images need not be intact.
///
/// # Durability
/// As [`build`]: until the commit the old index is there.
///
/// # Errors
/// As [`build`]; [`FsError::Index`](crate::FsError::Index) if there is no such index, or its description is lost.
pub fn rebuild(volume: &mut Volume, path: &str, name: &str, options: &BuildOptions<'_>) -> Result<Built> {
    let collection = Collection::open(volume, path)?;
    collection.desc.features().check_collection_writable()?;
    let files = files::find(volume, &collection, name)?;
    let spec = files.read_spec(volume, &collection)?;
    replace(volume, &collection, &files, &spec, options)
}

/// Builds an index in place of the files of one, which need not be intact.
///
/// # Durability
/// As [`build`]: until the commit the old files are there.
///
/// # Errors
/// As [`build`].
pub(crate) fn replace(
    volume: &mut Volume,
    collection: &Collection,
    files: &IndexFiles,
    spec: &IndexSpec,
    options: &BuildOptions<'_>,
) -> Result<Built> {
    let source = open_source(volume, collection, (&files.name, spec), options)?;
    let (name, spec) = (files.name.clone(), spec.clone());
    if options.dry_run {
        let parts = source.plan_parts(0..source.len(), options.progress)?;
        return Ok(Built { name, spec, parts, calibrating: Duration::ZERO });
    }
    let mut txn = volume.begin()?;
    let directory = index_directory(&mut txn, collection)?;
    remove_files(&mut txn, directory, files)?;
    let (parts, calibrating) = write_all(&source, &mut txn, directory, options)?;
    txn.commit()?;
    Ok(Built { name, spec, parts, calibrating })
}

/// Measures the recall of index `name` anew, over the rows that it covers; false if there is nothing to measure, because it is exact
/// or covers no more than one row.
///
/// # Durability
/// One transaction, committed when this returns: until then the old calibration is there.
///
/// # Errors
/// As [`extend`].
pub fn calibrate(volume: &mut Volume, path: &str, name: &str, options: &BuildOptions<'_>) -> Result<bool> {
    let collection = Collection::open(volume, path)?;
    collection.desc.features().check_collection_writable()?;
    let files = files::find(volume, &collection, name)?;
    calibrate_files(volume, &collection, &files, options)
}

/// As [`calibrate`], for the files of an index; the calibration that is there need not be intact.
///
/// # Errors
/// As [`calibrate`].
pub(crate) fn calibrate_files(
    volume: &mut Volume,
    collection: &Collection,
    files: &IndexFiles,
    options: &BuildOptions<'_>,
) -> Result<bool> {
    let spec = files.read_spec(volume, collection)?;
    let end = {
        let images = IndexFiles { calibration: None, ..files.clone() };
        let stored = StoredIndex::open(volume, collection, &images)?;
        stored.parts().last().map_or(0, |part| part.header().rows.end)
    };
    let source = open_source(volume, collection, (&files.name, &spec), options)?;
    let parts: Vec<InodeNo> = files.parts.values().copied().collect();
    let mut txn = volume.begin()?;
    let directory = index_directory(&mut txn, collection)?;
    let old = IndexFiles { parts: BTreeMap::new(), spec: None, ..files.clone() };
    remove_files(&mut txn, directory, &old)?;
    let is_calibrated = source.calibrate(&mut txn, directory, &parts, end, options.progress)?;
    txn.commit()?;
    Ok(is_calibrated)
}

/// Writes all files of an index over all rows; besides, how long its calibration took.
fn write_all(
    source: &Source<'_>,
    txn: &mut Transaction<'_>,
    directory: InodeNo,
    options: &BuildOptions<'_>,
) -> Result<(Vec<WrittenPart>, Duration)> {
    let rows = source.len();
    let parts = source.write_parts(txn, directory, 0, 0..rows, options.progress)?;
    source.write_spec(txn, directory)?;
    let inodes: Vec<InodeNo> = parts.iter().map(|part| part.inode).collect();
    let begun = Instant::now();
    let is_calibrated = source.calibrate(txn, directory, &inodes, rows, options.progress)?;
    Ok((parts, if is_calibrated { begun.elapsed() } else { Duration::ZERO }))
}

fn open_source<'a>(
    volume: &Volume,
    collection: &Collection,
    what: (&'a str, &'a IndexSpec),
    options: &BuildOptions<'_>,
) -> Result<Source<'a>> {
    Source::open(volume, collection, what, options.threads, options.memory)
}

/// The directory of index images, made if it is not there.
fn index_directory(txn: &mut Transaction<'_>, collection: &Collection) -> Result<InodeNo> {
    match collection.index_directory {
        Some(directory) => Ok(directory),
        None => {
            let (parent, name) = (collection.inode.number(), INDEX_DIRECTORY.as_bytes());
            Ok(txn.create(parent, name, InodeKind::Directory, 0o755)?.number())
        }
    }
}
