//! The pages in `docs/format/` say what the crate does: their tables of fields, their magics and their worked numbers.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use vexfs_format::block_header::BlockHeader;
use vexfs_format::codes::{DType, InodeKind, Metric};
use vexfs_format::collection::{self, CollectionDesc};
use vexfs_format::dir_block::{self, DirEntries, DirEntryHeader, DirIndexEntry, Placement};
use vexfs_format::extent::{self, Extent, ExtentIndex};
use vexfs_format::field::FieldLayout;
use vexfs_format::geometry::{BlockRun, Geometry, GeometryParams};
use vexfs_format::group_desc::{self, GroupDesc};
use vexfs_format::inode::{self, Inode};
use vexfs_format::journal::commit::{self, JournalCommit};
use vexfs_format::journal::descriptor::{self, JournalTag};
use vexfs_format::journal::revoke;
use vexfs_format::journal::superblock::{self as journal_superblock, JournalSuperblock};
use vexfs_format::superblock::Superblock;
use vexfs_format::{BlockNo, GroupNo, InodeNo, LogicalBlock, Seed, TxnSeq, checksum, sums};
use zerocopy::IntoBytes;

/// The structures that the pages must describe.
const STRUCTURES: &[(&str, usize, &[FieldLayout])] = &[
    ("BlockHeader", BlockHeader::SIZE, BlockHeader::FIELDS),
    ("CollectionDesc", CollectionDesc::SIZE, CollectionDesc::FIELDS),
    ("DirEntryHeader", DirEntryHeader::SIZE, DirEntryHeader::FIELDS),
    ("DirIndexEntry", DirIndexEntry::SIZE, DirIndexEntry::FIELDS),
    ("Extent", Extent::SIZE, Extent::FIELDS),
    ("ExtentIndex", ExtentIndex::SIZE, ExtentIndex::FIELDS),
    ("GroupDesc", GroupDesc::SIZE, GroupDesc::FIELDS),
    ("Inode", Inode::SIZE, Inode::FIELDS),
    ("JournalCommit", JournalCommit::SIZE, JournalCommit::FIELDS),
    ("JournalSuperblock", JournalSuperblock::SIZE, JournalSuperblock::FIELDS),
    ("JournalTag", JournalTag::SIZE, JournalTag::FIELDS),
    ("Superblock", Superblock::SIZE, Superblock::FIELDS),
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/format")
}

fn page(name: &str) -> String {
    let path = folder().join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// All pages by their path below `docs/format/`.
fn pages() -> BTreeMap<String, String> {
    let mut pages = BTreeMap::new();
    for below in ["", "indexes/"] {
        for entry in fs::read_dir(folder().join(below)).expect("docs/format is part of the repository") {
            let name = entry.expect("a readable folder").file_name().into_string().expect("a name in UTF-8");
            if name.ends_with(".md") {
                let path = format!("{below}{name}");
                pages.insert(path.clone(), page(&path));
            }
        }
    }
    pages
}

/// The cells of a table row, or `None` for another line.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// The rows of the table that follows a line which contains `before`, without its head.
fn table<'t>(text: &'t str, before: &str) -> Vec<Vec<&'t str>> {
    let mut lines = text.lines().skip_while(|line| !line.contains(before)).skip(1);
    let rows: Vec<_> =
        lines.by_ref().skip_while(|line| cells(line).is_none()).map_while(cells).skip(2).collect();
    assert!(!rows.is_empty(), "no table behind {before:?}");
    rows
}

/// The value of the row whose first cell contains `what`.
fn value<'t>(rows: &[Vec<&'t str>], what: &str) -> &'t str {
    let row = rows.iter().find(|row| row[0].contains(what)).unwrap_or_else(|| panic!("no row {what:?}"));
    row[1]
}

fn number(text: &str) -> u64 {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    }
    .unwrap_or_else(|e| panic!("{text:?}: {e}"))
}

#[test]
fn the_tables_of_fields_are_those_of_the_crate() {
    let mut described: Vec<&str> = Vec::new();
    let mut pages = pages();
    // Undo files belong to vexfs-device, whose tests read that page.
    pages.remove("undo.md");
    for (file, text) in &pages {
        for line in text.lines().filter(|line| line.starts_with("Layout of `")) {
            let (name, rest) = line["Layout of `".len()..].split_once('`').expect("a closing backquote");
            let structure = STRUCTURES.iter().find(|(n, ..)| *n == name);
            let (name, size, fields) =
                structure.unwrap_or_else(|| panic!("{file}: unknown structure {name}"));
            assert_eq!(rest, format!(", {size} bytes:"), "{file}: size of {name}");
            let rows = table(text, line);
            for (row, field) in rows.iter().zip(*fields) {
                assert_eq!(row.len(), 7, "{file}: {name}.{}: a cell too many or too few", field.name);
                let stated = (row[2], number(row[0]) as usize, number(row[1]) as usize);
                assert_eq!(stated, (field.name, field.offset, field.size), "{file}: {name}");
                assert!(
                    row.iter().all(|cell| !cell.is_empty()),
                    "{file}: {name}.{}: an empty cell",
                    field.name
                );
            }
            assert_eq!(rows.len(), fields.len(), "{file}: number of fields of {name}");
            described.push(name);
        }
    }
    described.sort_unstable();
    let all: Vec<&str> = STRUCTURES.iter().map(|(name, ..)| *name).collect();
    assert_eq!(described, all, "each structure is described once");
}

