//! The layout of a filesystem, for people and as JSON.

use std::fmt::Write as _;
use std::io;

use serde::Serialize;
use uuid::Uuid;
use vexfs_cli::Output;
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::size::format_size;
use vexfs_format::BlockNo;
use vexfs_format::geometry::Geometry;
use vexfs_format::superblock::Superblock;

use crate::args::NewCollection;

const SCHEMA: Schema = Schema::new("mkfs.vexfs", 1);
/// Width of the list of backups.
const COLUMNS: usize = 79;

/// What is made, or would be.
#[derive(Debug, Serialize)]
pub(crate) struct Layout {
    device: String,
    /// Nothing was written.
    dry_run: bool,
    /// `None` when a random one would be chosen.
    uuid: Option<String>,
    label: String,
    bytes: u64,
    block_size: u32,
    blocks: u64,
    groups: u64,
    blocks_per_group: u64,
    inodes: u64,
    inodes_per_group: u64,
    inode_size: u32,
    journal_blocks: u64,
    vector_blocks: u64,
    data_blocks: u64,
    reserved_blocks: u64,
    /// `data_blocks / blocks`.
    efficiency: f64,
    features: Vec<String>,
    /// Blocks of the backup superblocks.
    backups: Vec<u64>,
    collection: Option<CollectionLayout>,
}

#[derive(Debug, Serialize)]
struct CollectionLayout {
    name: String,
    dim: u32,
    dtype: &'static str,
    metric: &'static str,
}

impl Layout {
    pub(crate) fn new(
        device: String,
        superblock: &Superblock,
        geometry: &Geometry,
        collection: Option<&NewCollection>,
    ) -> Self {
        Self {
            device,
            dry_run: false,
            uuid: Some(Uuid::from_bytes(superblock.uuid).to_string()),
            label: superblock.label(),
            bytes: geometry.blocks * u64::from(geometry.block_size),
            block_size: geometry.block_size,
            blocks: geometry.blocks,
            groups: geometry.groups,
            blocks_per_group: geometry.blocks_per_group(),
            inodes: geometry.inodes(),
            inodes_per_group: geometry.inodes_per_group,
            inode_size: geometry.inode_size,
            journal_blocks: geometry.journal.len,
            vector_blocks: geometry.zone.len,
            data_blocks: geometry.data_blocks(),
            reserved_blocks: superblock.reserved_blocks.get(),
            efficiency: geometry.efficiency(),
            features: superblock.features().names(),
            backups: geometry.backups().into_iter().map(BlockNo::get).collect(),
            collection: collection.map(|collection| CollectionLayout {
                name: collection.name.clone(),
                dim: collection.dim,
                dtype: collection.dtype.name(),
                metric: collection.metric.name(),
            }),
        }
    }

    /// The layout of a dry run; `uuid` is the one that was asked for, if any.
    pub(crate) fn of_dry_run(self, uuid: Option<Uuid>) -> Self {
        Self { dry_run: true, uuid: uuid.map(|uuid| uuid.to_string()), ..self }
    }

    pub(crate) fn write_json(&self, out: &mut Output) -> io::Result<()> {
        write_document(out, SCHEMA, self)
    }

    pub(crate) fn write_text(&self, out: &mut Output) -> io::Result<()> {
        let verb = if self.dry_run { "would be made" } else { "made" };
        out.line(format_args!(
            "VexFS {verb} on {}: {} blocks of {} bytes ({})",
            self.device,
            self.blocks,
            self.block_size,
            format_size(self.bytes)
        ))?;
        match &self.uuid {
            Some(uuid) => out.line(format_args!("UUID:         {uuid}"))?,
            None => out.line(format_args!("UUID:         random"))?,
        }
        if !self.label.is_empty() {
            out.line(format_args!("Label:        {}", self.label))?;
        }
        out.line(format_args!(
            "Groups:       {}, each of {} blocks and {} inodes",
            self.groups, self.blocks_per_group, self.inodes_per_group
        ))?;
        out.line(format_args!("Inodes:       {} of {} bytes", self.inodes, self.inode_size))?;
        out.line(format_args!("Journal:      {}", self.sized(self.journal_blocks)))?;
        if self.vector_blocks > 0 {
            out.line(format_args!("Vector zone:  {}", self.sized(self.vector_blocks)))?;
        }
        let percent = self.efficiency * 100.0;
        out.line(format_args!("Data:         {}, {percent:.1} % of all", self.sized(self.data_blocks)))?;
        out.line(format_args!("Reserved:     {}", self.sized(self.reserved_blocks)))?;
        if let Some(CollectionLayout { name, dim, dtype, metric }) = &self.collection {
            out.line(format_args!("Collection:   {name}: {dim} dimensions, {dtype}, {metric}"))?;
        }
        out.line(format_args!("Backups of the superblock in blocks:"))?;
        for line in wrapped(&self.backups) {
            out.line(format_args!("\t{line}"))?;
        }
        Ok(())
    }

    fn sized(&self, blocks: u64) -> String {
        format!("{blocks} blocks ({})", format_size(blocks.saturating_mul(self.block_size.into())))
    }
}

/// Numbers separated by commas, in lines that fit the screen behind a tab.
fn wrapped(numbers: &[u64]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (n, number) in numbers.iter().enumerate() {
        let comma = if n + 1 < numbers.len() { "," } else { "" };
        let word = format!("{number}{comma}");
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= COLUMNS - 8 => {
                // Writing to a string cannot fail.
                let _ = write!(line, " {word}");
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_wrapped_and_loses_nothing() {
        let numbers: Vec<u64> = (0..40).map(|n| n * 32_768).collect();
        let lines = wrapped(&numbers);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() + 8 <= COLUMNS));
        let joined = lines.join(" ");
        assert_eq!(joined, numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(", "));
        assert!(wrapped(&[]).is_empty());
    }
}
