//! `--mode delete`: the rows that ids or keys name are deleted, all of them or none.

use anyhow::bail;
use vexfs_cli::{Interrupted, signals};
use vexfs_fs::Volume;
use vexfs_fs::collection::Collection;
use vexfs_fs::collection::ids::Names;

use crate::ahead::wait_for;
use crate::args::Args;
use crate::identity::{Batch, Identities};
use crate::rows::UNTOUCHED;

/// Deletes the rows. Returns how many there were.
pub(crate) fn delete(args: &Args, volume: &mut Volume) -> anyhow::Result<u64> {
    let path = args.collection.name();
    let collection = Collection::open(volume, path)?;
    let identities = collection.identities(volume)?;
    if identities.has_keys() != args.keys.is_some() {
        let (have, flag) =
            if identities.has_keys() { ("have keys", "--keys") } else { ("have no keys", "--ids") };
        bail!("{path}: its rows {have}; name them with {flag}");
    }
    let (ids, keys) = (args.ids.clone(), args.keys.clone());
    let (named, naming) = wait_for(UNTOUCHED, move || {
        let mut named = Identities::open(ids.as_deref(), keys.as_deref())?;
        let naming = named.naming();
        named.rest().map(|batch| (batch, naming))
    })??;
    let names = match &named {
        Batch::Ids(ids) => Names::Ids(ids),
        Batch::Keys(keys) => Names::Keys(keys),
        Batch::Auto => Names::Ids(&[]),
    };
    let found = identities.rows_of(names, &collection.deletions(volume)?)?;
    if let Some(unknown) = found.iter().position(Option::is_none) {
        let name = match names {
            Names::Ids(ids) => format!("id {}", ids[unknown]),
            Names::Keys(keys) => format!("key {}", keys[unknown]),
        };
        return Err(naming.unknown(unknown as u64, name));
    }
    let mut rows: Vec<u64> = found.into_iter().flatten().collect();
    rows.sort_unstable();
    rows.dedup();
    if signals::interrupted() {
        return Err(Interrupted::new(UNTOUCHED).into());
    }
    let ino = collection.inode.number();
    let mut txn = volume.begin()?;
    let deleted = txn.delete_rows(path, ino, &rows)?;
    txn.commit()?;
    Ok(deleted)
}
