//! `extents PATH`: where the blocks of an object lie.

use serde::Serialize;
use vexfs_cli::output::json::Schema;
use vexfs_cli::output::table::{Align, Table};
use vexfs_format::extent::SUMS_BASE;
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::path::{LastLink, resolve};

use crate::dump::Dump;

const SCHEMA: Schema = Schema::new("vexfs-dump-extents", 1);

#[derive(Debug, Serialize)]
struct Extents {
    path: String,
    inode: u64,
    extents: Vec<ExtentInfo>,
    /// Blocks of the extent tree.
    tree: Vec<u64>,
    /// Block of the collection descriptor.
    descriptor: Option<u64>,
}

#[derive(Debug, Serialize)]
struct ExtentInfo {
    /// "data", or "checksums" of the data.
    holds: &'static str,
    /// Index of the first block within what the extent holds.
    logical: u64,
    /// First block on the device.
    start: u64,
    /// Number of blocks.
    len: u32,
}

/// Prints the extents of what `path` leads to.
pub(crate) fn show(dump: &mut Dump<'_>, path: &str) -> anyhow::Result<()> {
    let inode = resolve(&dump.volume, path, LastLink::Keep)?;
    let map = ExtentMap::load(&dump.volume, &inode)?;
    let extents = map.runs().iter().map(|run| {
        let logical = run.logical.get();
        let (holds, logical) = match logical.checked_sub(SUMS_BASE) {
            Some(index) => ("checksums", index),
            None => ("data", logical),
        };
        ExtentInfo { holds, logical, start: run.start.get(), len: run.len }
    });
    let info = Extents {
        path: path.to_owned(),
        inode: inode.number().get(),
        extents: extents.collect(),
        tree: map.nodes().iter().map(|node| node.get()).collect(),
        descriptor: Some(inode.descriptor.get()).filter(|&block| block > 0),
    };
    if dump.json {
        return dump.document(SCHEMA, &info);
    }
    let mut table = Table::new(&[
        ("holds", Align::Left),
        ("logical", Align::Right),
        ("blocks", Align::Right),
        ("length", Align::Right),
    ]);
    let range = |start: u64, len: u64| format!("{start}-{}", start + len - 1);
    for extent in &info.extents {
        let len = u64::from(extent.len);
        let cells = [range(extent.logical, len), range(extent.start, len), len.to_string()];
        table.row([extent.holds.to_owned()].into_iter().chain(cells));
    }
    for (holds, block) in
        info.tree.iter().map(|&b| ("extent tree", b)).chain(info.descriptor.map(|b| ("descriptor", b)))
    {
        table.row([holds.to_owned(), "-".to_owned(), block.to_string(), "1".to_owned()]);
    }
    Ok(table.write(dump.out)?)
}
