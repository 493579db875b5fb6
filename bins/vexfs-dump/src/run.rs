//! The work of `vexfs-dump`: finds the device, opens it, and prints the part that is asked for.

use std::path::Path;

use serde::Serialize;
use vexfs_cli::output::json::Schema;
use vexfs_cli::{Output, Report, Usage};
use vexfs_format::{BlockNo, InodeNo};

use crate::args::Args;
use crate::collections::{self, CollectionInfo};
use crate::dump::Dump;
use crate::groups::{self, GroupInfo};
use crate::superblock::{self, SuperInfo};
use crate::what::{Target, What};
use crate::{cat, diff, export, extents, health, image, indexes, inode, journal, list, map, udev, vector};

const SUMMARY: Schema = Schema::new("vexfs-dump", 1);

#[derive(Serialize)]
struct Summary<'a> {
    superblock: &'a SuperInfo,
    groups: &'a [GroupInfo],
    collections: &'a [CollectionInfo],
}

pub(crate) fn run(args: &Args, out: &mut Output) -> anyhow::Result<()> {
    let report = Report::new("vexfs-dump", &args.output);
    let Target { device, what } = Target::of(args)?;
    let located = match device {
        Some(spec) => spec.locate()?,
        None => args.device.locate()?,
    };
    let superblock = args.superblock.map(BlockNo);
    let mut dump = Dump::open(&located, superblock, out, &report, args.output.json)?;
    match &what {
        What::Summary => summary(&mut dump)?,
        What::Super => superblock::show(&mut dump)?,
        What::Groups => groups::show(&mut dump)?,
        What::Journal => journal::show(&mut dump)?,
        What::Inode(number) => inode::show_number(&mut dump, InodeNo(*number))?,
        What::Extents(path) => extents::show(&mut dump, text(path)?)?,
        What::Ls { path, recursive } => list::show(&mut dump, text(path)?, *recursive)?,
        What::Stat(path) => inode::show_path(&mut dump, text(path)?)?,
        What::Cat(path) => cat::show(&mut dump, text(path)?)?,
        What::Collections => collections::show(&mut dump)?,
        What::Indexes => indexes::show(&mut dump)?,
        What::Get(id) => vector::show(&mut dump, args.collection.name(), id)?,
        What::Map(file) => map::show(&mut dump, file.as_deref())?,
        What::Health { prometheus } => health::show(&mut dump, *prometheus)?,
        What::Diff(other) => diff::show(&mut dump, other)?,
        What::Udev => udev::show(&mut dump)?,
        What::Image { file, scramble } => image::run(&mut dump, file, *scramble)?,
        What::Export { file, format, ids, payload } => {
            let beside = export::Beside { ids: ids.as_deref(), payload: payload.as_deref() };
            export::run(&mut dump, args.collection.name(), (file, *format), beside)?;
        }
    }
    dump.finish()
}

/// Superblock, groups, collections and their indexes, as dumpe2fs prints the first two.
fn summary(dump: &mut Dump<'_>) -> anyhow::Result<()> {
    let info = SuperInfo::of(&dump.volume);
    let groups = groups::gather(dump)?;
    let collections = collections::gather(dump)?;
    if dump.json {
        let body = Summary { superblock: &info, groups: &groups, collections: &collections };
        return dump.document(SUMMARY, &body);
    }
    info.write_text(dump)?;
    dump.out.line(format_args!(""))?;
    groups::write_text(dump, &groups)?;
    dump.out.line(format_args!(""))?;
    if collections.is_empty() {
        return Ok(dump.out.line(format_args!("No collections"))?);
    }
    collections::write_text(dump, &collections)?;
    collections::write_indexes(dump, &collections)
}

/// A path on the volume. Names that are not UTF-8 can be listed, not typed.
fn text(path: &Path) -> Result<&str, Usage> {
    path.to_str().ok_or_else(|| Usage::new(format!("'{}' is not UTF-8", path.display())))
}
