//! `-l`: what the filesystem is, and its indexes.

use serde::Serialize;
use uuid::Uuid;
use vexfs_cli::Output;
use vexfs_cli::output::printable;
use vexfs_cli::output::table::{Align, Table};
use vexfs_cli::size::format_size;
use vexfs_fs::index::{self, StoredIndex};
use vexfs_fs::{BlockSource, Volume, collection};

/// What `-l` lists.
#[derive(Debug, Serialize)]
pub(crate) struct Listing {
    label: String,
    uuid: String,
    features: Vec<String>,
    block_size: u32,
    blocks: u64,
    free_blocks: u64,
    inodes: u64,
    free_inodes: u64,
    indexes: Vec<Listed>,
}

/// An index of some collection.
#[derive(Debug, Serialize)]
struct Listed {
    collection: String,
    name: String,
    kind: Option<&'static str>,
    parts: usize,
    bytes: u64,
    /// Rows of the collection that it does not cover.
    uncovered: u64,
    /// Why it cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

impl Listing {
    /// Gathers what there is.
    pub(crate) fn of(volume: &Volume) -> anyhow::Result<Self> {
        let sb = volume.superblock();
        let mut indexes = Vec::new();
        for collection in collection::list(volume)? {
            for files in index::list(volume, &collection)? {
                let stored = StoredIndex::open(volume, &collection, &files);
                let uncovered = |stored: &StoredIndex| {
                    stored.uncovered(collection.rows()).iter().map(|gap| gap.end - gap.start).sum()
                };
                indexes.push(Listed {
                    collection: collection.path.clone(),
                    name: files.name,
                    kind: stored.as_ref().ok().map(|stored| stored.kind().name()),
                    parts: files.parts.len(),
                    bytes: stored.as_ref().map_or(0, StoredIndex::bytes),
                    uncovered: stored.as_ref().map_or(collection.rows(), uncovered),
                    problem: stored.err().map(|e| e.to_string()),
                });
            }
        }
        Ok(Self {
            label: sb.label(),
            uuid: Uuid::from_bytes(sb.uuid).to_string(),
            features: sb.features().names(),
            block_size: sb.block_size.get(),
            blocks: sb.blocks.get(),
            free_blocks: sb.free_blocks.get(),
            inodes: sb.inodes.get(),
            free_inodes: sb.free_inodes.get(),
            indexes,
        })
    }

    /// Writes it for people.
    pub(crate) fn write_text(&self, out: &mut Output) -> anyhow::Result<()> {
        let or_none = |text: &str| if text.is_empty() { "<none>".to_owned() } else { text.to_owned() };
        let bytes = self.blocks.saturating_mul(self.block_size.into());
        for (name, value) in [
            ("Label:", or_none(&self.label)),
            ("UUID:", self.uuid.clone()),
            ("Features:", or_none(&self.features.join(" "))),
            ("Block size:", self.block_size.to_string()),
            ("Blocks:", format!("{} ({})", self.blocks, format_size(bytes))),
            ("Free blocks:", self.free_blocks.to_string()),
            ("Inodes:", self.inodes.to_string()),
            ("Free inodes:", self.free_inodes.to_string()),
        ] {
            out.line(format_args!("{name:13} {}", printable(&value)))?;
        }
        if self.indexes.is_empty() {
            out.line(format_args!("Indexes:      <none>"))?;
            return Ok(());
        }
        out.line(format_args!(""))?;
        let mut table = Table::new(&[
            ("collection", Align::Left),
            ("index", Align::Left),
            ("kind", Align::Left),
            ("parts", Align::Right),
            ("size", Align::Right),
            ("uncovered", Align::Right),
            ("state", Align::Left),
        ]);
        for index in &self.indexes {
            table.row([
                index.collection.clone(),
                index.name.clone(),
                index.kind.unwrap_or("?").to_owned(),
                index.parts.to_string(),
                format_size(index.bytes),
                index.uncovered.to_string(),
                index.problem.clone().unwrap_or_else(|| "ready".to_owned()),
            ]);
        }
        Ok(table.write(out)?)
    }
}
