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

impl Health {
    fn gather(dump: &mut Dump<'_>) -> anyhow::Result<Self> {
        let collections = collections::gather(dump)?.iter().map(CollectionHealth::of).collect();
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
            ("reserved_bytes", "Space that is reserved for root", self.reserved_bytes as f64),
            ("inodes", "Number of inodes", self.inodes as f64),
            ("free_inodes", "Number of free inodes", self.free_inodes as f64),
            ("objects", "Objects that have data", self.objects as f64),
            ("pieces", "Pieces in which their data lies", self.pieces as f64),
            ("fragmented_objects", "Objects in more than one piece", self.fragmented_objects as f64),
        ] {
            metric(&mut text, name, help, [(volume.clone(), value)]);
        }
        type Figure = (&'static str, &'static str, fn(&CollectionHealth) -> f64);
        let figures: [Figure; 4] = [
            ("collection_rows", "Rows of the collection, deleted ones included", |c| c.rows as f64),
            ("collection_live_rows", "Rows that are not deleted", |c| c.live_rows as f64),
            ("collection_bytes", "Bytes of the collection on the device", |c| c.bytes as f64),
            ("collection_row_extents", "Extents in which its rows lie", |c| c.row_extents as f64),
        ];
        for (name, help, value) in figures {
            let samples = self.collections.iter().map(|collection| {
                (format!("{volume},collection=\"{}\"", escaped(&collection.path)), value(collection))
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
