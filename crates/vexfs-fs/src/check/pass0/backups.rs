//! Copies of the superblock, held against the one in use.

use vexfs_format::BlockNo;
use vexfs_format::superblock::{self, Superblock};
use zerocopy::IntoBytes;

use super::super::context::Reporter;
use super::super::problem::Problem;
use super::super::table;
use super::damage;
use crate::error::Result;
use crate::probe;
use crate::volume::Volume;

/// Fields that say nothing in a copy: written once, not kept up to date, or its own.
const NOT_COMPARED: [&str; 14] = [
    "checksum",
    "state",
    "free_blocks",
    "reserved_blocks",
    "free_inodes",
    "self_block",
    "written_ns",
    "checked_ns",
    "txn",
    "error_count",
    "error_ns",
    "error_block",
    "reserved_changing",
    "reserved",
];

/// Fields that never change after format time: where they differ, one of the copies belongs to another filesystem.
const FOR_EVER: [&str; 11] = [
    "block_size",
    "blocks_per_group",
    "inodes_per_group",
    "inode_size",
    "descriptor_table",
    "journal_start",
    "journal_blocks",
    "zone_start",
    "head_blocks",
    "checksum_seed",
    "hash_key",
];

/// Holds every backup against the superblock in use.
pub(super) fn check(volume: &Volume, reporter: &mut Reporter<'_>) -> Result<()> {
    let sb = &volume.sb;
    for place in volume.geometry().backups() {
        let at = |kind| Problem::new(kind).block(place.get()).byte(superblock::OFFSET as u64);
        let copy = match probe::read_superblock(&*volume.dev, place, sb.block_size.get()) {
            Ok(copy) => copy,
            Err(error) => {
                // A copy that only a newer tool knows was not written by the one that wrote the primary.
                let found = damage(error).unwrap_or_else(|e| e.to_string());
                reporter.problem(at(table::BACKUP_DAMAGED).found(found))?;
                continue;
            }
        };
        if let Some(Difference { name, is_for_ever, found, expected }) = compare(&copy, sb) {
            let kind = if is_for_ever { table::BACKUP_GEOMETRY } else { table::BACKUP_STALE };
            reporter.problem(at(kind).name(name).found(found).expected(expected))?;
        }
    }
    Ok(())
}

/// Looks at the primary, where the check was told to use the backup in block `used`.
pub(super) fn check_primary(volume: &Volume, used: BlockNo, reporter: &mut Reporter<'_>) -> Result<()> {
    let at = |kind| Problem::new(kind).block(0).byte(superblock::OFFSET as u64).other(used.get());
    let is_restored = volume.journal.pending.contains_key(&BlockNo(0));
    match probe::read_superblock(&*volume.dev, BlockNo(0), volume.sb.block_size.get()) {
        _ if is_restored => Ok(()),
        Err(error) => reporter.problem(at(table::PRIMARY_DAMAGED).found(damage(error)?)),
        Ok(primary) => match compare(&primary, &volume.sb) {
            Some(Difference { name, is_for_ever: true, found, expected }) => {
                reporter.problem(at(table::PRIMARY_DIFFERS).name(name).found(found).expected(expected))
            }
            _ => Ok(()),
        },
    }
}

/// The first field in which two copies differ, those that never change first.
struct Difference {
    name: &'static str,
    is_for_ever: bool,
    found: String,
    expected: String,
}

fn compare(copy: &Superblock, sb: &Superblock) -> Option<Difference> {
    let fields = || Superblock::FIELDS.iter().filter(|f| !NOT_COMPARED.contains(&f.name));
    let differs = |f: &&vexfs_format::field::FieldLayout| {
        let bytes = f.offset..f.offset + f.size;
        copy.as_bytes()[bytes.clone()] != sb.as_bytes()[bytes]
    };
    let for_ever = fields().filter(|f| FOR_EVER.contains(&f.name)).find(differs);
    let field = for_ever.or_else(|| fields().find(differs))?;
    let value = |sb: &Superblock| text(&sb.as_bytes()[field.offset..field.offset + field.size]);
    Some(Difference {
        name: field.name,
        is_for_ever: for_ever.is_some(),
        found: value(copy),
        expected: value(sb),
    })
}

/// A number in decimal, longer fields in hexadecimal.
fn text(bytes: &[u8]) -> String {
    if bytes.len() <= 8 {
        let mut number = [0; 8];
        number[..bytes.len()].copy_from_slice(bytes);
        return u64::from_le_bytes(number).to_string();
    }
    let end = bytes.iter().rposition(|&b| b != 0).map_or(1, |last| last + 1);
    bytes[..end].iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_named_here_are_fields() {
        for name in NOT_COMPARED.iter().chain(&FOR_EVER) {
            assert!(Superblock::FIELDS.iter().any(|f| f.name == *name), "{name}");
        }
    }
}
