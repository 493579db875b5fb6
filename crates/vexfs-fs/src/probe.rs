//! Finding a superblock: the primary, else a backup, else a statement of what is there instead.

use vexfs_device::Device;
use vexfs_format::geometry::TAIL_BYTES;
use vexfs_format::superblock::{self, BLOCK_SIZES, Superblock};
use vexfs_format::{BlockNo, Damage, FormatError};

use crate::error::{FsError, Result};
use crate::volume::{OpenOptions, OpenReport};

/// Reads and accepts the superblock in block `block` of a device with blocks of `block_size` bytes.
///
/// # Errors
/// Device errors, damage, and formats these tools do not know.
pub fn read_superblock(dev: &dyn Device, block: BlockNo, block_size: u32) -> Result<Superblock> {
    Ok(decode_at(dev, block, block_size)??)
}

fn decode_at(dev: &dyn Device, block: BlockNo, block_size: u32) -> Result<Result<Superblock, FormatError>> {
    let start = block.get().saturating_mul(block_size.into()).saturating_add(superblock::OFFSET as u64);
    let mut bytes = [0; Superblock::SIZE];
    dev.read_at(start, &mut bytes)?;
    let decoded = Superblock::decode(&bytes, Some(block));
    Ok(match decoded {
        // A backup of a filesystem with other blocks may lie at the same byte under another number.
        Ok(sb) if block.get() > 0 && sb.block_size.get() != block_size => {
            Err(FormatError::Corrupt(vexfs_format::Corrupt::new(
                vexfs_format::Structure::Superblock,
                vexfs_format::error::At::Block(block.get()),
                Damage::Field {
                    name: "block_size",
                    found: sb.block_size.get().into(),
                    expected: "the one asked for",
                },
            )))
        }
        other => other,
    })
}

/// Finds the superblock of a volume that is being opened.
pub(crate) fn find_superblock(dev: &dyn Device, options: &OpenOptions) -> Result<(Superblock, OpenReport)> {
    if let Some(block) = options.superblock {
        let sizes = options.block_size.map_or_else(block_sizes, |size| vec![size]);
        let mut last = FsError::NotVexfs {
            device: dev.name().to_owned(),
            reason: format!("no superblock in block {block}"),
        };
        for size in sizes {
            match read_superblock(dev, block, size) {
                Ok(sb) => return Ok((sb, OpenReport::default())),
                Err(e @ FsError::Incompatible(_)) => return Err(e),
                Err(e) => last = e,
            }
        }
        return Err(last);
    }
    if dev.len() < (superblock::OFFSET + Superblock::SIZE) as u64 {
        let reason = format!("it has only {} bytes", dev.len());
        return Err(FsError::NotVexfs { device: dev.name().to_owned(), reason });
    }
    let damage: FsError = match decode_at(dev, BlockNo(0), 4096) {
        Ok(Ok(sb)) => return Ok((sb, OpenReport::default())),
        Ok(Err(FormatError::Incompatible(e))) => return Err(e.into()),
        Ok(Err(FormatError::Corrupt(damage))) => damage.into(),
        Err(e) => e,
    };
    match (find_backup(dev), damage) {
        (Some(sb), damage) => {
            let block = BlockNo(sb.self_block.get());
            let damage = match damage {
                FsError::Corrupt(damage) => damage.to_string(),
                other => other.to_string(),
            };
            Ok((sb, OpenReport { backup: Some((block, damage)), ..Default::default() }))
        }
        (None, FsError::Corrupt(damage)) => {
            let reason = what_is_there(dev, damage.to_string());
            Err(FsError::NotVexfs { device: dev.name().to_owned(), reason })
        }
        // What cannot be read may well hold one.
        (None, unreadable) => Err(unreadable),
    }
}

fn what_is_there(dev: &dyn Device, damage: String) -> String {
    let mut start = vec![0; 4096];
    if dev.len() >= 4096 && dev.read_at(0, &mut start).is_ok() {
        if let Some(name) = superblock::recognise_ancestor(&start) {
            return format!("it holds an old {name}, which these tools do not read");
        }
        if start[superblock::OFFSET..superblock::OFFSET + 8] != superblock::MAGIC {
            return "there is neither a superblock nor a backup of one".to_owned();
        }
    }
    format!("{damage}, and no backup was found")
}

/// Looks for a backup superblock at every place where one may lie, for every block size.
///
/// A device that cannot be read in some place is searched on.
pub fn find_backup(dev: &dyn Device) -> Option<Superblock> {
    block_sizes().into_iter().find_map(|size| {
        backup_places(dev.len(), size)
            .into_iter()
            .find_map(|block| decode_at(dev, block, size).ok().and_then(Result::ok))
    })
}

/// Blocks that may hold a backup on a device of `len` bytes with blocks of `block_size` bytes.
pub fn backup_places(len: u64, block_size: u32) -> Vec<BlockNo> {
    let size = u64::from(block_size);
    let (blocks, per_group) = (len / size, size * 8);
    let mut places = Vec::new();
    for base in [3_u64, 5, 7] {
        let mut group = base;
        while group.saturating_mul(per_group) < blocks {
            places.push(group * per_group);
            group = group.saturating_mul(base);
        }
    }
    if per_group < blocks {
        places.push(per_group);
    }
    let tail = TAIL_BYTES.div_ceil(size);
    if blocks > tail {
        places.push(blocks - tail);
        // A last group that is too small is left off, and the filesystem then ends with the group before it.
        let whole = blocks / per_group * per_group;
        if whole > tail {
            places.push(whole - tail);
        }
    }
    places.sort_unstable();
    places.dedup();
    places.retain(|&p| p > 0 && p < blocks);
    places.into_iter().map(BlockNo).collect()
}

fn block_sizes() -> Vec<u32> {
    std::iter::successors(Some(*BLOCK_SIZES.start()), |s| s.checked_mul(2))
        .take_while(|s| BLOCK_SIZES.contains(s))
        .collect()
}

/// Refuses a device with fewer bytes than its filesystem has.
pub(crate) fn check_length(dev: &dyn Device, sb: &Superblock) -> Result<()> {
    let need = sb.blocks.get().saturating_mul(sb.block_size.get().into());
    if dev.len() < need {
        return Err(FsError::DeviceTooShort { device: dev.name().to_owned(), need, have: dev.len() });
    }
    Ok(())
}
