//! `health`: the figures an administrator watches, as text, JSON, or for the textfile collector of Prometheus.

use std::fmt::Write as _;
use std::io::Write as _;

use serde::Serialize;
use uuid::Uuid;
use vexfs_cli::clock::format_time;
use vexfs_cli::output::json::Schema;
use vexfs_cli::size::format_size;
use vexfs_format::superblock::STATE_ERRORS;
use vexfs_fs::BlockSource;

use crate::collections::{self, CollectionInfo};
use crate::dump::Dump;
use crate::indexes::{IndexInfo, SHOWN_K};
use crate::objects;

const SCHEMA: Schema = Schema::new("vexfs-dump-health", 1);

#[derive(Debug, Serialize)]
struct Health {
    device: String,
    uuid: String,
    label: String,
    /// The journal holds nothing that is not home.
    clean: bool,
    /// Damage was met and not yet checked.
    errors: bool,
    error_count: u64,
    error_ns: u64,
    created_ns: u64,
    written_ns: u64,
    checked_ns: u64,
    bytes: u64,
    free_bytes: u64,
    reserved_bytes: u64,
    inodes: u64,
    free_inodes: u64,
    /// Objects that have data, streams of collections among them.
    objects: u64,
    /// Pieces their data lies in; as many as objects when nothing is fragmented.
    pieces: u64,
    /// Objects whose data lies in more than one piece.
    fragmented_objects: u64,
    collections: Vec<CollectionHealth>,
    indexes: Vec<IndexHealth>,
}

#[derive(Debug, Serialize)]
struct CollectionHealth {
    path: String,
    rows: u64,
    live_rows: u64,
    /// Share of the rows that are deleted, 0 to 1: what compacting would free.
    deleted_share: f64,
    bytes: u64,
    row_extents: usize,
}

#[derive(Debug, Serialize)]
struct IndexHealth {
    collection: String,
    name: String,
    kind: Option<&'static str>,
    /// Whether searches can go by it.
    usable: bool,
    bytes: u64,
    /// Share of the rows that it covers, 0 to 1; the others are compared one by one.
    covered_share: f64,
    /// Most recall@10 that its calibration measured; `null` if it has none.
    recall_at_10: Option<f64>,
}

impl Health {
    fn gather(dump: &mut Dump<'_>) -> anyhow::Result<Self> {
        let found = collections::gather(dump)?;
        let collections = found.iter().map(CollectionHealth::of).collect();
        let of_collection = |info: &CollectionInfo| {
            info.indexes.iter().map(|index| IndexHealth::of(index, info.rows)).collect::<Vec<_>>()
        };
        let indexes = found.iter().flat_map(of_collection).collect();
        let objects = objects::gather(dump)?;
        let pieces: Vec<u64> = objects.iter().map(objects::Object::pieces).filter(|&n| n > 0).collect();
        let superblock = dump.volume.superblock();
        let size = |blocks: u64| blocks.saturating_mul(superblock.block_size.get().into());
        Ok(Self {
            device: dump.device_name(),
            uuid: Uuid::from_bytes(superblock.uuid).to_string(),
            label: superblock.label(),
            clean: !dump.volume.is_unclean(),
            errors: superblock.state.get() & STATE_ERRORS != 0,
            error_count: superblock.error_count.get(),
            error_ns: superblock.error_ns.get(),
            created_ns: superblock.created_ns.get(),
            written_ns: superblock.written_ns.get(),
            checked_ns: superblock.checked_ns.get(),
            bytes: size(superblock.blocks.get()),
            free_bytes: size(superblock.free_blocks.get()),
            reserved_bytes: size(superblock.reserved_blocks.get()),
            inodes: superblock.inodes.get(),
            free_inodes: superblock.free_inodes.get(),
            objects: pieces.len() as u64,
            pieces: pieces.iter().sum(),
            fragmented_objects: pieces.iter().filter(|&&n| n > 1).count() as u64,
            collections,
            indexes,
        })
    }

