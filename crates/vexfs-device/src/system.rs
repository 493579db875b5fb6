//! What sysfs and procfs say about block devices: names, holders, loop devices, mounts, swap.
//!
//! All answers are best effort: where these filesystems are missing or a device is hidden in another namespace, the answer is
//! "nothing known". What must be certain rests on `O_EXCL` and on [`crate::lock`].

use std::fs;
use std::path::{Path, PathBuf};

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use nix::sys::stat::{major, minor};

/// The three trees that describe block devices; tests put others in their place.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) sys: PathBuf,
    pub(crate) proc: PathBuf,
    pub(crate) dev: PathBuf,
}

/// A loop device with a backing file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoopDevice {
    /// Its node, for instance `/dev/loop0`.
    pub(crate) node: PathBuf,
    pub(crate) backing: PathBuf,
    /// Where in the backing file it begins, in bytes.
    pub(crate) offset: u64,
    /// `major:minor`.
    pub(crate) number: String,
}

impl System {
    /// The machine this process runs on.
    pub(crate) fn live() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into(), dev: "/dev".into() }
    }

    /// The sysfs folder of the block device with this number.
    pub(crate) fn block_dir(&self, number: &str) -> PathBuf {
        self.sys.join("dev/block").join(number)
    }

    /// The node of the block device that `dir` describes. The kernel's name for it may contain a slash, the folder's cannot.
    pub(crate) fn node(&self, dir: &Path) -> Option<PathBuf> {
        let uevent = fs::read_to_string(dir.join("uevent")).ok()?;
        let name = uevent.lines().find_map(|line| line.strip_prefix("DEVNAME="))?;
        Some(self.dev.join(name))
    }

    /// What the backing of the block device that `dir` describes is, if it is a loop device.
    pub(crate) fn loop_device(&self, dir: &Path) -> Option<LoopDevice> {
        Some(LoopDevice {
            node: self.node(dir)?,
            backing: read_path(&dir.join("loop/backing_file"))?,
            offset: read_number(&dir.join("loop/offset")).unwrap_or(0),
            number: read_line(&dir.join("dev"))?,
        })
    }

    /// All loop devices that have a backing file.
    pub(crate) fn loop_devices(&self) -> Vec<LoopDevice> {
        let mut found: Vec<_> = list(&self.sys.join("block"))
            .into_iter()
            .filter(|dir| file_name(dir).starts_with("loop"))
            .filter_map(|dir| self.loop_device(&dir))
            .collect();
        found.sort_by(|a, b| a.node.cmp(&b.node));
        found
    }

    /// Devices built on top of the one that `dir` describes (device mapper, RAID, bcache), as `dm-0 (vg-root)`.
    pub(crate) fn holders(&self, dir: &Path) -> Vec<String> {
        let mut holders: Vec<_> = list(&dir.join("holders"))
            .into_iter()
            .map(|holder| {
                let name = file_name(&holder);
                match read_line(&holder.join("dm/name")) {
                    Some(dm_name) => format!("{name} ({dm_name})"),
                    None => name,
                }
            })
            .collect();
        holders.sort();
        holders
    }

    /// The partitions of the disk that `dir` describes.
    pub(crate) fn partitions(&self, dir: &Path) -> Vec<PathBuf> {
        let mut found = list(dir);
        found.retain(|child| child.join("partition").exists());
        found.sort();
        found
    }

    /// Where the block device with this number is mounted.
    ///
    /// Some filesystems (btrfs) give the mount a number of their own; for those the node they were mounted from decides.
    pub(crate) fn mount_point(&self, number: &str) -> Option<PathBuf> {
        let mountinfo = fs::read(self.proc.join("self/mountinfo")).ok()?;
        mountinfo.split(|&byte| byte == b'\n').find_map(|line| {
            let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
            let (mounted, point) = (*fields.get(2)?, *fields.get(4)?);
            // Optional fields end with "-"; file system type and source follow.
            let dash = fields.iter().position(|field| *field == b"-")?;
            let source = unescape(fields.get(dash + 2)?);
            let is_it = mounted == number.as_bytes()
                || (source.starts_with(&self.dev) && device_number(&source).as_deref() == Some(number));
            is_it.then(|| unescape(point))
        })
    }

    /// Whether an active swap area satisfies `is_it`.
    pub(crate) fn swaps(&self, is_it: impl Fn(&Path) -> bool) -> bool {
        let Ok(swaps) = fs::read(self.proc.join("swaps")) else { return false };
        swaps
            .split(|&byte| byte == b'\n')
            .skip(1)
            .filter_map(|line| line.split(u8::is_ascii_whitespace).next())
            .any(|name| !name.is_empty() && is_it(&unescape(name)))
    }
}

/// `major:minor` of the block device node `path`.
pub(crate) fn device_number(path: &Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    meta.file_type().is_block_device().then(|| number_of(&meta))
}

