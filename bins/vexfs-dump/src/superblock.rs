//! `super`: the superblock.

use serde::Serialize;
use uuid::Uuid;
use vexfs_cli::clock::format_time;
use vexfs_cli::output::json::Schema;
use vexfs_cli::size::format_size;
use vexfs_format::BlockNo;
use vexfs_format::superblock::{STATE_ERRORS, Superblock};
use vexfs_fs::{BlockSource, Volume};

use crate::dump::Dump;

const SCHEMA: Schema = Schema::new("vexfs-dump-super", 1);

/// The fields of the superblock, with what follows from them.
#[derive(Debug, Serialize)]
pub(crate) struct SuperInfo {
    device: String,
    /// Block this copy lies in.
    block: u64,
    uuid: String,
    label: String,
    format_version: u32,
    features: Vec<String>,
    /// The journal holds nothing that is not home.
    clean: bool,
    /// Damage was met and not yet checked.
    errors: bool,
    error_count: u64,
    error_block: u64,
    error_ns: u64,
    block_size: u32,
    blocks: u64,
    free_blocks: u64,
    reserved_blocks: u64,
    inodes: u64,
    free_inodes: u64,
    inode_size: u32,
    groups: u64,
    blocks_per_group: u64,
    inodes_per_group: u64,
    groups_per_flex_group: u64,
    descriptor_table: u64,
    descriptor_blocks: u64,
    journal_start: u64,
    journal_blocks: u64,
    vector_start: u64,
    vector_blocks: u64,
    data_blocks: u64,
    head_blocks: u64,
    tail_blocks: u64,
    root_inode: u64,
    lost_found_inode: u64,
    checksum_seed: u32,
    random_seed: u64,
    hash_version: u32,
    transaction: u64,
    created_ns: u64,
    written_ns: u64,
    checked_ns: u64,
    creator: String,
    /// Blocks of the backup superblocks.
    backups: Vec<u64>,
}

impl SuperInfo {
    pub(crate) fn of(volume: &Volume) -> Self {
        let sb: &Superblock = volume.superblock();
        let geometry = volume.geometry();
        let creator = String::from_utf8_lossy(&sb.creator);
        Self {
            device: volume.device().name().to_owned(),
            block: sb.self_block.get(),
            uuid: Uuid::from_bytes(sb.uuid).to_string(),
            label: sb.label(),
            format_version: sb.format_version.get(),
            features: sb.features().names(),
            clean: !volume.is_unclean(),
            errors: sb.state.get() & STATE_ERRORS != 0,
            error_count: sb.error_count.get(),
            error_block: sb.error_block.get(),
            error_ns: sb.error_ns.get(),
            block_size: sb.block_size.get(),
            blocks: sb.blocks.get(),
            free_blocks: sb.free_blocks.get(),
            reserved_blocks: sb.reserved_blocks.get(),
            inodes: sb.inodes.get(),
            free_inodes: sb.free_inodes.get(),
            inode_size: sb.inode_size.get(),
            groups: geometry.groups,
            blocks_per_group: geometry.blocks_per_group(),
            inodes_per_group: geometry.inodes_per_group,
            groups_per_flex_group: 1 << geometry.flex_log2,
            descriptor_table: sb.descriptor_table.get(),
            descriptor_blocks: geometry.descriptor_blocks,
            journal_start: geometry.journal.start,
            journal_blocks: geometry.journal.len,
            vector_start: geometry.zone.start,
            vector_blocks: geometry.zone.len,
            data_blocks: geometry.data_blocks(),
            head_blocks: geometry.head_blocks,
            tail_blocks: geometry.tail_blocks,
            root_inode: sb.root_inode.get(),
            lost_found_inode: sb.lost_found_inode.get(),
            checksum_seed: sb.checksum_seed.get(),
            random_seed: sb.random_seed.get(),
            hash_version: sb.hash_version.get(),
            transaction: sb.txn.get(),
            created_ns: sb.created_ns.get(),
            written_ns: sb.written_ns.get(),
            checked_ns: sb.checked_ns.get(),
            creator: creator.trim_end_matches('\0').to_owned(),
            backups: geometry.backups().into_iter().map(BlockNo::get).collect(),
        }
    }

    pub(crate) fn write_text(&self, dump: &mut Dump<'_>) -> anyhow::Result<()> {
        let list = |numbers: &[u64]| numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(" ");
        let or_none = |text: &str| if text.is_empty() { "<none>".to_owned() } else { text.to_owned() };
        let run = |start: u64, len: u64| {
            let last = (start + len).saturating_sub(1);
            if len == 0 { "<none>".to_owned() } else { format!("blocks {start}-{last} ({len})") }
        };
        let state = match (self.clean, self.errors) {
            (true, false) => "clean".to_owned(),
            (true, true) => "clean, with errors".to_owned(),
            (false, false) => "not closed; the journal is replayed in memory".to_owned(),
            (false, true) => "not closed, with errors; the journal is replayed in memory".to_owned(),
        };
        let mut fields = vec![
            ("Device", self.device.clone()),
            ("Superblock in block", self.block.to_string()),
            ("Label", or_none(&self.label)),
            ("UUID", self.uuid.clone()),
            ("Format version", self.format_version.to_string()),
            ("Features", or_none(&self.features.join(" "))),
            ("State", state),
        ];
        if self.error_count > 0 {
            let when = format_time(self.error_ns);
            let text = format!("{}, the latest {when} at block {}", self.error_count, self.error_block);
            fields.push(("Errors met", text));
        }
        let bytes = self.blocks.saturating_mul(self.block_size.into());
        fields.extend([
            ("Block size", self.block_size.to_string()),
            ("Blocks", format!("{} ({})", self.blocks, format_size(bytes))),
            ("Free blocks", self.free_blocks.to_string()),
            ("Reserved blocks", self.reserved_blocks.to_string()),
            ("Inodes", self.inodes.to_string()),
            ("Free inodes", self.free_inodes.to_string()),
            ("Inode size", self.inode_size.to_string()),
            ("Groups", self.groups.to_string()),
            ("Blocks per group", self.blocks_per_group.to_string()),
            ("Inodes per group", self.inodes_per_group.to_string()),
            ("Groups per flex group", self.groups_per_flex_group.to_string()),
            ("Descriptor table", run(self.descriptor_table, self.descriptor_blocks)),
            ("Journal", run(self.journal_start, self.journal_blocks)),
            ("Vector zone", run(self.vector_start, self.vector_blocks)),
            ("Data blocks", self.data_blocks.to_string()),
            (
                "Metadata-only blocks",
                format!("{} at the start, {} at the end", self.head_blocks, self.tail_blocks),
            ),
            ("Root inode", self.root_inode.to_string()),
            ("lost+found inode", self.lost_found_inode.to_string()),
            ("Checksum seed", format!("{:#010x}", self.checksum_seed)),
            ("Random seed", format!("{:#018x}", self.random_seed)),
            ("Hash version", self.hash_version.to_string()),
            ("Last transaction", self.transaction.to_string()),
            ("Created", format_time(self.created_ns)),
            ("Last written", format_time(self.written_ns)),
            ("Last checked", format_time(self.checked_ns)),
            ("Created by", self.creator.clone()),
            ("Backups in blocks", list(&self.backups)),
        ]);
        dump.fields(&fields)
    }
}

/// Prints the superblock.
pub(crate) fn show(dump: &mut Dump<'_>) -> anyhow::Result<()> {
    let info = SuperInfo::of(&dump.volume);
    if dump.json { dump.document(SCHEMA, &info) } else { info.write_text(dump) }
}
