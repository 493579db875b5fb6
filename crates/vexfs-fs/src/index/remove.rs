//! Taking an index away.

use vexfs_format::InodeNo;

use super::files::{self, IndexFiles};
use super::problem;
use crate::collection::Collection;
use crate::error::Result;
use crate::txn::transaction::Transaction;
use crate::volume::Volume;

/// Removes the index `name` of the collection at `path`. Returns the blocks that became free.
///
/// # Durability
/// One transaction: after a crash the index is there whole, or not at all.
///
/// # Errors
/// [`FsError::Index`](crate::FsError::Index) if there is no such index; those of [`Collection::open`] and of a commit.
pub fn remove(volume: &mut Volume, path: &str, name: &str) -> Result<u64> {
    let collection = Collection::open(volume, path)?;
    collection.desc.features().check_collection_writable()?;
    let files = files::find(volume, &collection, name)?;
    let Some(directory) = collection.index_directory else {
        return Err(problem(path, name, "there is no such index"));
    };
    let free = volume.sb.free_blocks.get();
    let mut txn = volume.begin()?;
    txn.use_reserve();
    remove_files(&mut txn, directory, &files)?;
    txn.commit()?;
    Ok(volume.sb.free_blocks.get().saturating_sub(free))
}

/// Removes the files of an index within a transaction.
pub(crate) fn remove_files(txn: &mut Transaction<'_>, directory: InodeNo, files: &IndexFiles) -> Result<()> {
    files.names().iter().try_for_each(|name| txn.remove(directory, name.as_bytes()))
}

/// Removes the images of all indexes of `collection` and their calibrations, and leaves what they are to be built anew by.
///
/// # Errors
/// [`FsError::Index`](crate::FsError::Index) for an index without a description.
pub(crate) fn drop_images(txn: &mut Transaction<'_>, collection: &Collection) -> Result<()> {
    let Some(directory) = collection.index_directory else { return Ok(()) };
    for files in files::list(txn, collection)? {
        if files.spec.is_none() {
            let what = "its description is lost, so it could not be built again; drop it first";
            return Err(problem(&collection.path, &files.name, what));
        }
        remove_files(txn, directory, &IndexFiles { spec: None, ..files })?;
    }
    Ok(())
}