/// `major:minor` of the device that `meta`, the metadata of a device node, stands for.
pub(crate) fn number_of(meta: &fs::Metadata) -> String {
    format!("{}:{}", major(meta.rdev()), minor(meta.rdev()))
}

/// Whether `path` names the file or block device that `meta` describes.
pub(crate) fn is_same(path: &Path, meta: &fs::Metadata) -> bool {
    let Ok(other) = fs::metadata(path) else { return false };
    match (other.file_type().is_block_device(), meta.file_type().is_block_device()) {
        (true, true) => other.rdev() == meta.rdev(),
        (false, false) => (other.dev(), other.ino()) == (meta.dev(), meta.ino()),
        _ => false,
    }
}

/// Entries of a folder; none if it cannot be read.
pub(crate) fn list(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// A sysfs attribute that holds a decimal number.
pub(crate) fn read_number(path: &Path) -> Option<u64> {
    read_line(path)?.parse().ok()
}

pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read_line(path: &Path) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim_end().to_owned())
}

/// A sysfs attribute that holds a path, which may be any bytes and ends with one newline.
fn read_path(path: &Path) -> Option<PathBuf> {
    let mut bytes = fs::read(path).ok()?;
    bytes.pop_if(|byte| *byte == b'\n');
    (!bytes.is_empty()).then(|| PathBuf::from(OsString::from_vec(bytes)))
}

/// A path from a procfs table, where blanks and backslashes are written `\ooo`.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).filter(|digits| digits.iter().all(|d| (b'0'..=b'7').contains(d)));
        match octal {
            Some(digits) if first == b'\\' => {
                let value = digits.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                bytes.push(value as u8);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A machine made of folders: files are given as (path, contents).
    pub(crate) fn machine(files: &[(&str, &str)]) -> (tempfile::TempDir, System) {
        let root = tempfile::tempdir().expect("folder");
        for (path, contents) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().expect("parent")).expect("folder");
            fs::write(path, contents).expect("file");
        }
        let at = |name: &str| root.path().join(name);
        let system = System { sys: at("sys"), proc: at("proc"), dev: at("dev") };
        (root, system)
    }

    #[test]
    fn octal_escapes_become_bytes() {
        assert_eq!(unescape(br"/mnt/my\040disk\134x"), Path::new(r"/mnt/my disk\x"));
        assert_eq!(unescape(br"/a\9b\04"), Path::new(r"/a\9b\04"));
    }

    #[test]
    fn the_mount_point_is_found_by_number_and_unescaped() {
        let (_root, system) = machine(&[(
            "proc/self/mountinfo",
            "22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw\n\
             40 27 8:1 / /mnt/my\\040disk rw,relatime shared:1 master:2 - ext4 /dev/sda1 rw\n\
             broken line\n",
        )]);
        assert_eq!(system.mount_point("8:1"), Some("/mnt/my disk".into()));
        assert_eq!(system.mount_point("8:10"), None);
    }

    #[test]
    fn swap_areas_are_listed_without_their_heading() {
        let (_root, system) = machine(&[(
            "proc/swaps",
            "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/swap\\040file    file\t\t1024\t0\t-2\n",
        )]);
        assert!(system.swaps(|path| path == Path::new("/swap file")));
        assert!(!system.swaps(|path| path == Path::new("Filename")));
    }

    #[test]
    fn holders_carry_their_mapper_names_and_partitions_are_found() {
        let (_root, system) = machine(&[
            ("sys/dev/block/8:0/holders/dm-0/dm/name", "vg-root\n"),
            ("sys/dev/block/8:0/holders/md1/size", "8\n"),
            ("sys/dev/block/8:0/sda2/partition", "2\n"),
            ("sys/dev/block/8:0/sda1/partition", "1\n"),
            ("sys/dev/block/8:0/queue/nr_requests", "2\n"),
        ]);
        let disk = system.block_dir("8:0");
        assert_eq!(system.holders(&disk), ["dm-0 (vg-root)", "md1"]);
        assert_eq!(system.partitions(&disk), [disk.join("sda1"), disk.join("sda2")]);
    }

    #[test]
    fn loop_devices_without_a_backing_file_are_left_out() {
        let (root, system) = machine(&[
            ("sys/block/loop0/uevent", "MAJOR=7\nDEVNAME=loop0\n"),
            ("sys/block/loop0/dev", "7:0\n"),
            ("sys/block/loop3/uevent", "MAJOR=7\nDEVNAME=loop3\n"),
            ("sys/block/loop3/dev", "7:3\n"),
            ("sys/block/loop3/loop/backing_file", "/srv/an image \n"),
            ("sys/block/loop3/loop/offset", "1048576\n"),
        ]);
        let expected = LoopDevice {
            node: root.path().join("dev/loop3"),
            backing: "/srv/an image ".into(),
            offset: 1 << 20,
            number: "7:3".into(),
        };
        assert_eq!(system.loop_devices(), [expected]);
    }
}
