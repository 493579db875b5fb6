//! What can go wrong with an index.

use std::error::Error;
use std::io;

use super::spec::SpecError;

/// An index that could not be built, opened or searched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Bytes of rows or of the image could not be had: the device failed, or a checksum did not agree.
    #[error("{0}")]
    Source(#[source] Box<dyn Error + Send + Sync>),
    /// The image contradicts itself. Its bytes are those that were written, so whoever wrote it was wrong, or lied.
    #[error("index image, byte {offset}: {what}")]
    Damaged {
        /// Where in the image.
        offset: u64,
        /// What was found, and what was expected.
        what: String,
    },
    /// The image is of a version or kind that this program does not know.
    #[error("index image of {what}, which this program does not know")]
    Unknown {
        /// The version or kind.
        what: String,
    },
    /// The description of the index is not one.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The rows are not those that the index is of, or not of a type that the kind can index.
    #[error("{0}")]
    Mismatch(String),
    /// The image could not be written.
    #[error("writing the index image: {0}")]
    Output(#[from] io::Error),
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

impl IndexError {
    /// Wraps an error of the rows or of the image's bytes.
    pub fn source(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Source(error.into())
    }

    /// The image contradicts itself at byte `offset`.
    pub fn damaged(offset: u64, what: impl Into<String>) -> Self {
        Self::Damaged { offset, what: what.into() }
    }
}
