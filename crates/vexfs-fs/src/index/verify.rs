//! Checking indexes against themselves and their rows.

use super::files;
use super::stored::StoredIndex;
use crate::collection::Collection;
use crate::collection::rows::Deletions;
use crate::error::{FsError, Result};
use crate::volume::Volume;

/// Bytes of an image that are compared with their checksums at a time.
const STEP_BYTES: u64 = 4 << 20;

/// Checks the index `name`: its images are of the collection's rows, every block agrees with its checksum, and nothing contradicts
/// itself.
///
/// # Errors
/// [`FsError::Index`] with what is wrong; [`FsError::Corrupt`] for a damaged block; device errors; [`FsError::Interrupted`].
pub fn verify(
    volume: &Volume,
    collection: &Collection,
    name: &str,
    interrupted: &dyn Fn() -> bool,
) -> Result<()> {
    let files = files::find(volume, collection, name)?;
    let stored = StoredIndex::open(volume, collection, &files)?;
    files.read_spec(volume, collection)?;
    stored.calibration()?;
    for view in stored.parts().iter().map(|part| part.view()) {
        view.advise_sequential();
        for start in (0..view.len()).step_by(STEP_BYTES as usize) {
            if interrupted() {
                return Err(FsError::Interrupted);
            }
            view.bytes(start..start + STEP_BYTES)?;
        }
    }
    verify_parts(&stored, &collection.deletions(volume)?, interrupted)
}

/// Checks that nothing in the images of an index contradicts itself, and that no row which is not deleted is missing.
///
/// # Errors
/// As [`verify`].
pub(crate) fn verify_parts(
    stored: &StoredIndex,
    deletions: &Deletions,
    interrupted: &dyn Fn() -> bool,
) -> Result<()> {
    for part in stored.searchable()? {
        part.verify(deletions.words(), interrupted).map_err(|e| stored.fault(e))?;
    }
    Ok(())
}
