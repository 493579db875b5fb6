//! Everything that a volume holds, as plain values.

use std::collections::BTreeMap;

use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_fs::collection::ids::Names;
use vexfs_fs::collection::{self, Collection};
use vexfs_fs::index::{self, StoredIndex};
use vexfs_fs::{FsError, Result, Volume, dir, inode};

use crate::payload::{Facts, Payload, text};
use crate::rows::{Row, Rows, unpack};

/// What a volume holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    /// Collections by path.
    pub collections: BTreeMap<String, Rows>,
    /// Ordinary files of the root directory by name.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Blocks of the filesystem.
    pub blocks: u64,
}

impl World {
    /// Reads all that a volume holds.
    ///
    /// # Errors
    /// Whatever reading meets first.
    pub fn read(volume: &Volume) -> Result<Self> {
        let mut world = Self { blocks: volume.geometry().blocks, ..Self::default() };
        for collection in collection::list(volume)? {
            world.collections.insert(collection.path.clone(), rows(volume, &collection)?);
        }
        let root = inode::read(volume, InodeNo::ROOT)?;
        for entry in dir::list(volume, &root)?.into_iter().filter(|entry| entry.kind == InodeKind::File) {
            let bytes = volume.view(&inode::read(volume, entry.inode)?)?.all()?.to_vec();
            world.files.insert(String::from_utf8_lossy(&entry.name).into_owned(), bytes);
        }
        Ok(world)
    }

    /// The collection at a path.
    pub fn rows(&mut self, path: &str) -> &mut Rows {
        self.collections.get_mut(path).expect("the collection is there")
    }

    /// Where two worlds differ, in words; for messages.
    pub fn difference(&self, expected: &Self) -> String {
        let mut text = String::new();
        let paths = self.collections.keys().chain(expected.collections.keys());
        for path in paths.collect::<std::collections::BTreeSet<_>>() {
            match (self.collections.get(path), expected.collections.get(path)) {
                (Some(found), Some(wanted)) if found == wanted => {}
                (Some(found), Some(wanted)) => text += &format!("{path}: {}\n", difference(found, wanted)),
                (found, wanted) => {
                    text += &format!("{path}: there {}, expected {}\n", found.is_some(), wanted.is_some());
                }
            }
        }
        if self.files != expected.files {
            let names =
                |world: &Self| world.files.iter().map(|(n, b)| (n.clone(), b.len())).collect::<Vec<_>>();
            text += &format!("files: {:?}, expected {:?}\n", names(self), names(expected));
        }
        if self.blocks != expected.blocks {
            text += &format!("{} blocks, expected {}\n", self.blocks, expected.blocks);
        }
        text
    }
}

fn difference(found: &Rows, wanted: &Rows) -> String {
    let at = (0..).zip(&found.rows).zip(&wanted.rows).find(|((_, found), wanted)| found != wanted);
    if let Some(((row, found), wanted)) = at {
        return format!("row {row} of the rows is {found:?}, expected {wanted:?}");
    }
    let brief = |rows: &Rows| {
        let Rows { next_id, has_keys, has_payload, indexes, .. } = rows;
        format!(
            "{} rows, next id {next_id}, keys {has_keys}, payload {has_payload}, indexes {indexes:?}",
            rows.rows.len()
        )
    };
    format!("{}, expected {}", brief(found), brief(wanted))
}

/// Reads a collection whole, each row by its number and by its name.
fn rows(volume: &Volume, collection: &Collection) -> Result<Rows> {
    let spec = collection.spec();
    let (stored, identities) = (collection.open_rows(volume)?, collection.identities(volume)?);
    let (deleted, payloads) = (collection.deletions(volume)?, collection.payloads(volume)?);
    let mut rows = Rows::new(spec);
    rows.next_id = collection.desc.next_id.get();
    (rows.has_keys, rows.has_payload) = (identities.has_keys(), payloads.is_some());
    for number in 0..stored.len() {
        rows.rows.push(Row {
            name: identities.identity(number)?.to_string(),
            elements: unpack(spec.dtype, spec.dim, stored.row(number)?),
            payload: match &payloads {
                Some(payloads) => understood(payloads.get(number)?),
                None => None,
            },
            is_deleted: deleted.contains(number),
        });
    }
    assert_eq!(collection.desc.live_rows.get(), rows.live().count() as u64, "{}: live rows", collection.path);
    let names: Vec<String> = rows.rows.iter().map(|row| row.name.clone()).collect();
    let found = if rows.has_keys {
        identities.rows_of(Names::Keys(&names), &deleted)?
    } else {
        let ids: Vec<u64> = names.iter().map(|name| name.parse().expect("an id")).collect();
        identities.rows_of(Names::Ids(&ids), &deleted)?
    };
    for ((number, row), found) in (0..).zip(&rows.rows).zip(found) {
        assert!(
            row.is_deleted || found == Some(number),
            "{}: {} is row {found:?}",
            collection.path,
            row.name
        );
    }
    for files in index::list(volume, collection)? {
        let covered = if files.is_unbuilt() {
            0
        } else {
            let stored = StoredIndex::open(volume, collection, &files)?;
            assert_eq!(stored.uncovered(0), [], "{}: gaps", files.name);
            stored.parts().last().map_or(0, |part| part.header().rows.end)
        };
        rows.indexes.insert(files.name, covered);
    }
    Ok(rows)
}

/// The payload that a text stands for; it must be one that the model has written.
fn understood(stored: &str) -> Payload {
    if stored.is_empty() {
        return None;
    }
    let facts = Facts::parse(stored);
    assert_eq!(text(&Some(facts)), stored, "the payload is another text");
    Some(facts)
}

/// The row numbers that names have.
///
/// # Errors
/// [`FsError::NoSuchId`] for a name that no row has.
pub fn numbers(volume: &Volume, path: &str, names: &[String]) -> Result<Vec<u64>> {
    let collection = Collection::open(volume, path)?;
    let (identities, deleted) = (collection.identities(volume)?, collection.deletions(volume)?);
    let find = |name: &String| match identities.find(name, &deleted) {
        Err(FsError::NoSuchId { .. }) => panic!("{path}: nobody is called {name}"),
        other => other,
    };
    names.iter().map(find).collect()
}
