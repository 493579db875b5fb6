//! Who uses a device: the question before writing, and the explanation after `O_EXCL` has said no.

use std::fmt;
use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::lock::{self, Access, Span};
use crate::system::{System, device_number, is_same, number_of, read_number};

/// Who uses a device, so that nobody else may write to it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusyReason {
    /// A filesystem on it is mounted; unmount it.
    Mounted {
        /// One of its mount points.
        at: PathBuf,
    },
    /// It is an active swap area; `swapoff` ends that.
    Swap,
    /// Devices are built on it: device mapper, RAID, bcache.
    Held {
        /// Their kernel names, with the mapper's name in parentheses.
        by: Vec<String>,
    },
    /// It is a disk, and one of its partitions is in use.
    Partition {
        /// The partition's node.
        partition: PathBuf,
        /// How that is used.
        reason: Box<BusyReason>,
    },
    /// It backs a loop device; `losetup -d` ends that.
    LoopBacking {
        /// The loop device's node.
        loop_device: PathBuf,
        /// Where that is mounted, if it is.
        mounted_at: Option<PathBuf>,
    },
    /// Another VexFS tool is writing to it.
    VexfsWriter,
    /// Another VexFS tool is reading it.
    VexfsReader,
    /// Another program has locked the image file, for instance a virtual machine its disk.
    LockedByProgram,
    /// Another program has opened the block device exclusively, and nothing says which.
    OpenedExclusively,
}

impl BusyReason {
    pub(crate) fn from_lock(holder: Access) -> Self {
        match holder {
            Access::Read => BusyReason::VexfsReader,
            Access::Write => BusyReason::VexfsWriter,
        }
    }
}

impl fmt::Display for BusyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BusyReason::Mounted { at } => write!(f, "mounted at {}", at.display()),
            BusyReason::Swap => f.write_str("active swap area"),
            BusyReason::Held { by } => write!(f, "held by {}", by.join(", ")),
            BusyReason::Partition { partition, reason } => {
                write!(f, "partition {}: {reason}", partition.display())
            }
            BusyReason::LoopBacking { loop_device, mounted_at } => {
                write!(f, "backs {}", loop_device.display())?;
                mounted_at.as_ref().map_or(Ok(()), |at| write!(f, ", mounted at {}", at.display()))
            }
            BusyReason::VexfsWriter => f.write_str("another VexFS tool is writing to it"),
            BusyReason::VexfsReader => f.write_str("another VexFS tool is reading it"),
            BusyReason::LockedByProgram => f.write_str("another program has locked it"),
            BusyReason::OpenedExclusively => f.write_str("another program has opened it exclusively"),
        }
    }
}

/// Who uses the device or image file at `path`, as far as the system tells; `None` if a writer would find it free.
///
/// Looks only: nothing stays locked or open, so another program may take the device right afterwards. A path that does not
/// exist or is neither a block device nor a regular file is used by nobody.
pub fn busy_reason(path: impl AsRef<Path>) -> Option<BusyReason> {
    let path = path.as_ref();
    let meta = fs::metadata(path).ok()?;
    let is_block = meta.file_type().is_block_device();
    if !is_block && !meta.is_file() {
        return None;
    }
    let system = System::live();
    claim(&system, &meta).or_else(|| {
        let mut options = File::options();
        options.read(true);
        // Without rights the file cannot be asked; a writer will not get far either.
        let file = options.open(path).ok()?;
        let conflicting = lock::holder(&file, Access::Write, Span::WHOLE).ok().flatten();
        let conflicting = conflicting.or_else(|| {
            let backing = LoopBacking::of(&system, &meta, Access::Read)?;
            lock::holder(&backing.file, Access::Write, backing.span(Span::WHOLE)).ok().flatten()
        });
        if let Some(holder) = conflicting {
            return Some(BusyReason::from_lock(holder));
        }
        if is_block {
            let exclusive = options.custom_flags(libc::O_EXCL).open(path);
            let is_claimed = exclusive.is_err_and(|error| error.raw_os_error() == Some(libc::EBUSY));
            return is_claimed.then_some(BusyReason::OpenedExclusively);
        }
        lock::is_locked_by_others(&file).ok()?.then_some(BusyReason::LockedByProgram)
    })
}

/// Who uses the block device or regular file that `meta` describes, according to the system's tables.
pub(crate) fn claim(system: &System, meta: &Metadata) -> Option<BusyReason> {
    let stacked = || backs_loop_device(system, meta);
    if meta.file_type().is_block_device() {
        block_claim(system, &number_of(meta)).or_else(stacked)
    } else {
        system.swaps(|area| is_same(area, meta)).then_some(BusyReason::Swap).or_else(stacked)
    }
}

/// The loop device whose backing file `meta` describes. A loop device does not claim its backing: nothing else tells.
pub(crate) fn backs_loop_device(system: &System, meta: &Metadata) -> Option<BusyReason> {
    let upper = system.loop_devices().into_iter().find(|upper| is_same(&upper.backing, meta))?;
    Some(BusyReason::LoopBacking { mounted_at: system.mount_point(&upper.number), loop_device: upper.node })
}

fn block_claim(system: &System, number: &str) -> Option<BusyReason> {
    let dir = system.block_dir(number);
    own_claim(system, number)
        .or_else(|| {
            system.partitions(&dir).iter().find_map(|partition| {
                let number = fs::read_to_string(partition.join("dev")).ok()?;
                let reason = Box::new(own_claim(system, number.trim_end())?);
                Some(BusyReason::Partition { partition: system.node(partition)?, reason })
            })
        })
        .or_else(|| {
            // A partition is claimed with its disk, for instance by multipath. The folder is a link: ".." is the disk's.
            let disk = dir.join("partition").exists().then(|| dir.join(".."))?;
            held(system, &disk)
        })
}

