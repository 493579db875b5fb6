//! The files of an index: `NAME.0`, `NAME.1` … its parts, `NAME.spec` what it was asked to be, `NAME.calibration` its
//! measured recall.

use std::collections::BTreeMap;

use vexfs_ann::index::IndexSpec;
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;

use super::problem;
use crate::collection::Collection;
use crate::dir;
use crate::error::{FsError, Result};
use crate::inode;
use crate::source::BlockSource;
use crate::volume::Volume;

/// Longest name of an index in bytes.
pub const NAME_MAX: usize = 64;
/// Names that mean something else where an index is named.
const RESERVED: [&str; 3] = ["all", "auto", "exact"];
/// Ending of the stream that holds the description an index was built by.
pub(crate) const SPEC: &str = "spec";
/// Ending of the stream that holds the calibration.
pub(crate) const CALIBRATION: &str = "calibration";
/// Longest description in bytes.
pub(crate) const SPEC_MAX: u64 = 4096;

/// The files of one index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexFiles {
    /// Its name.
    pub name: String,
    /// Its parts by number; the rows they cover ascend with it. None after a compaction, until it is built again.
    pub parts: BTreeMap<u32, InodeNo>,
    /// The stream of its description.
    pub spec: Option<InodeNo>,
    /// The stream of its calibration.
    pub calibration: Option<InodeNo>,
}

impl IndexFiles {
    /// Whether it has no image: a compaction has dropped them.
    pub fn is_unbuilt(&self) -> bool {
        self.parts.is_empty()
    }

    /// The names of all its files.
    pub(super) fn names(&self) -> Vec<String> {
        let others = [(SPEC, self.spec), (CALIBRATION, self.calibration)];
        let others =
            others.into_iter().filter_map(|(ending, ino)| ino.map(|_| file_name(&self.name, ending)));
        self.parts.keys().map(|number| file_name(&self.name, number)).chain(others).collect()
    }

    /// The description it was built by.
    ///
    /// # Errors
    /// [`FsError::Index`] if it is missing or is none; device errors; damage of the stream.
    pub fn read_spec(&self, volume: &Volume, collection: &Collection) -> Result<IndexSpec> {
        let bad = |what: &str| problem(&collection.path, &self.name, format!("its description {what}"));
        let inode = inode::read(volume, self.spec.ok_or_else(|| bad("is missing"))?)?;
        if inode.size.get() > SPEC_MAX {
            return Err(bad("is too long"));
        }
        let view = volume.view(&inode)?;
        let text = std::str::from_utf8(view.all()?).map_err(|_| bad("is no text"))?;
        text.parse().map_err(|e| bad(&format!("cannot be read: {e}")))
    }
}

/// The file name of a part or companion.
pub(crate) fn file_name(index: &str, ending: impl std::fmt::Display) -> String {
    format!("{index}.{ending}")
}

/// What a file of an index is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// The image of the part of this number.
    Part(u32),
    /// The description it was built by.
    Spec,
    /// Its measured recall.
    Calibration,
}

/// The index that a file name belongs to, and what the file is; `None` for the name of no file of an index.
pub(crate) fn parse_name(file: &str) -> Option<(&str, Role)> {
    let (name, ending) = file.rsplit_once('.').filter(|(name, _)| check_name(name).is_ok())?;
    let role = match ending {
        SPEC => Role::Spec,
        CALIBRATION => Role::Calibration,
        _ => Role::Part(ending.parse().ok().filter(|number: &u32| number.to_string() == ending)?),
    };
    Some((name, role))
}

/// Refuses what cannot be the name of an index.
///
/// # Errors
/// [`FsError::BadIndex`].
pub fn check_name(name: &str) -> Result<()> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(is_plain) || RESERVED.contains(&name) {
        return Err(FsError::BadIndex(format!(
            "{name:?} cannot be the name of an index: 1 to {NAME_MAX} letters, digits, '-' and '_', not {}",
            RESERVED.join(", ")
        )));
    }
    Ok(())
}

/// The indexes of a collection by name, in order. Files that belong to no index are passed over.
///
/// # Errors
/// Device errors; damage of the directory of index images.
pub fn list(src: &(impl BlockSource + ?Sized), collection: &Collection) -> Result<Vec<IndexFiles>> {
    let Some(directory) = collection.index_directory else { return Ok(Vec::new()) };
    let directory = inode::read(src, directory)?;
    let mut found: BTreeMap<String, IndexFiles> = BTreeMap::new();
    for entry in dir::list(src, &directory)?.into_iter().filter(|e| e.kind == InodeKind::Stream) {
        let Some((name, role)) = std::str::from_utf8(&entry.name).ok().and_then(parse_name) else { continue };
        let index = found.entry(name.to_owned()).or_insert_with(|| IndexFiles {
            name: name.to_owned(),
            parts: BTreeMap::new(),
            spec: None,
            calibration: None,
        });
        match role {
            Role::Part(number) => drop(index.parts.insert(number, entry.inode)),
            Role::Spec => index.spec = Some(entry.inode),
            Role::Calibration => index.calibration = Some(entry.inode),
        }
    }
    Ok(found.into_values().collect())
}

/// The files of the index `name`.
///
/// # Errors
/// [`FsError::Index`] if there is no such index; those of [`list`].
pub fn find(src: &(impl BlockSource + ?Sized), collection: &Collection, name: &str) -> Result<IndexFiles> {
    let all = list(src, collection)?;
    let names = all.iter().map(|files| files.name.as_str());
    let missing = || missing(&collection.path, name, names);
    all.iter().find(|files| files.name == name).cloned().ok_or_else(missing)
}

/// That there is no index `name` among `names`.
pub(super) fn missing<'n>(path: &str, name: &str, names: impl Iterator<Item = &'n str>) -> FsError {
    let names: Vec<_> = names.collect();
    let there = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    problem(path, name, format!("there is no such index; there are: {there}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_that_of_an_index_or_of_nothing() {
        assert_eq!(parse_name("ivf.0"), Some(("ivf", Role::Part(0))));
        assert_eq!(parse_name("a-b.4294967295"), Some(("a-b", Role::Part(u32::MAX))));
        assert_eq!(parse_name("ivf.spec"), Some(("ivf", Role::Spec)));
        assert_eq!(parse_name("ivf.calibration"), Some(("ivf", Role::Calibration)));
        for none in ["ivf", "ivf.", ".0", "ivf.01", "ivf.4294967296", "ivf.-1", "ivf.Spec", "a.b.0", "all.0"]
        {
            assert_eq!(parse_name(none), None, "{none}");
        }
    }

    #[test]
    fn names_are_plain_and_mean_nothing_else() {
        for good in ["hnsw", "ivf-pq", "ivf_2", "A"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "x".repeat(NAME_MAX + 1);
        for bad in ["", "a.b", "a/b", "a b", "ä", "all", "auto", "exact", long.as_str()] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
