//! From ids and keys to rows and back.

use std::collections::{HashMap, HashSet};

use vexfs_format::collection::{
    FLAG_IDS, FLAG_KEYS, STREAM_IDS, STREAM_KEY_ENDS, STREAM_KEY_HASHES, STREAM_KEYS,
};
use vexfs_format::dir_block::name_hash;

use super::Collection;
use super::append::KEY_MAX;
use super::lookup::Lookup;
use super::rows::Deletions;
use crate::error::{FsError, Result};
use crate::source::BlockSource;
use crate::view::FileView;
use crate::volume::Volume;

/// The identities of the rows of a collection.
#[derive(Debug)]
pub struct Identities {
    path: String,
    rows: u64,
    ids: Option<FileView>,
    keys: Option<Keys>,
    hash_key: [u8; 16],
}

#[derive(Debug)]
struct Keys {
    text: FileView,
    ends: FileView,
    hashes: FileView,
}

/// How rows are called that are wanted.
#[derive(Clone, Copy, Debug)]
pub enum Names<'a> {
    /// By their ids.
    Ids(&'a [u64]),
    /// By their keys.
    Keys(&'a [String]),
}

/// How a row is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// By its id.
    Id(u64),
    /// By its key.
    Key(String),
}

impl Identity {
    /// Whether it is this key.
    fn is_key(&self, key: &str) -> bool {
        matches!(self, Self::Key(own) if own == key)
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Key(key) => key.fmt(f),
        }
    }
}

impl Collection {
    /// The identities of the rows.
    ///
    /// # Errors
    /// [`FsError::BadStream`] when a stream is missing or has another length than the rows need; device errors; damage.
    pub fn identities(&self, volume: &Volume) -> Result<Identities> {
        let rows = self.rows();
        let numbers = |stream| self.view_exact(volume, stream, rows * 8);
        let ids = if self.desc.has(FLAG_IDS) { Some(numbers(STREAM_IDS)?) } else { None };
        let keys = if self.desc.has(FLAG_KEYS) {
            let (ends, hashes) = (numbers(STREAM_KEY_ENDS)?, numbers(STREAM_KEY_HASHES)?);
            let Some(inode) = self.stream(volume, STREAM_KEYS)? else {
                return Err(self.bad_stream(STREAM_KEYS, "is missing".to_owned()));
            };
            Some(Keys { text: volume.view(&inode)?, ends, hashes })
        } else {
            None
        };
        let hash_key = volume.superblock().hash_key;
        Ok(Identities { path: self.path.clone(), rows, ids, keys, hash_key })
    }
}

impl Identities {
    /// Whether rows are called by keys.
    pub fn has_keys(&self) -> bool {
        self.keys.is_some()
    }

    /// Whether the id of a row is its number.
    pub fn ids_are_rows(&self) -> bool {
        self.ids.is_none()
    }

    /// The rows of the ids in `wanted`; ids that no row has are left out.
    ///
    /// # Complexity
    /// One pass over eight bytes for each row.
    ///
    /// # Errors
    /// Device errors; damage of the stream.
    pub fn rows_of_ids(&self, wanted: &HashSet<u64>) -> Result<HashMap<u64, u64>> {
        let mut found = HashMap::new();
        let Some(ids) = &self.ids else {
            return Ok(wanted.iter().filter(|&&id| id < self.rows).map(|&id| (id, id)).collect());
        };
        for (number, row) in ids.all()?.as_chunks::<8>().0.iter().zip(0..) {
            let id = u64::from_le_bytes(*number);
            if wanted.contains(&id) {
                found.insert(id, row);
            }
        }
        Ok(found)
    }