#[test]
fn the_table_of_magics_is_complete_and_right() {
    let text = page("README.md");
    let stated: BTreeMap<String, u64> = table(&text, "## Magics")
        .iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), number(row[1])))
        .collect();
    let used = [
        group_desc::KIND,
        group_desc::BLOCK_BITMAP_KIND,
        group_desc::INODE_BITMAP_KIND,
        inode::MAGIC,
        extent::NODE.magic,
        dir_block::KIND.magic,
        sums::KIND.magic,
        sums::DATA_KIND,
        collection::KIND.magic,
        collection::ROW_KIND,
        journal_superblock::MAGIC,
        descriptor::KIND.magic,
        descriptor::IMAGE_KIND,
        revoke::KIND.magic,
        commit::KIND.magic,
    ];
    let expected: BTreeMap<String, u64> = used
        .iter()
        .map(|m| (String::from_utf8_lossy(&m.to_le_bytes()).into_owned(), u64::from(*m)))
        .collect();
    assert_eq!(expected.len(), used.len(), "no two kinds share a magic");
    assert_eq!(stated, expected);
}

#[test]
fn the_tables_of_codes_are_those_of_the_crate() {
    let text = page("collections.md");
    let named = |head: &str| -> Vec<(u64, String)> {
        table(&text, head).iter().map(|row| (number(row[0]), row[1].to_owned())).collect()
    };
    // Each head is the last line of what stands before its table.
    let dtypes: Vec<_> = DType::ALL.iter().map(|d| (d.code().into(), d.name().to_owned())).collect();
    let metrics: Vec<_> = Metric::ALL.iter().map(|m| (m.code().into(), m.name().to_owned())).collect();
    assert_eq!(named("| 344 | 120 | reserved"), dtypes);
    assert_eq!(named("| 6 | b1 |"), metrics);
    let text = page("inodes.md");
    let kinds = table(&text, "## Kinds");
    assert_eq!(kinds.len(), InodeKind::ALL.len());
    for (row, kind) in kinds.iter().zip(InodeKind::ALL) {
        assert_eq!(number(row[0]), u64::from(kind.code()));
        assert_eq!(row[1].replace("symbolic link", "symlink"), kind.name());
        assert_eq!(row[2], format!("0o{:06o}", kind.mode_type()));
    }
}

#[test]
fn the_streams_are_those_of_the_crate() {
    let text = page("collections.md");
    let rows = table(&text, "## Streams");
    let stated: Vec<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    let names = [
        collection::STREAM_VECTORS,
        collection::STREAM_ROW_SUMS,
        collection::STREAM_IDS,
        collection::STREAM_KEYS,
        collection::STREAM_KEY_ENDS,
        collection::STREAM_KEY_HASHES,
        collection::STREAM_PAYLOAD,
        collection::STREAM_PAYLOAD_ENDS,
        collection::STREAM_DELETED,
    ];
    assert_eq!(stated, names);
}