fn own_claim(system: &System, number: &str) -> Option<BusyReason> {
    if let Some(at) = system.mount_point(number) {
        return Some(BusyReason::Mounted { at });
    }
    if system.swaps(|area| device_number(area).as_deref() == Some(number)) {
        return Some(BusyReason::Swap);
    }
    held(system, &system.block_dir(number))
}

fn held(system: &System, dir: &Path) -> Option<BusyReason> {
    let by = system.holders(dir);
    (!by.is_empty()).then_some(BusyReason::Held { by })
}

/// The file behind a loop device: who reads or writes the one, reads or writes the other.
#[derive(Debug)]
pub(crate) struct LoopBacking {
    pub(crate) file: File,
    /// Where the loop device begins in the file, and its length, in bytes.
    offset: u64,
    len: u64,
}

impl LoopBacking {
    /// Opens the backing file, if `meta` describes a loop device (or a partition of one) and the file can be reached from here.
    pub(crate) fn of(system: &System, meta: &Metadata, access: Access) -> Option<Self> {
        if !meta.file_type().is_block_device() {
            return None;
        }
        let dir = system.block_dir(&number_of(meta));
        // Sysfs counts in units of 512 bytes, whatever the sector of the device.
        let bytes = |attribute| Some(read_number(&dir.join(attribute))?.saturating_mul(512));
        let len = bytes("size")?;
        let (disk, start) = match bytes("start") {
            Some(start) => (dir.join(".."), start),
            None => (dir.clone(), 0),
        };
        let device = system.loop_device(&disk)?;
        // Opening a device node for writing makes udev look at it when it is closed; a plain file bears it.
        if !fs::metadata(&device.backing).ok()?.is_file() {
            return None;
        }
        let file = File::options().read(true).write(access == Access::Write).open(&device.backing).ok()?;
        Some(Self { file, offset: device.offset.saturating_add(start), len })
    }

    /// Where a span of the loop device lies in the backing file.
    pub(crate) fn span(&self, span: Span) -> Span {
        Span {
            start: self.offset.saturating_add(span.start),
            len: Some(span.len.unwrap_or(self.len.saturating_sub(span.start))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::machine;

    #[test]
    fn a_mounted_swapped_or_held_disk_says_so() {
        let (_root, system) = machine(&[
            ("proc/self/mountinfo", "40 27 8:1 / /srv rw - ext4 /dev/sda1 rw\n"),
            ("sys/dev/block/8:1/partition", "1\n"),
            ("sys/dev/block/8:0/sda1/partition", "1\n"),
            ("sys/dev/block/8:0/sda1/dev", "8:1\n"),
            ("sys/dev/block/8:0/sda1/uevent", "DEVNAME=sda1\n"),
            ("sys/dev/block/8:16/holders/dm-0/dm/name", "crypt\n"),
        ]);
        let text = |number| block_claim(&system, number).map(|reason| reason.to_string());
        assert_eq!(text("8:1").as_deref(), Some("mounted at /srv"));
        let node = system.dev.join("sda1");
        assert_eq!(text("8:0"), Some(format!("partition {}: mounted at /srv", node.display())));
        assert_eq!(text("8:16").as_deref(), Some("held by dm-0 (crypt)"));
        assert_eq!(text("8:32"), None);
    }

    #[test]
    fn an_image_that_backs_a_loop_device_is_claimed_by_inode() {
        let image = tempfile::NamedTempFile::new().expect("file");
        let (root, system) = machine(&[
            ("sys/block/loop5/uevent", "DEVNAME=loop5\n"),
            ("sys/block/loop5/dev", "7:5\n"),
            ("proc/self/mountinfo", "40 27 7:5 / /mnt rw - vexfs /dev/loop5 rw\n"),
        ]);
        // The same file by another name: a link.
        let link = root.path().join("link");
        std::os::unix::fs::symlink(image.path(), &link).expect("link");
        fs::create_dir(root.path().join("sys/block/loop5/loop")).expect("folder");
        fs::write(root.path().join("sys/block/loop5/loop/backing_file"), format!("{}\n", link.display()))
            .expect("attribute");

        let meta = fs::metadata(image.path()).expect("metadata");
        let expected = BusyReason::LoopBacking {
            loop_device: system.dev.join("loop5"),
            mounted_at: Some("/mnt".into()),
        };
        assert_eq!(claim(&system, &meta), Some(expected));
        let other = tempfile::NamedTempFile::new().expect("file");
        assert_eq!(claim(&system, &fs::metadata(other.path()).expect("metadata")), None);
    }

    #[test]
    fn a_swap_file_is_claimed() {
        let image = tempfile::NamedTempFile::new().expect("file");
        let swaps = format!("Filename Type Size Used Priority\n{} file 8 0 -2\n", image.path().display());
        let (_root, system) = machine(&[("proc/swaps", &swaps)]);
        let meta = fs::metadata(image.path()).expect("metadata");
        assert_eq!(claim(&system, &meta), Some(BusyReason::Swap));
    }

    #[test]
    fn a_missing_path_is_used_by_nobody() {
        assert_eq!(busy_reason("/nonexistent/device"), None);
        assert_eq!(busy_reason("/"), None);
    }
}
