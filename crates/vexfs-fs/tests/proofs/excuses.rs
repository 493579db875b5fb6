//! Fields that may hold any value, or some others: no check can tell. Each entry says why.

use crate::field_damage::Case;

/// Whether a change of a field, from the first number to the second, means nothing.
type Test = fn(&Case, u64, u64) -> bool;

/// Structures (`*` stands for all, a name for all that begin with it), field, when, and why.
type Excuse = (&'static [&'static str], &'static str, Test, &'static str);

const ALWAYS: Test = |_, _, _| true;
const HEADERS: &[&str] = &["header of"];
const SUPERBLOCKS: &[&str] = &["superblock", "backup", "logged superblock"];
const BACKUP: &[&str] = &["backup"];
const FOR_PEOPLE: &str = "a note for people: nothing is decided by it";
const ANY: &str = "any value is one that a writer may have stored";
const UNUSED: &str = "not used in a block of this kind";
const COUNTED_BY_PRIMARY: &str = "only the primary superblock counts";

const EXCUSES: &[Excuse] = &[
    (&["*"], "reserved", ALWAYS, "kept as it is for a version to come"),
    (SUPERBLOCKS, "reserved_changing", ALWAYS, "kept as it is for a version to come"),
    (SUPERBLOCKS, "reserved_blocks", ALWAYS, ANY),
    (SUPERBLOCKS, "written_ns", ALWAYS, FOR_PEOPLE),
    (SUPERBLOCKS, "checked_ns", ALWAYS, FOR_PEOPLE),
    (SUPERBLOCKS, "error_count", ALWAYS, FOR_PEOPLE),
    (SUPERBLOCKS, "error_ns", ALWAYS, FOR_PEOPLE),
    (SUPERBLOCKS, "error_block", ALWAYS, FOR_PEOPLE),
    (
        &["superblock", "logged superblock"],
        "txn",
        |_, old, new| new < old,
        "the journal knows the last transaction",
    ),
    (BACKUP, "txn", ALWAYS, COUNTED_BY_PRIMARY),
    (BACKUP, "state", ALWAYS, COUNTED_BY_PRIMARY),
    (BACKUP, "free_blocks", ALWAYS, COUNTED_BY_PRIMARY),
    (BACKUP, "free_inodes", ALWAYS, COUNTED_BY_PRIMARY),
    (&["group"], "unused_inodes", |_, old, new| new < old, "records that count as written then are empty"),
    (
        &["group"],
        "unused_inodes",
        |case, _, _| case.group().is_some_and(|desc| desc.inode_bitmap_uninit()),
        "nothing is read from a table that was never written",
    ),
    (
        &["group"],
        "block_bitmap_checksum",
        |case, _, _| case.group().is_some_and(|desc| desc.block_bitmap_uninit()),
        "nothing is read from a bitmap that was never written",
    ),
    (
        &["group"],
        "inode_bitmap_checksum",
        |case, _, _| case.group().is_some_and(|desc| desc.inode_bitmap_uninit()),
        "nothing is read from a bitmap that was never written",
    ),
    (
        &["journal superblock"],
        "tail",
        |case, _, _| case.sample.name == "clean",
        "an empty log may begin anywhere",
    ),
    (
        &["journal superblock"],
        "tail_txn",
        |case, _, new| case.sample.name == "clean" && new < 1 << 62,
        "an empty log may begin with any transaction to come",
    ),
    (&["commit"], "time_ns", ALWAYS, FOR_PEOPLE),
    (&["tag"], "flags", ALWAYS, "kept as it is for a version to come"),
    (HEADERS, "flags", ALWAYS, "kept as it is for a version to come"),
    (&["log header"], "flags", ALWAYS, "kept as it is for a version to come"),
    (HEADERS, "txn", ALWAYS, FOR_PEOPLE),
    (&["log header"], "level", ALWAYS, UNUSED),
    (&["log header"], "index", ALWAYS, UNUSED),
    (&["log header"], "count", |_, old, _| old == 0, UNUSED),
    (&["header of a collection"], "level", ALWAYS, UNUSED),
    (&["header of a collection"], "index", ALWAYS, UNUSED),
    (&["header of a collection"], "count", ALWAYS, UNUSED),
    (&["header of checksums"], "level", ALWAYS, UNUSED),
    (
        &["header of checksums"],
        "count",
        |_, old, new| new > old,
        "nothing is read behind the last data block",
    ),
    (&["header of extents"], "index", ALWAYS, UNUSED),
    (&["inode"], "mode", |_, old, new| old & 0o170_000 == new & 0o170_000, "permissions are the user's"),
    (&["inode"], "uid", ALWAYS, ANY),
    (&["inode"], "gid", ALWAYS, ANY),
    (&["inode"], "created_ns", ALWAYS, ANY),
    (&["inode"], "modified_ns", ALWAYS, ANY),
    (&["inode"], "changed_ns", ALWAYS, ANY),
    (&["inode"], "txn", |_, old, new| new <= old + 60, "any transaction up to the last may have changed it"),
    (
        &["inode"],
        "generation",
        |case, old, new| {
            case.owner_kind() != "file" && case.owner_kind() != "stream" || old & 0xFFFF == new & 0xFFFF
        },
        "directories are not salted with it, and data only with its low 16 bits",
    ),
    (
        &["inode"],
        "size",
        |_, old, new| old.div_ceil(4096) == new.div_ceil(4096),
        "a file may end in zeros, or without them",
    ),
    (
        &["inode"],
        "root",
        |case, old, new| case.owner_kind() == "symlink" || old == new,
        "any byte but zero may be in the target of a link; nothing is read behind the extents in use",
    ),
    (
        &["directory index"],
        "hash",
        |_, _, _| true,
        "any hash between the last name before it and the first name below it leads to the same names",
    ),
    (&["collection"], "created_ns", ALWAYS, ANY),
    (&["collection"], "generation", ALWAYS, ANY),
    (&["collection"], "feature_compat", ALWAYS, "what is unknown there may be ignored"),
    (&["collection"], "feature_ro_compat", ALWAYS, "what is unknown there forbids only writing"),
    (&["collection"], "next_id", |_, old, new| new > old, "ids may be left out"),
    (&["collection"], "import_source", ALWAYS, "any files may have been imported last"),
    (&["collection"], "import_first", ALWAYS, "no import is under way in the samples"),
    (&["collection"], "model", ALWAYS, "any text names a model"),
    (&["collection"], "metric", ALWAYS, "which distance is meant nothing else says"),
    (
        &["collection"],
        "dim",
        |_, old, new| old.div_ceil(8) == new.div_ceil(8),
        "as many bytes hold so many bits",
    ),
    (
        &["collection"],
        "flags",
        |_, old, new| old & 3 == new & 3,
        "whether rows were normalised nothing else says",
    ),
];