#[test]
fn the_worked_checksums_are_computed() {
    let text = page("checksums.md");
    let rows = table(&text, "## Worked numbers");
    let is = |what: &str, computed: u64| assert_eq!(number(value(&rows, what)), computed, "{what}");
    let uuid: [u8; 16] = std::array::from_fn(|i| i as u8 * 0x11);
    let seed = Seed::of_uuid(&uuid);
    is("the seed", seed.0.into());
    let dir = dir_block::KIND.magic;
    is("x before the first mix", u64::from(seed.0) | u64::from(dir) << 32);
    is("`salt(VXDR, 300, 11)`", seed.salt(dir, 300, 11).into());
    assert_eq!(number(value(&rows, "`mix(x ^ 11)`")) >> 32, u64::from(seed.salt(dir, 300, 11)));

    let at = Placement { place: BlockNo(300), logical: LogicalBlock(0), owner: InodeNo(11), txn: TxnSeq(5) };
    let leaf = dir_block::encode(&DirEntries::Leaf(vec![]), 0, at, 4096, seed);
    is("of the directory block below", checksum::crc32c_around(&leaf, 4).into());
    is("checksum stored in it", u32::from_le_bytes(leaf[4..8].try_into().expect("four bytes")).into());
    assert_eq!(hex_block(&text, "An empty leaf"), leaf[..48]);
    assert!(leaf[48..].iter().all(|b| *b == 0));

    let journal = BlockRun { start: 8192, len: 256 };
    let jsb = JournalSuperblock::empty(journal, 1, TxnSeq(1), seed);
    assert_eq!(hex_block(&text, "The journal superblock of an empty journal"), jsb.as_bytes()[..40]);
    assert!(jsb.as_bytes()[40..].iter().all(|b| *b == 0));

    let zeros = [0; 4096];
    is("of 4096 zero bytes", checksum::crc32c(&zeros).into());
    is("block bitmap of 4096", group_desc::block_bitmap_checksum(seed, GroupNo(2), &zeros).into());
    let data = |logical| sums::data_checksum(seed, InodeNo(12), 5, LogicalBlock(logical), &zeros);
    is("inode 12, generation 5, logical block 0", data(0).into());
    is("the same, logical block 1", data(1).into());
    is("image of 4096", descriptor::image_checksum(seed, BlockNo(77), TxnSeq(9), &zeros).into());
    let row: Vec<u8> = [1.0_f32, 0.0, 0.5, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    is("collection inode 14", collection::row_checksum(seed, InodeNo(14), &row).into());
    let mut chain = commit::Chain::default();
    for sum in [0x1111_1111_u32, 0x2222_2222] {
        let mut block = [0; 48];
        block[4..8].copy_from_slice(&sum.to_le_bytes());
        chain.add(&block);
    }
    is("chain of two journal blocks", chain.value().into());
}

/// The bytes of the first indented block of hexadecimal numbers behind the line that begins with `before`.
fn hex_block(text: &str, before: &str) -> Vec<u8> {
    text.lines()
        .skip_while(|line| !line.starts_with(before))
        .skip_while(|line| !line.starts_with("    "))
        .take_while(|line| line.starts_with("    "))
        .flat_map(str::split_whitespace)
        .map(|byte| u8::from_str_radix(byte, 16).expect("a byte in hexadecimal"))
        .collect()
}

#[test]
fn the_worked_name_hashes_are_computed() {
    let text = page("directories.md");
    let rows = table(&text, "## Names and their hash");
    let key: [u8; 16] = std::array::from_fn(|i| i as u8);
    let paper: Vec<u8> = (0..15).collect();
    assert_eq!(number(value(&rows, "test vector of the paper")), dir_block::name_hash(&key, &paper));
    for row in &rows[1..] {
        let name = row[0].trim_matches('`');
        assert_eq!(number(row[1]), dir_block::name_hash(&key, name.as_bytes()), "{name}");
    }
}

#[test]
fn the_worked_geometry_is_planned() {
    let text = page("groups.md");
    let rows = table(&text, "Worked example");
    let params = GeometryParams { vector_zone: true, ..GeometryParams::new(488_369_940, 4096) };
    let geometry = Geometry::plan(&params).expect("the check value can be planned");
    let is = |what: &str, computed: &[u64]| {
        let stated: Vec<u64> = value(&rows, what).split(", ").map(number).collect();
        assert_eq!(stated, computed, "{what}");
    };
    let metadata = |group| {
        let (blocks, inodes, table) = geometry.group_metadata(GroupNo(group));
        [blocks.get(), inodes.get(), table.get()]
    };
    let backups: Vec<u64> = geometry.backups().iter().map(|b| b.get()).collect();
    is("groups", &[geometry.groups]);
    is("inodes per group", &[geometry.inodes_per_group]);
    is("descriptor blocks", &[geometry.descriptor_blocks]);
    is("inode table of group 0", &metadata(0));
    is("the same of group 16", &metadata(16));
    assert_eq!(value(&rows, "the same of group 1"), "934, 950, 1477");
    assert_eq!(metadata(1), [934, 950, 1477]);
    is("journal", &[geometry.journal.start, geometry.journal.len]);
    is("vector zone", &[geometry.zone.start, geometry.zone.len]);
    is("backup superblocks", &[backups.len() as u64]);
    is("first backups", &backups[..4]);
    is("last backup", &[*backups.last().expect("a backup")]);
    is("blocks in use from the start", &[geometry.fixed_blocks()]);
}

#[test]
fn every_link_between_the_pages_leads_somewhere() {
    let pages = pages();
    for (file, text) in &pages {
        let (folder, map) = match file.rsplit_once('/') {
            None => ("", &pages["README.md"]),
            Some((folder, _)) => (folder, &pages[&format!("{folder}.md")]),
        };
        assert!(file == "README.md" || map.contains(&format!("({file})")), "{file} is missing from the map");
        for link in text.split("](").skip(1) {
            let target = link.split([')', '#']).next().unwrap_or_default();
            let exists = match target.strip_prefix("../") {
                Some(above) => pages.contains_key(above),
                None => pages.contains_key(Path::new(folder).join(target).to_str().expect("UTF-8")),
            };
            assert!(exists, "{file}: {target}");
        }
    }
}
