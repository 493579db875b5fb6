//! `collections`: what collections there are.

use std::collections::HashSet;

use serde::Serialize;
use vexfs_cli::clock::format_time;
use vexfs_cli::output::json::Schema;
use vexfs_cli::output::table::{Align, Table};
use vexfs_cli::size::format_size;
use vexfs_format::InodeNo;
use vexfs_format::codes::InodeKind;
use vexfs_format::collection::{FLAG_IDS, FLAG_KEYS, FLAG_NORMALIZED};
use vexfs_format::inode::Inode;
use vexfs_fs::collection::Collection;
use vexfs_fs::extents::ExtentMap;
use vexfs_fs::{BlockSource, dir, inode};

use crate::dump::Dump;
use crate::indexes::{self, IndexInfo};
use crate::inode::sized;

const SCHEMA: Schema = Schema::new("vexfs-dump-collections", 1);

/// One collection.
#[derive(Debug, Serialize)]
pub(crate) struct CollectionInfo {
    pub(crate) path: String,
    inode: u64,
    dim: u32,
    dtype: &'static str,
    metric: &'static str,
    /// Rows, deleted ones included.
    pub(crate) rows: u64,
    pub(crate) live_rows: u64,
    /// What rows are called by: "rows" (their numbers), "ids" or "keys".
    named_by: &'static str,
    normalized: bool,
    /// The model that made the vectors, if somebody has said it.
    model: Option<String>,
    /// Rows of an import that is not finished.
    unfinished_rows: Option<u64>,
    generation: u64,
    created_ns: u64,
    /// Bytes on the device, metadata included.
    pub(crate) bytes: u64,
    /// Extents that hold rows: 1 when they lie in one piece.
    pub(crate) row_extents: usize,
    streams: Vec<StreamInfo>,
    pub(crate) indexes: Vec<IndexInfo>,
}

#[derive(Debug, Serialize)]
struct StreamInfo {
    name: String,
    inode: u64,
    /// Length in bytes.
    size: u64,
    /// Blocks in use, checksums included.
    blocks: u64,
    /// Extents of the data, checksums included.
    extents: usize,
}

#[derive(Serialize)]
struct Collections<'a> {
    collections: &'a [CollectionInfo],
}

impl CollectionInfo {
    /// The collection of `inode`, or `None` after saying what is damaged. Damaged streams are left out.
    pub(crate) fn load(dump: &mut Dump<'_>, path: &str, inode: Inode) -> anyhow::Result<Option<Self>> {
        let opened = Collection::from_inode(&dump.volume, path, inode);
        let Some(collection) = dump.intact(path, opened)? else { return Ok(None) };
        let desc = &collection.desc;
        let block_size = dump.volume.block_size() as u64;
        let mut info = Self {
            path: path.to_owned(),
            inode: inode.number().get(),
            dim: desc.dim.get(),
            dtype: desc.dtype().name(),
            metric: desc.metric().name(),
            rows: desc.rows.get(),
            live_rows: desc.live_rows.get(),
            named_by: match (desc.has(FLAG_KEYS), desc.has(FLAG_IDS)) {
                (true, _) => "keys",
                (false, true) => "ids",
                (false, false) => "rows",
            },
            normalized: desc.has(FLAG_NORMALIZED),
            model: collection.model().map(|model| model.to_string()),
            unfinished_rows: collection.unfinished().map(|import| import.rows),
            generation: desc.generation.get(),
            created_ns: desc.created_ns.get(),
            bytes: inode.blocks.get().saturating_mul(block_size),
            row_extents: 0,
            streams: Vec::new(),
            indexes: IndexInfo::of(dump, &collection)?,
        };
        // Without the metadata of the images, which are derived and small beside them.
        info.bytes = info.bytes.saturating_add(info.indexes.iter().map(|index| index.bytes).sum());
        for name in collection.stream_names() {
            let stream = collection.stream(&dump.volume, &name);
            let place = format!("{path}/{name}");
            let Some(Some(stream)) = dump.intact(&place, stream)? else { continue };
            let map = ExtentMap::load(&dump.volume, &stream);
            let Some(map) = dump.intact(&place, map)? else { continue };
            info.bytes = info.bytes.saturating_add(stream.blocks.get().saturating_mul(block_size));
            if name == vexfs_format::collection::STREAM_VECTORS {
                let data_end = map.data_end();
                info.row_extents = map.range(0, data_end).count();
            }
            info.streams.push(StreamInfo {
                name,
                inode: stream.number().get(),
                size: stream.size.get(),
                blocks: stream.blocks.get(),
                extents: map.runs().len(),
            });
        }
        Ok(Some(info))
    }
}

