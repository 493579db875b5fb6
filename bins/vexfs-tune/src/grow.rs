//! `--grow`: the filesystem follows a device that has become longer.

use serde::Serialize;
use vexfs_cli::args::DeviceArgs;
use vexfs_cli::size::format_size;
use vexfs_cli::{Interrupted, Report, Usage, WithHint, signals, volume};
use vexfs_device::{Device, FileDevice, FileKind, OpenOptions};
use vexfs_fs::grow::Growth;
use vexfs_fs::{BlockSource, FsError, Volume};

use crate::args::{Args, GrowTo};

/// How long the filesystem was, and is or would be.
#[derive(Debug, Serialize)]
pub(crate) struct Grown {
    /// Whether there was anything to gain.
    changed: bool,
    bytes_before: u64,
    bytes: u64,
    groups_before: u64,
    groups: u64,
    inodes_before: u64,
    inodes: u64,
    /// Bytes that can be used and could not before.
    gained: u64,
}

/// Makes an image file long enough for the size that is asked for; a device must be.
///
/// Nothing happens before it is clear that the filesystem can grow so far.
pub(crate) fn make_room(args: &Args, device: &DeviceArgs, to: GrowTo, report: &Report) -> anyhow::Result<()> {
    let located = device.locate()?;
    let GrowTo::Bytes(size) = to else {
        if located.offset > 0 {
            let problem =
                "an image inside a larger file ends where the file does not tell: --grow needs a SIZE";
            return Err(Usage::new(problem).into());
        }
        return Ok(());
    };
    let options = OpenOptions::read_only().offset(located.offset);
    let found = FileDevice::open(&located.path, options)?;
    if size <= found.len() {
        return Ok(());
    }
    if found.kind() != FileKind::Image {
        let (name, have) = (found.name().to_owned(), found.len());
        return Err(FsError::DeviceTooShort { device: name, need: size, have })
            .hint("make the partition or volume larger first, and the filesystem then");
    }
    drop(found);
    let growth = plan(&volume::open_for_reading(device, report)?, size)?;
    if args.dry_run || growth.is_none() {
        return Ok(());
    }
    let options = OpenOptions::read_write().offset(located.offset);
    let longer = FileDevice::open(&located.path, options)?.extend(size)?;
    report.detail(format!("{}: the file has {} bytes", longer.name(), located.offset.saturating_add(size)));
    Ok(())
}

/// Lets the filesystem grow, or says how far it would.
pub(crate) fn grow(args: &Args, volume: &mut Volume, report: &Report, to: GrowTo) -> anyhow::Result<Grown> {
    let bytes = match to {
        GrowTo::Bytes(bytes) => bytes,
        GrowTo::Device => volume.device().len(),
    };
    let name = volume.device().name().to_owned();
    let block_size = volume.block_size() as u64;
    let growth = plan(volume, bytes)?;
    if growth.is_some() && !args.dry_run {
        if signals::interrupted() {
            return Err(Interrupted::new("the filesystem is as long as it was").into());
        }
        volume.grow(bytes)?;
    }
    let before = growth.as_ref().map_or_else(|| volume.geometry(), |growth| growth.before.clone());
    let after = growth.as_ref().map_or(&before, |growth| &growth.after);
    let gained = growth.as_ref().map_or(0, |growth| growth.gained_blocks().saturating_mul(block_size));
    let (old, new) = (before.blocks * block_size, after.blocks * block_size);
    report.message(match (&growth, args.dry_run) {
        (None, _) => format!("{name}: the filesystem has {}, there is nothing to gain", format_size(old)),
        (Some(_), true) => {
            format!("{name}: would grow from {} to {}", format_size(old), format_size(new))
        }
        (Some(_), false) => format!(
            "{name}: has grown from {} to {}; {} more can be used",
            format_size(old),
            format_size(new),
            format_size(gained)
        ),
    });
    Ok(Grown {
        changed: growth.is_some(),
        bytes_before: old,
        bytes: new,
        groups_before: before.groups,
        groups: after.groups,
        inodes_before: before.inodes(),
        inodes: after.inodes(),
        gained,
    })
}

fn plan(volume: &Volume, bytes: u64) -> anyhow::Result<Option<Growth>> {
    match Growth::plan(volume, bytes) {
        Err(error @ FsError::GrowthLimit { limit, .. }) => {
            Err(error).hint(format!("--grow {limit} is as far as it goes"))
        }
        planned => Ok(planned?),
    }
}
