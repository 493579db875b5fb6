//! Changes, each made twice: to a volume, in one transaction, and to the model.

use vexfs_ann::index::Kind;
use vexfs_format::InodeNo;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::append::{Appender, RowIds};
use vexfs_fs::collection::create::CollectionSpec;
use vexfs_fs::grow::Growth;
use vexfs_fs::index::{self, BuildOptions, Expected, IndexRequest};
use vexfs_fs::path::{LastLink, resolve};
use vexfs_fs::txn::transaction::Transaction;
use vexfs_fs::{FsError, Result, Volume};

use crate::common::Silent;
use crate::crash_model::bytes;
use crate::payload::{Payload, text};
use crate::rows::{Names, Rows, pack};
use crate::world::{World, numbers};

/// One change, durable as a whole or not at all. Paths are absolute; collections lie in the root directory.
#[derive(Clone, Debug)]
pub enum Change {
    Make(String, CollectionSpec),
    Remove(String),
    Add(Rowful),
    Delete(String, Vec<String>),
    Compact(String),
    /// Builds an index of this kind and name.
    Index(String, Kind, String),
    Drop(String, String),
    Rebuild(String, String),
    /// Covers the rows that came later.
    Extend(String, String),
    Calibrate(String, String),
    /// Makes or replaces a file of so many bytes.
    Write(String, usize, u64),
    Unlink(String),
    /// Grows the filesystem to so many blocks, or as many fewer as make whole groups of use.
    Grow(u64),
}

/// Rows to be added, in batches of so many, in place of those that are called the same.
#[derive(Clone, Debug)]
pub struct Rowful {
    pub path: String,
    pub batches: Vec<usize>,
    pub elements: Vec<Vec<i32>>,
    pub names: Names,
    pub payload: Option<Vec<Payload>>,
    /// Whether a name that is taken replaces the row which has it; else it is refused.
    pub replaces: bool,
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It cannot be, and nothing was changed.
    Refused,
}

const BUILD: BuildOptions<'_> =
    BuildOptions { threads: 1, memory: 1 << 30, progress: &Silent, dry_run: false };

impl Change {
    /// Makes the change in `volume`.
    ///
    /// # Errors
    /// Those of the library which no person could have expected.
    pub fn apply(&self, volume: &mut Volume) -> Result<Outcome> {
        match self {
            Self::Index(path, kind, name) => return add_index(volume, path, *kind, name),
            Self::Drop(path, name) => drop(index::remove(volume, path, name)?),
            Self::Rebuild(path, name) => drop(index::rebuild(volume, path, name, &BUILD)?),
            Self::Extend(path, name) => drop(index::extend(volume, path, name, &BUILD)?),
            Self::Calibrate(path, name) => drop(index::calibrate(volume, path, name, &BUILD)?),
            Self::Delete(path, names) => {
                let rows = numbers(volume, path, names)?;
                let ino = collection_at(volume, path)?;
                let mut txn = volume.begin()?;
                let deleted = txn.delete_rows(path, ino, &rows)?;
                assert_eq!(deleted, names.len() as u64, "{path}: rows deleted");
                txn.commit()?;
            }
            Self::Compact(path) => {
                let ino = collection_at(volume, path)?;
                let mut txn = volume.begin()?;
                txn.compact_rows(path, ino, &Silent)?;
                txn.commit()?;
            }
            Self::Add(rows) => return rows.apply(volume),
            Self::Make(path, spec) => {
                let mut txn = volume.begin()?;
                txn.create_collection(InodeNo::ROOT, name_of(path), spec)?;
                txn.commit()?;
            }
            Self::Remove(path) | Self::Unlink(path) => {
                let mut txn = volume.begin()?;
                txn.remove(InodeNo::ROOT, name_of(path))?;
                txn.commit()?;
            }
            Self::Grow(blocks) => grow(volume, *blocks)?,
            Self::Write(name, len, seed) => {
                let mut txn = volume.begin()?;
                let mut writer = txn.write_file(InodeNo::ROOT, name_of(name))?;
                writer.write(&mut txn, &bytes(*seed, *len))?;
                writer.finish(&mut txn)?;
                txn.commit()?;
            }
        }
        Ok(Outcome::Done)
    }

