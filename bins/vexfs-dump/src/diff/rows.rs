//! The rows of the collections that two volumes have, held against each other by their ids or keys.

use std::cmp::Ordering;

use serde::Serialize;
use vexfs_format::codes::InodeKind;
use vexfs_format::dir_block::name_hash;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::ids::{Identities, Identity};
use vexfs_fs::collection::payload::Payloads;
use vexfs_fs::collection::rows::Rows;
use vexfs_fs::{FsError, Volume};

use super::tree::Tree;

/// How the rows of a collection differ.
#[derive(Debug, Serialize)]
pub(crate) struct RowChanges {
    pub(crate) path: String,
    /// Rows that only the other volume has.
    pub(crate) added: u64,
    /// Rows that only the device has.
    pub(crate) deleted: u64,
    /// Rows that both have, with another vector or payload.
    pub(crate) changed: u64,
    /// How the vectors themselves differ, so that none is compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shape: Option<String>,
}

/// The collections at the same path whose rows differ.
pub(super) fn changed(
    (old, before): (&Volume, &Tree),
    (new, after): (&Volume, &Tree),
) -> Result<Vec<RowChanges>, FsError> {
    let mut found = Vec::new();
    for (path, was) in before.iter().filter(|(_, inode)| inode.kind() == InodeKind::Collection) {
        let Some(is) = after.get(path).filter(|inode| inode.kind() == InodeKind::Collection) else {
            continue;
        };
        let was = Side::open(old, Collection::from_inode(old, path, *was)?)?;
        let is = Side::open(new, Collection::from_inode(new, path, *is)?)?;
        let changes = compare(path, &was, &is)?;
        if changes.added + changes.deleted + changes.changed > 0 || changes.shape.is_some() {
            found.push(changes);
        }
    }
    Ok(found)
}

/// A collection of one volume.
struct Side {
    shape: String,
    identities: Identities,
    rows: Rows,
    payloads: Option<Payloads>,
    /// A number for the name of each row that is not deleted, and the row; rising.
    names: Vec<(u64, u64)>,
}

impl Side {
    fn open(volume: &Volume, collection: Collection) -> Result<Self, FsError> {
        let identities = collection.identities(volume)?;
        let rows = collection.open_rows(volume)?;
        let deleted = collection.deletions(volume)?;
        let mut names = Vec::new();
        for row in (0..rows.len()).filter(|&row| !deleted.contains(row)) {
            names.push((number(&identities.identity(row)?), row));
        }
        names.sort_unstable();
        let spec = collection.spec();
        let shape = format!("{} {} {}", spec.dim, spec.dtype.name(), spec.metric.name());
        Ok(Self { shape, identities, payloads: collection.payloads(volume)?, rows, names })
    }

    fn payload(&self, row: u64) -> Result<&str, FsError> {
        self.payloads.as_ref().map_or(Ok(""), |payloads| payloads.get(row))
    }
}

/// A number by which names are put in order: the id, or a hash of the key.
fn number(identity: &Identity) -> u64 {
    match identity {
        Identity::Id(id) => *id,
        Identity::Key(key) => name_hash(&[0; 16], key.as_bytes()),
    }
}

fn compare(path: &str, was: &Side, is: &Side) -> Result<RowChanges, FsError> {
    let mut changes = RowChanges { path: path.to_owned(), added: 0, deleted: 0, changed: 0, shape: None };
    let is_comparable = was.shape == is.shape;
    if !is_comparable {
        changes.shape = Some(format!("vectors {} -> {}", was.shape, is.shape));
    }
    let (mut old, mut new) = (was.names.iter().peekable(), is.names.iter().peekable());
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return Ok(changes),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        let was_row = if order.is_le() { old.next().map(|(_, row)| *row) } else { None };
        let is_row = if order.is_ge() { new.next().map(|(_, row)| *row) } else { None };
        match (was_row, is_row) {
            (Some(a), Some(b)) if was.identities.identity(a)? == is.identities.identity(b)? => {
                let differs = is_comparable && was.rows.row(a)? != is.rows.row(b)?;
                changes.changed += u64::from(differs || was.payload(a)? != is.payload(b)?);
            }
            (old, new) => {
                changes.deleted += u64::from(old.is_some());
                changes.added += u64::from(new.is_some());
            }
        }
    }
}