    fn write_text(&self, dump: &mut Dump<'_>) -> anyhow::Result<()> {
        let share = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
        let state = if self.clean { "clean" } else { "not closed" };
        let errors = match self.error_count {
            0 => "none".to_owned(),
            count => format!("{count}, the latest {}", format_time(self.error_ns)),
        };
        let mut fields = vec![
            ("Device", self.device.clone()),
            ("State", format!("{state}{}", if self.errors { ", with errors" } else { "" })),
            ("Errors met", errors),
            ("Last written", format_time(self.written_ns)),
            ("Last checked", format_time(self.checked_ns)),
            (
                "Free",
                format!(
                    "{} of {}, {:.1} %",
                    format_size(self.free_bytes),
                    format_size(self.bytes),
                    share(self.free_bytes, self.bytes)
                ),
            ),
            ("Free inodes", format!("{} of {}", self.free_inodes, self.inodes)),
            (
                "Fragmented",
                format!(
                    "{} of {} objects, {} pieces in all",
                    self.fragmented_objects, self.objects, self.pieces
                ),
            ),
        ];
        for collection in &self.collections {
            let CollectionHealth { path, rows, live_rows, deleted_share, bytes, row_extents } = collection;
            fields.push((
                "Collection",
                format!(
                    "{path}: {live_rows} vectors, {} deleted ({:.1} %), {}, rows in {row_extents} extents",
                    rows.saturating_sub(*live_rows),
                    100.0 * deleted_share,
                    format_size(*bytes),
                ),
            ));
        }
        for index in &self.indexes {
            let recall = match index.recall_at_10 {
                Some(recall) => format!("recall@{SHOWN_K} up to {recall:.3}"),
                None => "not calibrated".to_owned(),
            };
            fields.push((
                "Index",
                format!(
                    "{} {} ({}): {}covers {:.1} % of the rows, {recall}, {}",
                    index.collection,
                    index.name,
                    index.kind.unwrap_or("?"),
                    if index.usable { "" } else { "cannot be used, " },
                    100.0 * index.covered_share,
                    format_size(index.bytes),
                ),
            ));
        }
        dump.fields(&fields)
    }

    /// The text format of Prometheus, version 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
    fn prometheus(&self) -> String {
        let volume = format!(
            "device=\"{}\",uuid=\"{}\",label=\"{}\"",
            escaped(&self.device),
            self.uuid,
            escaped(&self.label)
        );
        let seconds = |ns: u64| ns as f64 / 1e9;
        let flag = |is_set: bool| f64::from(u8::from(is_set));
        let mut text = String::new();
        for (name, help, value) in [
            ("clean", "1 if the filesystem was closed", flag(self.clean)),
            ("errors", "1 if damage was met that no check has dealt with", flag(self.errors)),
            ("error_count", "How often damage was met", self.error_count as f64),
            ("last_error_timestamp_seconds", "When damage was met last, 0 if never", seconds(self.error_ns)),
            ("written_timestamp_seconds", "When the filesystem was last written", seconds(self.written_ns)),
            ("checked_timestamp_seconds", "When it was last checked, 0 if never", seconds(self.checked_ns)),
            ("size_bytes", "Size of the filesystem", self.bytes as f64),
            ("free_bytes", "Free space", self.free_bytes as f64),
            (
                "reserved_bytes",
                "Free space that is kept for checks, deletions and compaction",
                self.reserved_bytes as f64,
            ),
            ("inodes", "Number of inodes", self.inodes as f64),
            ("free_inodes", "Number of free inodes", self.free_inodes as f64),
            ("objects", "Objects that have data", self.objects as f64),
            ("pieces", "Pieces in which their data lies", self.pieces as f64),
            ("fragmented_objects", "Objects in more than one piece", self.fragmented_objects as f64),
        ] {
            metric(&mut text, name, help, [(volume.clone(), value)]);
        }
        type Figure = (&'static str, &'static str, fn(&CollectionHealth) -> f64);
        let figures: [Figure; 5] = [
            ("collection_rows", "Rows of the collection, deleted ones included", |c| c.rows as f64),
            ("collection_live_rows", "Rows that are not deleted", |c| c.live_rows as f64),
            ("collection_deleted_ratio", "Share of the rows that are deleted", |c| c.deleted_share),
            ("collection_bytes", "Bytes of the collection on the device", |c| c.bytes as f64),
            ("collection_row_extents", "Extents in which its rows lie", |c| c.row_extents as f64),
        ];
        for (name, help, value) in figures {
            let samples = self.collections.iter().map(|collection| {
                (format!("{volume},collection=\"{}\"", escaped(&collection.path)), value(collection))
            });
            metric(&mut text, name, help, samples);
        }
        type IndexFigure = (&'static str, &'static str, fn(&IndexHealth) -> Option<f64>);
        let figures: [IndexFigure; 4] = [
            ("index_usable", "1 if searches can go by the index", |i| Some(f64::from(u8::from(i.usable)))),
            ("index_bytes", "Bytes of its images", |i| Some(i.bytes as f64)),
            ("index_covered_ratio", "Share of the rows that it covers", |i| Some(i.covered_share)),
            ("index_recall_at_10", "Most recall@10 that its calibration measured", |i| i.recall_at_10),
        ];
        for (name, help, value) in figures {
            let samples = self.indexes.iter().filter_map(|index| {
                let (collection, name) = (escaped(&index.collection), escaped(&index.name));
                let labels = format!("{volume},collection=\"{collection}\",index=\"{name}\"");
                value(index).map(|value| (labels, value))
            });
            metric(&mut text, name, help, samples);
        }
        text
    }
}

