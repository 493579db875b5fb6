//! `diff OTHER`: what is different on another volume.

mod rows;
mod tree;

use std::sync::Arc;

use anyhow::Context;
use serde::Serialize;
use serde_json::{Map, Value};
use vexfs_cli::output::json::Schema;
use vexfs_cli::output::printable;
use vexfs_cli::{DeviceSpec, Located};
use vexfs_device::{FileDevice, OpenOptions as DeviceOptions};
use vexfs_fs::{OpenOptions, Volume};

use self::rows::RowChanges;
use self::tree::Changed;
use crate::dump::Dump;
use crate::superblock::SuperInfo;

const SCHEMA: Schema = Schema::new("vexfs-dump-diff", 1);

/// What is different, as changes that lead from the device to the other.
#[derive(Debug, Serialize)]
struct Difference {
    device: String,
    other: String,
    /// Fields of the superblock.
    superblock: Vec<Field>,
    /// Paths that only the other has.
    added: Vec<String>,
    /// Paths that only the device has.
    removed: Vec<String>,
    /// Paths that both have, of objects that differ.
    changed: Vec<Changed>,
    /// Collections that both have, with other rows.
    collections: Vec<RowChanges>,
}

#[derive(Debug, Serialize)]
struct Field {
    name: String,
    old: Value,
    new: Value,
}

/// Compares the volume with `other`. Damage of either ends it: of what cannot be read nobody knows whether it differs.
pub(crate) fn show(dump: &mut Dump<'_>, other: &DeviceSpec) -> anyhow::Result<()> {
    let Located { path, offset } = other.locate()?;
    let device = FileDevice::open(&path, DeviceOptions::read_only().offset(offset))?;
    let other = Volume::open(Arc::new(device), &OpenOptions::default())?;
    let name = other.device().name().to_owned();
    for damage in other.report().warnings(&name) {
        dump.damage(damage);
    }
    let volume = &dump.volume;
    let superblock = fields(&SuperInfo::of(volume), &SuperInfo::of(&other))?;
    let before = tree::walk(volume).with_context(|| dump.device_name())?;
    let after = tree::walk(&other).with_context(|| name.clone())?;
    let only = |one: &tree::Tree, in_other: &tree::Tree| -> Vec<String> {
        one.keys().filter(|path| !in_other.contains_key(*path)).cloned().collect()
    };
    let difference = Difference {
        device: dump.device_name(),
        other: name,
        superblock,
        added: only(&after, &before),
        removed: only(&before, &after),
        changed: tree::changed((volume, &before), (&other, &after))?,
        collections: rows::changed((volume, &before), (&other, &after))?,
    };
    if dump.json { dump.document(SCHEMA, &difference) } else { difference.write_text(dump) }
}

/// The fields in which two superblocks differ; each device has its own name.
fn fields(old: &SuperInfo, new: &SuperInfo) -> anyhow::Result<Vec<Field>> {
    let map = |info: &SuperInfo| -> anyhow::Result<Map<String, Value>> {
        Ok(serde_json::from_value(serde_json::to_value(info)?)?)
    };
    let (old, mut new) = (map(old)?, map(new)?);
    let mut fields = Vec::new();
    for (name, old) in old.into_iter().filter(|(name, _)| name != "device") {
        let new = new.remove(&name).unwrap_or(Value::Null);
        if old != new {
            fields.push(Field { name, old, new });
        }
    }
    Ok(fields)
}

impl Difference {
    fn write_text(&self, dump: &mut Dump<'_>) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        for Field { name, old, new } in &self.superblock {
            lines.push(format!("superblock {name}: {old} -> {new}"));
        }
        lines.extend(self.removed.iter().map(|path| format!("- {path}")));
        lines.extend(self.added.iter().map(|path| format!("+ {path}")));
        lines.extend(self.changed.iter().map(|one| format!("! {}: {}", one.path, one.what.join(", "))));
        for RowChanges { path, added, deleted, changed, shape } in &self.collections {
            let shape = shape.as_ref().map_or(String::new(), |shape| format!(", {shape}"));
            lines.push(format!("! {path}: {added} rows added, {deleted} deleted, {changed} changed{shape}"));
        }
        if lines.is_empty() {
            lines.push("no difference".to_owned());
        }
        lines.iter().try_for_each(|line| Ok(dump.out.line(format_args!("{}", printable(line)))?))
    }
}
