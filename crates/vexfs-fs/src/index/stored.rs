//! Indexes opened for a search: nothing of an image is read but its trailer.

use std::ops::Range;

use vexfs_ann::calibrate::{self, Calibration};
use vexfs_ann::index::image::{Header, Image};
use vexfs_ann::index::{self, Index, IndexError};
use vexfs_ann::{DType, Metric};

use super::files::{self, IndexFiles};
use super::{fault, of_index, problem};
use crate::collection::Collection;
use crate::error::{FsError, Result};
use crate::inode;
use crate::search::{Choice, dtype, metric};
use crate::view::FileView;
use crate::volume::Volume;

/// One part of an index.
#[derive(Debug)]
pub struct Part {
    number: u32,
    view: FileView,
    header: Header,
}

/// An index whose images can be searched.
#[derive(Debug)]
pub struct StoredIndex {
    collection: String,
    name: String,
    parts: Vec<Part>,
    calibration: Option<FileView>,
}

impl Part {
    /// Number of the part, the last part of its file's name.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// What the image is of.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Its image.
    pub fn view(&self) -> &FileView {
        &self.view
    }
}

impl StoredIndex {
    /// Opens the parts of an index and makes sure that they are of the collection's rows.
    ///
    /// # Errors
    /// [`FsError::Index`] for an image that is none, is of other rows than the collection has, or covers rows that another part
    /// covers; device errors; damage.
    pub fn open(volume: &Volume, collection: &Collection, files: &IndexFiles) -> Result<Self> {
        let bad = |what: String| problem(&collection.path, &files.name, what);
        let mut parts: Vec<Part> = Vec::new();
        let mut free = 0;
        for (&number, &ino) in &files.parts {
            let view = volume.view(&inode::read(volume, ino)?)?;
            view.advise_random();
            let opened = Image::open(&view).map(|image| image.header().clone());
            let header = opened.map_err(|e| fault(&collection.path, &files.name, e))?;
            check(collection, &header).map_err(|what| bad(format!("part {number} {what}")))?;
            if header.rows.start < free {
                return Err(bad(format!("part {number} covers rows that another part covers")));
            }
            if parts.first().is_some_and(|first| first.header.kind != header.kind) {
                return Err(bad(format!("part {number} is of another kind than the first")));
            }
            free = header.rows.end;
            parts.push(Part { number, view, header });
        }
        if parts.is_empty() {
            return Err(bad(format!("it is not built; vexfs-tune --index rebuild {} does it", files.name)));
        }
        let calibration = match files.calibration {
            Some(ino) => Some(volume.view(&inode::read(volume, ino)?)?),
            None => None,
        };
        Ok(Self { collection: collection.path.clone(), name: files.name.clone(), parts, calibration })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its kind.
    pub fn kind(&self) -> index::Kind {
        // There is always a part.
        self.parts[0].header.kind
    }

    /// Its parts in order of their rows.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// Bytes of its images.
    pub fn bytes(&self) -> u64 {
        self.parts.iter().map(|part| part.view.len()).sum()
    }

    /// The rows of 0 .. `rows` that no part covers.
    pub fn uncovered(&self, rows: u64) -> Vec<Range<u64>> {
        let mut from = 0;
        let mut gaps = Vec::new();
        for part in &self.parts {
            gaps.push(from..part.header.rows.start);
            from = part.header.rows.end;
        }
        gaps.push(from..rows);
        gaps.retain(|gap| gap.start < gap.end);
        gaps
    }

    /// Its recall against effort, if that was measured.
    ///
    /// # Errors
    /// [`FsError::Index`] for a stream that holds none; device errors; damage of the stream.
    pub fn calibration(&self) -> Result<Option<Calibration>> {
        let Some(view) = &self.calibration else { return Ok(None) };
        let bytes = view.bytes(0..calibrate::MAX_BYTES as u64)?;
        let read = Calibration::from_bytes(bytes);
        read.map(Some).map_err(|e| self.fault(e))
    }

    /// An error that was met in it, with its name.
    pub(super) fn fault(&self, error: IndexError) -> FsError {
        fault(&self.collection, &self.name, error)
    }

    /// The parts, ready to be searched.
    ///
    /// # Errors
    /// [`FsError::Index`] for an image that contradicts itself; device errors; damage.
    pub fn searchable(&self) -> Result<Vec<Box<dyn Index + '_>>> {
        let open = |part| index::open(part).map_err(|e| self.fault(e));
        self.parts.iter().map(|part| open(&part.view)).collect()
    }
}

