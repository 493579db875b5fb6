//! What libblkid recognises on a device: filesystems, swap areas, RAID members, encrypted volumes, partition tables.
//!
//! libblkid does not know VexFS; [`occupant`](crate::occupant) looks for that. Of the wrapper crate only the prober itself is
//! used: its child objects outlive it without the compiler noticing.

use std::fmt;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;

use anyhow::{Context, bail};
use blkid::prober::{ProbeState, Prober};
use blkid::{PartitionsFlags, SuperblocksFlags};
use vexfs_cli::output::printable;
use vexfs_device::Device;

/// More than this many signatures are on no device; a prober that goes on beyond is not listened to.
const MAX_SIGNATURES: usize = 64;
/// How often what is left is looked for again: a signature may hide another one, and ZFS has hundreds.
const MAX_ROUNDS: usize = 1024;
/// What is zeroed of a signature: the sector its magic begins in. No magic is longer than the rest of its sector.
const SECTOR: u64 = 512;

/// One thing that is recognised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// Its type, with "partition table" for those.
    kind: String,
    label: Option<String>,
    uuid: Option<String>,
    /// Where its magic lies, in bytes from the start of the window.
    magic: Option<u64>,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.kind))?;
        describe(f, self.label.as_deref(), self.uuid.as_deref())
    }
}

/// Writes `, LABEL=…, UUID=…` as far as there are any.
pub(crate) fn describe(f: &mut fmt::Formatter<'_>, label: Option<&str>, uuid: Option<&str>) -> fmt::Result {
    if let Some(label) = label.filter(|label| !label.is_empty()) {
        write!(f, ", LABEL=\"{}\"", printable(label))?;
    }
    if let Some(uuid) = uuid.filter(|uuid| !uuid.is_empty()) {
        write!(f, ", UUID={}", printable(uuid))?;
    }
    Ok(())
}

/// Everything libblkid recognises in the `len` bytes of `path` that begin at byte `offset`.
///
/// # Errors
/// The device cannot be opened or read.
pub(crate) fn signatures(path: &Path, offset: u64, len: u64) -> anyhow::Result<Vec<Signature>> {
    let name = path.display();
    let file = File::open(path).with_context(|| format!("cannot open {name}"))?;
    // Dropped before the file, whose descriptor it uses.
    let prober = prober(&file, offset, len).with_context(|| format!("{name}: libblkid cannot look at it"))?;
    let mut found: Vec<Signature> = Vec::new();
    while found.len() < MAX_SIGNATURES {
        let state = prober.do_probe().with_context(|| format!("{name}: libblkid cannot read it"))?;
        if state != ProbeState::Success {
            break;
        }
        found.extend(signature(&prober));
    }
    // The protective entry that belongs to a GPT says nothing beside it.
    if found.iter().any(|signature| signature.kind.starts_with("gpt ")) {
        found.retain(|signature| !signature.kind.starts_with("PMBR "));
    }
    Ok(found)
}

fn prober(file: &File, offset: u64, len: u64) -> anyhow::Result<Prober> {
    let mut prober = Prober::new()?;
    prober.set_device(file.as_raw_fd(), i64::try_from(offset)?, Some(i64::try_from(len)?))?;
    prober.enable_superblocks(true)?;
    // A filesystem with a wrong checksum is damaged, not absent; a GPT without its protective entry likewise.
    prober.set_superblocks_flags(
        SuperblocksFlags::TYPE
            | SuperblocksFlags::LABEL
            | SuperblocksFlags::UUID
            | SuperblocksFlags::MAGIC
            | SuperblocksFlags::BADCSUM,
    )?;
    prober.enable_partitions(true)?;
    prober.set_partitions_flags(PartitionsFlags::FORCE_GPT | PartitionsFlags::MAGIC)?;
    Ok(prober)
}

/// What the prober stands at.
fn signature(prober: &Prober) -> Option<Signature> {
    // A value that is absent, and one that is no text, are the same to us.
    let value = |name: &str| prober.lookup_value(name).ok();
    let offset = |name: &str| value(name)?.trim().parse().ok();
    if let Some(kind) = value("TYPE") {
        let magic = offset("SBMAGIC_OFFSET");
        return Some(Signature { kind, label: value("LABEL"), uuid: value("UUID"), magic });
    }
    let kind = format!("{} partition table", value("PTTYPE")?);
    Some(Signature { kind, label: None, uuid: value("PTUUID"), magic: offset("PTMAGIC_OFFSET") })
}

/// Removes everything libblkid still recognises on `device`, which is the part of `path` from byte `offset` on.
///
/// # Errors
/// Device errors; a signature that cannot be removed.
pub(crate) fn erase(device: &dyn Device, path: &Path, offset: u64) -> anyhow::Result<()> {
    for _ in 0..MAX_ROUNDS {
        let found = signatures(path, offset, device.len())?;
        if found.is_empty() {
            return Ok(());
        }
        for signature in found {
            let Some(magic) = signature.magic.filter(|&magic| magic < device.len()) else {
                bail!("{}: {signature} cannot be removed: libblkid does not say where it is", path.display());
            };
            let sector = magic / SECTOR * SECTOR;
            device.zero(sector, SECTOR.min(device.len() - sector))?;
        }
        device.flush()?;
    }
    bail!("{}: what libblkid recognises does not go away", path.display());
}
