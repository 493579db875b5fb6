//! The VexFS filesystems on this machine's block devices, told by their primary superblocks.
//!
//! Devices are read without the tools' lock: a label may be asked for while another tool works on its device.

use std::fmt::{self, Display, Write};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use uuid::Uuid;
use vexfs_format::superblock::{self, Superblock};

use super::Located;
use crate::WithHint;
use crate::output::printable;

/// A device with a VexFS on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Block device or image file.
    pub path: PathBuf,
    /// Label; empty means none.
    pub label: String,
    /// Identity.
    pub uuid: Uuid,
}

impl Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&printable(&self.path.to_string_lossy()))?;
        if !self.label.is_empty() {
            write!(f, "  LABEL={}", printable(&self.label))?;
        }
        write!(f, "  UUID={}", self.uuid)
    }
}

/// What a look at all devices gave.
#[derive(Debug, Default)]
struct Search {
    found: Vec<Candidate>,
    looked_at: usize,
    /// Devices this user may not read.
    forbidden: usize,
}

/// The one VexFS on this machine's block devices.
///
/// # Errors
/// There is none, or more than one; the message lists them. This machine does not list its block devices.
pub fn only_one() -> anyhow::Result<Located> {
    let search = Search::of(&vexfs_device::block_devices()?, 0);
    let path =
        search.only("no device is named, and", |_| true).hint("name it with -d, or in VEXFS_DEVICE")?;
    Ok(Located { path, offset: 0 })
}

/// The one device whose VexFS, `offset` bytes into it, is as `wanted` says.
pub(super) fn by(
    name: &dyn Display,
    offset: u64,
    wanted: impl Fn(&Candidate) -> bool,
) -> anyhow::Result<PathBuf> {
    Search::of(&vexfs_device::block_devices()?, offset).only(&format!("{name}:"), wanted)
}

impl Search {
    fn of(devices: &[PathBuf], offset: u64) -> Self {
        let mut search = Self { looked_at: devices.len(), ..Self::default() };
        for path in devices {
            match probe(path, offset) {
                Ok(found) => search.found.extend(found),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => search.forbidden += 1,
                // A device without a medium, too short, or failing holds no VexFS that can be used.
                Err(_) => {}
            }
        }
        search
    }

    fn only(&self, subject: &str, wanted: impl Fn(&Candidate) -> bool) -> anyhow::Result<PathBuf> {
        let fitting: Vec<&Candidate> = self.found.iter().filter(|candidate| wanted(candidate)).collect();
        let mut message = match fitting.as_slice() {
            [one] => return Ok(one.path.clone()),
            [] => format!("{subject} no VexFS is found on this machine's block devices ({})", self.extent()),
            several => format!("{subject} {} VexFS filesystems fit", several.len()),
        };
        let shown: Vec<&Candidate> = if fitting.is_empty() { self.found.iter().collect() } else { fitting };
        for candidate in shown {
            // Writing to a string cannot fail.
            let _ = write!(message, "\n  {candidate}");
        }
        Err(anyhow::anyhow!(message))
    }

    fn extent(&self) -> String {
        let mut text = format!("{} looked at", self.looked_at);
        if self.forbidden > 0 {
            let _ = write!(text, ", {} of which may not be read by this user", self.forbidden);
        }
        text
    }
}

/// Reads the primary superblock of the filesystem that begins `offset` bytes into `path`.
fn probe(path: &Path, offset: u64) -> io::Result<Option<Candidate>> {
    let mut bytes = [0; Superblock::SIZE];
    let at = offset.saturating_add(superblock::OFFSET as u64);
    File::open(path)?.read_exact_at(&mut bytes, at)?;
    Ok(Superblock::decode(&bytes, None).ok().map(|superblock| Candidate {
        path: path.to_owned(),
        label: superblock.label(),
        uuid: Uuid::from_bytes(superblock.uuid),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use vexfs_format::geometry::{Geometry, GeometryParams};
    use zerocopy::IntoBytes;

    /// Images in a folder, as if they were block devices: `None` is an image without a VexFS.
    fn machine(devices: &[(&str, Option<(&str, u128)>)], offset: u64) -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().expect("folder");
        let paths = devices.iter().map(|(name, content)| {
            let path = folder.path().join(name);
            let file = File::create(&path).expect("image");
            file.set_len(64 << 10).expect("length");
            if let &Some((label, uuid)) = content {
                let geometry =
                    Geometry::plan(&GeometryParams::new(4096, 4096)).expect("16 MiB can be planned");
                let mut superblock = Superblock::empty();
                geometry.store(&mut superblock);
                superblock.uuid = *Uuid::from_u128(uuid).as_bytes();
                assert!(superblock.set_label(label));
                superblock.seal();
                file.write_all_at(superblock.as_bytes(), offset + 1024).expect("write");
            }
            path
        });
        let paths = paths.collect();
        (folder, paths)
    }

    #[test]
    fn the_only_vexfs_is_found_among_other_devices() {
        let (_folder, devices) = machine(&[("a", None), ("b", Some(("", 7))), ("c", None)], 0);
        let found = Search::of(&devices, 0).only("", |_| true).expect("one");
        assert_eq!(found, devices[1]);
    }

    #[test]
    fn several_are_listed_with_label_and_uuid() {
        let (_folder, devices) = machine(&[("a", Some(("Vec\u{1b}", 7))), ("b", Some(("", 8)))], 0);
        let message = Search::of(&devices, 0).only("", |_| true).expect_err("two").to_string();
        for part in [
            "2 VexFS filesystems fit",
            "/a  LABEL=Vec\\u{1b}  UUID=00000000-0000-0000-0000-000000000007",
            "/b  UUID=00000000-0000-0000-0000-000000000008",
        ] {
            assert!(message.contains(part), "{part:?} missing in {message:?}");
        }
    }

    #[test]
    fn a_label_chooses_and_an_unknown_one_is_an_error_that_lists_what_is_there() {
        let (_folder, devices) = machine(&[("a", Some(("one", 7))), ("b", Some(("two", 8)))], 0);
        let search = Search::of(&devices, 0);
        assert_eq!(search.only("", |c| c.label == "two").expect("found"), devices[1]);
        let message = search.only("LABEL=three:", |c| c.label == "three").expect_err("none").to_string();
        assert!(message.contains("2 looked at") && message.contains("LABEL=one"), "{message}");
    }

    #[test]
    fn a_filesystem_inside_a_larger_device_is_found_at_its_offset_only() {
        let (_folder, devices) = machine(&[("disk", Some(("inner", 7)))], 8192);
        assert!(Search::of(&devices, 0).found.is_empty());
        assert_eq!(Search::of(&devices, 8192).found.len(), 1);
        assert!(Search::of(&devices, u64::MAX).found.is_empty());
    }
}
