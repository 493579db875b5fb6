//! The table of problems: every kind with its code, its words, and what a repair may do about it.
//!
//! Codes are stable: a kind that is no longer found leaves a gap, and a new one takes the next number of its pass.

use super::problem::{Code, Fix, Kind, Preen, Severity};

macro_rules! kinds {
    ($($name:ident = $pass:literal $number:literal, $severity:ident, $preen:ident, $message:literal, $question:literal, $fix:ident;)*) => {
        $(
            #[doc = concat!("VX", $pass, " number ", $number, ": ", $message)]
            pub const $name: &Kind = &Kind {
                code: Code { pass: $pass, number: $number },
                severity: Severity::$severity,
                preen: Preen::$preen,
                message: $message,
                question: $question,
                fix: Fix::$fix,
            };
        )*

        /// All kinds, by code.
        pub const ALL: &[&Kind] = &[$($name),*];
    };
}

kinds! {
    // Pass 0: superblock, backups, journal.
    PRIMARY_DAMAGED = 0 1, Structure, Stop,
        "the primary superblock is damaged: {found}",
        "Restore it from the backup in block {other}?", Superblock;
    PRIMARY_DIFFERS = 0 2, Structure, Stop,
        "the primary superblock is not that of the backup in block {other}: {name} is {found}, not {expected}",
        "Restore it from the backup in block {other}?", Superblock;
    DEVICE_SHORT = 0 3, Structure, Stop,
        "the filesystem has {expected} bytes, and the device only {found}: was it cut off?",
        "", Nothing;
    BACKUP_DAMAGED = 0 4, Derived, Fix,
        "the backup superblock in block {block} is damaged: {found}",
        "Write it anew from the primary?", Backups;
    BACKUP_GEOMETRY = 0 5, Structure, Stop,
        "the backup superblock in block {block} has another layout: {name} is {found}, and {expected} in the one in use",
        "Bring the copies in line?", Layout;
    BACKUP_STALE = 0 6, Derived, Fix,
        "the backup superblock in block {block} is out of date: {name} is {found}, and {expected} in the one in use",
        "Bring the copies in line?", Layout;
    STATE_BITS = 0 8, Derived, Fix,
        "state is {found} in the superblock, which has unknown bits",
        "Clear them?", Fields;
    ZONE_FEATURE = 0 9, Derived, Fix,
        "feature vector_zone is {found} in the superblock, and the zone has {expected} blocks",
        "Bring the feature in line?", Fields;
    MARKED_DAMAGED = 0 10, Notice, Fix,
        "the filesystem is marked as damaged: damage was met {found} times",
        "", Nothing;
    UNKNOWN_FEATURES = 0 11, Notice, Fix,
        "unknown features are in use ({found}): what they add is not checked",
        "", Nothing;
    TXN_AHEAD = 0 12, Structure, Stop,
        "the superblock is of transaction {found}, and the journal goes on with {expected}: transactions are lost",
        "Begin a new log?", Journal;
    SUPERBLOCK_IMAGE = 0 13, Structure, Stop,
        "the superblock in the journal is not accepted: {found}",
        "Bring home what is sound in it, and begin a new log?", Journal;
    ROOT_NUMBER = 0 14, Structure, Stop,
        "the superblock names inode {found} as the root directory, which is always inode {expected}",
        "Store {expected}?", Fields;
    JOURNAL_SUPERBLOCK = 0 20, Structure, Stop,
        "the journal superblock is damaged: {found}",
        "Bring home what is sound in it, and begin a new log?", Journal;
    JOURNAL_TRANSACTION = 0 21, Structure, Stop,
        "a committed transaction in the journal is damaged: {found}",
        "Bring home what is sound in it, and begin a new log?", Journal;
    JOURNAL_UNREADABLE = 0 22, Structure, Stop,
        "the journal cannot be read: {found}",
        "Bring home what is sound in it, and begin a new log?", Journal;
    TRANSACTION_LOST = 0 23, Structure, Stop,
        "transaction {found} was committed, but the log breaks off at its block {expected}, before it",
        "Bring home what is sound in it, and begin a new log?", Journal;

    // Pass 1: groups, inodes, extents, collection descriptors.
    DESCRIPTOR_DAMAGED = 1 1, Structure, Stop,
        "the descriptor of group {group} is damaged: {found}",
        "Make it anew?", Group;
    DESCRIPTORS_UNREADABLE = 1 2, Structure, Stop,
        "group descriptors cannot be read: {found}",
        "Make them anew?", Group;
    DESCRIPTOR_COPY = 1 3, Derived, Fix,
        "{found} of the group descriptors copied to {blocks} are damaged or lead elsewhere, the first that of group {group}",
        "Write the copy anew?", Copies;
    METADATA_OVERLAP = 1 4, Structure, Stop,
        "{found} and {expected} overlap in {blocks}",
        "Put them where the layout says?", Places;
    UNINIT_LAYOUT = 1 5, Structure, Stop,
        "group {group}: the block bitmap is marked uninitialised, and what is in use from the start is not what the layout says",
        "Write the bitmap?", Group;
    INODE_BITMAP_DAMAGED = 1 6, Structure, Stop,
        "the inode bitmap of group {group} is damaged: {found}",
        "Make it anew from the inodes that are found?", Group;
    INODE_BITMAP_UNREADABLE = 1 7, Structure, Stop,
        "the inode bitmap of group {group} cannot be read: {found}",
        "Make it anew from the inodes that are found?", Group;
    INODE_TABLE_UNREADABLE = 1 8, Structure, Stop,
        "the inode table of group {group} cannot be read in {blocks}: {found}",
        "Clear these inodes?", Record;
    INODE_EMPTY = 1 10, Structure, Stop,
        "{object} is marked as in use, and its record is empty",
        "Mark it as not in use?", Record;
    INODE_DAMAGED = 1 11, Structure, Stop,
        "{object} is damaged: {found}",
        "Mend it as far as it can be proven, else clear it?", Record;
    INODE_UNWRITTEN = 1 12, Structure, Stop,
        "{object} is marked as in use, and lies in the part of its table that was never written",
        "Take that part of the table as written?", Record;
    RESERVED_RECORD = 1 13, Structure, Stop,
        "{object} is reserved, and its record is not empty",
        "Clear it?", Record;
    RECORD_LEFT = 1 14, Derived, Fix,
        "{object} is not in use, and its record is not empty: {found}",
        "Clear it?", Record;
    INODE_FUTURE = 1 15, Derived, Fix,
        "{object} was changed by transaction {found}, and the next one is {expected}",
        "Store the last transaction?", Record;
    FILE_PARENT = 1 16, Derived, Fix,
        "{object} is a {name} and names {found} as its parent, but must name none",
        "Clear it?", Record;
    LINK_TARGET = 1 17, Structure, Stop,
        "{object} is a symbolic link whose target holds a zero byte",
        "Cut it off there?", Record;
    DIRECTORY_EMPTY = 1 18, Structure, Stop,
        "{object} is a {name} without a block",
        "Make it an empty one?", Record;
    LINK_REST = 1 19, Derived, Fix,
        "{object} is a symbolic link, and its target is followed by other bytes",
        "Clear them?", Record;
    NODE_DAMAGED = 1 20, Structure, Stop,
        "{object}: a node of the extent tree is damaged: {found}",
        "Restore it from the journal, else leave it out?", Mapping;
    NODE_UNREADABLE = 1 21, Structure, Stop,
        "{object}: a node of the extent tree cannot be read: {found}",
        "Restore it from the journal, else leave it out?", Mapping;
    NODE_ORDER = 1 22, Structure, Stop,
        "{object}: a node of the extent tree begins with logical block {found}, but must begin with {expected}",
        "Restore it from the journal, else leave it out?", Mapping;
    EXTENT_ORDER = 1 23, Structure, Stop,
        "{object}: the extent at logical block {found} lies outside of its node's range, which is {expected}",
        "Restore it from the journal, else leave it out?", Mapping;
    MAP_HOLE = 1 24, Loss, Stop,
        "{object}: logical blocks {found} are not mapped, but {expected} blocks belong to it",
        "Take them as lost?", Mapping;
    MAP_BEYOND = 1 25, Structure, Stop,
        "{object}: logical blocks {found} are mapped, but only {expected} blocks belong to it",
        "Keep those that are proven to be its own, and free the others?", Mapping;
    SUMS_HOLE = 1 26, Loss, Stop,
        "{object}: checksum blocks {found} are not mapped, but {expected} belong to it",
        "Make them anew from the data?", Mapping;
    SUMS_BEYOND = 1 27, Structure, Stop,
        "{object}: checksum blocks {found} are mapped, but only {expected} belong to it",
        "Keep those that are proven to be its own, and free the others?", Mapping;
    BLOCK_COUNT = 1 28, Derived, Fix,
        "{object}: blocks is {found}, but it has {expected}",
        "Store {expected}?", Mapping;
    BLOCKS_SHARED = 1 30, Structure, Stop,
        "{object}: another object uses {blocks} as well",
        "Give it a copy?", Mapping;
    BLOCKS_SHARED_FIRST = 1 31, Structure, Stop,
        "{object}: this is the other object that uses {blocks}",
        "Give it a copy?", Mapping;
    BLOCKS_FIXED = 1 32, Structure, Stop,
        "{object}: the filesystem itself uses {blocks}",
        "Give it a copy?", Mapping;
    BLOCKS_GIVEN_UP = 1 33, Structure, Stop,
        "objects share more blocks than the device has; from {object} on, sharing is not looked for",
        "Look again when the others are repaired?", Mapping;
    COLLECTION_DAMAGED = 1 40, Structure, Stop,
        "{object}: the collection descriptor is damaged: {found}",
        "Make it anew from the streams?", Descriptor;
    COLLECTION_UNREADABLE = 1 41, Structure, Stop,
        "{object}: the collection descriptor cannot be read: {found}",
        "Make it anew from the streams?", Descriptor;
    COLLECTION_FEATURES = 1 42, Notice, Fix,
        "{object}: the collection needs a newer version of the tools and is not checked: {found}",
        "", Nothing;

    // Pass 2: directories.
    DIR_UNREADABLE = 2 1, Structure, Stop,
        "{object}: logical block {found} of the directory cannot be read: {expected}",
        "Make the directory anew from the rest?", Directory;
    DIR_DAMAGED = 2 2, Structure, Stop,
        "{object}: logical block {expected} of the directory is damaged: {found}",
        "Make the directory anew from the rest?", Directory;
    DIR_CHILD = 2 3, Structure, Stop,
        "{object}: the tree of names leads to logical block {found}, but the directory has {expected} blocks",
        "Make the directory anew from its names?", Directory;
    DIR_CHILD_TWICE = 2 4, Structure, Stop,
        "{object}: the tree of names leads to logical block {found} twice",
        "Make the directory anew from its names?", Directory;
    DIR_LEVEL = 2 5, Structure, Stop,
        "{object}: a block of the tree of names is at level {found}, but must be at level {expected}",
        "Make the directory anew from its names?", Directory;
    DIR_FIRST_HASH = 2 6, Structure, Stop,
        "{object}: a block of the tree of names begins with hash {found}, but must begin with {expected}",
        "Make the directory anew from its names?", Directory;
    DIR_UNREACHED = 2 7, Structure, Stop,
        "{object}: the tree of names does not lead to logical block {found}",
        "Make the directory anew from its names?", Directory;
    DIR_RANGE = 2 8, Structure, Stop,
        "{object}: the name '{name}' lies where it is not looked for",
        "Make the directory anew from its names?", Directory;
    DIR_HASH = 2 9, Derived, Stop,
        "{object}: the name '{name}' has hash {found}, but must have {expected}",
        "Insert it anew?", Directory;
    ENTRY_NUMBER = 2 10, Structure, Stop,
        "{object}: the name '{name}' leads to inode {other}, but there are only {expected}",
        "Remove the name?", Directory;
    ENTRY_UNUSED = 2 11, Structure, Stop,
        "{object}: the name '{name}' leads to inode {other}, which is not in use",
        "Remove the name?", Directory;
    ENTRY_DAMAGED = 2 12, Structure, Stop,
        "{object}: the name '{name}' leads to inode {other}, which is damaged",
        "Remove the name?", Directory;
    ENTRY_KIND = 2 13, Derived, Fix,
        "{object}: the name '{name}' says that inode {other} is a {found}, but it is a {expected}",
        "Bring the entry in line?", Directory;
    ENTRY_TWICE = 2 14, Structure, Stop,
        "{object}: the name '{name}' is there twice",
        "Give the second one another name?", Directory;
    ENTRY_SECOND = 2 15, Structure, Stop,
        "{object}: the name '{name}' is a second one for inode {other}, a {found}, which can have only one",
        "Remove the name?", Directory;
    ENTRY_ROOT = 2 16, Structure, Stop,
        "{object}: the name '{name}' leads to the root directory",
        "Remove the name?", Directory;
    ENTRY_RESERVED = 2 17, Structure, Stop,
        "{object}: the name '{name}' leads to inode {other}, which is reserved",
        "Remove the name?", Directory;
    STREAM_OUTSIDE = 2 18, Structure, Stop,
        "{object}: the name '{name}' leads to inode {other}, a stream, outside of a collection",
        "Make it a file?", Directory;
    COLLECTION_ENTRY = 2 19, Structure, Stop,
        "{object}: the name '{name}' in a collection leads to a {found}, but must lead to a {expected}",
        "Make it one, else remove the name?", Directory;
    PARENT = 2 20, Derived, Fix,
        "{object} names inode {found} as its parent, but its name is in inode {expected}",
        "Store {expected}?", Parent;

    // Pass 3: connectivity.
    ROOT_MISSING = 3 1, Structure, Stop,
        "the root directory, {object}, is missing or damaged",
        "Make it anew?", Tree;
    ROOT_KIND = 3 2, Structure, Stop,
        "the root directory, {object}, is a {found}",
        "Make it anew?", Tree;
    ROOT_PARENT = 3 3, Derived, Fix,
        "the root directory, {object}, names inode {found} as its parent, not itself",
        "Store {inode}?", Tree;
    LOST_FOUND_MISSING = 3 4, Structure, Fix,
        "lost+found, {object}, is missing or damaged",
        "Make it anew?", Tree;
    LOST_FOUND_KIND = 3 5, Structure, Stop,
        "lost+found, {object}, is a {found}",
        "Make another one?", Tree;
    LOST_FOUND_NAME = 3 6, Structure, Fix,
        "the name lost+found in the root directory does not lead to {object}",
        "Give it that name?", Tree;
    ORPHAN = 3 7, Structure, Stop,
        "{object}, a {found}, is in use, and no name leads to it",
        "Give it back its name, or one in lost+found?", Tree;
    DIRECTORY_LOOP = 3 8, Structure, Stop,
        "{object} lies below itself, out of reach of the root directory",
        "Move it to lost+found?", Tree;

    // Pass 4: link counts.
    LINKS = 4 1, Derived, Fix,
        "{object}: links is {found}, but {expected} entries lead to it",
        "Store {expected}?", Links;

    // Pass 5: bitmaps, counters, collections, data.
    BLOCK_BITMAP_DAMAGED = 5 1, Derived, Stop,
        "the block bitmap of group {group} is damaged: {found}",
        "Make it anew from what is in use?", Bitmaps;
    BLOCK_BITMAP_UNREADABLE = 5 2, Derived, Stop,
        "the block bitmap of group {group} cannot be read: {found}",
        "Make it anew from what is in use?", Bitmaps;
    BLOCKS_NOT_MARKED = 5 3, Derived, Fix,
        "group {group}: {blocks} in use, but marked as free",
        "Mark as in use?", Bitmaps;
    BLOCKS_MARKED = 5 4, Derived, Fix,
        "group {group}: {blocks} marked as in use, but nothing uses them",
        "Mark as free?", Bitmaps;
    BLOCK_BITMAP_END = 5 5, Derived, Fix,
        "group {group}: bits of the block bitmap behind the end of the group are clear",
        "Set them?", Bitmaps;
    INODE_NOT_MARKED = 5 6, Derived, Fix,
        "group {group}: {object} is in use, but marked as free",
        "Mark it as in use?", Bitmaps;
    INODE_BITMAP_END = 5 7, Derived, Fix,
        "group {group}: bits of the inode bitmap behind the last inode are clear",
        "Set them?", Bitmaps;
    RECORD_STALE = 5 8, Derived, Fix,
        "{object} is marked as free and no name leads to it, but its record is whole",
        "Take it into use if its contents are its own, else clear it?", Record;
    GROUP_FREE_BLOCKS = 5 10, Derived, Fix,
        "group {group}: free_blocks is {found}, but {expected} are free",
        "Store {expected}?", Bitmaps;
    GROUP_FREE_INODES = 5 11, Derived, Fix,
        "group {group}: free_inodes is {found}, but {expected} are free",
        "Store {expected}?", Bitmaps;
    GROUP_DIRECTORIES = 5 12, Derived, Fix,
        "group {group}: directories is {found}, but there are {expected}",
        "Store {expected}?", Bitmaps;
    FREE_BLOCKS = 5 13, Derived, Fix,
        "free_blocks is {found} in the superblock, but {expected} are free",
        "Store {expected}?", Bitmaps;
    FREE_INODES = 5 14, Derived, Fix,
        "free_inodes is {found} in the superblock, but {expected} are free",
        "Store {expected}?", Bitmaps;
    STREAM_MISSING = 5 20, Loss, Stop,
        "{object}: the stream '{name}' is missing",
        "Take its rows as lost?", Rows;
    STREAM_SIZE = 5 21, Loss, Stop,
        "{object}: the stream '{name}' has {found} bytes, but {expected} belong to it",
        "Keep the rows for which every stream has its bytes?", Rows;
    STREAM_EXTRA = 5 22, Derived, Stop,
        "{object}: the stream '{name}' is there, and the descriptor says that the collection has none",
        "Remove it?", Rows;
    LIVE_ROWS = 5 23, Derived, Fix,
        "{object}: live_rows is {found}, but {expected} rows are not deleted",
        "Store {expected}?", Rows;
    DELETED_BEYOND = 5 24, Derived, Fix,
        "{object}: rows are marked as deleted from {row} on, but the collection has {expected}",
        "Clear these marks?", Rows;
    ID_TWICE = 5 25, Loss, Stop,
        "{object}: id {found} belongs to row {row} and to row {other}",
        "Give the second one another id?", Rows;
    ID_RANGE = 5 26, Loss, Stop,
        "{object}: row {row} has id {found}, which no row can have",
        "Give it another id?", Rows;
    NEXT_ID = 5 27, Derived, Fix,
        "{object}: next_id is {found}, but must be at least {expected}",
        "Store {expected}?", Rows;
    KEY_END = 5 28, Loss, Stop,
        "{object}: the key of row {row} ends at byte {found}, but must end {expected}",
        "Take the key as lost?", Rows;
    KEY_TEXT = 5 29, Loss, Stop,
        "{object}: the key of row {row} is {found}, but must be UTF-8 without zero bytes",
        "Take the key as lost?", Rows;
    KEY_HASH = 5 30, Derived, Fix,
        "{object}: the key of row {row} has hash {found}, but must have {expected}",
        "Store {expected}?", Rows;
    KEY_TWICE = 5 31, Loss, Stop,
        "{object}: the key '{name}' belongs to row {row} and to row {other}",
        "Give the second one another key?", Rows;
    KEYS_LENGTH = 5 32, Loss, Stop,
        "{object}: the keys end at byte {expected}, but the stream has {found} bytes",
        "Cut it off?", Rows;
    PAYLOAD_END = 5 33, Loss, Stop,
        "{object}: the payload of row {row} ends at byte {found}, but must end {expected}",
        "Take the payload as lost?", Rows;
    PAYLOAD_TEXT = 5 34, Loss, Stop,
        "{object}: the payload of row {row} is {found}, but must be a JSON object",
        "Take the payload as lost?", Rows;
    PAYLOAD_LENGTH = 5 35, Loss, Stop,
        "{object}: the payload ends at byte {expected}, but the stream has {found} bytes",
        "Cut it off?", Rows;
    SUMS_DAMAGED = 5 40, Loss, Stop,
        "{object}: checksum block {name} is damaged: {found}",
        "Make it anew from the data?", Contents;
    SUMS_UNREADABLE = 5 41, Loss, Stop,
        "{object}: checksum block {name} cannot be read: {found}",
        "Make it anew from the data?", Contents;
    DATA_DAMAGED = 5 42, Loss, Stop,
        "{object}: the contents of {blocks} (logical {name}) do not agree with their checksum",
        "Leave them as they are, and mark the object as damaged?", Contents;
    DATA_UNREADABLE = 5 43, Loss, Stop,
        "{object}: {blocks} (logical {name}) cannot be read: {found}",
        "Leave them as they are, and mark the object as damaged?", Contents;
    ROWS_LOST = 5 44, Loss, Stop,
        "{object}: {rows} damaged ({name})",
        "Delete them?", Rows;
    ROWS_UNPROVEN = 5 45, Loss, Stop,
        "{object}: {rows} lie in damaged blocks, and so do their own checksums ({name})",
        "Delete them?", Rows;
    TAIL = 5 46, Derived, Stop,
        "{object}: there are bytes behind the end of the file in {blocks} (logical {name})",
        "Clear them?", Contents;
    DATA_LOST = 5 47, Notice, Fix,
        "{object}: the contents of {blocks} (logical {name}) are known to be lost: they are as damaged as a repair has found them",
        "", Nothing;
    INDEX_ENTRY = 5 60, Structure, Fix,
        "{object}: the name '{name}' leads to a {found}, which is no file of an index",
        "Move it to lost+found?", Index;
    INDEX_FILES = 5 61, Derived, Fix,
        "{object}: index {name} is not whole: {found}",
        "Build it anew, or drop it where that cannot be?", Index;
    INDEX_IMAGE = 5 62, Derived, Fix,
        "{object}: index {name} cannot be used: {found}",
        "Build it anew, or drop it where that cannot be?", Index;
    INDEX_CALIBRATION = 5 63, Derived, Fix,
        "{object}: the calibration of index {name} cannot be used: {found}",
        "Measure it anew, or drop it where that cannot be?", Index;
    INDEX_CONTRADICTS = 5 64, Derived, Fix,
        "{object}: index {name} contradicts itself: {found}",
        "Build it anew, or drop it where that cannot be?", Index;
    INDEX_DATA = 5 65, Derived, Fix,
        "{object}: the contents of {blocks} (logical {name}) of an index do not agree with their checksum",
        "Build the index anew, or drop it where that cannot be?", Index;
    INDEX_UNREADABLE = 5 66, Derived, Fix,
        "{object}: {blocks} (logical {name}) of an index cannot be read: {found}",
        "Build the index anew, or drop it where that cannot be?", Index;
    INDEX_SUMS = 5 67, Derived, Fix,
        "{object}: checksum block {name} of an index is damaged: {found}",
        "Build the index anew, or drop it where that cannot be?", Index;
    INDEX_ASKED = 5 68, Derived, Fix,
        "{object}: index {name} is to be built anew, as was asked",
        "Build it anew, or drop it where that cannot be?", Index;
}

#[cfg(test)]
mod tests {
    use super::super::problem::PLACEHOLDERS;
    use super::*;

    #[test]
    fn codes_rise_and_belong_to_their_pass() {
        assert!(ALL.is_sorted_by(|a, b| a.code < b.code));
        assert!(ALL.iter().all(|k| k.code.pass <= 5 && (1..1000).contains(&k.code.number)));
        assert_eq!(ENTRY_TWICE.code.to_string(), "VX2014");
    }

    #[test]
    fn words_in_braces_are_known_and_questions_are_questions() {
        for kind in ALL {
            for text in [kind.message, kind.question] {
                for part in text.split('{').skip(1) {
                    let word = part.split('}').next().unwrap_or_default();
                    assert!(PLACEHOLDERS.contains(&word), "{}: {{{word}}}", kind.code);
                }
            }
            assert!(kind.question.is_empty() || kind.question.ends_with('?'), "{}", kind.code);
            assert!(!kind.message.ends_with('.'), "{}", kind.code);
        }
    }

    #[test]
    fn what_is_lost_is_never_decided_without_a_person() {
        for kind in ALL.iter().filter(|k| k.severity == Severity::Loss) {
            assert_eq!(kind.preen, Preen::Stop, "{}", kind.code);
        }
    }
}
