//! Every field of the fixed structures is changed, and the structure sealed again as if a writer had stored it: the check finds it, or
//! the field is one that may have any value.
//!
//! The verbs are those of the field fuzzing of xfs_db: zeroes, ones, first and last bit, one more, one less.

mod check_support;
mod common;

use check_support::image::{BLOCK, Image};
use vexfs_format::field::FieldLayout;
use vexfs_format::group_desc::GroupDesc;
use vexfs_format::inode::Inode;
use vexfs_format::superblock::Superblock;
use vexfs_fs::FsError;
use vexfs_fs::check::{self, CheckOptions, DataLevel, Problem};

/// Whether a field may hold any value, and why. `old` and `new` are its first eight bytes as a number.
type Excuse = fn(old: u64, new: u64) -> Option<&'static str>;

const ALWAYS: Excuse = |_, _| Some("any value is one that a writer may have stored");

/// What a field becomes.
fn verbs(field: &[u8]) -> Vec<Vec<u8>> {
    let flip = |byte: usize, bit: u8| {
        let mut bytes = field.to_vec();
        bytes[byte] ^= bit;
        bytes
    };
    let add = |by: u64| {
        let mut number = [0; 8];
        let len = field.len().min(8);
        number[..len].copy_from_slice(&field[..len]);
        let mut bytes = field.to_vec();
        bytes[..len].copy_from_slice(&u64::from_le_bytes(number).wrapping_add(by).to_le_bytes()[..len]);
        bytes
    };
    let mut all = vec![
        vec![0; field.len()],
        vec![0xFF; field.len()],
        flip(0, 1),
        flip(field.len() - 1, 0x80),
        add(1),
        add(u64::MAX),
    ];
    all.retain(|bytes| bytes != field);
    all.dedup();
    all
}

fn number(bytes: &[u8]) -> u64 {
    let mut number = [0; 8];
    let len = bytes.len().min(8);
    number[..len].copy_from_slice(&bytes[..len]);
    u64::from_le_bytes(number)
}

/// Whether a check of everything notices something.
fn is_noticed(image: &Image) -> bool {
    let mut problems: Vec<Problem> = Vec::new();
    let options = CheckOptions { data: DataLevel::Full, ..CheckOptions::default() };
    match check::check(image.device.clone(), &options, &mut problems) {
        Ok(_) => !problems.is_empty(),
        Err(FsError::Incompatible(_) | FsError::NotVexfs { .. }) => true,
        Err(e) => panic!("{e}"),
    }
}

/// Changes every field of a structure in every way. `place` is its block and offset; `seal` makes the checksum agree.
fn fuzz(
    what: &str,
    fields: &[FieldLayout],
    place: impl Fn(&Image) -> (u64, usize),
    seal: impl Fn(&Image),
    excuses: &[(&str, Excuse)],
) {
    let mut missed = String::new();
    let mut used: Vec<&str> = Vec::new();
    for field in fields {
        let count = {
            let image = Image::new();
            let (block, offset) = place(&image);
            verbs(&image.read(block)[offset + field.offset..][..field.size]).len()
        };
        for verb in 0..count {
            let image = Image::new();
            let (block, offset) = place(&image);
            let old = image.read(block)[offset + field.offset..][..field.size].to_vec();
            let new = verbs(&old).swap_remove(verb);
            image.write(block, offset + field.offset, &new);
            if field.name != "checksum" {
                assert!(is_noticed(&image), "{what}: {} is not covered by the checksum", field.name);
                seal(&image);
            }
            let excuse = excuses.iter().find(|(name, _)| *name == field.name);
            let is_excused = excuse.is_some_and(|(_, excuse)| excuse(number(&old), number(&new)).is_some());
            match (is_noticed(&image), is_excused) {
                (false, true) => used.push(field.name),
                (false, false) => missed += &format!("{what}: {}: {old:?} → {new:?}\n", field.name),
                (true, _) => {}
            }
        }
    }
    assert!(missed.is_empty(), "{missed}");
    for (name, _) in excuses {
        assert!(used.contains(name), "{what}: {name} needs no excuse");
    }
}