impl CollectionHealth {
    fn of(info: &CollectionInfo) -> Self {
        let deleted = info.rows.saturating_sub(info.live_rows);
        Self {
            path: info.path.clone(),
            rows: info.rows,
            live_rows: info.live_rows,
            deleted_share: deleted as f64 / info.rows.max(1) as f64,
            bytes: info.bytes,
            row_extents: info.row_extents,
        }
    }
}

impl IndexHealth {
    fn of(info: &IndexInfo, rows: u64) -> Self {
        let covered = rows.saturating_sub(info.uncovered);
        Self {
            collection: info.collection.clone(),
            name: info.name.clone(),
            kind: info.kind,
            usable: info.problem.is_none(),
            bytes: info.bytes,
            covered_share: if rows == 0 { 1.0 } else { covered as f64 / rows as f64 },
            recall_at_10: info.most_recall(),
        }
    }
}

/// Appends a gauge with its samples; nothing without samples.
fn metric(text: &mut String, name: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP vexfs_{name} {help}.\n# TYPE vexfs_{name} gauge");
    for (labels, value) in samples {
        let _ = writeln!(text, "vexfs_{name}{{{labels}}} {value}");
    }
}

/// A label's value between its quotation marks.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Prints the figures.
pub(crate) fn show(dump: &mut Dump<'_>, prometheus: bool) -> anyhow::Result<()> {
    let health = Health::gather(dump)?;
    match (dump.json, prometheus) {
        (true, _) => dump.document(SCHEMA, &health),
        (false, true) => Ok(dump.out.write_all(health.prometheus().as_bytes())?),
        (false, false) => health.write_text(dump),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_quotation_marks() {
        let mut text = String::new();
        let labels = format!("device=\"{}\"", escaped("a\\b\"c\nd"));
        metric(&mut text, "size_bytes", "Size", [(labels, 4096.0)]);
        assert_eq!(
            text,
            "# HELP vexfs_size_bytes Size.\n# TYPE vexfs_size_bytes gauge\n\
             vexfs_size_bytes{device=\"a\\\\b\\\"c\\nd\"} 4096\n"
        );
        metric(&mut text, "none", "None", []);
        assert!(!text.contains("none"));
    }
}
