//! The block devices of this machine, for callers that look for a filesystem by label or UUID.

use std::path::PathBuf;

use crate::DeviceError;
use crate::system::{System, file_name, list, read_number};

/// Nodes of all disks and partitions that may bear a filesystem, in alphabetical order.
///
/// Left out are devices without a medium, RAM disks, loop devices without a backing file, paths the kernel hides, and devices
/// on which another one is built: that one shows the same bytes, and a label would be found twice.
///
/// # Errors
/// [`DeviceError::Open`] if the system has no list of block devices (`/sys` is not mounted).
pub fn block_devices() -> Result<Vec<PathBuf>, DeviceError> {
    block_devices_of(&System::live())
}

fn block_devices_of(system: &System) -> Result<Vec<PathBuf>, DeviceError> {
    let class = system.sys.join("class/block");
    if let Err(source) = std::fs::read_dir(&class) {
        return Err(DeviceError::Open {
            device: class.display().to_string(),
            action: "list the block devices",
            source,
        });
    }
    let mut nodes: Vec<PathBuf> = list(&class)
        .into_iter()
        .filter(|dir| {
            let name = file_name(dir);
            let is_loop = name.starts_with("loop") && !dir.join("partition").exists();
            !name.starts_with("ram")
                && (!is_loop || dir.join("loop/backing_file").exists())
                && read_number(&dir.join("size")).is_some_and(|sectors| sectors > 0)
                && read_number(&dir.join("hidden")).unwrap_or(0) == 0
                && system.holders(dir).is_empty()
        })
        .filter_map(|dir| system.node(&dir))
        .collect();
    nodes.sort();
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::tests::machine;

    #[test]
    fn devices_worth_probing_are_found_by_their_kernel_names() {
        let (_root, system) = machine(&[
            ("sys/class/block/sda/uevent", "DEVNAME=sda\n"),
            ("sys/class/block/sda/size", "4096\n"),
            ("sys/class/block/cciss!c0d0/uevent", "DEVNAME=cciss/c0d0\n"),
            ("sys/class/block/cciss!c0d0/size", "4096\n"),
            ("sys/class/block/sdb/uevent", "DEVNAME=sdb\n"),
            ("sys/class/block/sdb/size", "0\n"),
            ("sys/class/block/ram0/uevent", "DEVNAME=ram0\n"),
            ("sys/class/block/ram0/size", "4096\n"),
            ("sys/class/block/loop0/uevent", "DEVNAME=loop0\n"),
            ("sys/class/block/loop0/size", "4096\n"),
            ("sys/class/block/loop1/uevent", "DEVNAME=loop1\n"),
            ("sys/class/block/loop1/size", "4096\n"),
            ("sys/class/block/loop1/loop/backing_file", "/srv/image\n"),
            ("sys/class/block/loop1p1/uevent", "DEVNAME=loop1p1\n"),
            ("sys/class/block/loop1p1/size", "4096\n"),
            ("sys/class/block/loop1p1/partition", "1\n"),
            ("sys/class/block/nvme0c0n1/uevent", "DEVNAME=nvme0c0n1\n"),
            ("sys/class/block/nvme0c0n1/size", "4096\n"),
            ("sys/class/block/nvme0c0n1/hidden", "1\n"),
            ("sys/class/block/sdc1/uevent", "DEVNAME=sdc1\n"),
            ("sys/class/block/sdc1/size", "4096\n"),
            ("sys/class/block/sdc1/holders/md0/size", "4096\n"),
        ]);
        let expected: Vec<_> =
            ["cciss/c0d0", "loop1", "loop1p1", "sda"].iter().map(|name| system.dev.join(name)).collect();
        assert_eq!(block_devices_of(&system).expect("list"), expected);
    }

    #[test]
    fn a_machine_without_sysfs_is_an_error() {
        let (_root, system) = machine(&[]);
        assert!(matches!(block_devices_of(&system), Err(DeviceError::Open { .. })));
    }

    #[test]
    fn this_machine_lists_nodes_that_are_block_devices() {
        let Ok(nodes) = block_devices() else {
            println!("skipped: no /sys/class/block here");
            return;
        };
        for node in nodes.iter().filter(|node| node.exists()) {
            assert!(crate::system::device_number(node).is_some(), "{} is no block device", node.display());
        }
    }
}
