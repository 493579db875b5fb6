//! What is on a device before it is formatted: reasons to refuse it.

use std::fmt;
use std::path::Path;

use uuid::Uuid;
use vexfs_cli::clock::format_time;
use vexfs_device::Device;
use vexfs_format::BlockNo;
use vexfs_format::error::FormatError;
use vexfs_format::superblock::{self, Superblock};
use vexfs_fs::probe;

use crate::foreign::{self, Signature};

/// Something that is recognised on the device.
#[derive(Debug)]
pub(crate) enum Occupant {
    /// A VexFS, with what is wrong with its primary superblock if a backup told of it.
    Vexfs { superblock: Box<Superblock>, damage: Option<String> },
    /// A VexFS superblock that these tools cannot read.
    Unreadable(String),
    /// One of the formats that bore the name before.
    Ancestor(&'static str),
    /// Something libblkid knows.
    Foreign(Signature),
}

impl Occupant {
    pub(crate) fn is_foreign(&self) -> bool {
        matches!(self, Self::Foreign(_))
    }
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vexfs { superblock, damage } => {
                f.write_str("VexFS")?;
                let uuid = Uuid::from_bytes(superblock.uuid).to_string();
                foreign::describe(f, Some(&superblock.label()), Some(&uuid))?;
                write!(f, ", last written {}", format_time(superblock.written_ns.get()))?;
                match damage {
                    Some(damage) => {
                        let block = superblock.self_block.get();
                        write!(f, " (damaged: {damage}; its backup in block {block} is whole)")
                    }
                    None => Ok(()),
                }
            }
            Self::Unreadable(why) => write!(f, "VexFS superblock that cannot be used: {why}"),
            Self::Ancestor(name) => f.write_str(name),
            Self::Foreign(signature) => signature.fmt(f),
        }
    }
}

/// Everything that is recognised on `device`, which is the part of `path` from byte `offset` on.
///
/// # Errors
/// The device cannot be read.
pub(crate) fn occupants(device: &dyn Device, path: &Path, offset: u64) -> anyhow::Result<Vec<Occupant>> {
    let mut found: Vec<Occupant> = vexfs(device)?.into_iter().collect();
    let foreign = foreign::signatures(path, offset, device.len())?;
    found.extend(foreign.into_iter().map(Occupant::Foreign));
    Ok(found)
}

fn vexfs(device: &dyn Device) -> anyhow::Result<Option<Occupant>> {
    let mut start = vec![0; device.len().min(4096) as usize];
    device.read_at(0, &mut start)?;
    let place = start.get(superblock::OFFSET..).unwrap_or_default();
    let has_magic = place.starts_with(&superblock::MAGIC);
    let damage = match Superblock::decode(place, Some(BlockNo(0))) {
        Ok(superblock) => {
            return Ok(Some(Occupant::Vexfs { superblock: Box::new(superblock), damage: None }));
        }
        Err(FormatError::Incompatible(newer)) => return Ok(Some(Occupant::Unreadable(newer.to_string()))),
        Err(FormatError::Corrupt(damage)) => damage.to_string(),
    };
    Ok(match probe::find_backup(device) {
        Some(backup) => Some(Occupant::Vexfs { superblock: Box::new(backup), damage: Some(damage) }),
        None if has_magic => Some(Occupant::Unreadable(damage)),
        None => superblock::recognise_ancestor(&start).map(Occupant::Ancestor),
    })
}
