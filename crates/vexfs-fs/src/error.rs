//! What can go wrong in the trunk: the device failed, the bytes are damaged or too new, or the request cannot be met.

use vexfs_device::DeviceError;
use vexfs_format::{Corrupt, FormatError, error::Incompatible};

/// An error of the filesystem layer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsError {
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The bytes are damaged.
    #[error("{0}; run fsck.vexfs")]
    Corrupt(#[from] Corrupt),
    /// The bytes need a newer tool.
    #[error("{0}")]
    Incompatible(#[from] Incompatible),
    /// There is no filesystem of ours.
    #[error("{device} holds no VexFS: {reason}")]
    NotVexfs {
        /// The device as typed.
        device: String,
        /// What was found instead.
        reason: String,
    },
    /// The superblock names more blocks than the device has.
    #[error(
        "{device} is too short for its filesystem: {need} bytes belong to it, {have} are there; was the device cut off?"
    )]
    DeviceTooShort {
        /// The device as typed.
        device: String,
        /// Bytes of the filesystem.
        need: u64,
        /// Bytes of the device.
        have: u64,
    },
    /// A writing tool met a damaged primary superblock.
    #[error(
        "{device}: the primary superblock is damaged ({damage}); run fsck.vexfs before anything is written"
    )]
    PrimaryDamaged {
        /// The device as typed.
        device: String,
        /// What is wrong with it.
        damage: String,
    },
    /// A committed transaction cannot be read back.
    #[error("{device}: the journal is damaged ({damage}); run fsck.vexfs")]
    JournalDamaged {
        /// The device as typed.
        device: String,
        /// What is wrong with it.
        damage: Box<Corrupt>,
    },
    /// An earlier commit failed, so that nobody knows what is durable.
    #[error("{device}: an earlier write failed; close the device and run fsck.vexfs")]
    Poisoned {
        /// The device as typed.
        device: String,
    },
    /// The filesystem was opened for reading.
    #[error("{device} was opened for reading")]
    ReadOnly {
        /// The device as typed.
        device: String,
    },
    /// No name leads there.
    #[error("{path}: no such file, directory or collection")]
    NotFound {
        /// The path.
        path: String,
    },
    /// The name is taken.
    #[error("{path}: exists already")]
    Exists {
        /// The path.
        path: String,
    },
    /// The object is of another kind than the request needs.
    #[error("{path}: is a {found}, not a {expected}")]
    WrongKind {
        /// The path.
        path: String,
        /// What it is.
        found: &'static str,
        /// What is needed.
        expected: &'static str,
    },
    /// A directory that is not empty was to be removed.
    #[error("{path}: the directory is not empty")]
    NotEmpty {
        /// The path.
        path: String,
    },
    /// A name that no entry can have.
    #[error("{name:?} cannot be a name: 1 to 255 bytes without '/' and zero bytes, not '.' or '..'")]
    InvalidName {
        /// The name.
        name: String,
    },
    /// Symbolic links that lead to each other, or too many of them.
    #[error("{path}: more than 40 symbolic links")]
    TooManyLinks {
        /// The path.
        path: String,
    },
    /// Directories that lie in each other too deeply.
    #[error("a path of more than {limit} bytes, beginning {start:?}, cannot be followed")]
    PathTooLong {
        /// How it begins.
        start: String,
        /// Longest path in bytes.
        limit: usize,
    },
    /// A directory cannot take one more name.
    #[error("the directory is full: too many names, or too many names with the same hash")]
    DirectoryFull,
    /// Not enough free blocks.
    #[error("no space left on the filesystem: {needed} blocks are needed, {free} are free for this")]
    NoSpace {
        /// Blocks asked for.
        needed: u64,
        /// Blocks free for the purpose.
        free: u64,
    },
    /// Not enough free inodes.
    #[error("no inodes left on the filesystem; it was made with {inodes} (mkfs.vexfs -N makes more)")]
    NoInodes {
        /// Inodes of the filesystem.
        inodes: u64,
    },
    /// A transaction does not fit into the journal.
    #[error("the change is too large for the journal: {needed} blocks are needed, it has {capacity}")]
    TransactionTooLarge {
        /// Log blocks needed.
        needed: u64,
        /// Log blocks of the journal.
        capacity: u64,
    },
    /// Rows or queries of another dimension.
    #[error("dimension {found} does not fit: {what} has dimension {expected}")]
    WrongDimension {
        /// What sets the dimension.
        what: String,
        /// Dimension asked for.
        found: usize,
        /// Its dimension.
        expected: usize,
    },
    /// A collection cannot be made with these parameters.
    #[error("{0}")]
    BadCollection(String),
    /// An id or key was given twice, or a row has it already.
    #[error("{what} {value} is taken ({taken})")]
    Duplicate {
        /// "id" or "key".
        what: &'static str,
        /// The value.
        value: String,
        /// Its index among all that were given.
        given: u64,
        /// Who has it.
        taken: TakenBy,
    },
    /// No row bears this id or key.
    #[error("{collection}: no row with id {id}")]
    NoSuchId {
        /// The collection.
        collection: String,
        /// The id or key.
        id: String,
    },
    /// A stream of a collection is missing or has another length than its rows need.
    #[error("{collection}: stream {stream} {problem}; run fsck.vexfs")]
    BadStream {
        /// The collection.
        collection: String,
        /// The stream.
        stream: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// An index cannot be built, opened or searched.
    #[error("index {index} of {collection}: {problem}")]
    Index {
        /// The collection.
        collection: String,
        /// The index.
        index: String,
        /// What is wrong.
        problem: String,
    },
    /// The description of an index is not one, or does not fit the collection.
    #[error("{0}")]
    BadIndex(String),
    /// The layout asked of mkfs is not possible.
    #[error(transparent)]
    Plan(#[from] vexfs_format::geometry::PlanError),
    /// A filesystem was to become smaller.
    #[error("{device} cannot become smaller: the filesystem has {have} bytes, {wanted} were asked for")]
    CannotShrink {
        /// The device as typed.
        device: String,
        /// Bytes of the filesystem.
        have: u64,
        /// Bytes asked for.
        wanted: u64,
    },
    /// The descriptor table has no room for so many groups.
    #[error(
        "{device} cannot grow to {wanted} bytes: the table of its groups has room for {limit} bytes; a larger filesystem has to be made anew"
    )]
    GrowthLimit {
        /// The device as typed.
        device: String,
        /// Bytes asked for.
        wanted: u64,
        /// Bytes of the largest filesystem that it can become.
        limit: u64,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// Who has an id or key that is given once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TakenBy {
    /// A row of the collection.
    Row(u64),
    /// Another row that is being added, by its index among those.
    Given(u64),
}

impl std::fmt::Display for TakenBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Row(row) => write!(f, "row {row} has it"),
            Self::Given(index) => write!(f, "it was given before, to new row {index}"),
        }
    }
}

impl From<FormatError> for FsError {
    fn from(e: FormatError) -> Self {
        match e {
            FormatError::Corrupt(c) => Self::Corrupt(c),
            FormatError::Incompatible(i) => Self::Incompatible(i),
        }
    }
}

/// Result of the filesystem layer.
pub type Result<T, E = FsError> = std::result::Result<T, E>;
