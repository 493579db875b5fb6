//! `image FILE`: a metadata image, for reports of bugs.

use std::path::Path;

use serde::Serialize;
use uuid::Uuid;
use vexfs_cli::index::IndexProgress;
use vexfs_cli::output::json::Schema;
use vexfs_cli::size::format_size;
use vexfs_cli::{Interrupted, signals};
use vexfs_device::FileDevice;
use vexfs_fs::image::{self, ImageOptions};
use vexfs_fs::{BlockSource, FsError};

use crate::dump::Dump;

const SCHEMA: Schema = Schema::new("vexfs-dump-image", 1);

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    file: String,
    /// Length of the file, most of which is a hole.
    bytes: u64,
    /// Bytes of metadata in it.
    metadata_bytes: u64,
    /// Objects whose metadata it has.
    objects: u64,
    scrambled: bool,
    /// Blocks that could not be read.
    unreadable_blocks: u64,
    /// Inodes, tree nodes and directories that are damaged.
    damaged: u64,
}

/// Writes the image to `file`, which must not exist.
pub(crate) fn run(dump: &mut Dump<'_>, file: &Path, scramble: bool) -> anyhow::Result<()> {
    signals::catch()?;
    let block_size = dump.volume.block_size() as u64;
    let bytes = dump.volume.blocks().saturating_mul(block_size);
    let out = FileDevice::create(file, bytes)?;
    let options = ImageOptions { scramble: scramble.then(|| Uuid::new_v4().into_bytes()) };
    let progress = IndexProgress::new(dump.report);
    let written = image::write(&dump.volume, &out, &options, &progress);
    drop(progress);
    let report = match written {
        Ok(report) => report,
        Err(error) => {
            // The error that made the file useless is the one to tell.
            let _ = out.remove_created();
            return Err(match error {
                FsError::Interrupted => Interrupted::new("no image was written").into(),
                other => other.into(),
            });
        }
    };
    if report.unreadable > 0 {
        dump.damage(format!(
            "{} blocks of metadata cannot be read; they are zeros in the image",
            report.unreadable
        ));
    }
    if report.damaged > 0 {
        let kept = if scramble { "left out of" } else { "as they are in" };
        dump.damage(format!(
            "{} inodes, tree nodes and directories are damaged; they are {kept} the image",
            report.damaged
        ));
    }
    let info = Written {
        file: file.display().to_string(),
        bytes,
        metadata_bytes: report.blocks.saturating_mul(block_size),
        objects: report.objects,
        scrambled: scramble,
        unreadable_blocks: report.unreadable,
        damaged: report.damaged,
    };
    if dump.json {
        return dump.document(SCHEMA, &info);
    }
    let (objects, metadata) = (info.objects, format_size(info.metadata_bytes));
    dump.report.message(format!("{}: metadata of {objects} objects, {metadata}", info.file));
    Ok(())
}