/// All collections below the root directory, in order of their paths; damage is named and passed over.
pub(crate) fn gather(dump: &mut Dump<'_>) -> anyhow::Result<Vec<CollectionInfo>> {
    let root = InodeNo(dump.volume.superblock().root_inode.get());
    let mut found = Vec::new();
    let mut seen = HashSet::from([root]);
    let mut todo = vec![(String::new(), root)];
    while let Some((prefix, number)) = todo.pop() {
        let shown = if prefix.is_empty() { "/" } else { prefix.as_str() };
        let entries = inode::read(&dump.volume, number).and_then(|inode| dir::list(&dump.volume, &inode));
        for entry in dump.intact(shown, entries)?.unwrap_or_default() {
            let path = format!("{prefix}/{}", String::from_utf8_lossy(&entry.name));
            match entry.kind {
                InodeKind::Directory if seen.insert(entry.inode) => todo.push((path, entry.inode)),
                InodeKind::Collection if seen.insert(entry.inode) => {
                    let inode = inode::read(&dump.volume, entry.inode);
                    if let Some(inode) = dump.intact(&path, inode)? {
                        found.extend(CollectionInfo::load(dump, &path, inode)?);
                    }
                }
                _ => {}
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Writes collections as a table.
pub(crate) fn write_text(dump: &mut Dump<'_>, collections: &[CollectionInfo]) -> anyhow::Result<()> {
    let mut table = Table::new(&[
        ("collection", Align::Left),
        ("dim", Align::Right),
        ("dtype", Align::Left),
        ("metric", Align::Left),
        ("rows", Align::Right),
        ("live", Align::Right),
        ("named by", Align::Left),
        ("size", Align::Right),
        ("extents", Align::Right),
        ("model", Align::Left),
    ]);
    for collection in collections {
        table.row([
            collection.path.clone(),
            collection.dim.to_string(),
            collection.dtype.to_owned(),
            collection.metric.to_owned(),
            collection.rows.to_string(),
            collection.live_rows.to_string(),
            collection.named_by.to_owned(),
            format_size(collection.bytes),
            collection.row_extents.to_string(),
            match (&collection.model, collection.unfinished_rows) {
                (_, Some(_)) => "(import not finished)".to_owned(),
                (model, None) => model.clone().unwrap_or_default(),
            },
        ]);
    }
    Ok(table.write(dump.out)?)
}

/// Writes their indexes below them, if there are any.
pub(crate) fn write_indexes(dump: &mut Dump<'_>, collections: &[CollectionInfo]) -> anyhow::Result<()> {
    if collections.iter().all(|collection| collection.indexes.is_empty()) {
        return Ok(());
    }
    dump.out.line(format_args!(""))?;
    indexes::write_text(dump, collections.iter().flat_map(|collection| &collection.indexes))
}

/// What `stat` says of a collection beside its inode.
pub(crate) fn fields_of(collection: &CollectionInfo) -> Vec<(&'static str, String)> {
    let CollectionInfo { dim, dtype, metric, rows, live_rows, named_by, .. } = collection;
    let scaled = if collection.normalized { ", scaled to length 1" } else { "" };
    let mut fields = vec![
        ("Vectors", format!("{dim} dimensions, {dtype}, {metric}{scaled}")),
        ("Rows", format!("{rows}, {live_rows} of them live; named by {named_by}")),
        ("Collection created", format_time(collection.created_ns)),
        ("Row generation", collection.generation.to_string()),
        ("Bytes on the device", sized(collection.bytes)),
    ];
    if let Some(model) = &collection.model {
        fields.push(("Model", model.clone()));
    }
    if let Some(rows) = collection.unfinished_rows {
        fields.push(("Unfinished import", format!("{rows} rows; vexfs-import --resume goes on with it")));
    }
    for stream in &collection.streams {
        let StreamInfo { name, inode, size, blocks, extents } = stream;
        fields.push((
            "Stream",
            format!("{name}: inode {inode}, {size} bytes in {blocks} blocks, {extents} extents"),
        ));
    }
    fields
}

/// Prints the collections.
pub(crate) fn show(dump: &mut Dump<'_>) -> anyhow::Result<()> {
    let collections = gather(dump)?;
    if dump.json {
        return dump.document(SCHEMA, &Collections { collections: &collections });
    }
    write_text(dump, &collections)
}