/// The indexes of a collection that may answer a query.
#[derive(Debug, Default)]
pub struct Indexes {
    usable: Vec<StoredIndex>,
    /// Name and problem of those that cannot be opened.
    unusable: Vec<(String, String)>,
}

impl Indexes {
    /// None: every search is exact.
    pub fn none() -> Self {
        Self::default()
    }

    /// Opens those that `choice` may mean. What is wrong with one of them is kept for whoever asks for it.
    ///
    pub fn open(volume: &Volume, collection: &Collection, choice: &Choice) -> Self {
        let mut indexes = Self::default();
        if *choice == Choice::Exact {
            return indexes;
        }
        let files = match files::list(volume, collection) {
            Ok(files) => files,
            Err(e) => {
                let problem = format!("the indexes of {} cannot be listed: {e}", collection.path);
                indexes.unusable.push((String::new(), problem));
                return indexes;
            }
        };
        let named = |files: &&IndexFiles| matches!(choice, Choice::Named(name) if *name == files.name);
        let only: Vec<_> = files.iter().filter(named).collect();
        for files in if only.is_empty() { files.iter().collect() } else { only } {
            match StoredIndex::open(volume, collection, files) {
                Ok(stored) => indexes.usable.push(stored),
                Err(e) => {
                    let problem = of_index(&collection.path, &files.name, &e);
                    indexes.unusable.push((files.name.clone(), problem));
                }
            }
        }
        indexes
    }

    /// The indexes that `choice` means, and name and problem of those that it may mean and that cannot be opened.
    pub(crate) fn candidates(&self, choice: &Choice) -> (Vec<&StoredIndex>, Vec<(String, String)>) {
        let Choice::Named(wanted) = choice else {
            return (self.usable.iter().collect(), self.unusable.clone());
        };
        let is_named = |stored: &&StoredIndex| stored.name == *wanted;
        let is_of_kind = |stored: &&StoredIndex| stored.kind().name() == wanted;
        let mut usable: Vec<_> = self.usable.iter().filter(is_named).collect();
        // Nobody knows the kind of what cannot be opened, but its name may tell.
        let may_mean =
            |name: &String| name == wanted || name.starts_with(&format!("{wanted}-")) || name.is_empty();
        let unusable: Vec<_> = self.unusable.iter().filter(|(name, _)| may_mean(name)).cloned().collect();
        if usable.is_empty() && unusable.iter().all(|(name, _)| name != wanted) {
            usable = self.usable.iter().filter(is_of_kind).collect();
        }
        (usable, unusable)
    }
}

/// Whether an image is of rows that the collection has.
fn check(collection: &Collection, header: &Header) -> Result<(), String> {
    let of: (usize, DType, Metric) = (header.dim, header.dtype, header.metric);
    let desc = &collection.desc;
    if of != (collection.dim(), dtype(desc.dtype()), metric(desc.metric())) {
        return Err("is of vectors of another dimension, type or metric".to_owned());
    }
    if header.rows.end > collection.rows() {
        return Err(format!("covers {} rows where there are {}", header.rows.end, collection.rows()));
    }
    if header.generation > desc.generation.get() {
        return Err("is of a later generation than the rows".to_owned());
    }
    Ok(())
}
