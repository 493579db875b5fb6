//! What can be wrong with bytes: damage, or a format that is newer than the tool.

use std::fmt;

/// The structure that was being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // the names are those of the modules
pub enum Structure {
    Superblock,
    GroupDescriptor,
    BlockBitmap,
    InodeBitmap,
    Inode,
    ExtentNode,
    DirBlock,
    SumsBlock,
    Data,
    CollectionDescriptor,
    JournalSuperblock,
    JournalDescriptor,
    JournalData,
    JournalRevoke,
    JournalCommit,
}

impl fmt::Display for Structure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Superblock => "superblock",
            Self::GroupDescriptor => "group descriptor",
            Self::BlockBitmap => "block bitmap",
            Self::InodeBitmap => "inode bitmap",
            Self::Inode => "inode",
            Self::ExtentNode => "extent tree node",
            Self::DirBlock => "directory block",
            Self::SumsBlock => "checksum block",
            Self::Data => "data block",
            Self::CollectionDescriptor => "collection descriptor",
            Self::JournalSuperblock => "journal superblock",
            Self::JournalDescriptor => "journal descriptor block",
            Self::JournalData => "journal data block",
            Self::JournalRevoke => "journal revoke block",
            Self::JournalCommit => "journal commit block",
        })
    }
}

/// What is wrong with a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The bytes do not begin with the structure's magic.
    Magic {
        /// The first bytes as a little-endian number.
        found: u64,
    },
    /// The stored checksum is not that of the bytes at this place.
    Checksum {
        /// Checksum in the structure.
        stored: u32,
        /// Checksum of the bytes.
        computed: u32,
    },
    /// The structure says that it belongs elsewhere.
    Place {
        /// The block it names.
        found: u64,
        /// The block it was read from.
        expected: u64,
    },
    /// The structure says that it belongs to another object.
    Owner {
        /// The inode it names.
        found: u64,
        /// The inode that led to it.
        expected: u64,
    },
    /// A field holds a value that no writer stores.
    Field {
        /// Name of the field.
        name: &'static str,
        /// Its value.
        found: u64,
        /// The rule it breaks.
        expected: &'static str,
    },
    /// There are fewer bytes than the structure has.
    Short {
        /// Bytes present.
        found: usize,
        /// Bytes needed.
        expected: usize,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic { found } => write!(f, "magic {found:#x} is not that of this structure"),
            Self::Checksum { stored, computed } => {
                write!(f, "checksum {stored:#010x} is stored, {computed:#010x} is computed")
            }
            Self::Place { found, expected } => {
                write!(f, "it says it belongs to block {found}, not {expected}")
            }
            Self::Owner { found, expected } => {
                write!(f, "it says it belongs to inode {found}, not {expected}")
            }
            Self::Field { name, found, expected } => write!(f, "{name} is {found}, but must be {expected}"),
            Self::Short { found, expected } => write!(f, "{found} bytes where {expected} are needed"),
        }
    }
}

/// Damage with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{structure} {at}: {damage}")]
pub struct Corrupt {
    /// What was being read.
    pub structure: Structure,
    /// Where: a block number, or an inode or group number where that says more.
    pub at: At,
    /// What is wrong.
    pub damage: Damage,
}

/// Where a structure lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// Absolute block number.
    Block(u64),
    /// Inode number.
    Inode(u64),
    /// Block group number.
    Group(u64),
    /// Logical block of a file.
    FileBlock {
        /// The file's inode.
        inode: u64,
        /// Block index within the file.
        logical: u64,
    },
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Block(n) => write!(f, "at block {n}"),
            Self::Inode(n) => write!(f, "of inode {n}"),
            Self::Group(n) => write!(f, "of group {n}"),
            Self::FileBlock { inode, logical } => write!(f, "{logical} of inode {inode}"),
        }
    }
}

impl Corrupt {
    /// Damage `damage` in `structure` at `at`.
    pub fn new(structure: Structure, at: At, damage: Damage) -> Self {
        Self { structure, at, damage }
    }
}

/// Why bytes were not accepted as a structure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The bytes are damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The bytes are sound, but need a newer tool.
    #[error("{0}")]
    Incompatible(#[from] Incompatible),
}

/// A format that this version of the tools does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incompatible {
    /// Another format version.
    #[error("format version {found} is not known to these tools (they know {known}); get a newer version")]
    Version {
        /// The version of the bytes.
        found: u32,
        /// The version of the tools.
        known: u32,
    },
    /// A feature that must be understood before anything is read.
    #[error("unknown incompatible feature bits {0:#x}; get a newer version of the tools")]
    Incompat(u64),
    /// A feature that must be understood before anything is written.
    #[error(
        "unknown read-only-compatible feature bits {0:#x}: these tools may read, not write; get a newer version"
    )]
    RoCompat(u64),
}