    /// Makes the change in the model.
    pub fn model(&self, world: &mut World) {
        match self {
            Self::Make(path, spec) => drop(world.collections.insert(path.clone(), Rows::new(*spec))),
            Self::Remove(path) => drop(world.collections.remove(path)),
            Self::Add(added) => {
                world.rows(&added.path).add(added.elements.clone(), &added.names, added.payload.as_deref());
            }
            Self::Delete(path, names) => world.rows(path).delete(names),
            Self::Compact(path) => world.rows(path).compact(),
            Self::Index(path, _, name) | Self::Rebuild(path, name) | Self::Extend(path, name) => {
                let rows = world.rows(path);
                rows.indexes.insert(name.clone(), rows.rows.len() as u64);
            }
            Self::Drop(path, name) => drop(world.rows(path).indexes.remove(name)),
            // How much of the space is of use is for the filesystem to say.
            Self::Calibrate(..) | Self::Grow(_) => {}
            Self::Write(name, len, seed) => drop(world.files.insert(name.clone(), bytes(*seed, *len))),
            Self::Unlink(name) => drop(world.files.remove(name)),
        }
    }
}

fn collection_at(volume: &Volume, path: &str) -> Result<InodeNo> {
    Ok(resolve(volume, path, LastLink::Follow)?.number())
}

fn name_of(path: &str) -> &[u8] {
    path.trim_start_matches('/').as_bytes()
}

/// Grows the filesystem, which must come to what was planned.
fn grow(volume: &mut Volume, blocks: u64) -> Result<()> {
    let before = volume.geometry().blocks;
    let bytes = blocks * u64::from(volume.geometry().block_size);
    let planned = Growth::plan(volume, bytes)?.map_or(before, |growth| growth.after.blocks);
    volume.grow(bytes)?;
    let after = volume.geometry().blocks;
    assert!(
        after == planned && (before..=blocks).contains(&after),
        "{before} blocks to {after}, not {planned}"
    );
    Ok(())
}

/// Builds an index, which must be possible just when it is said to be.
fn add_index(volume: &mut Volume, path: &str, kind: Kind, name: &str) -> Result<Outcome> {
    let request: IndexRequest = format!("{kind},name={name}").parse()?;
    let expected = Expected::of(volume, &Collection::open(volume, path)?)?.add(&request);
    match (expected, index::build(volume, path, &request, &BUILD)) {
        (Ok(_), Ok(_)) => Ok(Outcome::Done),
        (Err(_), Err(FsError::BadIndex(_))) => Ok(Outcome::Refused),
        (expected, built) => panic!("{path}: {kind} was expected to be {expected:?}, and is {built:?}"),
    }
}

impl Rowful {
    fn apply(&self, volume: &mut Volume) -> Result<Outcome> {
        let ino = collection_at(volume, &self.path)?;
        let mut txn = volume.begin()?;
        match self.append(&mut txn, ino) {
            Ok(()) => txn.commit().map(|()| Outcome::Done),
            Err(FsError::Duplicate { .. }) => Ok(Outcome::Refused),
            Err(e) => Err(e),
        }
    }

    fn append(&self, txn: &mut Transaction<'_>, ino: InodeNo) -> Result<()> {
        let mut appender = Appender::open(txn, &self.path, ino)?;
        if self.replaces {
            appender = appender.replacing();
        }
        let dtype = appender.collection().desc.dtype();
        let mut first = 0;
        for count in &self.batches {
            let batch = first..first + count;
            let packed: Vec<u8> =
                self.elements[batch.clone()].iter().flat_map(|elements| pack(dtype, elements)).collect();
            let names = match &self.names {
                Names::Auto => RowIds::Auto,
                Names::Ids(ids) => RowIds::Ids(&ids[batch.clone()]),
                Names::Keys(keys) => RowIds::Keys(&keys[batch.clone()]),
            };
            appender.push(txn, &packed, names)?;
            if let Some(payload) = &self.payload {
                let texts: Vec<String> = payload[batch].iter().map(text).collect();
                appender.push_payload(txn, &texts)?;
            }
            first += count;
        }
        appender.finish(txn).map(drop)
    }
}