/// The first bytes of a field as a number.
pub fn number(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    let len = bytes.len().min(8);
    number[..len].copy_from_slice(&bytes[..len]);
    u64::from_le_bytes(number)
}

/// Why no check can see this change.
pub fn of(case: &Case) -> Option<&'static str> {
    let (places, image) = (&case.sample.places, &case.sample.image);
    if places.is_superseded(image, &case.place) {
        return Some("the log holds a newer image of the block");
    }
    // What a block of the log is recognised by: without it, sealed or not, it is no part of the log.
    let is_mark =
        case.place.name == "log header" && ["magic", "place", "owner", "txn"].contains(&case.field.name);
    let is_cut = !case.sealed || case.field.name == "checksum" || is_mark;
    if is_cut && places.is_in_last_transaction(image, &case.place) {
        return Some("a crash may have cut off the last transaction");
    }
    if !case.sealed {
        return None;
    }
    let (old, new) = (number(&case.old), number(&case.new));
    let is_meant = |excuse: &&Excuse| {
        let is_named = excuse.0.iter().any(|name| {
            *name == "*"
                || case.place.name == *name
                || name.ends_with("of") && case.place.name.starts_with(name)
        });
        is_named && excuse.1 == case.field.name && (excuse.2)(case, old, new)
    };
    EXCUSES.iter().find(is_meant).map(|excuse| excuse.3)
}
