//! Indexes of collections: images on the device that shorten a search, built, opened and removed here.
//!
//! An index is a name and one or more **parts**, each an image ([`vexfs_ann::index`]) over a range of rows; each part is a
//! stream in the directory `index` of the collection. [`files`] finds them, [`Expected`] says whether what is asked for can be,
//! [`build()`] makes, extends and replaces them, [`remove()`] takes them away, [`stored`] opens them for a search and [`verify()`]
//! checks them. Rows that no part covers are
//! scanned by [`search`](crate::search). Layout: `docs/format/collections.md`.
//!
//! Everything here is derived from the rows: an index may be lost, never the reason for a wrong answer.

pub mod build;
pub(crate) mod bytes;
mod expected;
pub mod files;
mod parts;
pub mod remove;
pub mod stored;
mod verify;

pub use build::{BuildOptions, Built, build, calibrate, extend, rebuild};
pub use expected::Expected;
pub use files::{IndexFiles, check_name, list};
pub(crate) use remove::drop_images;
pub use remove::remove;
pub use stored::{Indexes, StoredIndex};
pub use verify::verify;
pub(crate) use verify::verify_parts;

use vexfs_ann::index::IndexError;
pub use vexfs_ann::index::Progress;

use crate::error::FsError;

/// An index as a person asks for it: `KIND[,name=NAME][,PARAMETER=VALUE…]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRequest {
    /// The name asked for; without one the kind is the name.
    pub name: Option<String>,
    /// What to build.
    pub spec: vexfs_ann::index::IndexSpec,
}

impl std::str::FromStr for IndexRequest {
    type Err = FsError;

    fn from_str(text: &str) -> Result<Self, FsError> {
        let (names, rest): (Vec<&str>, Vec<&str>) =
            text.split(',').partition(|part| part.trim_start().starts_with("name="));
        let spec = rest.join(",").parse();
        let spec = spec.map_err(|e: vexfs_ann::index::SpecError| FsError::BadIndex(e.to_string()))?;
        let name = match names[..] {
            [] => None,
            [name] => {
                let name = name.trim().trim_start_matches("name=");
                check_name(name)?;
                Some(name.to_owned())
            }
            _ => return Err(FsError::BadIndex("name is given twice".to_owned())),
        };
        Ok(Self { name, spec })
    }
}

/// The error of an index in the words of the filesystem.
pub(crate) fn fault(collection: &str, index: &str, error: IndexError) -> FsError {
    match error {
        IndexError::Interrupted => FsError::Interrupted,
        IndexError::Spec(error) => FsError::BadIndex(error.to_string()),
        IndexError::Source(error) => match error.downcast::<FsError>() {
            Ok(error) => *error,
            Err(error) => problem(collection, index, error),
        },
        other => problem(collection, index, other),
    }
}

/// An error that was met on the way through an index, with its name.
pub(crate) fn of_index(collection: &str, index: &str, error: &FsError) -> String {
    match error {
        FsError::Index { .. } => error.to_string(),
        other => format!("index {index} of {collection}: {other}"),
    }
}

/// What is wrong with an index.
pub(crate) fn problem(collection: &str, index: &str, problem: impl ToString) -> FsError {
    let (collection, index) = (collection.to_owned(), index.to_owned());
    FsError::Index { collection, index, problem: problem.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_may_name_the_index() {
        let request: IndexRequest = "hnsw,name=fast,m=16".parse().expect("a request");
        assert_eq!(
            (request.name.as_deref(), request.spec.to_string()),
            (Some("fast"), "hnsw,m=16".to_owned())
        );
        let request: IndexRequest = "ivf".parse().expect("a request");
        assert_eq!((request.name, request.spec.to_string()), (None, "ivf".to_owned()));
        for bad in ["tree", "name=x", "ivf,name=a.b", "ivf,name=", "ivf,name=a,name=b", ""] {
            assert!(bad.parse::<IndexRequest>().is_err(), "{bad}");
        }
    }
}
