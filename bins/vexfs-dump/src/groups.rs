//! `groups`: the block groups, those that nothing was ever written to in ranges.

use serde::Serialize;
use vexfs_cli::output::json::Schema;
use vexfs_cli::output::table::{Align, Table};
use vexfs_format::GroupNo;
use vexfs_format::group_desc::GroupDesc;
use vexfs_fs::inode;

use crate::dump::Dump;

const SCHEMA: Schema = Schema::new("vexfs-dump-groups", 1);

/// One group, or a range of groups whose bitmaps and inodes were never written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct GroupInfo {
    /// First group.
    first: u64,
    /// Last group; that of a single group is the first.
    last: u64,
    first_block: u64,
    last_block: u64,
    /// Sums over the range.
    free_blocks: u64,
    free_inodes: u64,
    directories: u64,
    /// Groups that begin with a backup of superblock and descriptors.
    backups: Vec<u64>,
    /// Where the parts of a single group are; `None` for a range.
    #[serde(flatten)]
    places: Option<Places>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Places {
    block_bitmap: u64,
    inode_bitmap: u64,
    inode_table: u64,
    /// Inodes at the end of the table that were never written.
    unused_inodes: u64,
    block_bitmap_uninit: bool,
    inode_bitmap_uninit: bool,
}

#[derive(Serialize)]
struct Groups<'a> {
    groups: &'a [GroupInfo],
}

/// All groups; damaged descriptors are named and left out.
pub(crate) fn gather(dump: &mut Dump<'_>) -> anyhow::Result<Vec<GroupInfo>> {
    let geometry = dump.volume.geometry();
    let mut groups: Vec<GroupInfo> = Vec::new();
    for number in 0..geometry.groups {
        let group = GroupNo(number);
        let desc = inode::read_group(&dump.volume, group);
        let Some(desc) = dump.intact("group descriptors", desc)? else { continue };
        let start = geometry.group_start(group);
        let is_untouched = desc.block_bitmap_uninit() && desc.inode_bitmap_uninit();
        let info = GroupInfo {
            first: number,
            last: number,
            first_block: start,
            last_block: start + geometry.group_blocks(group) - 1,
            free_blocks: desc.free_blocks.get().into(),
            free_inodes: desc.free_inodes.get().into(),
            directories: desc.directories.get().into(),
            backups: if geometry.has_backup(group) { vec![number] } else { Vec::new() },
            places: (!is_untouched).then(|| Places::of(&desc)),
        };
        match groups.last_mut() {
            Some(range) if range.continues_with(&info) => range.take_in(info),
            _ => groups.push(info),
        }
    }
    Ok(groups)
}

impl Places {
    fn of(desc: &GroupDesc) -> Self {
        Self {
            block_bitmap: desc.block_bitmap.get(),
            inode_bitmap: desc.inode_bitmap.get(),
            inode_table: desc.inode_table.get(),
            unused_inodes: desc.unused_inodes.get().into(),
            block_bitmap_uninit: desc.block_bitmap_uninit(),
            inode_bitmap_uninit: desc.inode_bitmap_uninit(),
        }
    }
}

impl GroupInfo {
    fn continues_with(&self, next: &Self) -> bool {
        self.places.is_none() && next.places.is_none() && self.last + 1 == next.first
    }

    fn take_in(&mut self, next: Self) {
        self.last = next.last;
        self.last_block = next.last_block;
        self.free_blocks += next.free_blocks;
        self.free_inodes += next.free_inodes;
        self.directories += next.directories;
        self.backups.extend(next.backups);
    }

    fn state(&self) -> String {
        let mut words = Vec::new();
        match &self.places {
            None => words.push("not initialised".to_owned()),
            Some(places) => {
                if places.block_bitmap_uninit {
                    words.push("block bitmap not initialised".to_owned());
                }
                if places.inode_bitmap_uninit {
                    words.push("inode bitmap not initialised".to_owned());
                }
            }
        }
        match self.backups.len() {
            0 => {}
            _ if self.first == self.last => words.push("backup".to_owned()),
            n => words.push(format!("{n} backups")),
        }
        words.join(", ")
    }
}

/// Writes groups as a table.
pub(crate) fn write_text(dump: &mut Dump<'_>, groups: &[GroupInfo]) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("group", Align::Right),
        ("blocks", Align::Right),
        ("block bitmap", Align::Right),
        ("inode bitmap", Align::Right),
        ("inode table", Align::Right),
        ("free blocks", Align::Right),
        ("free inodes", Align::Right),
        ("directories", Align::Right),
        ("state", Align::Left),
    ]);
    let range =
        |first: u64, last: u64| if first == last { first.to_string() } else { format!("{first}-{last}") };
    for group in groups {
        let place = |place: fn(&Places) -> u64| {
            group.places.as_ref().map_or_else(|| "-".to_owned(), |places| place(places).to_string())
        };
        table.row([
            range(group.first, group.last),
            range(group.first_block, group.last_block),
            place(|p| p.block_bitmap),
            place(|p| p.inode_bitmap),
            place(|p| p.inode_table),
            group.free_blocks.to_string(),
            group.free_inodes.to_string(),
            group.directories.to_string(),
            group.state(),
        ]);
    }
    Ok(table.write(dump.out)?)
}

/// Prints the groups.
pub(crate) fn show(dump: &mut Dump<'_>) -> anyhow::Result<()> {
    let groups = gather(dump)?;
    if dump.json {
        return dump.document(SCHEMA, &Groups { groups: &groups });
    }
    write_text(dump, &groups)
}