    /// For each of `names` the row that is called so; `None` where there is none, or it is deleted.
    ///
    /// # Complexity
    /// O(n log n) in the names, one look at eight bytes for each row; 24 bytes for each name, keys 8 more.
    ///
    /// # Errors
    /// Device errors; damage of a stream.
    pub fn rows_of(&self, names: Names<'_>, deleted: &Deletions) -> Result<Vec<Option<u64>>> {
        let (values, view) = match (names, &self.keys) {
            (Names::Keys(names), Some(keys)) => {
                let hash = |name: &String| name_hash(&self.hash_key, name.as_bytes());
                (names.iter().map(hash).collect::<Vec<_>>(), &keys.hashes)
            }
            (Names::Keys(names), None) => return Ok(vec![None; names.len()]),
            (Names::Ids(ids), _) => match &self.ids {
                Some(view) => (ids.to_vec(), view),
                None => {
                    let live = |&row: &u64| (row < self.rows && !deleted.contains(row)).then_some(row);
                    return Ok(ids.iter().map(live).collect());
                }
            },
        };
        let mut found = vec![None; values.len()];
        let lookup = Lookup::of(&values);
        let numbers = view.all()?.as_chunks::<8>().0.iter().map(|bytes| u64::from_le_bytes(*bytes));
        for (number, row) in numbers.zip(0..).filter(|&(_, row)| !deleted.contains(row)) {
            for place in lookup.find(number) {
                let is_it = match names {
                    Names::Ids(_) => true,
                    Names::Keys(keys) => self.identity(row)?.is_key(&keys[place as usize]),
                };
                if is_it {
                    found[place as usize] = Some(row);
                }
            }
        }
        Ok(found)
    }

    /// The id of a row.
    ///
    /// # Errors
    /// Device errors; damage of the stream.
    pub fn id(&self, row: u64) -> Result<u64> {
        match &self.ids {
            Some(ids) => number_at(ids, row),
            None => Ok(row),
        }
    }

    /// How a row is called: by its key where it has one.
    ///
    /// # Errors
    /// Device errors; damage of a stream.
    pub fn identity(&self, row: u64) -> Result<Identity> {
        let Some(keys) = &self.keys else { return Ok(Identity::Id(self.id(row)?)) };
        let end = number_at(&keys.ends, row)?;
        let start = if row == 0 { 0 } else { number_at(&keys.ends, row - 1)? };
        let is_key = start <= end && end <= keys.text.len() && end - start <= KEY_MAX as u64;
        let bytes = if is_key { keys.text.bytes(start..end)? } else { &[] };
        match std::str::from_utf8(bytes) {
            Ok(key) if !key.is_empty() => Ok(Identity::Key(key.to_owned())),
            _ => Err(FsError::BadStream {
                collection: self.path.clone(),
                stream: STREAM_KEYS,
                problem: format!("has no key for row {row}"),
            }),
        }
    }

    /// The row that is called `text`: a key where rows have keys, else a decimal id. Deleted rows are not found.
    ///
    /// # Complexity
    /// One pass over eight bytes for each row; immediate where ids are row numbers.
    ///
    /// # Errors
    /// [`FsError::NoSuchId`]; device errors; damage of a stream.
    pub fn find(&self, text: &str, deleted: &Deletions) -> Result<u64> {
        let missing = || FsError::NoSuchId { collection: self.path.clone(), id: text.to_owned() };
        let row = if let Some(keys) = &self.keys {
            let hash = name_hash(&self.hash_key, text.as_bytes());
            self.scan(&keys.hashes, hash, |row| {
                Ok(!deleted.contains(row) && self.identity(row)? == Identity::Key(text.to_owned()))
            })?
        } else {
            let id: u64 = text.parse().map_err(|_| missing())?;
            match &self.ids {
                Some(ids) => self.scan(ids, id, |row| Ok(!deleted.contains(row)))?,
                None => Some(id).filter(|&row| row < self.rows && !deleted.contains(row)),
            }
        };
        row.ok_or_else(missing)
    }

    fn scan(
        &self,
        view: &FileView,
        wanted: u64,
        accept: impl Fn(u64) -> Result<bool>,
    ) -> Result<Option<u64>> {
        const CHUNK: u64 = 64 << 10;
        let mut row = 0;
        while row < self.rows {
            let end = self.rows.min(row + CHUNK);
            for (number, r) in view.bytes(row * 8..end * 8)?.as_chunks::<8>().0.iter().zip(row..) {
                if u64::from_le_bytes(*number) == wanted && accept(r)? {
                    return Ok(Some(r));
                }
            }
            row = end;
        }
        Ok(None)
    }
}

pub(super) fn number_at(view: &FileView, row: u64) -> Result<u64> {
    let bytes = view.bytes(row * 8..row * 8 + 8)?;
    Ok(bytes.first_chunk::<8>().map_or(0, |b| u64::from_le_bytes(*b)))
}
