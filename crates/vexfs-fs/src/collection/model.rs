//! What made the vectors: distances between those of different models mean nothing.

use std::fmt;
use std::str::FromStr;

use vexfs_format::InodeNo;
use vexfs_format::collection::{FLAG_NORMALIZED, MODEL_MAX};

use super::Collection;
use crate::error::Result;
use crate::inode;
use crate::txn::transaction::Transaction;

/// The name of a model, and the hash of its weights if it is known: `NAME` or `NAME@HASH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model(String);

impl Model {
    /// Whether both may be the same model: they have one name, and no different hashes.
    pub fn may_be(&self, other: &Model) -> bool {
        let ((name, hash), (other_name, other_hash)) = (self.parts(), other.parts());
        name == other_name && (hash.is_empty() || other_hash.is_empty() || hash == other_hash)
    }

    fn parts(&self) -> (&str, &str) {
        self.0.split_once('@').unwrap_or((&self.0, ""))
    }
}

impl FromStr for Model {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        if text.len() > MODEL_MAX {
            return Err(format!("{} bytes, and {MODEL_MAX} are the most", text.len()));
        }
        if text.chars().any(char::is_control) || text.split('@').any(str::is_empty) {
            return Err("expected NAME or NAME@HASH".to_owned());
        }
        Ok(Model(text.to_owned()))
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Collection {
    /// The model that made the vectors, if somebody has said it.
    pub fn model(&self) -> Option<Model> {
        // What nobody of ours has written is not to reach a terminal as it is.
        self.desc.model().map(|name| Model(name.replace(char::is_control, "\u{fffd}")))
    }
}

impl Transaction<'_> {
    /// Stages what is known of the vectors of collection `ino`: their model, and that all rows have length 1. What is not given
    /// stays.
    ///
    /// # Errors
    /// Those of [`Collection::from_inode`].
    pub fn describe_vectors(
        &mut self,
        path: &str,
        ino: InodeNo,
        model: Option<&Model>,
        normalized: bool,
    ) -> Result<()> {
        let collection = Collection::from_inode(self, path, inode::read(self, ino)?)?;
        let mut desc = collection.desc;
        // A name alone does not make forget the hash.
        if let Some(model) = model.filter(|model| desc.model().is_none() || !model.parts().1.is_empty()) {
            desc.set_model(&model.0);
        }
        if normalized {
            desc.set(FLAG_NORMALIZED);
        }
        self.write_collection_desc(&collection.inode, &desc);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_compared_as_far_as_they_are_known() {
        let model = |text: &str| text.parse::<Model>();
        for (one, other, same) in
            [("m", "m", true), ("m@1", "m", true), ("m@1", "m@2", false), ("m", "n", false)]
        {
            let (one, other) = (model(one).expect("a model"), model(other).expect("a model"));
            assert_eq!((one.may_be(&other), other.may_be(&one)), (same, same));
        }
        for text in ["", "@", "m@", "@1", "a\nb", &"x".repeat(256)] {
            assert!(model(text).is_err(), "{text}");
        }
    }
}
