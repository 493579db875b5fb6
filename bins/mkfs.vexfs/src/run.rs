//! The work of `mkfs.vexfs`: look, refuse or go on, plan, format, say what was made.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use serde::Serialize;
use uuid::Uuid;
use vexfs_cli::output::json::{Schema, write_document};
use vexfs_cli::undo::{self, SavedDevice};
use vexfs_cli::{Interrupted, Output, Report, Unit, Usage, WithHint, clock, signals};
use vexfs_device::{Device, UndoIdentity};
use vexfs_format::geometry::GeometryParams;
use vexfs_format::superblock::Superblock;
use vexfs_fs::FsError;
use vexfs_fs::collection::create::CollectionSpec;
use vexfs_fs::mkfs::{self, DefaultCollection, MkfsOptions};

use crate::args::Args;
use crate::foreign;
use crate::layout::Layout;
use crate::occupant::Occupant;
use crate::target::{Ready, Target};
use crate::values::{FEATURES, Feature, UuidChoice};

const FEATURES_SCHEMA: Schema = Schema::new("mkfs.vexfs-features", 1);

pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    if args.lists_features() {
        return list_features(args, out);
    }
    let report = Report::new("mkfs.vexfs", &args.output);
    let spec = args.device()?;
    let size = args.size_bytes()?;
    let collection = args.new_collection()?;
    args.discards()?;
    if !args.dry_run {
        signals::catch().context("cannot catch signals")?;
    }
    let target = Target::open(spec.locate()?, size, args.force > 1, args.dry_run)?;
    let name = target.name();
    let found = target.occupants()?;
    accept(args, &name, &found, &report)?;
    let options = options(args, &target)?;
    let (superblock, geometry) = options.plan().map_err(|error| explained(&name, error))?;
    let layout =
        |superblock: &Superblock| Layout::new(name.clone(), superblock, &geometry, collection.as_ref());
    if args.dry_run {
        let given = match args.uuid {
            Some(UuidChoice::Given(uuid)) => Some(uuid),
            Some(UuidChoice::Random) | None => None,
        };
        return print(args, out, &layout(&superblock).of_dry_run(given), true);
    }
    let (path, offset) = (target.path().to_owned(), target.offset());
    let ready = target.ready()?;
    let saved = match save(args, &ready, &options, &path, offset) {
        Ok(saved) => saved,
        Err(error) => return Err(given_up(ready, &report, error)),
    };
    let device: Arc<dyn Device> = match &saved {
        Some((device, _)) => device.clone(),
        None => ready.device.clone(),
    };
    let mut made = format(device.clone(), &options, &report);
    if made.is_ok() && found.iter().any(Occupant::is_foreign) {
        made = foreign::erase(&device, &path, offset).and(made);
    }
    drop(device);
    if let Some((device, file)) = &saved {
        let finished = undo::finish(device, file, &report);
        made = made.and_then(|made| finished.map(|()| made));
    }
    drop(saved);
    match made {
        Ok(made) => print(args, out, &layout(&made), !args.output.quiet),
        Err(error) => Err(given_up(ready, &report, error)),
    }
}

/// Puts a device in front of the one that is ready which saves what is overwritten, if that is wanted.
fn save<'a>(
    args: &'a Args,
    ready: &Ready,
    options: &MkfsOptions,
    path: &Path,
    offset: u64,
) -> anyhow::Result<Option<(SavedDevice, &'a Path)>> {
    let Some(file) = args.undo_file.as_deref() else { return Ok(None) };
    let identity = UndoIdentity {
        uuid: Some(options.uuid),
        uuid_before: undo::known_uuid(&*ready.device),
        original_len: ready.original_len(offset),
        tool: "mkfs.vexfs".to_owned(),
    };
    Ok(Some((undo::save(file, ready.device.clone(), path, &identity)?, file)))
}

/// Takes back what was done to the file beside formatting it, and returns the error for which that is done.
fn given_up(ready: Ready, report: &Report, error: anyhow::Error) -> anyhow::Error {
    if let Err(more) = ready.give_up() {
        report.warning(format!("{more:#}"));
    }
    error
}