#[test]
fn superblock() {
    fuzz(
        "superblock",
        Superblock::FIELDS,
        |_| (0, 1024),
        |image| image.edit_super(0, |_| ()),
        &[
            ("reserved_blocks", ALWAYS),
            ("written_ns", ALWAYS),
            ("checked_ns", ALWAYS),
            ("txn", |old, new| {
                (new < old).then_some("nobody knows which transaction was the last but the journal")
            }),
            ("error_count", ALWAYS),
            ("error_ns", ALWAYS),
            ("error_block", ALWAYS),
            ("reserved_changing", ALWAYS),
            ("reserved", ALWAYS),
        ],
    );
}

#[test]
fn descriptor_of_a_group_in_use() {
    let never_read = |old, new| (new < old).then_some("the records that count as written then are empty");
    fuzz(
        "group 0",
        GroupDesc::FIELDS,
        |_| (1, 0),
        |image| image.edit_group(0, |_| ()),
        &[("unused_inodes", never_read), ("reserved", ALWAYS)],
    );
}

#[test]
fn descriptor_of_a_group_that_is_not_initialised() {
    let uninit = |_, _| Some("nothing is read from a bitmap or table that was never written");
    fuzz(
        "group 2",
        GroupDesc::FIELDS,
        |_| (1, 128),
        |image| image.edit_group(2, |_| ()),
        &[
            ("unused_inodes", uninit),
            ("block_bitmap_checksum", uninit),
            ("inode_bitmap_checksum", uninit),
            ("reserved", ALWAYS),
        ],
    );
}

/// What no inode keeps from changing.
const IN_EVERY_INODE: [(&str, Excuse); 8] = [
    ("mode", |old, new| (old & 0o170_000 == new & 0o170_000).then_some("permissions are the user's")),
    ("uid", ALWAYS),
    ("gid", ALWAYS),
    // The filesystem has seen more than one transaction since.
    ("txn", |old, new| (new <= old + 1).then_some("any transaction up to the last may have changed it")),
    ("created_ns", ALWAYS),
    ("modified_ns", ALWAYS),
    ("changed_ns", ALWAYS),
    ("reserved", ALWAYS),
];

/// Only the low 16 bits of the generation are in the salt of data blocks.
const SALTED: Excuse =
    |old, new| (old & 0xFFFF == new & 0xFFFF).then_some("data is not salted with these bits");
const IN_NO_BLOCK: Excuse = |_, _| Some("directory blocks are not salted with it");
/// The numbers are the first bytes of the field: where they are the same, a byte behind the entries was changed.
const BEHIND: Excuse = |old, new| (old == new).then_some("nothing is read behind the entries in use");

fn fuzz_inode(path: &str, excuses: &[(&str, Excuse)]) {
    let excuses: Vec<(&str, Excuse)> = IN_EVERY_INODE.iter().chain(excuses).copied().collect();
    fuzz(
        path,
        Inode::FIELDS,
        |image| image.record(image.ino(path)),
        |image| image.edit_ino(image.ino(path), |_| ()),
        &excuses,
    );
}

#[test]
fn inode_of_a_file() {
    fuzz_inode(
        "/models/deep/large",
        &[
            ("generation", SALTED),
            ("root", BEHIND),
            ("size", |old, new| {
                let same_block = old.div_ceil(BLOCK as u64) == new.div_ceil(BLOCK as u64);
                (new > old && same_block).then_some("a file may end in zeros")
            }),
        ],
    );
}

#[test]
fn inode_of_a_stream() {
    fuzz_inode("/ids/ids", &[("generation", SALTED), ("root", BEHIND)]);
}

#[test]
fn inode_of_a_directory() {
    fuzz_inode("/many", &[("generation", IN_NO_BLOCK), ("root", BEHIND)]);
}

#[test]
fn inode_of_a_collection() {
    fuzz_inode("/keys", &[("generation", IN_NO_BLOCK), ("root", BEHIND)]);
}

#[test]
fn inode_of_a_link() {
    fuzz_inode(
        "/short",
        &[
            ("generation", |_, _| Some("a link without blocks has nothing that is salted with it")),
            ("root", |_, _| Some("any byte but zero may be in a target")),
        ],
    );
}
