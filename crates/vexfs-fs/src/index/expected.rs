//! Which indexes a collection has, and will have when what is asked for was done: whether that can be done is known before a row
//! is read or a byte written.

use vexfs_ann::index::{self, IndexError};

use super::files::missing;
use super::{IndexRequest, files, problem};
use crate::collection::Collection;
use crate::collection::create::CollectionSpec;
use crate::error::{FsError, Result};
use crate::search::{dtype, metric};
use crate::volume::Volume;

/// The indexes of a collection as they will be.
#[derive(Clone, Debug)]
pub struct Expected {
    path: String,
    spec: CollectionSpec,
    names: Vec<String>,
}

impl Expected {
    /// Those that `collection` has.
    ///
    /// # Errors
    /// Those of [`list`](files::list).
    pub fn of(volume: &Volume, collection: &Collection) -> Result<Self> {
        let names = files::list(volume, collection)?.into_iter().map(|files| files.name).collect();
        Ok(Self { path: collection.path.clone(), spec: collection.spec(), names })
    }

    /// None: those of a collection that is to be made at `path`.
    pub fn of_new(path: &str, spec: CollectionSpec) -> Self {
        Self { path: path.to_owned(), spec, names: Vec::new() }
    }

    /// Adds what `request` asks for, and returns what it will be called: the name asked for, or the kind, with a number behind it
    /// where that is taken.
    ///
    /// # Errors
    /// [`FsError::BadIndex`] for parameters that the kind does not have, and for element types that it cannot index;
    /// [`FsError::Index`] for a name that is taken.
    pub fn add(&mut self, request: &IndexRequest) -> Result<String> {
        let spec = &self.spec;
        let checked = index::check(&request.spec, spec.dim as usize, dtype(spec.dtype), metric(spec.metric));
        checked.map_err(|error| match error {
            IndexError::Spec(error) => FsError::BadIndex(error.to_string()),
            other => FsError::BadIndex(other.to_string()),
        })?;
        let is_free = |name: &str| self.names.iter().all(|other| other != name);
        let kind = request.spec.kind.name();
        let name = match &request.name {
            Some(name) => Some(name.clone()),
            None if is_free(kind) => Some(kind.to_owned()),
            None => (2_u32..).map(|n| format!("{kind}-{n}")).find(|name| is_free(name)),
        };
        let taken = || problem(&self.path, request.name.as_deref().unwrap_or(kind), "exists already");
        let name = name.filter(|name| is_free(name)).ok_or_else(taken)?;
        self.names.push(name.clone());
        Ok(name)
    }

    /// Makes sure that there is an index `name`.
    ///
    /// # Errors
    /// [`FsError::Index`] if there is none.
    pub fn find(&self, name: &str) -> Result<()> {
        if self.names.iter().any(|other| other == name) {
            return Ok(());
        }
        Err(missing(&self.path, name, self.names.iter().map(String::as_str)))
    }

    /// Takes index `name` away.
    ///
    /// # Errors
    /// As [`find`](Self::find).
    pub fn remove(&mut self, name: &str) -> Result<()> {
        self.find(name)?;
        self.names.retain(|other| other != name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use vexfs_format::codes::{DType, Metric};

    use super::*;

    fn expected(dtype: DType, metric: Metric) -> Expected {
        Expected::of_new("vectors", CollectionSpec { dim: 8, dtype, metric, normalized: false })
    }

    fn add(expected: &mut Expected, text: &str) -> Result<String> {
        expected.add(&text.parse().expect("a request"))
    }

    #[test]
    fn names_are_given_once() {
        let mut floats = expected(DType::F32, Metric::L2);
        assert_eq!(add(&mut floats, "flat").ok().as_deref(), Some("flat"));
        assert_eq!(add(&mut floats, "flat").ok().as_deref(), Some("flat-2"));
        assert_eq!(add(&mut floats, "ivf,name=x").ok().as_deref(), Some("x"));
        let taken = add(&mut floats, "flat,name=x").expect_err("taken").to_string();
        assert!(taken.contains("exists already"), "{taken}");
        floats.remove("x").expect("there");
        let gone = floats.find("x").expect_err("gone").to_string();
        assert!(gone.contains("there are: flat, flat-2"), "{gone}");
        add(&mut floats, "flat,name=x").expect("free again");
    }

    #[test]
    fn what_no_kind_can_be_is_refused() {
        let wrong = ["hnsw,m=1000", "ivf,nlist=0", "pq,pq_m=9", "ivf-pq,nbits=5", "lsh,bits=99", "flat,m=3"];
        for text in wrong {
            let refused = add(&mut expected(DType::F32, Metric::L2), text);
            assert!(matches!(refused, Err(FsError::BadIndex(_))), "{text}: {refused:?}");
        }
        for text in ["ivf", "pq", "ivf-pq", "lsh,width=1"] {
            let refused = add(&mut expected(DType::B1, Metric::Hamming), text);
            assert!(matches!(refused, Err(FsError::BadIndex(_))), "{text}: {refused:?}");
        }
        for text in ["flat", "hnsw", "lsh"] {
            add(&mut expected(DType::B1, Metric::Hamming), text).expect(text);
        }
    }
}