/// Refuses a device on which something is recognised, unless that is to be overwritten or nothing is written at all.
fn accept(args: &Args, name: &str, found: &[Occupant], report: &Report) -> anyhow::Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = found.iter().map(ToString::to_string).collect();
    let list = list.join("; ");
    if args.force > 0 {
        report.detail(format!("{name}: overwriting {list}"));
        return Ok(());
    }
    if args.dry_run {
        report.warning(format!("{name} already holds {list}; only -f would overwrite it"));
        return Ok(());
    }
    Err(anyhow!("{name} already holds {list}; nothing was changed")).hint("-f overwrites it")
}

fn options(args: &Args, target: &Target) -> anyhow::Result<MkfsOptions> {
    let uuid = match args.uuid {
        Some(UuidChoice::Given(uuid)) => uuid,
        Some(UuidChoice::Random) | None => Uuid::new_v4(),
    };
    let bytes = target.bytes();
    let block_size = args.block_size();
    let collection = args.new_collection()?.map(|new| {
        let spec = CollectionSpec { dim: new.dim, dtype: new.dtype, metric: new.metric, normalized: false };
        DefaultCollection { name: new.name, spec }
    });
    Ok(MkfsOptions {
        geometry: GeometryParams {
            bytes_per_inode: args.bytes_per_inode,
            inodes: args.inodes,
            inode_size: args.inode_size,
            journal_blocks: args.journal.map(|journal| journal.0 / u64::from(block_size)),
            vector_zone: args.vector_zone(),
            ..GeometryParams::new(bytes / u64::from(block_size), block_size)
        },
        label: args.label.clone().unwrap_or_default(),
        reserved_percent: args.reserved,
        collection,
        extent: Some(bytes),
        // An image file gives its blocks back only when asked: whoever allocated them wants them.
        discard: args.discards()?.unwrap_or(target.is_block_device()),
        now_ns: clock::now_ns()?,
        ..MkfsOptions::new(bytes, *uuid.as_bytes())
    })
}

/// The error of a layout that cannot be, for a person: what was asked wrongly, or which device is too small.
fn explained(name: &str, error: FsError) -> anyhow::Error {
    match error {
        FsError::InvalidName { .. } | FsError::BadCollection(_) => Usage::new(error.to_string()).into(),
        error => anyhow!("{name}: {error}"),
    }
}

fn format(device: Arc<dyn Device>, options: &MkfsOptions, report: &Report) -> anyhow::Result<Superblock> {
    let name = device.name().to_owned();
    let progress = options.discard.then(|| report.progress("discarding", Unit::Bytes, options.extent));
    let mut steps = 0;
    let mut go_on = |discarded| {
        if let Some(progress) = &progress {
            progress.set(discarded);
        }
        let goes_on = !signals::interrupted();
        steps += u64::from(goes_on);
        goes_on
    };
    match mkfs::format_watched(device, options, &mut go_on) {
        Ok(superblock) => Ok(superblock),
        Err(FsError::Interrupted) if steps == 0 => Err(Interrupted::new("nothing was changed").into()),
        Err(FsError::Interrupted) => {
            Err(Interrupted::new(format!("{name} holds no filesystem any more")).into())
        }
        Err(error @ FsError::Device(_)) => Err(error).context(format!("{name}: formatting failed")),
        Err(error) => bail!("{name}: formatting failed: {error}"),
    }
}

fn print(args: &Args, out: &mut Output, layout: &Layout, in_words: bool) -> anyhow::Result<()> {
    if args.output.json {
        layout.write_json(out)?;
    } else if in_words {
        layout.write_text(out)?;
    }
    Ok(())
}

fn list_features(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct List {
        features: &'static [Feature],
    }
    if args.output.json {
        write_document(out, FEATURES_SCHEMA, &List { features: FEATURES })?;
        return Ok(());
    }
    for feature in FEATURES {
        out.line(format_args!("{}  {}", feature.name, feature.about))?;
    }
    Ok(())
}
