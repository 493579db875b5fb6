//! `inode N` and `stat PATH`: one inode.

use anyhow::bail;
use serde::Serialize;
use vexfs_cli::clock::format_time;
use vexfs_cli::output::json::Schema;
use vexfs_cli::size::format_size;
use vexfs_format::codes::InodeKind;
use vexfs_format::inode::Inode;
use vexfs_format::{InodeNo, bitmap};
use vexfs_fs::alloc::read_inode_bitmap;
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::path::{LastLink, read_link, resolve};
use vexfs_fs::{FsError, inode};

use crate::collections::{CollectionInfo, fields_of};
use crate::dump::Dump;

const SCHEMA: Schema = Schema::new("vexfs-dump-inode", 1);

/// One inode.
#[derive(Debug, Serialize)]
struct InodeInfo {
    /// The path that was asked for; `None` for a number.
    path: Option<String>,
    inode: u64,
    kind: &'static str,
    /// Type and permissions as POSIX has them.
    mode: u16,
    uid: u32,
    gid: u32,
    links: u32,
    size: u64,
    /// Blocks in use, those of the extent tree and the checksums included.
    blocks: u64,
    /// `None` if the extent tree is damaged.
    extents: Option<usize>,
    tree_depth: u16,
    generation: u64,
    transaction: u64,
    parent: u64,
    created_ns: u64,
    modified_ns: u64,
    changed_ns: u64,
    /// Of a symbolic link.
    target: Option<String>,
    /// Of a collection.
    collection: Option<CollectionInfo>,
}

/// Prints inode `number`.
pub(crate) fn show_number(dump: &mut Dump<'_>, number: InodeNo) -> anyhow::Result<()> {
    let Some((group, index)) = dump.volume.geometry().locate_inode(number) else {
        bail!("there is no inode {number}; the last is {}", dump.volume.geometry().inodes());
    };
    let desc = inode::read_group(&dump.volume, group)?;
    let in_use = read_inode_bitmap(&dump.volume, group, &desc);
    // A damaged bitmap says nothing, the record may.
    if let Some(map) = dump.intact("inode bitmaps", in_use)?
        && !bitmap::get(&map, index as usize)
    {
        bail!("inode {number} is not in use");
    }
    if number < InodeNo::FIRST_ORDINARY && number > InodeNo::LOST_FOUND {
        bail!("inode {number} is kept for the filesystem itself, and not used by this version");
    }
    let inode = inode::read(&dump.volume, number)?;
    show(dump, None, inode)
}

/// Prints the inode that `path` leads to; a symbolic link stays one.
pub(crate) fn show_path(dump: &mut Dump<'_>, path: &str) -> anyhow::Result<()> {
    let inode = resolve(&dump.volume, path, LastLink::Keep)?;
    show(dump, Some(path), inode)
}

fn show(dump: &mut Dump<'_>, path: Option<&str>, inode: Inode) -> anyhow::Result<()> {
    let number = inode.number();
    let map = ExtentMap::load(&dump.volume, &inode);
    let map = dump.intact(&format!("extents of inode {number}"), map)?;
    let name = path.map_or_else(|| format!("inode {number}"), str::to_owned);
    let collection = match inode.kind() {
        InodeKind::Collection => CollectionInfo::load(dump, &name, inode)?,
        _ => None,
    };
    let target = match inode.kind() {
        InodeKind::Symlink => link_target(dump, &inode)?,
        _ => None,
    };
    let info = InodeInfo {
        path: path.map(str::to_owned),
        inode: number.get(),
        kind: inode.kind().name(),
        mode: inode.mode.get(),
        uid: inode.uid.get(),
        gid: inode.gid.get(),
        links: inode.links.get(),
        size: inode.size.get(),
        blocks: inode.blocks.get(),
        extents: map.map(|map| map.runs().len()),
        tree_depth: inode.depth.get(),
        generation: inode.generation.get(),
        transaction: inode.txn.get(),
        parent: inode.parent.get(),
        created_ns: inode.created_ns.get(),
        modified_ns: inode.modified_ns.get(),
        changed_ns: inode.changed_ns.get(),
        target,
        collection,
    };
    if dump.json { dump.document(SCHEMA, &info) } else { info.write_text(dump) }
}

/// Target of a symbolic link, or `None` after saying what is damaged.
pub(crate) fn link_target(dump: &mut Dump<'_>, link: &Inode) -> anyhow::Result<Option<String>> {
    let target: Result<Vec<u8>, FsError> = read_link(&dump.volume, link);
    let target = dump.intact(&format!("target of inode {}", link.number()), target)?;
    Ok(target.map(|target| String::from_utf8_lossy(&target).into_owned()))
}

impl InodeInfo {
    fn write_text(&self, dump: &mut Dump<'_>) -> anyhow::Result<()> {
        let mut fields = Vec::new();
        if let Some(path) = &self.path {
            fields.push(("Path", path.clone()));
        }
        let extents = self.extents.map_or_else(|| "damaged".to_owned(), |n| n.to_string());
        fields.extend([
            ("Inode", self.inode.to_string()),
            ("Kind", self.kind.to_owned()),
            ("Mode", format!("{:06o} ({})", self.mode, mode_text(self.mode))),
            ("Owner and group", format!("{} {}", self.uid, self.gid)),
            ("Links", self.links.to_string()),
            ("Size", sized(self.size)),
            ("Blocks", self.blocks.to_string()),
            ("Extents", format!("{extents}, tree of depth {}", self.tree_depth)),
            ("Generation", self.generation.to_string()),
            ("Last transaction", self.transaction.to_string()),
        ]);
        if self.parent > 0 {
            fields.push(("Parent", self.parent.to_string()));
        }
        fields.extend([
            ("Created", format_time(self.created_ns)),
            ("Modified", format_time(self.modified_ns)),
            ("Changed", format_time(self.changed_ns)),
        ]);
        if let Some(target) = &self.target {
            fields.push(("Target", target.clone()));
        }
        if let Some(collection) = &self.collection {
            fields.extend(fields_of(collection));
        }
        dump.fields(&fields)
    }
}

/// A number of bytes, and as people say it where that is another text.
pub(crate) fn sized(bytes: u64) -> String {
    if bytes < 1024 { bytes.to_string() } else { format!("{bytes} ({})", format_size(bytes)) }
}

/// Type and permissions as ls shows them.
pub(crate) fn mode_text(mode: u16) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (bit, letter) in
        [(8, 'r'), (7, 'w'), (6, 'x'), (5, 'r'), (4, 'w'), (3, 'x'), (2, 'r'), (1, 'w'), (0, 'x')]
    {
        text.push(if mode >> bit & 1 == 1 { letter } else { '-' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_reads_as_in_ls() {
        assert_eq!(mode_text(0o100_644), "-rw-r--r--");
        assert_eq!(mode_text(0o040_755), "drwxr-xr-x");
        assert_eq!(mode_text(0o120_777), "lrwxrwxrwx");
    }
}
