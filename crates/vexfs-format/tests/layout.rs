//! The bytes of version 1 do not move: every field of every structure has the place and the size written down here.
//!
//! The table is a second, literal statement of the layout. Whoever changes a structure changes it here and in
//! `docs/format/` as well, and says so in the changelog.

use vexfs_format::block_header::BlockHeader;
use vexfs_format::collection::CollectionDesc;
use vexfs_format::dir_block::{DirEntryHeader, DirIndexEntry};
use vexfs_format::extent::{Extent, ExtentIndex};
use vexfs_format::field::FieldLayout;
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::inode::Inode;
use vexfs_format::journal::commit::JournalCommit;
use vexfs_format::journal::descriptor::JournalTag;
use vexfs_format::journal::superblock::JournalSuperblock;
use vexfs_format::superblock::Superblock;

/// Name, offset and size of one field.
type Field = (&'static str, usize, usize);

/// A structure as version 1 defines it, beside what the crate declares.
struct Expected {
    name: &'static str,
    size: usize,
    actual: (usize, &'static [FieldLayout]),
    fields: &'static [Field],
}

const VERSION_1: &[Expected] = &[
    Expected {
        name: "Superblock",
        size: 1024,
        actual: (Superblock::SIZE, Superblock::FIELDS),
        fields: &[
            ("magic", 0, 8),
            ("checksum", 8, 4),
            ("format_version", 12, 4),
            ("uuid", 16, 16),
            ("label", 32, 64),
            ("block_size", 96, 4),
            ("state", 100, 4),
            ("blocks", 104, 8),
            ("free_blocks", 112, 8),
            ("reserved_blocks", 120, 8),
            ("inodes", 128, 8),
            ("free_inodes", 136, 8),
            ("feature_compat", 144, 8),
            ("feature_ro_compat", 152, 8),
            ("feature_incompat", 160, 8),
            ("self_block", 168, 8),
            ("groups", 176, 4),
            ("blocks_per_group", 180, 4),
            ("inodes_per_group", 184, 4),
            ("inode_size", 188, 4),
            ("flex_log2", 192, 4),
            ("descriptor_blocks", 196, 4),
            ("descriptor_table", 200, 8),
            ("journal_start", 208, 8),
            ("journal_blocks", 216, 8),
            ("zone_start", 224, 8),
            ("zone_blocks", 232, 8),
            ("root_inode", 240, 8),
            ("lost_found_inode", 248, 8),
            ("checksum_seed", 256, 4),
            ("hash_version", 260, 4),
            ("hash_key", 264, 16),
            ("random_seed", 280, 8),
            ("created_ns", 288, 8),
            ("written_ns", 296, 8),
            ("checked_ns", 304, 8),
            ("txn", 312, 8),
            ("head_blocks", 320, 8),
            ("tail_blocks", 328, 8),
            ("error_count", 336, 8),
            ("error_ns", 344, 8),
            ("error_block", 352, 8),
            ("reserved_changing", 360, 120),
            ("creator", 480, 32),
            ("reserved", 512, 512),
        ],
    },
    Expected {
        name: "GroupDesc",
        size: 64,
        actual: (GroupDesc::SIZE, GroupDesc::FIELDS),
        fields: &[
            ("block_bitmap", 0, 8),
            ("inode_bitmap", 8, 8),
            ("inode_table", 16, 8),
            ("free_blocks", 24, 4),
            ("free_inodes", 28, 4),
            ("directories", 32, 4),
            ("unused_inodes", 36, 4),
            ("flags", 40, 4),
            ("block_bitmap_checksum", 44, 4),
            ("inode_bitmap_checksum", 48, 4),
            ("reserved", 52, 8),
            ("checksum", 60, 4),
        ],
    },
    Expected {
        name: "BlockHeader",
        size: 48,
        actual: (BlockHeader::SIZE, BlockHeader::FIELDS),
        fields: &[
            ("magic", 0, 4),
            ("checksum", 4, 4),
            ("owner", 8, 8),
            ("place", 16, 8),
            ("txn", 24, 8),
            ("index", 32, 8),
            ("count", 40, 4),
            ("level", 44, 2),
            ("flags", 46, 2),
        ],
    },
    Expected {
        name: "Inode",
        size: 256,
        actual: (Inode::SIZE, Inode::FIELDS),
        fields: &[
            ("magic", 0, 4),
            ("checksum", 4, 4),
            ("number", 8, 8),
            ("generation", 16, 8),
            ("kind", 24, 2),
            ("mode", 26, 2),
            ("flags", 28, 4),
            ("uid", 32, 4),
            ("gid", 36, 4),
            ("links", 40, 4),
            ("root_count", 44, 2),
            ("depth", 46, 2),
            ("size", 48, 8),
            ("blocks", 56, 8),
            ("parent", 64, 8),
            ("descriptor", 72, 8),
            ("txn", 80, 8),
            ("created_ns", 88, 8),
            ("modified_ns", 96, 8),
            ("changed_ns", 104, 8),
            ("reserved", 112, 24),
            ("root", 136, 120),
        ],
    },
    Expected {
        name: "Extent",
        size: 24,
        actual: (Extent::SIZE, Extent::FIELDS),
        fields: &[("logical", 0, 8), ("start", 8, 8), ("len", 16, 4), ("flags", 20, 4)],
    },
    Expected {
        name: "ExtentIndex",
        size: 24,
        actual: (ExtentIndex::SIZE, ExtentIndex::FIELDS),
        fields: &[("logical", 0, 8), ("child", 8, 8), ("reserved", 16, 8)],
    },
    Expected {
        name: "DirEntryHeader",
        size: 24,
        actual: (DirEntryHeader::SIZE, DirEntryHeader::FIELDS),
        fields: &[
            ("hash", 0, 8),
            ("inode", 8, 8),
            ("entry_len", 16, 2),
            ("name_len", 18, 2),
            ("kind", 20, 2),
            ("reserved", 22, 2),
        ],
    },
    Expected {
        name: "DirIndexEntry",
        size: 16,
        actual: (DirIndexEntry::SIZE, DirIndexEntry::FIELDS),
        fields: &[("hash", 0, 8), ("child", 8, 8)],
    },
    Expected {
        name: "CollectionDesc",
        size: 464,
        actual: (CollectionDesc::SIZE, CollectionDesc::FIELDS),
        fields: &[
            ("feature_compat", 0, 8),
            ("feature_ro_compat", 8, 8),
            ("feature_incompat", 16, 8),
            ("rows", 24, 8),
            ("live_rows", 32, 8),
            ("next_id", 40, 8),
            ("generation", 48, 8),
            ("created_ns", 56, 8),
            ("dim", 64, 4),
            ("dtype", 68, 1),
            ("metric", 69, 1),
            ("flags", 70, 2),
            ("import_source", 72, 8),
            ("import_first", 80, 8),
            ("model", 88, 256),
            ("reserved", 344, 120),
        ],
    },
    Expected {
        name: "JournalSuperblock",
        size: 512,
        actual: (JournalSuperblock::SIZE, JournalSuperblock::FIELDS),
        fields: &[
            ("magic", 0, 4),
            ("checksum", 4, 4),
            ("self_block", 8, 8),
            ("blocks", 16, 8),
            ("tail", 24, 8),
            ("tail_txn", 32, 8),
            ("reserved", 40, 472),
        ],
    },
    Expected {
        name: "JournalTag",
        size: 16,
        actual: (JournalTag::SIZE, JournalTag::FIELDS),
        fields: &[("home", 0, 8), ("image_checksum", 8, 4), ("flags", 12, 4)],
    },
    Expected {
        name: "JournalCommit",
        size: 16,
        actual: (JournalCommit::SIZE, JournalCommit::FIELDS),
        fields: &[("log_blocks", 0, 4), ("chain", 4, 4), ("time_ns", 8, 8)],
    },
];

/// The first difference between the table and the crate, as a sentence.
fn first_difference(expected: &Expected) -> Option<String> {
    let (size, actual) = expected.actual;
    for (n, &(name, offset, size)) in expected.fields.iter().enumerate() {
        let Some(field) = actual.get(n) else {
            return Some(format!("{}.{name} is missing", expected.name));
        };
        if (field.name, field.offset, field.size) != (name, offset, size) {
            return Some(format!(
                "{}.{name}: {size} bytes at {offset} became {} with {} bytes at {}",
                expected.name, field.name, field.size, field.offset
            ));
        }
    }
    if let Some(extra) = actual.get(expected.fields.len()) {
        return Some(format!("{}.{} is not in the table", expected.name, extra.name));
    }
    (size != expected.size).then(|| format!("{}: {} bytes became {size}", expected.name, expected.size))
}

#[test]
fn every_field_lies_where_version_1_puts_it() {
    for expected in VERSION_1 {
        if let Some(difference) = first_difference(expected) {
            panic!("{difference}");
        }
    }
}

#[test]
fn fields_leave_no_gap_and_fill_their_structure() {
    for expected in VERSION_1 {
        let end = expected.fields.iter().fold(0, |end, &(name, offset, size)| {
            assert_eq!(offset, end, "{}.{name}", expected.name);
            offset + size
        });
        assert_eq!(end, expected.size, "{}", expected.name);
    }
}

#[test]
fn a_moved_field_is_the_one_that_is_named() {
    let wrong = Expected {
        name: "Extent",
        size: 24,
        actual: (Extent::SIZE, Extent::FIELDS),
        fields: &[("logical", 0, 8), ("start", 4, 8), ("len", 16, 4), ("flags", 20, 4)],
    };
    let named = first_difference(&wrong).expect("a difference");
    assert_eq!(named, "Extent.start: 8 bytes at 4 became start with 8 bytes at 8");
}
